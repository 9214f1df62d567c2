//! The vehicle's own limits: what no command goes beyond.

use serde::Serialize;
use voltmesh_control::Action;

/// Temperatures in hundredths of °C that a pack is heated or cooled to: below 5 °C lithium plates, above 45 °C cells age
/// fast.
pub(crate) const TARGETS: std::ops::RangeInclusive<i32> = 500..=4_500;
/// Target temperatures outside these, in hundredths of °C, are no wish but a mistake.
const SENSIBLE_TARGETS: std::ops::RangeInclusive<i32> = -4_000..=8_000;
/// Samples per 1,000 s that a vehicle takes: 0.1 to 100 Hz, as `source.rate_hz`.
pub(crate) const RATES: std::ops::RangeInclusive<u32> = 100..=100_000;
/// Sampling rates outside these are a mistake: one sample in 1,000 s to 1 kHz.
const SENSIBLE_RATES: std::ops::RangeInclusive<u32> = 1..=1_000_000;
/// A current limit above so many times what the pack is built for is a mistake, in a unit or a sign.
const ABSURD: u64 = 10;

/// What a pack is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Nameplate {
    /// Most charging current in mA.
    pub charge_ma: u32,
    /// Most discharging current in mA.
    pub discharge_ma: u32,
    /// Groups of cells in series.
    pub groups: u16,
}

impl Nameplate {
    /// Of a pack whose groups have that capacity in Ah: 1.5 C of charge and 4 C of discharge, the best that
    /// [`voltmesh_battery::act::current_limits`] allows any cell.
    #[must_use]
    pub fn of_capacity(group_ah: f64, groups: u16) -> Self {
        Self { charge_ma: milliamps(1.5 * group_ah), discharge_ma: milliamps(4.0 * group_ah), groups }
    }

    /// Why a command is a mistake, whatever the vehicle's state.
    ///
    /// # Errors
    /// What it asks for, and what would be sensible.
    pub fn check(&self, action: &Action) -> Result<(), String> {
        let current = |name: &str, asked_ma: u32, most_ma: u32| {
            if u64::from(asked_ma) > ABSURD * u64::from(most_ma) {
                let (asked, most) = (amperes(asked_ma), amperes(most_ma));
                return Err(format!("a {name} of {asked} is beyond {ABSURD} times the {most} of this pack"));
            }
            Ok(())
        };
        match action {
            Action::ChargeLimit(ma) => current("charge limit", *ma, self.charge_ma),
            Action::DischargeLimit(ma) => current("discharge limit", *ma, self.discharge_ma),
            Action::TargetTemperature(c100) if !SENSIBLE_TARGETS.contains(c100) => {
                Err(format!("a target of {} is outside -40 to 80 °C", degrees(*c100)))
            }
            Action::SamplingRate(rate) if !SENSIBLE_RATES.contains(rate) => {
                Err(format!("{rate} samples in 1,000 s are outside 1 to 1,000,000"))
            }
            Action::Balance(groups) => match groups.last() {
                Some(last) if *last >= self.groups => {
                    Err(format!("group {last} is none of this pack's {} groups, counted from 0", self.groups))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// What a vehicle allows itself now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OwnLimits {
    /// Most charging current in mA.
    pub charge_ma: u32,
    /// Most discharging current in mA.
    pub discharge_ma: u32,
    /// Whether the battery's twin has said so; else it is what the pack is built for.
    pub estimated: bool,
}

impl OwnLimits {
    /// The nameplate's, or what the twin says of now, charge and discharge in A, where that is less.
    #[must_use]
    pub fn now(nameplate: &Nameplate, twin_a: Option<(f64, f64)>) -> Self {
        let Some((charge_a, discharge_a)) = twin_a else {
            let Nameplate { charge_ma, discharge_ma, .. } = *nameplate;
            return Self { charge_ma, discharge_ma, estimated: false };
        };
        Self {
            charge_ma: milliamps(charge_a).min(nameplate.charge_ma),
            discharge_ma: milliamps(discharge_a).min(nameplate.discharge_ma),
            estimated: true,
        }
    }

    /// Who says so, for an answer.
    pub(crate) const fn whose(&self) -> &'static str {
        if self.estimated { "the vehicle's own limit now" } else { "what the pack is built for" }
    }
}

/// Whole tenths of an ampere, downwards, in mA; what is no number is not allowed.
fn milliamps(amperes: f64) -> u32 {
    // The cast saturates, and makes 0 of what is no number.
    ((amperes * 10.0).floor().max(0.0) as u32).saturating_mul(100)
}

pub(crate) fn amperes(ma: u32) -> String {
    format!("{:.1} A", f64::from(ma) / 1_000.0)
}

pub(crate) fn degrees(c100: i32) -> String {
    format!("{:.1} °C", f64::from(c100) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_values_are_mistakes_and_large_ones_are_not() {
        let pack = Nameplate::of_capacity(60.0, 96);
        assert_eq!((pack.charge_ma, pack.discharge_ma), (90_000, 240_000));
        for (action, said) in [
            (Action::ChargeLimit(900_000), ""),
            (Action::ChargeLimit(900_001), "10 times the 90.0 A"),
            (Action::DischargeLimit(u32::MAX), "10 times the 240.0 A"),
            (Action::TargetTemperature(8_000), ""),
            (Action::TargetTemperature(8_001), "-40 to 80 °C"),
            (Action::TargetTemperature(-27_315), "-273.1 °C"),
            (Action::Balance(vec![0, 95]), ""),
            (Action::Balance(vec![96]), "group 96"),
            (Action::SamplingRate(0), "0 samples"),
            (Action::SamplingRate(2_000_000), "outside 1 to"),
            (Action::Derate(0), ""),
            (Action::StopCharging, ""),
        ] {
            match pack.check(&action) {
                Ok(()) => assert_eq!(said, "", "{action:?}"),
                Err(why) => assert!(!said.is_empty() && why.contains(said), "{action:?}: {why}"),
            }
        }
    }

    #[test]
    fn a_twin_lowers_the_nameplate_and_never_raises_it() {
        let pack = Nameplate::of_capacity(60.0, 96);
        let now = |charge, discharge| OwnLimits::now(&pack, Some((charge, discharge)));
        assert_eq!(now(12.39, 1e9), OwnLimits { charge_ma: 12_300, discharge_ma: 240_000, estimated: true });
        assert_eq!(now(f64::NAN, -3.0), OwnLimits { charge_ma: 0, discharge_ma: 0, estimated: true });
        assert!(!OwnLimits::now(&pack, None).estimated);
    }
}
