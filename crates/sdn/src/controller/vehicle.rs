//! A vehicle as the controller knows it.

use std::collections::{BTreeMap, BTreeSet};
use voltmesh_battery::Chemistry;
use voltmesh_battery::summary::Summary;
use voltmesh_telemetry::Timestamp;

use crate::Condition;
use crate::assess::Change;
use crate::policy::Wanted;

/// Time in ms after which a vehicle that no fog node sees is forgotten, and its functions end: one that parks in a garage for
/// an hour keeps them.
pub const GONE_MS: u64 = 3_600_000;
/// Summaries in a row that are not after the vehicle's last one, after which its time is taken to have been set back: half a
/// minute of them.
pub const SET_BACK: u32 = 30;

/// What one fog node sees of a vehicle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sight {
    /// Whether the vehicle has a session there.
    pub connected: bool,
    /// Round trip between both in µs.
    pub round_trip_us: Option<u64>,
    /// When that came.
    pub came: Timestamp,
}

/// Vehicle.
#[derive(Clone, Debug)]
pub struct Vehicle {
    /// By fog node.
    pub sights: BTreeMap<String, Sight>,
    /// When it was seen last.
    pub seen: Timestamp,
    /// Chemistry of its cells, where it is known.
    pub chemistry: Option<Chemistry>,
    /// Groups that operators have put it into.
    pub groups: BTreeSet<String>,
    /// Its newest summary.
    pub newest: Option<Summary>,
    /// Summaries in a row that were stale.
    pub stale: u32,
    /// How the conditions began that it is in.
    pub begun: BTreeMap<Condition, Change>,
    /// What the policy selected last.
    pub selected: Vec<Wanted>,
    /// Functions that the policy would select if more were known of its battery, with what is not known.
    pub lacking: BTreeMap<String, &'static str>,
    /// Functions that it should have and has nowhere, with the reason.
    pub unplaced: BTreeMap<String, String>,
}

impl Vehicle {
    /// One that was not known before.
    pub fn new(now: Timestamp, groups: BTreeSet<String>) -> Self {
        Self {
            sights: BTreeMap::new(),
            seen: now,
            chemistry: None,
            groups,
            newest: None,
            stale: 0,
            begun: BTreeMap::new(),
            selected: Vec::new(),
            lacking: BTreeMap::new(),
            unplaced: BTreeMap::new(),
        }
    }

    /// Whether it has a session with that fog node.
    pub fn is_at(&self, fog: &str) -> bool {
        self.sights.get(fog).is_some_and(|sight| sight.connected)
    }
}

/// A function that runs for a condition of its vehicle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// Which.
    pub condition: Condition,
    /// Since when.
    pub since: Timestamp,
}
