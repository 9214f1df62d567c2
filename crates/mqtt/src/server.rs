use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use voltmesh_audit::{Kind, Recorder};
use voltmesh_identity::{Identity, RevocationWatch};

use crate::acceptor::Acceptor;
use crate::account::{self, Account};
use crate::doors::{Doors, Subject};
use crate::places::{Crowded, Places};
use crate::pump::Clock;
use crate::session::{Session, SessionId};
use crate::standing::unix_now_s;
use crate::{Bounds, Counters, End, Error, Incoming, Limits, Policy, Reason, Tag};

/// Settings of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Of each session.
    pub limits: Limits,
    /// Of each source address, of each identity and of all together.
    pub bounds: Bounds,
    /// Payload bytes without PUBACK in all sessions, after which none is read from. An identity may have as many as are
    /// free for all others; its sessions are not read from beyond. Default 256 MiB.
    pub max_undecided_bytes: usize,
    /// Events that wait for the application; sessions are not read from while it is full. Default 256.
    pub event_queue: usize,
    /// How often to look for a new revocation list and for certificates that have ended. Default 1 s.
    pub revocation_poll: Duration,
    /// Where refusals are entered by address or identity, and revocation lists that are taken over. Default: nowhere.
    pub audit: Recorder,
}

impl Default for ServerSettings {
    fn default() -> ServerSettings {
        ServerSettings {
            limits: Limits::default(),
            bounds: Bounds::default(),
            max_undecided_bytes: 256 << 20,
            event_queue: 256,
            revocation_poll: Duration::from_secs(1),
            audit: Recorder::none(),
        }
    }
}

/// Events on a server, in order within each session.
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

/// State that all sessions of a server share.
pub(crate) struct Common {
    pub(crate) counters: Counters,
    pub(crate) doors: Arc<Doors>,
    pub(crate) bounds: Bounds,
    pub(crate) audit: Recorder,
    sessions: Mutex<BTreeMap<(Identity, String), Session>>,
    places: Mutex<Places>,
    undecided: AtomicUsize,
    max_undecided: usize,
}

/// A session's place; given back when it is dropped.
pub(crate) struct Placed {
    common: Arc<Common>,
    id: SessionId,
    identity: Identity,
    client_id: String,
    pub(crate) account: Arc<Account>,
}

impl Drop for Placed {
    fn drop(&mut self) {
        lock(&self.common.places).leave(self.id, &self.identity, &self.client_id);
    }
}

impl Common {
    /// Gives a session its place, or says which bound is reached.
    pub(crate) fn admit(
        self: &Arc<Self>,
        id: SessionId,
        identity: &Identity,
        client_id: &str,
    ) -> Result<Placed, Crowded> {
        let account = lock(&self.places).admit(id, identity, client_id)?;
        let (identity, client_id) = (identity.clone(), client_id.to_owned());
        Ok(Placed { common: self.clone(), id, identity, client_id, account })
    }

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

    /// Whether an identity that has so many bytes undecided may have more.
    pub(crate) fn has_room(&self, own: usize) -> bool {
        account::has_room(own, self.undecided.load(Ordering::Relaxed), self.max_undecided)
    }

    /// Brings the figures that are read with the counters up to date.
    fn note_figures(&self) {
        let (connections, silent, handshakes) = self.doors.figures();
        let (sessions, away) = lock(&self.places).figures();
        let undecided = self.undecided.load(Ordering::Relaxed);
        let now = [
            ("open_connections", connections),
            ("open_silent", silent),
            ("open_handshakes", handshakes),
            ("open_sessions", sessions),
            ("identities_away", away),
            ("undecided_bytes", undecided),
            ("bound_undecided_bytes", self.max_undecided),
        ];
        let now = now.map(|(name, value)| (name, value as u64));
        *lock(&self.counters.figures) = now.into_iter().chain(self.bounds.figures()).collect();
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
        let listener = listen(address).map_err(|source| Error::Listen { address, source })?;
        let address = listener.local_addr().map_err(|source| Error::Listen { address, source })?;
        let (events, receiver) = mpsc::channel(settings.event_queue.max(1));
        let clock = Clock::start();
        let common = Arc::new(Common {
            counters: Counters::default(),
            doors: Arc::new(Doors::new(settings.bounds.clone(), clock)),
            sessions: Mutex::default(),
            places: Mutex::new(Places::new(settings.bounds.clone())),
            bounds: settings.bounds.clone(),
            audit: settings.audit.clone(),
            undecided: AtomicUsize::new(0),
            max_undecided: settings.max_undecided_bytes,
        });
        let guard = tokio::spawn(guard(common.clone(), revoked.clone(), settings.revocation_poll));
        let acceptor = Acceptor {
            listener,
            tls,
            revoked,
            policy,
            settings,
            common: common.clone(),
            events,
            clock,
            started_s: unix_now_s(),
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

    /// Counts since the start, what is so now, and the bounds in force.
    pub fn counters(&self) -> &Counters {
        self.common.note_figures();
        &self.common.counters
    }

    /// The same for whoever does not own the server.
    pub fn figures(&self) -> ServerFigures {
        ServerFigures(self.common.clone())
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

/// Figures of a server, for its role's status. Cheap to clone.
#[derive(Clone)]
pub struct ServerFigures(Arc<Common>);

impl ServerFigures {
    /// [`Counters::snapshot`] as it is now.
    pub fn snapshot(&self) -> BTreeMap<String, u64> {
        self.0.note_figures();
        self.0.counters.snapshot()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Connections that wait to be accepted; the kernel's own bound (`net.core.somaxconn`) is 4,096, too. Past it a client's SYN
/// is lost, and it tries again after a second.
const BACKLOG: u32 = 4096;

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Ends sessions whose certificate is revoked or has ended since they began.
async fn guard(common: Arc<Common>, revoked: RevocationWatch, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut generation = revoked.generation();
    loop {
        ticks.tick().await;
        revoked.poll();
        if std::mem::replace(&mut generation, revoked.generation()) != revoked.generation() {
            let what = format!("a revocation list of {} certificates is in force", revoked.len());
            common.audit.record(Kind::Configuration, "the CA", &what);
        }
        common.doors.tell_unwritten();
        let now_s = unix_now_s();
        for session in common.sessions() {
            let Some(problem) = session.standing().problem(&revoked, now_s) else { continue };
            let peer = session.peer();
            if common
                .doors
                .log
                .may_write(Subject::Peer(peer.identity.clone(), "session ended: its certificate"))
            {
                tracing::warn!(peer = %peer.identity, serial = %peer.serial, "session ended: {problem}");
            }
            common.audit.refusal(&peer.identity.to_string(), &format!("MQTT session ended: {problem}"));
            common.counters.revoked_live.add(1);
            session.disconnect(Reason::ADMINISTRATIVE_ACTION);
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
