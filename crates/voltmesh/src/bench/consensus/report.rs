//! What is printed with `--json` and written to `results.json`. Figures that cannot be computed are null.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use voltmesh_consensus::harness::{CHANNELS, EnergyModel, Measured, Percentiles};

use super::plans::Job;
use crate::args::{Arrivals, BenchConsensus, Runtime};
use crate::bench::machine::Machine;

/// Everything.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What it ran on.
    pub machine: Machine,
    /// What was asked for.
    pub settings: Settings,
    /// The declared model of energy.
    pub energy_model: Model,
    /// The main measurement.
    pub protocols: Vec<Row>,
    /// Of the first protocol to each other.
    pub ratios: Vec<Ratio>,
    /// What `--sweep` added.
    pub sweeps: Vec<SweepReport>,
}

/// What was asked for.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// `sim` or `tcp`.
    pub runtime: &'static str,
    /// Name of the network.
    pub network: String,
    /// Mean one-way latency of its links.
    pub mean_link_ms: Option<f64>,
    /// Nodes.
    pub authorities: usize,
    /// How many of them vote in proof of authority.
    pub committee: Option<usize>,
    /// Views that a leader has in a row in proof of authority.
    pub term: u32,
    /// Transactions a second.
    pub load_tps: f64,
    /// `poisson` or `fixed`.
    pub arrivals: &'static str,
    /// Records in a transaction.
    pub records_per_transaction: u64,
    /// Longest block.
    pub block_bytes: usize,
    /// Least time between blocks.
    pub block_interval_ms: u64,
    /// Mean time between blocks of proof of work.
    pub pow_interval_ms: u64,
    /// Blocks in an epoch.
    pub epoch: u64,
    /// What went wrong.
    pub fault: String,
    /// Measured.
    pub seconds: u64,
    /// Before that.
    pub warm_up_s: u64,
    /// Of everything random.
    pub seed: u64,
}

/// Parameters of the model of energy and where they come from.
#[derive(Debug, Clone, Serialize)]
pub struct Model {
    /// W of a busy core.
    pub cpu_w: f64,
    /// µJ a byte.
    pub uj_per_byte: f64,
    /// J in a node's battery.
    pub battery_j: f64,
    /// Of the defaults.
    pub sources: [&'static str; 3],
}

/// Times in ms; null if there was nothing to time.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Half were faster.
    pub p50: Option<f64>,
    /// 95 of 100 were faster.
    pub p95: Option<f64>,
    /// 99 of 100 were faster.
    pub p99: Option<f64>,
    /// On average.
    pub mean: Option<f64>,
    /// The slowest.
    pub max: Option<f64>,
}

impl From<Percentiles> for Latency {
    fn from(times: Percentiles) -> Self {
        let ms = |time| (times.count > 0).then(|| ms(time));
        Latency {
            p50: ms(times.p50),
            p95: ms(times.p95),
            p99: ms(times.p99),
            mean: ms(times.mean),
            max: ms(times.max),
        }
    }
}

/// What was sent for a block.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PerBlock {
    /// Messages times recipients.
    pub messages: Option<f64>,
    /// Payload bytes times recipients.
    pub bytes: Option<f64>,
}

/// After a partition, in ms from when it healed; null if it never was.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RecoveryMs {
    /// Something final at the first node.
    pub first: Option<f64>,
    /// Something final at every node.
    pub all: Option<f64>,
}

/// A moment of a run, counted from its start.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Step {
    /// Seconds.
    pub at_s: f64,
    /// Final so far.
    pub transactions: u64,
    /// Median of those that became final since the step before.
    pub latency_ms: Option<f64>,
    /// Modelled energy of all nodes so far.
    pub energy_j: f64,
}

/// One protocol's figures; of all nodes together where not said otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub name: String,
    pub authorities: usize,
    pub committee: usize,
    /// Epoch when the measurement began: what is elected is so from the third one, 2, on.
    pub epoch: u64,
    /// From submission to finality at the node where a transaction was submitted.
    pub latency_ms: Latency,
    pub latency_link_delays_p50: Option<f64>,
    /// From a block's time to its finality at the nodes.
    pub finality_ms: Latency,
    pub finality_link_delays_p50: Option<f64>,
    pub blocks_per_s: f64,
    pub tx_per_s: f64,
    pub records_per_s: f64,
    /// Of the agreement itself.
    pub messages_per_block: Option<f64>,
    /// Of the agreement itself.
    pub bytes_per_block: Option<f64>,
    /// With the spreading of transactions and of log roots' signatures.
    pub all_messages_per_block: Option<f64>,
    /// With the spreading of transactions and of log roots' signatures.
    pub all_bytes_per_block: Option<f64>,
    pub channels: BTreeMap<&'static str, PerBlock>,
    pub cpu_ms_per_block: Option<f64>,
    pub cpu_us_per_transaction: Option<f64>,
    pub cpu_us_per_record: Option<f64>,
    /// Of one core, at each node on average.
    pub cpu_percent_per_node: f64,
    /// Part of the processor time that puzzles stand for that were simulated.
    pub cpu_s_puzzles: f64,
    pub cpu_s: f64,
    pub energy_mj_per_block: Option<f64>,
    pub energy_mj_per_transaction: Option<f64>,
    pub energy_uj_per_record: Option<f64>,
    pub energy_j: f64,
    pub view_changes: u64,
    pub forks: u64,
    pub conflicting_finals: u64,
    pub hashes: u64,
    pub transactions: u64,
    pub blocks: u64,
    pub submitted: u64,
    pub refused: u64,
    pub unfinished: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_ms: Option<RecoveryMs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Step>,
    #[serde(skip)]
    pub mean_link_ms: Option<f64>,
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

impl Row {
    /// The figures of a measurement.
    pub fn new(name: &str, measured: &Measured, model: &EnergyModel) -> Self {
        let agreement = measured.agreement();
        let all = measured.all_sent();
        let (cpu_s, energy_j) = (measured.cpu_s(), measured.energy_j(model));
        let per_block = |what: f64| finite(measured.per_block(what));
        let per_transaction = |what: f64| finite(measured.per_transaction(what));
        let per_record = |what: f64| finite(measured.per_record(what));
        let channels = CHANNELS.iter().zip(&measured.sent).map(|(channel, sent)| {
            let messages = per_block(sent.messages as f64);
            (*channel, PerBlock { messages, bytes: per_block(sent.bytes as f64) })
        });
        let nodes = measured.authorities as f64;
        Row {
            name: name.to_owned(),
            authorities: measured.authorities,
            committee: measured.committee,
            epoch: measured.epoch,
            latency_ms: Latency::from(measured.latency),
            latency_link_delays_p50: measured.link_delays_p50(&measured.latency),
            finality_ms: Latency::from(measured.finality),
            finality_link_delays_p50: measured.link_delays_p50(&measured.finality),
            blocks_per_s: measured.blocks as f64 / measured.window_s,
            tx_per_s: measured.transactions as f64 / measured.window_s,
            records_per_s: measured.records as f64 / measured.window_s,
            messages_per_block: per_block(agreement.messages as f64),
            bytes_per_block: per_block(agreement.bytes as f64),
            all_messages_per_block: per_block(all.messages as f64),
            all_bytes_per_block: per_block(all.bytes as f64),
            channels: channels.collect(),
            cpu_ms_per_block: per_block(cpu_s * 1e3),
            cpu_us_per_transaction: per_transaction(cpu_s * 1e6),
            cpu_us_per_record: per_record(cpu_s * 1e6),
            cpu_percent_per_node: cpu_s / measured.window_s / nodes * 100.0,
            cpu_s_puzzles: measured.puzzle_cpu_s,
            cpu_s,
            energy_mj_per_block: per_block(energy_j * 1e3),
            energy_mj_per_transaction: per_transaction(energy_j * 1e3),
            energy_uj_per_record: per_record(energy_j * 1e6),
            energy_j,
            view_changes: measured.view_changes,
            forks: measured.forks,
            conflicting_finals: measured.conflicting_finals,
            hashes: measured.hashes,
            transactions: measured.transactions,
            blocks: measured.blocks,
            submitted: measured.submitted,
            refused: measured.refused,
            unfinished: measured.unfinished,
            recovery_ms: measured
                .recovery
                .map(|recovery| RecoveryMs { first: recovery.first.map(ms), all: recovery.all.map(ms) }),
            reads_per_s: measured.reads_per_s,
            timeline: measured
                .timeline
                .iter()
                .map(|moment| Step {
                    at_s: moment.at_s,
                    transactions: moment.transactions,
                    latency_ms: moment.latency_ms,
                    energy_j: model.joules(moment.cpu_s, moment.bytes),
                })
                .collect(),
            mean_link_ms: measured.mean_link_ms,
        }
    }
}

/// One protocol's figures as parts of another's.
#[derive(Debug, Clone, Serialize)]
pub struct Ratio {
    pub of: String,
    pub to: String,
    pub latency_p50: Option<f64>,
    pub latency_mean: Option<f64>,
    pub messages_per_block: Option<f64>,
    pub cpu_per_record: Option<f64>,
    pub energy_per_record: Option<f64>,
}

impl Ratio {
    fn new(of: &Row, to: &Row) -> Self {
        let divide = |a: Option<f64>, b: Option<f64>| finite(a? / b?);
        Ratio {
            of: of.name.clone(),
            to: to.name.clone(),
            latency_p50: divide(of.latency_ms.p50, to.latency_ms.p50),
            latency_mean: divide(of.latency_ms.mean, to.latency_ms.mean),
            messages_per_block: divide(of.messages_per_block, to.messages_per_block),
            cpu_per_record: divide(of.cpu_us_per_record, to.cpu_us_per_record),
            energy_per_record: divide(of.energy_uj_per_record, to.energy_uj_per_record),
        }
    }
}

/// Measurements along one variable.
#[derive(Debug, Clone, Serialize)]
pub struct SweepReport {
    /// What varies: `nodes`, `block`, `transactions`, `reads`.
    pub by: String,
    /// Unit of `x`.
    pub unit: &'static str,
    /// Where it ran.
    #[serde(serialize_with = "runtime_name")]
    pub runtime: Runtime,
    /// By value.
    pub points: Vec<SweepPoint>,
}

/// One value of the variable.
#[derive(Debug, Clone, Serialize)]
pub struct SweepPoint {
    /// The value.
    pub x: f64,
    /// What was measured there.
    pub protocols: Vec<Row>,
}

fn name_of(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Sim => "sim",
        Runtime::Tcp => "tcp",
    }
}

fn runtime_name<S: serde::Serializer>(runtime: &Runtime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name_of(*runtime))
}

impl Report {
    /// Puts everything together.
    pub fn new(
        machine: Machine,
        options: &BenchConsensus,
        jobs: &[Job],
        model: EnergyModel,
        protocols: Vec<Row>,
        sweeps: Vec<SweepReport>,
    ) -> Self {
        let plan = jobs.first().map(|job| &job.plan);
        let network = match options.runtime {
            Runtime::Sim => plan.map_or_else(String::new, |plan| plan.profile.name.clone()),
            Runtime::Tcp => "loopback".to_owned(),
        };
        let others = protocols.iter().skip(1);
        let ratios = protocols.first().map(|first| others.map(|other| Ratio::new(first, other)).collect());
        Report {
            machine,
            settings: Settings {
                runtime: name_of(options.runtime),
                network,
                mean_link_ms: protocols.first().and_then(|row| row.mean_link_ms),
                authorities: options.authorities,
                committee: options.committee,
                term: options.term,
                load_tps: options.load,
                arrivals: if options.arrivals == Arrivals::Poisson { "poisson" } else { "fixed" },
                records_per_transaction: plan.map_or(0, |plan| plan.records()),
                block_bytes: options.block_bytes,
                block_interval_ms: plan.map_or(0, |plan| plan.block_interval.as_millis() as u64),
                pow_interval_ms: options.pow_interval,
                epoch: options.epoch,
                fault: options.fault.to_string(),
                seconds: options.seconds,
                warm_up_s: options.warm_up,
                seed: options.seed,
            },
            energy_model: Model {
                cpu_w: model.cpu_w,
                uj_per_byte: model.j_per_byte * 1e6,
                battery_j: model.battery_j,
                sources: EnergyModel::SOURCES,
            },
            protocols,
            ratios: ratios.unwrap_or_default(),
            sweeps,
        }
    }

    /// All rows, sweeps included.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        let swept = self.sweeps.iter().flat_map(|sweep| &sweep.points).flat_map(|point| &point.protocols);
        self.protocols.iter().chain(swept)
    }

    /// For one line on a terminal.
    pub fn without_timelines(&self) -> Self {
        let mut this = self.clone();
        let swept = this.sweeps.iter_mut().flat_map(|sweep| &mut sweep.points);
        let rows = this.protocols.iter_mut().chain(swept.flat_map(|point| &mut point.protocols));
        rows.for_each(|row| row.timeline.clear());
        this
    }
}
