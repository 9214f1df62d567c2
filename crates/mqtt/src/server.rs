use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::CertificateError;
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use voltmesh_identity::{Identity, Peer, RevocationWatch};

use crate::pump::{Clock, Mailbox, drive};
use crate::session::{ServerSide, Session, SessionId};
use crate::{End, Error, Incoming, Limits, Policy, Reason, ServerConnection, Tag};

/// Ciphertext is read from the socket in pieces of up to this size: 4 TLS records.
const SOCKET_READ: usize = 64 << 10;

/// What a server may take up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Of each session.
    pub limits: Limits,
    /// Sessions at once; further clients are told to try elsewhere. Default 4,096.
    pub max_sessions: usize,
    /// TLS handshakes at once; further connections wait in the listen queue. Default 128.
    pub max_handshakes: usize,
    /// Payload bytes without PUBACK in all sessions, after which none is read from. Default 256 MiB.
    pub max_undecided_bytes: usize,
    /// Events that wait for the application; sessions are not read from while it is full. Default 256.
    pub event_queue: usize,
    /// How often to look for a new revocation list and for certificates that have ended. Default 1 s.
    pub revocation_poll: Duration,
}

impl Default for ServerSettings {
    fn default() -> ServerSettings {
        ServerSettings {
            limits: Limits::default(),
            max_sessions: 4096,
            max_handshakes: 128,
            max_undecided_bytes: 256 << 20,
            event_queue: 256,
            revocation_poll: Duration::from_secs(1),
        }
    }
}

/// What happens on a server, in order within each session.
#[derive(Debug)]
pub enum ServerEvent {
    /// A client is in.
    Connected {
        /// Whose.
        session: Session,
    },
    /// It published, within what the policy allows. Accept or reject each by its token, in any order; until then it is
    /// not acknowledged.
    Publishes {
        /// Whose.
        session: Session,
        /// All that came with one read, in order.
        items: Vec<Incoming>,
    },
    /// It will get what matches this filter.
    Subscribed {
        /// Whose.
        session: Session,
        /// As the policy allowed it.
        filter: String,
    },
    /// Publishes to it are over: acknowledged by it, or impossible.
    Completed {
        /// Whose.
        session: Session,
        /// Tags with reasons.
        done: Vec<(Tag, Reason)>,
    },
    /// It is gone; its undecided publishes will never be acknowledged.
    Ended {
        /// Whose.
        session: Session,
        /// How.
        end: End,
    },
}

/// Counts since the start; for `/metrics`.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) connections: Count,
    pub(crate) sessions: Count,
    pub(crate) refused_sessions: Count,
    pub(crate) taken_over: Count,
    pub(crate) publishes: Count,
    pub(crate) bytes: Count,
    pub(crate) refused: Count,
    pub(crate) rejected: Count,
    tls_no_certificate: Count,
    tls_expired: Count,
    tls_revoked: Count,
    tls_unknown_issuer: Count,
    tls_other: Count,
    revoked_live: Count,
    ended: Mutex<BTreeMap<Reason, u64>>,
}

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    /// All of them by name. `ended_…` counts sessions that this side ended, by reason.
    pub fn snapshot(&self) -> BTreeMap<String, u64> {
        let mut all: BTreeMap<String, u64> = [
            ("connections", &self.connections),
            ("sessions", &self.sessions),
            ("sessions_refused", &self.refused_sessions),
            ("sessions_taken_over", &self.taken_over),
            ("sessions_revoked", &self.revoked_live),
            ("publishes", &self.publishes),
            ("publish_bytes", &self.bytes),
            ("publishes_refused", &self.refused),
            ("publishes_rejected", &self.rejected),
            ("tls_no_certificate", &self.tls_no_certificate),
            ("tls_expired", &self.tls_expired),
            ("tls_revoked", &self.tls_revoked),
            ("tls_unknown_issuer", &self.tls_unknown_issuer),
            ("tls_other", &self.tls_other),
        ]
        .map(|(name, count)| (name.to_owned(), count.get()))
        .into();
        for (reason, count) in lock(&self.ended).iter() {
            all.insert(format!("ended_{}", reason.name().to_lowercase().replace(' ', "_")), *count);
        }
        all
    }

    fn count_end(&self, end: &End) {
        if let End::Here(reason) = end {
            *lock(&self.ended).entry(*reason).or_default() += 1;
        }
    }

    /// Sorts a failed handshake; also the reason as text.
    fn count_tls(&self, error: &std::io::Error) {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let count = match inner {
            Some(rustls::Error::NoCertificatesPresented) => &self.tls_no_certificate,
            Some(rustls::Error::InvalidCertificate(problem)) => match problem {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => &self.tls_expired,
                CertificateError::Revoked => &self.tls_revoked,
                CertificateError::UnknownIssuer | CertificateError::BadSignature => &self.tls_unknown_issuer,
                _ => &self.tls_other,
            },
            _ => &self.tls_other,
        };
        count.add(1);
    }
}

/// What all sessions of a server share.
pub(crate) struct Common {
    pub(crate) counters: Counters,
    sessions: Mutex<BTreeMap<(Identity, String), Session>>,
    open: AtomicUsize,
    undecided: AtomicUsize,
    max_undecided: usize,
}

impl Common {
    /// The same identity with the same client id replaces its former session (MQTT 5 3.1.4).
    pub(crate) fn register(&self, session: &Session) {
        let key = (session.peer().identity.clone(), session.client_id().to_owned());
        let former = lock(&self.sessions).insert(key, session.clone());
        self.counters.sessions.add(1);
        if let Some(former) = former {
            self.counters.taken_over.add(1);
            former.disconnect(Reason::SESSION_TAKEN_OVER);
        }
    }

    pub(crate) fn unregister(&self, session: &Session) {
        let key = (session.peer().identity.clone(), session.client_id().to_owned());
        let mut sessions = lock(&self.sessions);
        if sessions.get(&key).is_some_and(|known| known.id() == session.id()) {
            sessions.remove(&key);
        }
    }

    pub(crate) fn charge(&self, before: usize, now: usize) {
        if now >= before {
            self.undecided.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.undecided.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_over_budget(&self) -> bool {
        self.undecided.load(Ordering::Relaxed) >= self.max_undecided
    }

    fn sessions(&self) -> Vec<Session> {
        lock(&self.sessions).values().cloned().collect()
    }
}

/// A listener and its sessions. Dropping it closes the port and ends the sessions.
pub struct Server {
    address: SocketAddr,
    common: Arc<Common>,
    tasks: [JoinHandle<()>; 2],
}

/// The application's end: one queue for all sessions.
pub struct ServerEvents(mpsc::Receiver<ServerEvent>);

impl ServerEvents {
    /// The next event; none when the server is gone.
    pub async fn next(&mut self) -> Option<ServerEvent> {
        self.0.recv().await
    }

    /// The next event if one is waiting: gather what there is before an fsync.
    pub fn try_next(&mut self) -> Option<ServerEvent> {
        self.0.try_recv().ok()
    }
}

impl Server {
    /// Listens, inside a tokio runtime. Port 0 takes a free one; see [`Server::address`]. `tls` is
    /// [`voltmesh_identity::Credentials::server_config`] with the same `revoked`.
    pub async fn bind(
        address: SocketAddr,
        tls: Arc<rustls::ServerConfig>,
        revoked: RevocationWatch,
        policy: Arc<dyn Policy>,
        settings: ServerSettings,
    ) -> Result<(Server, ServerEvents), Error> {
        let listener =
            TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        let address = listener.local_addr().map_err(|source| Error::Listen { address, source })?;
        let (events, receiver) = mpsc::channel(settings.event_queue.max(1));
        let common = Arc::new(Common {
            counters: Counters::default(),
            sessions: Mutex::default(),
            open: AtomicUsize::new(0),
            undecided: AtomicUsize::new(0),
            max_undecided: settings.max_undecided_bytes,
        });
        let guard = tokio::spawn(guard(common.clone(), revoked.clone(), settings.revocation_poll));
        let acceptor = Acceptor {
            listener,
            tls: TlsAcceptor::from(tls),
            revoked,
            policy,
            settings,
            common: common.clone(),
            events,
            clock: Clock::start(),
        };
        let accept = tokio::spawn(acceptor.run());
        Ok((Server { address, common, tasks: [accept, guard] }, ServerEvents(receiver)))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Those that are connected now.
    pub fn sessions(&self) -> Vec<Session> {
        self.common.sessions()
    }

    /// Those of one peer.
    pub fn sessions_of(&self, identity: &Identity) -> Vec<Session> {
        let first = (identity.clone(), String::new());
        let sessions = lock(&self.common.sessions);
        let own = sessions.range(first..).take_while(|((owner, _), _)| owner == identity);
        own.map(|(_, session)| session.clone()).collect()
    }

    /// Counts since the start.
    pub fn counters(&self) -> &Counters {
        &self.common.counters
    }

    /// Stops listening and tells every client that the server shuts down. Undecided publishes stay unacknowledged.
    pub fn shutdown(&self) {
        for task in &self.tasks {
            task.abort();
        }
        for session in self.sessions() {
            session.disconnect(Reason::SERVER_SHUTTING_DOWN);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Ends sessions whose certificate is revoked or has ended since they began.
async fn guard(common: Arc<Common>, revoked: RevocationWatch, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        revoked.poll();
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        for session in common.sessions() {
            let peer = session.peer();
            if revoked.is_revoked(&peer.serial) {
                tracing::warn!(peer = %peer.identity, serial = %peer.serial, "session ended: the certificate was revoked");
            } else if peer.expires_s <= now_s {
                tracing::warn!(peer = %peer.identity, serial = %peer.serial, "session ended: the certificate has expired");
            } else {
                continue;
            }
            common.counters.revoked_live.add(1);
            session.disconnect(Reason::ADMINISTRATIVE_ACTION);
        }
    }
}

struct Acceptor {
    listener: TcpListener,
    tls: TlsAcceptor,
    revoked: RevocationWatch,
    policy: Arc<dyn Policy>,
    settings: ServerSettings,
    common: Arc<Common>,
    events: mpsc::Sender<ServerEvent>,
    clock: Clock,
}

impl Acceptor {
    async fn run(self) {
        let this = Arc::new(self);
        let handshakes = Arc::new(Semaphore::new(this.settings.max_handshakes.max(1)));
        let mut id = 0;
        loop {
            let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
            match this.listener.accept().await {
                Ok((stream, address)) => {
                    id += 1;
                    let (this, id) = (this.clone(), SessionId(id));
                    tokio::spawn(async move { this.serve(stream, address, id, permit).await });
                }
                Err(error) => {
                    // Such as no file descriptors left: others must close first.
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot accept a connection; trying again"
                    );
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        id: SessionId,
        permit: tokio::sync::OwnedSemaphorePermit,
    ) {
        self.common.counters.connections.add(1);
        let _ = stream.set_nodelay(true);
        let limit = self.settings.limits.connect_timeout;
        let stream = BufReader::with_capacity(SOCKET_READ, stream);
        let stream = match timeout(limit, self.tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                self.common.counters.count_tls(&error);
                tracing::warn!(%address, %error, "TLS handshake refused");
                return;
            }
            Err(_) => {
                self.common.counters.tls_other.add(1);
                tracing::warn!(%address, "no TLS handshake within {limit:?}");
                return;
            }
        };
        drop(permit);
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let Some(Ok(peer)) = certificate.map(Peer::from_der) else {
            self.common.counters.tls_other.add(1);
            return;
        };
        if self.revoked.is_revoked(&peer.serial) {
            self.common.counters.tls_revoked.add(1);
            return;
        }
        let limits = self.settings.limits.clone();
        let policy = self.policy.clone();
        let mut machine =
            ServerConnection::new(self.clock.now(), peer.identity.clone(), policy, limits.clone());
        let open = Open::new(&self.common);
        if open.count > self.settings.max_sessions {
            self.common.counters.refused_sessions.add(1);
            machine.refuse(Reason::SERVER_BUSY);
        }
        let mailbox = Arc::new(Mailbox::new());
        let identity = peer.identity.clone();
        let mut side = ServerSide::new(machine, id, peer, limits, self.common.clone(), mailbox.clone());
        drive(stream, &mut side, &mailbox, &self.events, self.clock).await;
        if let Some(end) = side.end() {
            self.common.counters.count_end(end);
            tracing::debug!(%address, peer = %identity, %end, "session over");
        }
    }
}

/// Counts a session for as long as it lives.
struct Open<'a> {
    common: &'a Common,
    count: usize,
}

impl<'a> Open<'a> {
    fn new(common: &'a Common) -> Open<'a> {
        Open { common, count: common.open.fetch_add(1, Ordering::AcqRel) + 1 }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.common.open.fetch_sub(1, Ordering::AcqRel);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
