//! Differences between this node's clock and others' are said; the rule is in `state/clock.rs`.

use voltmesh_control::{CLOCK_TOLERANCE_MS, Hello};
use voltmesh_telemetry::{Timestamp, VehicleId};

use super::core::Ingest;

impl Ingest {
    pub(super) fn block_time(&mut self, block: Timestamp) {
        let now = self.now;
        if let Some((off_ms, ahead)) = self.clock.block(now, block) {
            self.counters.clock_off += 1;
            let way = if ahead { "ahead of" } else { "behind" };
            self.log(format!(
                "this node's clock is {} s {way} the ledger's: set it; its votes count for nothing while they differ",
                off_ms / 1000
            ));
        }
    }

    /// The cloud's clock, as its notices say it: they are made a moment before they come.
    pub(super) fn cloud_clock(&mut self, cloud: Timestamp) {
        let (ahead, behind) = (cloud.millis_since(self.now), self.now.millis_since(cloud));
        if ahead.max(behind) <= CLOCK_TOLERANCE_MS {
            return;
        }
        self.counters.cloud_clock_off += 1;
        if self.clock.says_of_cloud(self.now) {
            let way = if ahead > 0 { "ahead of" } else { "behind" };
            self.log(format!(
                "the cloud's clock is {} s {way} this node's: set the one that is wrong",
                ahead.max(behind) / 1000
            ));
        }
    }

    pub(super) fn vehicle_clock(&mut self, vehicle: &VehicleId, hello: &Hello) {
        let Some(clock) = hello.clock() else { return };
        let (ahead, behind) = (clock.millis_since(self.now), self.now.millis_since(clock));
        if ahead.max(behind) > CLOCK_TOLERANCE_MS {
            self.counters.vehicle_clocks_off += 1;
            let way = if ahead > 0 { "ahead of" } else { "behind" };
            self.log(format!(
                "the clock of {vehicle} is {} s {way} this node's: set the one that is wrong",
                ahead.max(behind) / 1000
            ));
        }
    }
}
