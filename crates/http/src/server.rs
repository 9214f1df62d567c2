//! The server: accepts connections within their bounds, and ends them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use voltmesh_identity::{Peer, RevocationWatch, Role};

use crate::connection::{self, Ends, Shared};
use crate::figures::Kind;
use crate::gate::{Gate, Report, Seat};
use crate::owner::{Owner, source};
use crate::turns::Turns;
use crate::{Figures, Refusal, Rules, Settings};

/// Mutual TLS.
#[derive(Clone)]
pub struct Tls {
    /// That of the MQTT server, [`voltmesh_identity::Credentials::server_config`]; another protocol is spoken inside.
    pub config: Arc<ServerConfig>,
    /// The list that it was made with.
    pub revoked: RevocationWatch,
    /// Whose certificates are taken.
    pub roles: &'static [Role],
}

/// Parked connections, with the certificates that they came with.
type Connections = Gate<Owner, Option<Arc<Peer>>>;

/// A listening socket and its connections. Dropping it closes all of them at once.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening, and ends when requests under way are answered or [`Settings::shutdown`] is over.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            task.await.ok();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Serves a router inside a tokio runtime, until the server is shut down or dropped.
///
/// # Errors
/// The listener's address cannot be read.
pub fn serve(
    listener: TcpListener,
    router: Router,
    rules: Rules,
    settings: Settings,
    tls: Option<Tls>,
    figures: Arc<Figures>,
) -> io::Result<Server> {
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let secure = tls.is_some();
    figures.set_bounds(settings.connections, settings.connections_per_source);
    // Innermost limits win: a route may ask for less or more.
    let router = router.layer(DefaultBodyLimit::max(settings.body_bytes));
    let acceptor = Acceptor {
        listener,
        open: Arc::new(Semaphore::new(settings.descriptors())),
        door: Gate::new(settings.handshakes, settings.handshakes_per_source),
        connections: Gate::new(settings.connections, settings.connections_per_source),
        tls: tls.map(|tls| (acceptor(&tls), tls)),
        shared: Arc::new(Shared {
            router,
            rules,
            figures,
            listens: address,
            secure,
            stop: stopped.clone(),
            turns: Turns::new(settings.costly_at_once),
            settings,
        }),
    };
    let task = tokio::spawn(acceptor.run(stopped));
    Ok(Server { address, stop, task: Some(task) })
}

fn acceptor(tls: &Tls) -> TlsAcceptor {
    let mut config = (*tls.config).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

struct Acceptor {
    listener: TcpListener,
    open: Arc<Semaphore>,
    /// Of connections that have yet to show a certificate.
    door: Arc<Gate<IpAddr, ()>>,
    connections: Arc<Connections>,
    tls: Option<(TlsAcceptor, Tls)>,
    shared: Arc<Shared>,
}

/// A socket that was accepted.
struct Accepted {
    stream: TcpStream,
    ends: Ends,
    permit: OwnedSemaphorePermit,
}

impl Acceptor {
    async fn run(self, mut stop: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let mut tasks = JoinSet::new();
        let mut polls = interval(this.shared.settings.revocation_poll);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = connection::stopped(&mut stop) => break,
                Some(_) = tasks.join_next() => {}
                _ = polls.tick(), if this.tls.is_some() => this.end_certificates(),
                accepted = this.accept() => {
                    if let Some(accepted) = accepted {
                        this.admit(accepted, &mut tasks);
                    }
                    // Whoever has just come in is looked at before the next one may take its place.
                    tokio::task::yield_now().await;
                }
            }
            this.shared.figures.set_connections(this.connections.len());
        }
        // Who has yet to show a certificate has no request under way.
        this.door.send_away_if(|()| true);
        let all = async { while tasks.join_next().await.is_some() {} };
        timeout(this.shared.settings.shutdown + Duration::from_millis(500), all).await.ok();
    }

    /// The next socket; none after a failure that may pass.
    async fn accept(&self) -> Option<Accepted> {
        let permit = self.open.clone().acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, remote)) => {
                let local = stream.local_addr().unwrap_or(self.shared.listens);
                Some(Accepted { stream, ends: Ends { local, remote, peer: None }, permit })
            }
            Err(error) => {
                // Out of descriptors, mostly: a silent connection gives its own back.
                self.shared.figures.note(
                    Kind::GaveWay,
                    self.shared.listens,
                    &format_args!("cannot accept: {error}"),
                );
                let _ = (self.door.yield_one(), self.connections.yield_one());
                sleep(Duration::from_millis(50)).await;
                None
            }
        }
    }

    /// Gives a socket a place, or says that there is none.
    fn admit(self: &Arc<Self>, accepted: Accepted, tasks: &mut JoinSet<()>) {
        let Accepted { stream, ends, permit } = accepted;
        stream.set_nodelay(true).ok();
        let source = source(ends.remote.ip());
        let this = self.clone();
        if let Some((acceptor, tls)) = &self.tls {
            let (acceptor, tls) = (acceptor.clone(), tls.clone());
            // The door has always one that gives way: handshakes never work for long.
            let Some(admitted) = self.door.enter(source, ()) else { return };
            if admitted.in_place_of.is_some() {
                self.gave_way(&ends, "another TLS handshake");
            }
            tasks.spawn(async move {
                this.shake_hands(stream, ends, acceptor, tls, admitted.seat).await;
                drop(permit);
            });
        } else if let Some(seat) = self.enter(Owner::Source(source), None, &ends) {
            tasks.spawn(async move {
                this.serve(stream, ends, seat).await;
                drop(permit);
            });
        } else {
            tasks.spawn(async move {
                tell_full(stream).await;
                drop(permit);
            });
        }
    }

    fn enter(
        &self,
        owner: Owner,
        peer: Option<Arc<Peer>>,
        ends: &Ends,
    ) -> Option<Seat<Owner, Option<Arc<Peer>>>> {
        let Some(admitted) = self.connections.enter(owner, peer) else {
            self.shared.figures.note(Kind::RefusedFull, ends.remote, &Refusal::Full);
            return None;
        };
        if admitted.in_place_of.is_some() {
            self.gave_way(ends, "a new connection");
        }
        Some(admitted.seat)
    }

    fn gave_way(&self, ends: &Ends, to: &str) {
        self.shared.figures.note(
            Kind::GaveWay,
            ends.remote,
            &format_args!("at its bound, the longest silent connection gave way to {to}"),
        );
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
        ends: Ends,
        acceptor: TlsAcceptor,
        tls: Tls,
        door: Seat<IpAddr, ()>,
    ) {
        let limit = self.shared.settings.handshake;
        let shaken = tokio::select! {
            shaken = timeout(limit, acceptor.accept(stream)) => shaken,
            () = door.lost() => return,
        };
        drop(door);
        let remote = ends.remote;
        let refused = |why: &dyn std::fmt::Display| self.shared.figures.note(Kind::TlsRefused, remote, why);
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return refused(&format_args!("TLS handshake refused: {error}")),
            Err(_) => return refused(&format_args!("no TLS handshake within {limit:?}")),
        };
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let Some(Ok(peer)) = certificate.map(Peer::from_der) else {
            return refused(&"its certificate has no identity");
        };
        if !tls.roles.contains(&peer.identity.role) {
            return refused(&format_args!("{} has no role that may ask here", peer.identity));
        }
        let (owner, peer) = (Owner::Identity(peer.identity.clone()), Arc::new(peer));
        let ends = Ends { peer: Some(peer.clone()), ..ends };
        let Some(seat) = self.enter(owner, Some(peer.clone()), &ends) else { return };
        // Revoked since the handshake looked: from here on the poll finds it.
        if ended(&peer, &tls.revoked) {
            return refused(&"its certificate was revoked or has ended");
        }
        self.serve(stream, ends, seat).await;
    }

    async fn serve<S>(&self, stream: S, ends: Ends, seat: Seat<Owner, Option<Arc<Peer>>>)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
    {
        let seat = Arc::new(seat);
        let report: Arc<dyn Report> = seat.clone();
        tokio::select! {
            () = connection::serve(stream, self.shared.clone(), ends, report) => {}
            () = seat.lost() => {}
        }
    }

    /// Ends connections whose certificate is revoked or has ended since they began.
    fn end_certificates(&self) {
        let Some((_, tls)) = &self.tls else { return };
        tls.revoked.poll();
        let is_over = |peer: &Option<Arc<Peer>>| peer.as_ref().is_some_and(|peer| ended(peer, &tls.revoked));
        for peer in self.connections.send_away_if(is_over).into_iter().flatten() {
            self.shared.figures.count(Kind::CertificateEnded);
            self.shared
                .figures
                .enter_refusal(&peer.identity.to_string(), "HTTP connection ended: certificate");
            tracing::warn!(peer = %peer.identity, serial = %peer.serial, "HTTP connection ended: the certificate was revoked or has ended");
        }
    }
}

fn ended(peer: &Peer, revoked: &RevocationWatch) -> bool {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    revoked.is_revoked(&peer.serial) || peer.expires_s <= now_s
}

async fn tell_full(mut stream: TcpStream) {
    use tokio::io::AsyncWriteExt as _;
    let answer = Refusal::Full.raw();
    timeout(Duration::from_secs(1), stream.write_all(answer.as_bytes())).await.ok();
}
