//! The sessions that this node opens itself: with the cloud and with controllers.

use std::{sync::Arc, time::Duration};

use rand::RngExt as _;
use voltmesh_control::topics::{FogTopic, Topic};
use voltmesh_identity::RevocationWatch;
use voltmesh_mqtt::{Client, ClientEvents, ClientOptions, ClientSettings, Error};
use voltmesh_telemetry::VehicleId;

/// First and longest pause between two attempts to connect; doubled and jittered in between.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A server that this node has sessions with, one after the other.
pub struct Remote {
    /// This node's name.
    pub fog: VehicleId,
    pub address: String,
    pub tls: Arc<rustls::ClientConfig>,
    /// Ends the session when the server's certificate is revoked.
    pub revoked: RevocationWatch,
}

impl Remote {
    /// One of this node's topics there.
    pub fn topic(&self, kind: FogTopic) -> String {
        Topic::Fog(self.fog.to_string(), kind).to_string()
    }

    /// Opens a session that subscribes to some of this node's topics; `max_packet` is the largest packet that either side sends,
    /// the client's default if there is none.
    pub async fn connect(
        &self,
        subscriptions: &[FogTopic],
        max_packet: Option<usize>,
    ) -> Result<(Client, ClientEvents), Error> {
        let mut options = ClientOptions {
            client_id: self.fog.to_string(),
            subscriptions: subscriptions.iter().map(|kind| self.topic(*kind)).collect(),
            ..ClientOptions::default()
        };
        if let Some(bytes) = max_packet {
            options.max_packet = u32::try_from(bytes).unwrap_or(u32::MAX);
        }
        let settings =
            ClientSettings { options, revoked: Some(self.revoked.clone()), ..ClientSettings::default() };
        Client::connect(&self.address, self.tls.clone(), settings).await
    }
}

/// The pauses between attempts to connect.
pub struct BackOff(Duration);

impl BackOff {
    /// Begins with the shortest pause.
    pub fn new() -> Self {
        Self(BACK_OFF.0)
    }

    /// An attempt has succeeded.
    pub fn reset(&mut self) {
        self.0 = BACK_OFF.0;
    }

    /// Waits before the next attempt.
    pub async fn wait(&mut self) {
        let jitter = rand::rng().random_range(0.5..1.5);
        tokio::time::sleep(self.0.mul_f64(jitter)).await;
        self.0 = (self.0 * 2).min(BACK_OFF.1);
    }
}
