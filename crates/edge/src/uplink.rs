//! Sessions with fog nodes: what the agent asks for, on real sockets.

use crate::agent::{FogIndex, Input};
use crate::config::Uplink;
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use voltmesh_control::{
    Hello,
    topics::{Topic, VehicleTopic},
};
use voltmesh_identity::RevocationWatch;
use voltmesh_mqtt::{Client, ClientEvent, ClientEvents, ClientOptions, ClientSettings, Outgoing, Reason};
use voltmesh_spool::Position;
use voltmesh_telemetry::{Timestamp, VehicleId, error_chain};

/// The hello's tag; a batch's is its position plus one.
const HELLO: u64 = 0;
/// The tag of answers to commands; no spool has so many batches.
const ANSWER: u64 = u64::MAX;
/// Events that wait for the agent, all sessions together.
const EVENTS: usize = 64;
/// Payload of messages from a fog node that wait, per session.
const UNDECIDED: usize = 2 << 20;
/// An idle session is kept open by a ping after so long; the server gives up after one and a half times twice that.
const IDLE_PING: Duration = Duration::from_secs(20);

/// Something from a session. Those of a session that was replaced are not delivered.
pub(crate) struct Event {
    fog: FogIndex,
    generation: u64,
    what: What,
}

enum What {
    Open(Client, Duration),
    Input(Input),
}

/// All sessions.
pub(crate) struct Uplinks {
    tls: Arc<rustls::ClientConfig>,
    fogs: Vec<String>,
    settings: ClientSettings,
    connect_timeout: Duration,
    hello: Hello,
    hello_topic: Arc<str>,
    batch_topic: Arc<str>,
    answer_topic: Arc<str>,
    sessions: Vec<Session>,
    events: mpsc::Sender<Event>,
}

#[derive(Default)]
struct Session {
    generation: u64,
    client: Option<Client>,
    task: Option<AbortHandle>,
}

impl Uplinks {
    pub fn new(
        vehicle: &VehicleId,
        fogs: Vec<String>,
        (tls, revoked): (Arc<rustls::ClientConfig>, RevocationWatch),
        hello: Hello,
        rules: &Uplink,
    ) -> (Self, mpsc::Receiver<Event>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let topic = |kind| Topic::Vehicle(vehicle.clone(), kind).to_string();
        let options = ClientOptions {
            client_id: vehicle.to_string(),
            keep_alive: IDLE_PING * 2,
            ping_every: IDLE_PING,
            ping_timeout: rules.answer_timeout(),
            connect_timeout: rules.connect_timeout(),
            receive_maximum: 64,
            subscriptions: vec![
                topic(VehicleTopic::Trust),
                topic(VehicleTopic::Receipt),
                topic(VehicleTopic::Notice),
                topic(VehicleTopic::Command),
            ],
            ..ClientOptions::default()
        };
        let settings = ClientSettings {
            options,
            max_undecided_bytes: UNDECIDED,
            revoked: Some(revoked),
            ..ClientSettings::default()
        };
        let sessions = fogs.iter().map(|_| Session::default()).collect();
        let uplinks = Self {
            tls,
            settings,
            connect_timeout: rules.connect_timeout(),
            hello,
            hello_topic: topic(VehicleTopic::Hello).into(),
            batch_topic: topic(VehicleTopic::Batch).into(),
            answer_topic: topic(VehicleTopic::Answer).into(),
            sessions,
            events,
            fogs,
        };
        (uplinks, receiver)
    }

    /// What an event means to the agent; `None` if it comes from a session that is no more.
    pub fn input(&mut self, event: Event) -> Option<Input> {
        let session = self.sessions.get_mut(event.fog.0)?;
        if session.generation != event.generation {
            return None;
        }
        match event.what {
            What::Open(client, round_trip) => {
                session.client = Some(client);
                Some(Input::Connected { fog: event.fog, round_trip_us: round_trip.as_micros() as u64 })
            }
            What::Input(input) => {
                if matches!(input, Input::Lost { .. }) {
                    session.client = None;
                }
                Some(input)
            }
        }
    }

    /// Opens a session, within so many times the configured limit.
    pub fn connect(&mut self, fog: FogIndex, times: u32) {
        let (Some(session), Some(address)) = (self.sessions.get_mut(fog.0), self.fogs.get(fog.0).cloned())
        else {
            return;
        };
        session.close();
        let generation = session.generation;
        let (tls, mut settings, events) = (self.tls.clone(), self.settings.clone(), self.events.clone());
        settings.options.connect_timeout = self.connect_timeout.saturating_mul(times);
        // What this clock says now: a fog node whose own says otherwise tells its log.
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let hello = self.hello.with_clock(Timestamp::from_millis(clock)).encode();
        let hello = Outgoing::new(self.hello_topic.clone(), hello.into(), HELLO);
        let task = tokio::spawn(async move {
            let send = |what| events.send(Event { fog, generation, what });
            let reason = match Client::connect(&address, tls, settings).await {
                Ok((client, mut from)) => {
                    let greeted = client.publish(hello);
                    let round_trip = client.round_trip();
                    if greeted.is_ok() && send(What::Open(client.clone(), round_trip)).await.is_err() {
                        return;
                    }
                    converse(&client, &mut from, |input| send(What::Input(input)), fog).await
                }
                Err(error) => error_chain(&error),
            };
            let _ = send(What::Input(Input::Lost { fog, reason })).await;
        });
        session.task = Some(task.abort_handle());
    }

    pub fn disconnect(&mut self, fog: FogIndex) {
        if let Some(session) = self.sessions.get_mut(fog.0) {
            session.close();
        }
    }

    pub fn ping(&self, fog: FogIndex) {
        if let Some(client) = self.client(fog) {
            client.ping();
        }
    }

    /// Hands a batch over; if the session cannot take it, its end is on the way and the batch is sent again.
    pub fn send(&self, fog: FogIndex, position: Position, wire: Bytes, again: bool) {
        let Some(client) = self.client(fog) else { return };
        let batch = Outgoing::new(self.batch_topic.clone(), wire, position.0 + 1);
        if let Err(error) = client.publish(Outgoing { duplicate: again, ..batch }) {
            tracing::debug!(%error, position = position.0, "not sent");
        }
    }

    /// Hands the answer to a command over. One that a lost session swallows is not sent again: what is in force is said with
    /// the next command.
    pub fn answer(&self, fog: FogIndex, message: Bytes) {
        let Some(client) = self.client(fog) else { return };
        if let Err(error) = client.publish(Outgoing::new(self.answer_topic.clone(), message, ANSWER)) {
            tracing::debug!(%error, "the answer to a command is not sent");
        }
    }

    /// Times a TCP connection: one round trip, no session.
    pub fn measure(&self, fog: FogIndex) {
        let Some(address) = self.fogs.get(fog.0).cloned() else { return };
        let generation = self.sessions.get(fog.0).map_or(0, |s| s.generation);
        let (events, limit) = (self.events.clone(), self.connect_timeout);
        tokio::spawn(async move {
            let start = Instant::now();
            let connected = tokio::time::timeout(limit, tokio::net::TcpStream::connect(&address)).await;
            let round_trip_us = matches!(connected, Ok(Ok(_))).then(|| start.elapsed().as_micros() as u64);
            let what = What::Input(Input::Measured { fog, round_trip_us });
            let _ = events.send(Event { fog, generation, what }).await;
        });
    }

    /// Ends all sessions.
    pub fn close(&mut self) {
        self.sessions.iter_mut().for_each(Session::close);
    }

    fn client(&self, fog: FogIndex) -> Option<&Client> {
        self.sessions.get(fog.0)?.client.as_ref()
    }
}

impl Session {
    fn close(&mut self) {
        self.generation += 1;
        match self.client.take() {
            Some(client) => client.disconnect(Reason::SUCCESS),
            None => {
                if let Some(task) = self.task.take() {
                    task.abort(); // still connecting
                }
            }
        }
    }
}

/// Passes a session's events on until it ends; returns why it did.
async fn converse<F, S>(client: &Client, from: &mut ClientEvents, send: F, fog: FogIndex) -> String
where
    F: Fn(Input) -> S,
    S: Future<Output = Result<(), mpsc::error::SendError<Event>>>,
{
    while let Some(event) = from.next().await {
        let inputs: Vec<Input> = match event {
            ClientEvent::Messages(items) => items
                .into_iter()
                .filter_map(|item| {
                    client.accept(item.token);
                    Input::of_message(&item.topic, item.payload)
                })
                .collect(),
            ClientEvent::Completed(done) => {
                if let Some((_, reason)) = done.iter().find(|(tag, reason)| *tag == HELLO && reason.0 >= 0x80)
                {
                    client.disconnect(Reason::SUCCESS);
                    return format!("it refuses our hello: {}", reason.name());
                }
                let batches = done.into_iter().filter(|(tag, _)| ![HELLO, ANSWER].contains(tag));
                batches
                    .map(|(tag, reason)| Input::Answered { fog, position: Position(tag - 1), code: reason.0 })
                    .collect()
            }
            ClientEvent::Subscribed(answers) => {
                if let Some((filter, reason)) = answers.into_iter().find(|(_, reason)| reason.0 >= 0x80) {
                    client.disconnect(Reason::SUCCESS);
                    return format!("it refuses our subscription to {filter}: {}", reason.name());
                }
                Vec::new()
            }
            ClientEvent::RoundTrip(_) => vec![Input::Heard { fog }],
            ClientEvent::Ended(end) => return end.to_string(),
        };
        for input in inputs {
            if send(input).await.is_err() {
                return "the agent has ended".to_owned();
            }
        }
    }
    "the connection is gone".to_owned()
}
