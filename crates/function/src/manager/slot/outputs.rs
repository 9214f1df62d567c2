//! What a function says and asks, and what vehicles answer.

use super::{
    COMMANDS, EVENTS, MAX_WAITING, Slot,
    sent::{Awaited, MAX_SENT},
};
use crate::{
    bindings::voltmesh::function::types::{Applied, Feedback},
    host::{Answer, Asked, Failure, HOST_KINDS, in_units},
    manager::{Output, node::Node},
};
use voltmesh_control::{Action, Command, CommandAnswer, FunctionEvent, Outcome, Severity};
use voltmesh_telemetry::Timestamp;

/// Numbers of commands that are reserved at once: 8 min at most. After a crash the next one begins behind them.
const RESERVED: u64 = 1_024;

impl Slot {
    /// Whether the rates allow an answer.
    pub fn admit(&mut self, now: Timestamp, answer: Answer) -> Result<Answer, Failure> {
        let flood = |what: &str, (burst, rate): (u64, u64)| {
            Failure::Bounds(format!("more than {burst} {what} at once or {rate} a second for long"))
        };
        if !answer.events.is_empty() && !self.events.take(now, answer.events.len()) {
            return Err(flood("events", EVENTS));
        }
        if !answer.commands.is_empty() && !self.commands.take(now, answer.commands.len()) {
            return Err(flood("commands", COMMANDS));
        }
        Ok(answer)
    }

    /// Events first, then commands, then the state that knows of both.
    pub fn carry_out(&mut self, node: &mut Node, answer: Answer, export: bool) {
        let acted = !answer.events.is_empty() || !answer.commands.is_empty();
        for said in answer.events {
            self.say(node, said.kind, said.severity, said.text, said.figures);
        }
        for asked in answer.commands {
            self.ask(node, asked);
        }
        if !answer.metrics.is_empty() {
            node.out.push(Output::Metrics {
                vehicle: self.lease.vehicle.clone(),
                function: self.lease.function.clone(),
                values: answer.metrics,
            });
        }
        if acted || export {
            self.export(node, acted);
        }
    }

    pub(super) fn say(
        &mut self,
        node: &mut Node,
        kind: String,
        severity: Severity,
        text: String,
        figures: Vec<(String, f64)>,
    ) {
        let event = FunctionEvent {
            vehicle: self.lease.vehicle.clone(),
            function: self.lease.function.clone(),
            release: self.placed.component.digest,
            epoch: self.epoch(),
            number: self.next_event,
            at_ms: node.now.as_millis(),
            kind,
            severity,
            text,
            figures,
        };
        self.next_event += 1;
        self.last_sequence = node.keep(event);
    }

    /// What the host says of a function, among the function's own events.
    pub fn say_of(&mut self, node: &mut Node, kind: &str, text: String) {
        let text = text.chars().filter(|c| !c.is_control()).take(256).collect();
        self.say(node, format!("{HOST_KINDS}{kind}"), Severity::Warning, text, Vec::new());
    }

    /// A command of the function, if its lease and the node's share allow it.
    pub(super) fn ask(&mut self, node: &mut Node, asked: Asked) {
        match self.may_ask(node, &asked.action) {
            Ok(()) => self.command(node, asked),
            Err(why) => {
                let number = self.command_number(node);
                self.deny(node, number, why);
            }
        }
    }

    fn command_number(&mut self, node: &mut Node) -> u64 {
        let number = self.next_command;
        self.next_command += 1;
        if self.next_command > self.reserved {
            self.reserved = self.next_command + RESERVED;
            self.persist(node);
        }
        number
    }

    /// A command whatever the rates: what ends a command must not wait for room.
    pub(super) fn command(&mut self, node: &mut Node, asked: Asked) {
        let number = self.command_number(node);
        // A lease that ends sooner ends its commands.
        let expires = node.now.plus_millis(asked.valid_ms).min(self.lease.until);
        let kind = asked.action.kind();
        for sent in self.sent.values_mut().filter(|sent| sent.action.kind() == kind) {
            sent.replaced = true;
        }
        if self.sent.len() >= MAX_SENT {
            self.sent.pop_first();
        }
        let awaited = Awaited {
            action: asked.action.clone(),
            epoch: self.epoch(),
            expires,
            replaced: false,
            answered: false,
        };
        self.sent.insert(number, awaited);
        let command = Command {
            vehicle: self.lease.vehicle.clone(),
            number,
            issued: node.now,
            expires,
            action: asked.action,
            reason: asked.reason,
        };
        node.command(self.last_sequence, command, &self.lease_bytes, &self.lease.function);
    }

    /// What a vehicle answered.
    pub fn answered(&mut self, node: &mut Node, answer: &CommandAnswer) {
        let number = answer.number;
        let Some(sent) = self.sent.get_mut(&number).filter(|sent| sent.epoch == answer.epoch) else { return };
        let feedback = match &answer.outcome {
            Outcome::Expired => {
                let replaced = sent.replaced;
                self.sent.remove(&number);
                (!replaced).then_some(Feedback::Expired(number))
            }
            _ if sent.answered => None,
            Outcome::Applied { value, .. } => {
                sent.answered = true;
                let value = value.map(|value| in_units(&sent.action, value));
                Some(Feedback::Applied(Applied { number, refused: None, value }))
            }
            Outcome::Refused { reason } => {
                self.sent.remove(&number);
                let reason = reason.chars().take(256).collect();
                Some(Feedback::Applied(Applied { number, refused: Some(reason), value: None }))
            }
        };
        if let Some(feedback) = feedback {
            self.feedback(node, feedback);
        }
    }

    /// Whether the lease and the node's share of the fleet's commands allow one more.
    fn may_ask(&mut self, node: &mut Node, action: &Action) -> Result<(), String> {
        self.lease.allowed.admit(action)?;
        if !self.allowed.take(node.now, 1) {
            let most = self.lease.allowed.commands_per_min;
            return Err(format!("its lease allows {most} commands a minute"));
        }
        if !node.may_command() {
            let share = node.fleet.per_min;
            return Err(format!("this node's share of the fleet's commands is {share} a minute"));
        }
        Ok(())
    }

    /// A command that is not sent: the function hears of it with its next call, as of the vehicle's refusals.
    fn deny(&mut self, node: &mut Node, number: u64, why: String) {
        node.counters.refused_commands += 1;
        let who = self.who();
        node.warn(format!("{who}: a command is not sent: {why}"));
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push(Feedback::Applied(Applied { number, refused: Some(why), value: None }));
        }
    }
}
