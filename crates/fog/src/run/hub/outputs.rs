//! What the core asks for, done: entries appended and read, answers and messages sent, work handed over.

use std::time::Duration;

use bytes::Bytes;
use commonware_p2p::{Recipients, Sender as _};
use commonware_runtime::Clock as _;
use voltmesh_control::topics::{Topic as MqttTopic, VehicleTopic};
use voltmesh_mqtt::{Outgoing, Reason, Refusal, Session, SessionId, Token};
use voltmesh_spool::{Error as SpoolError, Position};
use voltmesh_telemetry::VehicleId;

use super::Hub;
use crate::{
    ingest::{Answer, Input, NotRouted, Output, Rejection, Topic, receipts},
    run::{commands::Answered, functions::Fed, uplink::Order},
};

/// Pause before a spool that takes nothing is tried again.
const FULL: Duration = Duration::from_millis(20);

impl Hub {
    pub(super) async fn perform(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Append(entry) => self.append(entry).await,
                Output::Quarantine { head, entry } => self.quarantine(head, entry).await,
                Output::Load(position) => self.load(position),
                Output::Release(positions) => {
                    for position in positions {
                        if let Err(error) = self.parts.spool.ack(position) {
                            tracing::error!(%error, %position, "an entry that is not needed stays in the spool");
                        }
                    }
                }
                Output::Answer(answers) => self.answer(&answers),
                Output::Reject(rejections) => self.reject(rejections),
                Output::Disconnect { session, reason, why } => {
                    if let Some(session) = self.sessions.get(&session) {
                        let peer = &session.peer().identity;
                        if self.log.may_write(format!("{peer}: sessions ended")) {
                            tracing::warn!(%peer, why, "session ended");
                        }
                        if reason == Reason::NOT_AUTHORIZED.0 {
                            self.parts.audit.refusal(&peer.to_string(), &why);
                        }
                        session.disconnect(Refusal::new(Reason(reason), why));
                    }
                }
                Output::Work(job) => self.parts.workers.push(job),
                Output::Submit(transaction) => {
                    if let Err(error) = self.parts.ledger.submit(*transaction) {
                        tracing::warn!(%error, "an anchor is not taken now; it is submitted again");
                    }
                }
                Output::Copy { to, message } => {
                    self.parts.copies.send(Recipients::One(to), message, false);
                }
                Output::ToVehicle { session, vehicle, topic, payload } => {
                    let Some(session) = self.sessions.get(&session).cloned() else { continue };
                    self.tag += 1;
                    if self.parts.functions.is_some() {
                        self.round_trips.sent(session.id(), self.tag);
                    }
                    publish(&session, &vehicle, topic, payload, self.tag);
                }
                Output::CommandRouted { ticket, routed } => self.command(ticket, routed),
                Output::Answered { vehicle, answer } => {
                    self.parts.desk.answered(Answered { vehicle, answer: *answer });
                }
                Output::ReceiptsFromSpool { session, vehicle, entries } => {
                    self.receipts(session, vehicle, entries);
                }
                Output::Forward { batch, entry, evidence } => {
                    let _ = self.parts.orders.send(Order::Forward { batch, entry, evidence });
                }
                Output::TrustToCloud(handovers) => {
                    let _ = self.parts.orders.send(Order::Trust(handovers));
                }
                Output::AnchoredToCloud(anchored) => {
                    let _ = self.parts.orders.send(Order::Anchored(anchored));
                }
                Output::Feed(feed) => {
                    if let Some(functions) = &self.parts.functions {
                        let arrived = self.started + Duration::from_micros(feed.arrived_us);
                        functions.feed(Fed { arrived, content: feed.content });
                    }
                }
                Output::KeepStatements(bytes) => drop(self.parts.statements.send_replace(bytes)),
                Output::Log(text) => tracing::warn!("{text}"),
                Output::LogRejection { peer, why, text } => {
                    self.parts.audit.refusal(&peer, why);
                    if self.log.may_write(format!("publishes of {peer} that were rejected")) {
                        tracing::warn!("{text}");
                    }
                }
            }
        }
    }

    /// The core keeps below the spool's bounds, so waiting here means that the disk is slow, and slows everyone down.
    async fn append(&mut self, entry: Bytes) {
        loop {
            match self.parts.spool.append(entry.clone()) {
                Ok(_) => return,
                Err(error @ (SpoolError::Full { .. } | SpoolError::Busy { .. })) => {
                    tracing::warn!(%error, "the spool takes nothing now; waiting");
                    self.parts.context.sleep(FULL).await;
                }
                Err(error) => {
                    // Positions would no longer agree: stop rather than acknowledge what is not there.
                    panic!("the spool refuses an entry that fits: {error}");
                }
            }
        }
    }

    /// Appends to the quarantine, with the bytes of a spool entry, which may be released next.
    async fn quarantine(&mut self, head: Bytes, entry: Option<Position>) {
        let Some(entry) = entry else { return self.parts.quarantine.append(head) };
        let mut bytes = head.to_vec();
        if let Ok(Some(payload)) = self.parts.spool.read(entry).await {
            bytes.extend_from_slice(&payload);
        }
        self.parts.quarantine.append(bytes.into());
    }

    fn answer(&mut self, answers: &[Answer]) {
        let now_us = self.started.elapsed().as_micros() as u64;
        for run in answers.chunk_by(|a, b| a.claim.session == b.claim.session) {
            let Some(session) = run.first().and_then(|first| self.sessions.get(&first.claim.session)) else {
                continue;
            };
            for answer in run {
                self.puback.record(now_us.saturating_sub(answer.claim.arrived_us));
            }
            session.accept_all(run.iter().map(|answer| Token::from_bits(answer.claim.token)));
        }
    }

    fn reject(&self, rejections: Vec<Rejection>) {
        for Rejection { claim, reason, why } in rejections {
            if let Some(session) = self.sessions.get(&claim.session) {
                session.reject(Token::from_bits(claim.token), Refusal::new(Reason(reason), why));
            }
        }
    }

    fn load(&self, position: Position) {
        let (spool, give) = (self.parts.spool.clone(), self.parts.give.clone());
        tokio::spawn(async move {
            let entry = spool.read(position).await.unwrap_or_else(|error| {
                tracing::error!(%error, %position, "a copy cannot be read");
                None
            });
            let _ = give.send(Input::Loaded(position, entry)).await;
        });
    }

    fn receipts(&mut self, session: SessionId, vehicle: VehicleId, entries: Vec<Position>) {
        let Some(session) = self.sessions.get(&session).cloned() else { return };
        self.tag += 1;
        let (spool, tag) = (self.parts.spool.clone(), self.tag);
        tokio::spawn(async move {
            let mut found = Vec::with_capacity(entries.len());
            for entry in entries {
                match spool.read(entry).await {
                    Ok(bytes) => found.extend(bytes),
                    Err(error) => tracing::error!(%error, %entry, "evidence cannot be read"),
                }
            }
            if let Some(payload) = receipts(found) {
                publish(&session, &vehicle, Topic::Receipt, payload, tag);
            }
        });
    }

    fn command(&mut self, ticket: u64, routed: Result<(SessionId, VehicleId, Bytes), NotRouted>) {
        let sent = routed.and_then(|(id, vehicle, message)| {
            let open = self
                .sessions
                .get(&id)
                .filter(|session| publish(session, &vehicle, Topic::Command, message, ticket));
            open.map(|_| id).ok_or(NotRouted::NotConnected(vehicle))
        });
        match sent {
            Ok(session) => self.parts.desk.sent(ticket, session),
            Err(why) => self.parts.desk.not_sent(ticket, why),
        }
    }
}

/// Whether the session has taken it.
fn publish(session: &Session, vehicle: &VehicleId, topic: Topic, payload: Bytes, tag: u64) -> bool {
    let kind = match topic {
        Topic::Receipt => VehicleTopic::Receipt,
        Topic::Notice => VehicleTopic::Notice,
        Topic::Trust => VehicleTopic::Trust,
        Topic::Command => VehicleTopic::Command,
    };
    let topic = MqttTopic::Vehicle(vehicle.clone(), kind).to_string();
    let published = session.publish(Outgoing::new(topic, payload, tag));
    if let Err(error) = &published {
        tracing::info!(peer = %session.peer().identity, %error, "not told now; the vehicle asks again");
    }
    published.is_ok()
}
