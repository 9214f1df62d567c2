//! The load generator of `voltmesh bench ingest`, in its own process: MQTT clients with certificates that keep the
//! server's window full, or publish at a fixed rate.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use voltmesh_control::Opening;
use voltmesh_control::topics::{Topic, VehicleTopic};
use voltmesh_identity::{Credentials, Expected, Role, read_signing_key};
use voltmesh_mqtt::{Client, ClientEvent, ClientEvents, ClientSettings, Outgoing};
use voltmesh_telemetry::{BatchId, Boot, Place, Record, RecordNumber, Secret, Signer, VehicleId, seal};

use super::hello;
use crate::args::GeneratorMode;

/// Longest latency that is told apart, in microseconds.
const MAX_LATENCY_US: u64 = 60_000_000;

/// Wall-clock wait for outstanding PUBACKs at the end.
const DRAIN: Duration = Duration::from_secs(20);

/// Longest wait for a session: a server that is attacked turns some away.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a paced client looks at what is due.
const PACE: Duration = Duration::from_millis(1);

/// What one generator is to do.
#[derive(Debug, Clone)]
pub struct Load {
    /// JSON samples or signed batches.
    pub mode: GeneratorMode,
    /// Where the fog node listens for MQTT.
    pub address: String,
    /// Each client's credentials.
    pub credentials: Vec<PathBuf>,
    /// Each vehicle's opening, for batches.
    pub openings: Vec<Opening>,
    /// How long.
    pub seconds: f64,
    /// Publishes a second in all; as fast as the server acknowledges if absent.
    pub rate: Option<f64>,
    /// Records in a batch.
    pub records: usize,
    /// Batches made before the clock starts, in all.
    pub batches: usize,
    /// Boot of the batches, not used before.
    pub boot: u64,
}

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Publishes acknowledged.
    pub acknowledged: u64,
    /// Publishes refused for good.
    pub refused: u64,
    /// From the first publish to the last PUBACK.
    pub seconds: f64,
    /// From publish to PUBACK, ms.
    pub puback_ms_p50: f64,
    /// From publish to PUBACK, ms.
    pub puback_ms_p99: f64,
    /// Payload bytes of one publish, on average.
    pub payload_bytes: f64,
    /// What was done before the clock started: batches made, connections opened.
    pub preparation_s: f64,
}

/// One client's part.
struct Tally {
    acknowledged: u64,
    refused: u64,
    bytes: u64,
    latency_us: Histogram<u64>,
}

/// Generates the load and reports.
pub async fn run(load: Load) -> Result<Outcome> {
    ensure!(!load.credentials.is_empty(), "no client was given");
    let begun = Instant::now();
    let mut clients = Vec::new();
    for (index, folder) in load.credentials.iter().enumerate() {
        clients.push(Generator::prepare(&load, index, folder)?);
    }
    for client in &mut clients {
        client.connect(&load.address).await?;
    }
    let start = Instant::now();
    let share = load.rate.map(|rate| rate / clients.len() as f64);
    let time = Duration::from_secs_f64(load.seconds);
    let running: Vec<_> =
        clients.into_iter().map(|client| tokio::spawn(client.drive(start, time, share))).collect();
    let mut latency = histogram()?;
    let mut outcome = Outcome { preparation_s: (start - begun).as_secs_f64(), ..Outcome::default() };
    let mut bytes = 0;
    for client in running {
        let tally = client.await.context("a client panicked")??;
        outcome.acknowledged += tally.acknowledged;
        outcome.refused += tally.refused;
        bytes += tally.bytes;
        latency.add(&tally.latency_us).context("latencies do not add up")?;
    }
    outcome.seconds = start.elapsed().as_secs_f64();
    outcome.puback_ms_p50 = latency.value_at_quantile(0.50) as f64 / 1000.0;
    outcome.puback_ms_p99 = latency.value_at_quantile(0.99) as f64 / 1000.0;
    outcome.payload_bytes = bytes as f64 / (outcome.acknowledged + outcome.refused).max(1) as f64;
    Ok(outcome)
}

fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, MAX_LATENCY_US, 3).context("histogram of latencies")
}

/// What a client publishes next.
enum Feed {
    /// A JSON text whose time stamp counts up: digits at this place.
    Json { text: Vec<u8>, at: usize, time_ms: u64 },
    /// Made beforehand.
    Batches(std::vec::IntoIter<Bytes>),
}

impl Feed {
    fn next(&mut self) -> Option<Bytes> {
        match self {
            Feed::Json { text, at, time_ms } => {
                *time_ms += 1;
                let digits = format!("{time_ms:013}");
                text[*at..*at + digits.len()].copy_from_slice(digits.as_bytes());
                Some(Bytes::copy_from_slice(text))
            }
            Feed::Batches(batches) => batches.next(),
        }
    }
}

struct Generator {
    topic: Arc<str>,
    hello: Option<(Arc<str>, Bytes)>,
    credentials: Credentials,
    feed: Feed,
    connection: Option<(Client, ClientEvents)>,
}

impl Generator {
    fn prepare(load: &Load, index: usize, folder: &Path) -> Result<Self> {
        let credentials = Credentials::load(folder)?;
        let vehicle: VehicleId = credentials.own.identity.id().parse()?;
        let topic = |kind| -> Arc<str> { Topic::Vehicle(vehicle.clone(), kind).to_string().into() };
        let (topic, hello, feed) = match load.mode {
            GeneratorMode::Json => (topic(VehicleTopic::Sample), None, json_feed(index)?),
            GeneratorMode::Batches => {
                let opening = load.openings.get(index).context("a vehicle has no opening")?;
                let key = read_signing_key(&folder.join("sign.key"))?;
                let batches = batches(load, &vehicle, &key)?;
                let hello = (topic(VehicleTopic::Hello), hello::hello(*opening, Boot::new(load.boot)));
                (topic(VehicleTopic::Batch), Some(hello), Feed::Batches(batches.into_iter()))
            }
        };
        Ok(Generator { topic, hello, credentials, feed, connection: None })
    }

    async fn connect(&mut self, address: &str) -> Result<()> {
        let tls = self.credentials.client_config(Expected::role(Role::Fog), None)?;
        let mut settings = ClientSettings::default();
        settings.options.ping_timeout = Duration::from_secs(60);
        let begun = Instant::now();
        let (client, mut events) = loop {
            // As vehicles do: at once again if it was turned away.
            match Client::connect(address, tls.clone(), settings.clone()).await {
                Err(_) if begun.elapsed() < PATIENCE => {}
                connected => break connected?,
            }
        };
        if let Some((topic, payload)) = &self.hello {
            hello::say(&client, &mut events, topic, payload.clone()).await?;
        }
        self.connection = Some((client, events));
        Ok(())
    }

    /// Keeps the window full, or publishes what is due, until the time is over; then waits for what is outstanding.
    async fn drive(mut self, start: Instant, time: Duration, rate: Option<f64>) -> Result<Tally> {
        let (client, mut events) = self.connection.take().context("not connected")?;
        let window = usize::from(client.window());
        let mut tally = Tally { acknowledged: 0, refused: 0, bytes: 0, latency_us: histogram()? };
        // Tags count publishes; the time of each is kept until it is acknowledged.
        let mut sent: std::collections::VecDeque<(u64, Option<Instant>)> = std::collections::VecDeque::new();
        let (mut next_tag, mut outstanding) = (1_u64, 0_usize);
        let mut tick = tokio::time::interval(PACE);
        let mut ended = None;
        loop {
            let now = Instant::now();
            let over = now - start >= time;
            if over && ended.is_none() {
                ended = Some(now);
            }
            let due = match (over, rate) {
                (true, _) => 0,
                (false, None) => window.saturating_sub(outstanding),
                (false, Some(rate)) => {
                    let due = ((now - start).as_secs_f64() * rate) as u64;
                    // What the server holds back is not sent in a burst later: the load is what was asked for.
                    (due.saturating_sub(next_tag - 1) as usize).min(window.saturating_sub(outstanding))
                }
            };
            let mut batch = Vec::with_capacity(due);
            for _ in 0..due {
                let Some(payload) = self.feed.next() else { break };
                tally.bytes += payload.len() as u64;
                batch.push(Outgoing::new(self.topic.clone(), payload, next_tag));
                sent.push_back((next_tag, Some(now)));
                next_tag += 1;
            }
            let exhausted = due > 0 && batch.len() < due;
            outstanding += batch.len();
            if !batch.is_empty() {
                client.publish_all(batch)?;
            }
            if outstanding == 0 && (over || exhausted) {
                return Ok(tally);
            }
            ensure!(ended.is_none_or(|at| now - at < DRAIN), "{outstanding} publishes are not acknowledged");
            let event = tokio::select! {
                event = events.next() => event,
                _ = tick.tick(), if rate.is_some() => continue,
            };
            match event {
                Some(ClientEvent::Completed(done)) => {
                    let now = Instant::now();
                    for (tag, reason) in done {
                        outstanding -= 1;
                        if reason.is_success() {
                            tally.acknowledged += 1
                        } else {
                            tally.refused += 1
                        }
                        let first = sent.front().map_or(tag, |(first, _)| *first);
                        if let Some((_, at)) = sent.get_mut((tag - first) as usize)
                            && let Some(at) = at.take()
                        {
                            tally.latency_us.saturating_record((now - at).as_micros() as u64);
                        }
                        while sent.front().is_some_and(|(_, at)| at.is_none()) {
                            sent.pop_front();
                        }
                    }
                }
                Some(ClientEvent::Messages(messages)) => {
                    messages.iter().for_each(|one| client.accept(one.token))
                }
                Some(ClientEvent::Ended(end)) => bail!("the fog node ends the session: {end}"),
                Some(_) => {}
                None => bail!("the connection is gone"),
            }
        }
    }
}

/// A sample of a 96-cell pack as a foreign client sends it, with a millisecond time stamp to count up.
fn json_feed(index: usize) -> Result<Feed> {
    let records = super::drive::records(1)?;
    let sample = &records.first().context("the drive cycle is empty")?.sample;
    let mut value: serde_json::Value = serde_json::from_str(&voltmesh_telemetry::vss::to_json(sample))?;
    let marker = 1_000_000_000_000_u64;
    value[voltmesh_telemetry::vss::TIMESTAMP] = marker.into();
    let text = serde_json::to_string(&value)?;
    let at = text.find(&marker.to_string()).context("the time stamp is not in the text")?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Clients start apart, so that their samples differ.
    Ok(Feed::Json { text: text.into_bytes(), at, time_ms: since.as_millis() as u64 + index as u64 })
}

/// Chained batches of one vehicle, as an edge makes them.
fn batches(load: &Load, vehicle: &VehicleId, key: &ed25519_dalek::SigningKey) -> Result<Vec<Bytes>> {
    let mut records: Vec<Record> = super::drive::records(load.records)?;
    let secret = Secret::new([3; 32]);
    let mut place = Place {
        vehicle: vehicle.clone(),
        boot: Boot::new(load.boot),
        previous: None::<BatchId>,
        signer: Signer::Vehicle,
    };
    let count = load.batches / load.credentials.len();
    let mut out = Vec::with_capacity(count);
    for batch in 0..count {
        for (n, record) in records.iter_mut().enumerate() {
            record.number = RecordNumber::new((batch * load.records + n) as u64);
            record.sample.time = record.sample.time.plus_millis(1000 * load.records as u64);
        }
        let sealed = seal(&place, &records, &secret, key)?;
        place.previous = Some(sealed.id());
        out.push(sealed.wire().clone());
    }
    Ok(out)
}
