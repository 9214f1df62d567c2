//! A node over real sockets. Not generic and boxed, so that the node is compiled once, here, and not again in each crate
//! that starts one: that is minutes of a release build.

use crate::{
    Config, Node, StartError,
    network::{self, Copies},
};
use commonware_runtime::{Supervisor as _, tokio::Context};
use std::{future::Future, net::SocketAddr, pin::Pin};

/// What [`start`] resolves to: the node, and the fog's own channel.
pub type Starting = Pin<Box<dyn Future<Output = Result<(Node, Copies<Context>), StartError>> + Send>>;

/// Starts the socket network and a node on it. `listen` and `any_source_address` as in [`network::Config`].
///
/// # Errors
///
/// See [`Node::start`].
pub fn start(context: Context, listen: SocketAddr, any_source_address: bool, config: Config) -> Starting {
    Box::pin(async move {
        let mut chain = [0; 32];
        chain.copy_from_slice(config.genesis.digest().as_ref());
        let private_key = config.private_key.clone();
        let sockets = network::Config { private_key, chain, listen, any_source_address };
        let (network, copies, _task) = network::start(context.child("network"), sockets);
        Ok((Node::start(context.child("ledger"), config, network).await?, copies))
    })
}
