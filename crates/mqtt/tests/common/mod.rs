//! Helpers that several test files share.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use voltmesh_identity::{Credentials, Expected, Pki, RevocationWatch};
use voltmesh_mqtt::*;

/// A peer may use the topics below `v1/<its id>/`.
pub struct Own;

impl Policy for Own {
    fn may_publish(&self, peer: &Identity, topic: &str) -> Result<(), Reason> {
        if topic
            .strip_prefix("v1/")
            .and_then(|rest| rest.split_once('/'))
            .is_some_and(|(id, _)| id == peer.id())
        {
            Ok(())
        } else {
            Err(Reason::NOT_AUTHORIZED)
        }
    }

    fn may_subscribe(&self, peer: &Identity, filter: &str) -> Result<(), Reason> {
        self.may_publish(peer, filter)
    }
}

pub fn name(text: &str) -> Identity {
    format!("urn:voltmesh:{text}").parse().unwrap()
}

/// A server and a client machine without a transport, past CONNECT.
pub struct Pair {
    pub now: Moment,
    pub server: ServerConnection,
    pub client: ClientConnection,
}

pub fn machine(limits: Limits) -> ServerConnection {
    ServerConnection::new(Moment::from_millis(0), name("edge:car-1"), Arc::new(Own), limits)
}

pub fn pair(limits: Limits, options: ClientOptions) -> Pair {
    let now = Moment::from_millis(0);
    let mut pair =
        Pair { now, server: machine(limits), client: ClientConnection::new(now, options).unwrap() };
    let (heard, told) = pair.exchange();
    assert!(matches!(heard[..], [ServerOutput::Connected { .. }, ..]), "{heard:?}");
    assert!(matches!(told[..], [ClientOutput::Connected { .. }, ..]), "{told:?}");
    pair
}

impl Pair {
    /// Passes bytes both ways until there are none.
    pub fn exchange(&mut self) -> (Vec<ServerOutput>, Vec<ClientOutput>) {
        let (mut heard, mut told) = (Vec::new(), Vec::new());
        loop {
            let up = self.client.take_bytes();
            heard.extend(self.server.handle(self.now, ServerInput::Received(&up)));
            let down = self.server.take_bytes();
            told.extend(self.client.handle(self.now, ClientInput::Received(&down)));
            if up.is_empty() && down.is_empty() {
                return (heard, told);
            }
        }
    }

    pub fn publish(&mut self, tag: Tag) {
        let item = Outgoing::new("v1/car-1/sample", format!("{{\"n\":{tag}}}").into(), tag);
        let outputs = self.client.handle(self.now, ClientInput::Publish(item));
        assert!(outputs.is_empty(), "{outputs:?}");
    }
}

/// All publishes among outputs.
pub fn publishes(outputs: &[ServerOutput]) -> Vec<Incoming> {
    let items = outputs.iter().filter_map(|output| match output {
        ServerOutput::Publishes(items) => Some(items.clone()),
        _ => None,
    });
    items.flatten().collect()
}

/// All completions among outputs.
pub fn completed(outputs: &[ClientOutput]) -> Vec<(Tag, Reason)> {
    let done = outputs.iter().filter_map(|output| match output {
        ClientOutput::Completed(done) => Some(done.clone()),
        _ => None,
    });
    done.flatten().collect()
}

/// How it ended.
pub fn server_end(outputs: &[ServerOutput]) -> Option<End> {
    outputs.iter().find_map(|output| match output {
        ServerOutput::Ended(end) => Some(end.clone()),
        _ => None,
    })
}

/// A server on a free port with its CA.
pub struct World {
    pub folder: tempfile::TempDir,
    pub pki: Pki,
    pub server: Server,
    pub events: ServerEvents,
    pub revoked: RevocationWatch,
}

pub async fn world(settings: ServerSettings) -> World {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::init(&folder.path().join("pki")).unwrap();
    let fog = Credentials::load(&pki.issue(&name("fog:fog-1"), &[], 30).unwrap().folder).unwrap();
    let revoked = RevocationWatch::open(&pki.crl_path(), &fog.ca).unwrap();
    let tls = fog.server_config(&revoked).unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let (server, events) = Server::bind(listen, tls, revoked.clone(), Arc::new(Own), settings).await.unwrap();
    World { folder, pki, server, events, revoked }
}

impl World {
    pub fn credentials(&self, who: &str) -> Credentials {
        let identity = name(who);
        let folder = self.pki.folder_of(&identity);
        if !folder.exists() {
            self.pki.issue(&identity, &[], 30).unwrap();
        }
        Credentials::load(&folder).unwrap()
    }

    pub async fn connect(&self, who: &str) -> Result<(Client, ClientEvents), Error> {
        self.connect_with(who, ClientSettings::default()).await
    }

    pub async fn connect_with(
        &self,
        who: &str,
        settings: ClientSettings,
    ) -> Result<(Client, ClientEvents), Error> {
        let tls = self.credentials(who).client_config(Expected::role(Role::Fog), None).unwrap();
        Client::connect(&self.server.address().to_string(), tls, settings).await
    }

    /// The next event; a test that waits longer than this for one has failed.
    pub async fn next(&mut self) -> ServerEvent {
        tokio::time::timeout(Duration::from_secs(20), self.events.next())
            .await
            .expect("an event")
            .expect("a server")
    }

    pub async fn publishes(&mut self) -> (Session, Vec<Incoming>) {
        loop {
            match self.next().await {
                ServerEvent::Publishes { session, items } => return (session, items),
                ServerEvent::Connected { .. }
                | ServerEvent::Subscribed { .. }
                | ServerEvent::Ended { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub async fn ended(&mut self) -> End {
        loop {
            if let ServerEvent::Ended { end, .. } = self.next().await {
                return end;
            }
        }
    }
}

pub async fn next(events: &mut ClientEvents) -> ClientEvent {
    tokio::time::timeout(Duration::from_secs(20), events.next()).await.expect("an event").expect("a client")
}

pub async fn client_end(events: &mut ClientEvents) -> End {
    loop {
        if let ClientEvent::Ended(end) = next(events).await {
            return end;
        }
    }
}
