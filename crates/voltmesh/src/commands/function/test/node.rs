//! A fog node with one vehicle and one function, without network and disk: the manager and host that run functions.

use std::collections::BTreeSet;

use anyhow::{Context as _, Error, Result, bail, ensure};
use ed25519_dalek::SigningKey;
use serde_json::Value;
use voltmesh_battery::Twin;
use voltmesh_control::{
    Allowed, Command, CommandAnswer, Epoch, FleetShare, FunctionReport, Lease, Order, Outcome, Work,
};
use voltmesh_function::{Estimate, Input, Manager, Manifest, Output, Package, Report, Settings};
use voltmesh_telemetry::{Digest, Timestamp, VehicleId};

use super::expected::{Said, value_of};
use super::recording::Recorded;
use super::replayed::Replayed;
use crate::args::ConditionSpan;

/// Name of the node and of its controller.
const NODE: &str = "offline";
/// Name of the publisher.
const PUBLISHER: &str = "offline";
/// Longest recording in ms: ten years.
const MOST_MS: u64 = 315_360_000_000;

/// The node.
pub struct Node {
    manager: Manager,
    vehicle: VehicleId,
    function: String,
    package: Vec<u8>,
    release: Digest,
    configuration: Value,
    controller: SigningKey,
    fog_key: [u8; 32],
    orders: u64,
    /// Answers that the vehicle gives with the next second.
    answers: Vec<CommandAnswer>,
    replayed: Replayed,
}

impl Node {
    /// A node that has nothing yet. Its keys sign what stays in this process.
    pub fn new(manifest: &Manifest, component: &[u8], configuration: Value) -> Result<Self> {
        let [controller, fog, publisher] = [1, 2, 3].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        let package = Package::sign(manifest, component, PUBLISHER, &publisher)?;
        let manager = Manager::new(Settings {
            fog: NODE.to_owned(),
            fog_key: fog.verifying_key().to_bytes(),
            controllers: vec![controller.verifying_key()],
            publishers: vec![publisher.verifying_key()],
            withdrawn: BTreeSet::new(),
            capabilities: manifest.capabilities.iter().cloned().collect(),
            most_instances: 1,
        })
        .map_err(Error::msg)?;
        Ok(Self {
            manager,
            vehicle: "recorded".parse()?,
            function: manifest.name.clone(),
            package,
            release: Digest::of(component),
            configuration,
            controller,
            fog_key: fog.verifying_key().to_bytes(),
            orders: 0,
            answers: Vec::new(),
            replayed: Replayed::default(),
        })
    }

    /// Gives a recording second by second, as batches of a vehicle come; says what the function said of it.
    pub fn replay(
        &mut self,
        recorded: Recorded,
        mut twin: Twin,
        conditions: &[ConditionSpan],
        said: &mut Vec<Said>,
    ) -> Result<Replayed> {
        let Recorded { log, samples, begin_ms } = recorded;
        let end_ms = samples.last().map_or(begin_ms, |sample| sample.time_ms);
        ensure!(end_ms - begin_ms <= MOST_MS, "{}: its clock goes over more than ten years", log.name);
        self.replayed.file.clone_from(&log.name);
        self.replayed.samples = samples.len();
        self.replayed.seconds = (end_ms - begin_ms) as f64 / 1_000.0;
        let from = said.len();
        self.begin(begin_ms, end_ms, said)?;
        let mut conditions: Vec<(u64, &str, bool)> = conditions
            .iter()
            .flat_map(|span| {
                let at = |s: f64| begin_ms + (s * 1_000.0) as u64;
                [(at(span.from_s), span.name.as_str(), true), (at(span.to_s), span.name.as_str(), false)]
            })
            .collect();
        conditions.sort_by_key(|(at_ms, ..)| *at_ms);
        let mut conditions = conditions.into_iter().peekable();
        let (mut second, mut batch) = (begin_ms / 1_000, Vec::new());
        for (pack, sample) in log.samples.into_iter().zip(samples) {
            let at_ms = sample.time_ms;
            if at_ms / 1_000 != second && !batch.is_empty() {
                self.batch(std::mem::take(&mut batch), &twin, said)?;
            }
            second = at_ms / 1_000;
            while let Some((_, name, active)) = conditions.next_if(|(due_ms, ..)| *due_ms <= at_ms) {
                let (vehicle, function) = (self.vehicle.clone(), self.function.clone());
                let work = Work::Condition { vehicle, function, condition: name.to_owned(), active };
                self.order(at_ms, work, said)?;
            }
            twin.update(pack);
            batch.push(sample);
        }
        if !batch.is_empty() {
            self.batch(batch, &twin, said)?;
        }
        let start_ms = begin_ms;
        for line in &mut said[from..] {
            line.file.clone_from(&log.name);
            line.at_s = (line.at_ms - start_ms.min(line.at_ms)) as f64 / 1_000.0;
        }
        self.replayed.failures = self.manager.counters().failures;
        Ok(std::mem::take(&mut self.replayed))
    }

    /// Hands over the release and orders it to run.
    fn begin(&mut self, begin_ms: u64, end_ms: u64, said: &mut Vec<Said>) -> Result<()> {
        let package = bytes::Bytes::from(self.package.clone());
        self.give(begin_ms, Input::Release(package), said)?;
        let lease = Lease {
            vehicle: self.vehicle.clone(),
            function: self.function.clone(),
            fog: NODE.to_owned(),
            fog_key: self.fog_key,
            epoch: Epoch { term: 1, count: 0 },
            until: Timestamp::from_millis(end_ms + 3_600_000),
            allowed: Allowed::everything(),
        };
        let work = Work::Run {
            vehicle: self.vehicle.clone(),
            function: self.function.clone(),
            release: self.release,
            configuration: self.configuration.clone(),
            lease: hex::encode(lease.sign(NODE, &self.controller)),
            state: None,
            fleet: FleetShare { per_min: 6_000, burst: 1_000 },
        };
        self.order(begin_ms, work, said)?;
        match self.manager.running().is_empty() {
            true => bail!("the function does not run: {}", self.replayed.warnings.join("; ")),
            false => Ok(()),
        }
    }

    fn order(&mut self, now_ms: u64, work: Work, said: &mut Vec<Said>) -> Result<()> {
        self.orders += 1;
        self.give(now_ms, Input::Order(Order { number: self.orders, term: 1, work }), said)
    }

    /// One batch, with the answers to what was commanded before it and the report that is signed beside it.
    fn batch(
        &mut self,
        samples: Vec<voltmesh_function::Sample>,
        twin: &Twin,
        said: &mut Vec<Said>,
    ) -> Result<()> {
        let Some(last_ms) = samples.last().map(|sample| sample.time_ms) else { return Ok(()) };
        for answer in std::mem::take(&mut self.answers) {
            let vehicle = self.vehicle.clone();
            self.give(last_ms, Input::Answer { vehicle, answer }, said)?;
        }
        let vehicle = self.vehicle.clone();
        self.give(last_ms, Input::Samples { vehicle, samples }, said)?;
        if let Some(report) = report(last_ms, twin) {
            let vehicle = self.vehicle.clone();
            self.give(last_ms, Input::Report { vehicle, report }, said)?;
        }
        self.give(last_ms, Input::Tick, said)
    }

    fn give(&mut self, now_ms: u64, input: Input, said: &mut Vec<Said>) -> Result<()> {
        let mut kept = None;
        for output in self.manager.handle(Timestamp::from_millis(now_ms), input) {
            match output {
                Output::Keep { sequence, event } => {
                    kept = Some(sequence);
                    self.replayed.events += 1;
                    said.push(Said::event(now_ms, &event));
                }
                Output::Command { command, .. } => {
                    self.replayed.commands += 1;
                    said.push(Said::command(now_ms, &command));
                    self.answers.push(self.answer(now_ms, &command));
                }
                Output::Tell(FunctionReport::Refused { reason, .. }) => {
                    bail!("the host refuses the function: {reason}")
                }
                Output::Tell(_) | Output::Persist(_) => {}
                Output::Metrics { values, .. } => self.replayed.metrics.extend(values),
                Output::Warn(text) => self.replayed.warnings.push(text),
            }
        }
        match kept {
            Some(through) => {
                self.give(now_ms, Input::Kept { through }, said).context("what follows from a kept event")
            }
            None => Ok(()),
        }
    }

    /// The recorded vehicle does all that it is asked for, and does not show it.
    fn answer(&self, now_ms: u64, command: &Command) -> CommandAnswer {
        let value = value_of(&command.action);
        CommandAnswer {
            function: self.function.clone(),
            epoch: (1, 0),
            number: command.number,
            at_ms: now_ms,
            outcome: Outcome::Applied { value, why_less: None },
        }
    }
}

fn report(time_ms: u64, twin: &Twin) -> Option<Report> {
    let state = twin.state()?;
    let estimate = |value, sd| Estimate { value, sd };
    Some(Report {
        time_ms,
        soc: estimate(state.soc.value, state.soc.sd),
        soc_lowest: state.soc_range.0,
        soc_highest: state.soc_range.1,
        soh_capacity: estimate(state.soh_capacity.value, state.soh_capacity.sd),
        soh_resistance: estimate(state.soh_resistance.value, state.soh_resistance.sd),
        charge_limit_a: state.limits.charge_a,
        discharge_limit_a: state.limits.discharge_a,
    })
}
