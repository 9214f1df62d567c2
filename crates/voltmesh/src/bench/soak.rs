//! `voltmesh bench soak`: a site of real processes with the product's default waits, of which memory, processor time, disk
//! and files are written down every ten seconds, as one JSON object, and with `--output` as CSV and figures. What is flat here
//! stays flat.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::machine::Machine;
use crate::Outcome;
use crate::args::BenchSoak;
use crate::deploy::process::Process;
use crate::deploy::{EdgePlan, Pace, Recording, Site, Size, Tuning, edge_name, run_with_processes};
use crate::output::{self, row};
use crate::plot::{self, Axis};
use crate::usage::{Usage, folder_mb};

/// Fog nodes: the fewest that tolerate one fault.
const FOGS: usize = 4;
/// Between two samples.
const EVERY: Duration = Duration::from_secs(10);
/// Over so many minutes processor time is averaged in figures and CSV: the kernel counts in steps of 10 ms.
const CPU_MINUTES: f64 = 1.0;
/// Growth is counted from this part of the run on: before, caches fill.
const WARM_PART: f64 = 0.5;

/// One role at one moment; of several fog nodes or vehicles the mean.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Use {
    rss_mb: f64,
    /// Processor time since the start of the process, in seconds.
    cpu_s: f64,
    disk_mb: f64,
    files: f64,
}

#[derive(Debug, Clone, Serialize)]
struct Sample {
    minute: f64,
    cloud: Use,
    fog: Use,
    edge: Use,
}

/// What one role uses, out of a sample.
type OfRole = fn(&Sample) -> Use;

/// Points of a line: minute, value.
type Points = Vec<(f64, f64)>;

/// The roles, as figures and columns call them.
const ROLES: [(&str, &str, OfRole); 3] = [
    ("cloud", "cloud", |sample| sample.cloud),
    ("a fog node", "fog", |sample| sample.fog),
    ("a vehicle", "edge", |sample| sample.edge),
];

/// What one role takes, from the second half of the run.
#[derive(Debug, Clone, Copy, Serialize)]
struct Cost {
    rss_mb: f64,
    rss_growth_mb_per_hour: f64,
    cpu_s_per_minute: f64,
    disk_mb: f64,
    disk_mb_per_day: f64,
    files: f64,
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
    let samples = run_with_processes(measure(&options, &dir))?;
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
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        draw(folder, &report)?;
        let path = folder.join("soak.csv");
        fs::write(&path, csv(&report.samples)).with_context(|| path.display().to_string())?;
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
                row(
                    &format!("{name}: disk, MB, growth a day at this pace"),
                    pair(cost.disk_mb, cost.disk_mb_per_day),
                ),
                row(&format!("{name}: files"), format!("{:.0}", cost.files)),
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
        disk_mb: last.disk_mb,
        disk_mb_per_day: (last.disk_mb - first.disk_mb) / minutes * 1440.0,
        files: last.files,
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
    for n in 1..=options.vehicles {
        let pace = Pace::Rate { hz: options.hz };
        let recording = Recording { file: None, seed: n as u64, series: None, pace, samples: Some(0) };
        let plan = EdgePlan {
            n,
            http: site.reserve_port()?,
            fogs: site.fog_mqtt.clone(),
            recording,
            tuning: Tuning::DEFAULT,
        };
        let config = site.deployment.write_edge(&plan)?;
        let mut edge = site.process(&edge_name(n), "edge", &config, plan.http);
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
        let folder = dir.join(&process.name).join(data);
        sum.disk_mb += folder_mb(&folder)? / count;
        sum.files += files(&folder) as f64 / count;
    }
    Ok(sum)
}

/// Files below a folder. What goes meanwhile does not count.
fn files(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

/// Seconds of processor time a minute at each sample, over the [`CPU_MINUTES`] before it; not before so much has passed.
fn cpu_per_minute(samples: &[Sample], of: OfRole) -> Points {
    let before = |sample: &Sample| {
        let old = samples.iter().take_while(|old| sample.minute - old.minute >= CPU_MINUTES);
        old.last().cloned()
    };
    let rate = |sample: &Sample, old: &Sample| {
        (sample.minute, (of(sample).cpu_s - of(old).cpu_s) / (sample.minute - old.minute))
    };
    samples.iter().filter_map(|sample| Some(rate(sample, &before(sample)?))).collect()
}

/// One line a sample, with a header.
fn csv(samples: &[Sample]) -> String {
    let columns = |role: &str| format!(",{role}_rss_mb,{role}_cpu_s_per_minute,{role}_disk_mb,{role}_files");
    let mut text = "minute".to_owned();
    text.extend(ROLES.iter().map(|(_, role, _)| columns(role)));
    text.push('\n');
    let rates = ROLES.map(|(_, _, of)| cpu_per_minute(samples, of));
    for sample in samples {
        text.push_str(&format!("{:.3}", sample.minute));
        for ((_, _, of), rates) in ROLES.iter().zip(&rates) {
            let used = of(sample);
            let rate = rates.iter().find(|(minute, _)| *minute == sample.minute);
            let rate = rate.map_or(String::new(), |(_, rate)| format!("{rate:.3}"));
            text.push_str(&format!(",{:.2},{rate},{:.3},{:.1}", used.rss_mb, used.disk_mb, used.files));
        }
        text.push('\n');
    }
    text
}

fn draw(folder: &Path, report: &Report) -> Result<()> {
    let who = format!("{} vehicle(s) at {} Hz", report.vehicles, report.hz);
    let figure = |file: &str, title: &str, unit: &str, of: &dyn Fn(OfRole) -> Points| {
        let lines = ROLES.map(|(name, _, role)| (name.to_owned(), of(role)));
        if lines.iter().all(|(_, points)| points.is_empty()) {
            return Ok(());
        }
        let (x, y) = (Axis { label: "minutes", log: false }, Axis { label: unit, log: false });
        plot::lines(&folder.join(file), &format!("{title}, {who}"), x, y, &lines)
    };
    let level = |role: OfRole, value: fn(Use) -> f64| -> Points {
        report.samples.iter().map(|sample| (sample.minute, value(role(sample)))).collect()
    };
    figure("soak-memory.svg", "Resident memory", "MB", &|role| level(role, |used| used.rss_mb))?;
    figure("soak-cpu.svg", "Processor time", "s a minute", &|role| cpu_per_minute(&report.samples, role))?;
    figure("soak-disk.svg", "Disk", "MB", &|role| level(role, |used| used.disk_mb))?;
    figure("soak-files.svg", "Files", "files", &|role| level(role, |used| used.files))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(minute: f64, cpu_s: f64) -> Sample {
        let cloud = Use { rss_mb: 70.0, cpu_s, disk_mb: 1.5, files: 12.0 };
        Sample { minute, cloud, fog: Use::default(), edge: Use::default() }
    }

    #[test]
    fn processor_time_is_a_rate_of_the_minute_before() {
        let samples = [sample(0.5, 1.0), sample(1.0, 2.0), sample(1.5, 4.0), sample(2.0, 5.0)];
        assert_eq!(cpu_per_minute(&samples, |sample| sample.cloud), [(1.5, 3.0), (2.0, 3.0)]);
        let csv = csv(&samples);
        let lines: Vec<_> = csv.lines().collect();
        assert!(
            lines[0].starts_with("minute,cloud_rss_mb,cloud_cpu_s_per_minute,cloud_disk_mb,cloud_files,fog_")
        );
        assert!(lines[1].starts_with("0.500,70.00,,1.500,12.0,"), "{}", lines[1]);
        assert!(lines[3].starts_with("1.500,70.00,3.000,1.500,12.0,"), "{}", lines[3]);
    }

    #[test]
    fn figures_and_table_are_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let samples = vec![sample(0.5, 1.0), sample(1.0, 2.0), sample(1.5, 4.0), sample(2.0, 5.0)];
        let cost = |of: OfRole| cost(&samples, of).expect("long enough");
        let report = Report {
            machine: Machine::this(),
            vehicles: 1,
            hz: 1.0,
            minutes: 2.0,
            cloud: cost(|sample| sample.cloud),
            fog: cost(|sample| sample.fog),
            edge: cost(|sample| sample.edge),
            samples: samples.clone(),
        };
        draw(folder.path(), &report).expect("drawn");
        assert_eq!(files(folder.path()), 4);
    }
}
