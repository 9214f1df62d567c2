//! A vehicle that measures how long a command takes: it sends one signed record at a time, and notes when a command comes.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use ed25519_dalek::SigningKey;
use voltmesh_control::Opening;
use voltmesh_control::topics::{Topic, VehicleTopic};
use voltmesh_identity::{Credentials, Expected, Role, read_signing_key};
use voltmesh_mqtt::{Client, ClientEvent, ClientEvents, ClientSettings, Outgoing};
use voltmesh_telemetry::{
    BatchId, Boot, Centidegrees, Place, Record, RecordNumber, Secret, Signer, Timestamp, VehicleId, seal,
};

use super::hello;

/// Temperature of a pack in which nothing is wrong, and of one that is too hot, in °C.
const COOL_C: f64 = 25.0;
const HOT_C: f64 = 60.0;

/// Its only boot.
const BOOT: Boot = Boot::new(1);

/// What a vehicle sends.
#[derive(Debug, Clone, Copy)]
pub enum Pattern {
    /// Records that a function answers with a command, one after the other.
    Each {
        /// Between two records.
        every: Duration,
    },
    /// One record a second, two that are too hot after two that are not. A command is awaited when the record comes that ends the
    /// first hot second.
    Hot,
}

/// Vehicle with its session.
pub struct Vehicle {
    client: Client,
    events: ClientEvents,
    topic: std::sync::Arc<str>,
    place: Place,
    key: SigningKey,
    record: Record,
}

impl Vehicle {
    /// Connects and says hello. `folder` holds its credentials.
    pub async fn connect(folder: &Path, opening: Opening, address: &str) -> Result<Self> {
        let credentials = Credentials::load(folder)?;
        let id: VehicleId = credentials.own.identity.id().parse()?;
        let topic = |kind| Topic::Vehicle(id.clone(), kind).to_string();
        let tls = credentials.client_config(Expected::role(Role::Fog), None)?;
        let mut settings = ClientSettings::default();
        settings.options.subscriptions = vec![topic(VehicleTopic::Command)];
        let (client, mut events) = Client::connect(address, tls, settings).await?;
        hello::say(&client, &mut events, &topic(VehicleTopic::Hello), hello::hello(opening, BOOT)).await?;
        let place =
            Place { vehicle: id.clone(), boot: BOOT, previous: None::<BatchId>, signer: Signer::Vehicle };
        let record = super::drive::records(1)?.pop().context("the drive cycle is empty")?;
        let key = read_signing_key(&folder.join("sign.key"))?;
        let topic = topic(VehicleTopic::Batch).as_str().into();
        Ok(Self { client, events, topic, place, key, record })
    }

    /// Sends by the pattern for a time, and returns how long each command took, in ms.
    pub async fn drive(mut self, pattern: Pattern, time: Duration) -> Result<Vec<f64>> {
        let every = match pattern {
            Pattern::Each { every } => every,
            Pattern::Hot => Duration::from_secs(1),
        };
        let (begun, mut tick) = (Instant::now(), tokio::time::interval(every));
        let (mut asked, mut took, mut sent): (Option<Instant>, Vec<f64>, u64) = (None, Vec::new(), 0);
        while begun.elapsed() < time {
            let event = tokio::select! {
                _ = tick.tick() => None,
                event = self.events.next() => Some(event),
            };
            match event {
                None => {
                    let (hot, awaits) = match pattern {
                        Pattern::Each { .. } => (false, true),
                        // The record after the first hot one ends its second.
                        Pattern::Hot => (sent % 4 >= 2, sent % 4 == 3),
                    };
                    // What was not answered before the next is asked has no time.
                    asked = if awaits { Some(Instant::now()) } else { asked };
                    self.send(hot, sent)?;
                    sent += 1;
                }
                Some(Some(ClientEvent::Messages(messages))) => {
                    if let Some(since) = asked.take() {
                        took.push(since.elapsed().as_secs_f64() * 1_000.0);
                    }
                    messages.iter().for_each(|message| self.client.accept(message.token));
                }
                Some(Some(ClientEvent::Completed(done))) => {
                    let refused = done.iter().find(|(_, reason)| !reason.is_success());
                    ensure!(refused.is_none(), "the fog node refuses a record: {refused:?}");
                }
                Some(Some(ClientEvent::Ended(end))) => bail!("the fog node ends the session: {end}"),
                Some(Some(_)) => {}
                Some(None) => bail!("the connection is gone"),
            }
        }
        Ok(took)
    }

    fn send(&mut self, hot: bool, number: u64) -> Result<()> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.record.number = RecordNumber::new(number);
        self.record.sample.time =
            Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or_default());
        let celsius = if hot { HOT_C } else { COOL_C };
        let temperature = Centidegrees::from_base(celsius).context("a temperature out of range")?;
        self.record.sample.temperatures.iter_mut().for_each(|one| *one = temperature);
        let sealed = seal(&self.place, std::slice::from_ref(&self.record), &Secret::new([3; 32]), &self.key)?;
        self.place.previous = Some(sealed.id());
        self.client.publish(Outgoing::new(self.topic.clone(), sealed.wire().clone(), number + 1))?;
        Ok(())
    }
}
