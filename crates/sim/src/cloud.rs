//! The cloud's process: its core, sessions with fog nodes, and the archive's table.

use crate::{
    archive::{Archive, Failed},
    link::{Net, Place, Stream},
    node::{NodeContext, timestamp},
    session::{self, ToServer},
};
use bytes::Bytes;
use commonware_macros::select;
use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _};
use ed25519_dalek::SigningKey;
use futures::{
    StreamExt as _,
    channel::mpsc::{UnboundedSender, unbounded},
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};
use voltmesh_cloud::{Answer, Archivist, Commit, Grouping, Input, Marks, Output, Question, Token};
use voltmesh_control::topics::{FogTopic, Topic};
use voltmesh_ledger::{Genesis, Trust};
use voltmesh_mqtt::{Identity, Incoming, Limits, Outgoing, Reason, Role, ServerOutput};

/// What the cloud is told once.
#[derive(Clone)]
pub struct Setup {
    /// Where it listens.
    pub place: Place,
    /// The chain it trusts.
    pub genesis: Genesis,
    /// Signs notices.
    pub key: SigningKey,
    /// The roads.
    pub net: Net,
    /// The table.
    pub archive: Archive,
    /// Names of the fog nodes by place: what their certificates would say.
    pub fogs: BTreeMap<Place, String>,
    /// How commits are grouped.
    pub grouping: Grouping,
}

enum Event {
    Up(u64, String, UnboundedSender<ToServer>),
    Heard(u64, ServerOutput),
    Committed(u64),
    Reloaded(u64, Marks),
    Answered(u64, Answer),
}

struct Session {
    fog: String,
    commands: UnboundedSender<ToServer>,
}

struct Cloud {
    context: NodeContext,
    setup: Setup,
    core: Archivist,
    events: UnboundedSender<Event>,
    sessions: BTreeMap<u64, Session>,
    tokens: BTreeMap<u64, (u64, voltmesh_mqtt::Token)>,
    next: u64,
}

/// Runs until killed.
pub async fn run(context: NodeContext, setup: Setup) {
    let (events, mut inbox) = unbounded();
    let trust = Trust::from_genesis(setup.genesis.clone());
    let core = Archivist::new(trust, setup.key.clone(), setup.grouping, &setup.archive.marks());
    listen(&context, &setup, events.clone());
    let mut cloud =
        Cloud { context, setup, core, events, sessions: BTreeMap::new(), tokens: BTreeMap::new(), next: 0 };
    loop {
        let deadline = cloud.core.deadline().map(|at| at.as_millis());
        let at = deadline.map_or(cloud.context.current() + Duration::from_secs(3_600), |at| {
            SystemTime::UNIX_EPOCH + Duration::from_millis(at)
        });
        let at = at.max(cloud.context.current() + Duration::from_millis(2));
        select! {
            event = inbox.next() => match event {
                Some(event) => cloud.event(event),
                None => return,
            },
            _ = cloud.context.sleep_until(at) => cloud.input(Input::Tick),
        }
    }
}

fn listen(context: &NodeContext, setup: &Setup, events: UnboundedSender<Event>) {
    let mut incoming = setup.net.listen(setup.place);
    let fogs = setup.fogs.clone();
    context.child("listener").spawn(move |context| async move {
        let mut next = 0;
        loop {
            let (place, stream) = incoming.accept().await;
            let Some(fog) = fogs.get(&place) else { continue };
            let (commands, orders) = unbounded();
            next += 1;
            serve(&context, next, fog.clone(), stream, events.clone(), orders);
            let _ = events.unbounded_send(Event::Up(next, fog.clone(), commands));
        }
    });
}

fn serve(
    context: &NodeContext,
    id: u64,
    fog: String,
    stream: Stream,
    events: UnboundedSender<Event>,
    orders: futures::channel::mpsc::UnboundedReceiver<ToServer>,
) {
    let Ok(peer) = Identity::new(Role::Fog, &fog) else { return };
    let limits = Limits { max_packet: 4 << 20, ..Limits::default() };
    context.child("session").spawn(move |context| async move {
        let tell = |output| drop(events.unbounded_send(Event::Heard(id, output)));
        session::server(&context, stream, peer, limits, orders, tell).await;
    });
}

impl Cloud {
    fn event(&mut self, event: Event) {
        match event {
            Event::Up(id, fog, commands) => {
                self.sessions.insert(id, Session { fog, commands });
            }
            Event::Heard(id, ServerOutput::Publishes(items)) => {
                for item in items {
                    self.publish(id, item);
                }
            }
            Event::Heard(id, ServerOutput::Ended(_)) => {
                self.sessions.remove(&id);
                self.tokens.retain(|_, (session, _)| *session != id);
            }
            Event::Heard(..) => {}
            Event::Committed(ticket) => self.input(Input::Committed { ticket }),
            Event::Reloaded(ticket, marks) => self.input(Input::Reloaded { ticket, marks }),
            Event::Answered(question, answer) => self.input(Input::Answered { question, answer }),
        }
    }

    fn publish(&mut self, id: u64, item: Incoming) {
        let Some(session) = self.sessions.get(&id) else { return };
        let fog = session.fog.clone();
        match item.topic.parse() {
            Ok(Topic::Fog(_, FogTopic::Envelope)) => {
                self.next += 1;
                self.tokens.insert(self.next, (id, item.token));
                self.input(Input::Envelope { fog, token: Token(self.next), bytes: item.payload });
            }
            Ok(Topic::Fog(_, FogTopic::Trust)) => {
                self.order(id, ToServer::Accept(item.token));
                self.input(Input::Handovers(item.payload));
            }
            _ => self.order(id, ToServer::Reject(item.token, Reason::TOPIC_NAME_INVALID)),
        }
    }

    fn input(&mut self, input: Input) {
        for output in self.core.handle(timestamp(&self.context), input) {
            self.output(output);
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Commit(commit) => self.commit(commit),
            Output::Ask { question, about } => self.ask(question, about),
            Output::Accept(token) => self.answer(token, ToServer::Accept),
            Output::Reject(token, _) => {
                self.answer(token, |t| ToServer::Reject(t, Reason::PAYLOAD_FORMAT_INVALID))
            }
            Output::Refuse(token, _) => self.answer(token, |_| ToServer::Disconnect(Reason::QUOTA_EXCEEDED)),
            Output::Notice { fog, bytes, .. } => self.notice(&fog, bytes),
        }
    }

    fn commit(&self, commit: Commit) {
        let (archive, events, trust) =
            (self.setup.archive.clone(), self.events.clone(), self.core.trust().clone());
        self.context.child("commit").spawn(move |context| async move {
            let ticket = commit.ticket;
            let event = match archive.commit(&context, commit, &trust).await {
                Ok(()) => Event::Committed(ticket),
                Err(Failed(marks)) => Event::Reloaded(ticket, marks),
            };
            let _ = events.unbounded_send(event);
        });
    }

    fn ask(&self, question: u64, about: Question) {
        let (archive, events) = (self.setup.archive.clone(), self.events.clone());
        self.context.child("ask").spawn(move |context| async move {
            context.sleep(Duration::from_millis(5)).await;
            let _ = events.unbounded_send(Event::Answered(question, archive.answer(&about)));
        });
    }

    fn answer(&mut self, token: Token, make: impl Fn(voltmesh_mqtt::Token) -> ToServer) {
        if let Some((session, token)) = self.tokens.remove(&token.0) {
            self.order(session, make(token));
        }
    }

    /// To every session of the fog node: only the live one has subscribed.
    fn notice(&mut self, fog: &str, bytes: Bytes) {
        let topic: Arc<str> = Topic::Fog(fog.to_owned(), FogTopic::Notice).to_string().into();
        for session in self.sessions.values().filter(|session| session.fog == fog) {
            let item = Outgoing::new(topic.clone(), bytes.clone(), 0);
            let _ = session.commands.unbounded_send(ToServer::Publish(item));
        }
    }

    fn order(&self, session: u64, order: ToServer) {
        if let Some(session) = self.sessions.get(&session) {
            let _ = session.commands.unbounded_send(order);
        }
    }
}
