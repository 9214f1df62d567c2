//! The connection to the cloud: connects again and again, hands envelopes over, passes answers and notices back.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use commonware_runtime::tokio::Context;
use tokio::sync::mpsc;
use voltmesh_control::topics::FogTopic;
use voltmesh_mqtt::{Client, ClientEvent, ClientEvents, Outgoing, Reason};
use voltmesh_spool::{Position, Writer};
use voltmesh_telemetry::BatchId;

use super::remote::{BackOff, Remote};
use crate::ingest::{Input, envelope};

/// What the loop asks of the uplink.
pub enum Order {
    /// Send a batch with its evidence.
    Forward { batch: BatchId, entry: Position, evidence: Position },
    /// Send the hand-overs.
    Trust(Bytes),
    /// Send a statement of the archive with its evidence.
    Anchored(Bytes),
}

/// The uplink's task.
pub struct Uplink {
    pub remote: Remote,
    pub spool: Writer<Context>,
    pub orders: mpsc::UnboundedReceiver<Order>,
    pub inputs: mpsc::Sender<Input>,
}

/// How a connection ended.
enum Ended {
    /// Try again.
    Lost,
    /// The node stops.
    Stopped,
}

impl Uplink {
    /// Runs until the node stops.
    pub async fn run(mut self) {
        let mut back_off = BackOff::new();
        loop {
            match self.remote.connect(&[FogTopic::Notice, FogTopic::Statement], None).await {
                Ok((client, events)) => {
                    tracing::info!(cloud = %client.server().identity, "connected to the cloud");
                    back_off.reset();
                    // Orders of an earlier connection: the core gives them again.
                    while self.orders.try_recv().is_ok() {}
                    if self.inputs.send(Input::CloudUp).await.is_err() {
                        return;
                    }
                    let ended = self.connected(&client, events).await;
                    if matches!(ended, Ended::Stopped) || self.inputs.send(Input::CloudDown).await.is_err() {
                        client.disconnect(Reason::SUCCESS);
                        return;
                    }
                }
                Err(error) => {
                    let cause: &dyn std::error::Error = &error;
                    tracing::info!(error = cause, "the cloud cannot be reached; batches wait in the spool");
                }
            }
            if self.inputs.is_closed() {
                return;
            }
            back_off.wait().await;
        }
    }

    async fn connected(&mut self, client: &Client, mut events: ClientEvents) -> Ended {
        let (envelopes, trust): (Arc<str>, Arc<str>) =
            (self.remote.topic(FogTopic::Envelope).into(), self.remote.topic(FogTopic::Trust).into());
        let statements = self.remote.topic(FogTopic::Statement);
        let anchored: Arc<str> = self.remote.topic(FogTopic::Anchored).into();
        let mut under_way: BTreeMap<u64, BatchId> = BTreeMap::new();
        let mut tag = 0;
        loop {
            tokio::select! {
                order = self.orders.recv() => {
                    let Some(order) = order else { return Ended::Stopped };
                    client.ready().await;
                    tag += 1;
                    let item = match order {
                        Order::Trust(payload) => Outgoing::new(trust.clone(), payload, tag),
                        Order::Anchored(payload) => Outgoing::new(anchored.clone(), payload, tag),
                        Order::Forward { batch, entry, evidence } => {
                            let Some(payload) = self.compose(entry, evidence).await else { continue };
                            under_way.insert(tag, batch);
                            Outgoing::new(envelopes.clone(), payload, tag)
                        }
                    };
                    if client.publish(item).is_err() {
                        return Ended::Lost;
                    }
                }
                event = events.next() => match event {
                    Some(ClientEvent::Completed(done)) => {
                        for (tag, reason) in done {
                            let Some(batch) = under_way.remove(&tag) else { continue };
                            let input = Input::CloudAnswer { batch, reason: reason.0 };
                            if self.inputs.send(input).await.is_err() {
                                return Ended::Stopped;
                            }
                        }
                    }
                    Some(ClientEvent::Messages(items)) => {
                        for item in items {
                            // A notice that is lost now comes again with the batch's next envelope, a statement with the
                            // next one or the next connection.
                            client.accept(item.token);
                            let input = match *item.topic == *statements {
                                true => Input::CloudStatement(item.payload),
                                false => Input::CloudNotice(item.payload),
                            };
                            if self.inputs.send(input).await.is_err() {
                                return Ended::Stopped;
                            }
                        }
                    }
                    Some(ClientEvent::Ended(end)) => {
                        tracing::warn!(?end, "the connection to the cloud has ended");
                        return Ended::Lost;
                    }
                    Some(ClientEvent::Subscribed(_) | ClientEvent::RoundTrip(_)) => {}
                    None => return Ended::Lost,
                },
            }
        }
    }

    async fn compose(&self, entry: Position, evidence: Position) -> Option<Bytes> {
        let (batch, proof) = match tokio::join!(self.spool.read(entry), self.spool.read(evidence)) {
            (Ok(Some(batch)), Ok(Some(proof))) => (batch, proof),
            (Ok(None), _) | (_, Ok(None)) => return None, // archived meanwhile
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "a batch cannot be read from the spool; it is tried again");
                return None;
            }
        };
        let composed = envelope(&self.remote.fog, &batch, &proof);
        if composed.is_none() {
            tracing::error!(%entry, %evidence, "spool entries are not a batch and its evidence");
        }
        composed
    }
}
