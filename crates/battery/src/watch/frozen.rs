//! Voltages that stand still while the others move: a broken sense wire.

use super::residual::Residual;
use crate::pack::PackSample;

/// Samples for which a voltage must stand still, and by how much the others must have moved, in V.
const FROZEN_SAMPLES: u32 = 60;
pub(super) const MOVED_V: f64 = 0.04;

/// The same from which on a voltage is no longer believed.
const SUSPECT_SAMPLES: u32 = 4;
const SUSPECT_V: f64 = 0.006;

/// A voltage that stands still.
#[derive(Clone, Copy, Default)]
struct Stuck {
    volts: f64,
    samples: u32,
    low: f64,
    high: f64,
}

/// Voltages of a pack, and for how long each stands still.
#[derive(Default)]
pub(super) struct FrozenVoltages {
    stuck: Vec<Stuck>,
}

impl FrozenVoltages {
    /// Takes a sample's voltages, and blanks those that stand still while the others move.
    pub fn screen(&mut self, sample: &mut PackSample) {
        self.stuck.resize(sample.cells_v.len(), Stuck::default());
        let mean = sample.mean_cell_v().unwrap_or(0.0);
        for (stuck, volts) in self.stuck.iter_mut().zip(&mut sample.cells_v) {
            if (stuck.volts - *volts).abs() < 1e-9 {
                stuck.samples += 1;
                stuck.low = stuck.low.min(mean);
                stuck.high = stuck.high.max(mean);
            } else {
                *stuck = Stuck { volts: *volts, samples: 0, low: mean, high: mean };
            }
            if stuck.samples >= SUSPECT_SAMPLES && stuck.high - stuck.low > SUSPECT_V {
                *volts = f64::NAN;
            }
        }
    }

    /// V that the others moved while one stood still, the worst.
    pub fn residual(&self) -> Residual {
        let mut worst = Residual { value: 0.0, cells: Vec::new() };
        for (group, stuck) in self.stuck.iter().enumerate() {
            let moved = stuck.high - stuck.low;
            if stuck.samples >= FROZEN_SAMPLES && moved > worst.value {
                worst = Residual { value: moved, cells: vec![group] };
            }
        }
        worst
    }

    /// Begins anew.
    pub fn restart(&mut self) {
        self.stuck.clear();
    }
}
