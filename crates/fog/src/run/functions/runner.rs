//! The thread of functions: decodes what is durable, summarises it, calls functions, keeps what they say, and sends what they ask.

mod effects;
mod orders;
mod records;
mod summaries;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use commonware_runtime::tokio::Context;
use ed25519_dalek::SigningKey;
use tokio::sync::mpsc;
use voltmesh_function::{Input, Manager};
use voltmesh_mqtt::{LogLimiter, SessionId};
use voltmesh_spool::Writer;
use voltmesh_telemetry::{Timestamp, VehicleId};

use super::{
    beside::Beside,
    command::Signed,
    figures::Figures,
    outbox::Outbox,
    queue::{Next, Queue, Told},
    releases::Releases,
};
use crate::{
    functions::{
        Watch,
        journal::{self, Journal},
        terms::Terms,
    },
    run::{clock::time_of_day, latency::Histogram},
};

/// Between two summaries, in ms.
const SECOND_MS: u64 = 1_000;

/// Between two writings of the figures: as often as the loop's.
const REFRESH: Duration = Duration::from_millis(100);

/// Commands whose answers are waited for, to measure how long they take; beyond it the oldest is not measured.
const UNANSWERED: usize = 4_096;

/// What the thread is made of.
pub struct Parts {
    pub fog: VehicleId,
    pub signing: SigningKey,
    pub queue: Queue,
    pub manager: Manager,
    pub journal: Journal,
    pub spool: Writer<Context>,
    pub releases: Releases,
    pub compiler: Beside,
    pub outboxes: Vec<Arc<Outbox>>,
    pub figures: Figures,
    /// To the task that sends them.
    pub commands: mpsc::Sender<Signed>,
    /// Vehicles that are followed at most.
    pub vehicles: usize,
    /// Terms of controllers, as an earlier process knew them.
    pub terms: Terms,
}

/// Counters since the start.
#[derive(Default)]
struct Counters {
    summaries: u64,
    undecodable: u64,
    reports_refused: u64,
    ahead: u64,
    orders_malformed: u64,
    orders_of_old_terms: u64,
    orders_early: u64,
    answers: u64,
    sent: u64,
    undelivered: u64,
    waits: u64,
}

/// A command that was sent: vehicle, function, number.
type CommandId = (VehicleId, String, u64);

/// The thread's state.
pub struct Runner {
    parts: Parts,
    watch: Watch,
    now: Timestamp,
    started: Instant,
    second: Timestamp,
    /// When summaries were told, and the time in the last message of them.
    told: Option<Instant>,
    told_ms: u64,
    refreshed: Option<Instant>,
    sessions: BTreeMap<SessionId, VehicleId>,
    /// Vehicles that have a function here.
    acting: BTreeSet<VehicleId>,
    metrics: BTreeMap<(VehicleId, String), BTreeMap<String, f64>>,
    record_to_command: Histogram,
    command_to_answer: Histogram,
    unanswered: BTreeMap<CommandId, Instant>,
    /// Releases that are being compiled.
    compiling: BTreeSet<Bytes>,
    counters: Counters,
    log: LogLimiter<String>,
    /// Why it cannot go on.
    stopped: Option<String>,
}

impl Runner {
    /// One that has done nothing.
    pub fn new(parts: Parts) -> Self {
        let watch = Watch::new(parts.vehicles);
        let now = time_of_day();
        Self {
            parts,
            watch,
            now,
            started: Instant::now(),
            second: now,
            told: None,
            told_ms: 0,
            refreshed: None,
            sessions: BTreeMap::new(),
            acting: BTreeSet::new(),
            metrics: BTreeMap::new(),
            record_to_command: Histogram::default(),
            command_to_answer: Histogram::default(),
            unanswered: BTreeMap::new(),
            compiling: BTreeSet::new(),
            counters: Counters::default(),
            log: LogLimiter::default(),
            stopped: None,
        }
    }

    /// Runs until the queue is closed: first what an earlier process left, then what comes.
    pub fn run(mut self, restored: Vec<Input>) {
        for input in restored {
            self.manage(input, None);
        }
        self.look();
        for package in self.parts.releases.all() {
            self.release(package);
        }
        while self.stopped.is_none() {
            let next = self.parts.queue.next(self.patience());
            self.now = self.now.max(time_of_day());
            match next {
                Next::Told(told) => self.told(told),
                Next::Fed(fed) => self.fed(fed),
                Next::Idle => {}
                Next::Closed => return,
            }
            self.due();
        }
        let why = self.stopped.unwrap_or_default();
        tracing::error!(
            why,
            "functions have stopped: nothing is kept, so nothing may be commanded; restart the node"
        );
    }

    fn patience(&self) -> Duration {
        let due = self.parts.manager.deadline().map_or(self.second, |at| at.min(self.second));
        let due = Duration::from_millis(due.as_millis().saturating_sub(time_of_day().as_millis()));
        if self.watch.has_told() { due } else { due.min(self.gathered()) }
    }

    fn told(&mut self, told: Told) {
        match told {
            Told::Connected { session, vehicle } => {
                self.watch.session(self.now, &vehicle, true);
                self.sessions.insert(session, vehicle);
            }
            Told::Ended { session } => {
                if let Some(vehicle) = self.sessions.remove(&session) {
                    self.watch.session(self.now, &vehicle, false);
                }
            }
            Told::RoundTrip { vehicle, us } => self.watch.round_trip(&vehicle, us),
            Told::Durable(below) => self.keep(journal::Input::Durable(below)),
            Told::Known(below) => self.keep(journal::Input::Told(below)),
            Told::Listed(below) => self.keep(journal::Input::Listed(below)),
            Told::Controllers { keys, term, ledger } => self.controllers(keys, term, ledger),
            Told::Answer { vehicle, answer } => self.answer(vehicle, *answer),
            Told::Sent(sent) => self.sent(*sent),
            Told::ControllerUp { link } => self.greet(link),
            Told::Order { link, payload } => self.order(link, &payload),
            Told::Release { payload } => self.release(payload),
            Told::Compiled { payload, compiled } => self.compiled(&payload, compiled),
        }
    }

    /// Does what time asks for.
    fn due(&mut self) {
        if self.parts.manager.deadline().is_some_and(|at| at <= self.now) {
            self.manage(Input::Tick, None);
        }
        if self.second <= self.now {
            self.second = self.now.plus_millis(SECOND_MS - self.now.as_millis() % SECOND_MS);
            self.look();
            self.told = Some(Instant::now());
            let all = self.watch.second(self.now);
            self.summarise(&all);
            let limit = self.unanswered.len() >= UNANSWERED;
            self.unanswered.retain(|_, sent| !limit && sent.elapsed() < Duration::from_secs(60));
        } else if !self.watch.has_told() && self.gathered() == Duration::ZERO {
            self.told = Some(Instant::now());
            let over = self.watch.over();
            self.summarise(&over);
        }
        if self.refreshed.is_none_or(|at| at.elapsed() >= REFRESH) {
            self.refreshed = Some(Instant::now());
            self.refresh();
        }
    }

    fn warn(&self, subject: String, text: impl FnOnce() -> String) {
        if self.log.may_write(subject) {
            tracing::warn!("{}", text());
        }
    }
}
