//! The disk of a node on whose chain nothing happens.

use super::*;
use crate::{Config, common::block_store::BLOCKS_PER_SECTION, poa::engine::epochs::VIEW_RETENTION};
use commonware_runtime::Storage as _;
use commonware_utils::NZU64;

/// Default of a fog node's `ledger.history_blocks`.
const HISTORY: u64 = 16_384;

/// Bytes of a node's partitions whose names begin so, in epoch 0.
async fn bytes(context: &deterministic::Context, node: usize, parts: &[&str]) -> u64 {
    let mut sum = 0;
    for part in parts {
        for kind in ["-metadata", "-key", "-value", ""] {
            let partition = format!("node-{node}-{part}{kind}");
            for name in context.scan(&partition).await.unwrap_or_default() {
                sum += context.open(&partition, &name).await.expect("is there").1;
            }
        }
    }
    sum
}

const FINAL: [&str; 2] = ["blocks", "certificates"];
const CACHED: [&str; 6] = [
    "marshal-cache-cache-0-verified",
    "marshal-cache-cache-0-notarized",
    "marshal-cache-cache-0-certified",
    "marshal-cache-cache-0-notarizations",
    "marshal-cache-cache-0-finalizations",
    "simplex-0",
];

async fn four(context: &deterministic::Context, config: impl Fn(Config) -> Config) -> Cluster {
    let mut cluster = Cluster::new(context, 4, 100_000).await;
    for index in 0..4 {
        let config = config(cluster.config(index));
        cluster.start_with(index, config).await;
    }
    cluster
}

/// Stops node 0 once it is at `height`, adds up its files by kind, and starts it again.
async fn at(
    context: &deterministic::Context,
    cluster: &mut Cluster,
    height: u64,
    config: fn(Config) -> Config,
) -> [u64; 4] {
    assert!(cluster.handle(0).reached(Height::new(height)).await);
    cluster.stop(0).await;
    context.sleep(Duration::from_millis(50)).await;
    let (caches, journal) = CACHED.split_at(5);
    let mut sizes = [0; 4];
    for (size, parts) in sizes.iter_mut().zip([&FINAL[..], caches, journal, &["snapshots"]]) {
        *size = bytes(context, 0, parts).await;
    }
    let config = config(cluster.config(0));
    cluster.start_with(0, config).await;
    sizes
}

#[test]
fn the_disk_of_an_idle_node_is_flat_once_it_prunes() {
    run(80, |context| async move {
        let small = |config| Config {
            snapshot_interval: 16,
            history_blocks: Some(32),
            section_blocks: NZU64!(16),
            ..config
        };
        let mut cluster = four(&context, small).await;
        let mut sizes: Vec<u64> = Vec::new();
        // At the same place between two snapshots each, and past the views whose votes are kept.
        for height in [VIEW_RETENTION + 72, VIEW_RETENTION + 136, VIEW_RETENTION + 264] {
            sizes.push(at(&context, &mut cluster, height, small).await.iter().sum());
        }
        let (least, most) = (sizes.iter().min().copied(), sizes.iter().max().copied());
        assert!(most <= least.map(|least| least + least / 10), "{sizes:?}");
    });
}

/// What a block and a view take, times as many as the defaults keep: the goal is a day's 86,400 idle blocks in 50 MB.
#[test]
fn an_idle_node_stays_below_fifty_megabytes_with_the_default_history() {
    run(81, |context| async move {
        let mut cluster = four(&context, |config| config).await;
        let (from, to) = (100, 300);
        let before = at(&context, &mut cluster, from, |config| config).await;
        let after = at(&context, &mut cluster, to, |config| config).await;
        let each = |kind: usize| (after[kind] - before[kind]) / (to - from);
        // Pruned after a snapshot, in whole files: the file that is written and one that is needed in part.
        let section = BLOCKS_PER_SECTION.get();
        let (blocks, views) = (HISTORY + 2 * section, VIEW_RETENTION + 2 * section);
        let bound = each(0) * blocks + each(1) * views + after[2];
        let text = format!("{bound} bytes: {} a block, {} a view, {} of votes", each(0), each(1), after[2]);
        assert!(bound <= 50_000_000, "{text}");
        assert!(each(0) >= 500 && after[2] > 0, "what is measured is elsewhere: {text}");
        println!("{text}");
    });
}
