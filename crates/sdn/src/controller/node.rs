//! A fog node as the controller knows it.

use std::collections::{BTreeMap, BTreeSet};
use voltmesh_control::{Instance, Room};
use voltmesh_telemetry::{Timestamp, VehicleId};

use super::state::Key;

/// Time in ms after the end of its session for which a fog node keeps its functions: a session that is begun again at once
/// moves nothing. With one missed summary and a tick this is less than the second within which functions run elsewhere.
pub const GRACE_MS: u64 = 500;
/// Time in ms without a summary after which a fog node with a session counts as dead: it sends one a second.
pub const SILENT_MS: u64 = 2_500;
/// Time in ms after the start in which fog nodes that held functions may come back: their longest pause between two attempts
/// is 7.5 s.
pub const START_GRACE_MS: u64 = 10_000;

/// Fog node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Whether it has a session.
    pub connected: bool,
    /// When that last changed.
    pub since: Timestamp,
    /// When its newest message came.
    pub heard: Timestamp,
    /// Time of its newest summaries, by its own clock, in ms; none in this session.
    pub at_ms: Option<u64>,
    /// Key by which it signs commands.
    pub key: Option<[u8; 32]>,
    /// Its room for functions.
    pub room: Room,
    /// What it runs, as it said last; none in this session.
    pub running: Option<BTreeMap<Key, Instance>>,
    /// Vehicles of its newest summaries.
    pub vehicles: BTreeSet<VehicleId>,
    /// Time in ms from when it was lost for which it keeps its functions.
    grace_ms: u64,
    /// Whether it was found dead, and its functions went elsewhere.
    pub given_up: bool,
}

impl Node {
    /// One that has held functions before this process began, and is not back yet.
    pub fn awaited(now: Timestamp) -> Self {
        Self {
            connected: false,
            since: now,
            heard: now,
            at_ms: None,
            key: None,
            room: Room::default(),
            running: None,
            vehicles: BTreeSet::new(),
            grace_ms: START_GRACE_MS,
            given_up: false,
        }
    }

    /// Its session begins. Which vehicles it saw before counts until its first summaries.
    pub fn connect(&mut self, now: Timestamp) {
        let vehicles = std::mem::take(&mut self.vehicles);
        *self = Self { connected: true, vehicles, ..Self::awaited(now) };
    }

    /// Its last session ends.
    pub fn disconnect(&mut self, now: Timestamp) {
        (self.connected, self.since, self.grace_ms) = (false, now, GRACE_MS);
    }

    /// Whether it is connected, and is heard.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        self.connected && now.as_millis().saturating_sub(self.heard.as_millis()) <= SILENT_MS
    }

    /// Whether its functions have to run elsewhere.
    pub fn is_dead(&self, now: Timestamp) -> bool {
        let waited = now.as_millis().saturating_sub(self.since.as_millis());
        if self.connected { !self.is_alive(now) } else { waited >= self.grace_ms }
    }

    /// Whether it may still say what it runs: not dead, and its session is younger than the time in which one that holds
    /// functions comes back.
    pub fn is_awaited(&self, now: Timestamp) -> bool {
        let since = now.as_millis().saturating_sub(self.since.as_millis());
        !self.takes_functions(now) && !self.is_dead(now) && since < START_GRACE_MS
    }

    /// When it is dead if nothing is heard of it until then.
    pub fn dies(&self) -> Timestamp {
        let (from, ms) =
            if self.connected { (self.heard, SILENT_MS + 1) } else { (self.since, self.grace_ms) };
        Timestamp::from_millis(from.as_millis().saturating_add(ms))
    }

    /// Whether it can be given functions: it is alive, its key is known, and it has said what it runs.
    pub fn takes_functions(&self, now: Timestamp) -> bool {
        self.is_alive(now) && self.key.is_some() && self.running.is_some()
    }
}
