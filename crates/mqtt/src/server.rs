//! A listener with its sessions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use voltmesh_audit::Kind;
use voltmesh_identity::{Identity, RevocationWatch};

use crate::acceptor::Acceptor;
use crate::doors::Subject;
use crate::pump::Clock;
use crate::server_state::{ServerState, lock};
use crate::standing::unix_now_s;
use crate::strangers::Strangers;
use crate::{Counters, Error, Policy, Reason, ServerEvent, ServerSettings, Session};

/// A listener and its sessions. Dropping it closes the port and ends the sessions.
pub struct Server {
    address: SocketAddr,
    state: Arc<ServerState>,
    strangers: Mutex<Strangers>,
    guard: JoinHandle<()>,
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
        let state = Arc::new(ServerState::new(&settings, clock));
        let guard = tokio::spawn(guard(state.clone(), revoked.clone(), settings.revocation_poll));
        let acceptor = Acceptor {
            sessions: Handle::current(),
            tls,
            revoked,
            policy,
            settings,
            state: state.clone(),
            events,
            clock,
            started_s: unix_now_s(),
        };
        let strangers = listener.into_std().and_then(|listener| Strangers::start(listener, acceptor));
        let strangers = Mutex::new(strangers.map_err(|source| Error::Listen { address, source })?);
        Ok((Server { address, state, strangers, guard }, ServerEvents(receiver)))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Those that are connected now.
    pub fn sessions(&self) -> Vec<Session> {
        self.state.sessions()
    }

    /// Those of one peer.
    pub fn sessions_of(&self, identity: &Identity) -> Vec<Session> {
        self.state.sessions_of(identity)
    }

    /// Counts since the start, what is so now, and the bounds in force.
    pub fn counters(&self) -> &Counters {
        self.state.note_figures();
        &self.state.counters
    }

    /// The same for whoever does not own the server.
    pub fn figures(&self) -> ServerFigures {
        ServerFigures(self.state.clone())
    }

    /// Stops listening and tells every client that the server shuts down. Undecided publishes stay unacknowledged.
    pub fn shutdown(&self) {
        self.guard.abort();
        lock(&self.strangers).stop();
        for session in self.sessions() {
            session.disconnect(Reason::SERVER_SHUTTING_DOWN);
        }
    }
}

/// Figures of a server, for its role's status. Cheap to clone.
#[derive(Clone)]
pub struct ServerFigures(Arc<ServerState>);

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
async fn guard(state: Arc<ServerState>, revoked: RevocationWatch, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut generation = revoked.generation();
    loop {
        ticks.tick().await;
        revoked.poll();
        if std::mem::replace(&mut generation, revoked.generation()) != revoked.generation() {
            let what = format!("a revocation list of {} certificates is in force", revoked.len());
            state.audit.record(Kind::Configuration, "the CA", &what);
        }
        state.doors.tell_unwritten();
        let now_s = unix_now_s();
        for session in state.sessions() {
            let Some(problem) = session.standing().problem(&revoked, now_s) else { continue };
            let peer = session.peer();
            if state
                .doors
                .log
                .may_write(Subject::Peer(peer.identity.clone(), "session ended: its certificate"))
            {
                tracing::warn!(peer = %peer.identity, serial = %peer.serial, "session ended: {problem}");
            }
            state.audit.refusal(&peer.identity.to_string(), &format!("MQTT session ended: {problem}"));
            state.counters.revoked_live.add(1);
            session.disconnect(Reason::ADMINISTRATIVE_ACTION);
        }
    }
}
