//! `voltmesh bench soak`: a site of real processes with the product's default waits, of which memory, processor time and
//! disk are written down every ten seconds. What is flat here stays flat.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::machine::Machine;
use super::usage::{Usage, folder_mb};
use crate::Outcome;
use crate::args::BenchSoak;
use crate::deploy::process::Process;
use crate::deploy::{EdgePlan, Pace, Recording, Site, Size, Tuning, edge_name, free_ports, local};
use crate::output::{self, row};
use crate::plot::{self, Axis};

/// Fog nodes: the fewest that tolerate one fault.
const FOGS: usize = 4;
/// Between two samples.
const EVERY: Duration = Duration::from_secs(10);
/// Growth is counted from this part of the run on: before, caches fill.
const WARM_PART: f64 = 0.5;

/// One role at one moment; of several fog nodes or vehicles the mean.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Use {
    rss_mb: f64,
    /// Processor time since the start of the process, in seconds.
    cpu_s: f64,
    disk_mb: f64,
}

#[derive(Debug, Clone, Serialize)]
struct Sample {
    minute: f64,
    cloud: Use,
    fog: Use,
    edge: Use,
}

/// What one role takes, from the second half of the run.
#[derive(Debug, Clone, Copy, Serialize)]
struct Cost {
    rss_mb: f64,
    rss_growth_mb_per_hour: f64,
    cpu_s_per_minute: f64,
    disk_mb_per_day: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    vehicles: usize,
    hz: f64,
    minutes: f64,
    cloud: Cost,
    fog: Cost,
    edge: Cost,
    samples: Vec<Sample>,
}

/// Runs the command.
pub fn run(options: BenchSoak) -> Result<Outcome> {
    let machine = Machine::this();
    let temporary = tempfile::Builder::new().prefix("voltmesh-soak-").tempdir()?;
    let dir = options.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let samples = runtime.block_on(measure(&options, &dir))?;
    let report = Report {
        machine,
        vehicles: options.vehicles,
        hz: options.hz,
        minutes: options.minutes,
        cloud: cost(&samples, |sample| sample.cloud)?,
        fog: cost(&samples, |sample| sample.fog)?,
        edge: cost(&samples, |sample| sample.edge)?,
        samples,
    };
    if let Some(folder) = &options.output {
        draw(folder, &report)?;
    }
    if options.json {
        output::json(&report)?;
        return Ok(Outcome::Done);
    }
    output::line(report.machine.line());
    let rows: Vec<_> = [("cloud", report.cloud), ("a fog node", report.fog), ("a vehicle", report.edge)]
        .iter()
        .flat_map(|(name, cost)| {
            [
                row(
                    &format!("{name}: memory, MB, growth an hour"),
                    pair(cost.rss_mb, cost.rss_growth_mb_per_hour),
                ),
                row(&format!("{name}: processor time, s a minute"), format!("{:.2}", cost.cpu_s_per_minute)),
                row(&format!("{name}: disk, MB a day at this pace"), format!("{:.1}", cost.disk_mb_per_day)),
            ]
        })
        .collect();
    output::table(&["second half of the run", "figure"], &rows);
    Ok(Outcome::Done)
}

fn pair(level: f64, growth: f64) -> String {
    format!("{level:.1}, {growth:+.1}")
}

/// The second half of the run: its last level, and how it changed from the half's beginning to its end.
fn cost(samples: &[Sample], of: impl Fn(&Sample) -> Use) -> Result<Cost> {
    let begin = (samples.len() as f64 * WARM_PART) as usize;
    let (first, last) = (samples.get(begin).context("no sample")?, samples.last().context("no sample")?);
    let minutes = last.minute - first.minute;
    ensure!(minutes > 0.0, "a run of {:.1} minutes is too short to say anything", last.minute);
    let (first, last) = (of(first), of(last));
    Ok(Cost {
        rss_mb: last.rss_mb,
        rss_growth_mb_per_hour: (last.rss_mb - first.rss_mb) / minutes * 60.0,
        cpu_s_per_minute: (last.cpu_s - first.cpu_s) / minutes,
        disk_mb_per_day: (last.disk_mb - first.disk_mb) / minutes * 1440.0,
    })
}

async fn measure(options: &BenchSoak, dir: &Path) -> Result<Vec<Sample>> {
    let election = Default::default();
    let size = Size { fogs: FOGS, vehicles: options.vehicles, cloud: true, epoch_length: 100_000, election };
    let mut site = Site::prepare(&std::env::current_exe()?, dir, size, true).await?;
    let cloud = site.deployment.node_dir("cloud")?;
    without(&cloud.join("cloud.toml"), &["commit"])?;
    site.start().await?;
    let mut edges = Vec::new();
    for (n, port) in (1..=options.vehicles).zip(free_ports(options.vehicles)?) {
        let pace = Pace::Rate { hz: options.hz };
        let recording = Recording { file: None, seed: n as u64, series: None, pace, samples: Some(0) };
        let plan = EdgePlan {
            n,
            http: local(port),
            fogs: site.fog_mqtt.clone(),
            recording,
            tuning: Tuning::DEFAULT,
        };
        let config = site.deployment.write_edge(&plan)?;
        let mut edge = site.process(&edge_name(n), "edge", &config, local(port));
        edge.start()?;
        edges.push(edge);
    }
    let begun = Instant::now();
    let end = Duration::from_secs_f64(options.minutes * 60.0);
    let mut samples = Vec::new();
    while begun.elapsed() < end {
        tokio::time::sleep(EVERY.min(end.saturating_sub(begun.elapsed()))).await;
        let cloud = site.cloud.as_mut().context("there is a cloud")?;
        let sample = Sample {
            minute: begun.elapsed().as_secs_f64() / 60.0,
            cloud: mean(std::slice::from_mut(cloud), dir, "archive")?,
            fog: mean(&mut site.fogs, dir, "data")?,
            edge: mean(&mut edges, dir, "data")?,
        };
        samples.push(sample);
    }
    for edge in &mut edges {
        edge.kill().await?;
    }
    site.stop().await;
    Ok(samples)
}

/// Takes tables out of a configuration, so that their defaults hold: a demonstration's waits are short.
fn without(path: &Path, tables: &[&str]) -> Result<()> {
    let mut config: toml::Table = fs::read_to_string(path)?.parse()?;
    config.retain(|name, _| !tables.contains(&name));
    fs::write(path, config.to_string()).with_context(|| path.display().to_string())
}

/// The mean of what these processes use, with the files in their folder `data`; an error if one does not run.
fn mean(processes: &mut [Process], dir: &Path, data: &str) -> Result<Use> {
    let mut sum = Use::default();
    let count = processes.len() as f64;
    for process in processes {
        let usage = process.id().and_then(Usage::of);
        let usage = usage.with_context(|| format!("{} has ended; {}", process.name, process.last_words()))?;
        sum.rss_mb += usage.rss_mb / count;
        sum.cpu_s += usage.cpu_s / count;
        sum.disk_mb += folder_mb(&dir.join(&process.name).join(data))? / count;
    }
    Ok(sum)
}

fn draw(folder: &Path, report: &Report) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let line = |name: &str, of: fn(&Sample) -> f64| {
        (name.to_owned(), report.samples.iter().map(|sample| (sample.minute, of(sample))).collect())
    };
    let minutes = Axis { label: "minutes", log: false };
    let who = format!("{} vehicle(s) at {} Hz", report.vehicles, report.hz);
    plot::lines(
        &folder.join("soak-memory.svg"),
        &format!("Resident memory, {who}"),
        minutes,
        Axis { label: "MB", log: false },
        &[
            line("cloud", |sample| sample.cloud.rss_mb),
            line("a fog node", |sample| sample.fog.rss_mb),
            line("a vehicle", |sample| sample.edge.rss_mb),
        ],
    )?;
    plot::lines(
        &folder.join("soak-cpu.svg"),
        &format!("Processor time, {who}"),
        minutes,
        Axis { label: "s since the start", log: false },
        &[
            line("cloud", |sample| sample.cloud.cpu_s),
            line("a fog node", |sample| sample.fog.cpu_s),
            line("a vehicle", |sample| sample.edge.cpu_s),
        ],
    )?;
    plot::lines(
        &folder.join("soak-disk.svg"),
        &format!("Disk, {who}"),
        minutes,
        Axis { label: "MB", log: false },
        &[
            line("cloud", |sample| sample.cloud.disk_mb),
            line("a fog node", |sample| sample.fog.disk_mb),
            line("a vehicle", |sample| sample.edge.disk_mb),
        ],
    )
}
