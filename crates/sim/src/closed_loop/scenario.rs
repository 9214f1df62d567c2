//! One trouble of a pack, once with the loop and once without.

use super::build::{self, Fleet};
use super::pack::{Point, SharedRun};
use super::vehicle::Body;
use serde::Serialize;
use std::collections::BTreeMap;
use voltmesh_battery::Error;
use voltmesh_battery::trouble::{Asked, Run, Script, Toll, Trouble};
use voltmesh_sdn::Change;

/// Seed of the pack whose cells differ.
const SEED: u64 = 7;

/// Time in ms after the end of the script in which what is under way arrives.
const AFTER_MS: u64 = 5_000;

/// A scenario's figures.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Which.
    pub scenario: Trouble,
    /// With the loop.
    pub with: Toll,
    /// Without it: the vehicle's own management alone.
    pub without: Toll,
    /// Events that functions said.
    pub events: u64,
    /// Commands that reached the vehicle.
    pub commands: u64,
    /// Of those, commands that take current or charging from the vehicle.
    pub limiting: u64,
    /// Events that were kept and did not reach the controller, or are missing.
    pub lost: u64,
    /// Events that were kept or told twice, with different contents or at two places.
    pub duplicates: u64,
    /// Conditions that began, with the time in s since the start.
    pub conditions: Vec<(f64, String)>,
    /// Events by function and kind.
    pub said: BTreeMap<String, u64>,
    /// What must hold and did not; empty.
    pub problems: Vec<String>,
    /// Every second with the loop and without, for plots.
    #[serde(skip)]
    pub curves: (Vec<Point>, Vec<Point>),
}

impl Outcome {
    /// Seconds outside the safe area with the loop, relative to without; none where nothing went wrong without.
    #[must_use]
    pub fn outside_share(&self) -> Option<f64> {
        (self.without.outside_s > 0.0).then(|| self.with.outside_s / self.without.outside_s)
    }

    /// Charging time with the loop, relative to without; none where either never got there.
    #[must_use]
    pub fn charging_share(&self) -> Option<f64> {
        Some(self.with.charge_min? / self.without.charge_min?)
    }

    /// What of the goals is missed: at most a twentieth of the time outside, at most 15 % more time to charge, nothing lost or
    /// doubled; where nothing goes wrong, nothing is limited and nothing is worse.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        let mut missed = self.problems.clone();
        match (self.scenario, self.outside_share()) {
            (Trouble::None, _) => {
                if self.limiting > 0 {
                    missed.push(format!("{} commands take something where nothing is wrong", self.limiting));
                }
                if self.with.outside_s > self.without.outside_s {
                    missed.push(format!("{} s outside the safe area", self.with.outside_s));
                }
            }
            (_, None) => missed.push("nothing goes wrong without the loop".to_owned()),
            (_, Some(share)) if share > 0.05 => {
                missed.push(format!("{:.1} % of the time outside remains, goal 5 %", share * 100.0));
            }
            _ => {}
        }
        let never = self.with.charge_min.is_none() && self.without.charge_min.is_some();
        if never || self.charging_share().is_some_and(|share| share > 1.15) {
            missed.push(format!(
                "charging takes {:?} min instead of {:?}, goal 1.15 times",
                self.with.charge_min, self.without.charge_min
            ));
        }
        if self.lost + self.duplicates > 0 {
            missed.push(format!("{} events lost, {} doubled", self.lost, self.duplicates));
        }
        missed
    }
}

/// Runs a scenario. Deterministic.
///
/// # Errors
/// Why functions cannot run, or the cell's parameters are senseless.
pub fn run(trouble: Trouble) -> Result<Outcome, String> {
    let script = Script::from(trouble);
    let made = |script: Script| Run::new(script, SEED).map_err(|error: Error| error.to_string());
    let alone = SharedRun::new(made(script.clone())?);
    while alone.step(&Asked::default()).is_some() {}

    let body = SharedRun::new(made(script.clone())?);
    let mut world = build::world(Fleet {
        fogs: 2,
        vehicles: vec![build::Car::typical("car-1", script.series, Box::new(body.clone()) as Box<dyn Body>)?],
        policy: build::shipped_policy(build::CAPACITY_AH, script.series)?,
        published: build::shipped()?,
        host: build::host()?,
        lease_ms: build::LEASE_MS,
        most_instances: build::ROOM,
        seed: SEED,
    })?;
    let start = world.now;
    world.start()?;
    world.pass(script.seconds as u64 * 1_000 + AFTER_MS);
    let lost = world.audit_events();
    let mut said = BTreeMap::new();
    for event in world.checker.events() {
        *said.entry(format!("{}: {}", event.function, event.kind)).or_default() += 1;
    }
    let began = |change: &&(_, Change)| !change.1.over;
    let conditions = world.conditions.iter().filter(began).map(|(at, change): &(_, Change)| {
        (start_s(*at, start), format!("{} ({})", change.condition, change.rule))
    });
    Ok(Outcome {
        scenario: trouble,
        with: body.toll(),
        without: alone.toll(),
        events: world.checker.events().count() as u64,
        commands: world.checker.commands,
        limiting: world.checker.limiting,
        lost,
        duplicates: world.checker.duplicates,
        conditions: conditions.collect(),
        said,
        problems: world.checker.problems.clone(),
        curves: (body.points(), alone.points()),
    })
}

fn start_s(at: voltmesh_telemetry::Timestamp, start: voltmesh_telemetry::Timestamp) -> f64 {
    at.millis_since(start) as f64 / 1e3
}
