//! What a message on the command topic comes to: whether its sender may, whether it comes in order, whether it makes sense.

use super::core::{Answered, Commands, Effect, shortened};
use super::fences::{MAX_FUNCTIONS, Place};
use super::held::HeldCommand;
use super::refusal::Refusal;
use voltmesh_control::{
    Action, CLOCK_TOLERANCE_MS, Command, CommandAnswer, Error as ControlError, Lease, Outcome,
};
use voltmesh_telemetry::{Digest, Error as MessageError, Timestamp};

impl Commands {
    /// A message on the vehicle's command topic.
    pub fn take(&mut self, now: Timestamp, message: &[u8]) -> Vec<Effect> {
        let mut out = Vec::new();
        self.turn(now, &mut out);
        if !self.arrivals.take(self.elapsed) {
            self.counters.flooded += 1;
            self.say(
                "commands_flooded",
                || "commands come faster than they are looked at: most are dropped".into(),
                &mut out,
            );
            return out;
        }
        if let Err(refusal) = self.judge(message, &mut out) {
            // Whom to tell: what the message says of itself, as far as it can be read.
            let claimed = Command::peek(message).ok();
            self.refuse(&refusal, claimed.as_ref().map(|(command, lease)| (lease, command.number)), &mut out);
        }
        out
    }

    /// Takes a command whose sender may give it; an error for one whose sender may not, or cannot be known.
    fn judge(&mut self, message: &[u8], out: &mut Vec<Effect>) -> Result<(), Refusal> {
        if let Some(refusal) = self.refuses_all() {
            return Err(refusal);
        }
        let (command, lease) = Command::verify(message, &self.rules.controllers).map_err(refusal_of)?;
        if lease.vehicle != self.rules.vehicle {
            return Err(Refusal::Vehicle(lease.vehicle.to_string()));
        }
        let digest = Digest::of(message);
        match self.fences.pass(&lease.function, lease.epoch, command.number) {
            Place::Fenced { newest } => return Err(Refusal::Fenced { lease: lease.epoch, newest }),
            Place::Full => return Err(Refusal::Functions(MAX_FUNCTIONS)),
            Place::Seen { last } => {
                let again = self.answered.get(&lease.function).filter(|last| last.message == digest);
                let Some(again) = again else {
                    return Err(Refusal::Replayed { number: command.number, last });
                };
                // QoS 1 may deliver twice: the same message has the same answer.
                out.extend(again.answer.clone().map(Effect::Answer));
                self.counters.again += 1;
                return Ok(());
            }
            Place::Next { raised } => {
                if raised {
                    self.end_older(&lease, out);
                }
            }
        }
        self.answered.insert(lease.function.clone(), Answered { message: digest, answer: None });
        let number = command.number;
        match self.admit(&command, &lease) {
            Ok(()) => {
                self.order += 1;
                let held = HeldCommand::new(command, &lease, self.now, self.elapsed, self.order);
                self.save(Some(held), out);
            }
            Err(refusal) => {
                // Its number is taken, or its lease is new: that is remembered, too.
                self.save(None, out);
                self.refuse(&refusal, Some((&lease, number)), out);
            }
        }
        Ok(())
    }

    /// Whether a genuine command may come into force.
    fn admit(&mut self, command: &Command, lease: &Lease) -> Result<(), Refusal> {
        let ahead = command.issued.millis_since(self.now);
        if ahead > CLOCK_TOLERANCE_MS {
            return Err(Refusal::Ahead(ahead));
        }
        for (what, end) in [("it", command.expires), ("its lease", lease.until)] {
            if self.now >= end {
                return Err(Refusal::Expired { what, ago_ms: self.now.millis_since(end) });
            }
        }
        if command.action != Action::StopCharging && !self.pace.take(self.elapsed) {
            return Err(Refusal::Rate(self.rules.max_per_minute));
        }
        if !self.rules.obeys.contains(&command.action.kind()) {
            return Err(Refusal::Unable);
        }
        lease.allowed.admit(&command.action).map_err(Refusal::Bounds)?;
        self.rules.nameplate.check(&command.action).map_err(Refusal::Bounds)
    }

    fn refuse(&mut self, refusal: &Refusal, asked: Option<(&Lease, u64)>, out: &mut Vec<Effect>) {
        self.counters.refuse(refusal);
        let by = asked.map_or_else(|| "unknown sender".to_owned(), |(lease, _)| lease.function.clone());
        if let Some((lease, number)) = asked {
            let answer = CommandAnswer {
                function: lease.function.clone(),
                epoch: (lease.epoch.term, lease.epoch.count),
                number,
                at_ms: self.now.as_millis(),
                outcome: Outcome::Refused { reason: shortened(refusal.to_string()) },
            };
            // What never passed the fence does not replace the answer of what did.
            let passed = !matches!(
                refusal,
                Refusal::Unconfigured
                    | Refusal::Unreadable(_)
                    | Refusal::Malformed(_)
                    | Refusal::Forged(_)
                    | Refusal::Vehicle(_)
                    | Refusal::Fenced { .. }
                    | Refusal::Replayed { .. }
                    | Refusal::Functions(_)
            );
            if passed {
                self.answer(answer, out);
            } else {
                out.push(Effect::Answer(answer));
            }
        }
        self.say(refusal.counter(), || format!("a command ({by}) is refused: {refusal}"), out);
    }
}

/// What was wrong with a message that is no genuine command.
fn refusal_of(error: ControlError) -> Refusal {
    match error {
        ControlError::Untrusted { .. }
        | ControlError::Message(MessageError::Signature { .. } | MessageError::Key { .. }) => {
            Refusal::Forged(error.to_string())
        }
        _ => Refusal::Malformed(error.to_string()),
    }
}
