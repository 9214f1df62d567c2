//! Decisions: their records, what came of them, and what is learned of it.

use voltmesh_telemetry::{Timestamp, VehicleId};

use super::Controller;
use super::plan::Target;
use super::state::{Assignment, Change, Key};
use super::vehicle::Trial;
use super::vocabulary::Output;
use crate::Condition;
use crate::assess;
use crate::decisions::learning::{Adaptation, Step};
use crate::decisions::{Alternative, Choice, Draft, Effect, Inputs, Outcome, Who};
use crate::policy::Reason;

/// Time in ms that a function is given for its condition to end: longer than cooling or balancing takes to show.
pub const TRIAL_MS: u64 = 900_000;
/// Rule that decisions name which learning has taken.
pub(super) const LEARNED: &str = "learning";

impl Controller {
    /// Records that a function is to run for a vehicle. Number of the decision.
    pub(super) fn decide_run(
        &mut self,
        now: Timestamp,
        key: &Key,
        target: &Target,
        out: &mut Vec<Output>,
    ) -> Option<u64> {
        let others = self.costs(now, &key.0, &key.1).into_iter().filter(|(fog, _)| *fog != target.fog);
        let node = |fog: String| Choice::Run { function: key.1.clone(), node: fog };
        let alternatives = others
            .map(|(fog, cost)| Alternative { what: node(fog), cost, why_not: why_not(cost) })
            .chain([Alternative {
                what: Choice::Nothing,
                cost: None,
                why_not: "the condition would go on by itself".to_owned(),
            }])
            .collect();
        let round_trip = self.vehicles.get(&key.0).and_then(|vehicle| vehicle.sights.get(&target.fog));
        let round_trip_ms =
            round_trip.and_then(|sight| sight.round_trip_us).map(|microseconds| microseconds as f64 / 1e3);
        let draft = Draft {
            vehicle: Some(key.0.clone()),
            inputs: self.inputs(&key.0, &target.reasons),
            rule: rule(&target.reasons),
            alternatives,
            chosen: node(target.fog.clone()),
            cost: target.cost,
            expected: Effect {
                condition_ends: target
                    .reasons
                    .iter()
                    .any(|reason| reason.condition.is_some())
                    .then_some(true),
                round_trip_ms,
                ..Effect::default()
            },
            may_undo: vec![Who::Operator, Who::Controller],
        };
        Some(self.decide(now, draft, out))
    }

    /// Records that a function is to run elsewhere.
    pub(super) fn decide_move(
        &mut self,
        now: Timestamp,
        key: &Key,
        assignment: &Assignment,
        target: &Target,
        why: &str,
        out: &mut Vec<Output>,
    ) {
        let others = self.costs(now, &key.0, &key.1).into_iter().filter(|(fog, _)| *fog != target.fog);
        let to = |to: String| Choice::Move { function: key.1.clone(), from: assignment.fog.clone(), to };
        let draft = Draft {
            vehicle: Some(key.0.clone()),
            inputs: self.inputs(&key.0, &target.reasons),
            rule: why.to_owned(),
            alternatives: others
                .map(|(fog, cost)| Alternative { what: to(fog), cost, why_not: why_not(cost) })
                .collect(),
            chosen: to(target.fog.clone()),
            cost: target.cost,
            expected: Effect::default(),
            // Where a vehicle's session is, nobody can undo.
            may_undo: Vec::new(),
        };
        self.decide(now, draft, out);
    }

    /// Records that a function is to end.
    pub(super) fn decide_end(
        &mut self,
        now: Timestamp,
        key: &Key,
        assignment: &Assignment,
        why: &str,
        out: &mut Vec<Output>,
    ) {
        let draft = Draft {
            vehicle: Some(key.0.clone()),
            inputs: Inputs::default(),
            rule: why.to_owned(),
            alternatives: vec![Alternative {
                what: Choice::Run { function: key.1.clone(), node: assignment.fog.clone() },
                cost: None,
                why_not: why.to_owned(),
            }],
            chosen: Choice::End { function: key.1.clone() },
            cost: None,
            expected: Effect::default(),
            may_undo: Vec::new(),
        };
        self.decide(now, draft, out);
    }

    fn decide(&mut self, now: Timestamp, draft: Draft, out: &mut Vec<Output>) -> u64 {
        self.counters.decisions += 1;
        let decision = self.log.record(now, draft).clone();
        let number = decision.number;
        self.change(Change::Decided { decision: Box::new(decision) }, out);
        number
    }

    /// What a decision for these reasons is made of: the summary in which the condition began.
    fn inputs(&self, id: &VehicleId, reasons: &[Reason]) -> Inputs {
        let condition = reasons.iter().find_map(|reason| reason.condition);
        let begun = condition.and_then(|condition| self.vehicles.get(id)?.begun.get(&condition));
        begun.map(Inputs::from).unwrap_or_default()
    }

    /// A function that begins to run for a condition is on trial.
    pub(super) fn try_for_condition(&mut self, now: Timestamp, key: &Key) {
        let wanted = self.wanted(now, &key.0).into_iter().find(|wanted| wanted.function == key.1);
        let condition = wanted.and_then(|wanted| wanted.reasons.iter().find_map(|reason| reason.condition));
        if let Some(condition) = condition {
            self.tried.entry(key.clone()).or_insert(Trial { condition, since: now });
        }
    }

    /// A condition has begun or ended: what ran for it has helped, and what an operator took from the vehicle for its time may
    /// come back.
    pub(super) fn learn_from_condition(
        &mut self,
        now: Timestamp,
        change: &assess::Change,
        out: &mut Vec<Output>,
    ) {
        if let Some(vehicle) = self.vehicles.get_mut(&change.vehicle) {
            if change.over {
                vehicle.begun.remove(&change.condition);
            } else {
                vehicle.begun.insert(change.condition, change.clone());
            }
        }
        let active = self.assessor.active(&change.vehicle);
        if !change.over || active.iter().any(|other| other.condition == change.condition) {
            return;
        }
        let of = |(key, trial): (&Key, &Trial)| {
            (key.0 == change.vehicle && trial.condition == change.condition).then(|| (key.clone(), *trial))
        };
        let helped: Vec<(Key, Trial)> = self.tried.iter().filter_map(of).collect();
        for (key, trial) in helped {
            self.tried.remove(&key);
            let after_s = now.as_millis().saturating_sub(trial.since.as_millis()) as f64 / 1e3;
            self.outcome(now, &key, trial.condition, Some(after_s), out);
        }
        let withheld = self.kept.withheld.get(&change.vehicle).cloned().unwrap_or_default();
        for (function, decision) in withheld {
            let of = self.log.get(decision).and_then(|decision| decision.inputs.condition);
            if of == Some(change.condition) {
                self.change(Change::Granted { vehicle: change.vehicle.clone(), function }, out);
            }
        }
    }

    /// Trials whose time is over have not helped.
    pub(super) fn look_at_trials(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let over = |trial: &Trial| now.as_millis() >= trial.since.as_millis() + TRIAL_MS;
        let over: Vec<(Key, Trial)> = self
            .tried
            .iter()
            .filter(|(_, trial)| over(trial))
            .map(|(key, trial)| (key.clone(), *trial))
            .collect();
        for (key, trial) in over {
            self.tried.insert(key.clone(), Trial { since: now, ..trial });
            self.outcome(now, &key, trial.condition, None, out);
        }
    }

    fn outcome(
        &mut self,
        now: Timestamp,
        key: &Key,
        condition: Condition,
        ended_after_s: Option<f64>,
        out: &mut Vec<Output>,
    ) {
        let number = self.kept.assignment(&key.0, &key.1).and_then(|assignment| assignment.decision);
        if let Some(number) = number {
            let effect = Effect {
                condition_ends: Some(ended_after_s.is_some()),
                after_s: ended_after_s,
                ..Effect::default()
            };
            if self.log.feedback(number, &effect)
                && let Some(decision) = self.log.get(number).cloned()
            {
                self.change(Change::Decided { decision: Box::new(decision) }, out);
            }
        }
        let outcome = Outcome {
            vehicle: key.0.clone(),
            function: key.1.clone(),
            condition,
            ended_after_s,
            charge_min: 0.0,
            energy_kwh: 0.0,
        };
        self.learned = true;
        if let Some(step) = self.learning.outcome(&self.policy, &outcome) {
            self.decide_step(now, &step, condition, out);
            self.keep_learning(out);
            self.changed.insert(key.0.clone());
        }
    }

    fn decide_step(&mut self, now: Timestamp, step: &Step, condition: Condition, out: &mut Vec<Output>) {
        let function = step.function.clone();
        let chosen = match &step.adaptation {
            Adaptation::Strength { from, to } => {
                Choice::Tune { function, from: *from, to: *to, values: Vec::new() }
            }
            Adaptation::Replaced { by } => Choice::Replace { function, by: by.clone() },
            Adaptation::Withdrawn => Choice::End { function },
        };
        let draft = Draft {
            vehicle: Some(step.vehicle.clone()),
            inputs: Inputs { condition: Some(condition), ..Inputs::default() },
            rule: LEARNED.to_owned(),
            alternatives: vec![Alternative {
                what: Choice::Nothing,
                cost: None,
                why_not: format!(
                    "of {} outcomes {} did not end the condition",
                    step.evidence.outcomes(),
                    step.evidence.failed
                ),
            }],
            chosen,
            cost: None,
            expected: Effect { condition_ends: Some(true), ..Effect::default() },
            may_undo: vec![Who::Operator],
        };
        self.decide(now, draft, out);
    }

    /// Has what is learned persisted.
    pub(super) fn keep_learning(&mut self, out: &mut Vec<Output>) {
        if std::mem::take(&mut self.learned) {
            let learning = Box::new(self.learning.clone());
            self.change(Change::Learned { learning }, out);
        }
    }
}

fn rule(reasons: &[Reason]) -> String {
    let first = reasons.first();
    first.map_or_else(String::new, |reason| match &reason.rule {
        Some(rule) => format!("policy `{}`, rule `{rule}`", reason.entry),
        None => format!("policy `{}`", reason.entry),
    })
}

fn why_not(cost: Option<u64>) -> String {
    match cost {
        Some(_) => "it costs more there".to_owned(),
        None => "there is no room there, or not what it needs".to_owned(),
    }
}
