//! A vehicle or client of a test.

use std::time::Duration;

use voltmesh_control::{Hello, Opening};
use voltmesh_ledger::testing::Vehicle;
use voltmesh_mqtt::{Client, ClientEvent, ClientEvents, Outgoing, Reason};
use voltmesh_telemetry::Boot;

/// Longest wait for anything: a loaded machine with one core.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A client's connection, with what came on it.
pub struct Peer {
    pub client: Client,
    events: ClientEvents,
    pub done: Vec<(u64, Reason)>,
    pub messages: Vec<(String, bytes::Bytes)>,
    pub ended: bool,
}

impl Peer {
    pub fn new((client, events): (Client, ClientEvents)) -> Self {
        Self { client, events, done: Vec::new(), messages: Vec::new(), ended: false }
    }

    pub async fn until(&mut self, what: &str, enough: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !enough(self) {
                match self.events.next().await {
                    Some(ClientEvent::Completed(done)) => self.done.extend(done),
                    Some(ClientEvent::Messages(items)) => {
                        for item in items {
                            self.client.accept(item.token);
                            self.messages.push((item.topic.to_string(), item.payload));
                        }
                    }
                    Some(ClientEvent::Ended(_)) | None => self.ended = true,
                    Some(_) => {}
                }
            }
        });
        assert!(
            waited.await.is_ok(),
            "no {what} in {PATIENCE:?}; so far {:?} {:?}",
            self.done,
            self.messages.len()
        );
    }

    pub async fn publish(&mut self, topic: &str, payload: impl Into<bytes::Bytes>, tag: u64) -> Reason {
        self.client.publish(Outgoing::new(topic, payload.into(), tag)).unwrap();
        self.until(topic, |peer| peer.done.iter().any(|(done, _)| *done == tag)).await;
        self.done.iter().find(|(done, _)| *done == tag).unwrap().1
    }

    pub fn message(&self, topic: &str) -> Option<&bytes::Bytes> {
        self.messages.iter().find(|(t, _)| t == topic).map(|(_, payload)| payload)
    }
}

/// A vehicle's hello.
pub fn hello(vehicle: &Vehicle) -> Vec<u8> {
    let opening = Opening { salt: vehicle.opening.salt, key: vehicle.opening.key };
    Hello { opening, boot: Boot::new(1), client_version: "test".into() }.encode()
}
