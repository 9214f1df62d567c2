//! The simulated network: links, channels, and what a fault does to them.

use super::{Counted, Error, Links, Traffic};
use crate::{
    PublicKey,
    network::{self, Channels, Fixed, Network},
};
use commonware_p2p::simulated::{self, Link, Oracle};
use commonware_runtime::{Quota, deterministic};
use commonware_utils::NZU32;
use std::{num::NonZeroU32, sync::Arc, time::Duration};

type Sender = Counted<simulated::Sender<PublicKey, deterministic::Context>>;
type Receiver = simulated::Receiver<PublicKey>;

/// The simulated network as [`Node::start`] takes it.
pub type SimulatedNetwork = Network<
    Sender,
    Receiver,
    Fixed<simulated::Manager<PublicKey, deterministic::Context>>,
    simulated::Control<PublicKey, deterministic::Context>,
>;

/// Messages per second and peer on a channel. Two votes a block at some hundred blocks a second on a `lan`: the nodes' own
/// quota of 128 would lose votes there. Channels whose receivers reserve room for a second of all peers get what they
/// need: 50 peers × 500 × some 200 B = 5 MB a node.
pub(super) fn quota(channel: u64) -> NonZeroU32 {
    match channel {
        network::VOTES | network::CERTIFICATES | network::TRANSACTIONS | network::ROOTS => NZU32!(4_000),
        network::BLOCKS => NZU32!(500),
        _ => network::QUOTA,
    }
}

pub(crate) type Control = Oracle<PublicKey, deterministic::Context>;

/// Links of a simulated network.
#[derive(Clone)]
pub(super) struct Wires {
    pub oracle: Control,
    pub keys: Vec<PublicKey>,
    pub links: Links,
    /// What these nodes send is under way as long as the plan's fault says.
    pub late: Vec<usize>,
    pub edge: Duration,
}

impl Wires {
    /// Mean latency of a link, without those that a fault slows down.
    pub fn mean_ms(&self) -> f64 {
        self.links.mean_ms()
    }

    fn link(&self, from: usize, to: usize) -> Link {
        let link = self.links.between(from, to).link();
        if self.late.contains(&from) { Link { latency: link.latency.max(self.edge), ..link } } else { link }
    }

    pub async fn connect(&self, from: usize, to: usize) -> Result<(), Error> {
        let (a, b) = (self.keys[from].clone(), self.keys[to].clone());
        self.oracle.add_link(a, b, self.link(from, to)).await.map_err(Error::Network)
    }

    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let n = self.keys.len();
        (0..n).flat_map(move |a| (0..n).filter(move |b| a != *b).map(move |b| (a, b)))
    }

    fn across(&self) -> impl Iterator<Item = (usize, usize)> {
        let half = self.keys.len() / 2;
        self.pairs().filter(move |(a, b)| (*a < half) != (*b < half))
    }

    /// Separates the first half of the nodes from the others.
    pub async fn cut(&self) -> Result<(), Error> {
        for (a, b) in self.across() {
            let (a, b) = (self.keys[a].clone(), self.keys[b].clone());
            self.oracle.remove_link(a, b).await.map_err(Error::Network)?;
        }
        Ok(())
    }

    /// Undoes [`Self::cut`].
    pub async fn heal(&self) -> Result<(), Error> {
        for (a, b) in self.across() {
            self.connect(a, b).await?;
        }
        Ok(())
    }
}

/// A node's channels of a simulated network, counted.
///
/// # Errors
///
/// If the network has ended.
pub(crate) async fn channels(
    oracle: &Control,
    me: PublicKey,
    quota: fn(u64) -> NonZeroU32,
    traffic: &Arc<Traffic>,
) -> Result<SimulatedNetwork, simulated::Error> {
    let control = oracle.control(me.clone());
    let register = async |channel| {
        let (sender, receiver) = control.register(channel, Quota::per_second(quota(channel))).await?;
        Ok((Counted::new(sender, me.clone(), channel, traffic.clone()), receiver))
    };
    let channels = Channels {
        votes: register(network::VOTES).await?,
        certificates: register(network::CERTIFICATES).await?,
        resolver: register(network::RESOLVER).await?,
        blocks: register(network::BLOCKS).await?,
        backfill: register(network::BACKFILL).await?,
        transactions: register(network::TRANSACTIONS).await?,
        roots: register(network::ROOTS).await?,
    };
    Ok(Network { channels, peers: Fixed(oracle.manager()), blocker: control })
}
