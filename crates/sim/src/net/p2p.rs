//! Messages between authorities: delay, loss, reordering, duplication, partitions, and twins.
//!
//! It stands for the authenticated p2p network: whom a message comes from is certain, whether it
//! comes is not. Two nodes exchange messages when both track the other and neither has blocked it.
//! In good times messages of one sender on one channel keep their order, as on one connection.
//!
//! **Twins** make an authority Byzantine without touching its code: two nodes run under one key,
//! each connected with half of the others. They vote and propose independently, so that others
//! see that authority equivocate.

use super::{
    address::NodeAddress,
    mailbox::{MAILBOX, Mailbox, MeshReceiver},
    streams::Net,
};
use commonware_actor::{Feedback, Unreliable};
use commonware_p2p::{
    Address, AddressableManager, AddressableTrackedPeers, BlockedSubscription, Blocker, Channel,
    CheckedSender, LimitedSender, PeerSetSubscription, PeerSetUpdate, Provider, Recipients, TrackedPeers,
};
use commonware_runtime::{Clock as _, IoBuf, IoBufs, deterministic};
use commonware_utils::{
    NZUsize,
    channel::{mpsc, ring},
    ordered::{Map, Set},
    sync::Mutex,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, SystemTime},
};
use voltmesh_ledger::PublicKey;

/// Delay, loss, duplication and reordering of messages.
#[derive(Clone, Debug)]
pub struct MessageQuality {
    /// Delay in milliseconds.
    pub latency_ms: RangeInclusive<u64>,
    /// Of 1,000 messages, how many are lost.
    pub loss_per_mille: u32,
    /// Of 1,000 messages, how many come twice.
    pub duplicates_per_mille: u32,
    /// Of 1,000 messages, how many may overtake or fall behind.
    pub reordered_per_mille: u32,
}

impl Default for MessageQuality {
    /// A good wired link.
    fn default() -> Self {
        Self { latency_ms: 1..=10, loss_per_mille: 0, duplicates_per_mille: 0, reordered_per_mille: 0 }
    }
}

/// All authorities' connections. Clones are the same mesh.
#[derive(Clone)]
pub struct Mesh(Arc<Mutex<Inner>>);

struct Inner {
    context: Arc<deterministic::Context>,
    net: Net,
    rng: StdRng,
    quality: MessageQuality,
    nodes: BTreeMap<NodeAddress, Node>,
    sequence: u64,
    counters: Counters,
}

/// Counters of what happened to messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Delivered.
    pub delivered: u64,
    /// Lost by chance or a cut.
    pub lost: u64,
    /// Delivered twice.
    pub duplicated: u64,
    /// Out of order.
    pub reordered: u64,
    /// Times that one authority blocked another for provable misbehaviour.
    pub blocked: u64,
}

struct Node {
    key: PublicKey,
    /// Of twins, which half of the others this one is connected with.
    half: Option<bool>,
    tracked: Option<AddressableTrackedPeers<PublicKey>>,
    tracked_id: u64,
    subscribers: Vec<mpsc::UnboundedSender<PeerSetUpdate<PublicKey>>>,
    blocked: BTreeSet<PublicKey>,
    blocked_subscribers: Vec<ring::Sender<Set<PublicKey>>>,
    mailboxes: BTreeMap<Channel, Arc<Mailbox>>,
}

impl Mesh {
    /// A mesh without nodes over the links of `net`, whose cuts it obeys.
    pub fn new(context: deterministic::Context, net: Net, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            context: Arc::new(context),
            net,
            rng: StdRng::seed_from_u64(seed),
            quality: MessageQuality::default(),
            nodes: BTreeMap::new(),
            sequence: 0,
            counters: Counters::default(),
        })))
    }

    /// Changes what happens to messages from now on.
    pub fn set(&self, quality: MessageQuality) {
        self.0.lock().quality = quality;
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.0.lock().counters
    }

    /// Connects a node's process; what was queued for an earlier one is gone.
    pub fn join(&self, place: NodeAddress, key: PublicKey, half: Option<bool>) -> Port {
        let node = Node {
            key,
            half,
            tracked: None,
            tracked_id: 0,
            subscribers: Vec::new(),
            blocked: BTreeSet::new(),
            blocked_subscribers: Vec::new(),
            mailboxes: BTreeMap::new(),
        };
        self.0.lock().nodes.insert(place, node);
        Port { mesh: self.clone(), place }
    }

    /// Disconnects a node.
    pub fn leave(&self, place: NodeAddress) {
        self.0.lock().nodes.remove(&place);
    }
}

impl Inner {
    /// Whether the connection between two nodes exists.
    fn connected(&self, from: NodeAddress, to: NodeAddress) -> bool {
        let (Some(a), Some(b)) = (self.nodes.get(&from), self.nodes.get(&to)) else { return false };
        let tracks = |node: &Node, peer: &PublicKey| {
            let known = node.tracked.as_ref().is_some_and(|tracked| {
                tracked.primary.position(peer).is_some() || tracked.secondary.position(peer).is_some()
            });
            known && !node.blocked.contains(peer)
        };
        let halves = match (a.half, b.half) {
            (Some(half), None) => half == to.0.is_multiple_of(2),
            (None, Some(half)) => half == from.0.is_multiple_of(2),
            _ => true,
        };
        from != to && a.key != b.key && halves && tracks(a, &b.key) && tracks(b, &a.key)
    }

    fn send(
        &mut self,
        from: NodeAddress,
        channel: Channel,
        recipients: &Recipients<PublicKey>,
        message: &IoBuf,
    ) {
        let Some(sender) = self.nodes.get(&from).map(|node| node.key.clone()) else { return };
        let wanted = |key: &PublicKey| match recipients {
            Recipients::All => true,
            Recipients::Some(some) => some.contains(key),
            Recipients::One(one) => one == key,
        };
        let places: Vec<NodeAddress> =
            self.nodes.iter().filter(|(_, node)| wanted(&node.key)).map(|(place, _)| *place).collect();
        for to in places {
            if !self.connected(from, to) {
                continue;
            }
            let Some(mailbox) = self.nodes.get(&to).and_then(|node| node.mailboxes.get(&channel)).cloned()
            else {
                continue;
            };
            let lost = self.net.is_cut(from, to) || self.chance(self.quality.loss_per_mille);
            if lost {
                self.counters.lost += 1;
                continue;
            }
            let copies = 1 + u32::from(self.chance(self.quality.duplicates_per_mille));
            self.counters.duplicated += u64::from(copies - 1);
            for _ in 0..copies {
                self.deliver(&mailbox, &sender, message);
            }
        }
    }

    fn deliver(&mut self, mailbox: &Mailbox, sender: &PublicKey, message: &IoBuf) {
        let delay = Duration::from_millis(self.rng.random_range(self.quality.latency_ms.clone()));
        let mut at = self.context.current() + delay;
        let mut last = mailbox.last.lock();
        let previous = last.entry(sender.clone()).or_insert(at);
        if self.quality.reordered_per_mille > 0
            && self.rng.random_range(0..1000) < self.quality.reordered_per_mille
        {
            at += Duration::from_millis(self.rng.random_range(0..200));
            self.counters.reordered += 1;
        } else {
            at = at.max(*previous);
            *previous = at;
        }
        drop(last);
        let mut queue = mailbox.queue.lock();
        if queue.len() >= MAILBOX {
            self.counters.lost += 1;
            return;
        }
        self.sequence += 1;
        queue.insert((at, self.sequence), (sender.clone(), message.clone()));
        self.counters.delivered += 1;
        drop(queue);
        mailbox.waker.wake();
    }

    fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.rng.random_range(0..1000) < per_mille
    }
}

/// A node's access to the mesh: manages its peers, and blocks them.
#[derive(Clone)]
pub struct Port {
    mesh: Mesh,
    place: NodeAddress,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("place", &self.place).finish()
    }
}

impl Port {
    /// Opens a channel.
    pub fn channel(&self, channel: Channel) -> (MeshSender, MeshReceiver) {
        let mailbox = Arc::new(Mailbox::default());
        let mut inner = self.mesh.0.lock();
        if let Some(node) = inner.nodes.get_mut(&self.place) {
            node.mailboxes.insert(channel, mailbox.clone());
        }
        let context = inner.context.clone();
        (MeshSender { port: self.clone(), channel }, MeshReceiver { mailbox, context, timer: None })
    }

    /// Keys of the nodes that are connected now.
    pub fn connected(&self) -> Vec<PublicKey> {
        let inner = self.mesh.0.lock();
        let there = |place: &NodeAddress| {
            inner.connected(self.place, *place) && !inner.net.is_cut(self.place, *place)
        };
        inner.nodes.iter().filter(|(place, _)| there(place)).map(|(_, node)| node.key.clone()).collect()
    }

    fn with<T>(&self, f: impl FnOnce(&mut Node) -> T) -> Option<T> {
        self.mesh.0.lock().nodes.get_mut(&self.place).map(f)
    }
}

fn plain(peers: &AddressableTrackedPeers<PublicKey>) -> TrackedPeers<PublicKey> {
    TrackedPeers::new(peers.primary.keys().clone(), peers.secondary.keys().clone())
}

impl Provider for Port {
    type PublicKey = PublicKey;

    async fn peer_set(&mut self, id: u64) -> Option<TrackedPeers<PublicKey>> {
        self.with(|node| node.tracked.as_ref().filter(|_| node.tracked_id == id).map(plain)).flatten()
    }

    async fn subscribe(&mut self) -> PeerSetSubscription<PublicKey> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.with(|node| {
            if let Some(tracked) = &node.tracked {
                let latest = plain(tracked);
                let _ = sender.send(PeerSetUpdate { index: node.tracked_id, all: latest.clone(), latest });
            }
            node.subscribers.push(sender);
        });
        receiver
    }
}

impl AddressableManager for Port {
    fn track<R>(&mut self, id: u64, peers: R) -> Feedback
    where
        R: Into<AddressableTrackedPeers<PublicKey>> + Send,
    {
        let peers = peers.into();
        let done = self.with(|node| {
            let latest = plain(&peers);
            node.tracked = Some(peers);
            node.tracked_id = id;
            let update = PeerSetUpdate { index: id, all: latest.clone(), latest };
            node.subscribers.retain(|subscriber| subscriber.send(update.clone()).is_ok());
        });
        if done.is_some() { Feedback::Ok } else { Feedback::Closed }
    }

    fn overwrite(&mut self, _: Map<PublicKey, Address>) -> Feedback {
        Feedback::Ok
    }
}

impl Blocker for Port {
    type PublicKey = PublicKey;

    fn block(&mut self, peer: PublicKey) -> Feedback {
        let mut inner = self.mesh.0.lock();
        inner.counters.blocked += 1;
        let Some(node) = inner.nodes.get_mut(&self.place) else { return Feedback::Closed };
        node.blocked.insert(peer);
        let blocked = Set::from_iter_dedup(node.blocked.iter().cloned());
        node.blocked_subscribers.retain(|subscriber| subscriber.send_lossy(blocked.clone()));
        Feedback::Ok
    }

    fn blocked(&mut self) -> BlockedSubscription<PublicKey> {
        let (sender, receiver) = ring::channel(NZUsize!(1));
        self.with(|node| {
            sender.send_lossy(Set::from_iter_dedup(node.blocked.iter().cloned()));
            node.blocked_subscribers.push(sender);
        });
        receiver
    }
}

/// Sends on one channel.
#[derive(Clone, Debug)]
pub struct MeshSender {
    port: Port,
    channel: Channel,
}

/// A send to recipients; the mesh limits no rates.
pub struct Addressed<'a> {
    sender: &'a MeshSender,
    recipients: Recipients<PublicKey>,
}

impl LimitedSender for MeshSender {
    type PublicKey = PublicKey;
    type Checked<'a> = Addressed<'a>;

    fn check(&mut self, recipients: Recipients<PublicKey>) -> Result<Addressed<'_>, SystemTime> {
        Ok(Addressed { sender: self, recipients })
    }
}

impl CheckedSender for Addressed<'_> {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        let connected = self.sender.port.connected();
        match &self.recipients {
            Recipients::All => connected,
            Recipients::Some(some) => some.iter().filter(|key| connected.contains(key)).cloned().collect(),
            Recipients::One(one) => connected.into_iter().filter(|key| key == one).collect(),
        }
    }

    fn send(self, message: impl Into<IoBufs> + Send, _: bool) -> Unreliable<Feedback> {
        let message = message.into().coalesce();
        let mut inner = self.sender.port.mesh.0.lock();
        if !inner.nodes.contains_key(&self.sender.port.place) {
            return Unreliable::new(Feedback::Closed);
        }
        inner.send(self.sender.port.place, self.sender.channel, &self.recipients, &message);
        Unreliable::new(Feedback::Ok)
    }
}
