//! From a TCP connection to a session.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use voltmesh_identity::{Identity, RevocationWatch};

use crate::admission::{Refused, Source};
use crate::doors::{Subject, Visitor};
use crate::pump::{Clock, Mailbox, drive};
use crate::server_state::ServerState;
use crate::session::SessionId;
use crate::session_task::{Place, SessionTask};
use crate::standing::{Standing, unix_now_s};
use crate::{Door, End, Policy, Reason, Refusal, ServerConnection, ServerEvent, ServerSettings};

/// Ciphertext is read from the socket in pieces of up to this size: 4 TLS records.
const SOCKET_READ: usize = 64 << 10;

/// Line of the log for connections that were ended to make room.
const MADE_ROOM: &str = "a connection that kept silent was ended to make room";

/// Task that accepts connections and runs their sessions.
pub(crate) struct Acceptor {
    /// Where connections go that have said something.
    pub(crate) sessions: Handle,
    pub(crate) tls: Arc<rustls::ServerConfig>,
    pub(crate) revoked: RevocationWatch,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) settings: ServerSettings,
    pub(crate) state: Arc<ServerState>,
    pub(crate) events: mpsc::Sender<ServerEvent>,
    pub(crate) clock: Clock,
    /// When the server started, seconds since the Unix epoch.
    pub(crate) started_s: i64,
}

type Stream = TlsStream<BufReader<TcpStream>>;

impl Acceptor {
    /// Accepts for ever: who comes is let in or turned away within 20 ms, and waits for nobody's handshake.
    pub(crate) async fn run(self: Arc<Self>, listener: TcpListener) {
        let mut id = 0;
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    id += 1;
                    self.state.counters.connections.add(1);
                    let source = Source::of(address.ip());
                    match self.state.doors.arrive(SessionId(id), source).await {
                        Ok((visitor, ended)) => {
                            self.made_room(source, ended);
                            tokio::spawn(self.clone().serve(stream, address, SessionId(id), visitor));
                        }
                        Err(refused) => self.refused(source, refused),
                    }
                }
                Err(error) => {
                    // Such as no file descriptors left: others must close first.
                    if self.may_write(Source::of([0, 0, 0, 0].into()), "no connection can be accepted") {
                        tracing::warn!(%error, "cannot accept a connection; trying again");
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Waits here until a client says something; the rest is done where sessions are.
    async fn serve(self: Arc<Self>, stream: TcpStream, address: SocketAddr, id: SessionId, visitor: Visitor) {
        let visitor = Arc::new(visitor);
        let spoken = tokio::select! {
            biased;
            () = visitor.ended() => false,
            spoken = self.speaks(&stream, address, &visitor) => spoken,
        };
        if let (true, Ok(stream)) = (spoken, stream.into_std()) {
            self.sessions.clone().spawn(self.admit(stream, address, id, visitor));
        }
    }

    async fn admit(
        self: Arc<Self>,
        stream: std::net::TcpStream,
        address: SocketAddr,
        id: SessionId,
        visitor: Arc<Visitor>,
    ) {
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        tokio::select! {
            biased;
            () = visitor.ended() => {}
            () = self.converse(stream, address, id, &visitor) => {}
        }
    }

    /// Waits until a client says something; false if it never does.
    async fn speaks(&self, stream: &TcpStream, address: SocketAddr, visitor: &Visitor) -> bool {
        match timeout(self.settings.limits.connect_timeout, stream.peek(&mut [0])).await {
            Ok(Ok(1..)) => true,
            Ok(_) => {
                self.state.counters.tls_other.add(1);
                false
            }
            Err(_) => {
                self.too_slow(address, visitor);
                false
            }
        }
    }

    fn too_slow(&self, address: SocketAddr, visitor: &Visitor) {
        self.state.counters.tls_other.add(1);
        self.state.audit.refusal(&visitor.source.to_string(), "MQTT: no TLS handshake in time");
        if self.may_write(visitor.source, "no TLS handshake in time") {
            let limit = self.settings.limits.connect_timeout;
            tracing::warn!(%address, "no TLS handshake within {limit:?}");
        }
    }

    async fn converse(&self, stream: TcpStream, address: SocketAddr, id: SessionId, visitor: &Arc<Visitor>) {
        let _ = stream.set_nodelay(true);
        let limit = self.settings.limits.connect_timeout;
        let stream = match timeout(limit, self.handshake(stream, visitor)).await {
            Ok(Some(stream)) => stream,
            Ok(None) => return,
            Err(_) => return self.too_slow(address, visitor),
        };
        let Some(standing) = Standing::of(stream.get_ref().1.peer_certificates()) else {
            self.state.counters.tls_other.add(1);
            return;
        };
        if standing.problem(&self.revoked, unix_now_s()).is_some() {
            self.state.counters.tls_revoked.add(1);
            let who = standing.peer.identity.to_string();
            self.state.audit.refusal(&who, "MQTT: its certificate is revoked or has ended");
            return;
        }
        let limits = self.settings.limits.clone();
        let identity = standing.peer.identity.clone();
        let mut machine =
            ServerConnection::new(self.clock.now(), identity.clone(), self.policy.clone(), limits.clone());
        let place = Arc::new(Mutex::new(None));
        // Of this server and this connection alone: a client may come back with the id that an earlier process gave it.
        machine.assign(format!("{}-{:x}-{}", identity.folder(), self.started_s, id.0));
        machine.ask_door(self.door(id, &standing, visitor.clone(), place.clone()));
        let mailbox = Arc::new(Mailbox::new());
        let mut task =
            SessionTask::new(machine, id, standing, limits, self.state.clone(), mailbox.clone(), place);
        drive(stream, &mut task, &mailbox, &self.events, self.clock).await;
        if let Some(end) = task.end() {
            self.state.counters.count_end(end);
            self.say(end, &identity, visitor.source);
            tracing::debug!(%address, peer = %identity, %end, "session over");
        }
    }

    /// Says that a client was turned away for what it sent: not every client tells its people, and MQTT 3.1.1 cannot tell the
    /// client. What the application ended, it says itself.
    fn say(&self, end: &End, identity: &Identity, source: Source) {
        let End::Here(reason) = end else { return };
        let said = matches!(
            *reason,
            Reason::SERVER_SHUTTING_DOWN
                | Reason::SESSION_TAKEN_OVER
                | Reason::KEEP_ALIVE_TIMEOUT
                | Reason::QUOTA_EXCEEDED
                | Reason::SERVER_BUSY
                | Reason::ADMINISTRATIVE_ACTION
                | Reason::NOT_AUTHORIZED
        );
        let subject = Subject::Peer(identity.clone(), "session ended for what the client sent");
        if !said && self.state.doors.log.may_write(subject) {
            tracing::warn!(peer = %identity, %source, "session ended for what the client sent: {reason}");
        }
    }

    /// Waits for a complete ClientHello, which costs nearly nothing, and then for its turn.
    async fn handshake(&self, stream: TcpStream, visitor: &Visitor) -> Option<Stream> {
        // It has come already; a socket that is new to this thread's poll does not know yet.
        stream.readable().await.ok()?;
        let stream = BufReader::with_capacity(SOCKET_READ, stream);
        let mut hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
        let whole = poll_fn(|context| Poll::Ready(Pin::new(&mut hello).poll(context))).await;
        let whole = match whole {
            Poll::Ready(whole) => whole,
            Poll::Pending => {
                self.made_room(visitor.source, visitor.speaks());
                hello.await
            }
        };
        let shaken = match whole {
            Ok(hello) => {
                match visitor.hello() {
                    Ok(ended) => self.made_room(visitor.source, ended),
                    Err(refused) => {
                        self.refused(visitor.source, refused);
                        return None;
                    }
                }
                visitor.in_turns(hello.into_stream(self.tls.clone())).await
            }
            Err(error) => Err(error),
        };
        shaken
            .inspect_err(|error| {
                self.state.counters.count_tls(error);
                self.state
                    .audit
                    .refusal(&visitor.source.to_string(), &format!("MQTT: TLS handshake: {error}"));
                if self.may_write(visitor.source, "TLS handshake refused") {
                    tracing::warn!(source = %visitor.source, %error, "TLS handshake refused");
                }
            })
            .ok()
    }

    /// Asked when CONNECT has come, with the client id.
    fn door(&self, id: SessionId, standing: &Standing, visitor: Arc<Visitor>, place: Place) -> Door {
        let (state, identity) = (self.state.clone(), standing.peer.identity.clone());
        Box::new(move |client_id| {
            match state.admit(id, &identity, client_id) {
                Ok(placed) => {
                    // Ended in this very moment: there is nobody to answer.
                    if !visitor.connected() {
                        return Err(Reason::SERVER_BUSY.into());
                    }
                    *place.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(placed);
                    Ok(())
                }
                Err(crowded) => {
                    let why = state.counters.count_crowded(crowded);
                    state.audit.refusal(&identity.to_string(), why);
                    if state.doors.log.may_write(Subject::Peer(identity.clone(), why)) {
                        tracing::warn!(peer = %identity, source = %visitor.source, "{why}");
                    }
                    Err(Refusal::new(crowded.reason(), why))
                }
            }
        })
    }

    fn refused(&self, source: Source, refused: Refused) {
        let why = self.state.counters.count_refused(refused);
        self.state.audit.refusal(&source.to_string(), why);
        if self.may_write(source, why) {
            tracing::warn!(%source, "{why}");
        }
    }

    fn made_room(&self, source: Source, ended: usize) {
        if ended > 0 {
            self.state.counters.made_room.add(ended as u64);
            if self.may_write(source, MADE_ROOM) {
                tracing::warn!(%source, "{MADE_ROOM}");
            }
        }
    }

    fn may_write(&self, source: Source, what: &'static str) -> bool {
        self.state.doors.log.may_write(Subject::Source(source, what))
    }
}
