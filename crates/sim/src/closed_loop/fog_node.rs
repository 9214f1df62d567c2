//! A fog node: the product's cores of summaries, functions and their journal, between simulated disk and sessions.

use super::fog_disk::Disk;
use super::messages::{Batch, FromController, FromVehicle, Up};
use bytes::Bytes;
use ed25519_dalek::{SigningKey, VerifyingKey};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use voltmesh_battery::pack::PackSample;
use voltmesh_control::{CLOCK_TOLERANCE_MS, CommandAnswer, FunctionReport, Order, Summaries, Work};
use voltmesh_fog::functions::journal::{self, Journal, Leaving};
use voltmesh_fog::functions::{Watch, decode};
use voltmesh_function::{Host, Input, Manager, Output, Settings};
use voltmesh_telemetry::{Digest, Sample, Timestamp, VehicleId};

/// Bytes of the journal: some thousand events and snapshots.
const JOURNAL_BYTES: u64 = 8 << 20;
/// Vehicles that a node follows.
const VEHICLES: usize = 64;
/// Reports that wait while the controller is away.
const MAX_REPORTS: usize = 4_096;
/// Messages to the controller that are not acknowledged.
const WINDOW: usize = 32;

/// Requests of a fog node to those around it.
#[derive(Debug)]
pub enum FogOutput {
    /// Entries below this position will be durable, of this life.
    Append {
        /// The position.
        end: u64,
    },
    /// A signed command for a vehicle.
    Command {
        /// Which.
        vehicle: VehicleId,
        /// The message.
        message: Bytes,
    },
}

/// State of its process, which is gone when the process ends.
struct Process {
    manager: Manager,
    watch: Watch,
    journal: Journal,
    /// Vehicles with a function here.
    acting: BTreeSet<VehicleId>,
    outbox: VecDeque<Bytes>,
    /// Sent and not acknowledged, in order.
    unacknowledged: VecDeque<Up>,
    summaries: Option<Bytes>,
    /// Next position whose event is to be sent.
    cursor: u64,
    term: u32,
}

/// One fog node.
pub struct FogNode {
    /// Its name.
    pub name: String,
    key: SigningKey,
    controllers: Vec<VerifyingKey>,
    publishers: Vec<VerifyingKey>,
    host: Arc<Host>,
    disk: Disk,
    process: Option<Process>,
    /// Counts starts: what an earlier process was promised is void.
    pub life: u64,
    /// Number of the session with the controller, while there is one.
    pub link: Option<u64>,
    /// Calls of functions that failed, over all lives.
    pub failures: u64,
    most_instances: u32,
}

impl FogNode {
    /// A node that runs nothing yet, and has room for so many functions.
    pub fn new(
        name: String,
        key: SigningKey,
        controllers: Vec<VerifyingKey>,
        publishers: Vec<VerifyingKey>,
        host: Arc<Host>,
        most_instances: u32,
    ) -> Self {
        Self {
            name,
            key,
            controllers,
            publishers,
            host,
            disk: Disk::default(),
            process: None,
            life: 0,
            link: None,
            failures: 0,
            most_instances,
        }
    }

    /// Whether its process runs.
    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// The process starts with what is on disk.
    ///
    /// # Errors
    /// Why functions cannot run.
    pub fn start(&mut self, now: Timestamp) -> Result<Vec<FogOutput>, String> {
        let settings = Settings {
            fog: self.name.clone(),
            fog_key: self.key.verifying_key().to_bytes(),
            controllers: self.controllers.clone(),
            publishers: self.publishers.clone(),
            withdrawn: BTreeSet::new(),
            capabilities: BTreeSet::new(),
            most_instances: self.most_instances,
        };
        let manager = Manager::with_host(settings, self.host.clone())?;
        let mut journal = Journal::new(self.disk.end, JOURNAL_BYTES);
        for (position, entry) in &self.disk.entries {
            journal.restore(*position, entry);
        }
        let restored = journal.restored(self.disk.end);
        let term = restored.iter().map(|(snapshot, _)| snapshot.order.0.max(snapshot.epoch.0)).max();
        self.life += 1;
        let known = self.disk.known.max(journal.start());
        self.process = Some(Process {
            manager,
            watch: Watch::new(VEHICLES),
            journal,
            acting: BTreeSet::new(),
            outbox: VecDeque::new(),
            unacknowledged: VecDeque::new(),
            summaries: None,
            cursor: known,
            term: term.unwrap_or_default(),
        });
        let mut out = Vec::new();
        self.keep(now, journal::Input::Told(known), &mut out);
        for (snapshot, kept) in restored {
            self.manage(now, Input::Restore { snapshot, kept }, &mut out);
        }
        for package in self.disk.packages.values().cloned().collect::<Vec<_>>() {
            self.manage(now, Input::Release(package), &mut out);
        }
        self.look();
        Ok(out)
    }

    /// The process is killed: what was not durable is lost.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            self.failures += process.manager.counters().failures;
        }
        self.link = None;
        self.disk.cut();
    }

    /// A vehicle's session begins or ends.
    pub fn session(&mut self, now: Timestamp, vehicle: &VehicleId, begun: bool) {
        if let Some(process) = &mut self.process {
            process.watch.session(now, vehicle, begun);
            if begun {
                process.watch.round_trip(vehicle, 5_000);
            }
        }
    }

    /// Something of a vehicle.
    pub fn vehicle(&mut self, now: Timestamp, vehicle: &VehicleId, message: FromVehicle) -> Vec<FogOutput> {
        let mut out = Vec::new();
        match message {
            FromVehicle::Batch(batch) => self.batch(now, vehicle, &batch, &mut out),
            FromVehicle::Answer(json) => {
                if let Ok(answer) = serde_json::from_slice::<CommandAnswer>(&json) {
                    self.manage(now, Input::Answer { vehicle: vehicle.clone(), answer }, &mut out);
                }
            }
        }
        out
    }

    fn batch(&mut self, now: Timestamp, vehicle: &VehicleId, batch: &Batch, out: &mut Vec<FogOutput>) {
        let Some(process) = &mut self.process else { return };
        if !process.watch.boot(now, vehicle, batch.boot) {
            return;
        }
        let latest = now.plus_millis(CLOCK_TOLERANCE_MS);
        let acts = process.acting.contains(vehicle);
        let taken = |sample: &&Sample| {
            sample.time <= latest && process.watch.sample(now, vehicle, &PackSample::from(*sample))
        };
        let fresh: Vec<_> = batch.samples.iter().filter(taken).map(decode::sample).collect();
        if acts && !fresh.is_empty() {
            self.manage(now, Input::Samples { vehicle: vehicle.clone(), samples: fresh }, out);
        }
        let Some(report) = batch.report.as_ref().and_then(|json| decode::report(json).ok()) else { return };
        let Some(process) = &mut self.process else { return };
        process.watch.report(now, vehicle, &report);
        if let Some(said) = report.said.filter(|_| acts) {
            self.manage(now, Input::Report { vehicle: vehicle.clone(), report: said.report() }, out);
        }
    }

    /// A session with the controller begins: the first reports of it go before all that wait.
    pub fn connected(&mut self, session: u64) {
        let Some(process) = &mut self.process else { return };
        self.link = Some(session);
        let key = hex::encode(self.key.verifying_key().as_bytes());
        let ready = FunctionReport::Ready { key, term: process.term };
        let running = FunctionReport::Running { instances: process.manager.running() };
        for report in [running, ready] {
            if let Ok(bytes) = report.encode() {
                process.outbox.push_front(bytes.into());
            }
        }
    }

    /// It ends: what was not acknowledged is sent again in the next one.
    pub fn disconnected(&mut self) {
        self.link = None;
        let Some(process) = &mut self.process else { return };
        process.summaries = None;
        for sent in std::mem::take(&mut process.unacknowledged).into_iter().rev() {
            match sent {
                Up::Report(bytes) => process.outbox.push_front(bytes),
                Up::Event(position, _) => process.cursor = process.cursor.min(position),
                Up::Summaries(_) => {}
            }
        }
    }

    /// What is to be sent to the controller next.
    pub fn next_up(&mut self) -> Option<Up> {
        self.link?;
        let process = self.process.as_mut()?;
        if process.unacknowledged.len() >= WINDOW {
            return None;
        }
        let up = if let Some(report) = process.outbox.pop_front() {
            Up::Report(report)
        } else if let Some((position, event)) = self.disk.next_event(&mut process.cursor) {
            Up::Event(position, event)
        } else {
            Up::Summaries(process.summaries.take()?)
        };
        process.unacknowledged.push_back(up.clone());
        Some(up)
    }

    /// The controller has what was sent first.
    pub fn acknowledged(&mut self, now: Timestamp) -> Vec<FogOutput> {
        let mut out = Vec::new();
        let Some(process) = &mut self.process else { return out };
        if let Some(Up::Event(position, _)) = process.unacknowledged.pop_front() {
            // Written down now and then: after a kill some events are sent again.
            if position % 8 == 7 {
                self.disk.known = position + 1;
            }
            self.keep(now, journal::Input::Told(position + 1), &mut out);
        }
        out
    }

    /// Something of the controller.
    pub fn controller(&mut self, now: Timestamp, message: FromController) -> Vec<FogOutput> {
        let mut out = Vec::new();
        let Some(process) = &mut self.process else { return out };
        match message {
            FromController::Order(bytes) => {
                let Ok(order) = Order::decode(&bytes) else { return out };
                process.term = process.term.max(order.term);
                if let Work::Run { vehicle, .. } = &order.work {
                    process.acting.insert(vehicle.clone());
                }
                self.manage(now, Input::Order(order), &mut out);
            }
            FromController::Release(package) => {
                let refused = process.manager.counters().refused_releases;
                self.manage(now, Input::Release(package.clone()), &mut out);
                if self.process.as_ref().is_some_and(|p| p.manager.counters().refused_releases == refused) {
                    self.disk.packages.insert(Digest::of(&package), package);
                }
                self.look();
            }
        }
        out
    }

    /// Entries below this position are durable.
    pub fn durable(&mut self, now: Timestamp, end: u64) -> Vec<FogOutput> {
        let mut out = Vec::new();
        self.disk.sync(end);
        self.keep(now, journal::Input::Durable(end), &mut out);
        out
    }

    /// When time makes something due.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.process.as_ref()?.manager.deadline()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Timestamp) -> Vec<FogOutput> {
        let mut out = Vec::new();
        self.manage(now, Input::Tick, &mut out);
        out
    }

    /// Once a second: summaries of the vehicles.
    pub fn second(&mut self, now: Timestamp) {
        self.look();
        let linked = self.link.is_some();
        let Some(process) = &mut self.process else { return };
        let vehicles = process.watch.second(now);
        let summaries = Summaries { at_ms: now.as_millis(), room: process.manager.room(), vehicles };
        process.summaries = summaries.encode().ok().map(Bytes::from).filter(|_| linked);
    }

    /// Every event that is on disk and durable, by position.
    pub fn events(&self) -> impl Iterator<Item = (u64, Box<voltmesh_control::FunctionEvent>)> + '_ {
        self.disk.events()
    }

    /// Everything that runs here.
    pub fn running(&self) -> Vec<voltmesh_control::Instance> {
        self.process.as_ref().map(|process| process.manager.running()).unwrap_or_default()
    }

    /// Calls that failed since the beginning.
    pub fn failed_calls(&self) -> u64 {
        self.failures + self.process.as_ref().map_or(0, |process| process.manager.counters().failures)
    }

    fn look(&mut self) {
        if let Some(process) = &mut self.process {
            process.acting = process.manager.running().into_iter().map(|one| one.vehicle).collect();
        }
    }

    fn manage(&mut self, now: Timestamp, input: Input, out: &mut Vec<FogOutput>) {
        let Some(process) = &mut self.process else { return };
        for output in process.manager.handle(now, input) {
            match output {
                Output::Keep { sequence, event } => {
                    self.keep(now, journal::Input::Keep { sequence, event: Box::new(event) }, out);
                }
                Output::Persist(snapshot) => self.keep(now, journal::Input::Persist(snapshot), out),
                Output::Command { after, command, lease, function } => {
                    let leaving = Box::new(Leaving { command, lease, function, arrived_us: None });
                    self.keep(now, journal::Input::Command { after, leaving }, out);
                }
                Output::Tell(report) => {
                    let Some(process) = &mut self.process else { return };
                    if let Ok(bytes) = report.encode() {
                        if process.outbox.len() >= MAX_REPORTS {
                            process.outbox.pop_front();
                        }
                        process.outbox.push_back(bytes.into());
                    }
                }
                Output::Metrics { .. } => {}
                Output::Warn(text) => tracing::debug!(fog = %self.name, "{text}"),
            }
        }
    }

    fn keep(&mut self, now: Timestamp, input: journal::Input, out: &mut Vec<FogOutput>) {
        let Some(process) = &mut self.process else { return };
        for output in process.journal.handle(now, input) {
            match output {
                journal::Output::Append(bytes) => {
                    out.push(FogOutput::Append { end: self.disk.append(bytes) });
                }
                journal::Output::Kept(through) => self.manage(now, Input::Kept { through }, out),
                journal::Output::Send(leaving) => {
                    let Leaving { command, lease, .. } = *leaving;
                    let message = command.sign(&self.name, &lease, &self.key).into();
                    out.push(FogOutput::Command { vehicle: command.vehicle, message });
                }
                journal::Output::GivenUp(leaving) => {
                    tracing::debug!(fog = %self.name, function = leaving.function, "a command is given up");
                }
                journal::Output::Release(from, to) => {
                    self.disk.release(from, to);
                }
            }
        }
    }
}
