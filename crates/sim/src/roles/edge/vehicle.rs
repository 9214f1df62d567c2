//! What the agent's outputs ask, done on the simulated disk and links; and what comes of it as its inputs.

use super::{disk::spooled, setup::Setup};
use crate::{
    net::mqtt_session::{self as session, ToClient},
    node::{NodeContext, timestamp},
};
use bytes::Bytes;
use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _};
use futures::channel::mpsc::{UnboundedSender, unbounded};
use std::collections::{BTreeMap, VecDeque};
use voltmesh_control::topics::{Topic, VehicleTopic};
use voltmesh_edge::{
    Agent, FogIndex, Input, Output,
    entry::{self, Stored},
};
use voltmesh_mqtt::{ClientOptions, ClientOutput, Outgoing};
use voltmesh_spool::{Position, Writer};

/// The tag of the hello; batches have their position's number plus one.
const HELLO: u64 = 0;

/// The tag of answers to commands; no spool has so many batches.
const ANSWER: u64 = u64::MAX;

/// All that can happen to the process.
pub(super) enum Event {
    Synced { durable: Position, bytes: u64, failed: Option<String> },
    Measured(FogIndex, Option<u64>),
    Up { fog: FogIndex, session: u64, commands: UnboundedSender<ToClient> },
    Heard { fog: FogIndex, session: u64, output: ClientOutput },
    Failed { fog: FogIndex, session: u64 },
}

/// A link to a fog node.
pub(super) struct Link {
    session: u64,
    commands: Option<UnboundedSender<ToClient>>,
    round_trip_us: u64,
}

/// The core and what its outputs need.
pub(super) struct Vehicle {
    pub context: NodeContext,
    pub setup: Setup,
    pub core: Agent,
    pub spool: Writer<NodeContext>,
    pub events: UnboundedSender<Event>,
    pub links: BTreeMap<FogIndex, Link>,
    pub sessions: u64,
    /// Entries that the spool had no room for; its positions must follow the core's.
    pub waiting: VecDeque<Bytes>,
    /// Sealed and not durable.
    pub unsynced: VecDeque<(Position, Bytes)>,
    pub paused: bool,
    pub hello: Bytes,
}

impl Vehicle {
    pub async fn event(&mut self, event: Event) {
        match event {
            Event::Synced { durable, bytes, failed } => {
                while self.unsynced.front().is_some_and(|(position, _)| *position < durable) {
                    let Some((position, bytes)) = self.unsynced.pop_front() else { break };
                    spooled(&self.setup, position, &bytes);
                }
                self.append_waiting();
                let input =
                    failed.map_or(Input::Synced { durable, bytes }, |reason| Input::SyncFailed { reason });
                self.input(input).await;
            }
            Event::Measured(fog, round_trip_us) => self.input(Input::Measured { fog, round_trip_us }).await,
            Event::Up { fog, session, commands } => {
                if let Some(link) = self.links.get_mut(&fog).filter(|link| link.session == session) {
                    link.commands = Some(commands);
                }
            }
            Event::Failed { fog, session } => {
                if self.links.get(&fog).is_some_and(|link| link.session == session) {
                    self.links.remove(&fog);
                    self.input(Input::Lost { fog, reason: "not reached".into() }).await;
                }
            }
            Event::Heard { fog, session, output } => {
                if self.links.get(&fog).is_some_and(|link| link.session == session) {
                    self.heard(fog, output).await;
                }
            }
        }
    }

    async fn heard(&mut self, fog: FogIndex, output: ClientOutput) {
        match output {
            ClientOutput::Connected { round_trip, .. } => {
                if let Some(link) = self.links.get_mut(&fog) {
                    link.round_trip_us = round_trip.as_micros() as u64;
                }
            }
            ClientOutput::Subscribed(_) => {
                let topic = Topic::Vehicle(self.setup.vehicle.clone(), VehicleTopic::Hello).to_string();
                self.order(fog, ToClient::Publish(Outgoing::new(topic, self.hello.clone(), HELLO)));
                let round_trip_us = self.links.get(&fog).map_or(0, |link| link.round_trip_us);
                self.input(Input::Connected { fog, round_trip_us }).await;
            }
            ClientOutput::Completed(done) => {
                for (tag, reason) in done.into_iter().filter(|(tag, _)| ![HELLO, ANSWER].contains(tag)) {
                    let position = Position(tag - 1);
                    self.trace("answered", fog, position);
                    self.input(Input::Answered { fog, position, code: reason.0 }).await;
                }
            }
            ClientOutput::Messages(items) => {
                for item in items {
                    self.order(fog, ToClient::Accept(item.token));
                    if let Some(input) = Input::of_message(&item.topic, item.payload) {
                        self.input(input).await;
                    }
                }
            }
            ClientOutput::RoundTrip(_) => self.input(Input::Heard { fog }).await,
            ClientOutput::Ended(end) => {
                self.links.remove(&fog);
                self.input(Input::Lost { fog, reason: end.to_string() }).await;
            }
        }
    }

    pub async fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for output in self.core.handle(timestamp(&self.context), input) {
                if let Some(next) = self.output(output).await {
                    inputs.push_back(next);
                }
            }
        }
    }

    async fn output(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Persist { position, entry } => {
                self.unsynced.push_back((position, entry.clone()));
                self.waiting.push_back(entry);
                self.append_waiting();
            }
            Output::Forget { position } => self.forget(position).await,
            Output::Load { from, limit } => return Some(self.load(from, limit).await),
            Output::Connect { fog, .. } => self.connect(fog),
            Output::Disconnect(fog) => {
                self.order(fog, ToClient::Disconnect(voltmesh_mqtt::Reason::SUCCESS));
                self.links.remove(&fog);
            }
            Output::Ping(fog) => self.order(fog, ToClient::Ping),
            Output::Measure(fog) => self.measure(fog),
            Output::Send { fog, position, again } => self.send(fog, position, again).await,
            // These vehicles run no twin.
            Output::SaveTwin { .. } => {}
            // They take no commands: every one is refused without a word on disk.
            Output::SaveCommands { .. } | Output::Obey { .. } => {}
            Output::Answer { fog, message } => {
                let topic = Topic::Vehicle(self.setup.vehicle.clone(), VehicleTopic::Answer).to_string();
                self.order(fog, ToClient::Publish(Outgoing::new(topic, message, ANSWER)));
            }
            Output::SaveTrust { toml } => self.setup.checker.note("trust", toml.as_bytes()),
            Output::Pause { reason } => {
                self.paused = true;
                self.setup.checker.note("pause", reason.as_bytes());
            }
            Output::Resume => self.paused = false,
            Output::Warn { message } => {
                tracing::debug!(vehicle = %self.setup.vehicle, message, "edge");
                self.setup.checker.note("warn", message.as_bytes());
            }
            Output::Finished => {}
        }
        None
    }

    pub fn append_waiting(&mut self) {
        while let Some(bytes) = self.waiting.front() {
            if self.spool.append(bytes.clone()).is_err() {
                return;
            }
            self.waiting.pop_front();
        }
    }

    fn trace(&self, what: &str, fog: FogIndex, position: Position) {
        let (now, vehicle) = (timestamp(&self.context).as_millis(), &self.setup.vehicle);
        tracing::trace!(now, %vehicle, fog = fog.0, position = position.0, "{what}");
    }

    async fn stored(&self, position: Position) -> Option<Stored> {
        let bytes = self.spool.read(position).await.ok().flatten()?;
        entry::decode(position, &bytes).ok()
    }

    async fn forget(&mut self, position: Position) {
        if let Some(stored) = self.stored(position).await {
            self.setup.checker.forgotten(stored.batch.header());
        }
        if let Err(error) = self.spool.ack(position) {
            self.setup
                .checker
                .problem(format!("{} forgets what is not durable: {error}", self.setup.vehicle));
        }
    }

    async fn load(&self, from: Position, limit: usize) -> Input {
        let entries = self.spool.read_from(from, limit, usize::MAX).await.unwrap_or_default();
        let next =
            entries.last().map_or_else(|| self.spool.progress().borrow().durable, |(last, _)| last.next());
        let batches =
            entries.iter().filter_map(|(position, bytes)| entry::decode(*position, bytes).ok()).collect();
        Input::Loaded { batches, next }
    }

    fn order(&self, fog: FogIndex, order: ToClient) {
        if let Some(commands) = self.links.get(&fog).and_then(|link| link.commands.as_ref()) {
            let _ = commands.unbounded_send(order);
        }
    }

    async fn send(&mut self, fog: FogIndex, position: Position, duplicate: bool) {
        let Some(stored) = self.stored(position).await else { return };
        self.trace("sent", fog, position);
        let topic = Topic::Vehicle(self.setup.vehicle.clone(), VehicleTopic::Batch).to_string();
        let mut item = Outgoing::new(topic, stored.batch.wire().clone(), position.0 + 1);
        item.duplicate = duplicate;
        self.order(fog, ToClient::Publish(item));
    }

    fn connect(&mut self, fog: FogIndex) {
        self.sessions += 1;
        let session = self.sessions;
        self.links.insert(fog, Link { session, commands: None, round_trip_us: 0 });
        let Some((to, _)) = self.setup.fogs.get(fog.0).cloned() else { return };
        let (net, from, events) = (self.setup.net.clone(), self.setup.place, self.events.clone());
        let topic = |kind| Topic::Vehicle(self.setup.vehicle.clone(), kind).to_string();
        let subscriptions =
            [VehicleTopic::Receipt, VehicleTopic::Notice, VehicleTopic::Trust, VehicleTopic::Command]
                .map(topic)
                .to_vec();
        self.context.child("link").spawn(move |context| async move {
            let Ok(stream) = net.connect(from, to).await else {
                let _ = events.unbounded_send(Event::Failed { fog, session });
                return;
            };
            let (commands, mut orders) = unbounded();
            let _ = events.unbounded_send(Event::Up { fog, session, commands });
            let options = ClientOptions { subscriptions, ..ClientOptions::default() };
            let tell = |output| drop(events.unbounded_send(Event::Heard { fog, session, output }));
            session::client(&context, stream, options, &mut orders, tell).await;
        });
    }

    fn measure(&self, fog: FogIndex) {
        let Some((to, _)) = self.setup.fogs.get(fog.0).cloned() else { return };
        let (net, from, events) = (self.setup.net.clone(), self.setup.place, self.events.clone());
        self.context.child("measure").spawn(move |context| async move {
            let before = context.current();
            let reached = net.connect(from, to).await.is_ok();
            let took = context.current().duration_since(before).unwrap_or_default().as_micros() as u64;
            let _ = events.unbounded_send(Event::Measured(fog, reached.then_some(took)));
        });
    }
}

/// Tells of what becomes durable, or fails to.
pub(super) fn spawn_progress(
    context: &NodeContext,
    spool: &Writer<NodeContext>,
    events: UnboundedSender<Event>,
) {
    let mut progress = spool.progress();
    context.child("progress").spawn(move |_| async move {
        while progress.changed().await.is_ok() {
            let now = progress.borrow_and_update().clone();
            let failed = now.error.map(|error| error.to_string());
            let _ = events.unbounded_send(Event::Synced { durable: now.durable, bytes: now.bytes, failed });
        }
    });
}
