//! Authenticated channels between authorities.
//!
//! **Provided:** mutual authentication and encryption by Ed25519 keys, connections only with tracked peers, a quota
//! per channel and peer, a bound on every message's size.
//!
//! **Not provided:** protection against floods below the handshake (that is the firewall's), discovery (addresses come
//! from configuration).

use crate::PublicKey;
use commonware_cryptography::{ChaCha20Poly1305, ed25519::PrivateKey};
use commonware_p2p::{
    Address, AddressableManager, AddressableTrackedPeers, Ingress, PeerSetSubscription, Provider,
    TrackedPeers, authenticated::lookup,
};
use commonware_runtime::{Clock, Handle as Task, Metrics, Network as Sockets, Quota, Resolver, Spawner};
use commonware_stream::{
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{Hostname, NZU32, NZUsize, ordered::Map};
use rand::rand_core::CryptoRng;
use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU32, time::Duration};

/// Votes of simplex.
pub const VOTES: u64 = 0;
/// Certificates of simplex.
pub const CERTIFICATES: u64 = 1;
/// Requests of simplex for missing certificates.
pub const RESOLVER: u64 = 2;
/// Proposed blocks.
pub const BLOCKS: u64 = 3;
/// Requests for finalized blocks.
pub const BACKFILL: u64 = 4;
/// Transactions on their way into a block.
pub const TRANSACTIONS: u64 = 5;
/// Signatures of log roots, and how far each node is.
pub const ROOTS: u64 = 6;
/// The fog's own: second copies of records from clients without a spool.
pub const COPIES: u64 = 7;

/// Largest message on any channel: a block or a copy with its certificate and framing. Blocks are at most
/// [`voltmesh_ledger::MAX_BLOCK_BYTES`]; copies hold a batch of at most 1 MiB.
pub const MAX_MESSAGE_BYTES: u32 = 4 * 1024 * 1024;

/// Nodes that one keeps connections with: [`voltmesh_ledger::MAX_AUTHORITIES`] and some newcomers.
pub const MAX_PEERS: usize = 160;

/// Messages per second and peer on each channel: at ten blocks a second some thirty; the rest is for catching up. Every
/// channel's queue has room for a second of all peers: 160 × 128.
pub const QUOTA: NonZeroU32 = NZU32!(128);

/// Channels on which a node sends and receives.
#[derive(Debug)]
pub struct Channels<S, R> {
    /// [`VOTES`].
    pub votes: (S, R),
    /// [`CERTIFICATES`].
    pub certificates: (S, R),
    /// [`RESOLVER`].
    pub resolver: (S, R),
    /// [`BLOCKS`].
    pub blocks: (S, R),
    /// [`BACKFILL`].
    pub backfill: (S, R),
    /// [`TRANSACTIONS`].
    pub transactions: (S, R),
    /// [`ROOTS`].
    pub roots: (S, R),
}

/// A node's connections: the channels, who may connect (`peers`), and who may not any more (`blocker`).
#[derive(Debug)]
pub struct Network<S, R, P, B> {
    /// What the node itself sends and receives on.
    pub channels: Channels<S, R>,
    /// Says whom to keep connections with.
    pub peers: P,
    /// Disconnects peers that sent provably wrong data.
    pub blocker: B,
}

/// Address at which a node listens, and its key.
#[derive(Clone)]
pub struct Config {
    /// The authority's key; its public half is its name among authorities.
    pub private_key: PrivateKey,
    /// Digest of the genesis, so that nodes of different chains never talk.
    pub chain: [u8; 32],
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Accept a known key from an unknown address (behind address translation). Default false.
    pub any_source_address: bool,
}

/// Sender of the socket network.
pub type SocketSender<E> = lookup::Sender<PublicKey, E>;
/// Receiver of the socket network.
pub type SocketReceiver = lookup::Receiver<PublicKey>;
/// Peer sets of the socket network; also blocks peers.
pub type SocketPeers = lookup::Oracle<PublicKey>;
/// The socket network as [`crate::Node::start`] takes it.
pub type SocketNetwork<E> = Network<SocketSender<E>, SocketReceiver, SocketPeers, SocketPeers>;

/// The fog's own channel beside the node's network.
pub type Copies<E> = (SocketSender<E>, SocketReceiver);

/// Starts the socket network. Returns it, the fog's own channel, and the task that runs it.
pub fn start<E>(context: E, config: Config) -> (SocketNetwork<E>, Copies<E>, Task<()>)
where
    E: Spawner + Clock + CryptoRng + Sockets + Resolver + Metrics,
{
    let handshake = Cups::<_, ChaCha20Poly1305>::new(
        Sake {
            signer: config.private_key,
            synchrony_bound: Duration::from_secs(10),
            max_handshake_age: Duration::from_secs(20),
            version: sake::Version::V1,
        },
        cups::Version::V1,
    );
    let mut namespace = b"voltmesh-p2p-".to_vec();
    namespace.extend_from_slice(&config.chain);
    let mut settings = lookup::Config::local(
        handshake,
        &namespace,
        config.listen,
        NZUsize!(MAX_PEERS),
        MAX_MESSAGE_BYTES,
        NZUsize!(1_024),
    );
    settings.bypass_ip_check = config.any_source_address;
    // All nodes of a demo share one address.
    settings.allowed_handshake_rate_per_ip = Quota::per_second(NZU32!(64));
    settings.peer_connection_cooldown = Duration::from_millis(500);
    settings.dial_frequency = Duration::from_millis(250);
    settings.dial_timeout = Duration::from_secs(5);
    settings.block_duration = Duration::from_secs(600);
    // A removed authority is to lose its connections now, not three changes later.
    settings.tracked_peer_sets = NZUsize!(1);

    let (mut network, oracle) = lookup::Network::new(context, settings);
    let mut register = |channel| network.register(channel, Quota::per_second(QUOTA));
    let channels = Channels {
        votes: register(VOTES),
        certificates: register(CERTIFICATES),
        resolver: register(RESOLVER),
        blocks: register(BLOCKS),
        backfill: register(BACKFILL),
        transactions: register(TRANSACTIONS),
        roots: register(ROOTS),
    };
    let copies = register(COPIES);
    let task = network.start();
    (Network { channels, peers: oracle.clone(), blocker: oracle }, copies, task)
}

/// Reads `host:port`, a name or an address.
pub fn parse_address(text: &str) -> Option<Address> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(Address::Symmetric(socket));
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = Hostname::new(host).ok()?;
    // A name has no fixed source address: `any_source_address` must be set for such peers to connect to us.
    let egress = SocketAddr::from(([0, 0, 0, 0], port));
    Some(Address::Asymmetric { ingress: Ingress::Dns { host, port }, egress })
}

/// Peer sets that the surroundings decide (a simulated network where everyone is everyone's peer).
#[derive(Clone, Debug)]
pub struct Fixed<P>(pub P);

impl<P: Provider<PublicKey = PublicKey>> Provider for Fixed<P> {
    type PublicKey = PublicKey;

    async fn peer_set(&mut self, id: u64) -> Option<TrackedPeers<PublicKey>> {
        self.0.peer_set(id).await
    }

    async fn subscribe(&mut self) -> PeerSetSubscription<PublicKey> {
        self.0.subscribe().await
    }
}

impl<P: Provider<PublicKey = PublicKey>> AddressableManager for Fixed<P> {
    fn track<T>(&mut self, _: u64, _: T) -> commonware_actor::Feedback
    where
        T: Into<AddressableTrackedPeers<PublicKey>> + Send,
    {
        commonware_actor::Feedback::Ok
    }

    fn overwrite(&mut self, _: Map<PublicKey, Address>) -> commonware_actor::Feedback {
        commonware_actor::Feedback::Ok
    }
}

/// Addresses by key, as configured.
pub type AddressBook = BTreeMap<PublicKey, Address>;
