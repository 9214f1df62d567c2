//! `voltmesh bench ingest`: four fog nodes as processes on this machine, one of them under load from a generator in a
//! process of its own, over real sockets, TLS and fsync.
//!
//! Three loads: JSON samples of foreign clients, acknowledged after this node's fsync; the same with a second copy on
//! another node first; signed batches, verified, stored and anchored. The JSON load is then repeated at half its rate
//! for the latency of PUBACK, while the same disk's fdatasync is measured.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use serde::Serialize;
use voltmesh_identity::{Identity, Role};

use super::generator::{self, Load};
use super::machine::Machine;
use crate::args::{GeneratorArgs, GeneratorMode};
use crate::deploy::{Site, Size, edge_name, run_with_processes};
use crate::output::{self, row};
use crate::{Outcome, args};

/// Fog nodes: the fewest that tolerate one fault.
const FOGS: usize = 4;

/// Records in a signed batch, and cells in a record's pack (the drive's 96).
const BATCH_RECORDS: usize = 4096;

/// Batches made beforehand: 8 M records.
const BATCHES: usize = 2048;

/// Time between two fdatasyncs of the probe.
const PROBE_EVERY: Duration = Duration::from_millis(20);

/// What the probe writes each time.
const PROBE_BYTES: usize = 4096;

/// Between two looks at a counter.
const LOOK: Duration = Duration::from_millis(20);

/// Longest wait for the last anchor.
const PATIENCE: Duration = Duration::from_secs(60);

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Percentiles {
    p50: f64,
    p99: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    seconds: u64,
    clients: usize,
    /// JSON samples acknowledged a second, after this node's fsync.
    publish_per_s: f64,
    /// The same, with a second copy on another fog node first.
    publish_per_s_second_copy: f64,
    /// Bytes of one JSON sample.
    sample_bytes: f64,
    /// Records in signed batches verified, stored and anchored a second.
    records_per_s: f64,
    /// The same, acknowledged.
    records_per_s_acknowledged: f64,
    /// PUBACK at half the JSON rate.
    puback_ms: Percentiles,
    /// fdatasync of 4 KiB on the same disk during that.
    fdatasync_ms: Percentiles,
}

/// Runs the command.
pub fn run(options: args::BenchIngest) -> Result<Outcome> {
    let machine = Machine::this();
    if !options.json {
        output::line(machine.line());
    }
    let report = run_with_processes(measure(&options, machine))?;
    if options.json {
        output::json(&report)?;
        return Ok(Outcome::Done);
    }
    output::table(
        &["one fog node, generator included", "figure"],
        &[
            row("JSON samples, fsync, per second", format!("{:.0}", report.publish_per_s)),
            row("the same with a second copy", format!("{:.0}", report.publish_per_s_second_copy)),
            row("signed records anchored per second", format!("{:.0}", report.records_per_s)),
            row(
                "signed records acknowledged per second",
                format!("{:.0}", report.records_per_s_acknowledged),
            ),
            row("PUBACK p50 / p99 at half load, ms", pair(report.puback_ms)),
            row("fdatasync p50 / p99 in that time, ms", pair(report.fdatasync_ms)),
        ],
    );
    Ok(Outcome::Done)
}

fn pair(percentiles: Percentiles) -> String {
    format!("{:.2} / {:.2}", percentiles.p50, percentiles.p99)
}

async fn measure(options: &args::BenchIngest, machine: Machine) -> Result<Report> {
    let temporary = tempfile::Builder::new().prefix("voltmesh-bench-").tempdir()?;
    let dir = options.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let alone = Loaded::start(&dir.join("alone"), options.clients, false).await?;
    let full = alone.json(options, None).await?;
    let rate = full.acknowledged as f64 / full.seconds;
    // What the full load has left to seal and anchor is not half a load.
    alone.settled().await?;
    let probe = Probe::start(&dir)?;
    let half = alone.json(options, Some(rate / 2.0)).await?;
    let fdatasync_ms = probe.stop()?;
    let before = alone.counter("anchored_records").await?;
    let start = Instant::now();
    let batches = alone.batches(options).await?;
    let sent = batches.acknowledged * BATCH_RECORDS as u64;
    while alone.counter("anchored_records").await? < before + sent {
        ensure!(
            start.elapsed() < PATIENCE + Duration::from_secs(options.seconds),
            "the last batches are not anchored"
        );
        tokio::time::sleep(LOOK).await;
    }
    // The generator makes its batches before it starts its clock; what comes after its last PUBACK is anchoring.
    let after_last_ack = start.elapsed().as_secs_f64() - batches.preparation_s - batches.seconds;
    let anchoring = batches.seconds + after_last_ack.max(0.0);
    alone.stop().await;

    let paired = Loaded::start(&dir.join("paired"), options.clients, true).await?;
    let copied = paired.json(options, None).await?;
    paired.stop().await;
    Ok(Report {
        machine,
        seconds: options.seconds,
        clients: options.clients,
        publish_per_s: rate,
        publish_per_s_second_copy: copied.acknowledged as f64 / copied.seconds,
        sample_bytes: full.payload_bytes,
        records_per_s: sent as f64 / anchoring,
        records_per_s_acknowledged: sent as f64 / batches.seconds,
        puback_ms: Percentiles { p50: half.puback_ms_p50, p99: half.puback_ms_p99 },
        fdatasync_ms,
    })
}

/// Four fog nodes without a cloud, and clients with certificates.
struct Loaded {
    site: Site,
    clients: usize,
}

impl Loaded {
    async fn start(dir: &Path, clients: usize, second_copy: bool) -> Result<Self> {
        let election = Default::default();
        let size = Size { fogs: FOGS, vehicles: clients, cloud: false, epoch_length: 100_000, election };
        let mut site = Site::prepare(&std::env::current_exe()?, dir, size, second_copy).await?;
        for n in 1..=clients {
            site.deployment.pki.issue(&client(n)?, &[], 30)?;
        }
        site.start().await?;
        Ok(Loaded { site, clients })
    }

    async fn json(&self, options: &args::BenchIngest, rate: Option<f64>) -> Result<generator::Outcome> {
        self.generate(options, GeneratorMode::Json, rate).await
    }

    async fn batches(&self, options: &args::BenchIngest) -> Result<generator::Outcome> {
        self.generate(options, GeneratorMode::Batches, None).await
    }

    /// Runs the generator as a process of its own and takes what it prints.
    async fn generate(
        &self,
        options: &args::BenchIngest,
        mode: GeneratorMode,
        rate: Option<f64>,
    ) -> Result<generator::Outcome> {
        let mut command = tokio::process::Command::new(std::env::current_exe()?);
        command
            .args(["bench", "generate", "--mode", mode.as_str()])
            .args(["--address", &self.site.fog_mqtt[0].to_string()])
            .args(["--clients", &self.clients.to_string()])
            .args(["--seconds", &options.seconds.to_string()])
            .arg("--dir")
            .arg(&self.site.deployment.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if let Some(rate) = rate {
            command.args(["--rate", &rate.to_string()]);
        }
        let answer = command.spawn().context("cannot start the generator")?.wait_with_output().await?;
        ensure!(answer.status.success(), "the generator failed; {}", self.site.last_words());
        let text = String::from_utf8_lossy(&answer.stdout);
        serde_json::from_str(text.lines().last().unwrap_or_default()).context("the generator said nothing")
    }

    async fn counter(&self, name: &str) -> Result<u64> {
        let status =
            self.site.fogs[0].status(&self.site.http).await.context("the fog node does not answer")?;
        Ok(status.counter(name))
    }

    /// Waits until the node has sealed and anchored what it holds.
    async fn settled(&self) -> Result<()> {
        let begun = Instant::now();
        for gauge in ["samples_pending", "anchor_queue", "inflight_bytes"] {
            while self.counter(gauge).await? > 0 {
                ensure!(begun.elapsed() < PATIENCE, "{gauge} does not come to zero");
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    async fn stop(mut self) {
        self.site.stop().await;
    }
}

fn client(n: usize) -> Result<Identity> {
    Ok(Identity::new(Role::Client, &format!("meter-{n}"))?)
}

/// `voltmesh bench generate`, which `bench ingest` runs.
pub fn generate(options: GeneratorArgs) -> Result<Outcome> {
    let deployment_dir = &options.dir;
    let folder = |role: &str, id: String| deployment_dir.join("pki").join(format!("{role}-{id}"));
    let credentials: Vec<PathBuf> = (1..=options.clients)
        .map(|n| match options.mode {
            GeneratorMode::Json => folder("client", format!("meter-{n}")),
            GeneratorMode::Batches => folder("edge", edge_name(n)),
        })
        .collect();
    let openings = match options.mode {
        GeneratorMode::Json => Vec::new(),
        GeneratorMode::Batches => (1..=options.clients)
            .map(|n| {
                crate::commands::registry::read_opening(
                    &deployment_dir.join(edge_name(n)).join("opening.toml"),
                )
            })
            .collect::<Result<_>>()?,
    };
    let load = Load {
        mode: options.mode,
        address: options.address,
        credentials,
        openings,
        seconds: options.seconds,
        rate: options.rate,
        records: BATCH_RECORDS,
        batches: BATCHES,
        boot: 1,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let outcome = runtime.block_on(generator::run(load))?;
    output::json(&outcome)?;
    Ok(Outcome::Done)
}

/// Measures fdatasync on a disk while something else goes on.
struct Probe {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<Histogram<u64>>>,
}

impl Probe {
    fn start(dir: &Path) -> Result<Self> {
        let mut file = File::create(dir.join("probe")).context("cannot make the probe's file")?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut latency = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
            while !stopped.load(Ordering::Relaxed) {
                file.write_all(&[0x5a; PROBE_BYTES])?;
                let start = Instant::now();
                file.sync_data()?;
                latency.saturating_record(start.elapsed().as_micros() as u64);
                std::thread::park_timeout(PROBE_EVERY);
            }
            Ok(latency)
        });
        Ok(Probe { stop, thread })
    }

    fn stop(self) -> Result<Percentiles> {
        self.stop.store(true, Ordering::Relaxed);
        let latency = self.thread.join().map_err(|_| anyhow::anyhow!("the probe panicked"))??;
        let ms = |quantile| latency.value_at_quantile(quantile) as f64 / 1000.0;
        Ok(Percentiles { p50: ms(0.50), p99: ms(0.99) })
    }
}
