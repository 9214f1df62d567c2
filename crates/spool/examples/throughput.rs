//! Appends per second with group sync, beside raw write + fdatasync on the same disk.
//!
//! `cargo run --release -p voltmesh-spool --example throughput -- [folder]`
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use bytes::Bytes;
use commonware_runtime::{Clock as _, Runner as _, Spawner as _, Supervisor as _, tokio};
use std::io::Write as _;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};
use voltmesh_spool::{Config, Position, Spool};

const SECONDS: u64 = 4;

fn main() {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    for (size, group) in [(1024, 64), (1024, 1024), (65_536, 128)] {
        raw(&folder.join("raw.bin"), size, group);
    }
    for (size, producers) in [(1024, 64), (1024, 2048), (65_536, 256)] {
        spool(&folder.join(format!("spool-{size}-{producers}")), size, producers);
    }
}

fn raw(path: &std::path::Path, size: usize, group: usize) {
    let mut file = std::fs::File::create(path).unwrap();
    let block = vec![0x5a; size * group];
    let (start, mut syncs) = (Instant::now(), Vec::new());
    while start.elapsed() < Duration::from_secs(SECONDS) {
        file.write_all(&block).unwrap();
        let before = Instant::now();
        file.sync_data().unwrap();
        syncs.push(before.elapsed());
    }
    report(
        &format!("raw    {size} B, {group} per fdatasync"),
        size,
        (syncs.len() * group) as f64,
        start,
        &mut syncs,
    );
    std::fs::remove_file(path).unwrap();
}

fn spool(folder: &std::path::Path, size: usize, producers: usize) {
    let runner =
        tokio::Runner::new(tokio::Config::new().with_storage_directory(folder).with_worker_threads(2));
    runner.start(|context| async move {
        let mut config = Config::new("bench");
        config.max_bytes = 64 << 30;
        config.max_unsynced = 64 << 20;
        config.entries_per_file = NonZeroU64::new(if size > 4096 { 2048 } else { 65_536 }).unwrap();
        let spool = Spool::open(context.child("spool"), config).await.unwrap();
        let (writer, _task) = spool.start(context.child("task"));
        let start = Instant::now();
        let mut tasks = Vec::new();
        // Each task stands for `producers / 16` clients that wait for their confirmation before the next entry.
        for task in 0..16u8 {
            let writer = writer.clone();
            tasks.push(context.child("producer").spawn(move |_| async move {
                let payload = Bytes::from(vec![task; size]);
                let (mut done, mut waits) = (0u64, Vec::new());
                while start.elapsed() < Duration::from_secs(SECONDS) {
                    let before = Instant::now();
                    let mut last = Position(0);
                    for _ in 0..producers / 16 {
                        last = writer.append(payload.clone()).unwrap();
                    }
                    writer.durable(last).await.unwrap();
                    waits.push(before.elapsed());
                    done += (producers / 16) as u64;
                }
                (done, waits)
            }));
        }
        // A reader that forwards and acknowledges beside the writers.
        let forwarder = writer.clone();
        let read = context.child("reader").spawn(move |context| async move {
            let mut next = Position(0);
            while start.elapsed() < Duration::from_secs(SECONDS) {
                let entries = forwarder.read_from(next, 1024, 4 << 20).await.unwrap();
                if entries.is_empty() {
                    context.sleep(Duration::from_millis(1)).await;
                }
                for (position, _) in entries {
                    forwarder.ack(position).unwrap();
                    next = position.next();
                }
            }
            next.0
        });
        let (mut entries, mut waits) = (0, Vec::new());
        for task in tasks {
            let (done, times) = task.await.unwrap();
            entries += done;
            waits.extend(times);
        }
        report(&format!("spool  {size} B, {producers} waiting"), size, entries as f64, start, &mut waits);
        println!("       read back and acknowledged meanwhile: {}", read.await.unwrap());
        println!("       syncs: {}", writer.progress().borrow().syncs);
        writer.close().await.unwrap();
    });
    std::fs::remove_dir_all(folder).unwrap();
}

fn report(what: &str, size: usize, entries: f64, start: Instant, waits: &mut [Duration]) {
    let seconds = start.elapsed().as_secs_f64();
    waits.sort_unstable();
    let p = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{what}: {:.0} entries/s, {:.1} MB/s, wait p50 {:.2} ms p99 {:.2} ms",
        entries / seconds,
        entries * size as f64 / seconds / 1e6,
        p(0.5),
        p(0.99)
    );
}
