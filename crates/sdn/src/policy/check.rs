//! Policy files as they are written, and what is wrong with them: each finding with its line.

use super::entry::{Entry, KnownBattery};
use super::error::{Error, MAX_ENTRIES, MAX_FUNCTIONS, MAX_POLICY_BYTES};
use super::function::{BatteryKey, Bounds, Function, Latency, Tunable};
use super::wanted::Battery;
use crate::Condition;
use crate::written::{self, line};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;
use voltmesh_battery::Chemistry;
use voltmesh_battery::watch::Stage;

/// Longest minimum stay in s: a day.
const MOST_STAY_S: u32 = 86_400;

/// Most memory of one function in MiB.
const MOST_MEMORY_MIB: u32 = 1_024;

/// A policy file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    version: Spanned<u64>,
    fleet: Spanned<Fleet>,
    #[serde(default)]
    battery: Vec<Spanned<WrittenBattery>>,
    #[serde(default)]
    function: Vec<Spanned<WrittenFunction>>,
    #[serde(default)]
    entry: Vec<Spanned<WrittenEntry>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fleet {
    commands_per_s: f64,
    burst: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBattery {
    #[serde(default)]
    chemistries: Vec<Chemistry>,
    #[serde(default)]
    groups: Vec<String>,
    capacity_ah: Option<f64>,
    cells: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFunction {
    name: Spanned<String>,
    priority: Spanned<u8>,
    latency: Latency,
    load_ppm: Spanned<u32>,
    memory_mib: Spanned<u32>,
    #[serde(default)]
    capabilities: Vec<String>,
    apart_from: Option<Spanned<Vec<String>>>,
    minimum_stay_s: Spanned<u32>,
    commands_per_min: u32,
    bounds: Option<Spanned<Bounds>>,
    #[serde(default)]
    from_battery: Vec<BatteryKey>,
    #[serde(default)]
    configuration: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    tune: Vec<Spanned<Tunable>>,
    instead: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    withdraw: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEntry {
    name: Spanned<String>,
    condition: Option<Condition>,
    least: Option<Spanned<Stage>>,
    #[serde(default)]
    chemistries: Vec<Chemistry>,
    #[serde(default)]
    groups: Vec<String>,
    functions: Spanned<Vec<String>>,
    priority: Option<Spanned<u8>>,
    #[serde(default)]
    configuration: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
}

/// A list that may be absent.
fn names(written: Option<&Spanned<Vec<String>>>) -> Vec<String> {
    written.map(|names| names.get_ref().clone()).unwrap_or_default()
}

impl File {
    /// Reads a file; its size is checked first.
    pub fn read(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_POLICY_BYTES {
            return Err(Error::TooLarge(text.len()));
        }
        let file: Self = written::parse(text).map_err(|(line, reason)| Error::Syntax { line, reason })?;
        let wrong = |at: usize, reason: String| Err(Error::Syntax { line: line(text, at), reason });
        if *file.version.get_ref() != 1 {
            return wrong(file.version.span().start, "only version 1 is known".to_owned());
        }
        if let Some(beyond) = file.function.get(MAX_FUNCTIONS) {
            return wrong(beyond.span().start, format!("at most {MAX_FUNCTIONS} functions are allowed"));
        }
        if let Some(beyond) = file.battery.get(MAX_ENTRIES) {
            return wrong(beyond.span().start, format!("at most {MAX_ENTRIES} batteries are allowed"));
        }
        if let Some(beyond) = file.entry.get(MAX_ENTRIES) {
            return wrong(beyond.span().start, format!("at most {MAX_ENTRIES} entries are allowed"));
        }
        Ok(file)
    }

    /// Commands a second for the whole fleet, and how many at once.
    pub fn fleet(&self, text: &str) -> Result<(f64, u32), Error> {
        let fleet = self.fleet.get_ref();
        let reason = if !(fleet.commands_per_s > 0.0 && fleet.commands_per_s <= 1e6) {
            "commands_per_s is more than 0 and at most 1,000,000"
        } else if !(1..=1_000_000).contains(&fleet.burst) {
            "burst is 1 to 1,000,000"
        } else {
            return Ok((fleet.commands_per_s, fleet.burst));
        };
        Err(Error::Syntax { line: line(text, self.fleet.span().start), reason: reason.to_owned() })
    }

    /// The batteries that are known.
    pub fn batteries(&self, text: &str) -> Result<Vec<KnownBattery>, Error> {
        let mut known = Vec::with_capacity(self.battery.len());
        for written in &self.battery {
            let WrittenBattery { chemistries, groups, capacity_ah, cells } = written.get_ref();
            let reason = if capacity_ah.is_some_and(|ah| !(0.1..=10_000.0).contains(&ah)) {
                "capacity_ah is 0.1 to 10,000"
            } else if cells.is_some_and(|cells| !(1..=1_024).contains(&cells)) {
                "cells is 1 to 1,024"
            } else if capacity_ah.is_none() && cells.is_none() {
                "a battery has a capacity_ah, or cells"
            } else {
                let battery = Battery { capacity_ah: *capacity_ah, cells: *cells };
                known.push(KnownBattery {
                    chemistries: chemistries.clone(),
                    groups: groups.clone(),
                    battery,
                });
                continue;
            };
            let line = line(text, written.span().start);
            return Err(Error::Syntax { line, reason: reason.to_owned() });
        }
        Ok(known)
    }

    /// The functions, each checked by itself and against the others.
    pub fn functions(&self, text: &str) -> Result<BTreeMap<String, Function>, Error> {
        let mut functions = BTreeMap::new();
        for written in &self.function {
            let written = written.get_ref();
            let function = written.function(text)?;
            if functions.insert(function.name.clone(), function).is_some() {
                return written.wrong(
                    text,
                    written.name.span().start,
                    "there is a function of this name above",
                );
            }
        }
        for written in &self.function {
            let written = written.get_ref();
            for (names, what) in [(&written.apart_from, "apart_from"), (&written.instead, "instead")] {
                let Some(names) = names else { continue };
                for name in names.get_ref() {
                    let reason = if !functions.contains_key(name) {
                        format!("{what} names `{name}`, which is no function of this policy")
                    } else if name == written.name.get_ref() {
                        format!("{what} names the function itself")
                    } else {
                        continue;
                    };
                    return written.wrong(text, names.span().start, &reason);
                }
            }
        }
        Ok(functions)
    }

    /// The entries, each checked by itself and against those before it.
    pub fn entries(&self, text: &str, functions: &BTreeMap<String, Function>) -> Result<Vec<Entry>, Error> {
        let mut entries: Vec<(Entry, usize)> = Vec::with_capacity(self.entry.len());
        for written in &self.entry {
            let written = written.get_ref();
            let at = line(text, written.name.span().start);
            let entry = written.entry(text, functions)?;
            for (other, other_at) in &entries {
                let reason = if other.name == entry.name {
                    format!("line {other_at} has an entry of this name; give it another")
                } else if let Some(name) = contradiction(&entry, other) {
                    format!(
                        "contradicts `{}` in line {other_at}: both are for the same vehicles, condition and stage with the \
                         same priority, and configure `{name}` differently",
                        other.name
                    )
                } else {
                    continue;
                };
                return Err(Error::Part { line: at, name: entry.name, reason });
            }
            entries.push((entry, at));
        }
        Ok(entries.into_iter().map(|(entry, _)| entry).collect())
    }
}

/// Function that two entries for the same case configure differently, if there is one.
fn contradiction(one: &Entry, other: &Entry) -> Option<String> {
    let same = one.condition == other.condition
        && one.least == other.least
        && one.chemistries == other.chemistries
        && one.groups == other.groups
        && one.priority == other.priority;
    let both = one.functions.iter().filter(|name| other.functions.contains(name));
    let mut differ = both.filter(|name| one.configuration.get(*name) != other.configuration.get(*name));
    differ.next().filter(|_| same).cloned()
}

impl WrittenFunction {
    fn wrong<T>(&self, text: &str, at: usize, reason: &str) -> Result<T, Error> {
        let name = self.name.get_ref().clone();
        Err(Error::Part { line: line(text, at), name, reason: reason.to_owned() })
    }

    fn function(&self, text: &str) -> Result<Function, Error> {
        if !voltmesh_telemetry::is_name(self.name.get_ref()) {
            let reason = "a function's name is lower-case letters, digits and hyphens, at most 64 bytes";
            return self.wrong(text, self.name.span().start, reason);
        }
        if *self.priority.get_ref() > 100 {
            return self.wrong(text, self.priority.span().start, "priority is 0 to 100");
        }
        if !(1..=1_000_000).contains(self.load_ppm.get_ref()) {
            return self.wrong(text, self.load_ppm.span().start, "load_ppm is 1 to 1,000,000, a whole core");
        }
        if !(1..=MOST_MEMORY_MIB).contains(self.memory_mib.get_ref()) {
            let reason = format!("memory_mib is 1 to {MOST_MEMORY_MIB}");
            return self.wrong(text, self.memory_mib.span().start, &reason);
        }
        if *self.minimum_stay_s.get_ref() > MOST_STAY_S {
            let reason = format!("minimum_stay_s is at most {MOST_STAY_S}, a day");
            return self.wrong(text, self.minimum_stay_s.span().start, &reason);
        }
        let bounds = self.bounds.as_ref().map(|bounds| *bounds.get_ref()).unwrap_or_default();
        let at_bounds = self.bounds.as_ref().map_or(0, |bounds| bounds.span().start);
        if let Err(reason) = bounds.check() {
            return self.wrong(text, at_bounds, &reason);
        }
        let mut keys = BTreeMap::new();
        for tune in &self.tune {
            let reason = self.tunable(tune.get_ref()).or_else(|| {
                let twice = keys.insert(tune.get_ref().key.clone(), ()).is_some();
                twice.then(|| format!("`{}` is tuned twice", tune.get_ref().key))
            });
            if let Some(reason) = reason {
                return self.wrong(text, tune.span().start, &reason);
            }
        }
        Ok(Function {
            name: self.name.get_ref().clone(),
            priority: *self.priority.get_ref(),
            latency: self.latency,
            load_ppm: *self.load_ppm.get_ref(),
            memory_mib: *self.memory_mib.get_ref(),
            capabilities: self.capabilities.clone(),
            apart_from: names(self.apart_from.as_ref()),
            minimum_stay_s: *self.minimum_stay_s.get_ref(),
            commands_per_min: self.commands_per_min,
            bounds,
            from_battery: self.from_battery.clone(),
            configuration: self.configuration.clone(),
            tune: self.tune.iter().map(|tune| tune.get_ref().clone()).collect(),
            instead: names(self.instead.as_ref()),
            withdraw: self.withdraw,
        })
    }

    /// What is wrong with a tunable.
    fn tunable(&self, tune: &Tunable) -> Option<String> {
        let Tunable { key, least, most, step, evidence, .. } = tune;
        let Some(value) = self.configuration.get(key).and_then(serde_json::Value::as_f64) else {
            return Some(format!("tune: the configuration has no number `{key}`"));
        };
        if !(least.is_finite() && most.is_finite() && least < most) {
            return Some(format!("tune: least {least} is to be below most {most}"));
        }
        if !(least..=most).contains(&&value) {
            return Some(format!("tune: `{key}` is {value}, outside its bounds {least}..{most}"));
        }
        if !(*step > 0.0 && *step <= most - least) {
            return Some(format!("tune: step is more than 0 and at most {}", most - least));
        }
        (!(1..=1_000).contains(evidence)).then(|| "tune: evidence is 1 to 1,000 outcomes".to_owned())
    }
}

impl WrittenEntry {
    fn entry(&self, text: &str, functions: &BTreeMap<String, Function>) -> Result<Entry, Error> {
        let name = self.name.get_ref().clone();
        let wrong = |at: usize, reason: String| {
            Err(Error::Part { line: line(text, at), name: self.name.get_ref().clone(), reason })
        };
        let here = self.name.span().start;
        if name.is_empty() || name.len() > 64 {
            return wrong(here, "a name has 1 to 64 bytes".to_owned());
        }
        if let (None, Some(least)) = (self.condition, &self.least) {
            return wrong(least.span().start, "`least` goes with `condition`".to_owned());
        }
        let listed = self.functions.get_ref();
        if listed.is_empty() {
            return wrong(self.functions.span().start, "it names no function".to_owned());
        }
        for (n, function) in listed.iter().enumerate() {
            let reason = if !functions.contains_key(function) {
                format!("`{function}` is no function of this policy; add a [[function]] of this name")
            } else if listed[..n].contains(function) {
                format!("it names `{function}` twice")
            } else {
                continue;
            };
            return wrong(self.functions.span().start, reason);
        }
        if let Some(priority) = self.priority.as_ref().filter(|priority| *priority.get_ref() > 100) {
            return wrong(priority.span().start, "priority is 0 to 100".to_owned());
        }
        for (function, changes) in &self.configuration {
            if !listed.contains(function) {
                return wrong(here, format!("it configures `{function}`, which it does not name"));
            }
            for tune in functions.get(function).into_iter().flat_map(|function| &function.tune) {
                let value = changes.get(&tune.key).map(serde_json::Value::as_f64);
                if value
                    .is_some_and(|value| value.is_none_or(|value| !(tune.least..=tune.most).contains(&value)))
                {
                    let (key, least, most) = (&tune.key, tune.least, tune.most);
                    return wrong(here, format!("`{function}`: `{key}` is a number within {least}..{most}"));
                }
            }
        }
        Ok(Entry {
            name,
            condition: self.condition,
            least: self.least.as_ref().map_or(Stage::Information, |least| *least.get_ref()),
            chemistries: self.chemistries.clone(),
            groups: self.groups.clone(),
            functions: listed.clone(),
            priority: self.priority.as_ref().map(|priority| *priority.get_ref()),
            configuration: self.configuration.clone(),
        })
    }
}
