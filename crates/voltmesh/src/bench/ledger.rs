//! `voltmesh bench ledger`: authorities in one process, over loopback sockets, agree on batches whose records are hashed
//! as fast as the machine can.
//!
//! In the timed region: every record is hashed once into its batch's root (the fog node's work), the root is compared
//! with the signed one and the vehicle's signature is checked; the batch is anchored, and the block is final when every
//! authority has checked the anchors' signatures and recomputed the log root. `rehash` also lets every authority hash
//! every record.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use commonware_cryptography::Signer as _;
use commonware_p2p::Address;
use commonware_runtime::{Runner as _, Supervisor as _, tokio};
use ed25519_dalek::{Signer as _, SigningKey, Verifier as _};
use serde::Serialize;
use voltmesh_consensus::{AddressBook, Config, Handle, Node, sockets};
use voltmesh_ledger::{Anchor, BatchId, Height, MAX_BATCHES_PER_ANCHOR, PrivateKey, Transaction, testing};
use voltmesh_telemetry::{Digest, merkle};

use super::machine::Machine;
use crate::deploy::ReservedPort;
use crate::output::{self, row};
use crate::{Outcome, args};

/// Different batches that the hashing threads go through: 64 × 4,096 × 128 B = 32 MiB, more than a cache holds.
const DISTINCT: usize = 64;

/// Batches hashed and not yet submitted: 4 full anchors.
const QUEUE: usize = 4 * MAX_BATCHES_PER_ANCHOR;

/// Longest wait for the last anchors to become final.
const DRAIN: Duration = Duration::from_secs(30);

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    authorities: usize,
    record_bytes: usize,
    batch_records: usize,
    seconds: f64,
    /// Records a second in final blocks, each hashed once.
    records_per_s: f64,
    /// The same when every authority hashes every record as well.
    records_per_s_rehash: f64,
    /// What the hashing threads alone reach on this machine at this time, without ledger.
    records_per_s_hash_only: f64,
    blocks: u64,
    finality_ms_p50: u64,
    finality_ms_p99: u64,
}

/// Runs the command.
pub fn run(options: args::BenchLedger) -> Result<Outcome> {
    let machine = Machine::this();
    if !options.json {
        output::line(machine.line());
    }
    let work = Arc::new(Work::new(&options));
    let alone = hash_only(&work, Duration::from_secs(options.seconds.clamp(1, 3)));
    let once = measure(&options, work.clone(), 1)?;
    let rehash = measure(&options, work, options.authorities)?;
    let report = Report {
        machine,
        authorities: options.authorities,
        record_bytes: options.record_bytes,
        batch_records: options.batch,
        seconds: once.seconds,
        records_per_s: once.records_per_s,
        records_per_s_rehash: rehash.records_per_s,
        records_per_s_hash_only: alone,
        blocks: once.blocks,
        finality_ms_p50: once.latency.0,
        finality_ms_p99: once.latency.1,
    };
    if options.json {
        output::json(&report)?;
    } else {
        output::table(
            &["records final", "per second"],
            &[
                row("each hashed once", format!("{:.0}", report.records_per_s)),
                row("each hashed by every authority", format!("{:.0}", report.records_per_s_rehash)),
                row("hashing alone, no ledger", format!("{:.0}", report.records_per_s_hash_only)),
            ],
        );
        output::line(format!(
            "{} authorities, {} blocks, final after {} ms (p50), {} ms (p99)",
            report.authorities, report.blocks, report.finality_ms_p50, report.finality_ms_p99
        ));
    }
    Ok(Outcome::Done)
}

/// Batches of records with the signature of a vehicle over each root.
struct Work {
    batch: usize,
    record_bytes: usize,
    batches: Vec<(Vec<u8>, [u8; 32], ed25519_dalek::Signature)>,
    key: ed25519_dalek::VerifyingKey,
    next: AtomicU64,
}

impl Work {
    fn new(options: &args::BenchLedger) -> Self {
        let key = SigningKey::from_bytes(&[7; 32]);
        let batches = (0..DISTINCT)
            .map(|n| {
                let mut state = n as u64 + 1;
                let bytes: Vec<u8> =
                    (0..options.batch * options.record_bytes).map(|_| xorshift(&mut state)).collect();
                let salt = [n as u8; 32];
                let root = merkle::root_of_records(&salt, bytes.chunks_exact(options.record_bytes));
                let signature = key.sign(root.as_bytes());
                (bytes, salt, signature)
            })
            .collect();
        let (batch, record_bytes) = (options.batch, options.record_bytes);
        Work { batch, record_bytes, batches, key: key.verifying_key(), next: AtomicU64::new(0) }
    }

    /// Hashes the next batch `times` times, checks its signature, and names it.
    fn hash_next(&self, times: usize) -> BatchId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (bytes, salt, signature) = &self.batches[number as usize % DISTINCT];
        let mut root = Digest::ZERO;
        for _ in 0..times {
            root = merkle::root_of_records(salt, bytes.chunks_exact(self.record_bytes));
        }
        assert!(self.key.verify(root.as_bytes(), signature).is_ok(), "a batch is not what was signed");
        // The same bytes come again; a statement's number makes its id differ, as boot and number do in earnest.
        BatchId::new(Digest::of(&[root.as_bytes().as_slice(), &number.to_be_bytes()].concat()))
    }
}

/// Cheap bytes that do not repeat within a batch.
fn xorshift(state: &mut u64) -> u8 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state as u8
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn hash_only(work: &Arc<Work>, time: Duration) -> f64 {
    let start = Instant::now();
    let threads: Vec<_> = (0..cores())
        .map(|_| {
            let work = work.clone();
            std::thread::spawn(move || {
                let mut batches = 0_u64;
                while start.elapsed() < time {
                    work.hash_next(1);
                    batches += 1;
                }
                batches
            })
        })
        .collect();
    let batches: u64 = threads.into_iter().filter_map(|thread| thread.join().ok()).sum();
    batches as f64 * work.batch as f64 / start.elapsed().as_secs_f64()
}

struct Measured {
    seconds: f64,
    records_per_s: f64,
    blocks: u64,
    latency: (u64, u64),
}

fn measure(options: &args::BenchLedger, work: Arc<Work>, times: usize) -> Result<Measured> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let config = tokio::Config::default().with_storage_directory(folder.path()).with_worker_threads(cores());
    let (authorities, seconds) = (options.authorities, options.seconds);
    tokio::Runner::new(config).start(|context| async move {
        let keys = testing::Network::with_epochs(authorities as u64, 1 << 20);
        let ports = (0..authorities).map(|_| ReservedPort::reserve()).collect::<Result<Vec<_>>>()?;
        let nodes = start(&context, &keys, &ports).await?;
        let handles: Vec<Handle> = nodes.iter().map(Node::handle).collect();
        // The clock starts when the ledger runs.
        for handle in &handles {
            handle.reached(Height::new(2)).await;
        }
        let measured = drive(&handles, &keys, work, times, Duration::from_secs(seconds)).await;
        for node in nodes {
            node.stop().await;
        }
        measured
    })
}

/// Hashes on every core, anchors at the authorities in turn, and waits until the last anchor is final.
async fn drive(
    handles: &[Handle],
    keys: &testing::Network,
    work: Arc<Work>,
    times: usize,
    time: Duration,
) -> Result<Measured> {
    let stop = Arc::new(AtomicBool::new(false));
    let (hashed, to_anchor) = mpsc::sync_channel::<BatchId>(QUEUE);
    let first_height = handles[0].height();
    let start = Instant::now();
    let hashers: Vec<_> = (0..cores())
        .map(|_| {
            let (work, stop, hashed) = (work.clone(), stop.clone(), hashed.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) && hashed.send(work.hash_next(times)).is_ok() {}
            })
        })
        .collect();
    drop(hashed);

    let (mut anchored, mut sequence) = (0_u64, 0_u64);
    let mut tick = ::tokio::time::interval(Duration::from_millis(100));
    let mut stopped = false;
    loop {
        tick.tick().await;
        if start.elapsed() >= time && !stopped {
            stop.store(true, Ordering::Relaxed);
            stopped = true;
        }
        let mut batches: Vec<BatchId> = Vec::new();
        let ended = loop {
            match to_anchor.try_recv() {
                Ok(batch) => batches.push(batch),
                Err(mpsc::TryRecvError::Empty) => break false,
                Err(mpsc::TryRecvError::Disconnected) => break true,
            }
        };
        for chunk in batches.chunks(MAX_BATCHES_PER_ANCHOR) {
            let by = sequence as usize % handles.len();
            let records = (chunk.len() * work.batch) as u64;
            let anchor =
                Anchor::sign(&keys.genesis().digest(), keys.authority(by), sequence, records, chunk.to_vec());
            handles[by].submit(Transaction::Anchor(anchor)).context("the pool takes no more")?;
            sequence += 1;
            anchored += chunk.len() as u64;
        }
        if ended {
            break;
        }
    }
    hashers.into_iter().for_each(|hasher| drop(hasher.join()));
    // Every authority, not only the fastest: what counts is what all have checked.
    let done = |handle: &Handle| handle.state().log_size() >= anchored;
    let waited = Instant::now();
    while !handles.iter().all(done) {
        anyhow::ensure!(waited.elapsed() < DRAIN, "the last anchors are not final after {DRAIN:?}");
        tick.tick().await;
    }
    let elapsed = start.elapsed().as_secs_f64();
    let latency = handles[0].finality();
    Ok(Measured {
        seconds: elapsed,
        records_per_s: anchored as f64 * work.batch as f64 / elapsed,
        blocks: handles[0].height().get() - first_height.get(),
        latency: (latency.p50_ms, latency.p99_ms),
    })
}

/// Starts every authority, each with connections to all others over loopback sockets, encrypted and authenticated.
async fn start(
    context: &tokio::Context,
    keys: &testing::Network,
    ports: &[ReservedPort],
) -> Result<Vec<Node>> {
    let listen: Vec<SocketAddr> = ports.iter().map(ReservedPort::address).collect();
    let members: Vec<PrivateKey> = (0..ports.len()).map(|n| keys.authority(n).clone()).collect();
    let addresses: AddressBook =
        members.iter().zip(&listen).map(|(key, at)| (key.public_key(), Address::Symmetric(*at))).collect();
    let mut nodes = Vec::new();
    for (index, (key, listen)) in members.into_iter().zip(listen).enumerate() {
        let own = context.child("authority").with_attribute("index", index);
        let mut config = Config::new(key, keys.genesis().clone());
        config.addresses = addresses.clone();
        config.partition = format!("node-{index}");
        let started = sockets::start(own, listen, true, config).await;
        let (node, _copies) = started.with_context(|| format!("authority {index} does not start"))?;
        nodes.push(node);
    }
    Ok(nodes)
}
