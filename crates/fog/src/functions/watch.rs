//! What a node sees of its vehicles: one summary of each a second.
//!
//! A second is over with the first sample of a later one, and is told then. One that no later sample ends is told when nothing has
//! come for a second. Where a vehicle catches up, several of its seconds come at once: the newest is told, since the controller judges
//! what is now.

use std::collections::{BTreeMap, BTreeSet};

use voltmesh_battery::{
    pack::PackSample,
    summary::{Summarizer, Summary},
    watch::Verdict,
};
use voltmesh_control::VehicleSummary;
use voltmesh_telemetry::{Boot, Timestamp, VehicleId};

use super::decode::{ReportSaid, Said};

/// Time in s by which a report may be older than the newest sample: longer ago, it says nothing of now.
const REPORT_HOLDS_S: f64 = 10.0;

/// Time without samples after which a second is over, in ms.
const SILENT_MS: u64 = 1_000;

/// Time without samples and session after which a vehicle is forgotten, in ms: the longest trend's window.
const FORGET_MS: u64 = 600_000;

/// Round trips of which the lowest counts: a vehicle that answers late by its own doing does so now and then.
const ROUND_TRIPS: usize = 8;

/// One vehicle.
#[derive(Debug, Default)]
struct Vehicle {
    summarizer: Summarizer,
    /// The newest second that is over and not told.
    closed: Option<Summary>,
    said: Option<Said>,
    failed: u32,
    refused: bool,
    chemistry: Option<String>,
    /// Time of the newest sample, in s.
    newest_s: Option<f64>,
    /// Of its newest batch.
    boot: Option<Boot>,
    sessions: u32,
    round_trips: Vec<u64>,
    last: Timestamp,
}

/// All vehicles of a node, at most as many as it is told.
#[derive(Debug)]
pub struct Watch {
    vehicles: BTreeMap<VehicleId, Vehicle>,
    bound: usize,
    /// Vehicles that found no room.
    crowded: u64,
    /// Samples not after the vehicle's newest.
    late: u64,
    /// Vehicles with a second that is over and not told.
    over: BTreeSet<VehicleId>,
}

impl Watch {
    /// One that has seen nothing and follows at most so many vehicles.
    pub fn new(bound: usize) -> Self {
        Self { vehicles: BTreeMap::new(), bound, crowded: 0, late: 0, over: BTreeSet::new() }
    }

    /// Vehicles that are followed.
    pub fn followed(&self) -> usize {
        self.vehicles.len()
    }

    /// Times that a vehicle was not followed because the bound was reached.
    pub fn crowded(&self) -> u64 {
        self.crowded
    }

    /// Samples that were left out because they were not after the vehicle's newest.
    pub fn late(&self) -> u64 {
        self.late
    }

    fn vehicle(&mut self, now: Timestamp, id: &VehicleId) -> Option<&mut Vehicle> {
        if !self.vehicles.contains_key(id) {
            if self.vehicles.len() >= self.bound {
                self.crowded += 1;
                return None;
            }
            self.vehicles.insert(id.clone(), Vehicle::default());
        }
        let vehicle = self.vehicles.get_mut(id)?;
        vehicle.last = vehicle.last.max(now);
        Some(vehicle)
    }

    /// A session of the vehicle has begun, or ended.
    pub fn session(&mut self, now: Timestamp, id: &VehicleId, begun: bool) {
        if !begun && !self.vehicles.contains_key(id) {
            return;
        }
        if let Some(vehicle) = self.vehicle(now, id) {
            vehicle.sessions =
                if begun { vehicle.sessions.saturating_add(1) } else { vehicle.sessions.saturating_sub(1) };
            if vehicle.sessions == 0 {
                vehicle.round_trips.clear();
            }
        }
    }

    /// The round trip to a vehicle was measured.
    pub fn round_trip(&mut self, id: &VehicleId, us: u64) {
        let Some(vehicle) = self.vehicles.get_mut(id) else { return };
        if vehicle.round_trips.len() >= ROUND_TRIPS {
            vehicle.round_trips.remove(0);
        }
        vehicle.round_trips.push(us);
    }

    /// Samples of this boot follow. False if a later one has begun: what comes of it is old. With a new boot time may begin anew.
    pub fn boot(&mut self, now: Timestamp, id: &VehicleId, boot: Boot) -> bool {
        let Some(vehicle) = self.vehicle(now, id) else { return false };
        if vehicle.boot.is_some_and(|known| boot < known) {
            self.late += 1;
            return false;
        }
        if vehicle.boot != Some(boot) {
            vehicle.boot = Some(boot);
            vehicle.newest_s = None;
        }
        true
    }

    /// Takes a sample. False if it is left out: it is not after the newest.
    pub fn sample(&mut self, now: Timestamp, id: &VehicleId, sample: &PackSample) -> bool {
        let Some(vehicle) = self.vehicle(now, id) else { return false };
        if vehicle.newest_s.is_some_and(|newest| sample.time_s <= newest) {
            self.late += 1;
            return false;
        }
        vehicle.newest_s = Some(sample.time_s);
        let is_over = vehicle.summarizer.is_over(sample.time_s);
        if is_over {
            vehicle.close();
        }
        vehicle.summarizer.push(Some(sample), &Verdict { usable: true, ..Verdict::default() });
        if is_over {
            self.over.insert(id.clone());
        }
        true
    }

    /// Takes the report beside the samples that came last.
    pub fn report(&mut self, now: Timestamp, id: &VehicleId, report: &ReportSaid) {
        let Some(vehicle) = self.vehicle(now, id) else { return };
        vehicle.failed = vehicle.failed.saturating_add(report.failed);
        vehicle.refused = report.refused;
        if report.chemistry.is_some() {
            vehicle.chemistry.clone_from(&report.chemistry);
        }
        vehicle.said.clone_from(&report.said);
    }

    /// Whether a second is over and not told.
    pub fn has_told(&self) -> bool {
        self.over.is_empty()
    }

    /// Seconds that are over and not told.
    pub fn over(&mut self) -> Vec<VehicleSummary<Summary>> {
        let over = std::mem::take(&mut self.over);
        let all = over.iter().filter_map(|id| Some(self.vehicles.get_mut(id)?.told(id)));
        all.filter(|one| one.summary.is_some()).collect()
    }

    /// Once a second: all vehicles with a session, and those of which a second is over.
    pub fn second(&mut self, now: Timestamp) -> Vec<VehicleSummary<Summary>> {
        self.over.clear();
        let mut all = Vec::new();
        self.vehicles.retain(|id, vehicle| {
            if now.millis_since(vehicle.last) >= SILENT_MS {
                vehicle.close();
            }
            let told = vehicle.told(id);
            let connected = told.connected;
            if connected || told.summary.is_some() {
                all.push(told);
            }
            connected || now.millis_since(vehicle.last) < FORGET_MS
        });
        all
    }
}

impl Vehicle {
    /// What is told now.
    fn told(&mut self, id: &VehicleId) -> VehicleSummary<Summary> {
        VehicleSummary {
            vehicle: id.clone(),
            connected: self.sessions > 0,
            round_trip_us: self.round_trips.iter().min().copied(),
            chemistry: self.chemistry.clone(),
            summary: self.closed.take(),
        }
    }

    /// Ends a second, with what the vehicle said of it.
    fn close(&mut self) {
        let Some(mut summary) = self.summarizer.close(None) else { return };
        let holds = |said: &&Said| (summary.time_s - said.time_s).abs() <= REPORT_HOLDS_S;
        if let Some(said) = self.said.as_ref().filter(holds) {
            summary.estimates = Some(said.estimates);
            summary.found.clone_from(&said.found);
        }
        summary.quality.failed = summary.quality.failed.saturating_add(std::mem::take(&mut self.failed));
        summary.quality.refused |= self.refused;
        self.closed = Some(summary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voltmesh_battery::{estimate::power::Uncertain, summary::Estimates, twin::Limits};

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1_780_000_000_000 + ms)
    }

    fn car() -> VehicleId {
        "car".parse().unwrap()
    }

    fn sample(time_s: f64, hottest_c: f64) -> PackSample {
        PackSample {
            time_s,
            voltage_v: 360.0,
            current_a: 10.0,
            cells_v: vec![3.7, 3.75],
            temps_c: vec![20.0, hottest_c],
            insulation_ohm: None,
        }
    }

    fn said(time_s: f64) -> ReportSaid {
        let one = Uncertain { value: 0.5, sd: 0.01 };
        let estimates = Estimates {
            soc: one,
            soc_range: (0.4, 0.6),
            soh_capacity: one,
            limits: Limits { charge_a: 100.0, discharge_a: 200.0 },
            disagreement: None,
        };
        let said = Said { time_s, estimates, soh_resistance: one, found: Vec::new() };
        ReportSaid { said: Some(said), failed: 2, ..ReportSaid::default() }
    }

    #[test]
    fn a_second_is_told_once_with_what_the_vehicle_said_of_it() {
        let mut watch = Watch::new(10);
        watch.session(at(0), &car(), true);
        watch.round_trip(&car(), 900);
        watch.round_trip(&car(), 700);
        for step in 0..10 {
            assert!(watch.sample(at(0), &car(), &sample(100.0 + f64::from(step) / 10.0, 25.0)));
        }
        watch.report(at(0), &car(), &said(100.9));
        let told = watch.second(at(1_000));
        assert_eq!((told.len(), told[0].connected, told[0].round_trip_us), (1, true, Some(700)));
        let summary = told[0].summary.as_ref().unwrap();
        assert_eq!((summary.quality.samples, summary.quality.failed), (10, 2));
        assert_eq!(summary.temps_c.unwrap().highest, 25.0);
        assert_eq!(summary.estimates.unwrap().limits.charge_a, 100.0);
        let again = watch.second(at(2_000));
        assert_eq!((again.len(), again[0].summary.is_some()), (1, false), "connected, and nothing came");
        watch.session(at(2_000), &car(), false);
        assert_eq!(watch.second(at(3_000)), []);
    }

    #[test]
    fn of_seconds_that_come_at_once_the_newest_is_told() {
        let mut watch = Watch::new(10);
        for second in 0..60 {
            watch.sample(at(0), &car(), &sample(f64::from(second), f64::from(second)));
        }
        assert!(!watch.has_told());
        let told = watch.over();
        let summary = told[0].summary.as_ref().unwrap();
        assert_eq!((summary.time_s, summary.temps_c.unwrap().highest), (58.0, 58.0), "the last is not over");
        assert!(watch.has_told() && watch.over().is_empty() && watch.second(at(999)).is_empty());
        let told = watch.second(at(1_000));
        let summary = told[0].summary.as_ref().unwrap();
        assert_eq!((summary.time_s, summary.temps_c.unwrap().highest), (59.0, 59.0));
        assert!(summary.trends[0].hottest.is_some(), "the trend is of all of them");
    }

    #[test]
    fn an_old_report_says_nothing_of_now_and_an_old_sample_is_left_out() {
        let mut watch = Watch::new(10);
        watch.sample(at(0), &car(), &sample(100.0, 25.0));
        watch.report(at(0), &car(), &said(80.0));
        assert!(watch.second(at(1_000))[0].summary.as_ref().unwrap().estimates.is_none());
        assert!(!watch.sample(at(0), &car(), &sample(99.0, 80.0)));
        assert!(!watch.sample(at(0), &car(), &sample(100.0, 80.0)));
        assert_eq!((watch.second(at(2_000)).len(), watch.late()), (0, 2));
    }

    #[test]
    fn with_a_new_boot_time_may_begin_anew_and_the_old_one_is_over() {
        let mut watch = Watch::new(10);
        assert!(watch.boot(at(0), &car(), Boot::new(7)) && watch.sample(at(0), &car(), &sample(100.0, 25.0)));
        assert!(watch.boot(at(0), &car(), Boot::new(7)) && !watch.sample(at(0), &car(), &sample(5.0, 25.0)));
        assert!(watch.boot(at(0), &car(), Boot::new(8)) && watch.sample(at(0), &car(), &sample(5.0, 25.0)));
        assert!(!watch.boot(at(0), &car(), Boot::new(7)));
        assert_eq!(watch.late(), 2);
    }

    #[test]
    fn vehicles_are_bounded_and_forgotten() {
        let mut watch = Watch::new(2);
        for name in ["a", "b", "c"] {
            watch.sample(at(0), &name.parse().unwrap(), &sample(1.0, 25.0));
        }
        assert_eq!((watch.followed(), watch.crowded(), watch.second(at(1_000)).len()), (2, 1, 2));
        watch.second(at(FORGET_MS));
        assert_eq!(watch.followed(), 0);
        watch.session(at(FORGET_MS), &car(), false);
        assert_eq!(watch.followed(), 0, "the end of a session brings nobody back");
    }
}
