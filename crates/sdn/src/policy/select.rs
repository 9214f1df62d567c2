//! Selection: from the conditions that a vehicle is in to the functions that it is to have.

use super::check::File;
use super::entry::{Entry, KnownBattery};
use super::error::Error;
use super::function::{BatteryKey, Function};
use super::wanted::{Battery, Lacking, Reason, VehicleFacts, Wanted};
use crate::assess::Active;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use voltmesh_battery::Chemistry;
use voltmesh_telemetry::Timestamp;

/// The policy that is shipped, in TOML with its reasons.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// Policy, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Commands a second to all vehicles together.
    pub fleet_commands_per_s: f64,
    /// Commands a second that may be given at once after a pause.
    pub fleet_burst: u32,
    batteries: Vec<KnownBattery>,
    functions: BTreeMap<String, Function>,
    entries: Vec<Entry>,
}

impl Default for Policy {
    /// The policy that is shipped.
    fn default() -> Self {
        Self::parse(DEFAULTS).expect("a test parses the policy that is shipped")
    }
}

impl Policy {
    /// Reads and checks a policy.
    ///
    /// # Errors
    /// [`Error`], which names line, place and remedy.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let file = File::read(text)?;
        let functions = file.functions(text)?;
        let entries = file.entries(text, &functions)?;
        let (fleet_commands_per_s, fleet_burst) = file.fleet(text)?;
        let batteries = file.batteries(text)?;
        Ok(Self { fleet_commands_per_s, fleet_burst, batteries, functions, entries })
    }

    /// A function by its name.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.get(name)
    }

    /// All functions by their names.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.functions.values()
    }

    /// What is known of a vehicle's battery: what it says itself, else the first of the file that is for it.
    #[must_use]
    pub fn battery(&self, facts: &VehicleFacts) -> Battery {
        let known = || self.batteries.iter().filter(|known| known.is_of(facts)).map(|known| known.battery);
        Battery {
            capacity_ah: facts.battery.capacity_ah.or_else(|| known().find_map(|known| known.capacity_ah)),
            cells: facts.battery.cells.or_else(|| known().find_map(|known| known.cells)),
        }
    }

    /// All entries in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}

/// The functions that a vehicle is to have at `now`, by name. `before` is what this function returned for the vehicle last
/// time: what was wanted stays for its minimum time after its reason is gone, and keeps its `since`.
#[must_use]
pub fn select(
    policy: &Policy,
    now: Timestamp,
    facts: &VehicleFacts,
    active: &[Active],
    before: &[Wanted],
) -> Vec<Wanted> {
    let mut wanted: BTreeMap<&str, (u8, Wanted)> = BTreeMap::new();
    for entry in &policy.entries {
        let Some(call) = entry.called_by(facts, active) else { continue };
        let reason = Reason {
            entry: entry.name.clone(),
            condition: entry.condition,
            stage: call.map(|active| active.stage),
            rule: call.map(|active| active.rule.clone()),
            over: false,
        };
        for name in &entry.functions {
            let Some(function) = policy.functions.get(name) else { continue };
            let Ok(configuration) = configuration(policy, function, entry, facts) else { continue };
            let priority = entry.priority.unwrap_or(function.priority);
            let new = of(function, configuration, priority, now, facts, reason.clone());
            match wanted.get_mut(name.as_str()) {
                None => {
                    wanted.insert(name, (priority, new));
                }
                // The most urgent entry decides the configuration; of equal ones the first.
                Some((best, one)) if *best < priority => {
                    let mut reasons = std::mem::take(&mut one.reasons);
                    reasons.insert(0, reason.clone());
                    *one = Wanted { reasons, ..new };
                    *best = priority;
                }
                Some((_, one)) => one.reasons.push(reason.clone()),
            }
        }
    }
    for old in before.iter().filter(|old| old.vehicle == facts.vehicle) {
        if let Some((_, one)) = wanted.get_mut(old.function.as_str()) {
            one.since = old.since;
            continue;
        }
        let Some(function) = policy.functions.get(&old.function) else { continue };
        let stay_ms = u64::from(function.minimum_stay_s) * 1_000;
        if now.as_millis() < old.since.as_millis().saturating_add(stay_ms) {
            let mut stays = old.clone();
            stays.reasons.iter_mut().for_each(|reason| reason.over = true);
            wanted.insert(&function.name, (stays.priority, stays));
        }
    }
    wanted.into_values().map(|(_, one)| one).collect()
}

/// Functions that the policy would give a vehicle, by any of its entries, were more known of its battery. They are not
/// selected: a function that acts by the numbers of another battery is worse than none.
#[must_use]
pub fn lacking(policy: &Policy, facts: &VehicleFacts) -> Vec<Lacking> {
    let mut lacking: Vec<Lacking> = Vec::new();
    for entry in policy.entries.iter().filter(|entry| entry.is_of(facts)) {
        for function in entry.functions.iter().filter_map(|name| policy.functions.get(name)) {
            if let Err(key) = configuration(policy, function, entry, facts) {
                let one = Lacking { function: function.name.clone(), key };
                if !lacking.contains(&one) {
                    lacking.push(one);
                }
            }
        }
    }
    lacking
}

/// A function's configuration by an entry for a vehicle; else what of the vehicle's battery is not known.
fn configuration(
    policy: &Policy,
    function: &Function,
    entry: &Entry,
    facts: &VehicleFacts,
) -> Result<Map<String, Value>, BatteryKey> {
    let mut configuration = function.configuration.clone();
    for (key, value) in entry.configuration.get(&function.name).into_iter().flatten() {
        configuration.insert(key.clone(), value.clone());
    }
    let battery = policy.battery(facts);
    for key in &function.from_battery {
        if configuration.contains_key(key.name()) {
            continue;
        }
        let value: Option<Value> = match key {
            BatteryKey::CapacityAh => battery.capacity_ah.map(Value::from),
            BatteryKey::Cells => battery.cells.map(Value::from),
            BatteryKey::Chemistry => facts.chemistry.map(|chemistry| chemistry_name(chemistry).into()),
        };
        match value {
            Some(value) => {
                configuration.insert(key.name().to_owned(), value);
            }
            None if *key == BatteryKey::Cells => {}
            None => return Err(*key),
        }
    }
    Ok(configuration)
}

/// As configurations have it.
fn chemistry_name(chemistry: Chemistry) -> &'static str {
    match chemistry {
        Chemistry::Nmc => "nmc",
        Chemistry::Nca => "nca",
        Chemistry::Lfp => "lfp",
    }
}

/// A function as an entry wants it.
fn of(
    function: &Function,
    configuration: Map<String, Value>,
    priority: u8,
    now: Timestamp,
    facts: &VehicleFacts,
    reason: Reason,
) -> Wanted {
    Wanted {
        vehicle: facts.vehicle.clone(),
        function: function.name.clone(),
        configuration,
        priority,
        latency: function.latency,
        load_ppm: function.load_ppm,
        memory_mib: function.memory_mib,
        capabilities: function.capabilities.clone(),
        apart_from: function.apart_from.clone(),
        bounds: function.bounds,
        commands_per_min: function.commands_per_min,
        since: now,
        reasons: vec![reason],
    }
}
