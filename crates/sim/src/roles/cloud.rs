//! The cloud's process: its core, its writer and reader of the archive, and sessions with fog nodes.

use crate::{
    checker::Checker,
    net::{
        Net, NodeAddress, Stream,
        mqtt_session::{self as session, ToServer},
    },
    node::{NodeContext, timestamp},
    store::{Store, lane::Lease},
};
use bytes::Bytes;
use commonware_macros::select;
use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _};
use commonware_utils::sync::Mutex;
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
use tokio::sync::mpsc;
use voltmesh_cloud::{
    Archive, ArchiveError, Archivist, Commit, FogsOnly, Grouping, Input, Marks, Output, Question, Reader,
    Settings, Token, Verified,
    writer::{Surroundings, ask, write},
};
use voltmesh_control::topics::{FogTopic, Topic};
use voltmesh_ledger::{AnchorProof, Trust};
use voltmesh_mqtt::{Identity, Incoming, Limits, Outgoing, Reason, Role, ServerOutput};

/// Setup of the cloud.
#[derive(Clone)]
pub struct Setup {
    /// Where it listens.
    pub place: NodeAddress,
    /// What it trusts: its own file, extended by what it learns.
    pub trust: Arc<Mutex<Trust>>,
    /// Signs notices.
    pub key: SigningKey,
    /// What connects it with the others.
    pub net: Net,
    /// Where the archive is.
    pub store: Store,
    /// How the archive is kept.
    pub settings: Settings,
    /// Sees all.
    pub checker: Checker,
    /// Names of the fog nodes by place: what their certificates would say.
    pub fogs: BTreeMap<NodeAddress, String>,
    /// How commits are grouped.
    pub grouping: Grouping,
}

/// A process that cannot open its archive ends, and is started again after so long.
const RESTART: Duration = Duration::from_secs(1);
/// Results of the writer and of look-ups that wait for the core, as in the real process.
const RESULTS: usize = 64;

enum Event {
    Up(u64, String, UnboundedSender<ToServer>),
    Heard(u64, ServerOutput),
}

struct Session {
    fog: String,
    commands: UnboundedSender<ToServer>,
}

struct Cloud {
    context: NodeContext,
    setup: Setup,
    core: Archivist,
    reader: Reader,
    commits: mpsc::Sender<Commit>,
    results: mpsc::Sender<Input>,
    sessions: BTreeMap<u64, Session>,
    tokens: BTreeMap<u64, (u64, voltmesh_mqtt::Token)>,
    next: u64,
}

/// Runs until killed.
pub async fn run(context: NodeContext, setup: Setup) {
    let (archive, marks, lane) = open(&context, &setup.store, setup.settings).await;
    let reader = archive.reader();
    let (commits, queue) = mpsc::channel(1);
    let (results, mut done) = mpsc::channel(RESULTS);
    let (told, store) = (results.clone(), setup.store.clone());
    context
        .child("writer")
        .spawn(move |context| write(archive, queue, told, Process { context, store, lane }));
    let (events, mut inbox) = unbounded();
    let trust = setup.trust.lock().clone();
    let core = Archivist::new(trust, setup.key.clone(), setup.grouping, &marks);
    listen(&context, &setup, events);
    let mut cloud = Cloud {
        context,
        setup,
        core,
        reader,
        commits,
        results,
        sessions: BTreeMap::new(),
        tokens: BTreeMap::new(),
        next: 0,
    };
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
            input = done.recv() => match input {
                Some(input) => cloud.input(input),
                None => return,
            },
            _ = cloud.context.sleep_until(at) => cloud.input(Input::Tick),
        }
    }
}

/// Opens the archive; each attempt is what a started process does.
async fn open(context: &NodeContext, store: &Store, settings: Settings) -> (Archive, Marks, Lease) {
    loop {
        let (lane, location) = (store.lane(), store.location());
        match store.run(&lane, context, async move { Archive::open(&location, settings).await }).await {
            Ok((archive, marks)) => return (archive, marks, lane),
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "the archive does not open");
                context.sleep(RESTART).await;
            }
        }
    }
}

/// A second writer, which no deployment should have: it opens the archive, merges its files and goes.
pub async fn intrude(context: NodeContext, store: Store, settings: Settings) {
    let (mut archive, _, lane) = open(&context, &store, settings).await;
    for _ in 0..4 {
        let work = async move {
            let merged = archive.compact().await;
            if merged.is_err() {
                // It reads again what is there, which also brings `records` up to `batches`.
                let _ = archive.reload().await;
            }
            archive
        };
        archive = store.run(&lane, &context, work).await;
        context.sleep(RESTART).await;
    }
}

/// The writer's clock and executor in the simulation.
struct Process {
    context: NodeContext,
    store: Store,
    lane: Lease,
}

impl Surroundings for Process {
    fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        self.store.run(&self.lane, &self.context, work)
    }

    async fn sleep(&self, duration: Duration) {
        self.context.sleep(duration).await;
    }

    fn elapsed(&self) -> Duration {
        self.context.current().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    fn committed(&self, _: &Commit, _: Duration) {}

    fn failed(&self, what: &'static str, error: &ArchiveError) {
        tracing::debug!(%error, "{what}");
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
        session::server(&context, stream, peer, Arc::new(FogsOnly), limits, orders, tell).await;
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
                *self.setup.trust.lock() = self.core.trust().clone();
            }
            _ => self.order(id, ToServer::Reject(item.token, Reason::TOPIC_NAME_INVALID.into())),
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
                self.answer(token, |t| ToServer::Reject(t, Reason::PAYLOAD_FORMAT_INVALID.into()))
            }
            Output::Defer(token, _) => {
                self.answer(token, |_| ToServer::Disconnect(Reason::QUOTA_EXCEEDED.into()))
            }
            Output::Notice { fog, bytes, .. } => self.notice(&fog, bytes),
        }
    }

    fn commit(&self, commit: Commit) {
        for entry in &commit.entries {
            // Checked again here, by the ledger alone: the core under test is not asked.
            if let Err(error) = verify(self.core.trust(), &entry.batch) {
                let batch = entry.batch.id;
                let problem = format!("batch {batch} is to be archived without valid evidence: {error}");
                self.setup.checker.problem(problem);
            }
        }
        let now = timestamp(&self.context).as_millis();
        tracing::trace!(now, entries = commit.entries.len(), "commit");
        // The core has one commit under way at most, and the channel holds one.
        let sent = self.commits.try_send(commit);
        assert!(sent.is_ok(), "the archive's writer takes one commit at a time");
    }

    fn ask(&self, question: u64, about: Question) {
        let (reader, store, results) = (self.reader.clone(), self.setup.store.clone(), self.results.clone());
        self.context.child("ask").spawn(move |context| async move {
            let lane = store.lane();
            let answer = store.run(&lane, &context, ask(reader, about)).await;
            let _ = results.send(Input::Answered { question, answer }).await;
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

fn verify(trust: &Trust, batch: &Verified) -> Result<(), String> {
    let evidence = AnchorProof::from_bytes(&batch.evidence).map_err(|error| error.to_string())?;
    let opening = voltmesh_cloud::opening_from(&batch.opening).ok_or("no opening")?;
    let signer = match batch.attested_by() {
        Some(fog) => fog.parse().map_err(|error| format!("{error}"))?,
        None => batch.header.vehicle.clone(),
    };
    let commitment = voltmesh_control::commitment(&signer, &opening);
    evidence.verify(trust, &batch.id, &commitment).map(drop).map_err(|error| error.to_string())
}
