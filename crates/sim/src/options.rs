//! Options of the simulated world: its size, its pace, and its faults.

use crate::faults::Kinds;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{fmt, str::FromStr, time::Duration};
use voltmesh_cloud::{Grouping, Settings};

/// Options of the simulated world.
#[derive(Clone, Debug)]
pub struct Options {
    /// Vehicles, 1..=50. Default 2.
    pub vehicles: usize,
    /// Clients that are not ours, without a spool, 0..=50. Default 1.
    pub clients: usize,
    /// Fog nodes, all of them authorities, 4..=20. Default 4.
    pub fogs: usize,
    /// The scenario of all seeds. Default `None`: drawn for each seed.
    pub class: Option<Class>,
    /// What may go wrong. Default everything.
    pub faults: Kinds,
    /// Keep every event as text in the report. Default false.
    pub keep_events: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { vehicles: 2, clients: 1, fogs: 4, class: None, faults: Kinds::ALL, keep_events: false }
    }
}

/// A kind of scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The minutes asked for, vehicles at 0.5 to 10 Hz, blocks each 0.4 s.
    Minutes,
    /// The minutes asked for, vehicles at 100 to 1,000 Hz.
    Fast,
    /// Two days, vehicles at 0.01 to 0.1 Hz, blocks each half minute, outages of up to a day.
    Days,
    /// A cloud that is away while a vehicle signs 100,000 batches.
    Backlog,
}

impl Class {
    /// All, by name.
    pub const ALL: [(&'static str, Self); 4] =
        [("minutes", Self::Minutes), ("fast", Self::Fast), ("days", Self::Days), ("backlog", Self::Backlog)];
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::ALL.into_iter().find(|(_, class)| class == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

impl FromStr for Class {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|(name, _)| *name == text);
        named.map(|(_, class)| class).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.into_iter().map(|(name, _)| name).collect();
            format!("there is no scenario `{text}`; choose one of {}", names.join(", "))
        })
    }
}

/// Parameters drawn for one seed before anything runs.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub class: Class,
    /// Faults end and no more samples are taken then.
    pub calm: Duration,
    /// From then on, everything must be archived within so long.
    pub settle: Duration,
    /// The world is looked after so often.
    pub step: Duration,
    /// Between two readings of a vehicle's source.
    pub sample_ms: u64,
    /// Samples of one reading.
    pub samples: u64,
    /// A vehicle's batch holds at most so many records.
    pub batch_records: usize,
    /// Least time between blocks.
    pub block_ms: u64,
    /// How the cloud groups commits.
    pub grouping: Grouping,
    /// How the cloud keeps its archive.
    pub archive: Settings,
}

/// Of the run, so many percent have faults; then it is calm.
const FAULTY_PERCENT: u64 = 60;
/// At least so long may it take after the faults until everything is archived: the longest timer in the way is a
/// connection given up after 10 s, an offer again after 8 s, then 16 s and 32 s, a change of authorities, and a request
/// of 30 s to the store that began before.
const SETTLE: Duration = Duration::from_secs(240);
/// Least batches that fill a commit while vehicles are fast. Two vehicles at 1,000 Hz sign up to 2,700 batches of 8
/// records in a run of 18 s; with two commits a second they are archived in 84 s, within [`SETTLE`]. With one batch a
/// commit it would take 22 minutes, which says nothing about the product.
const FAST_COMMIT_BATCHES: usize = 16;

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(seed: u64, minutes_thousandths: u64, class: Option<Class>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x7363_656e);
        let drawn = if rng.random_range(0..16u32) == 0 { Class::Fast } else { Class::Minutes };
        let class = class.unwrap_or(drawn);
        let total = Duration::from_millis(minutes_thousandths * 60);
        let faulty = total * FAULTY_PERCENT as u32 / 100;
        let mut between = |least: f64, most: f64| (least * (most / least).powf(rng.random::<f64>())) as u64;
        let mut scenario = Self {
            class,
            calm: faulty,
            settle: SETTLE.max(total - faulty),
            step: Duration::from_millis(100),
            sample_ms: between(100.0, 2_000.0),
            samples: 1,
            batch_records: 8,
            block_ms: 400,
            grouping: Grouping { interval_ms: between(100.0, 3_000.0), ..Grouping::default() },
            archive: Settings::default(),
        };
        match class {
            Class::Minutes => {}
            Class::Fast => {
                scenario.sample_ms = 10;
                scenario.samples = between(1.0, 10.9);
                scenario.batch_records = between(8.0, 256.0) as usize;
            }
            Class::Days => {
                scenario.calm = Duration::from_secs(36 * 3_600);
                scenario.settle = Duration::from_secs(12 * 3_600);
                scenario.step = Duration::from_secs(10);
                scenario.sample_ms = between(10_000.0, 100_000.0);
                scenario.block_ms = 30_000;
                scenario.grouping.interval_ms = between(1_000.0, 60_000.0);
            }
            Class::Backlog => {
                scenario.calm = Duration::from_secs(105);
                scenario.settle = Duration::from_secs(3_600);
                scenario.step = Duration::from_secs(2);
                scenario.sample_ms = 10;
                scenario.samples = 10;
                scenario.batch_records = 1;
            }
        }
        let pick = |rng: &mut StdRng, of: [u64; 4]| of[rng.random_range(0..of.len())];
        scenario.archive.compact_files = pick(&mut rng, [2, 4, 16, 64]) as usize;
        scenario.archive.checkpoint_every = pick(&mut rng, [3, 7, 20, 100]);
        if rng.random_range(0..4u32) == 0 {
            let least = if class == Class::Fast { FAST_COMMIT_BATCHES * scenario.batch_records } else { 1 };
            scenario.grouping.max_records = least.max(pick(&mut rng, [1, 8, 40, 200]) as usize);
        }
        scenario
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_keep_up_with_fast_vehicles() {
        for seed in 0..1_000 {
            let scenario = Scenario::draw(seed, 300, Some(Class::Fast));
            let (most, batch) = (scenario.grouping.max_records, scenario.batch_records);
            assert!(most >= FAST_COMMIT_BATCHES * batch, "seed {seed}: {most} records, batches of {batch}");
        }
    }
}
