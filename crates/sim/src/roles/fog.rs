//! A fog node's process: its core, sessions with vehicles, its spool, its authority and its uplink.

use crate::{
    checker::Checker,
    link::{Net, Place, Stream},
    mesh::{Mesh, MeshSender, Port},
    node::{NodeContext, timestamp},
    session::{self, ToClient, ToServer},
};
use bytes::Bytes;
use commonware_macros::select;
use commonware_p2p::{Receiver as _, Recipients, Sender as _};
use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _};
use commonware_utils::sync::Mutex;
use futures::{
    StreamExt as _,
    channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};
use voltmesh_consensus::{self as consensus, Finalized, Handle, Node, network};
use voltmesh_control::{
    Handovers,
    topics::{FogTopic, Topic as ControlTopic, VehicleTopic},
};
use voltmesh_fog::TopicPolicy;
use voltmesh_fog::ingest::{
    Answer, Claim, Ingest, Input, Output, Rejection, Restoring, SessionId, Settings, Topic, envelope,
    receipts,
};
use voltmesh_identity::{Peer, Serial};
use voltmesh_ledger::{Height, Transaction};
use voltmesh_mqtt::{
    ClientOptions, ClientOutput, Identity, Limits, Outgoing, Reason, Refusal, Role, ServerOutput, Token,
};
use voltmesh_spool::{Position, Spool, Writer};
use voltmesh_telemetry::{BatchId, SealedBatch, VehicleId};

/// Entries read at a time while restoring.
const RESTORE: usize = 256;

/// Handles of all running authorities, for the operators' transactions.
pub type Handles = Arc<Mutex<BTreeMap<Place, Handle>>>;

/// Setup of a fog node.
#[derive(Clone)]
pub struct Setup {
    /// Where it listens.
    pub place: Place,
    /// Of its core.
    pub settings: Settings,
    /// Of its authority.
    pub ledger: consensus::Config,
    /// The roads.
    pub net: Net,
    /// The authorities' connections.
    pub mesh: Mesh,
    /// The cloud's place.
    pub cloud: Place,
    /// Who connects from where: what certificates would say.
    pub peers: BTreeMap<Place, (Role, String)>,
    /// Sees all.
    pub checker: Checker,
    /// Where this node's handle is put.
    pub handles: Handles,
}

enum Event {
    Up(u64, Peer, UnboundedSender<ToServer>),
    Heard(u64, ServerOutput),
    Spool { durable: Position, failed: Option<String> },
    Quarantine(Position),
    Final(Box<Finalized>),
    Copy { from: voltmesh_ledger::PublicKey, message: Bytes },
    CloudUp(UnboundedSender<ToClient>),
    Cloud(ClientOutput),
}

/// Opens the channels of an authority.
pub fn channels(port: &Port) -> consensus::Network<MeshSender, crate::mesh::MeshReceiver, Port, Port> {
    consensus::Network {
        channels: consensus::Channels {
            votes: port.channel(network::VOTES),
            certificates: port.channel(network::CERTIFICATES),
            resolver: port.channel(network::RESOLVER),
            blocks: port.channel(network::BLOCKS),
            backfill: port.channel(network::BACKFILL),
            transactions: port.channel(network::TRANSACTIONS),
            roots: port.channel(network::ROOTS),
        },
        peers: port.clone(),
        blocker: port.clone(),
    }
}

/// An authority without a fog node: a Byzantine one's twin.
pub async fn twin(context: NodeContext, setup: Setup, half: bool) {
    let key = commonware_cryptography::Signer::public_key(&setup.ledger.private_key);
    let port = setup.mesh.join(setup.place, key, Some(half));
    match Node::start(context.child("node"), setup.ledger, channels(&port)).await {
        Ok(_node) => futures::future::pending().await,
        Err(error) => panic!("the twin's ledger does not open: {error}"),
    }
}

struct Fog {
    context: NodeContext,
    setup: Setup,
    core: Ingest,
    spool: Writer<NodeContext>,
    quarantine: Writer<NodeContext>,
    /// Entries that the spool had no room for; its positions must follow the core's.
    waiting: VecDeque<Bytes>,
    handle: Handle,
    copies: MeshSender,
    sessions: BTreeMap<u64, UnboundedSender<ToServer>>,
    /// Publishes that wait for an answer.
    claims: BTreeMap<u64, (Token, Bytes, Arc<str>)>,
    next: u64,
    cloud: Option<UnboundedSender<ToClient>>,
    /// Envelopes under way by tag.
    forwarded: BTreeMap<u64, BatchId>,
    epoch: Option<u64>,
    caught_up: bool,
}

/// Runs until killed. `half` makes it one of two twins.
pub async fn run(context: NodeContext, setup: Setup, half: Option<bool>) {
    let opened = |what: &'static str, name: &str, max: u64| {
        let mut config = voltmesh_spool::Config::new(name);
        config.max_bytes = max;
        let context = context.child(what);
        async move {
            match Spool::open(context.child("open"), config).await {
                Ok(spool) => spool.start(context).0,
                Err(error) => panic!("the {what} does not open: {error}"),
            }
        }
    };
    let spool = opened("spool", "spool", setup.settings.spool.capacity_bytes).await;
    let quarantine = opened("quarantine", "quarantine", setup.settings.spool.quarantine_bytes).await;
    let mut core = restore(&context, &setup, &spool).await;
    core.quarantine_at(quarantine.end());

    let key = commonware_cryptography::Signer::public_key(&setup.ledger.private_key);
    let port = setup.mesh.join(setup.place, key, half);
    let (copies, mut received) = port.channel(network::COPIES);
    let node = match Node::start(context.child("node"), setup.ledger.clone(), channels(&port)).await {
        Ok(node) => node,
        Err(error) => panic!("the ledger does not open: {error}"),
    };
    let handle = node.handle();
    setup.handles.lock().insert(setup.place, handle.clone());

    let (events, mut inbox) = unbounded();
    let from = core.replay_above().map_or_else(|| handle.height().next(), |height| Height::new(height + 1));
    spawn_final(&context, handle.subscribe(from), events.clone());
    spawn_progress(&context, &spool, &quarantine, events.clone());
    listen(&context, &setup, events.clone());
    uplink(&context, &setup, events.clone());
    let copied = events.clone();
    context.child("copies").spawn(move |_| async move {
        loop {
            let Ok((from, message)) = received.recv().await;
            let message = Bytes::copy_from_slice(message.as_ref());
            let _ = copied.unbounded_send(Event::Copy { from, message });
        }
    });

    let mut fog = Fog {
        context,
        setup,
        core,
        spool,
        quarantine,
        waiting: VecDeque::new(),
        handle,
        copies,
        sessions: BTreeMap::new(),
        claims: BTreeMap::new(),
        next: 0,
        cloud: None,
        forwarded: BTreeMap::new(),
        epoch: None,
        caught_up: false,
    };
    let mut housekeeping = fog.context.current();
    loop {
        let deadline =
            fog.core.deadline().map(|at| SystemTime::UNIX_EPOCH + Duration::from_millis(at.as_millis()));
        let at = deadline.map_or(housekeeping, |deadline| deadline.min(housekeeping));
        // A deadline in the past is looked at again, not at once for ever.
        let at = at.max(fog.context.current() + Duration::from_millis(2));
        select! {
            event = inbox.next() => {
                let Some(event) = event else { return };
                fog.event(event).await;
                // All that came together is one group.
                while let Ok(event) = inbox.try_recv() {
                    fog.event(event).await;
                }
            },
            _ = fog.context.sleep_until(at) => {},
        }
        if fog.context.current() >= housekeeping {
            fog.housekeeping().await;
            housekeeping = fog.context.current() + Duration::from_millis(500);
        }
        fog.input(Input::Tick).await;
    }
}

async fn restore(context: &NodeContext, setup: &Setup, spool: &Writer<NodeContext>) -> Ingest {
    let mut core = Ingest::new(setup.settings.clone(), spool.end());
    let (mut restoring, mut from) = (Restoring::default(), Position(0));
    loop {
        let entries = match spool.read_from(from, RESTORE, usize::MAX).await {
            Ok(entries) => entries,
            Err(error) => panic!("the spool does not read: {error}"),
        };
        let Some((last, _)) = entries.last() else { break };
        from = last.next();
        for (position, bytes) in &entries {
            core.restore(timestamp(context), &mut restoring, *position, bytes);
        }
    }
    core.restored(restoring);
    core
}

fn spawn_final(context: &NodeContext, mut blocks: consensus::Subscription, events: UnboundedSender<Event>) {
    context.child("final").spawn(move |_| async move {
        while let Some(finalized) = blocks.next().await {
            let _ = events.unbounded_send(Event::Final(Box::new(finalized)));
        }
    });
}

fn spawn_progress(
    context: &NodeContext,
    spool: &Writer<NodeContext>,
    quarantine: &Writer<NodeContext>,
    events: UnboundedSender<Event>,
) {
    let (mut progress, told) = (spool.progress(), events.clone());
    context.child("progress").spawn(move |_| async move {
        let mut failures = 0;
        while progress.changed().await.is_ok() {
            let now = progress.borrow_and_update().clone();
            let failed =
                (now.failures > failures).then(|| now.error.map_or_else(String::new, |e| e.to_string()));
            failures = now.failures;
            let _ = told.unbounded_send(Event::Spool { durable: now.durable, failed });
        }
    });
    let mut progress = quarantine.progress();
    context.child("progress").spawn(move |_| async move {
        while progress.changed().await.is_ok() {
            let durable = progress.borrow_and_update().durable;
            let _ = events.unbounded_send(Event::Quarantine(durable));
        }
    });
}

fn listen(context: &NodeContext, setup: &Setup, events: UnboundedSender<Event>) {
    let mut incoming = setup.net.listen(setup.place);
    let peers = setup.peers.clone();
    context.child("listener").spawn(move |context| async move {
        let mut next = 0;
        loop {
            let (place, stream) = incoming.accept().await;
            let Some(identity) = peers.get(&place).and_then(|(role, id)| Identity::new(*role, id).ok())
            else {
                continue;
            };
            next += 1;
            let (commands, orders) = unbounded();
            let serial = Serial::new(&place.0.to_be_bytes());
            let peer = Peer { identity: identity.clone(), serial, expires_s: i64::MAX };
            let _ = events.unbounded_send(Event::Up(next, peer, commands));
            serve(&context, next, identity, stream, events.clone(), orders);
        }
    });
}

fn serve(
    context: &NodeContext,
    id: u64,
    peer: Identity,
    stream: Stream,
    events: UnboundedSender<Event>,
    orders: UnboundedReceiver<ToServer>,
) {
    context.child("session").spawn(move |context| async move {
        let tell = |output| drop(events.unbounded_send(Event::Heard(id, output)));
        session::server(&context, stream, peer, Arc::new(TopicPolicy), Limits::default(), orders, tell).await;
    });
}

/// Keeps a session with the cloud, with pauses after failures.
fn uplink(context: &NodeContext, setup: &Setup, events: UnboundedSender<Event>) {
    let (net, place, cloud) = (setup.net.clone(), setup.place, setup.cloud);
    let fog = setup.settings.fog.to_string();
    context.child("uplink").spawn(move |context| async move {
        loop {
            if let Ok(stream) = net.connect(place, cloud).await {
                let (commands, mut orders) = unbounded();
                let options = ClientOptions {
                    max_packet: 4 << 20,
                    subscriptions: vec![ControlTopic::Fog(fog.clone(), FogTopic::Notice).to_string()],
                    ..ClientOptions::default()
                };
                let told = events.clone();
                let tell = move |output: ClientOutput| {
                    // Said when it is subscribed: the cloud sends notices to subscribers only.
                    if matches!(output, ClientOutput::Subscribed(_)) {
                        let _ = told.unbounded_send(Event::CloudUp(commands.clone()));
                    }
                    let _ = told.unbounded_send(Event::Cloud(output));
                };
                session::client(&context, stream, options, &mut orders, tell).await;
            }
            context.sleep(Duration::from_millis(700)).await;
        }
    });
}

impl Fog {
    async fn event(&mut self, event: Event) {
        match event {
            Event::Up(id, peer, commands) => {
                self.sessions.insert(id, commands);
                self.input(Input::Connected { session: SessionId(id), peer }).await;
            }
            Event::Heard(id, output) => self.heard(id, output).await,
            Event::Spool { durable, failed } => {
                self.append_waiting();
                self.input(Input::Durable(durable)).await;
                if let Some(why) = failed {
                    self.input(Input::StorageFailed(why)).await;
                }
            }
            Event::Quarantine(durable) => self.input(Input::QuarantineDurable(durable)).await,
            Event::Final(finalized) => self.finalized(*finalized).await,
            Event::Copy { from, message } => self.input(Input::Copy { from, message }).await,
            Event::CloudUp(commands) => {
                self.cloud = Some(commands);
                self.input(Input::CloudUp).await;
            }
            Event::Cloud(output) => self.cloud(output).await,
        }
    }

    async fn heard(&mut self, id: u64, output: ServerOutput) {
        match output {
            ServerOutput::Publishes(items) => {
                self.trace("publishes", items.len());
                for item in items {
                    self.next += 1;
                    let (token, topic) = (self.next, item.topic);
                    self.claims.insert(token, (item.token, item.payload.clone(), topic.clone()));
                    let claim = Claim { session: SessionId(id), token, arrived_us: 0 };
                    self.input(Input::Publish { claim, topic, payload: item.payload }).await;
                }
            }
            ServerOutput::Ended(_) => {
                self.sessions.remove(&id);
                self.input(Input::Disconnected { session: SessionId(id) }).await;
            }
            _ => {}
        }
    }

    async fn finalized(&mut self, finalized: Finalized) {
        let header = finalized.block.header();
        let batches = finalized.entries.iter().map(|entry| entry.batch);
        let digest = commonware_cryptography::Digestible::digest(&*finalized.block);
        self.trace("final", finalized.entries.len());
        self.setup.checker.finalised(self.setup.place, header.height.get(), digest, batches);
        self.input(Input::Finalized(Box::new(finalized))).await;
    }

    async fn handovers(&mut self) {
        let items: Vec<Bytes> =
            self.handle.handovers().await.iter().map(|handover| handover.to_bytes()).collect();
        if !items.is_empty() {
            let bytes = Handovers { items }.encode();
            self.input(Input::Handovers(bytes.into())).await;
        }
    }

    async fn cloud(&mut self, output: ClientOutput) {
        match output {
            ClientOutput::Completed(done) => {
                for (tag, reason) in done {
                    if let Some(batch) = self.forwarded.remove(&tag) {
                        self.input(Input::CloudAnswer { batch, reason: reason.0 }).await;
                    }
                }
            }
            ClientOutput::Messages(items) => {
                for item in items {
                    if let Some(cloud) = &self.cloud {
                        let _ = cloud.unbounded_send(ToClient::Accept(item.token));
                    }
                    self.input(Input::CloudNotice(item.payload)).await;
                }
            }
            ClientOutput::Ended(_) => {
                self.forwarded.clear();
                if self.cloud.take().is_some() {
                    self.input(Input::CloudDown).await;
                }
            }
            _ => {}
        }
    }

    /// What the shell looks at now and then.
    async fn housekeeping(&mut self) {
        let disk = self.context.mount().disk().clone();
        let behaviour = disk.behaviour();
        let free = behaviour.capacity.saturating_sub(disk.used());
        self.input(Input::Space(free)).await;
        let state = self.handle.state();
        let peers: Vec<_> = self.handle.peers().into_iter().map(|peer| peer.key).collect();
        self.caught_up |= self.handle.has_caught_up();
        self.input(Input::Ledger { state, caught_up: self.caught_up }).await;
        self.input(Input::Peers(peers)).await;
        let epoch = self.handle.epoch().get();
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.handovers().await;
        }
        self.append_waiting();
    }

    async fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for output in self.core.handle(timestamp(&self.context), input) {
                if let Some(next) = self.output(output).await {
                    inputs.push_back(next);
                }
            }
        }
    }

    /// Does what the core asks; some answers are there at once.
    async fn output(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Append(bytes) => {
                self.waiting.push_back(bytes);
                self.append_waiting();
            }
            Output::Quarantine { head, entry } => {
                let mut bytes = head.to_vec();
                if let Some(position) = entry {
                    bytes.extend(self.load(position).await.unwrap_or_default());
                }
                self.setup.checker.note("quarantine", &bytes);
                if let Err(error) = self.quarantine.append(bytes.into()) {
                    panic!("the quarantine is full in a simulation that refuses nothing: {error}");
                }
            }
            Output::Load(position) => return Some(Input::Loaded(position, self.load(position).await)),
            Output::Release(positions) => {
                for position in positions {
                    if let Err(error) = self.spool.ack(position) {
                        self.setup.checker.problem(format!("the core releases what is not durable: {error}"));
                    }
                }
            }
            Output::Answer(answers) => {
                self.trace("answers", answers.len());
                answers.into_iter().for_each(|answer| self.answer(answer));
            }
            Output::Reject(rejections) => {
                self.trace("rejections", rejections.len());
                rejections.into_iter().for_each(|rejection| self.reject(rejection));
            }
            Output::Disconnect { session, reason, why } => {
                self.setup.checker.note("disconnect", why.as_bytes());
                tracing::trace!(place = %self.setup.place, why, "disconnected");
                self.order(session.0, ToServer::Disconnect(Refusal::new(Reason(reason), why)));
            }
            Output::Work(job) => return Some(Input::Done(job.run())),
            Output::Submit(transaction) => self.submit(*transaction),
            Output::Copy { to, message } => {
                let _ = self.copies.send(Recipients::One(to), message, false);
            }
            Output::ToVehicle { session, vehicle, topic, payload } => {
                self.to_vehicle(session, vehicle, topic, payload);
            }
            Output::ReceiptsFromSpool { session, vehicle, entries } => {
                let mut loaded = Vec::new();
                for position in entries {
                    loaded.extend(self.load(position).await);
                }
                if let Some(payload) = receipts(loaded) {
                    self.to_vehicle(session, vehicle, Topic::Receipt, payload);
                }
            }
            Output::Forward { batch, entry, evidence } => self.forward(batch, entry, evidence).await,
            Output::TrustToCloud(payload) => {
                self.next += 1;
                let topic = ControlTopic::Fog(self.setup.settings.fog.to_string(), FogTopic::Trust);
                self.to_cloud(Outgoing::new(topic.to_string(), payload, self.next));
            }
            // Its cloud makes no statements yet, and nobody asks for its feed or for vehicles' answers.
            Output::KeepStatements(_)
            | Output::AnchoredToCloud(_)
            | Output::Feed(_)
            | Output::CommandRouted { .. }
            | Output::Answered { .. } => {}
            Output::Log(text) | Output::LogRejection { text, .. } => {
                tracing::debug!(place = %self.setup.place, text, "fog");
                self.setup.checker.note("log", text.as_bytes());
            }
        }
        None
    }

    fn append_waiting(&mut self) {
        while let Some(bytes) = self.waiting.front() {
            if self.spool.append(bytes.clone()).is_err() {
                return;
            }
            self.waiting.pop_front();
        }
    }

    async fn load(&self, position: Position) -> Option<Bytes> {
        self.spool.read(position).await.ok().flatten()
    }

    fn answer(&mut self, answer: Answer) {
        let Some((token, payload, topic)) = self.claims.remove(&answer.claim.token) else { return };
        if topic.ends_with("/batch")
            && let Ok(batch) = SealedBatch::parse(payload)
        {
            self.setup.checker.acknowledged(self.setup.place, batch.header(), batch.id());
        }
        self.order(answer.claim.session.0, ToServer::Accept(token));
    }

    fn reject(&mut self, Rejection { claim, reason, why }: Rejection) {
        let Some((token, _, topic)) = self.claims.remove(&claim.token) else { return };
        self.setup.checker.note("rejected", topic.as_bytes());
        self.order(claim.session.0, ToServer::Reject(token, Refusal::new(Reason(reason), why)));
    }

    fn submit(&self, transaction: Transaction) {
        if let Err(error) = self.handle.submit(transaction) {
            tracing::debug!(place = %self.setup.place, %error, "not submitted");
        }
    }

    fn trace(&self, what: &str, count: usize) {
        let (now, place) = (timestamp(&self.context).as_millis(), self.setup.place);
        tracing::trace!(now, %place, count, "{what}");
    }

    async fn forward(&mut self, batch: BatchId, entry: Position, evidence: Position) {
        let (entry, evidence) = (self.load(entry).await, self.load(evidence).await);
        let fog = self.setup.settings.fog.clone();
        let (Some(entry), Some(evidence)) = (entry, evidence) else { return };
        let Some(payload) = envelope(&fog, &entry, &evidence) else {
            self.setup.checker.problem(format!("{fog} holds entries that make no envelope"));
            return;
        };
        self.next += 1;
        self.forwarded.insert(self.next, batch);
        self.trace("forwarded", self.forwarded.len());
        let topic = ControlTopic::Fog(fog.to_string(), FogTopic::Envelope).to_string();
        self.to_cloud(Outgoing::new(topic, payload, self.next));
    }

    fn to_cloud(&self, item: Outgoing) {
        if let Some(cloud) = &self.cloud {
            let _ = cloud.unbounded_send(ToClient::Publish(item));
        }
    }

    fn to_vehicle(&self, session: SessionId, vehicle: VehicleId, topic: Topic, payload: Bytes) {
        let topic = match topic {
            Topic::Receipt => VehicleTopic::Receipt,
            Topic::Notice => VehicleTopic::Notice,
            Topic::Trust => VehicleTopic::Trust,
            Topic::Command => VehicleTopic::Command,
        };
        let topic = ControlTopic::Vehicle(vehicle, topic).to_string();
        self.order(session.0, ToServer::Publish(Outgoing::new(topic, payload, 0)));
    }

    fn order(&self, session: u64, order: ToServer) {
        if let Some(session) = self.sessions.get(&session) {
            let _ = session.unbounded_send(order);
        }
    }
}
