//! Sessions with the other controllers, one each: a controller that stands by hears there what to copy.

use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;
use voltmesh_control::topics::{ControllerTopic, Topic};
use voltmesh_identity::{Credentials, Expected, Identity, RevocationWatch, Role};
use voltmesh_mqtt::{Client, ClientEvent, ClientEvents, ClientOptions, ClientSettings, Outgoing};
use voltmesh_telemetry::Digest;

use super::copies::MAX_COPY_BYTES;

/// Between two attempts to connect.
const AGAIN: Duration = Duration::from_secs(1);
/// Messages of all other controllers that wait, and releases that are asked of one at once.
const WAITING: usize = 64;
/// MQTT headers and topic around a message.
const PACKET_OVERHEAD: usize = 4_096;

/// Message of another controller.
#[derive(Debug)]
pub struct Heard {
    /// Its id.
    pub peer: String,
    /// What.
    pub what: Word,
}

/// Content of a message, or the end of the session.
#[derive(Debug)]
pub enum Word {
    /// A message of a copy.
    Copy(Bytes),
    /// A function's signed release.
    Release(Bytes),
    /// The session is over.
    Over,
}

/// The other controllers. Its tasks end with it.
pub struct Peers {
    heard: mpsc::Receiver<Heard>,
    wanted: Vec<(String, mpsc::Sender<Digest>)>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Peers {
    /// Connects to each of them, again and again.
    pub fn start<'a>(
        own: &str,
        peers: impl IntoIterator<Item = (&'a String, &'a String)>,
        credentials: &Credentials,
        revoked: &RevocationWatch,
    ) -> Result<Self, voltmesh_identity::Error> {
        let (told, heard) = mpsc::channel(WAITING);
        let (mut wanted, mut tasks) = (Vec::new(), Vec::new());
        for (id, address) in peers {
            let identity = Identity::new(Role::Controller, id)?;
            let (ask, asked) = mpsc::channel(WAITING);
            let peer = Peer {
                own: own.to_owned(),
                id: id.clone(),
                address: address.clone(),
                tls: credentials.client_config(Expected::identity(&identity), Some(revoked))?,
                revoked: revoked.clone(),
                told: told.clone(),
                asked,
            };
            wanted.push((id.clone(), ask));
            tasks.push(tokio::spawn(peer.run()));
        }
        Ok(Self { heard, wanted, tasks })
    }
}

impl Peers {
    /// What one of them says; never, if there are none.
    pub async fn next(&mut self) -> Heard {
        match self.heard.recv().await {
            Some(heard) => heard,
            None => std::future::pending().await,
        }
    }

    /// Asks one of them for a release. What is left out is asked for again with the next copy.
    pub fn want(&self, peer: &str, release: Digest) {
        if let Some((_, ask)) = self.wanted.iter().find(|(id, _)| id == peer)
            && ask.try_send(release).is_err()
        {
            tracing::debug!(peer, %release, "not asked for: too many wait");
        }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// The session with one of them.
struct Peer {
    own: String,
    id: String,
    address: String,
    tls: Arc<rustls::ClientConfig>,
    revoked: RevocationWatch,
    told: mpsc::Sender<Heard>,
    asked: mpsc::Receiver<Digest>,
}

impl Peer {
    async fn run(mut self) {
        loop {
            match self.connect().await {
                Ok((client, events)) => {
                    tracing::info!(peer = self.id, address = self.address, "connected to another controller");
                    self.connected(&client, events).await;
                    self.tell(Word::Over).await;
                }
                Err(error) => {
                    tracing::debug!(peer = self.id, address = self.address, %error, "another controller cannot be reached");
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn topic(&self, kind: ControllerTopic) -> String {
        Topic::Controller(self.own.clone(), kind).to_string()
    }

    async fn connect(&self) -> Result<(Client, ClientEvents), voltmesh_mqtt::Error> {
        let options = ClientOptions {
            client_id: self.own.clone(),
            subscriptions: [ControllerTopic::Copy, ControllerTopic::Release]
                .map(|kind| self.topic(kind))
                .into(),
            max_packet: u32::try_from(MAX_COPY_BYTES + PACKET_OVERHEAD).unwrap_or(u32::MAX),
            ..ClientOptions::default()
        };
        let settings =
            ClientSettings { options, revoked: Some(self.revoked.clone()), ..ClientSettings::default() };
        Client::connect(&self.address, self.tls.clone(), settings).await
    }

    async fn connected(&mut self, client: &Client, mut events: ClientEvents) {
        let (copy, wanted) = (self.topic(ControllerTopic::Copy), self.topic(ControllerTopic::Wanted));
        // What was asked for in an earlier session is asked for again with the copy.
        while self.asked.try_recv().is_ok() {}
        loop {
            tokio::select! {
                asked = self.asked.recv() => {
                    let Some(release) = asked else { return };
                    let item = Outgoing::new(wanted.as_str(), release.to_string().into(), 0);
                    if client.publish(item).is_err() {
                        return;
                    }
                }
                event = events.next() => match event {
                    Some(ClientEvent::Messages(items)) => {
                        for item in items {
                            let word = match *item.topic == *copy {
                                true => Word::Copy(item.payload),
                                false => Word::Release(item.payload),
                            };
                            client.accept(item.token);
                            self.tell(word).await;
                        }
                    }
                    Some(ClientEvent::Ended(end)) => {
                        tracing::info!(peer = self.id, %end, "the session with another controller is over");
                        return;
                    }
                    Some(_) => {}
                    None => return,
                },
            }
        }
    }

    async fn tell(&self, what: Word) {
        // The loop is gone: so is this task, soon.
        self.told.send(Heard { peer: self.id.clone(), what }).await.ok();
    }
}
