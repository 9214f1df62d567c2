//! The node: starts, stops, and hands out its handle.

use crate::{
    PublicKey,
    common::{config::Config, error::StartError, network::Network, replica::Running},
    poa::{assembly::assemble, handle::Handle},
};
use commonware_p2p::{AddressableManager, Blocker, Receiver, Sender};
use commonware_runtime::{Clock, Handle as Task, Metrics, Spawner, Storage};
use commonware_utils::channel::oneshot;
use rand::rand_core::CryptoRng;
use std::sync::Arc;
use tracing::error;

/// A running node; dropping it ends it.
pub struct Node {
    handle: Handle,
    /// All other tasks are its descendants, so they end with it.
    root: Task<()>,
}

impl Node {
    /// Restores what is on disk and starts. Runs on any commonware runtime.
    ///
    /// # Panics
    ///
    /// Tasks of the node panic when the disk cannot be written, and when a final block does not follow from the ones
    /// before: going on would harm. Run the process so that it ends then.
    pub async fn start<E, S, R, P, B>(
        context: E,
        config: Config,
        network: Network<S, R, P, B>,
    ) -> Result<Self, StartError>
    where
        E: Clock + CryptoRng + Spawner + Storage + Metrics,
        S: Sender<PublicKey = PublicKey>,
        R: Receiver<PublicKey = PublicKey>,
        P: AddressableManager<PublicKey = PublicKey>,
        B: Blocker<PublicKey = PublicKey>,
    {
        let (started, ready) = oneshot::channel();
        let root = context.spawn(move |context| async move {
            match assemble(context, config, network).await {
                Ok((handle, tasks)) => {
                    let shared = handle.shared.clone();
                    let _ = started.send(Ok(handle));
                    let (result, index, _) = futures::future::select_all(tasks).await;
                    error!(?result, index, "a task of the node ended");
                    shared.stop();
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            }
        });
        match ready.await {
            Ok(Ok(handle)) => Ok(Self { handle, root }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StartError::Stopped),
        }
    }

    /// What the rest of the process may ask of the node.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Ends the node and waits until its main task has let go of storage and network.
    pub async fn stop(mut self) {
        self.handle.shared.stop();
        self.root.abort();
        let _ = (&mut self.root).await;
    }

    /// Resolves when the node has ended by itself, which is a fault unless the runtime is stopping: end the process.
    pub async fn failed(&mut self) {
        let _ = (&mut self.root).await;
        self.handle.shared.stop();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.handle.shared.stop();
        self.root.abort();
    }
}

impl From<Node> for Running {
    fn from(node: Node) -> Self {
        Self::new(Arc::new(node.handle()), node)
    }
}
