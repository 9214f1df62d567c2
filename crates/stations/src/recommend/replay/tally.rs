//! Results of a replay.

use serde::Serialize;

use super::setting::Policy;

/// Result of a replay.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replay {
    /// How many drivers there were.
    pub drivers: usize,
    /// By policy.
    pub policies: Vec<Tally>,
}

/// Result of one policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tally {
    /// Which.
    pub policy: Policy,
    /// First arrivals without a plug.
    pub wasted_first: usize,
    /// All arrivals without a plug.
    pub wasted: usize,
    /// `wasted_first` a driver.
    pub wasted_first_share: f64,
    /// `wasted` a driver.
    pub wasted_per_driver: f64,
    /// Minutes waited, a driver.
    pub wait_min: f64,
    /// Minutes driven, a driver.
    pub drive_min: f64,
    /// Minutes to the first station beyond those to the nearest that fits, a driver.
    pub detour_min: f64,
    /// Drivers who charged.
    pub charged: usize,
    /// Drivers who found no plug at three stations, or could reach no further one.
    pub gave_up: usize,
}

impl Replay {
    /// The tally of a policy.
    pub fn of(&self, policy: Policy) -> Option<&Tally> {
        self.policies.iter().find(|tally| tally.policy == policy)
    }

    /// How many fewer wasted arrivals ours has than nearest-free-now, as a share of theirs.
    pub fn fewer_wasted(&self) -> Option<f64> {
        let wasted = |policy| self.of(policy).map(|tally| tally.wasted as f64);
        let theirs = wasted(Policy::NearestFreeNow).filter(|wasted| *wasted > 0.0)?;
        Some(1.0 - wasted(Policy::Ours)? / theirs)
    }

    /// Minutes that ours drives farther to the first station than nearest-free-now, a driver.
    pub fn longer_min(&self) -> Option<f64> {
        Some(self.of(Policy::Ours)?.detour_min - self.of(Policy::NearestFreeNow)?.detour_min)
    }
}
