//! Coverage of the detectors: what was looked for, how long, and why not longer: "nothing found" says nothing without it.

use super::Kind;
use crate::pack::PackSample;
use serde::Serialize;
use std::collections::BTreeMap;

/// Longest time in s between two samples that counts as looked at: half-minute samples and some missing.
const LONGEST_S: f64 = 60.0;

/// One kind of fault.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Look {
    /// Samples in which it could have been seen.
    pub samples: u64,
    /// Time between them in s.
    pub seconds: f64,
    /// Why it could not be looked for, where that was in no sample.
    pub missing: Option<String>,
}

/// Counts what could be looked for.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    looks: BTreeMap<Kind, (u64, f64)>,
    samples: u64,
    seconds: f64,
    groups: usize,
    temps: usize,
    insulation: bool,
}

impl Coverage {
    /// Whether cells are compared with each other for that kind.
    const fn compares(kind: Kind) -> bool {
        matches!(
            kind,
            Kind::InternalShort
                | Kind::SelfDischarge
                | Kind::ConnectionResistance
                | Kind::CapacityOutlier
                | Kind::SensorFreeze
        )
    }

    /// Takes a sample that came so long after the one before.
    pub(super) fn sample(&mut self, sample: &PackSample, dt_s: f64) {
        self.samples += 1;
        if (0.0..=LONGEST_S).contains(&dt_s) {
            self.seconds += dt_s;
        }
        self.groups = self.groups.max(sample.cells_v.iter().filter(|volts| volts.is_finite()).count());
        self.temps = self.temps.max(sample.temps_c.iter().filter(|temp| temp.is_finite()).count());
        self.insulation |= sample.insulation_ohm.is_some();
    }

    /// Takes that a detector had what it needs in that sample.
    pub(super) fn looked(&mut self, kind: Kind, dt_s: f64) {
        if Self::compares(kind) && self.groups < 2 || !(0.0..=LONGEST_S).contains(&dt_s) || dt_s == 0.0 {
            return;
        }
        let look = self.looks.entry(kind).or_default();
        look.0 += 1;
        look.1 += dt_s;
    }

    /// Time in s that was looked at.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Samples that were looked at.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Each kind of fault.
    #[must_use]
    pub fn looks(&self) -> BTreeMap<Kind, Look> {
        let of = |kind: Kind| {
            let (samples, seconds) = self.looks.get(&kind).copied().unwrap_or_default();
            Look { samples, seconds, missing: (samples == 0).then(|| self.why_not(kind)) }
        };
        Kind::ALL.into_iter().map(|kind| (kind, of(kind))).collect()
    }

    fn why_not(&self, kind: Kind) -> String {
        if self.samples == 0 {
            return "no sample could be used".into();
        }
        if self.seconds == 0.0 {
            return format!(
                "no two samples lie within {LONGEST_S} s of each other; are the times in another unit?"
            );
        }
        match kind {
            Kind::Insulation if !self.insulation => "no insulation resistance is in the log".into(),
            Kind::ThermalRunaway if self.temps == 0 => "no believable temperature is in the log".into(),
            Kind::ThermalRunaway => "no sensor went on for as long as a rise takes".into(),
            _ if Self::compares(kind) && self.groups < 2 => "cells are compared, and there is one".into(),
            _ => "the log is too short to tell it from what cells differ by".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(coverage: &Coverage, kind: Kind) -> String {
        coverage.looks()[&kind].missing.clone().unwrap_or_default()
    }

    #[test]
    fn why_not_is_said() {
        let mut coverage = Coverage::default();
        assert!(missing(&coverage, Kind::SensorBias).contains("no sample"));
        let sample = PackSample { cells_v: vec![3.7], ..PackSample::default() };
        coverage.sample(&sample, 0.0);
        coverage.sample(&sample, 1_000.0);
        coverage.looked(Kind::SensorBias, 1_000.0);
        assert!(missing(&coverage, Kind::SensorBias).contains("another unit"));
        coverage.sample(&sample, 1.0);
        coverage.looked(Kind::SensorBias, 1.0);
        coverage.looked(Kind::InternalShort, 1.0);
        assert_eq!(missing(&coverage, Kind::SensorBias), "");
        for (kind, what) in [
            (Kind::InternalShort, "there is one"),
            (Kind::Insulation, "no insulation"),
            (Kind::ThermalRunaway, "no believable temperature"),
        ] {
            assert!(missing(&coverage, kind).contains(what), "{kind}");
        }
        assert_eq!((coverage.samples(), coverage.seconds()), (3, 1.0));
    }
}
