//! What is followed of one vehicle: a level a rule, and what it did last.

use super::change::{Active, Change, Says, says};
use super::level::{Level, Turn};
use crate::Quantity;
use crate::quantity::FLOWS_A;
use crate::rules::{Rule, Rules, Trigger, While};
use std::collections::BTreeMap;
use voltmesh_battery::Chemistry;
use voltmesh_battery::estimate::power::Uncertain;
use voltmesh_battery::summary::Summary;
use voltmesh_telemetry::{Timestamp, VehicleId};

/// Time in s between summaries after which the looks before no longer count with those after.
const BREAK_S: f64 = 10.0;

/// A vehicle that is followed.
#[derive(Debug)]
pub(super) struct Vehicle {
    /// One a rule, in the rules' order.
    levels: Vec<Level>,
    last: Option<Last>,
}

/// The newest summary of a vehicle.
#[derive(Debug, Clone, Copy)]
struct Last {
    /// In the summaries' time.
    time_s: f64,
    /// When it came.
    came: Timestamp,
    /// Whether the pack was being charged.
    charging: bool,
}

impl Vehicle {
    pub fn new(rules: usize) -> Self {
        Self { levels: vec![Level::default(); rules], last: None }
    }

    pub fn last_s(&self) -> Option<f64> {
        self.last.map(|last| last.time_s)
    }

    /// Takes a summary that is newer than the last one.
    pub fn see(
        &mut self,
        rules: &Rules,
        id: &VehicleId,
        now: Timestamp,
        chemistry: Option<Chemistry>,
        summary: &Summary,
    ) -> Vec<Change> {
        if self.last.is_some_and(|last| summary.time_s - last.time_s > BREAK_S) {
            self.levels.iter_mut().for_each(Level::forget_looks);
        }
        let charging = flows(summary, While::Charging);
        self.last = Some(Last { time_s: summary.time_s, came: now, charging });
        let mut changes = Vec::new();
        for (rule, level) in rules.iter().zip(&mut self.levels) {
            let look = Look { id, rule, at_s: summary.time_s };
            changes.extend(match rule.trigger {
                // It came: the silence is over.
                Trigger::Above { quantity: Quantity::SilenceWhileCharging, .. } => {
                    look.at(level, Uncertain { value: 0.0, sd: 0.0 }, Says::Clear)
                }
                _ if !rule.is_for(chemistry) => None,
                Trigger::Above { quantity, .. } | Trigger::Below { quantity, .. } => {
                    // What is unknown begins and ends nothing.
                    quantity.of(summary, &rules.sensors).and_then(|value| {
                        let said = says(rule, value.value, value.sd);
                        let flows = rule.while_.is_none_or(|which| flows(summary, which));
                        // Where nothing flows, what counts only meanwhile is over.
                        look.at(level, value, if flows { said } else { Says::Clear })
                    })
                }
                Trigger::Found { kind, least } if summary.estimates.is_some() => {
                    let found = summary.found.iter().any(|(found, stage)| *found == kind && *stage >= least);
                    look.found(level, found)
                }
                Trigger::Found { .. } => None,
            });
        }
        changes
    }

    /// Lets time pass.
    pub fn tick(&mut self, rules: &Rules, id: &VehicleId, now: Timestamp) -> Vec<Change> {
        let Some(last) = self.last.filter(|last| last.charging) else { return Vec::new() };
        let silent_s = now.as_millis().saturating_sub(last.came.as_millis()) as f64 / 1_000.0;
        let mut changes = Vec::new();
        for (rule, level) in rules.iter().zip(&mut self.levels) {
            let Trigger::Above { quantity: Quantity::SilenceWhileCharging, limit, .. } = rule.trigger else {
                continue;
            };
            // Ticks come as often as the caller likes: one is enough.
            if level.since_s.is_none() && silent_s > limit {
                let look = Look { id, rule, at_s: last.time_s };
                level.since_s = Some(last.time_s);
                let value = Uncertain { value: silent_s, sd: 0.0 };
                changes.push(look.change(Some(value), Some(limit), false, last.time_s));
            }
        }
        changes
    }

    /// Goes on by other rules.
    pub fn take_over(&mut self, old: &Rules, new: &Rules) {
        let mut before: BTreeMap<&str, (&Rule, Level)> =
            old.iter().zip(&self.levels).map(|(rule, level)| (rule.name.as_str(), (rule, *level))).collect();
        let kept = |rule: &Rule| match before.remove(rule.name.as_str()) {
            Some((old, level)) if compares_the_same(old, rule) => level,
            _ => Level::default(),
        };
        self.levels = new.iter().map(kept).collect();
    }

    /// What is the case.
    pub fn active<'a>(&'a self, rules: &'a Rules) -> impl Iterator<Item = Active> + 'a {
        rules.iter().zip(&self.levels).filter_map(|(rule, level)| {
            let since_s = level.since_s?;
            Some(Active { rule: rule.name.clone(), condition: rule.condition, stage: rule.stage, since_s })
        })
    }
}

/// Whether two rules look at the same, whatever their limits.
fn compares_the_same(one: &Rule, other: &Rule) -> bool {
    let same = match (one.trigger, other.trigger) {
        (Trigger::Above { quantity: a, .. }, Trigger::Above { quantity: b, .. })
        | (Trigger::Below { quantity: a, .. }, Trigger::Below { quantity: b, .. }) => a == b,
        (Trigger::Found { kind: a, .. }, Trigger::Found { kind: b, .. }) => a == b,
        _ => false,
    };
    same && one.condition == other.condition && one.while_ == other.while_
}

/// Whether that flows; what is unknown does not.
fn flows(summary: &Summary, which: While) -> bool {
    summary.current_a.is_some_and(|amps| match which {
        While::Charging => amps > FLOWS_A,
        While::Discharging => amps < -FLOWS_A,
    })
}

/// One look of a rule at a vehicle.
struct Look<'a> {
    id: &'a VehicleId,
    rule: &'a Rule,
    at_s: f64,
}

impl Look<'_> {
    fn at(&self, level: &mut Level, value: Uncertain, said: Says) -> Option<Change> {
        let (limit, clear) = match self.rule.trigger {
            Trigger::Above { limit, clear, .. } | Trigger::Below { limit, clear, .. } => (limit, clear),
            Trigger::Found { .. } => return None,
        };
        let turn = level.look(self.at_s, said == Says::Beyond, said == Says::Clear, self.rule.shown)?;
        Some(match turn {
            Turn::Begins { since_s } => self.change(Some(value), Some(limit), false, since_s),
            Turn::Ends { since_s } => self.change(Some(value), Some(clear), true, since_s),
        })
    }

    fn found(&self, level: &mut Level, found: bool) -> Option<Change> {
        Some(match level.look(self.at_s, found, !found, self.rule.shown)? {
            Turn::Begins { since_s } => self.change(None, None, false, since_s),
            Turn::Ends { since_s } => self.change(None, None, true, since_s),
        })
    }

    fn change(&self, value: Option<Uncertain>, limit: Option<f64>, over: bool, since_s: f64) -> Change {
        let quantity = match self.rule.trigger {
            Trigger::Above { quantity, .. } | Trigger::Below { quantity, .. } => Some(quantity),
            Trigger::Found { .. } => None,
        };
        Change {
            vehicle: self.id.clone(),
            rule: self.rule.name.clone(),
            condition: self.rule.condition,
            stage: self.rule.stage,
            over,
            at_s: self.at_s,
            since_s,
            quantity,
            value: value.map(|value| value.value),
            sd: value.map(|value| value.sd),
            limit,
        }
    }
}
