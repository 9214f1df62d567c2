//! What functions and their journal ask: entries kept, commands sent, reports told.

use std::{
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use voltmesh_control::CommandAnswer;
use voltmesh_function::{Input, Output};
use voltmesh_spool::{Error as SpoolError, Position};
use voltmesh_telemetry::VehicleId;

use super::{Runner, UNANSWERED};
use crate::{
    functions::journal::{self, Leaving},
    run::functions::{
        command::{Sent, Signed},
        figures::MAX_METRICS,
    },
};

/// Pause before a journal that takes nothing is tried again.
const FULL: Duration = Duration::from_millis(20);

impl Runner {
    /// Gives the functions an input and does what they ask. `arrived` is when the record came that it is of.
    pub(super) fn manage(&mut self, input: Input, arrived: Option<Instant>) {
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
    pub(super) fn keep(&mut self, input: journal::Input) {
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
    pub(super) fn sent(&mut self, sent: Sent) {
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

    pub(super) fn answer(&mut self, vehicle: VehicleId, answer: CommandAnswer) {
        self.counters.answers += 1;
        let key = (vehicle.clone(), answer.function.clone(), answer.number);
        if let Some(sent) = self.unanswered.remove(&key) {
            self.command_to_answer.record(sent.elapsed().as_micros() as u64);
        }
        self.manage(Input::Answer { vehicle, answer }, None);
    }
}
