//! Cost of a function at a node.
//!
//! In points: one is a µs of round trip for a function of priority 75.
//!
//! - `weight = (25 + priority) / 100`, so 0.25 to 1.25;
//! - `trip = round trip + relay`, the relay where the vehicle's session is at another node;
//! - `late = 10 × (trip − round trip of the latency class)`, where that is positive;
//! - `crowd = crowd_us × load × busy`, both in cores: on a node that is busy otherwise a call waits;
//! - `move = move_us`, where the function runs at another node that is alive: its hand-over, and what may go wrong in it.
//!   So a placement moves a function only if that saves more than it costs.
//!
//! The cost is `weight × (trip + late + crowd + move)`, at most [`MOST_US`] before it is weighed. Running nowhere costs
//! `NOWHERE_US × 2^(priority / 10)`: more than any place of the same function, and more than all places of some functions of
//! less priority.

/// Largest sum of the terms in µs: a minute.
pub const MOST_US: u64 = 60_000_000;

/// What running nowhere costs at priority 0, in points: more than 1.25 × [`MOST_US`].
pub const NOWHERE_US: u64 = 100_000_000;

/// How much each µs beyond the latency class counts.
const LATE: u64 = 10;

/// What counts how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// Way between two fog nodes in µs, for what does not run where the vehicle's session is. Default 2,000.
    pub relay_us: u64,
    /// Cost in µs of one core of function on a node with one core of other work. Default 20,000.
    pub crowd_us: u64,
    /// Cost in µs of a move: a hand-over pauses a function for up to 50 ms; spread over the minutes that a place lasts. Default 3,000.
    pub move_us: u64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { relay_us: 2_000, crowd_us: 20_000, move_us: 3_000 }
    }
}

/// What the cost of a place depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub round_trip_us: u64,
    pub session: bool,
    pub class_us: u64,
    pub priority: u8,
    pub load_ppm: u32,
    pub busy_ppm: u32,
    pub moves: bool,
}

impl Weights {
    /// Points of a place.
    pub(super) fn of(&self, place: &Place) -> u64 {
        let relay = if place.session { 0 } else { self.relay_us };
        let trip = place.round_trip_us.saturating_add(relay).min(MOST_US);
        let late = LATE * trip.saturating_sub(place.class_us);
        let cores_ppm = u64::from(place.load_ppm) * u64::from(place.busy_ppm) / 1_000_000;
        let crowd = self.crowd_us.min(MOST_US) * cores_ppm / 1_000_000;
        let moves = if place.moves { self.move_us.min(MOST_US) } else { 0 };
        let sum = trip.saturating_add(late).saturating_add(crowd).saturating_add(moves);
        (25 + u64::from(place.priority.min(100))) * sum.min(MOST_US) / 100
    }
}

/// Points of running nowhere.
pub(super) fn nowhere(priority: u8) -> u64 {
    NOWHERE_US << (priority.min(100) / 10)
}
