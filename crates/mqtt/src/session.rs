use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use voltmesh_identity::Peer;

use crate::account::Account;
use crate::pump::{Appetite, Machine, Mailbox};
use crate::server::{Common, Placed, ServerEvent, lock};
use crate::standing::Standing;
use crate::{
    End, Error, Limits, Moment, Outgoing, Reason, Refusal, ServerConnection, ServerInput, ServerOutput,
    Token, Version,
};

/// Tells the sessions of one server apart; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// A connected client, as the application sees it. Cheap to clone; usable from any thread.
#[derive(Clone)]
pub struct Session(Arc<Shared>);

struct Shared {
    id: SessionId,
    standing: Standing,
    client_id: String,
    version: Version,
    mailbox: Arc<Mailbox<Command>>,
    /// Publishes handed over and not yet sent.
    outbound: Arc<AtomicUsize>,
    max_outbound: usize,
}

pub(crate) enum Command {
    Accept(Token),
    Reject(Token, Refusal),
    Publish(Outgoing),
    Disconnect(Refusal),
}

impl Session {
    /// Of this server.
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// Who it is, from the certificate.
    pub fn peer(&self) -> &Peer {
        &self.0.standing.peer
    }

    /// With all certificates that it has shown.
    pub(crate) fn standing(&self) -> &Standing {
        &self.0.standing
    }

    /// What the client calls this session, or what it was assigned.
    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// What the client speaks.
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// The publish is durable: acknowledge it. Any order; acknowledgements leave in few writes.
    pub fn accept(&self, token: Token) {
        self.0.mailbox.push([Command::Accept(token)]);
    }

    /// The same for many at once, at the cost of one.
    pub fn accept_all(&self, tokens: impl IntoIterator<Item = Token>) {
        self.0.mailbox.push(tokens.into_iter().map(Command::Accept));
    }

    /// The publish will never be taken, and is kept elsewhere: acknowledge it with this reason. MQTT 5 counts that as
    /// delivered, and MQTT 3.1.1 is told nothing else, so for a failure that may pass, [`Session::disconnect`] with
    /// [`Reason::QUOTA_EXCEEDED`] instead.
    pub fn reject(&self, token: Token, refusal: impl Into<Refusal>) {
        self.0.mailbox.push([Command::Reject(token, refusal.into())]);
    }

    /// Sends to the client. [`ServerEvent::Completed`] tells what became of it.
    pub fn publish(&self, item: Outgoing) -> Result<(), Error> {
        if self.0.outbound.fetch_add(1, Ordering::AcqRel) >= self.0.max_outbound {
            self.0.outbound.fetch_sub(1, Ordering::AcqRel);
            return Err(Error::Full);
        }
        if self.0.mailbox.push([Command::Publish(item)]) { Ok(()) } else { Err(Error::Closed) }
    }

    /// Ends the session, telling the client why; an MQTT 3.1.1 client only sees the connection closed. Publishes without
    /// decision stay unacknowledged.
    pub fn disconnect(&self, refusal: impl Into<Refusal>) {
        self.0.mailbox.push([Command::Disconnect(refusal.into())]);
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        self.0.mailbox.is_closed()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.0.id.0)
            .field("peer", &self.peer().identity)
            .field("client_id", &self.0.client_id)
            .field("version", &self.0.version)
            .finish()
    }
}

/// A session's task: the state machine and what it shares with the server.
pub(crate) struct ServerSide {
    pub(crate) machine: ServerConnection,
    id: SessionId,
    standing: Standing,
    common: Arc<Common>,
    limits: Limits,
    mailbox: Arc<Mailbox<Command>>,
    outbound: Arc<AtomicUsize>,
    session: Option<Session>,
    place: Place,
    /// What its identity has under way, once there is a session.
    account: Arc<Account>,
    events: VecDeque<ServerEvent>,
    /// This session's part of its identity's and the common budget: publishes and bytes.
    charged: (usize, usize),
    /// When it was last called.
    now: Moment,
    ended: Option<End>,
}

/// Slot in which the acceptor leaves a session's place.
pub(crate) type Place = Arc<Mutex<Option<Placed>>>;

impl ServerSide {
    pub(crate) fn new(
        machine: ServerConnection,
        id: SessionId,
        standing: Standing,
        limits: Limits,
        common: Arc<Common>,
        mailbox: Arc<Mailbox<Command>>,
        place: Place,
    ) -> ServerSide {
        ServerSide {
            machine,
            id,
            standing,
            common,
            limits,
            mailbox,
            outbound: Arc::new(AtomicUsize::new(0)),
            session: None,
            place,
            account: Arc::default(),
            events: VecDeque::new(),
            charged: (0, 0),
            now: Moment::default(),
            ended: None,
        }
    }

    pub(crate) fn end(&self) -> Option<&End> {
        self.ended.as_ref()
    }

    fn take(&mut self, outputs: Vec<ServerOutput>) {
        for output in outputs {
            match (output, &self.session) {
                (ServerOutput::Connected { client_id, version, .. }, _) => {
                    if version == Version::V3_1_1 {
                        self.common.counters.sessions_3_1_1.add(1);
                    }
                    let session = Session(Arc::new(Shared {
                        id: self.id,
                        standing: self.standing.clone(),
                        client_id,
                        version,
                        mailbox: self.mailbox.clone(),
                        outbound: self.outbound.clone(),
                        max_outbound: self.limits.max_outbound,
                    }));
                    if let Some(placed) = &*lock(&self.place) {
                        self.account = placed.account.clone();
                    }
                    self.common.register(&session);
                    self.events.push_back(ServerEvent::Connected { session: session.clone() });
                    self.session = Some(session);
                }
                (ServerOutput::Publishes(items), Some(session)) => {
                    self.common.counters.publishes.add(items.len() as u64);
                    let wills = items.iter().filter(|item| item.will).count();
                    self.common.counters.wills.add(wills as u64);
                    let rate = self.common.bounds.publishes_per_identity_s;
                    self.account.published(self.now, items.len(), rate);
                    self.common.counters.bytes.add(items.iter().map(|item| item.payload.len() as u64).sum());
                    self.events.push_back(ServerEvent::Publishes { session: session.clone(), items });
                }
                (ServerOutput::Refused(count), _) => {
                    self.common.counters.refused.add(count as u64);
                    let who = self.standing.peer.identity.to_string();
                    self.common.audit.refusal(&who, "publishes on topics that are not its own");
                    self.account.published(self.now, count, self.common.bounds.publishes_per_identity_s);
                }
                (ServerOutput::Subscribed(filter), Some(session)) => {
                    self.events.push_back(ServerEvent::Subscribed { session: session.clone(), filter });
                }
                (ServerOutput::Completed(done), Some(session)) => {
                    self.events.push_back(ServerEvent::Completed { session: session.clone(), done });
                }
                (ServerOutput::Ended(end), session) => {
                    if let Some(session) = session {
                        self.common.unregister(session);
                        self.events
                            .push_back(ServerEvent::Ended { session: session.clone(), end: end.clone() });
                    }
                    lock(&self.place).take();
                    self.ended = Some(end);
                }
                (ServerOutput::Unsubscribed(_), _) | (_, None) => {}
            }
        }
        let now = if self.ended.is_some() { (0, 0) } else { self.machine.undecided() };
        self.charge(now);
    }

    fn charge(&mut self, now: (usize, usize)) {
        if now != self.charged {
            self.common.charge(self.charged.1, now.1);
            self.account.charge(self.charged, now);
            self.charged = now;
        }
    }
}

impl Machine for ServerSide {
    type Command = Command;
    type Event = ServerEvent;

    fn received(&mut self, now: Moment, bytes: &[u8]) {
        self.now = now;
        let outputs = self.machine.handle(now, ServerInput::Received(bytes));
        self.take(outputs);
    }

    fn closed(&mut self, now: Moment, cause: &str) {
        self.now = now;
        let outputs = self.machine.handle(now, ServerInput::Closed(cause));
        self.take(outputs);
    }

    fn tick(&mut self, now: Moment) {
        self.now = now;
        let outputs = self.machine.handle(now, ServerInput::Tick);
        self.take(outputs);
    }

    fn commands(&mut self, now: Moment, commands: Vec<Command>) {
        self.now = now;
        let mut outputs = Vec::new();
        for command in commands {
            outputs.extend(match command {
                Command::Accept(token) => self.machine.handle(now, ServerInput::Accept(token)),
                Command::Reject(token, refusal) => {
                    self.common.counters.rejected.add(1);
                    if self.session.as_ref().is_some_and(|session| session.version() == Version::V3_1_1) {
                        self.common.counters.rejected_untold.add(1);
                    }
                    self.machine.handle(now, ServerInput::Reject(token, refusal))
                }
                Command::Publish(item) => self.machine.handle(now, ServerInput::Publish(item)),
                Command::Disconnect(refusal) => self.machine.handle(now, ServerInput::Disconnect(refusal)),
            });
        }
        self.outbound.store(self.machine.outbound().0, Ordering::Release);
        self.take(outputs);
    }

    fn excuse(&mut self, now: Moment) {
        self.now = now;
        self.machine.excuse(now);
    }

    fn orphaned(&mut self, now: Moment) {
        let outputs = self.machine.handle(now, ServerInput::Disconnect(Reason::SERVER_SHUTTING_DOWN.into()));
        self.take(outputs);
        self.events.clear();
    }

    fn deadline(&self) -> Option<Moment> {
        self.machine.deadline()
    }

    fn output(&mut self) -> &mut BytesMut {
        self.machine.output()
    }

    fn appetite(&self) -> Appetite {
        if self.charged.1 >= self.limits.max_undecided_bytes || self.machine.is_full() {
            return Appetite::Wait;
        }
        let (undecided, bytes) = self.account.undecided();
        if undecided >= self.common.bounds.undecided_per_identity || !self.common.has_room(bytes) {
            self.common.counters.held_identity.add(1);
            Appetite::Retry
        } else if self.account.is_ahead(self.now) {
            self.common.counters.held_rate.add(1);
            Appetite::Retry
        } else {
            Appetite::Read
        }
    }

    fn events(&mut self) -> &mut VecDeque<ServerEvent> {
        &mut self.events
    }

    fn ended(&self) -> bool {
        self.ended.is_some()
    }
}

impl Drop for ServerSide {
    /// Also when its task is dropped with the runtime.
    fn drop(&mut self) {
        self.charge((0, 0));
        lock(&self.place).take();
        self.mailbox.close();
        if let Some(session) = &self.session {
            self.common.unregister(session);
        }
    }
}
