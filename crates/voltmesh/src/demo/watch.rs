//! What the processes say of themselves, added up over their lives: a killed process starts counting at zero again.

use std::collections::BTreeMap;

use voltmesh_control::{Latency, Status};

/// The stages of a record, in order, and the counter of a status that tells each.
pub const STAGES: [&str; 5] = ["sampled", "spooled", "received", "anchored", "archived"];

/// One process's counters over all its lives.
#[derive(Debug, Default, Clone)]
struct Life {
    /// Sum of the last values of earlier lives.
    before: BTreeMap<String, u64>,
    now: BTreeMap<String, u64>,
    latencies: BTreeMap<String, Latency>,
}

/// The counters of all processes of a run.
#[derive(Debug, Default, Clone)]
pub struct Watch {
    lives: BTreeMap<String, Life>,
}

impl Watch {
    /// Takes in what a process answered.
    pub fn update(&mut self, process: &str, status: Status) {
        let life = self.lives.entry(process.to_owned()).or_default();
        life.now = status.counters;
        life.latencies = status.latencies;
    }

    /// A process has been killed: what it counted stays, and its next life starts at zero.
    pub fn died(&mut self, process: &str) {
        let Some(life) = self.lives.get_mut(process) else { return };
        for (name, value) in std::mem::take(&mut life.now) {
            *life.before.entry(name).or_default() += value;
        }
    }

    /// The sum of a counter over all processes whose name starts with `prefix`.
    pub fn sum(&self, prefix: &str, counter: &str) -> u64 {
        let lives = self.lives.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, life)| life);
        lives.map(|life| count(&life.before, counter) + count(&life.now, counter)).sum()
    }

    /// The largest value of a gauge among processes whose name starts with `prefix`.
    pub fn gauge_max(&self, prefix: &str, name: &str) -> u64 {
        let lives =
            self.lives.iter().filter(|(process, _)| process.starts_with(prefix)).map(|(_, life)| life);
        lives.map(|life| count(&life.now, name)).max().unwrap_or(0)
    }

    /// The worst percentiles that processes whose name starts with `prefix` have seen, weighted by nobody: a user asks
    /// how bad it gets.
    pub fn latency(&self, prefix: &str, name: &str) -> Latency {
        let lives =
            self.lives.iter().filter(|(process, _)| process.starts_with(prefix)).map(|(_, life)| life);
        lives.filter_map(|life| life.latencies.get(name)).fold(Latency::default(), |worst, one| Latency {
            p50_us: worst.p50_us.max(one.p50_us),
            p99_us: worst.p99_us.max(one.p99_us),
            count: worst.count + one.count,
        })
    }
}

fn count(counters: &BTreeMap<String, u64>, name: &str) -> u64 {
    counters.get(name).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use voltmesh_control::Role;

    fn status(archived: u64) -> Status {
        let mut status = Status::new(Role::Edge, "edge");
        status.counters.insert("archived".into(), archived);
        status
    }

    #[test]
    fn a_killed_process_counts_on() {
        let mut watch = Watch::default();
        watch.update("edge-1", status(5));
        watch.update("edge-2", status(3));
        watch.died("edge-1");
        assert_eq!(watch.sum("edge-", "archived"), 8);
        watch.update("edge-1", status(2));
        watch.update("edge-1", status(4));
        assert_eq!(watch.sum("edge-", "archived"), 12);
        assert_eq!(watch.sum("fog-", "archived"), 0);
        assert_eq!(watch.gauge_max("edge-", "archived"), 4);
    }
}
