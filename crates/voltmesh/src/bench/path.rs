//! `voltmesh bench path`: vehicles, four fog nodes with their ledger and the cloud as processes of this machine, over TLS and
//! with every fsync, as the demo runs them; from the first sample to the last archive notice.
//!
//! Measured without the battery's twin, with it (the pack's mean and each cell's difference), and idle: one vehicle at 1 Hz.
//! The vehicles replay a table of one cell's drive as packs of 96; what that takes is part of the figures. (The demo's
//! simulated packs take some 30 µs a sample for themselves.)

mod report;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use self::report::{Idle, IdleDay, Percentiles, ROLES, Rates, Report};
use super::machine::Machine;
use crate::deploy::process::Process;
use crate::deploy::{EdgePlan, Pace, Recording, Site, Size, Tuning, TwinPlan, edge_name, run_with_processes};
use crate::output;
use crate::usage::{Usage, folder_mb};
use crate::{Outcome, args};
use anyhow::{Context as _, Result, ensure};

/// Fog nodes: the fewest that tolerate one fault.
const FOGS: usize = 4;

/// Blocks in an epoch of the ledger: none ends while something is measured.
const EPOCH_LENGTH: u64 = 100_000;

/// Between two looks at the processes.
const LOOK: Duration = Duration::from_millis(50);

/// Longest time in which nothing more is archived.
const PATIENCE: Duration = Duration::from_secs(120);

/// The defaults of a vehicle's configuration.
const DEFAULT: Tuning = Tuning::DEFAULT;

/// Rows of the table that is replayed again and again: the longest cycle's 30 minutes at 1 Hz.
const ROWS: usize = 1_800;

/// Cells in series of the packs that are made of it.
const SERIES: u16 = 96;

/// Runs the command.
pub fn run(options: &args::BenchPath) -> Result<Outcome> {
    ensure!(
        options.rate.is_none_or(|rate| rate > 0.0 && rate <= 10_000.0),
        "--rate wants more than 0 and at most 10000"
    );
    let machine = Machine::this();
    if !options.json {
        output::line(machine.line());
    }
    let report = run_with_processes(measure(options, machine))?;
    if options.json {
        output::json(&report)?;
    } else {
        report.print();
    }
    Ok(Outcome::Done)
}

async fn measure(options: &args::BenchPath, machine: Machine) -> Result<Report> {
    let temporary = tempfile::Builder::new().prefix("voltmesh-bench-").tempdir()?;
    let dir = options.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let tuned = Tuning { batch_records: options.batch.into(), batch_age_ms: 1_000, ..DEFAULT };
    let plain = Tuning { twin: TwinPlan::Off, ..tuned };
    let path = loaded(&dir.join("path"), options, options.records, plain).await?;
    let twin = Tuning { twin: TwinPlan::BarDelta, ..tuned };
    let with_twin = loaded(&dir.join("twin"), options, options.twin_records, twin).await?;
    let idle = match options.idle {
        0 => None,
        seconds => Some(idle(&dir.join("idle"), Duration::from_secs(seconds)).await?),
    };
    let hour = idle.map(|(idle, measured)| idle.times(3_600.0 / measured.as_secs_f64()));
    Ok(Report {
        machine,
        vehicles: options.vehicles,
        batch: options.batch,
        records: path.records,
        twin_records: with_twin.records,
        records_per_s: Rates { path: path.per_s(), with_twin: with_twin.per_s() },
        cpu_us_per_record: path.cpu_us(),
        cpu_us_per_record_with_twin: with_twin.cpu_us(),
        rss_mb: path.peak_mb,
        archive_mb_per_million: path.archive_mb * 1e6 / path.records as f64,
        commit_ms: path.commit_ms,
        idle_hour: hour,
        idle_day: idle.zip(hour).map(|((_, measured), hour)| IdleDay {
            day: hour.times(24.0),
            extrapolated: true,
            measured_s: measured.as_secs_f64(),
        }),
    })
}

/// What a load took.
struct Load {
    records: u64,
    seconds: f64,
    cpu_s: BTreeMap<&'static str, f64>,
    peak_mb: BTreeMap<&'static str, f64>,
    commit_ms: Percentiles,
    archive_mb: f64,
}

impl Load {
    fn per_s(&self) -> f64 {
        self.records as f64 / self.seconds
    }

    fn cpu_us(&self) -> BTreeMap<&'static str, f64> {
        self.cpu_s.iter().map(|(role, seconds)| (*role, seconds * 1e6 / self.records as f64)).collect()
    }
}

/// Runs vehicles until all their records are archived.
async fn loaded(dir: &Path, options: &args::BenchPath, records: u64, tuning: Tuning) -> Result<Load> {
    let vehicles = usize::from(options.vehicles);
    let each = records.div_ceil(vehicles as u64);
    let pace = options.rate.map_or(Pace::Unlimited, |hz| Pace::Rate { hz });
    let mut bench = Bench::start(dir, vehicles, each, pace, tuning).await?;
    let before = bench.usage();
    let begun = Instant::now();
    for edge in &mut bench.edges {
        edge.start()?;
    }
    let (mut usage, mut progress) = (before.clone(), (0, Instant::now()));
    while !bench.ended()? {
        usage.extend(bench.usage());
        let archived = bench.archived().await.unwrap_or(progress.0);
        if archived > progress.0 {
            progress = (archived, Instant::now());
        }
        ensure!(
            progress.1.elapsed() < PATIENCE,
            "nothing more is archived for {PATIENCE:?}, {archived} records are; {}",
            bench.site.last_words()
        );
        tokio::time::sleep(LOOK).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    usage.extend(bench.usage());
    let cloud = bench.site.cloud.as_ref().context("a deployment with a cloud")?;
    let status = cloud.status(&bench.site.http).await.context("the cloud does not answer")?;
    let records = each * vehicles as u64;
    ensure!(
        status.counter("archived_records") == records,
        "{} records are archived of {records}: `voltmesh demo` says which",
        status.counter("archived_records")
    );
    let commit = status.latencies.get("commit").copied().unwrap_or_default();
    let archive_mb = folder_mb(&bench.site.archive()?)?;
    bench.stop().await;
    let (mut cpu_s, mut peak_mb) = (BTreeMap::new(), BTreeMap::new());
    for role in ROLES {
        let of_role = usage.iter().filter(|(name, _)| name.starts_with(role));
        let used =
            of_role.clone().map(|(name, now)| now.cpu_s - before.get(name).map_or(0.0, |then| then.cpu_s));
        cpu_s.insert(role, used.sum());
        peak_mb.insert(role, of_role.map(|(_, now)| now.peak_mb).fold(0.0, f64::max));
    }
    let ms = |us: u64| us as f64 / 1000.0;
    let commit_ms = Percentiles { p50: ms(commit.p50_us), p99: ms(commit.p99_us) };
    Ok(Load { records, seconds, cpu_s, peak_mb, commit_ms, archive_mb })
}

/// Watches one vehicle at 1 Hz, configured by default, for so long; the first third, in which everything fills what it keeps
/// anyway, is not counted. Returns the growth, and over how long.
async fn idle(dir: &Path, time: Duration) -> Result<(Idle, Duration)> {
    let samples = 2 * time.as_secs();
    let mut bench = Bench::start(dir, 1, samples, Pace::Rate { hz: 1.0 }, DEFAULT).await?;
    for edge in &mut bench.edges {
        edge.start()?;
    }
    tokio::time::sleep(time / 3).await;
    let (before, begun) = (bench.held()?, Instant::now());
    tokio::time::sleep(time - time / 3).await;
    let (after, took) = (bench.held()?, begun.elapsed());
    ensure!(
        !bench.ended()? && bench.archived().await.is_some_and(|count| count > 0),
        "the vehicle's records are not archived"
    );
    bench.stop().await;
    let growth = Idle {
        cloud_mb: after.cloud_mb - before.cloud_mb,
        cloud_cpu_s: after.cloud_cpu_s - before.cloud_cpu_s,
        fog_mb: after
            .fog_mb
            .iter()
            .zip(&before.fog_mb)
            .map(|(now, then)| now - then)
            .fold(f64::NEG_INFINITY, f64::max),
        rss_growth_mb: after.rss_mb - before.rss_mb,
    };
    Ok((growth, took))
}

/// What an idle deployment holds.
struct HeldNow {
    cloud_mb: f64,
    cloud_cpu_s: f64,
    fog_mb: Vec<f64>,
    rss_mb: f64,
}

/// A deployment under measurement.
struct Bench {
    site: Site,
    edges: Vec<Process>,
}

impl Bench {
    /// Starts fog nodes and cloud; the vehicles wait.
    async fn start(dir: &Path, vehicles: usize, samples: u64, pace: Pace, tuning: Tuning) -> Result<Self> {
        let election = Default::default();
        let size = Size { fogs: FOGS, vehicles, cloud: true, epoch_length: EPOCH_LENGTH, election };
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let table = dir.canonicalize()?.join("drive.csv");
        write_drive(&table)?;
        let mut site = Site::prepare(&std::env::current_exe()?, dir, size, true).await?;
        let mut edges = Vec::new();
        for n in 1..=vehicles {
            // Without the links of a demo, which would copy every byte once more: nothing is cut here.
            let fogs = (0..FOGS).map(|step| site.fog_mqtt[(n - 1 + step) % FOGS]).collect();
            let recording = Recording {
                file: Some(table.clone()),
                seed: n as u64,
                series: Some(SERIES),
                pace,
                samples: Some(samples),
            };
            let plan = EdgePlan { n, http: site.reserve_port()?, fogs, recording, tuning };
            let config = site.deployment.write_edge(&plan)?;
            edges.push(site.process(&edge_name(n), "edge", &config, plan.http));
        }
        site.start().await?;
        Ok(Bench { site, edges })
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        self.site.fogs.iter().chain(&self.site.cloud).chain(&self.edges)
    }

    /// What every process that runs has used so far.
    fn usage(&self) -> BTreeMap<String, Usage> {
        self.processes().filter_map(|one| Some((one.name.clone(), Usage::of(one.id()?)?))).collect()
    }

    /// Whether every vehicle has ended, with all its records archived.
    fn ended(&mut self) -> Result<bool> {
        let mut all = true;
        for edge in &mut self.edges {
            all &= !edge.is_up();
            ensure!(
                matches!(edge.exited, None | Some(0)),
                "{} failed; its last words: {}",
                edge.name,
                edge.last_words()
            );
        }
        for process in self.site.fogs.iter_mut().chain(&mut self.site.cloud) {
            ensure!(process.is_up(), "{} has ended; its last words: {}", process.name, process.last_words());
        }
        Ok(all)
    }

    async fn archived(&self) -> Option<u64> {
        Some(self.site.cloud.as_ref()?.status(&self.site.http).await?.counter("archived_records"))
    }

    fn held(&self) -> Result<HeldNow> {
        let folder = |name: &str| folder_mb(&self.site.deployment.node_dir(name)?);
        let cloud = self.usage().get("cloud").copied().context("the cloud does not run")?;
        Ok(HeldNow {
            cloud_mb: folder("cloud")?,
            cloud_cpu_s: cloud.cpu_s,
            fog_mb: self.site.fogs.iter().map(|fog| folder(&fog.name)).collect::<Result<_>>()?,
            rss_mb: cloud.rss_mb,
        })
    }

    async fn stop(&mut self) {
        for edge in &mut self.edges {
            let _ = edge.kill().await;
        }
        self.site.stop().await;
    }
}

/// Writes one cell's drive as a table that the replay knows.
fn write_drive(path: &Path) -> Result<()> {
    let mut text = String::from("time_s,voltage_v,current_a,cell_temp_c\n");
    for (second, record) in super::drive::records(ROWS)?.iter().enumerate() {
        let sample = &record.sample;
        let cell = sample.cells.first().and_then(|cell| cell.to_base().ok());
        let temperature = sample.temperatures.first().and_then(|value| value.to_base().ok());
        let (cell, temperature) =
            cell.zip(temperature).context("a drive without a cell's voltage and temperature")?;
        let current = sample.pack_current.to_base().ok().context("a drive without current")?;
        writeln!(text, "{second},{cell:.3},{current:.3},{temperature:.2}")?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
