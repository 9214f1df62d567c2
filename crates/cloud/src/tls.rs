//! HTTP over mutual TLS: handshakes run beside each other, so that a slow client holds up nobody.

use axum::serve::Listener;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};
use voltmesh_identity::{Peer, Role};

/// Handshakes at once.
const MAX_HANDSHAKES: usize = 32;
/// Longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Roles that may read the archive.
const READERS: [Role; 3] = [Role::Operator, Role::Cloud, Role::Controller];

/// Accepts clients with a certificate of the CA and one of the reading roles.
pub struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    task: JoinHandle<()>,
}

impl TlsListener {
    /// Takes over a listening socket. `config` is that of the MQTT server, but for the protocol spoken inside.
    pub fn new(listener: TcpListener, config: &ServerConfig) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(MAX_HANDSHAKES);
        let mut config = config.clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let slots = Arc::new(Semaphore::new(MAX_HANDSHAKES));
        let task = tokio::spawn(async move {
            loop {
                let Ok(slot) = slots.clone().acquire_owned().await else { return };
                let Ok((stream, from)) = listener.accept().await else {
                    // Out of file descriptors, mostly: let some close.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    let shaken = timeout(HANDSHAKE, acceptor.accept(stream)).await;
                    drop(slot);
                    if let Ok(Ok(stream)) = shaken
                        && may_read(&stream)
                    {
                        sender.send((stream, from)).await.ok();
                    }
                });
            }
        });
        Ok(Self { address, ready, task })
    }
}

fn may_read(stream: &TlsStream<TcpStream>) -> bool {
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let peer = certificate.and_then(|certificate| Peer::from_der(certificate).ok());
    peer.is_some_and(|peer| READERS.contains(&peer.identity.role))
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // The accepting task is gone only when the process ends.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
