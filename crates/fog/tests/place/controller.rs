//! A controller of a test: takes what fog nodes tell and sends what the test says.

use std::sync::{Arc, Mutex};

use ed25519_dalek::SigningKey;
use tokio::sync::Notify;
use voltmesh_battery::summary::Summary;
use voltmesh_control::{FunctionReport, LedgerReport, Order, Summaries};
use voltmesh_identity::{RevocationWatch, Role};
use voltmesh_mqtt::{Outgoing, Server, ServerEvent, ServerEvents, ServerSettings, Session};

use super::{Anything, Place, peer::PATIENCE};

/// Controller that a test owns, with everything that it was told.
pub struct Controller {
    pub key: SigningKey,
    pub address: std::net::SocketAddr,
    heard: Arc<Heard>,
    _server: Server,
}

#[derive(Default)]
struct Heard {
    state: Mutex<State>,
    changed: Notify,
}

/// What was told, in order, and the newest session.
#[derive(Default)]
pub struct State {
    pub reports: Vec<FunctionReport>,
    pub summaries: Vec<Summaries<Summary>>,
    pub ledger: Vec<LedgerReport>,
    session: Option<Session>,
    pub sessions: usize,
}

impl Controller {
    /// One with a certificate of its own.
    pub async fn start(place: &Place, id: &str) -> Self {
        let credentials = place.issue(Role::Controller, id);
        let revoked = RevocationWatch::open(&place.pki.crl_path(), &credentials.ca).unwrap();
        let mut settings = ServerSettings::default();
        settings.limits.max_packet = 8 << 20;
        let tls = credentials.server_config(&revoked).unwrap();
        let (server, events) =
            Server::bind(([127, 0, 0, 1], 0).into(), tls, revoked, Arc::new(Anything), settings)
                .await
                .unwrap();
        let heard = Arc::new(Heard::default());
        tokio::spawn(listen(events, heard.clone()));
        Self { key: credentials.signing, address: server.address(), heard, _server: server }
    }

    /// Waits until what was told is enough, and takes what `found` makes of it.
    pub async fn until<T>(&self, what: &str, found: impl Fn(&State) -> Option<T>) -> T {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let changed = self.heard.changed.notified();
                if let Some(found) = found(&self.heard.state.lock().unwrap()) {
                    return found;
                }
                changed.await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("no {what}: {:?}", self.heard.state.lock().unwrap().reports))
    }

    /// Sends an order to a node.
    pub fn order(&self, fog: &str, order: &Order) {
        self.send(fog, "order", order.encode().unwrap());
    }

    /// Sends bytes to a node.
    pub fn send(&self, fog: &str, topic: &str, payload: Vec<u8>) {
        let session = self.heard.state.lock().unwrap().session.clone().expect("a session");
        session.publish(Outgoing::new(format!("v1/fog/{fog}/{topic}"), payload.into(), 1)).unwrap();
    }
}

async fn listen(mut events: ServerEvents, heard: Arc<Heard>) {
    while let Some(event) = events.next().await {
        {
            let mut state = heard.state.lock().unwrap();
            match event {
                ServerEvent::Connected { session } => {
                    state.sessions += 1;
                    state.session = Some(session);
                }
                ServerEvent::Publishes { session, items } => {
                    for item in items {
                        session.accept(item.token);
                        if item.topic.ends_with("/summary") {
                            state.summaries.push(Summaries::decode(&item.payload).expect("summaries"));
                        } else if item.topic.ends_with("/ledger") {
                            state.ledger.push(LedgerReport::decode(&item.payload).expect("a report"));
                        } else {
                            state.reports.push(FunctionReport::decode(&item.payload).expect("a report"));
                        }
                    }
                }
                _ => {}
            }
        }
        heard.changed.notify_waiters();
    }
}
