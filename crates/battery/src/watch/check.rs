//! Whether a sample can be believed, before anything is estimated from it.

use crate::{Chemistry, estimate::GAP_S, pack::PackSample};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Time in s between samples above which relaxation is no longer followed.
const SPARSE_S: f64 = 30.0;

/// Distance by which a cell's voltage may leave the chemistry's window and still be that of a cell, in V.
const BEYOND_V: f64 = 0.4;

/// Samples in which voltages must contradict the chemistry before estimation is refused.
const CONTRADICTIONS: u32 = 5;

/// A jump of the current per Ah, in A, and of the mean voltage, in V, that tells the current's sign.
const JUMP_PER_AH: f64 = 0.1;
const JUMP_V: f64 = 0.003;

/// Jumps that are remembered, and how many of them must go the wrong way.
const JUMPS: u32 = 20;
const WRONG_WAY: u32 = 17;

/// Check that a sample failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The time is no number.
    Time,
    /// The time is not after the last sample's.
    Backwards,
    /// Nothing came for a long time.
    Gap,
    /// Samples are too far apart to follow relaxation.
    Sparse,
    /// The current is no number.
    Current,
    /// The current is more than any such cell gives: another unit?
    CurrentRange,
    /// The current's sign is wrong: voltage falls when it says charge.
    CurrentSign,
    /// No cell has a voltage.
    Voltage,
    /// Voltages are in another unit (mV for V).
    VoltageUnit,
    /// Voltages are not those of the chemistry.
    Chemistry,
    /// No temperature; or one that no vehicle has.
    Temperature,
    /// A temperature changes as no cell's can, or contradicts all others.
    TemperatureSensor,
    /// The time began anew.
    Restart,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "the time is no number",
            Self::Backwards => "the time is not after the last sample's",
            Self::Gap => "nothing came for more than ten minutes: the state of relaxation is unknown",
            Self::Sparse => "samples are more than half a minute apart",
            Self::Current => "the current is no number",
            Self::CurrentRange => "the current is beyond 20C: is it in another unit?",
            Self::CurrentSign => "voltage falls when the current says charge: is its sign wrong?",
            Self::Voltage => "no cell has a voltage",
            Self::VoltageUnit => "cell voltages are hundreds of volts: are they in mV?",
            Self::Chemistry => "cell voltages are not those of this chemistry",
            Self::Temperature => "there is no believable temperature",
            Self::TemperatureSensor => "a temperature is its sensor's fault and is not used",
            Self::Restart => "the time began anew: nothing is carried across",
        })
    }
}

/// Verdict of a sample's checks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Which failed.
    pub failed: Vec<Check>,
    /// Whether the sample may be used (what is wrong in it is blanked).
    pub usable: bool,
    /// Whether estimates are refused: the samples are of something else.
    pub refused: bool,
    /// Whether the samples' time began anew with this one: what was followed until now is over.
    pub restarted: bool,
}

/// Checks samples of one pack, in order.
#[derive(Debug, Clone)]
pub struct Checker {
    chemistry: Chemistry,
    capacity_ah: f64,
    last: Option<(f64, f64, f64)>,
    /// Time of a sample that was not after the last one: one bad stamp, or the first of a new beginning.
    back_s: Option<f64>,
    contradictions: u32,
    /// A bit each jump, set if it went the wrong way.
    jumps: u32,
    seen: u32,
}

impl Checker {
    /// For groups of that chemistry and capacity.
    #[must_use]
    pub fn new(chemistry: Chemistry, capacity_ah: f64) -> Self {
        Self { chemistry, capacity_ah, last: None, back_s: None, contradictions: 0, jumps: 0, seen: 0 }
    }

    /// Checks a sample and blanks what cannot be believed in it.
    pub fn check(&mut self, sample: &mut PackSample) -> Verdict {
        let mut verdict = Verdict { usable: true, ..Verdict::default() };
        self.time(sample.time_s, &mut verdict);
        if !sample.current_a.is_finite() {
            verdict.failed.push(Check::Current);
            verdict.usable = false;
        } else if sample.current_a.abs() > 20.0 * self.capacity_ah {
            verdict.failed.push(Check::CurrentRange);
            verdict.usable = false;
        }
        self.voltages(sample, &mut verdict);
        for temp in &mut sample.temps_c {
            if !(-60.0..150.0).contains(temp) {
                *temp = f64::NAN;
            }
        }
        if sample.mean_temp_c().is_none() {
            verdict.failed.push(Check::Temperature);
        }
        if verdict.usable {
            self.sign(sample, &mut verdict);
        }
        verdict.refused = self.contradictions >= CONTRADICTIONS || self.wrong_way();
        verdict.usable &= !verdict.refused;
        verdict
    }

    fn time(&mut self, time_s: f64, verdict: &mut Verdict) {
        if !time_s.is_finite() {
            verdict.failed.push(Check::Time);
            verdict.usable = false;
            return;
        }
        let Some((last_s, ..)) = self.last else { return };
        let dt_s = time_s - last_s;
        let before_s = self.back_s.take();
        if dt_s <= 0.0 {
            // One stamp may be bad; a second that goes on from it is a clock that began anew.
            if before_s.is_some_and(|before_s| time_s > before_s && time_s - before_s <= GAP_S) {
                verdict.failed.push(Check::Restart);
                verdict.restarted = true;
                self.last = None;
                return;
            }
            self.back_s = Some(time_s);
            verdict.failed.push(Check::Backwards);
            verdict.usable = false;
        } else if dt_s > GAP_S {
            verdict.failed.push(Check::Gap);
        } else if dt_s > SPARSE_S {
            verdict.failed.push(Check::Sparse);
        }
    }

    fn voltages(&mut self, sample: &mut PackSample, verdict: &mut Verdict) {
        let (low, high) = self.chemistry.voltage_window_v();
        let (mut known, mut inside, mut milli) = (0u32, 0u32, 0u32);
        for volts in &mut sample.cells_v {
            if !volts.is_finite() || *volts < 0.2 {
                *volts = f64::NAN;
                continue;
            }
            known += 1;
            milli += u32::from(*volts > 100.0);
            if (low - BEYOND_V..=high + BEYOND_V / 2.0).contains(volts) {
                inside += 1;
            } else {
                *volts = f64::NAN;
            }
        }
        if known == 0 {
            verdict.failed.push(Check::Voltage);
        } else if milli * 2 > known {
            verdict.failed.push(Check::VoltageUnit);
            verdict.usable = false;
        } else if inside * 2 < known {
            verdict.failed.push(Check::Chemistry);
            self.contradictions = self.contradictions.saturating_add(1);
            verdict.usable = false;
        } else {
            self.contradictions = self.contradictions.saturating_sub(1);
        }
    }

    /// A jump of the current moves the voltage in its direction, whatever the cell.
    fn sign(&mut self, sample: &PackSample, verdict: &mut Verdict) {
        let volts = sample.mean_cell_v().unwrap_or(f64::NAN);
        if let Some((last_s, last_a, last_v)) = self.last
            && sample.time_s - last_s < 5.0
        {
            let (jump_a, jump_v) = (sample.current_a - last_a, volts - last_v);
            if jump_a.abs() > JUMP_PER_AH * self.capacity_ah && jump_v.abs() > JUMP_V {
                self.jumps = self.jumps << 1 | u32::from(jump_a * jump_v < 0.0);
                self.seen = (self.seen + 1).min(JUMPS);
            }
        }
        if self.wrong_way() {
            verdict.failed.push(Check::CurrentSign);
        }
        self.last = Some((sample.time_s, sample.current_a, volts));
    }

    fn wrong_way(&self) -> bool {
        self.seen == JUMPS && (self.jumps & ((1 << JUMPS) - 1)).count_ones() >= WRONG_WAY
    }
}
