//! The relay of commands: from what runs on this node to vehicles' sessions, and their answers back.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use voltmesh_control::CommandAnswer;
use voltmesh_telemetry::VehicleId;

use crate::ingest::{Input, NotRouted, SessionId};

/// Commands that wait for the loop: each of 4,096 vehicles one.
const WAITING: usize = 4_096;

/// Answers that wait for whoever asked; more are dropped and counted by the loop.
const ANSWERS: usize = 4_096;

/// Commands under way of which nobody knows yet whether the vehicle has them: those of [`WAITING`], twice.
const UNDER_WAY: usize = 2 * WAITING;

/// Why a command did not reach its vehicle's agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// It was not sent.
    #[error(transparent)]
    NotRouted(#[from] NotRouted),
    /// The vehicle's session took it and ended before the vehicle acknowledged it: it may have arrived.
    #[error("the session with {0} ended before the command was acknowledged")]
    SessionEnded(VehicleId),
    /// Too much is under way.
    #[error("more than {UNDER_WAY} commands are under way")]
    Busy,
    /// This node stops.
    #[error("the fog node stops")]
    Stopping,
}

/// A command on its way to the loop.
pub struct Request {
    vehicle: VehicleId,
    message: Bytes,
    told: oneshot::Sender<Result<(), Undelivered>>,
}

/// The way to vehicles, for what runs on this node.
#[derive(Clone, Debug)]
pub struct Relay {
    requests: mpsc::Sender<Request>,
}

impl Relay {
    /// Sends a signed command to its vehicle; returns once the vehicle's agent has acknowledged it. What the vehicle did with it
    /// comes as its answer.
    ///
    /// # Errors
    /// [`Undelivered`]: the command has not reached the vehicle, or nobody knows.
    pub async fn send(&self, vehicle: VehicleId, message: Bytes) -> Result<(), Undelivered> {
        let (told, answer) = oneshot::channel();
        let request = Request { vehicle, message, told };
        self.requests.send(request).await.map_err(|_| Undelivered::Stopping)?;
        answer.await.unwrap_or(Err(Undelivered::Stopping))
    }
}

/// A vehicle's answer to a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// Which vehicle.
    pub vehicle: VehicleId,
    /// What it did.
    pub answer: CommandAnswer,
}

/// Both ends of the relay: for what runs on this node, and for the loop.
pub fn relay() -> (Relay, mpsc::Receiver<Answered>, Desk) {
    let (requests, waiting) = mpsc::channel(WAITING);
    let (answers, answered) = mpsc::channel(ANSWERS);
    let desk = Desk { waiting, answers, under_way: BTreeMap::new(), tickets: 0, dropped: 0 };
    (Relay { requests }, answered, desk)
}

/// The loop's end of the relay.
pub struct Desk {
    waiting: mpsc::Receiver<Request>,
    answers: mpsc::Sender<Answered>,
    /// Commands that wait for their vehicle's acknowledgement, by ticket, which is their tag in MQTT too.
    under_way: BTreeMap<u64, UnderWay>,
    tickets: u64,
    dropped: u64,
}

struct UnderWay {
    vehicle: VehicleId,
    /// Whose publish it is, once it is sent.
    session: Option<SessionId>,
    told: oneshot::Sender<Result<(), Undelivered>>,
}

/// Tags of commands are above those of all else that the loop publishes, which count from 1.
const TAGS: u64 = 1 << 62;

impl Desk {
    /// The next command to send, as an input of the core; never, once all relays are gone.
    pub async fn next(&mut self) -> Input {
        loop {
            let Some(Request { vehicle, message, told }) = self.waiting.recv().await else {
                return std::future::pending().await;
            };
            if self.under_way.len() >= UNDER_WAY {
                let _ = told.send(Err(Undelivered::Busy));
                continue;
            }
            self.tickets += 1;
            let ticket = TAGS + self.tickets;
            self.under_way.insert(ticket, UnderWay { vehicle: vehicle.clone(), session: None, told });
            return Input::Command { vehicle, message, ticket };
        }
    }

    /// A command was handed to a session.
    pub fn sent(&mut self, ticket: u64, session: SessionId) {
        if let Some(command) = self.under_way.get_mut(&ticket) {
            command.session = Some(session);
        }
    }

    /// A command could not be sent.
    pub fn not_sent(&mut self, ticket: u64, why: NotRouted) {
        self.tell(ticket, |_| Err(Undelivered::NotRouted(why)));
    }

    /// A publish is over; whatever is no command is passed over.
    pub fn completed(&mut self, tag: u64, acknowledged: bool) {
        self.tell(tag, |vehicle| if acknowledged { Ok(()) } else { Err(Undelivered::SessionEnded(vehicle)) });
    }

    fn tell(&mut self, ticket: u64, result: impl FnOnce(VehicleId) -> Result<(), Undelivered>) {
        if let Some(UnderWay { vehicle, told, .. }) = self.under_way.remove(&ticket) {
            // Whoever asked may be gone.
            let _ = told.send(result(vehicle));
        }
    }

    /// A session has ended: what it had not acknowledged never will be.
    pub fn ended(&mut self, session: SessionId) {
        for (_, gone) in self.under_way.extract_if(.., |_, one| one.session == Some(session)) {
            let _ = gone.told.send(Err(Undelivered::SessionEnded(gone.vehicle)));
        }
    }

    /// A vehicle has answered.
    pub fn answered(&mut self, answered: Answered) {
        self.dropped += u64::from(self.answers.try_send(answered).is_err());
    }

    /// Answers that nobody took.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
