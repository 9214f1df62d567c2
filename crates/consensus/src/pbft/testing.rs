//! Test support: replicas of PBFT on the simulated network.

use crate::{
    Final, Running,
    harness::simulated_network::SimulatedNetwork,
    pbft::{Settings, start},
    testing::Cluster,
};
use commonware_consensus::Heightable as _;
use commonware_p2p::simulated::Link;
use commonware_runtime::{Clock as _, Supervisor as _, deterministic};
use commonware_utils::channel::mpsc;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use voltmesh_ledger::{BatchId, Block, Digest, Transaction};

struct Member {
    running: Running,
    finals: mpsc::UnboundedReceiver<Final>,
    blocks: Vec<Arc<Block>>,
}

/// Replicas by index, their blocks, and what all of them hold as final.
pub(super) struct Replicas {
    pub cluster: Cluster,
    context: deterministic::Context,
    pub settings: Settings,
    members: BTreeMap<usize, Member>,
    agreed: Vec<Digest>,
}

impl Replicas {
    /// `n` authorities, of whom none runs yet.
    pub async fn new(context: &deterministic::Context, n: usize, link: Link) -> Self {
        let cluster = Cluster::with_link(context, n, 1_000, link).await;
        let context = context.child("replicas");
        Self { cluster, context, settings: Settings::default(), members: BTreeMap::new(), agreed: Vec::new() }
    }

    pub async fn start(&mut self, index: usize) {
        let network = self.cluster.network(index).await;
        let config = self.cluster.config(index);
        let context = self.context.child("replica").with_attribute("index", index);
        let running = start(context, config, self.settings, network).await.expect("a fresh disk");
        let finals = running.replica.finals();
        self.members.insert(index, Member { running, finals, blocks: Vec::new() });
    }

    /// The channels of a replica that someone else plays.
    pub async fn network(&self, index: usize) -> SimulatedNetwork {
        self.cluster.network(index).await
    }

    /// Ends a replica as a crash does, which is for ever.
    pub fn crash(&mut self, index: usize) {
        self.members.remove(&index).expect("it runs");
    }

    /// Takes what became final, and holds it against what did elsewhere.
    pub fn collect(&mut self) {
        for (index, member) in &mut self.members {
            while let Ok(Final { block, digest, .. }) = member.finals.try_recv() {
                let at = member.blocks.len();
                assert_eq!(block.height().get(), at as u64 + 1, "replica {index} skips a block");
                if at == self.agreed.len() {
                    self.agreed.push(digest);
                }
                assert_eq!(self.agreed[at], digest, "replica {index} at height {}", at + 1);
                member.blocks.push(block);
            }
        }
    }

    pub fn height(&mut self, index: usize) -> u64 {
        self.collect();
        self.members[&index].blocks.len() as u64
    }

    /// The greatest height that is final anywhere.
    pub fn highest(&mut self) -> u64 {
        self.collect();
        self.agreed.len() as u64
    }

    pub fn view_changes(&self, index: usize) -> u64 {
        self.members[&index].running.replica.detours().view_changes
    }

    /// Runs the network until `done`.
    pub async fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        loop {
            self.collect();
            if done(self) {
                return;
            }
            self.context.sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until all that run hold the block at `height` as final.
    pub async fn reached(&mut self, height: u64) {
        self.until(|this| this.members.values().all(|member| member.blocks.len() as u64 >= height)).await;
    }

    /// Submits an anchor at each of `nodes`.
    pub fn submit(&mut self, nodes: impl IntoIterator<Item = usize>, tag: u64) -> Vec<BatchId> {
        let mut batches = Vec::new();
        for index in nodes {
            let (batch, transaction) = self.cluster.anchor(index, tag * 100 + index as u64);
            self.members[&index].running.replica.submit(transaction).expect("taken");
            batches.push(batch);
        }
        batches
    }

    /// Waits until `batches` are final at all that run, and checks that each is so once.
    pub async fn logged(&mut self, batches: &[BatchId]) {
        self.until(|this| {
            this.members.values().all(|member| {
                let found = anchored(&member.blocks);
                assert!(found.values().all(|count| *count == 1), "a batch is in the log twice");
                batches.iter().all(|batch| found.contains_key(batch))
            })
        })
        .await;
    }
}

fn anchored(blocks: &[Arc<Block>]) -> BTreeMap<BatchId, usize> {
    let mut found = BTreeMap::new();
    for transaction in blocks.iter().flat_map(|block| block.transactions()) {
        if let Transaction::Anchor(anchor) = transaction {
            for batch in &anchor.batches {
                *found.entry(*batch).or_default() += 1;
            }
        }
    }
    found
}
