//! The loop that owns the core.

mod outputs;
mod upkeep;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use commonware_runtime::{Clock as _, tokio::Context};
use tokio::sync::{mpsc, watch};
use voltmesh_audit::Recorder;
use voltmesh_consensus::{Handle, RetentionGuard, network::SocketSender};
use voltmesh_control::Status;
use voltmesh_mqtt::{LogLimiter, Reason, Server, ServerEvent, ServerEvents, Session, SessionId};
use voltmesh_spool::{Error as SpoolError, Position, Writer};

use super::{
    clock::now,
    commands::Desk,
    finality::Finality,
    functions::{FunctionQueue, Told},
    latency::Histogram,
    quarantine::Quarantine,
    round_trips::RoundTrips,
    uplink::Order,
    workers::Workers,
};
use crate::ingest::{Claim, Done, Ingest, Input};

/// Longest time for the inputs of one wakeup, so that answers are not kept waiting by an endless stream: about four
/// times what an fdatasync takes, which larger groups would not make cheaper.
const WAKEUP: Duration = Duration::from_millis(2);

/// Longest sleep.
const IDLE: Duration = Duration::from_millis(500);

/// A turn of the loop that is worth a line in the log at level debug: everybody's PUBACK waits for it.
const SLOW: Duration = Duration::from_millis(20);

/// What the loop is made of.
pub struct Parts {
    pub context: Context,
    pub ingest: Ingest,
    pub data: PathBuf,
    pub audit: Recorder,
    pub server: Server,
    pub events: ServerEvents,
    pub inputs: mpsc::Receiver<Input>,
    /// For tasks that the loop starts.
    pub give: mpsc::Sender<Input>,
    pub jobs_done: mpsc::UnboundedReceiver<Done>,
    pub workers: Workers,
    pub spool: Writer<Context>,
    pub quarantine: Quarantine,
    pub ledger: Handle,
    /// Keeps from being pruned what is still needed.
    pub hold: RetentionGuard,
    pub copies: SocketSender<Context>,
    pub orders: mpsc::UnboundedSender<Order>,
    /// Commands to vehicles, and their answers.
    pub desk: Desk,
    /// The archive's statements that are kept, as bytes.
    pub statements: watch::Sender<Bytes>,
    pub board: watch::Sender<Status>,
    pub finality: Finality,
    /// The thread of functions, if there is one.
    pub functions: Option<FunctionQueue>,
}

/// The loop.
pub struct Hub {
    parts: Parts,
    sessions: BTreeMap<SessionId, Session>,
    started: Instant,
    puback: Histogram,
    refreshed: Option<Instant>,
    looked: Option<Instant>,
    advanced: Option<Instant>,
    free: u64,
    tag: u64,
    caught_up: bool,
    failures: u64,
    round_trips: RoundTrips,
    /// Lines about sessions.
    log: LogLimiter<String>,
}

impl Hub {
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            sessions: BTreeMap::new(),
            started: Instant::now(),
            puback: Histogram::default(),
            refreshed: None,
            looked: None,
            advanced: None,
            free: u64::MAX,
            tag: 0,
            caught_up: false,
            failures: 0,
            round_trips: RoundTrips::default(),
            log: LogLimiter::default(),
        }
    }

    /// Runs until the node stops.
    pub async fn run(mut self) {
        let mut progress = self.parts.spool.progress();
        let mut quarantined = self.parts.quarantine.writer().progress();
        loop {
            self.look().await;
            let wake = self.parts.context.sleep_until(self.wake());
            tokio::select! {
                biased;
                changed = progress.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = progress.borrow_and_update().clone();
                    self.give(Input::SpoolUsed(now.bytes)).await;
                    self.progress(now.durable, now.failures, now.error).await;
                }
                changed = quarantined.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let durable = quarantined.borrow_and_update().durable;
                    self.give(Input::QuarantineDurable(durable)).await;
                }
                Some(done) = self.parts.jobs_done.recv() => self.give(Input::Done(done)).await,
                Some(input) = self.parts.inputs.recv() => self.input(input).await,
                command = self.parts.desk.next() => self.give(command).await,
                event = self.parts.events.next() => match event {
                    Some(event) => self.event(event).await,
                    None => return,
                },
                () = wake => {}
            }
            let turn = Instant::now();
            self.drain().await;
            let drained = turn.elapsed();
            self.give(Input::Tick).await;
            let took = turn.elapsed();
            if took > SLOW {
                tracing::debug!(?drained, ?took, "a slow turn");
            }
        }
    }

    /// Takes what else is waiting.
    async fn drain(&mut self) {
        let until = Instant::now() + WAKEUP;
        while Instant::now() < until {
            let mut idle = true;
            if let Ok(done) = self.parts.jobs_done.try_recv() {
                self.give(Input::Done(done)).await;
                idle = false;
            }
            if let Ok(input) = self.parts.inputs.try_recv() {
                self.input(input).await;
                idle = false;
            }
            if let Some(event) = self.parts.events.try_next() {
                self.event(event).await;
                idle = false;
            }
            if idle {
                return;
            }
        }
    }

    fn wake(&self) -> SystemTime {
        let idle = self.parts.context.current() + IDLE;
        let due = self.parts.ingest.deadline().map(|at| UNIX_EPOCH + Duration::from_millis(at.as_millis()));
        due.map_or(idle, |due| due.min(idle))
    }

    async fn progress(&mut self, durable: Position, failures: u64, error: Option<SpoolError>) {
        self.give(Input::Durable(durable)).await;
        if failures > self.failures {
            self.failures = failures;
            let why = error.map_or_else(|| "unknown cause".to_owned(), |error| error.to_string());
            self.give(Input::StorageFailed(why)).await;
        }
    }

    async fn input(&mut self, input: Input) {
        if let Input::Ledger { caught_up, .. } = &input {
            self.caught_up = *caught_up;
        }
        self.give(input).await;
    }

    async fn event(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Connected { session } => {
                let (id, peer) = (session.id(), session.peer().clone());
                if let (Some(functions), Ok(vehicle)) = (&self.parts.functions, peer.identity.id().parse()) {
                    functions.tell(Told::Connected { session: id, vehicle });
                }
                self.sessions.insert(id, session);
                self.give(Input::Connected { session: id, peer }).await;
            }
            ServerEvent::Publishes { session, items } => {
                let (id, arrived_us) = (session.id(), self.started.elapsed().as_micros() as u64);
                let now = now(&self.parts.context);
                for item in items {
                    let claim = Claim { session: id, token: item.token.to_bits(), arrived_us };
                    let input = match item.will {
                        false => Input::Publish { claim, topic: item.topic, payload: item.payload },
                        true => {
                            let peer = session.peer().clone();
                            Input::Will { claim, peer, topic: item.topic, payload: item.payload }
                        }
                    };
                    let outputs = self.parts.ingest.handle(now, input);
                    if !outputs.is_empty() {
                        self.perform(outputs).await;
                    }
                }
            }
            ServerEvent::Ended { session, .. } => {
                self.sessions.remove(&session.id());
                self.parts.desk.ended(session.id());
                self.round_trips.ended(session.id());
                if let Some(functions) = &self.parts.functions {
                    functions.tell(Told::Ended { session: session.id() });
                }
                self.give(Input::Disconnected { session: session.id() }).await;
            }
            ServerEvent::Completed { session, done } => self.completed(&session, &done),
            ServerEvent::Subscribed { .. } => {}
        }
    }

    /// Publishes to a session are over.
    fn completed(&mut self, session: &Session, done: &[(u64, Reason)]) {
        for (tag, reason) in done {
            self.parts.desk.completed(*tag, reason.0 < 0x80);
        }
        let Some(functions) = &self.parts.functions else { return };
        for (tag, _) in done {
            if let Some(took) = self.round_trips.acknowledged(session.id(), *tag)
                && let Ok(vehicle) = session.peer().identity.id().parse()
            {
                functions.tell(Told::RoundTrip { vehicle, us: took.as_micros() as u64 });
            }
        }
    }

    async fn give(&mut self, input: Input) {
        let outputs = self.parts.ingest.handle(now(&self.parts.context), input);
        self.perform(outputs).await;
    }
}
