//! From the command line to measurements.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use voltmesh_consensus::harness::{Fault, Load, MAX_PROFILE_BYTES, Plan, Profile, Protocol};

use crate::args::{Arrivals, BenchConsensus, Runtime, Sweep};

/// Numbers of nodes of `--sweep nodes`.
const NODES: [usize; 5] = [4, 7, 10, 20, 50];

/// Sizes of blocks of `--sweep block`, in bytes. Twenty simulated disks and their queues are in memory: 256 KiB took 24 GB.
const BLOCKS: [usize; 5] = [8 << 10, 16 << 10, 32 << 10, 48 << 10, 64 << 10];

/// Blocks of an epoch of `--sweep block`: two must end within the warm-up, for leaders are elected then.
const BLOCK_EPOCH: u64 = 20;

/// Batches in an anchor of `--sweep block`: 16 anchors of 4 KiB are an authority's share of a block.
const BLOCK_BATCHES: usize = 128;

/// Bytes of such an anchor.
const BLOCK_ANCHOR: usize = 32 * BLOCK_BATCHES + 150;

/// Loads of `--sweep transactions` and `reads`, as parts of `--load`.
const LOADS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];

/// Blocks of proof of work that a measurement sees at least.
const POW_BLOCKS: u32 = 15;

/// What takes part: an agreement, and among whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contestant {
    protocol: Protocol,
    /// Whether only the committee votes.
    committee: bool,
}

impl FromStr for Contestant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "poa" => Ok(Self { protocol: Protocol::Poa, committee: true }),
            "pbft-committee" => Ok(Self { protocol: Protocol::Pbft, committee: true }),
            other => match other.parse() {
                Ok(protocol) => Ok(Self { protocol, committee: false }),
                Err(_) => Err(format!("`{other}` is no protocol; write poa, pbft, pbft-committee or pow")),
            },
        }
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Pbft if self.committee => f.write_str("pbft-committee"),
            protocol => write!(f, "{protocol}"),
        }
    }
}

/// A measurement.
#[derive(Debug, Clone)]
pub struct Job {
    /// Of the row.
    pub name: String,
    /// For the progress bar.
    pub label: String,
    /// Where it runs.
    pub runtime: Runtime,
    /// What is measured.
    pub plan: Plan,
}

/// Measurements along one variable.
#[derive(Debug, Clone)]
pub struct Series {
    /// What varies.
    pub by: String,
    /// Its unit.
    pub unit: &'static str,
    /// Where it runs.
    pub runtime: Runtime,
    /// By value.
    pub points: Vec<(f64, Vec<Job>)>,
}

/// The measurements that were asked for.
pub fn main(options: &BenchConsensus) -> Result<Vec<Job>> {
    ensure!(!options.protocols.is_empty(), "--protocols is empty");
    if let Some(k) = options.committee {
        ensure!((4..=options.authorities).contains(&k), "--committee wants 4 to {}", options.authorities);
    }
    if options.runtime == Runtime::Tcp {
        ensure!(
            options.network.is_none(),
            "--network is for --runtime sim: on sockets, links are this machine's"
        );
    }
    contestants(options, |_, plan| plan)
}

/// What `--sweep` adds.
pub fn sweeps(options: &BenchConsensus) -> Result<Vec<Series>> {
    let mut kinds = options.sweep.clone();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.into_iter().map(|kind| sweep(options, kind)).collect()
}

fn sweep(options: &BenchConsensus, kind: Sweep) -> Result<Series> {
    // A third as long; and what goes wrong is the main measurement's.
    let third = Duration::from_secs((options.seconds / 3).max(3));
    let shorter = |plan: Plan| Plan {
        window: longer_for_work(&plan, third),
        warm_up: plan.warm_up.min(third),
        fault: Fault::None,
        ..plan
    };
    let series = |by: &str, unit, runtime, points| Series { by: by.to_owned(), unit, runtime, points };
    Ok(match kind {
        Sweep::Nodes => {
            let point = |n: usize| {
                let jobs = contestants(options, |_, plan| Plan {
                    authorities: n,
                    committee: plan.committee.filter(|k| *k < n),
                    ..shorter(plan)
                });
                Ok((n as f64, jobs?))
            };
            let points = NODES.into_iter().map(point).collect::<Result<_>>()?;
            series("nodes", "nodes", options.runtime, points)
        }
        Sweep::Block => {
            let point = |bytes: usize| {
                let jobs = contestants(options, |_, plan| {
                    let plan = shorter(plan);
                    // Blocks of four heights may be under way, and one more waits.
                    let waiting = (5 * bytes / BLOCK_ANCHOR).div_ceil(plan.authorities) + 1;
                    let window = longer_for_work(&plan, third.min(Duration::from_secs(2)));
                    let warm_up = plan.warm_up.min(Duration::from_secs(4));
                    let load = Load::Saturating(waiting);
                    let epoch_length = plan.epoch_length.min(BLOCK_EPOCH);
                    Plan {
                        block_bytes: bytes,
                        batches: BLOCK_BATCHES,
                        load,
                        window,
                        warm_up,
                        epoch_length,
                        ..plan
                    }
                });
                Ok((bytes as f64 / 1_024.0, jobs?))
            };
            let points = BLOCKS.into_iter().map(point).collect::<Result<_>>()?;
            series("block", "KiB", options.runtime, points)
        }
        Sweep::Transactions | Sweep::Reads => {
            let (by, runtime, readers) = match kind {
                Sweep::Reads => ("reads", Runtime::Tcp, 1),
                _ => ("transactions", options.runtime, 0),
            };
            let point = |part: f64| {
                let jobs = contestants(options, |_, plan| {
                    let block_interval = interval(options, runtime);
                    Plan { load: load(options, part), readers, block_interval, ..shorter(plan) }
                });
                let jobs = jobs?.into_iter().map(|job| Job { runtime, ..job }).collect();
                Ok((options.load * part, jobs))
            };
            let points = LOADS.into_iter().map(point).collect::<Result<_>>()?;
            series(by, "transactions/s", runtime, points)
        }
    })
}

/// A measurement of each contestant, after `change`.
fn contestants(options: &BenchConsensus, change: impl Fn(&Contestant, Plan) -> Plan) -> Result<Vec<Job>> {
    let profile = profile(options.network.as_deref().unwrap_or("wan"))?;
    let jobs = options.protocols.iter().map(|contestant| {
        let plan = Plan {
            authorities: options.authorities,
            committee: options.committee.filter(|_| contestant.committee),
            profile: profile.clone(),
            load: load(options, 1.0),
            batches: options.batches,
            block_bytes: options.block_bytes,
            block_interval: interval(options, options.runtime),
            epoch_length: options.epoch,
            term_length: options.term,
            fault: options.fault,
            warm_up: Duration::from_secs(options.warm_up),
            window: Duration::from_secs(options.seconds),
            seed: options.seed,
            pow_interval: Duration::from_millis(options.pow_interval),
            ..Plan::new(contestant.protocol)
        };
        let plan = change(contestant, plan);
        let label = format!("{contestant} among {}", plan.authorities);
        Job { name: contestant.to_string(), label, runtime: options.runtime, plan }
    });
    Ok(jobs.collect())
}

fn longer_for_work(plan: &Plan, window: Duration) -> Duration {
    if plan.protocol == Protocol::Pow { window.max(POW_BLOCKS * plan.pow_interval) } else { window }
}

fn load(options: &BenchConsensus, part: f64) -> Load {
    match options.arrivals {
        Arrivals::Poisson => Load::Poisson(options.load * part),
        Arrivals::Fixed => Load::Fixed(options.load * part),
    }
}

/// In virtual time an agreement shows how fast it is; on one machine's cores, twenty nodes without a pause would only show
/// how busy it is.
fn interval(options: &BenchConsensus, runtime: Runtime) -> Duration {
    let default = if runtime == Runtime::Sim { 0 } else { 100 };
    Duration::from_millis(options.block_interval.unwrap_or(default))
}

/// A network by its name, or from a file.
fn profile(network: &str) -> Result<Profile> {
    if let Some(profile) = Profile::named(network) {
        return Ok(profile);
    }
    let path = Path::new(network);
    let size = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) => {
            return Err(error).with_context(|| format!("`{network}` is not lan, wan or rsu, and no file"));
        }
    };
    if size > MAX_PROFILE_BYTES as u64 {
        bail!("{network} has {size} bytes, a profile at most {MAX_PROFILE_BYTES}");
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {network}"))?;
    Profile::from_toml(&text).map_err(|why| anyhow::anyhow!("{network}: {why}"))
}
