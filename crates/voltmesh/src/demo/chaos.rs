//! Faults drawn from a seed: kills, partitions and pauses of every role and wipes of fog nodes, of all lengths, several at
//! once, and a calm phase at the end.
//!
//! What the system promises to survive is drawn and nothing beyond it. Processes may be away in any number, since they
//! come back with their disks: the ledger stands still meanwhile. Fog nodes that lose their disk are at most f in a run:
//! when one of them votes again depends on how fast the ledger is (two epochs of 50 blocks), so no time is long enough.

use std::time::Duration;

use super::fault::{Fault, Kind, Schedule, Target};

/// The first fault comes no earlier: every vehicle has sent something.
const FIRST: Duration = Duration::from_secs(1);

/// Least time without a fault at the end; a quarter of longer runs.
const CALM: Duration = Duration::from_secs(10);

/// Least time in which faults happen.
const LEAST: Duration = Duration::from_secs(5);

/// Shortest fault; lengths are log-uniform from here to the whole time in which faults happen.
const SHORTEST: Duration = Duration::from_millis(100);

/// Makes the controller's random numbers differ from the others'.
const CONTROLLER: u64 = 0x0063_6f6e_7472_6f6c;

/// Draws the faults of a run of `duration`; the same seed gives the same faults.
///
/// # Errors
/// The run is too short to hold faults and a calm phase.
pub fn draw(seed: u64, fogs: usize, vehicles: usize, duration: Duration) -> Result<Schedule, String> {
    let calm = CALM.max(duration / 4);
    let end = duration.saturating_sub(calm);
    let span = end.saturating_sub(FIRST);
    if span < LEAST {
        let least = (FIRST + LEAST + CALM).as_secs();
        return Err(format!("--chaos wants a --duration of at least {least} s, of which {CALM:?} are calm"));
    }
    let mut random = Random(seed);
    let mut away = Vec::new();
    let targets = (1..=fogs).map(Target::Fog).chain((1..=vehicles).map(Target::Edge)).chain([Target::Cloud]);
    for target in targets {
        away.extend(outages(&target, FIRST, end, &mut random));
    }
    let wiped = wipes(&away, fogs, FIRST, end, &mut random);
    // Drawn by itself: the faults of other processes stay those that a seed always had.
    away.extend(outages(&Target::Controller, FIRST, end, &mut Random(seed ^ CONTROLLER)));
    let mut faults: Vec<Fault> = away.iter().flat_map(Outage::faults).collect();
    faults.extend(wiped);
    faults.sort_by_key(|fault| fault.at);
    Ok(Schedule(faults))
}

/// A time in which one process is away, or out of reach.
struct Outage {
    target: Target,
    begin: (Kind, Duration),
    end: (Kind, Duration),
}

impl Outage {
    fn faults(&self) -> [Fault; 2] {
        [self.begin, self.end].map(|(kind, at)| Fault { kind, target: self.target.clone(), at })
    }
}

/// One target's outages, one after the other, with a third of the time between two of them on average.
fn outages(target: &Target, first: Duration, end: Duration, random: &mut Random) -> Vec<Outage> {
    let span = end - first;
    let mut out = Vec::new();
    let mut at = first + random.exponential(span / 3);
    while at + SHORTEST < end {
        let (begins, ends) = random.of(&[
            (Kind::Kill, Kind::Restart),
            (Kind::Partition, Kind::Heal),
            (Kind::Pause, Kind::Resume),
        ]);
        let until = (at + random.length(SHORTEST, span)).min(end);
        out.push(Outage { target: target.clone(), begin: (begins, at), end: (ends, until) });
        at = until + SHORTEST + random.exponential(span / 3);
    }
    out
}

/// Wipes of fog nodes that are up: as many as the ledger tolerates to lose, f, or fewer.
fn wipes(away: &[Outage], fogs: usize, first: Duration, end: Duration, random: &mut Random) -> Vec<Fault> {
    let tolerated = (fogs - 1) / 3;
    let mut wiped = Vec::new();
    for _ in 0..tolerated {
        let fog = Target::Fog(1 + (random.unit() * fogs as f64) as usize % fogs);
        let at = first + millis((end - first).as_secs_f64() * random.unit());
        let is_away = |outage: &Outage| outage.target == fog && (outage.begin.1..=outage.end.1).contains(&at);
        if !away.iter().any(is_away) {
            wiped.push(Fault { kind: Kind::Wipe, target: fog, at });
        }
    }
    wiped
}

/// SplitMix64: the same numbers from the same seed on every machine and in every release.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// From 0 to below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.unit() * choices.len() as f64) as usize % choices.len()]
    }

    fn exponential(&mut self, mean: Duration) -> Duration {
        millis(mean.as_secs_f64() * -(1.0 - self.unit()).ln())
    }

    /// Log-uniform between two lengths.
    fn length(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let ratio = longest.as_secs_f64() / shortest.as_secs_f64();
        millis(shortest.as_secs_f64() * ratio.powf(self.unit()))
    }
}

/// Whole milliseconds, so that the printed faults are the drawn ones.
fn millis(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 1000.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: Duration = Duration::from_secs(60);

    fn drawn(seed: u64) -> Schedule {
        draw(seed, 4, 3, RUN).expect("long enough")
    }

    #[test]
    fn what_is_printed_replays_what_was_drawn() {
        for seed in 0..200 {
            let schedule = drawn(seed);
            assert_eq!(schedule.to_string().parse(), Ok(schedule.clone()), "seed {seed}");
            assert_eq!(schedule, drawn(seed));
            schedule.check(4, 3).expect("everything is up again at the end");
        }
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn every_kind_of_every_role_comes_and_the_end_is_calm() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            for fault in drawn(seed).0 {
                assert!(fault.at >= FIRST && fault.at <= RUN - RUN / 4, "{fault} of seed {seed}");
                seen.insert(format!("{}:{}", fault.kind, fault.target));
            }
        }
        for kind in ["kill", "restart", "partition", "heal", "pause", "resume"] {
            for target in ["fog-1", "fog-4", "edge-1", "edge-3", "cloud", "controller"] {
                assert!(seen.contains(&format!("{kind}:{target}")), "{kind}:{target}");
            }
        }
        assert!(seen.contains("wipe:fog-2"));
    }

    #[test]
    fn several_are_away_at_once_and_outages_are_short_and_long() {
        let (mut most, mut shortest, mut longest) = (0, RUN, Duration::ZERO);
        for seed in 0..50 {
            let mut down = std::collections::BTreeMap::new();
            for fault in drawn(seed).0 {
                match fault.kind {
                    Kind::Kill | Kind::Partition | Kind::Pause => {
                        down.insert(fault.target, fault.at);
                    }
                    Kind::Wipe | Kind::Tamper => {}
                    Kind::Restart | Kind::Heal | Kind::Resume => {
                        let since = down.remove(&fault.target).expect("it was away");
                        shortest = shortest.min(fault.at - since);
                        longest = longest.max(fault.at - since);
                    }
                }
                most = most.max(down.len());
            }
        }
        assert!(most >= 3, "{most}");
        assert!(shortest < Duration::from_millis(500) && longest > Duration::from_secs(25));
    }

    #[test]
    fn no_more_fog_nodes_are_emptied_than_the_ledger_tolerates() {
        for (fogs, tolerated) in [(4, 1), (6, 1), (7, 2)] {
            let mut most = 0;
            for seed in 0..300 {
                let schedule = draw(seed, fogs, 2, Duration::from_secs(3_600)).expect("long enough");
                most = most.max(schedule.0.iter().filter(|fault| fault.kind == Kind::Wipe).count());
            }
            assert_eq!(most, tolerated, "{fogs} fog nodes");
        }
    }

    #[test]
    fn a_run_without_room_for_a_calm_phase_is_refused() {
        assert!(draw(1, 4, 3, Duration::from_secs(12)).unwrap_err().contains("at least 16 s"));
        assert!(draw(1, 4, 3, Duration::from_secs(16)).is_ok());
    }
}
