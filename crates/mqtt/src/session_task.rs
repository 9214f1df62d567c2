//! Task of one session: the state machine, and what it shares with the server.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::BytesMut;

use crate::account::Account;
use crate::event::ServerEvent;
use crate::pump::{Appetite, Machine, Mailbox};
use crate::server_state::{Placed, ServerState, lock};
use crate::session::{Command, Handle, Session, SessionId};
use crate::standing::Standing;
use crate::{End, Limits, Moment, Reason, ServerConnection, ServerInput, ServerOutput, Version};

/// A session's task: the state machine and what it shares with the server.
pub(crate) struct SessionTask {
    pub(crate) machine: ServerConnection,
    id: SessionId,
    standing: Standing,
    state: Arc<ServerState>,
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

impl SessionTask {
    pub(crate) fn new(
        machine: ServerConnection,
        id: SessionId,
        standing: Standing,
        limits: Limits,
        state: Arc<ServerState>,
        mailbox: Arc<Mailbox<Command>>,
        place: Place,
    ) -> SessionTask {
        SessionTask {
            machine,
            id,
            standing,
            state,
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
                        self.state.counters.sessions_3_1_1.add(1);
                    }
                    let session = Session::new(Handle {
                        id: self.id,
                        standing: self.standing.clone(),
                        client_id,
                        version,
                        mailbox: self.mailbox.clone(),
                        outbound: self.outbound.clone(),
                        max_outbound: self.limits.max_outbound,
                    });
                    if let Some(placed) = &*lock(&self.place) {
                        self.account = placed.account.clone();
                    }
                    self.state.register(&session);
                    self.events.push_back(ServerEvent::Connected { session: session.clone() });
                    self.session = Some(session);
                }
                (ServerOutput::Publishes(items), Some(session)) => {
                    self.state.counters.publishes.add(items.len() as u64);
                    let wills = items.iter().filter(|item| item.will).count();
                    self.state.counters.wills.add(wills as u64);
                    let rate = self.state.bounds.publishes_per_identity_s;
                    self.account.published(self.now, items.len(), rate);
                    self.state.counters.bytes.add(items.iter().map(|item| item.payload.len() as u64).sum());
                    self.events.push_back(ServerEvent::Publishes { session: session.clone(), items });
                }
                (ServerOutput::Refused(count), _) => {
                    self.state.counters.refused.add(count as u64);
                    let who = self.standing.peer.identity.to_string();
                    self.state.audit.refusal(&who, "publishes on topics that are not its own");
                    self.account.published(self.now, count, self.state.bounds.publishes_per_identity_s);
                }
                (ServerOutput::Subscribed(filter), Some(session)) => {
                    self.events.push_back(ServerEvent::Subscribed { session: session.clone(), filter });
                }
                (ServerOutput::Completed(done), Some(session)) => {
                    self.events.push_back(ServerEvent::Completed { session: session.clone(), done });
                }
                (ServerOutput::Ended(end), session) => {
                    if let Some(session) = session {
                        self.state.unregister(session);
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
            self.state.charge(self.charged.1, now.1);
            self.account.charge(self.charged, now);
            self.charged = now;
        }
    }
}

impl Machine for SessionTask {
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
                    self.state.counters.rejected.add(1);
                    if self.session.as_ref().is_some_and(|session| session.version() == Version::V3_1_1) {
                        self.state.counters.rejected_untold.add(1);
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
        if undecided >= self.state.bounds.undecided_per_identity || !self.state.has_room(bytes) {
            self.state.counters.held_identity.add(1);
            Appetite::Retry
        } else if self.account.is_ahead(self.now) {
            self.state.counters.held_rate.add(1);
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

impl Drop for SessionTask {
    /// Also when its task is dropped with the runtime.
    fn drop(&mut self) {
        self.charge((0, 0));
        lock(&self.place).take();
        self.mailbox.close();
        if let Some(session) = &self.session {
            self.state.unregister(session);
        }
    }
}
