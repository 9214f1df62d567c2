//! Published laws, each with the range it was measured in.
//!
//! NMC and NCA: Schmalstieg, Käbitz, Ecker, Sauer, J. Power Sources 257:325, 2014, eq. 13–20 (Sanyo UR18650E, 2.15 Ah:
//! storage at 35–65 °C and all charges; cycles at 35 °C, 1C, depths of 5–100 %). LFP: Naumann et al., J. Energy Storage
//! 17:153, 2018, eq. 10–14, and J. Power Sources 451:227666, 2020, eq. 5–8 (Sony US26650FTC1, 2.85 Ah: storage at 0–60 °C;
//! cycles at 25–40 °C, 0.2–1C). What the papers leave open is below, marked as ours.

use super::conditions::{Rest, Use};
use crate::{
    Chemistry,
    units::{GAS_CONSTANT, HOUR_S, kelvin},
};

/// Cycle losses go with the square root of throughput, in both papers.
pub(super) const CYCLE_POWER: f64 = 0.5;

/// Coldest and hottest that any law is evaluated at, in °C: beyond, it is that of the bound.
const TEMP_C: (f64, f64) = (-30.0, 70.0);

/// Mean voltages that layered cells were cycled at, in V: beyond, it is that of the bound.
const VOLTAGE_V: (f64, f64) = (3.0, 4.2);

/// Ah of throughput of the 2.15 Ah cell in an equivalent full cycle.
const SANYO_AH: f64 = 4.3;

/// Ours: charge below this temperature plates lithium (Waldmann et al., J. Power Sources 262:129, 2014, find the turn at
/// 25 °C and a steep rise below 10 °C); loss doubles for each 10 K less, at most eightfold.
const PLATING_C: f64 = 10.0;
const PLATING_MOST: f64 = 8.0;

/// Ours: dependence of NMC's cycle loss on C-rate, which was not varied: that of LFP (Naumann 2020, eq. 6), relative to 1C.
fn rate_stress(c_rate: f64) -> f64 {
    (0.0630 * c_rate.clamp(0.0, 3.0) + 0.0971) / (0.0630 + 0.0971)
}

fn plating(temp_c: f64) -> f64 {
    2f64.powf((PLATING_C - temp_c).max(0.0) / 10.0).min(PLATING_MOST)
}

/// The loss after more of `amount`, where loss = rate · amount^power at constant conditions.
pub(super) fn further(loss: f64, rate: f64, amount: f64, power: f64) -> f64 {
    if rate <= 0.0 {
        return loss;
    }
    let so_far = (loss / rate).powf(1.0 / power);
    rate * (so_far + amount).powf(power)
}

/// Laws of a chemistry.
pub(super) enum Law {
    Layered,
    Phosphate,
}

impl Law {
    pub fn of(chemistry: Chemistry) -> Self {
        match chemistry {
            Chemistry::Nca | Chemistry::Nmc => Self::Layered,
            Chemistry::Lfp => Self::Phosphate,
        }
    }

    /// Power of time.
    pub fn calendar_power(&self) -> f64 {
        match self {
            Self::Layered => 0.75,
            Self::Phosphate => 0.5,
        }
    }

    /// Loss for a day to that power, and whether that was measured.
    pub fn calendar(&self, rest: &Rest) -> (f64, bool) {
        let temp_k = kelvin(rest.temp_c.clamp(TEMP_C.0, TEMP_C.1));
        let soc = rest.soc.clamp(0.0, 1.0);
        match self {
            Self::Layered => {
                let rate = (7.543 * rest.voltage_v - 23.75) * 1e6 * (-6_976.0 / temp_k).exp();
                (rate.max(0.0), (20.0..=65.0).contains(&rest.temp_c))
            }
            Self::Phosphate => {
                let arrhenius = (-17_126.0 / GAS_CONSTANT * (1.0 / temp_k - 1.0 / 298.15)).exp();
                let of_soc = 2.8575 * (soc - 0.5).powi(3) + 0.602_25;
                let per_second = 1.2571e-5 * arrhenius * of_soc;
                (per_second * (24.0 * HOUR_S).sqrt(), (0.0..=60.0).contains(&rest.temp_c))
            }
        }
    }

    /// Resistance gained in so many days.
    pub fn calendar_resistance(&self, rest: &Rest, gained: f64, days: f64) -> f64 {
        let temp_k = kelvin(rest.temp_c.clamp(TEMP_C.0, TEMP_C.1));
        match self {
            Self::Layered => {
                let rate = ((5.270 * rest.voltage_v - 16.32) * 1e5 * (-5_986.0 / temp_k).exp()).max(0.0);
                further(gained, rate, days, self.calendar_power()) - gained
            }
            Self::Phosphate => {
                let arrhenius = (-71_827.0 / GAS_CONSTANT * (1.0 / temp_k - 1.0 / 298.15)).exp();
                let of_soc = (-3.3903 * (rest.soc.clamp(0.0, 1.0) - 0.5).powi(2) + 1.5604).max(0.0);
                3.4194e-10 * arrhenius * of_soc * days * 24.0 * HOUR_S
            }
        }
    }

    /// Loss for an equivalent full cycle to the power ½, and whether that was measured.
    pub fn cycle(&self, cycle: &Use) -> (f64, bool) {
        let depth = cycle.depth.clamp(0.0, 1.0);
        match self {
            Self::Layered => {
                let voltage_v = cycle.voltage_v.clamp(VOLTAGE_V.0, VOLTAGE_V.1);
                let rate = 7.348e-3 * (voltage_v - 3.667).powi(2) + 7.600e-4 + 4.081e-3 * depth;
                let valid = (20.0..=40.0).contains(&cycle.temp_c) && cycle.c_rate <= 1.2;
                (rate * SANYO_AH.sqrt() * rate_stress(cycle.c_rate) * plating(cycle.temp_c), valid)
            }
            Self::Phosphate => {
                let of_depth = 4.0253 * (depth - 0.6).powi(3) + 1.0923;
                let percent = (0.0630 * cycle.c_rate.clamp(0.0, 3.0) + 0.0971) * of_depth;
                let valid = (20.0..=45.0).contains(&cycle.temp_c) && cycle.c_rate <= 1.2;
                (percent / 100.0 * plating(cycle.temp_c), valid)
            }
        }
    }

    /// Resistance gained in a cycle.
    pub fn cycle_resistance(&self, cycle: &Use) -> f64 {
        match self {
            Self::Layered => {
                let voltage_v = cycle.voltage_v.clamp(VOLTAGE_V.0, VOLTAGE_V.1);
                let rate = 2.153e-4 * (voltage_v - 3.725).powi(2) - 1.521e-5
                    + 2.798e-4 * cycle.depth.clamp(0.0, 1.0);
                rate.max(0.0) * SANYO_AH * cycle.full_cycles
            }
            // Below what Naumann 2020 could tell from zero.
            Self::Phosphate => 0.0,
        }
    }
}
