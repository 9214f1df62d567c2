//! `voltmesh bench archive`: what a fleet's archive costs over hours or days, in minutes.
//!
//! The product's own `Archivist` and `Archive` work on a real folder, fsync included, with the cloud's default
//! configuration; only the clock is simulated. Vehicles drive the built-in cycle, each with a pack of its own, and sign
//! batches; a test ledger of four authorities anchors those of 100 ms in one block. The simulated time ends now, so that
//! what expires by the clock of the disk or of the log expires as it would in reality.
//!
//! Processor time is that of checking and archiving; making the batches is not counted. Not in it: MQTT, TLS and the HTTP
//! interface.

mod report;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use commonware_cryptography::Signer as _;
use hdrhistogram::Histogram;
use voltmesh_cloud::{
    Answer, Archive, Archivist, Config, Input, Location, Output, Question, Reader, Token,
    delta::{BLOCKING_THREADS, TableSize},
};
use voltmesh_consensus::harness::CpuClock;
use voltmesh_control::{Envelope, Opening};
use voltmesh_edge::sources::{Cursor, Cycle, Sim, SimConfig, Source as _};
use voltmesh_ledger::{
    Anchor, MAX_ACTIONS, MAX_BATCHES_PER_ANCHOR, Transaction,
    testing::{Chain, Network, Vehicle},
};
use voltmesh_telemetry::{
    BatchId, Boot, Record, RecordNumber, SealedBatch, Secret, Signer, Timestamp, batch::Place, seal,
};

use self::report::{Column, Disk, Moment, Percentiles, Report, print};
use super::machine::Machine;
use crate::Outcome;
use crate::args::BenchArchive;
use crate::output;
use crate::usage::Usage;

/// Fog nodes, among which vehicles are spread.
const FOGS: usize = 4;
/// Batches of so long are anchored in one block.
const BLOCK_MS: u64 = 100;
/// From a batch's last sample to its envelope at the cloud.
const PATH_MS: u64 = 500;
/// Blocks in an epoch: more than there are, so that no hand-over is needed.
const EPOCH: u64 = 10_000_000;
/// Moments of the run at which memory and disk are looked at.
const MOMENTS: u64 = 24;

/// Runs the command.
pub fn run(options: BenchArchive) -> Result<Outcome> {
    let machine = Machine::this();
    let temporary = tempfile::Builder::new().prefix("voltmesh-bench-").tempdir()?;
    let dir = options.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()?;
    let report = runtime.block_on(measure(&options, &dir, machine))?;
    if options.json {
        output::json(&report)?;
    } else {
        print(&report);
    }
    let expected = report.records;
    let stored = runtime.block_on(async {
        let location = Location::existing_folder(&dir)?;
        Ok::<_, anyhow::Error>(voltmesh_cloud::open_reader(&location).await?.totals().records)
    })?;
    ensure!(
        stored == expected,
        "{expected} records were made, {stored} are in the archive at {}",
        dir.display()
    );
    Ok(Outcome::Done)
}

/// A vehicle that samples and signs.
struct Car {
    vehicle: Vehicle,
    source: Sim,
    next: u64,
    previous: Option<BatchId>,
}

impl Car {
    /// The batch of the last `count` samples, the first of them taken at `from`.
    fn batch(&mut self, count: u64, from: u64, step_ms: f64) -> Result<SealedBatch> {
        let mut records = Vec::new();
        for n in 0..count {
            let mut sample = self.source.next()?.context("the drive cycle ended early")?.sample;
            sample.time = Timestamp::from_millis(from + (n as f64 * step_ms) as u64);
            records.push(Record { number: RecordNumber::new(self.next + n), sample });
        }
        let place = Place {
            vehicle: self.vehicle.id.clone(),
            boot: Boot::new(1),
            previous: self.previous,
            signer: Signer::Vehicle,
        };
        let batch = seal(&place, &records, &Secret::new([7; 32]), &self.vehicle.key)?;
        self.next += count;
        self.previous = Some(batch.id());
        Ok(batch)
    }
}

/// Archivist and archive, driven in turn, with what they cost.
struct Cloud {
    archivist: Archivist,
    archive: Archive,
    folder: PathBuf,
    token: u64,
    check_cpu: f64,
    archive_cpu: f64,
    upkeep_cpu: f64,
    commits: u64,
    latency: Histogram<u64>,
}

impl Cloud {
    /// Handles an input and what it asks for.
    async fn handle(&mut self, now: u64, input: Input) -> Result<()> {
        let mut inputs = std::collections::VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let before = CpuClock::Process.seconds();
            let outputs = self.archivist.handle(Timestamp::from_millis(now), input);
            self.check_cpu += CpuClock::Process.seconds() - before;
            for output in outputs {
                match output {
                    Output::Commit(commit) => {
                        let (before, begun) = (CpuClock::Process.seconds(), Instant::now());
                        self.archive.commit(&commit).await?;
                        self.latency.saturating_record(begun.elapsed().as_micros() as u64);
                        let between = CpuClock::Process.seconds();
                        self.archive.compact().await?;
                        let after = CpuClock::Process.seconds();
                        self.archive_cpu += between - before;
                        self.upkeep_cpu += after - between;
                        self.commits += 1;
                        date_files(&self.folder, now)?;
                        inputs.push_back(Input::Committed { ticket: commit.ticket });
                    }
                    Output::Ask { question, about } => {
                        let answer = ask(&self.archive.reader(), about).await?;
                        inputs.push_back(Input::Answered { question, answer });
                    }
                    Output::Reject(_, refusal) => bail!("a batch was refused: {refusal}"),
                    Output::Defer(_, why) => bail!("a batch was held off: {why}"),
                    Output::Accept(_) | Output::Notice { .. } => {}
                }
            }
        }
        Ok(())
    }

    async fn deliver(&mut self, now: u64, fog: String, bytes: Bytes) -> Result<()> {
        self.token += 1;
        let token = Token(self.token);
        self.handle(now, Input::Envelope { fog, token, bytes }).await
    }

    /// Wakes the archivist as often as it asks for until `now`.
    async fn wake(&mut self, now: u64) -> Result<()> {
        while let Some(deadline) = self.archivist.deadline().filter(|at| at.as_millis() <= now) {
            self.handle(deadline.as_millis(), Input::Tick).await?;
        }
        Ok(())
    }

    fn cpu(&self) -> f64 {
        self.check_cpu + self.archive_cpu + self.upkeep_cpu
    }
}

async fn ask(reader: &Reader, about: Question) -> Result<Answer> {
    Ok(match about {
        Question::Batches { vehicle, boot, first, last } => {
            Answer::Batches(reader.batches_near(&vehicle, boot, first, last).await?)
        }
        Question::Numbers { vehicle, numbers } => {
            Answer::Numbers(reader.foreign_numbers(&vehicle, &numbers).await?)
        }
    })
}

/// Gives log files that were written since the last call the simulated time, by which they expire.
fn date_files(folder: &Path, now: u64) -> Result<()> {
    let now = UNIX_EPOCH + Duration::from_millis(now);
    for table in tables() {
        let log = folder.join(table).join("_delta_log");
        for entry in std::fs::read_dir(&log).with_context(|| log.display().to_string())? {
            let entry = entry?;
            let meta = entry.metadata()?;
            // Anything later than the simulated time has the time of the disk.
            if meta.is_file() && meta.modified()? > now {
                std::fs::File::options().append(true).open(entry.path())?.set_modified(now)?;
            }
        }
    }
    Ok(())
}

fn tables() -> [&'static str; 4] {
    use voltmesh_cloud::delta::schema::{BATCHES, COPIES, QUARANTINE, RECORDS};
    [RECORDS, BATCHES, QUARANTINE, COPIES]
}

async fn measure(options: &BenchArchive, dir: &Path, machine: Machine) -> Result<Report> {
    let begun = Instant::now();
    let mut chain = Chain::of(Network::with_epochs(FOGS as u64, EPOCH));
    let mut cars = (0..options.vehicles)
        .map(|n| {
            let config = SimConfig {
                seed: u64::from(n) + 1,
                rate_hz: options.hz.clamp(0.1, 100.0),
                soc: 40.0 + f64::from(n % 50),
                ..SimConfig::new([Cycle::Udds, Cycle::WltcClass3b, Cycle::WltcClass3a][n as usize % 3])
            };
            let source = Sim::open(config, Cursor::default(), 0)?;
            Ok(Car { vehicle: Vehicle::new(&format!("ev-{n}")), source, next: 0, previous: None })
        })
        .collect::<Result<Vec<_>>>()?;
    let commitments: Vec<_> = cars.iter().map(|car| car.vehicle.commitment()).collect();
    for part in commitments.chunks(MAX_ACTIONS) {
        chain.enrol(part);
    }
    let trust = chain.trust();
    let config = Config::parse("credentials = ''\nrevocations = ''\ntrust = ''\narchive = ''")?;
    let location = Location::folder(dir)?;
    let (archive, marks) = Archive::open(&location, config.commit.settings()).await?;
    let key = ed25519_dalek::SigningKey::from_bytes(&[42; 32]);
    let grouping = config.commit.grouping(config.mqtt.receive_maximum);
    let mut cloud = Cloud {
        archivist: Archivist::new(trust, key, grouping, &marks),
        archive,
        folder: dir.to_owned(),
        token: 0,
        check_cpu: 0.0,
        archive_cpu: 0.0,
        upkeep_cpu: 0.0,
        commits: 0,
        latency: Histogram::new_with_bounds(1, 600_000_000, 3)?,
    };

    let span_ms = (options.hours * 3_600_000.0) as u64;
    let batch_ms = (options.batch_s * 1000.0) as u64;
    let count = ((options.batch_s * options.hz).round() as u64).max(1);
    let step_ms = 1000.0 / options.hz;
    let end = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let start = end - span_ms;
    let slots = (batch_ms / BLOCK_MS).max(1);
    let mut moments = Vec::new();
    let (mut cpu, mut commits) = (0.0, 0);
    for period in 0..span_ms / batch_ms {
        for slot in 0..slots {
            let now = start + period * batch_ms + slot * BLOCK_MS;
            let of_slot = (0..options.vehicles as usize)
                .filter(|n| *n as u64 * slots / u64::from(options.vehicles) == slot);
            let batches = of_slot
                .map(|n| Ok((n, cars[n].batch(count, now.saturating_sub(batch_ms), step_ms)?)))
                .collect::<Result<Vec<_>>>()?;
            for part in batches.chunks(MAX_BATCHES_PER_ANCHOR) {
                anchor(&mut chain, &part.iter().map(|(_, batch)| batch.id()).collect::<Vec<_>>());
                let block = chain.blocks.last().context("a block was just made")?;
                for (n, batch) in part {
                    let vehicle = &cars[*n].vehicle;
                    let evidence = block.evidence(&batch.id(), &vehicle.commitment());
                    let fog = format!("fog-{}", n % FOGS);
                    let envelope = Envelope {
                        fog: fog.clone(),
                        batch: batch.wire().clone(),
                        opening: Opening { salt: vehicle.opening.salt, key: vehicle.opening.key },
                        evidence: evidence.context("the block holds the batch")?.to_bytes(),
                        received: Timestamp::from_millis(now),
                    };
                    cloud.wake(now + PATH_MS).await?;
                    cloud.deliver(now + PATH_MS, fog, envelope.encode().into()).await?;
                }
                chain.blocks.clear();
            }
        }
        if (period + 1) * batch_ms * MOMENTS / span_ms > moments.len() as u64 {
            let part = cloud.commits - commits;
            let own = Usage::own().context("what this process uses is read from /proc")?;
            moments.push(Moment {
                hours: ((period + 1) * batch_ms) as f64 / 3_600_000.0,
                records: cars.iter().map(|car| car.next).sum(),
                rss_mb: own.rss_mb,
                threads: own.threads,
                disk_mb: disks(dir, &cloud.archive.reader().sizes())?.iter().map(Disk::total_mb).sum(),
                cpu_ms_per_commit: (cloud.cpu() - cpu) * 1000.0 / part.max(1) as f64,
            });
            (cpu, commits) = (cloud.cpu(), cloud.commits);
        }
    }
    cloud.wake(end + 60_000).await?;
    let disk = disks(dir, &cloud.archive.reader().sizes())?;
    let disk_mb: f64 = disk.iter().map(Disk::total_mb).sum();
    let replaced: f64 = disk.iter().map(|disk| disk.replaced_mb).sum();
    let records: u64 = cars.iter().map(|car| car.next).sum();
    let columns = cloud.archive.reader().column_sizes().await?.into_iter().map(|size| Column {
        table: size.table,
        column: size.column,
        bytes_per_record: size.bytes as f64 / records.max(1) as f64,
    });
    let columns = columns.collect();
    let ms = |quantile| cloud.latency.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(Report {
        machine,
        vehicles: options.vehicles,
        hz: options.hz,
        hours: options.hours,
        records,
        batches: cloud.token,
        commits: cloud.commits,
        wall_s: begun.elapsed().as_secs_f64(),
        check_cpu_s: cloud.check_cpu,
        archive_cpu_s: cloud.archive_cpu,
        upkeep_cpu_s: cloud.upkeep_cpu,
        cpu_s: cloud.cpu(),
        commit_ms: Percentiles { p50: ms(0.50), p99: ms(0.99), max: ms(1.0) },
        disk,
        disk_mb,
        bytes_per_record: (disk_mb - replaced) * 1e6 / records.max(1) as f64,
        columns,
        moments,
    })
}

/// Puts the batches into the log with one block.
fn anchor(chain: &mut Chain, batches: &[BatchId]) {
    let key = chain.network.authority(0).clone();
    let sequence = chain.state.next_sequence(&key.public_key());
    let anchor = Anchor::sign(&chain.state.chain(), &key, sequence, batches.len() as u64, batches.to_vec());
    chain.push(vec![Transaction::Anchor(anchor)]);
}

/// What lies in the tables' folders.
fn disks(folder: &Path, live: &[TableSize]) -> Result<Vec<Disk>> {
    live.iter()
        .map(|size| {
            let mb = |bytes: u64| bytes as f64 / 1e6;
            let root = folder.join(size.table);
            let mut disk = Disk {
                table: size.table.to_owned(),
                files: size.files,
                data_mb: mb(size.bytes),
                ..Disk::default()
            };
            let (mut all, mut all_mb) = (0, 0.0);
            let mut folders = vec![root];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
                    let entry = entry?;
                    let meta = entry.metadata()?;
                    let (name, bytes) = (entry.file_name(), mb(meta.len()));
                    let name = name.to_string_lossy();
                    if meta.is_dir() {
                        folders.push(entry.path());
                    } else if !folder.ends_with("_delta_log") {
                        (all, all_mb) = (all + 1, all_mb + bytes);
                    } else if name.ends_with(".json") {
                        (disk.log_entries, disk.log_mb) = (disk.log_entries + 1, disk.log_mb + bytes);
                    } else {
                        (disk.checkpoints, disk.checkpoints_mb) =
                            (disk.checkpoints + 1, disk.checkpoints_mb + bytes);
                    }
                }
            }
            disk.replaced = all - disk.files;
            disk.replaced_mb = all_mb - disk.data_mb;
            Ok(disk)
        })
        .collect()
}
