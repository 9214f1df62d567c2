//! Test support: a whole network of nodes over simulated links in one deterministic runtime.

use crate::{
    Config, Handle, Node, PublicKey,
    common::network,
    harness::{Traffic, simulated_network::channels},
};
use commonware_cryptography::Signer as _;
use commonware_p2p::{
    Manager as _,
    simulated::{self, Link, Oracle},
};
use commonware_runtime::{Supervisor as _, deterministic};
use commonware_utils::{NZUsize, ordered::Set, probability};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use voltmesh_ledger::{Anchor, BatchId, PrivateKey, Transaction, testing};

pub use crate::harness::{load::batch, simulated_network::SimulatedNetwork};

/// A link of 10 ms with some jitter that loses nothing.
pub fn good_link() -> Link {
    Link {
        latency: Duration::from_millis(10),
        jitter: Duration::from_millis(2),
        success_rate: probability!(1.0),
    }
}

/// Most nodes of a cluster, newcomers included.
const MAX_NODES: usize = 32;

struct Member {
    key: PrivateKey,
    node: Option<Node>,
    /// Counts starts, so that metrics of one do not meet those of another.
    starts: usize,
    partition: String,
    sequence: u64,
}

/// Nodes with their keys, disks and links.
pub struct Cluster {
    context: deterministic::Context,
    oracle: Oracle<PublicKey, deterministic::Context>,
    keys: testing::Network,
    members: Vec<Member>,
    link: Link,
    cut: BTreeSet<(usize, usize)>,
    tracked: u64,
}

impl Cluster {
    /// `n` authorities in epochs of so many blocks; none runs yet.
    pub async fn new(context: &deterministic::Context, n: usize, epoch_length: u64) -> Self {
        Self::with_link(context, n, epoch_length, good_link()).await
    }

    /// As [`Self::new`], with links of that quality.
    pub async fn with_link(
        context: &deterministic::Context,
        n: usize,
        epoch_length: u64,
        link: Link,
    ) -> Self {
        Self::of(context, testing::Network::with_epochs(n as u64, epoch_length), link).await
    }

    /// The authorities of `keys`' genesis; none runs yet.
    pub async fn of(context: &deterministic::Context, keys: testing::Network, link: Link) -> Self {
        let n = keys.genesis().authorities.len();
        let (network, oracle) = simulated::Network::new(
            context.child("network"),
            simulated::Config {
                max_size: network::MAX_MESSAGE_BYTES,
                max_peers_per_set: NZUsize!(MAX_NODES),
                disconnect_on_block: true,
                tracked_peer_sets: NZUsize!(1),
            },
        );
        network.start();
        let mut this = Self {
            context: context.child("cluster"),
            oracle,
            members: Vec::new(),
            keys,
            link,
            cut: BTreeSet::new(),
            tracked: 0,
        };
        for index in 0..n {
            let key = this.keys.authority(index).clone();
            this.add(key).await;
        }
        this
    }

    /// Adds a node with this key, which does not run yet; returns its index.
    pub async fn add(&mut self, key: PrivateKey) -> usize {
        let index = self.members.len();
        let partition = format!("node-{index}");
        self.keys.add_key(key.clone());
        self.members.push(Member { key, node: None, starts: 0, partition, sequence: 0 });
        let peers = Set::from_iter_dedup(self.members.iter().map(|member| member.key.public_key()));
        self.oracle.manager().track(self.tracked, peers);
        self.tracked += 1;
        for other in 0..index {
            self.connect(other, index).await;
        }
        index
    }

    /// Keys of authorities and operators.
    pub fn keys(&self) -> &testing::Network {
        &self.keys
    }

    /// Key of a node.
    pub fn key(&self, index: usize) -> &PrivateKey {
        &self.members[index].key
    }

    /// How many nodes there are, running or not.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The settings that [`Self::start`] uses.
    pub fn config(&self, index: usize) -> Config {
        let member = &self.members[index];
        let mut config = Config::new(member.key.clone(), self.keys.genesis().clone());
        config.partition.clone_from(&member.partition);
        config
    }

    /// Starts a node, from its disk if it ran before.
    ///
    /// # Panics
    ///
    /// If it runs already, or cannot start.
    pub async fn start(&mut self, index: usize) {
        let config = self.config(index);
        self.start_with(index, config).await;
    }

    /// As [`Self::start`], with other settings.
    ///
    /// # Panics
    ///
    /// If it runs already, or cannot start.
    pub async fn start_with(&mut self, index: usize, config: Config) {
        assert!(self.members[index].node.is_none(), "node {index} runs already");
        let network = self.network(index).await;
        let member = &mut self.members[index];
        let context =
            self.context.child("node").with_attribute("index", index).with_attribute("start", member.starts);
        member.starts += 1;
        match Node::start(context, config, network).await {
            Ok(node) => member.node = Some(node),
            Err(error) => panic!("node {index} does not start: {error}"),
        }
    }

    /// The channels of a node, for those who run something else under its key.
    ///
    /// # Panics
    ///
    /// If the simulated network has ended.
    pub async fn network(&self, index: usize) -> SimulatedNetwork {
        let me = self.members[index].key.public_key();
        let traffic = Arc::new(Traffic::default());
        match channels(&self.oracle, me, |_| network::QUOTA, &traffic).await {
            Ok(network) => network,
            Err(error) => panic!("no channels: {error}"),
        }
    }

    /// Ends a node as a crash of its process does.
    pub async fn stop(&mut self, index: usize) {
        if let Some(node) = self.members[index].node.take() {
            node.stop().await;
        }
    }

    /// Replaces a node's disk by an empty one.
    ///
    /// # Panics
    ///
    /// If it runs.
    pub fn wipe(&mut self, index: usize) {
        let member = &mut self.members[index];
        assert!(member.node.is_none(), "node {index} runs");
        member.partition = format!("{}-wiped", member.partition);
    }

    /// A running node's handle.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn handle(&self, index: usize) -> Handle {
        match &self.members[index].node {
            Some(node) => node.handle(),
            None => panic!("node {index} does not run"),
        }
    }

    /// An anchor of a node with one batch, named by `tag`.
    pub fn anchor(&mut self, index: usize, tag: u64) -> (BatchId, Transaction) {
        let chain = self.keys.genesis().digest();
        let member = &mut self.members[index];
        let batch = batch(tag);
        let anchor = Anchor::sign(&chain, &member.key, member.sequence, 1, vec![batch]);
        member.sequence += 1;
        (batch, Transaction::Anchor(anchor))
    }

    /// Cuts all links between `group` and the others.
    pub async fn partition(&mut self, group: &[usize]) {
        for a in 0..self.members.len() {
            for b in 0..a {
                if group.contains(&a) != group.contains(&b) && self.cut.insert((b, a)) {
                    let (a, b) = (self.members[a].key.public_key(), self.members[b].key.public_key());
                    let _ = self.oracle.remove_link(a.clone(), b.clone()).await;
                    let _ = self.oracle.remove_link(b, a).await;
                }
            }
        }
    }

    /// Restores all links, with this quality from now on.
    pub async fn heal(&mut self, link: Link) {
        self.link = link;
        self.cut.clear();
        for a in 0..self.members.len() {
            for b in 0..a {
                self.connect(b, a).await;
            }
        }
    }

    /// Gives all links of one node another quality.
    pub async fn relink(&mut self, index: usize, link: Link) {
        let usual = std::mem::replace(&mut self.link, link);
        for other in (0..self.members.len()).filter(|other| *other != index) {
            self.connect(other, index).await;
        }
        self.link = usual;
    }

    async fn connect(&self, a: usize, b: usize) {
        let (a, b) = (self.members[a].key.public_key(), self.members[b].key.public_key());
        let _ = self.oracle.remove_link(a.clone(), b.clone()).await;
        let _ = self.oracle.remove_link(b.clone(), a.clone()).await;
        let _ = self.oracle.add_link(a.clone(), b.clone(), self.link.clone()).await;
        let _ = self.oracle.add_link(b, a, self.link.clone()).await;
    }
}
