//! Whole networks under the deterministic runtime.

mod agreement;
mod attacks;
mod committee;
mod controllers;
mod decrees;
mod election;
mod idle;
mod operation;
mod seeds;

use crate::{
    Finalized,
    harness::adversary::{self, Fault},
    testing::{Cluster, good_link},
};
use commonware_cryptography::{Digestible as _, Hasher as _, Sha256, Signer as _};
use commonware_p2p::simulated::Link;
use commonware_runtime::{Clock as _, Runner as _, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::{SystemTimeExt as _, probability};
use std::{collections::BTreeMap, future::Future, time::Duration};
use voltmesh_ledger::{Action, BatchId, Height, MAX_ANCHORS_PER_AUTHORITY, Trust, testing::key};

/// Runs `test` with this seed; a failure names it.
fn run<F, Fut>(seed: u64, test: F)
where
    F: FnOnce(deterministic::Context) -> Fut,
    Fut: Future<Output = ()>,
{
    let runner = deterministic::Runner::new(
        deterministic::Config::new().with_seed(seed).with_timeout(Some(Duration::from_secs(600))),
    );
    runner.start(test);
}

async fn started(context: &deterministic::Context, n: usize, epoch_length: u64) -> Cluster {
    let mut cluster = Cluster::new(context, n, epoch_length).await;
    for index in 0..n {
        cluster.start(index).await;
    }
    cluster
}

/// Waits until all of `nodes` are at `height` and checks that they hold the same blocks up to there.
async fn agree(cluster: &Cluster, nodes: impl IntoIterator<Item = usize> + Clone, height: u64) {
    for index in nodes.clone() {
        assert!(cluster.handle(index).reached(Height::new(height)).await, "node {index} ended");
    }
    let mut digests = BTreeMap::new();
    for index in nodes {
        for height in 1..=height {
            let block = cluster.handle(index).block(Height::new(height)).await.expect("final block is here");
            let digest = block.digest();
            assert_eq!(*digests.entry(height).or_insert(digest), digest, "node {index} at height {height}");
        }
    }
}

/// Everything that a node delivers until it has delivered `height`.
async fn deliver(cluster: &Cluster, node: usize, from: u64, height: u64) -> Vec<Finalized> {
    let mut subscription = cluster.handle(node).subscribe(Height::new(from));
    let mut out: Vec<Finalized> = Vec::new();
    while out.last().is_none_or(|last| last.block.header().height.get() < height) {
        out.push(subscription.next().await.expect("node runs"));
    }
    out
}

/// Waits until `batches` are in the log at `node`, each once, and returns the height by which they are.
async fn logged(cluster: &Cluster, node: usize, batches: &[BatchId]) -> u64 {
    let mut subscription = cluster.handle(node).subscribe(Height::new(1));
    let mut found: BTreeMap<BatchId, usize> = BTreeMap::new();
    let mut height = 0;
    while batches.iter().any(|batch| !found.contains_key(batch)) {
        let finalized = subscription.next().await.expect("node runs");
        height = finalized.block.header().height.get();
        check(cluster, &finalized);
        for entry in &finalized.entries {
            *found.entry(entry.batch).or_default() += 1;
        }
    }
    assert!(found.values().all(|count| *count == 1), "a batch is in the log twice");
    height
}

/// What a subscriber may rely on.
fn check(cluster: &Cluster, finalized: &Finalized) {
    let genesis = cluster.keys().genesis();
    let roster = finalized.state.roster_for(finalized.header.epoch).expect("its own epoch");
    let authorities = &roster.authorities;
    finalized
        .certificate
        .verify(&genesis.digest(), &roster.voters, &finalized.header)
        .expect("certificate holds");
    assert_eq!(finalized.state.header(), &finalized.header);
    if finalized.entries.is_empty() {
        return;
    }
    assert!(finalized.root_signatures.len() >= genesis.root_quorum(authorities));
    for receipt in &finalized.root_signatures {
        assert!(authorities.contains(&receipt.authority));
        receipt.verify(&genesis.digest(), &finalized.header).expect("root signature holds");
    }
    for entry in &finalized.entries {
        // RFC 9162 2.1.1
        let leaf = Sha256::hash(&[[0].as_slice(), entry.batch.as_bytes().as_slice()]);
        let leaf = voltmesh_ledger::Commitment::new(leaf.0);
        assert!(entry.inclusion.verify(&leaf, &finalized.header.log_root), "path leads elsewhere");
    }
}

/// Submits an anchor at each of `nodes` and returns their batches.
fn submit(cluster: &mut Cluster, nodes: impl IntoIterator<Item = usize>, tag: u64) -> Vec<BatchId> {
    let mut batches = Vec::new();
    for index in nodes {
        let (batch, transaction) = cluster.anchor(index, tag * 100 + index as u64);
        cluster.handle(index).submit(transaction).expect("taken");
        batches.push(batch);
    }
    batches
}

/// Three nodes and one that has this fault; returns the cluster when the three have got work done.
async fn beside(context: &deterministic::Context, fault: Fault) -> Cluster {
    let mut cluster = Cluster::new(context, 4, 1_000).await;
    let (genesis, key) = (cluster.keys().genesis().clone(), cluster.key(3).clone());
    let network = cluster.network(3).await;
    context.child("adversary").spawn(move |_| adversary::run(fault, genesis, key, network));
    for index in 0..3 {
        cluster.start(index).await;
    }
    let batches = submit(&mut cluster, 0..3, 1);
    let height = logged(&cluster, 0, &batches).await;
    agree(&cluster, 0..3, height + 10).await;
    cluster
}
