//! What the core's outputs ask, done on the simulated disk and links; and what comes of it as its inputs.

use super::{events::Event, setup::Setup};
use crate::{
    net::{
        MeshSender,
        mqtt_session::{ToClient, ToServer},
    },
    node::{NodeContext, timestamp},
};
use bytes::Bytes;
use commonware_p2p::{Recipients, Sender as _};
use futures::channel::mpsc::UnboundedSender;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use voltmesh_consensus::{Finalized, Handle};
use voltmesh_control::{
    Handovers,
    topics::{FogTopic, Topic as ControlTopic, VehicleTopic},
};
use voltmesh_fog::ingest::{
    Answer, Claim, Ingest, Input, Output, Rejection, SessionId, Topic, envelope, receipts,
};
use voltmesh_ledger::Transaction;
use voltmesh_mqtt::{ClientOutput, Outgoing, Reason, Refusal, ServerOutput, Token};
use voltmesh_spool::{Position, Writer};
use voltmesh_telemetry::{BatchId, SealedBatch, VehicleId};

/// The core and what its outputs need.
pub(super) struct Fog {
    pub context: NodeContext,
    pub setup: Setup,
    pub core: Ingest,
    pub spool: Writer<NodeContext>,
    pub quarantine: Writer<NodeContext>,
    /// Entries that the spool had no room for; its positions must follow the core's.
    pub waiting: VecDeque<Bytes>,
    pub handle: Handle,
    pub copies: MeshSender,
    pub sessions: BTreeMap<u64, UnboundedSender<ToServer>>,
    /// Publishes that wait for an answer.
    pub claims: BTreeMap<u64, (Token, Bytes, Arc<str>)>,
    pub next: u64,
    pub cloud: Option<UnboundedSender<ToClient>>,
    /// Envelopes under way by tag.
    pub forwarded: BTreeMap<u64, BatchId>,
    pub epoch: Option<u64>,
    pub caught_up: bool,
}

impl Fog {
    pub async fn event(&mut self, event: Event) {
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
    pub async fn housekeeping(&mut self) {
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
