//! Faults put into a simulated pack: labelled sets for what looks for faults.

use super::{Pack, PackSample};
use crate::FaultKind;
use serde::{Deserialize, Serialize};

/// A fault, where, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Which.
    pub kind: FaultKind,
    /// Which group of cells, from 0.
    pub group: usize,
    /// When it begins.
    pub since_s: f64,
    /// How bad: 1 is, for groups of 60 Ah, a short of 5 A; 1 mΩ more within ten minutes; a current 2 A off; 15 % less
    /// capacity; a leak of 0.4 A; 60 W within and half a volt less; 60 kΩ of insulation. A frozen sensor knows no degrees.
    pub severity: f64,
}

/// Time in which what grows has grown, in s.
const GROWN_S: f64 = 600.0;

impl Fault {
    /// Puts it into the pack; before each step.
    pub fn act(&self, pack: &mut Pack, time_s: f64) {
        let group = self.group.min(pack.layout.series - 1);
        let first = group * pack.layout.parallel;
        if time_s < self.since_s {
            return;
        }
        let scale_ah = pack.cell.params().capacity_ah * pack.layout.parallel as f64 / 60.0;
        match self.kind {
            FaultKind::InternalShort => {
                pack.drain_a[group] = 5.0 * self.severity * scale_ah;
                pack.heat_w[first] = 5.0 * 3.7 * self.severity * scale_ah;
            }
            FaultKind::ConnectionResistance => {
                let grown = ((time_s - self.since_s) / GROWN_S).min(1.0);
                pack.contact_ohm[group] = 1e-3 * self.severity * grown / scale_ah;
            }
            FaultKind::CapacityOutlier => {
                let nominal_ah = pack.cell.params().capacity_ah;
                for index in first..first + pack.layout.parallel {
                    pack.capacity_ah[index] = nominal_ah * (1.0 - 0.15 * self.severity);
                }
            }
            FaultKind::SelfDischarge => pack.drain_a[group] = 0.4 * self.severity * scale_ah,
            FaultKind::ThermalRunaway => pack.heat_w[first] = 60.0 * self.severity * scale_ah.max(0.05),
            FaultKind::SensorBias | FaultKind::SensorFreeze | FaultKind::Insulation => {}
        }
    }

    /// Puts it into what sensors say; after each reading. `frozen` keeps what a frozen sensor says.
    pub fn distort(&self, sample: &mut PackSample, capacity_ah: f64, frozen: &mut Option<f64>) {
        if sample.time_s < self.since_s || self.group >= sample.cells_v.len() {
            return;
        }
        match self.kind {
            FaultKind::SensorBias => sample.current_a += 2.0 * self.severity * capacity_ah / 60.0,
            FaultKind::SensorFreeze => {
                sample.cells_v[self.group] = *frozen.get_or_insert(sample.cells_v[self.group]);
            }
            FaultKind::Insulation => {
                let sound = sample.insulation_ohm.unwrap_or(2e6);
                sample.insulation_ohm = Some(sound.min(60_000.0 / self.severity));
            }
            FaultKind::ThermalRunaway => {
                // Half a volt within two minutes, as a separator gives way.
                let part = ((sample.time_s - self.since_s) / 120.0).min(1.0);
                sample.cells_v[self.group] -= 0.5 * part * self.severity.min(2.0);
            }
            _ => {}
        }
    }
}
