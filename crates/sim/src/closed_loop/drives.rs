//! Recorded drives through the whole loop: what functions would have commanded.
//!
//! A recording obeys nothing, so a command that is given changes nothing of what comes after. Recordings are taken at 1 Hz.

use super::build::{self, Fleet};
use super::needed::needed;
use super::shipped::Published;
use super::vehicle::{Body, Moment, limits};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use voltmesh_battery::Cell;
use voltmesh_battery::pack::PackSample;
use voltmesh_control::Action;
use voltmesh_edge::commands::Setpoints;
use voltmesh_function::Host;
use voltmesh_telemetry::{
    CentiPercent, Centidegrees, Charger, Contactor, Milliamps, Millivolts, Millivolts16, Ohms, Sample,
    Timestamp,
};

/// Longest gap of a recording that is waited for, in s; beyond it time goes on after as many seconds.
const MOST_GAP_S: f64 = 300.0;

/// Most commands of one recording that are listed; all are counted.
const MOST_LISTED: usize = 50;

/// A command that takes something from the vehicle.
#[derive(Debug, Clone, Serialize)]
pub struct Limiting {
    /// Seconds since the recording's start.
    pub at_s: f64,
    /// Function that gave it.
    pub function: String,
    /// What it asks.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// Lowest and highest cell in the recording then, in V.
    pub cells_v: (f64, f64),
    /// Coldest and hottest sensor in °C.
    pub temps_c: (f64, f64),
    /// Current in A, discharge negative.
    pub current_a: f64,
    /// Whether the recording reaches what the command guards against, within a minute.
    pub needed: bool,
}

/// Report on the loop over one recording.
#[derive(Debug, Clone, Serialize)]
pub struct Driven {
    /// Seconds that were replayed.
    pub seconds: u64,
    /// Commands that reached the vehicle.
    pub commands: u64,
    /// Of those, commands that take current or charging from it, by function and kind.
    pub limiting: BTreeMap<String, u64>,
    /// Of those, commands against what the recording does not come near to within a minute: false ones.
    pub not_needed: BTreeMap<String, u64>,
    /// The first commands that limit, false ones before others.
    pub listed: Vec<Limiting>,
    /// Commands altogether by function and kind.
    pub by_kind: BTreeMap<String, u64>,
    /// Conditions that began, by rule.
    pub conditions: BTreeMap<String, u64>,
    /// Events of functions.
    pub events: u64,
    /// What must hold and did not; empty.
    pub problems: Vec<String>,
}

/// Components of functions that several recordings share, compiled once.
pub struct Shared {
    host: Arc<Host>,
    published: Vec<Published>,
}

impl Shared {
    /// The shipped functions.
    ///
    /// # Errors
    /// Why functions cannot run.
    pub fn new() -> Result<Self, String> {
        Ok(Self { host: build::host()?, published: build::shipped()? })
    }
}

/// A recording as a body.
struct Recorded {
    samples: Vec<PackSample>,
    next: usize,
    series: usize,
    /// Time of the recording less the vehicle's own, in s.
    offset_s: f64,
    start: Option<Timestamp>,
}

impl Body for Recorded {
    fn second(&mut self, now: Timestamp, _: &Setpoints) -> Moment {
        let start = *self.start.get_or_insert(now);
        let at_s = now.millis_since(start) as f64 / 1e3 + self.offset_s;
        let taken = self.next;
        while self.samples.get(self.next).is_some_and(|sample| sample.time_s <= at_s + 0.5) {
            self.next += 1;
        }
        if self.next > taken {
            return Moment::Sample(Box::new(sample(now, &self.samples[self.next - 1], self.series)));
        }
        let Some(next) = self.samples.get(self.next) else { return Moment::End };
        let waits_s = next.time_s - at_s;
        if waits_s > MOST_GAP_S {
            self.offset_s += waits_s - MOST_GAP_S;
        }
        Moment::Nothing
    }
}

fn sample(time: Timestamp, seen: &PackSample, series: usize) -> Sample {
    let cells =
        if seen.cells_v.is_empty() && series == 1 { vec![seen.voltage_v] } else { seen.cells_v.clone() };
    Sample {
        time,
        pack_voltage: Millivolts::from_base(seen.voltage_v).unwrap_or_default(),
        pack_current: Milliamps::from_base(seen.current_a).unwrap_or_default(),
        cells: cells.iter().map(|v| Millivolts16::from_base(*v).unwrap_or_default()).collect(),
        temperatures: seen.temps_c.iter().filter_map(|temp_c| Centidegrees::from_base(*temp_c)).collect(),
        soc: CentiPercent::UNKNOWN,
        contactor: Contactor::Closed,
        charger: Charger::Unknown,
        insulation: seen.insulation_ohm.and_then(Ohms::from_base).unwrap_or_default(),
        ..Sample::default()
    }
}

/// Replays a recording of a pack of `series` groups of `parallel` such cells.
///
/// # Errors
/// Why functions cannot run, or the recording is none.
pub fn replay(
    shared: &Shared,
    cell: &Arc<Cell>,
    (series, parallel): (usize, usize),
    mut samples: Vec<PackSample>,
) -> Result<Driven, String> {
    rectify(&mut samples);
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return Err("it has no samples".to_owned());
    };
    let offset_s = first.time_s;
    let most_s = last.time_s - first.time_s;
    let body = Recorded { samples: samples.clone(), next: 0, series, offset_s, start: None };
    let capacity_ah = cell.params().capacity_ah * parallel as f64;
    let mut world = build::world(Fleet {
        fogs: 1,
        vehicles: vec![build::Car::of("recorded", cell.clone(), parallel, series, Box::new(body))?],
        policy: build::shipped_policy(capacity_ah, series)?,
        published: shared.published.clone(),
        host: shared.host.clone(),
        lease_ms: build::LEASE_MS,
        most_instances: build::ROOM,
        seed: 1,
    })?;
    let start = world.now;
    world.start()?;
    let mut seconds = 0;
    while !world.vehicles[0].ended && (seconds as f64) < most_s + 10.0 {
        world.pass(10_000);
        seconds += 10;
    }
    let window_v = cell.params().chemistry.voltage_window_v();
    let (mut limiting, mut not_needed, mut by_kind) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut listed = Vec::new();
    for taken in world.checker.taken() {
        let action = &taken.command.action;
        let name = format!("{} {}", taken.lease.function, action.kind());
        *by_kind.entry(name.clone()).or_default() += 1;
        if !limits(action) {
            continue;
        }
        *limiting.entry(name.clone()).or_default() += 1;
        let at_s = taken.command.issued.millis_since(start) as f64 / 1e3 + offset_s;
        let needed = needed(&samples, series, window_v, at_s, action);
        if !needed {
            *not_needed.entry(name).or_default() += 1;
        }
        let about = (taken.lease.function.as_str(), action, taken.command.reason.as_str());
        listed.push(at(&samples, at_s, series, about, needed));
    }
    listed.sort_by_key(|one: &Limiting| one.needed);
    listed.truncate(MOST_LISTED);
    listed.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    let mut conditions = BTreeMap::new();
    for (_, change) in world.conditions.iter().filter(|(_, change)| !change.over) {
        *conditions.entry(change.rule.clone()).or_default() += 1;
    }
    Ok(Driven {
        seconds,
        commands: world.checker.commands,
        limiting,
        not_needed,
        listed,
        by_kind,
        conditions,
        events: world.checker.events().count() as u64,
        problems: world.checker.problems.clone(),
    })
}

/// Time that goes on: where a recording's clock begins anew, it goes on a second later.
fn rectify(samples: &mut [PackSample]) {
    let (mut shift_s, mut last_s) = (0.0, f64::NEG_INFINITY);
    for sample in samples {
        if sample.time_s + shift_s <= last_s {
            shift_s = last_s + 1.0 - sample.time_s;
        }
        sample.time_s += shift_s;
        last_s = sample.time_s;
    }
}

fn at(
    samples: &[PackSample],
    time_s: f64,
    series: usize,
    (function, action, reason): (&str, &Action, &str),
    needed: bool,
) -> Limiting {
    let index = samples.partition_point(|sample| sample.time_s <= time_s).saturating_sub(1);
    let seen = &samples[index];
    let range = |values: &[f64]| {
        let start = (f64::INFINITY, f64::NEG_INFINITY);
        values.iter().fold(start, |(low, high), value| (low.min(*value), high.max(*value)))
    };
    let mean = [seen.voltage_v / series as f64];
    Limiting {
        at_s: time_s,
        function: function.to_owned(),
        action: action.clone(),
        reason: reason.to_owned(),
        cells_v: range(if seen.cells_v.is_empty() { &mean } else { &seen.cells_v }),
        temps_c: range(&seen.temps_c),
        current_a: seen.current_a,
        needed,
    }
}
