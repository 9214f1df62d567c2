//! Commands in the agent: what a fog node asks, the vehicle's own limits, and the answers on their way.

use super::{Agent, Output};
use crate::commands::Effect;
use bytes::Bytes;
use voltmesh_control::CommandAnswer;
use voltmesh_telemetry::{Charger, Sample, Timestamp};

/// Answers that wait for a session; the oldest are dropped. 64 of at most 1 KiB are 64 KiB.
const MAX_ANSWERS: usize = 64;
/// How often the commands are told the vehicle's own limits, in ms: the twin's estimate takes longer than a sample.
const LIMITS_MS: u64 = 1_000;

impl Agent {
    /// A message on the vehicle's command topic. Its own limits are those of this moment.
    pub(super) fn command(&mut self, now: Timestamp, message: &Bytes, out: &mut Vec<Output>) {
        self.tell_limits(now, out);
        let effects = self.commands.take(now, message);
        self.effects(effects, out);
    }

    pub(super) fn commands_saved(&mut self, now: Timestamp, failed: Option<&str>, out: &mut Vec<Output>) {
        let effects = self.commands.saved(now, failed);
        self.effects(effects, out);
    }

    /// What time has made due: commands end.
    pub(super) fn commands_due(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        if self.commands.deadline().is_some_and(|due| now >= due) {
            let effects = self.commands.tick(now);
            self.effects(effects, out);
        }
    }

    /// What a sample says of how the battery obeys, and what it allows itself now.
    pub(super) fn obeyed(&mut self, now: Timestamp, sample: &Sample, out: &mut Vec<Output>) {
        if !self.commands.are_taken() {
            return;
        }
        if now >= self.limits_told.plus_millis(LIMITS_MS) || now < self.limits_told {
            self.tell_limits(now, out);
        }
        if let Ok(current) = sample.pack_current.to_base() {
            let charging = sample.charger == Charger::Charging;
            let effects = self.commands.measured(now, (current * 1_000.0) as i32, charging);
            self.effects(effects, out);
        }
    }

    fn tell_limits(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.limits_told = now;
        let limits = self.twin.as_ref().and_then(|twin| twin.limits_a());
        let effects = self.commands.own_limits(now, limits);
        self.effects(effects, out);
    }

    fn effects(&mut self, effects: Vec<Effect>, out: &mut Vec<Output>) {
        for effect in effects {
            match effect {
                Effect::Save { json } => out.push(Output::SaveCommands { json }),
                Effect::Obey { setpoints, own, until } => out.push(Output::Obey { setpoints, own, until }),
                Effect::Warn(message) => out.push(Output::Warn { message }),
                Effect::Answer(answer) => self.queue(&answer),
            }
        }
    }

    fn queue(&mut self, answer: &CommandAnswer) {
        // Names and texts are bounded: see `commands::core`.
        let Ok(json) = serde_json::to_vec(answer) else { return };
        if self.answers.len() >= MAX_ANSWERS {
            self.answers.pop_front();
            self.counters.answers_dropped += 1;
        }
        self.answers.push_back(json.into());
    }

    /// Answers go to the fog node in use.
    pub(super) fn send_answers(&mut self, out: &mut Vec<Output>) {
        let Some(fog) = self.links.usable() else { return };
        out.extend(self.answers.drain(..).map(|message| Output::Answer { fog, message }));
    }
}
