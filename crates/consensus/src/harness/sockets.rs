//! A node over real sockets. Not generic and boxed, so that the node is compiled once, here, and not again in each crate
//! that starts one: that is minutes of a release build.

use crate::{
    Config, Network, Node, StartError,
    common::network::{self, Channels, Copies, SocketPeers, SocketReceiver, SocketSender},
    harness::{Counted, Traffic},
};
use commonware_cryptography::Signer as _;
use commonware_runtime::{Supervisor as _, tokio::Context};
use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc};

/// Future of [`start`]: the node, and the fog's own channel.
pub type Starting = Pin<Box<dyn Future<Output = Result<(Node, Copies<Context>), StartError>> + Send>>;

/// The socket network with its messages counted, so that a node that is measured is the node that runs in earnest.
pub(crate) type CountedNetwork =
    Network<Counted<SocketSender<Context>>, SocketReceiver, SocketPeers, SocketPeers>;

/// Starts the socket network and a node on it. `listen` and `any_source_address` as in [`network::Config`].
///
/// # Errors
///
/// See [`Node::start`].
pub fn start(context: Context, listen: SocketAddr, any_source_address: bool, config: Config) -> Starting {
    Box::pin(async move {
        let traffic = Arc::new(Traffic::default());
        let (network, copies) =
            network(context.child("network"), listen, any_source_address, &config, traffic);
        Ok((Node::start(context.child("ledger"), config, network).await?, copies))
    })
}

/// Starts the socket network of a node with these settings.
pub(crate) fn network(
    context: Context,
    listen: SocketAddr,
    any_source_address: bool,
    config: &Config,
    traffic: Arc<Traffic>,
) -> (CountedNetwork, Copies<Context>) {
    let mut chain = [0; 32];
    chain.copy_from_slice(config.genesis.digest().as_ref());
    let private_key = config.private_key.clone();
    let me = private_key.public_key();
    let sockets = network::Config { private_key, chain, listen, any_source_address };
    let (Network { channels, peers, blocker }, copies, _task) = network::start(context, sockets);
    let count =
        |channel, (sender, receiver)| (Counted::new(sender, me.clone(), channel, traffic.clone()), receiver);
    let channels = Channels {
        votes: count(network::VOTES, channels.votes),
        certificates: count(network::CERTIFICATES, channels.certificates),
        resolver: count(network::RESOLVER, channels.resolver),
        blocks: count(network::BLOCKS, channels.blocks),
        backfill: count(network::BACKFILL, channels.backfill),
        transactions: count(network::TRANSACTIONS, channels.transactions),
        roots: count(network::ROOTS, channels.roots),
    };
    (Network { channels, peers, blocker }, copies)
}
