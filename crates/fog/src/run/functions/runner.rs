//! The thread of functions: decodes what is durable, summarises it, calls functions, keeps what they say, and sends what they ask.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use commonware_runtime::tokio::Context;
use ed25519_dalek::SigningKey;
use tokio::sync::mpsc;
use voltmesh_battery::summary::Summary;
use voltmesh_control::{
    CLOCK_TOLERANCE_MS, CommandAnswer, FunctionReport, Order, Summaries, VehicleSummary, Work,
};
use voltmesh_function::{Compiled, Input, Manager, Output};
use voltmesh_mqtt::{LogLimiter, SessionId};
use voltmesh_spool::{Error as SpoolError, Position, Writer};
use voltmesh_telemetry::{Digest, Sample, SealedBatch, Timestamp, VehicleId};

use super::{
    beside::Beside,
    figures::{Figures, FunctionView, MAX_METRICS},
    outbox::Outbox,
    queue::{Fed, Next, Queue, Told},
    releases::Releases,
    sender::{Sent, Signed},
};
use crate::{
    functions::{
        Watch, decode,
        journal::{self, Journal, Leaving},
    },
    ingest::{Block, FeedContent},
    run::latency::Histogram,
};

/// Between two summaries, in ms.
const SECOND_MS: u64 = 1_000;

/// For so long seconds that are over are gathered, so that many vehicles make few messages.
const GATHER: Duration = Duration::from_millis(10);

/// Between two writings of the figures: as often as the loop's.
const REFRESH: Duration = Duration::from_millis(100);

/// Vehicles in one message: of at most 3 kB each, three quarters of the bound.
const VEHICLES: usize = 256;

/// Pause before a journal that takes nothing is tried again.
const FULL: Duration = Duration::from_millis(20);

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
    /// Highest term of a controller that an earlier process saw.
    pub term: u32,
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
    term: u32,
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
        let (watch, term) = (Watch::new(parts.vehicles), parts.term);
        let now = clock();
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
            term,
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
            self.now = self.now.max(clock());
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
        let due = Duration::from_millis(due.as_millis().saturating_sub(clock().as_millis()));
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
            Told::Controllers { keys, term } => {
                self.term = self.term.max(term);
                self.manage(Input::Controllers { keys, term }, None);
            }
            Told::Answer { vehicle, answer } => self.answer(vehicle, *answer),
            Told::Sent(sent) => self.sent(*sent),
            Told::ControllerUp { link } => self.greet(link),
            Told::Order { link, payload } => self.order(link, &payload),
            Told::Release { payload } => self.release(payload),
            Told::Compiled { payload, compiled } => self.compiled(&payload, compiled),
        }
    }

    fn fed(&mut self, fed: Fed) {
        match fed.content {
            FeedContent::Batch(wire) => {
                if let Err(error) = self.batch(wire, fed.arrived) {
                    self.counters.undecodable += 1;
                    tracing::error!(%error, "a batch that was verified cannot be read; functions do not see it");
                }
            }
            FeedContent::Samples(block) => {
                // Those that this version does not take are in the quarantine.
                let Some((records, _)) = Block::read(&block) else { return self.counters.undecodable += 1 };
                for of_one in records.chunk_by(|a, b| a.0 == b.0) {
                    let samples = of_one.iter().map(|(_, record)| &record.sample);
                    self.samples(&of_one[0].0, samples, fed.arrived);
                }
            }
        }
    }

    fn batch(&mut self, wire: Bytes, arrived: Instant) -> Result<(), voltmesh_telemetry::Error> {
        let batch = SealedBatch::parse(wire)?;
        let (report, records) = (batch.report()?, batch.open()?);
        let header = batch.header();
        if !self.watch.boot(self.now, &header.vehicle, header.boot) {
            return Ok(());
        }
        self.samples(&header.vehicle, records.iter().map(|record| &record.sample), arrived);
        let Some(json) = report else { return Ok(()) };
        match decode::report(&json) {
            Ok(report) => {
                self.watch.report(self.now, &header.vehicle, &report);
                if let Some(said) = report.said.filter(|_| self.acting.contains(&header.vehicle)) {
                    let (vehicle, report) = (header.vehicle.clone(), said.report());
                    self.manage(Input::Report { vehicle, report }, Some(arrived));
                }
            }
            Err(why) => {
                self.counters.reports_refused += 1;
                self.warn(format!("reports of {}", header.vehicle), || {
                    format!("a report of {} is refused: {why}", header.vehicle)
                });
            }
        }
        Ok(())
    }

    fn samples<'a>(
        &mut self,
        vehicle: &VehicleId,
        samples: impl Iterator<Item = &'a Sample>,
        arrived: Instant,
    ) {
        let latest = self.now.plus_millis(CLOCK_TOLERANCE_MS);
        let acts = self.acting.contains(vehicle);
        let mut fresh = Vec::new();
        for sample in samples {
            // It would hide all that follow it.
            if sample.time > latest {
                self.counters.ahead += 1;
                continue;
            }
            if self.watch.sample(self.now, vehicle, &decode::pack_sample(sample)) && acts {
                fresh.push(decode::sample(sample));
            }
        }
        if !fresh.is_empty() {
            self.manage(Input::Samples { vehicle: vehicle.clone(), samples: fresh }, Some(arrived));
        }
    }

    fn order(&mut self, link: usize, payload: &Bytes) {
        match Order::decode(payload) {
            // Told to whom it is: its number may be that of another order of the controller that commands.
            Ok(order) if order.term < self.term => {
                self.counters.orders_of_old_terms += 1;
                let (term, number) = (order.term, order.number);
                let reason = format!("the order is of term {term}, and term {} has begun", self.term);
                let refused = self.encode(&FunctionReport::Refused { order: number, reason });
                if let (Some(refused), Some(outbox)) = (refused, self.parts.outboxes.get(link)) {
                    outbox.report(refused);
                }
                self.warn(format!("orders of controller {link}"), || {
                    format!("an order of term {term} is refused: term {} has begun", self.term)
                });
            }
            Ok(order) => {
                self.term = self.term.max(order.term);
                self.parts.figures.ordered(link, order.term);
                if let Work::Run { vehicle, .. } = &order.work {
                    self.acting.insert(vehicle.clone());
                }
                self.manage(Input::Order(order), None);
            }
            Err(error) => {
                self.counters.orders_malformed += 1;
                self.warn(format!("orders of controller {link}"), || format!("an order is refused: {error}"));
            }
        }
    }

    /// Has a release compiled beside, so that summaries and other functions go on meanwhile. One that finds no room is asked for
    /// again.
    fn release(&mut self, payload: Bytes) {
        if self.compiling.contains(&payload) {
            return;
        }
        match self.parts.compiler.compile(payload.clone()) {
            true => drop(self.compiling.insert(payload)),
            false => self.warn("releases".to_owned(), || "too many releases wait to be compiled".to_owned()),
        }
    }

    fn compiled(&mut self, payload: &Bytes, compiled: Compiled) {
        self.compiling.remove(payload);
        if !compiled.is_refused() {
            // Packages are named otherwise than components: what runs is not told apart here, and the newest stay.
            self.parts.releases.keep(payload, &BTreeSet::from([Digest::of(payload)]));
        }
        self.manage(Input::Compiled(compiled), None);
        self.look();
    }

    fn answer(&mut self, vehicle: VehicleId, answer: CommandAnswer) {
        self.counters.answers += 1;
        let key = (vehicle.clone(), answer.function.clone(), answer.number);
        if let Some(sent) = self.unanswered.remove(&key) {
            self.command_to_answer.record(sent.elapsed().as_micros() as u64);
        }
        self.manage(Input::Answer { vehicle, answer }, None);
    }

    /// The first reports of a session.
    fn greet(&mut self, link: usize) {
        let key = hex::encode(self.parts.signing.verifying_key().as_bytes());
        let ready = FunctionReport::Ready { key, term: self.term };
        let running = FunctionReport::Running { instances: self.parts.manager.running() };
        let first = [ready, running].iter().filter_map(|report| self.encode(report)).collect();
        if let Some(outbox) = self.parts.outboxes.get(link) {
            outbox.greet(first);
        }
    }

    fn encode(&self, report: &FunctionReport) -> Option<Bytes> {
        match report.encode() {
            Ok(bytes) => Some(bytes.into()),
            Err(error) => {
                tracing::error!(%error, "a report for the controller is too large and left out");
                None
            }
        }
    }

    /// Gives the functions an input and does what they ask. `arrived` is when the record came that it is of.
    fn manage(&mut self, input: Input, arrived: Option<Instant>) {
        for output in self.parts.manager.handle(self.now, input) {
            match output {
                Output::Keep { sequence, event } => {
                    self.keep(journal::Input::Keep { sequence, event: Box::new(event) });
                }
                Output::Persist(snapshot) => self.keep(journal::Input::Persist(snapshot)),
                Output::Command { after, command, lease, function } => {
                    let arrived_us =
                        arrived.map(|at| at.saturating_duration_since(self.started).as_micros() as u64);
                    let leaving = Box::new(Leaving { command, lease, function, arrived_us });
                    self.keep(journal::Input::Command { after, leaving });
                }
                Output::Tell(report) => {
                    if let Some(bytes) = self.encode(&report) {
                        self.parts.outboxes.iter().for_each(|outbox| outbox.report(bytes.clone()));
                    }
                }
                Output::Metrics { vehicle, function, values } => {
                    let known = self.metrics.entry((vehicle, function)).or_default();
                    for (name, value) in values {
                        if known.len() < MAX_METRICS || known.contains_key(&name) {
                            known.insert(name, value);
                        }
                    }
                }
                Output::Warn(text) => self.warn("functions".to_owned(), || text),
            }
        }
    }

    /// Gives the journal an input and does what it asks.
    fn keep(&mut self, input: journal::Input) {
        for output in self.parts.journal.handle(self.now, input) {
            match output {
                journal::Output::Append(bytes) => self.append(bytes),
                journal::Output::Kept(through) => self.manage(Input::Kept { through }, None),
                journal::Output::Send(leaving) => self.send(*leaving),
                journal::Output::GivenUp(leaving) => {
                    let vehicle = &leaving.command.vehicle;
                    self.warn(format!("commands to {vehicle}"), || {
                        format!(
                            "a command of {} to {vehicle} is given up: it came too late to the disk",
                            leaving.function
                        )
                    });
                }
                journal::Output::Release(from, to) => {
                    for position in (from..to).map(Position) {
                        if let Err(error) = self.parts.spool.ack(position) {
                            tracing::error!(%error, %position, "an entry that is not needed stays in the journal");
                        }
                    }
                }
            }
        }
    }

    /// While the disk takes nothing, functions wait; records that come meanwhile leave their queue unseen.
    fn append(&mut self, bytes: Bytes) {
        while self.stopped.is_none() && !self.parts.queue.is_closed() {
            match self.parts.spool.append(bytes.clone()) {
                Ok(_) => return,
                Err(error @ (SpoolError::Full { .. } | SpoolError::Busy { .. })) => {
                    self.counters.waits += 1;
                    self.warn("the journal of functions".to_owned(), || {
                        format!("it takes nothing now; waiting: {error}")
                    });
                    thread::sleep(FULL);
                }
                // Positions would no longer agree.
                Err(error) => self.stopped = Some(error.to_string()),
            }
        }
    }

    fn send(&mut self, leaving: Leaving) {
        if self.stopped.is_some() {
            return;
        }
        let Leaving { command, lease, function, arrived_us } = leaving;
        let signed = command.sign(self.parts.fog.as_str(), &lease, &self.parts.signing);
        if self.unanswered.len() < UNANSWERED {
            let id = (command.vehicle.clone(), function.clone(), command.number);
            self.unanswered.insert(id, Instant::now());
        }
        let (vehicle, number, message) = (command.vehicle, command.number, signed.into());
        self.counters.sent += 1;
        if self.parts.commands.try_send(Signed { vehicle, function, number, message, arrived_us }).is_err() {
            self.counters.undelivered += 1;
        }
    }

    /// A function that hears no answer asks again, or its last command runs out: nothing is repeated here.
    fn sent(&mut self, sent: Sent) {
        match sent.delivered {
            Ok(()) => {
                if let Some(arrived_us) = sent.arrived_us {
                    let now_us = self.started.elapsed().as_micros() as u64;
                    self.record_to_command.record(now_us.saturating_sub(arrived_us));
                }
            }
            Err(why) => {
                self.counters.undelivered += 1;
                self.unanswered.remove(&(sent.vehicle.clone(), sent.function.clone(), sent.number));
                self.warn(format!("commands to {}", sent.vehicle), || {
                    format!("a command of {} did not reach {}: {why}", sent.function, sent.vehicle)
                });
            }
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

    /// How long to wait until seconds that are over are told together.
    fn gathered(&self) -> Duration {
        self.told.map_or(Duration::ZERO, |at| GATHER.saturating_sub(at.elapsed()))
    }

    fn summarise(&mut self, vehicles: &[VehicleSummary<Summary>]) {
        let room = self.parts.manager.room();
        let mut message = |vehicles: &[VehicleSummary<Summary>]| {
            // Each message is after the one before it: others are taken for old ones.
            self.told_ms = self.now.as_millis().max(self.told_ms + 1);
            Summaries { at_ms: self.told_ms, room: room.clone(), vehicles: vehicles.to_vec() }
        };
        let mut messages: Vec<_> = vehicles.chunks(VEHICLES).map(&mut message).collect();
        if messages.is_empty() {
            messages.push(message(&[]));
        }
        let encoded: Vec<Bytes> = messages
            .iter()
            .filter_map(|message| match message.encode() {
                Ok(bytes) => Some(bytes.into()),
                Err(error) => {
                    tracing::error!(%error, "summaries are left out");
                    None
                }
            })
            .collect();
        self.counters.summaries += vehicles.iter().filter(|one| one.summary.is_some()).count() as u64;
        let now = Instant::now();
        self.parts.outboxes.iter().for_each(|outbox| outbox.summaries(now, encoded.clone()));
    }

    /// Looks at what runs, and shows it.
    fn look(&mut self) {
        let running = self.parts.manager.running();
        self.acting = running.iter().map(|one| one.vehicle.clone()).collect();
        let runs: BTreeSet<_> = running.iter().map(|one| (&one.vehicle, &one.function)).collect();
        self.metrics.retain(|(vehicle, function), _| runs.contains(&(vehicle, function)));
        let views = running.into_iter().map(|instance| {
            let key = (instance.vehicle.clone(), instance.function.clone());
            FunctionView { figures: self.metrics.get(&key).cloned().unwrap_or_default(), instance }
        });
        self.parts.figures.view().functions = views.collect();
    }

    fn refresh(&mut self) {
        self.log.due().iter().for_each(|unwritten| tracing::warn!("{unwritten}"));
        let (manager, journal) = (self.parts.manager.counters(), self.parts.journal.counters());
        let (dropped, skipped) = self
            .parts
            .outboxes
            .iter()
            .map(|outbox| outbox.lost())
            .fold((0, 0), |sum, lost| (sum.0 + lost.0, sum.1 + lost.1));
        let counters = &self.counters;
        let figures = BTreeMap::from([
            ("functions_running", u64::from(self.parts.manager.room().instances)),
            ("functions_vehicles", self.watch.followed() as u64),
            ("functions_journal_bytes", self.parts.journal.used()),
            ("functions_calls", manager.calls),
            ("functions_traps", manager.failures),
            ("functions_missed", manager.missed),
            ("functions_rolled_back", manager.rolled_back),
            ("functions_commands_not_allowed", manager.refused_commands),
            ("functions_orders_refused", manager.refused_orders + counters.orders_of_old_terms),
            ("functions_releases_refused", manager.refused_releases),
            ("functions_orders_malformed", counters.orders_malformed),
            ("functions_events_kept", journal.events),
            ("functions_events_lost", journal.events_lost),
            ("functions_events_unlisted", journal.events_unlisted),
            ("functions_journal_unreadable", journal.unreadable),
            ("functions_journal_waits", counters.waits),
            ("functions_commands_sent", counters.sent),
            ("functions_commands_undelivered", counters.undelivered),
            ("functions_commands_answered", counters.answers),
            ("functions_commands_given_up", journal.commands_given_up + journal.commands_unfounded),
            ("functions_summaries_sent", counters.summaries),
            ("functions_summaries_skipped", skipped),
            ("functions_reports_dropped", dropped),
            ("functions_feed_dropped", self.parts.queue.dropped()),
            ("functions_feed_undecodable", counters.undecodable),
            ("functions_reports_refused", counters.reports_refused),
            ("functions_samples_ahead", counters.ahead),
            ("functions_samples_late", self.watch.late()),
            ("functions_vehicles_crowded", self.watch.crowded()),
        ]);
        let mut view = self.parts.figures.view();
        view.counters = figures;
        view.latencies.insert("record_to_command", self.record_to_command.latency());
        view.latencies.insert("command_to_answer", self.command_to_answer.latency());
    }

    fn warn(&self, subject: String, text: impl FnOnce() -> String) {
        if self.log.may_write(subject) {
            tracing::warn!("{}", text());
        }
    }
}

/// Time of day.
pub fn clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as u64)
}
