//! Years of operation in seconds: restarts from snapshots, pruning, joining late, damaged disks.

use super::*;
use crate::{Config, Node, StartError};
use commonware_runtime::{
    Blob as _, ReadOptions, Storage as _, WriteOptions,
    deterministic::{FaultConfig, PartialWriteMode, WriteConfig},
};
use commonware_utils::NZU64;
use rand::RngExt as _;
use voltmesh_ledger::{AnchorProof, commitment};

/// Snapshots every five blocks.
fn with_snapshots(cluster: &Cluster, index: usize) -> Config {
    Config { snapshot_interval: 5, section_blocks: NZU64!(4), ..cluster.config(index) }
}

/// And no more than eight blocks of history.
fn with_pruning(cluster: &Cluster, index: usize) -> Config {
    Config { history_blocks: Some(8), ..with_snapshots(cluster, index) }
}

/// Four nodes in epochs of eight blocks.
async fn four(context: &deterministic::Context, config: impl Fn(&Cluster, usize) -> Config) -> Cluster {
    let mut cluster = Cluster::new(context, 4, 8).await;
    for index in 0..4 {
        let config = config(&cluster, index);
        cluster.start_with(index, config).await;
    }
    cluster
}

/// By the operators' decision with this nonce node 3 gives way to another one, which starts; its index.
async fn rotate(cluster: &mut Cluster, nonce: u64) -> usize {
    let rotate = Action::RotateAuthority { old: cluster.key(3).public_key(), new: key(77).public_key() };
    let rotate = cluster.keys().registry(nonce, vec![rotate]);
    cluster.handle(0).submit(rotate).expect("taken");
    let rotated = cluster.add(key(77)).await;
    let config = with_pruning(cluster, rotated);
    cluster.start_with(rotated, config).await;
    rotated
}

async fn reach(cluster: &Cluster, index: usize, height: u64) {
    assert!(cluster.handle(index).reached(Height::new(height)).await, "node {index} ended");
}

/// Starts a node beside the cluster; it may refuse.
async fn try_start(
    context: &deterministic::Context,
    cluster: &Cluster,
    index: usize,
    config: Config,
) -> Result<Node, StartError> {
    Node::start(context.child("attempt").with_attribute("index", index), config, cluster.network(index).await)
        .await
}

async fn files(context: &deterministic::Context, partition: &str) -> Vec<Vec<u8>> {
    let mut files = context.scan(partition).await.unwrap_or_default();
    files.sort();
    files
}

/// Flips a bit in the middle of a file.
async fn damage(context: &deterministic::Context, partition: &str, file: &[u8]) {
    let (_, size) = context.open(partition, file).await.expect("is there");
    damage_at(context, partition, file, size / 2).await;
}

async fn damage_at(context: &deterministic::Context, partition: &str, file: &[u8], at: u64) {
    let (blob, _) = context.open(partition, file).await.expect("is there");
    let byte = blob.read_at(at, 1, ReadOptions::default()).await.expect("readable").coalesce();
    blob.write_at(at, vec![byte.as_ref()[0] ^ 0x10], WriteOptions::SYNC).await.expect("writable");
}

/// The blocks that both nodes hold are the same.
async fn same_blocks(cluster: &Cluster, a: usize, b: usize) {
    let (a, b) = (cluster.handle(a), cluster.handle(b));
    let (from, to) = (a.oldest().max(b.oldest()), a.height().min(b.height()));
    let mut compared = 0;
    for height in (from.get()..=to.get()).map(Height::new) {
        match (a.block(height).await, b.block(height).await) {
            (Some(left), Some(right)) => assert_eq!(left.digest(), right.digest(), "at {height}"),
            (left, right) => {
                // Pruned meanwhile, by the one that has it no more.
                assert!(left.is_some() || height < a.oldest(), "block {height} is missing");
                assert!(right.is_some() || height < b.oldest(), "block {height} is missing");
                continue;
            }
        }
        compared += 1;
    }
    assert!(compared > 0, "nothing to compare: {from} to {to}");
}

/// Stops a node and waits until it has let go of its files.
async fn halt(context: &deterministic::Context, cluster: &mut Cluster, index: usize) {
    cluster.stop(index).await;
    context.sleep(Duration::from_millis(50)).await;
}

#[test]
fn a_restart_replays_only_what_follows_the_snapshot() {
    run(70, |context| async move {
        let mut cluster = four(&context, with_snapshots).await;
        let batches = submit(&mut cluster, 0..4, 1);
        logged(&cluster, 3, &batches).await;
        reach(&cluster, 3, 33).await;
        let at = cluster.handle(3).height().get();
        halt(&context, &mut cluster, 3).await;
        assert!(files(&context, "node-3-snapshots").await.len() <= 2);
        let config = with_snapshots(&cluster, 3);
        cluster.start_with(3, config).await;
        let handle = cluster.handle(3);
        assert!(
            handle.height().get() >= at && handle.replayed() <= 10,
            "{} blocks replayed",
            handle.replayed()
        );
        assert_eq!(handle.oldest(), Height::new(1));
        // Nothing is pruned, so everything can still be delivered.
        logged(&cluster, 3, &batches).await;
        agree(&cluster, 0..4, at + 12).await;
    });
}

#[test]
fn a_damaged_snapshot_costs_a_longer_replay() {
    run(71, |context| async move {
        let mut cluster = four(&context, with_snapshots).await;
        reach(&cluster, 3, 33).await;
        halt(&context, &mut cluster, 3).await;
        let snapshots = files(&context, "node-3-snapshots").await;
        assert_eq!(snapshots.len(), 2);
        damage(&context, "node-3-snapshots", &snapshots[1]).await;
        let config = with_snapshots(&cluster, 3);
        cluster.start_with(3, config.clone()).await;
        assert!((6..=15).contains(&cluster.handle(3).replayed()), "{}", cluster.handle(3).replayed());
        halt(&context, &mut cluster, 3).await;
        for file in files(&context, "node-3-snapshots").await {
            damage(&context, "node-3-snapshots", &file).await;
        }
        // The bit that was flipped twice is right again; the other snapshot and any new one are not.
        cluster.start_with(3, config).await;
        agree(&cluster, 0..4, cluster.handle(0).height().get() + 6).await;
    });
}

#[test]
fn receipts_hold_after_their_blocks_are_pruned_and_holders_keep_theirs() {
    run(72, |context| async move {
        let mut cluster = four(&context, with_pruning).await;
        let hold = cluster.handle(1).hold(Height::new(1));
        let vehicle = commitment("ev-1", &[7; 32], &[8; 32]);
        let enrol = cluster.keys().registry(0, vec![Action::EnrolVehicle { commitment: vehicle }]);
        cluster.handle(0).submit(enrol).expect("taken");
        while cluster.handle(0).state().registry().get(&vehicle).is_none() {
            context.sleep(Duration::from_millis(100)).await;
        }
        let batches = submit(&mut cluster, [0], 1);
        let mut subscription = cluster.handle(0).subscribe(Height::new(1));
        let (finalized, entry) = loop {
            let finalized = subscription.next().await.expect("runs");
            let found = finalized.entries.iter().find(|entry| entry.batch == batches[0]).cloned();
            if let Some(entry) = found {
                break (finalized, entry);
            }
        };
        rotate(&mut cluster, 1).await;
        reach(&cluster, 0, 70).await;
        let handle = cluster.handle(0);
        assert!(handle.oldest() > finalized.header.height && handle.block(Height::new(1)).await.is_none());
        for part in ["blocks-key", "blocks-value", "certificates-key"] {
            let count = files(&context, &format!("node-0-{part}")).await.len();
            assert!(count <= 8, "{count} files of {part}");
        }
        let handovers = handle.handovers().await;
        assert_eq!(handovers.len(), 1, "they outlive their blocks");
        let mut trust = Trust::from_genesis(cluster.keys().genesis().clone());
        assert!(trust.extend(&handovers[0]).expect("holds"));
        let signer = finalized.state.prove(&vehicle).expect("enrolled");
        let Finalized { header, certificate, root_signatures, .. } = finalized;
        let evidence = AnchorProof::new(header, certificate, root_signatures, entry.inclusion, signer);
        evidence.verify(&trust, &batches[0], &vehicle).expect("holds without the block");
        // Who holds blocks still gets them, and after a restart as well.
        assert_eq!(cluster.handle(1).oldest(), Height::new(1));
        halt(&context, &mut cluster, 1).await;
        drop(hold);
        let config = with_pruning(&cluster, 1);
        cluster.start_with(1, config).await;
        let hold = cluster.handle(1).hold(Height::new(1));
        logged(&cluster, 1, &batches).await;
        hold.advance(cluster.handle(1).height());
        // Nobody holds them any more.
        reach(&cluster, 1, cluster.handle(1).height().get() + 20).await;
        assert!(cluster.handle(1).oldest() > Height::new(20));
        let late = deliver(&cluster, 1, 1, cluster.handle(1).height().get()).await;
        assert!(late[0].block.header().height.get() + 1 >= cluster.handle(1).oldest().get());
        late.iter().for_each(|finalized| check(&cluster, finalized));
    });
}

/// In the middle of an epoch whose end nobody sees.
#[test]
fn a_rotated_key_follows_at_once() {
    run(76, |context| async move {
        let mut cluster = Cluster::new(&context, 4, 100_000).await;
        for index in 0..4 {
            let config = with_snapshots(&cluster, index);
            cluster.start_with(index, config).await;
        }
        reach(&cluster, 0, 10).await;
        halt(&context, &mut cluster, 3).await;
        let rotated = rotate(&mut cluster, 0).await;
        reach(&cluster, rotated, cluster.handle(0).height().get() + 20).await;
        let (ahead, here) = (cluster.handle(0).height().get(), cluster.handle(rotated).height().get());
        // Peers tell their height each second, which is some ten blocks.
        assert!(ahead.saturating_sub(here) <= 30, "block {here} of {ahead}");
        assert!(!cluster.handle(rotated).is_authority());
        same_blocks(&cluster, 0, rotated).await;
    });
}

#[test]
fn a_newcomer_joins_a_pruned_network_from_its_snapshot() {
    run(73, |context| async move {
        let mut cluster = four(&context, with_pruning).await;
        rotate(&mut cluster, 0).await;
        reach(&cluster, 0, 60).await;
        halt(&context, &mut cluster, 3).await;
        let newcomer = cluster.add(key(99)).await;
        let config = with_pruning(&cluster, newcomer);
        cluster.start_with(newcomer, config.clone()).await;
        reach(&cluster, newcomer, 60).await;
        let handle = cluster.handle(newcomer);
        assert!(handle.oldest() > Height::new(20));
        reach(&cluster, newcomer, handle.height().get() + 20).await;
        same_blocks(&cluster, 0, newcomer).await;
        assert_eq!(handle.handovers().await.len(), 1);
        let late = deliver(&cluster, newcomer, 1, handle.height().get()).await;
        assert!(late[0].block.header().height > Height::new(20));
        late.iter().for_each(|finalized| check(&cluster, finalized));
        // It goes on from its own disk, and has what others need to join from it.
        let at = handle.height().get();
        halt(&context, &mut cluster, newcomer).await;
        cluster.start_with(newcomer, config).await;
        assert!(cluster.handle(newcomer).height().get() >= at);
        reach(&cluster, newcomer, at + 10).await;
        same_blocks(&cluster, 1, newcomer).await;
    });
}

#[test]
fn a_newcomer_joins_from_a_checkpoint_and_later_votes() {
    run(74, |context| async move {
        let mut cluster = four(&context, with_pruning).await;
        reach(&cluster, 0, 30).await;
        let joins = key(77);
        let newcomer = cluster.add(joins.clone()).await;
        let admit = cluster.keys().registry(0, vec![Action::AdmitAuthority { key: joins.public_key() }]);
        cluster.handle(0).submit(admit).expect("taken");
        reach(&cluster, 0, 44).await;
        let checkpoint = cluster.handle(0).checkpoint().await.expect("attested");
        let bytes = checkpoint.to_bytes();
        let read = voltmesh_ledger::Checkpoint::from_bytes(&bytes).expect("its own encoding");
        let mut config = with_pruning(&cluster, newcomer);
        let mut forged = read.clone();
        forged.attestations.truncate(1);
        config.checkpoint = Some(forged);
        let refused = try_start(&context, &cluster, newcomer, config.clone()).await;
        assert!(matches!(refused, Err(StartError::Checkpoint(_))));
        config.checkpoint = Some(read);
        cluster.start_with(newcomer, config).await;
        let handle = cluster.handle(newcomer);
        assert!(handle.height() >= Height::new(30), "it begins where the checkpoint is");
        let until = handle.abstains_until().expect("it has no votes of its own yet");
        let mut subscription = handle.subscribe(Height::new(1));
        let mut votes = 0;
        while votes < 2 {
            let Finalized { certificate, header, state, .. } = subscription.next().await.expect("runs");
            let voters = state.roster_for(header.epoch).expect("its own").voters.clone();
            let by = certificate.verify(&state.chain(), &voters, &header).expect("holds");
            let voted = by.contains(&joins.public_key());
            assert!(!voted || header.epoch > until, "a vote in {}", header.epoch);
            votes += u64::from(voted);
            assert!(header.height < Height::new(150), "it never votes");
        }
    });
}

#[test]
fn a_damaged_block_stops_the_node_until_somebody_asks_for_repair() {
    run(75, |context| async move {
        let mut cluster = four(&context, |cluster, index| Config {
            snapshot_interval: 0,
            section_blocks: NZU64!(4),
            ..cluster.config(index)
        })
        .await;
        reach(&cluster, 3, 30).await;
        halt(&context, &mut cluster, 3).await;
        let section = 8_u64.to_be_bytes();
        damage(&context, "node-3-blocks-value", &section).await;
        let mut config = Config { snapshot_interval: 0, section_blocks: NZU64!(4), ..cluster.config(3) };
        let refused = try_start(&context, &cluster, 3, config.clone()).await;
        let error = refused.err().expect("damaged").to_string();
        assert!(error.contains("node-3-blocks-value") && error.contains("height"), "{error}");
        config.repair = true;
        cluster.start_with(3, config).await;
        assert!(cluster.handle(3).height() < Height::new(12));
        assert!(
            !files(&context, "node-3-blocks-value-damaged").await.is_empty(),
            "kept for who wants to look"
        );
        agree(&cluster, 0..4, cluster.handle(0).height().get() + 5).await;
    });
}

#[test]
fn blocks_that_were_applied_and_are_gone_are_noticed() {
    run(76, |context| async move {
        let mut cluster = four(&context, with_snapshots).await;
        reach(&cluster, 3, 30).await;
        halt(&context, &mut cluster, 3).await;
        let newest = files(&context, "node-3-blocks-key").await.pop().expect("some");
        for part in ["key", "value"] {
            context.remove(&format!("node-3-blocks-{part}"), Some(&newest)).await.expect("removed");
        }
        let _ = context.remove("node-3-blocks-metadata", None).await;
        let mut config = with_snapshots(&cluster, 3);
        let refused = try_start(&context, &cluster, 3, config.clone()).await;
        assert!(matches!(refused, Err(StartError::Missing { .. })), "{:?}", refused.err());
        config.repair = true;
        cluster.start_with(3, config).await;
        agree(&cluster, 0..4, cluster.handle(0).height().get() + 5).await;
    });
}

#[test]
fn a_pruned_node_without_a_good_snapshot_is_repaired_from_peers() {
    run(77, |context| async move {
        let mut cluster = four(&context, with_pruning).await;
        reach(&cluster, 3, 60).await;
        halt(&context, &mut cluster, 3).await;
        for file in files(&context, "node-3-snapshots").await {
            damage(&context, "node-3-snapshots", &file).await;
        }
        let mut config = with_pruning(&cluster, 3);
        let refused = try_start(&context, &cluster, 3, config.clone()).await;
        let error = refused.err().expect("damaged").to_string();
        assert!(error.contains("node-3-snapshots") && error.contains("repair"), "{error}");
        config.repair = true;
        cluster.start_with(3, config).await;
        reach(&cluster, 3, cluster.handle(0).height().get() + 10).await;
        same_blocks(&cluster, 0, 3).await;
    });
}

#[test]
fn a_damaged_journal_of_votes_is_not_repaired_but_abstained_over() {
    run(78, |context| async move {
        let mut cluster = Cluster::new(&context, 4, 40).await;
        for index in 0..4 {
            let config = with_snapshots(&cluster, index);
            cluster.start_with(index, config).await;
        }
        reach(&cluster, 3, 65).await;
        halt(&context, &mut cluster, 3).await;
        let votes = files(&context, "node-3-simplex-1").await;
        assert!(votes.len() > 20, "{} views", votes.len());
        // Not in the zeros that fill its page.
        damage_at(&context, "node-3-simplex-1", &votes[3], 40).await;
        let mut config = with_snapshots(&cluster, 3);
        let refused = try_start(&context, &cluster, 3, config.clone()).await;
        let error = refused.err().expect("damaged");
        assert!(matches!(error, StartError::Votes { .. }), "{error}");
        config.repair = true;
        let at = cluster.handle(0).height();
        cluster.start_with(3, config.clone()).await;
        let until = cluster.handle(3).abstains_until().expect("abstains");
        assert_eq!(until.get(), 2);
        // Remembered over another restart.
        halt(&context, &mut cluster, 3).await;
        config.repair = false;
        cluster.start_with(3, config).await;
        assert_eq!(cluster.handle(3).abstains_until(), Some(until));
        let me = cluster.key(3).public_key();
        let mut subscription = cluster.handle(0).subscribe(at.next().next().next());
        let mut votes = 0;
        while votes < 2 {
            let Finalized { certificate, header, state, .. } = subscription.next().await.expect("runs");
            let voters = state.roster_for(header.epoch).expect("its own").voters.clone();
            let by = certificate.verify(&state.chain(), &voters, &header).expect("holds");
            assert!(!by.contains(&me) || header.epoch > until, "a vote in {}", header.epoch);
            votes += u64::from(by.contains(&me));
            assert!(header.height < Height::new(160), "it never votes again");
        }
    });
}

#[test]
fn a_damaged_hand_over_is_fetched_again() {
    run(79, |context| async move {
        let mut cluster = four(&context, with_pruning).await;
        rotate(&mut cluster, 0).await;
        reach(&cluster, 0, 60).await;
        halt(&context, &mut cluster, 0).await;
        let file = files(&context, "node-0-handovers").await.pop().expect("one");
        damage(&context, "node-0-handovers", &file).await;
        let mut config = with_pruning(&cluster, 0);
        let refused = try_start(&context, &cluster, 0, config.clone()).await;
        let error = refused.err().expect("damaged").to_string();
        assert!(error.contains("node-0-handovers"), "{error}");
        config.repair = true;
        cluster.start_with(0, config).await;
        while cluster.handle(0).handovers().await.is_empty() {
            context.sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(files(&context, "node-0-handovers").await, vec![file]);
        reach(&cluster, 0, cluster.handle(0).height().get() + 5).await;
    });
}

/// One life of a network: until it has made some blocks, or chance ends it. Returns the height that node 0 was at.
fn life(runner: deterministic::Runner, crash: bool) -> (u64, deterministic::Checkpoint) {
    runner.start_and_recover(|mut context| async move {
        *context.storage_fault_config().write() = FaultConfig::default().write(WriteConfig {
            failure_rate: probability!(0.0),
            retention_rate: probability!(0.5),
            mode: PartialWriteMode::Subset,
        });
        let mut cluster = Cluster::new(&context, 4, 8).await;
        for index in 0..4 {
            let config = Config {
                snapshot_interval: 2,
                history_blocks: Some(6),
                section_blocks: NZU64!(4),
                ..cluster.config(index)
            };
            cluster.start_with(index, config).await;
        }
        let at = cluster.handle(0).height().get();
        if crash {
            let ms = context.random_range(200..9_000);
            context.sleep(Duration::from_millis(ms)).await;
        } else {
            for index in 0..4 {
                reach(&cluster, index, at + 10).await;
                same_blocks(&cluster, 0, index).await;
            }
        }
        cluster.handle(0).height().get()
    })
}

#[test]
fn crashes_around_snapshots_lose_nothing() {
    for seed in 0..6 {
        let config =
            deterministic::Config::new().with_seed(seed).with_timeout(Some(Duration::from_secs(600)));
        let (mut at, mut disk) = life(deterministic::Runner::new(config), true);
        for _ in 0..5 {
            let (height, next) = life(deterministic::Runner::from(disk), true);
            assert!(height >= at, "seed {seed}: {at} blocks became {height}");
            (at, disk) = (height, next);
        }
        let (height, _) = life(deterministic::Runner::from(disk), false);
        assert!(height >= at + 10, "seed {seed}");
    }
}
