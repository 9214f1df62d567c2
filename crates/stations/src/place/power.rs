//! Power of a charger as lists of places and documents state it: the one rule by which watts and kilowatts are told apart.

/// From here on a number of kilowatts is taken as watts, in kW: above the chargers of passenger cars, and below the least power in watts
/// that a vehicle takes.
const WATTS: f64 = 1_380.0;

/// Below this a power is none of a charger, in kW: six amperes from one phase, at which a vehicle begins, are 1.38 kW.
pub(crate) const LEAST_KW: f64 = 0.5;

/// Above this a power is none of a charger, in kW: the Megawatt Charging System ends at 3,750 (3,000 A at 1,250 V).
const MOST_KW: f64 = 4_000.0;

/// Power as it is stated, in the unit that its standard or its column asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StatedPower {
    value: f64,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// Asked for, not written.
    Kilowatts,
    /// Asked for, not written.
    Watts,
    /// Written behind the number: `3700 W`.
    WrittenWatts,
}

/// What a stated power is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Power {
    /// Nothing, as zero says.
    None,
    /// In kW, as it was asked for.
    Kilowatts(f64),
    /// In kW; it was in watts where kilowatts are asked for.
    WasWatts(f64),
    /// In kW; it was in kilowatts where watts are asked for.
    WasKilowatts(f64),
    /// None of a charger in either unit.
    Implausible,
}

impl StatedPower {
    /// Where kilowatts are asked for.
    pub fn kilowatts(value: f64) -> Self {
        Self { value, unit: Unit::Kilowatts }
    }

    /// Where watts are asked for.
    pub fn watts(value: f64) -> Self {
        Self { value, unit: Unit::Watts }
    }

    /// Where watts are written behind the number, and kilowatts asked for.
    pub(super) fn written_watts(value: f64) -> Self {
        Self { value, unit: Unit::WrittenWatts }
    }

    /// As it is written.
    pub(super) fn value(self) -> f64 {
        self.value
    }

    /// The higher of two powers of one EVSE.
    pub(crate) fn higher(self, other: Self) -> Self {
        if other.kw() > self.kw() { other } else { self }
    }

    fn kw(self) -> f64 {
        match self.read() {
            Power::Kilowatts(kw) | Power::WasWatts(kw) | Power::WasKilowatts(kw) => kw,
            Power::None | Power::Implausible => 0.0,
        }
    }

    /// What it is, in kW. A number that is none of a charger in its own unit, and one in the other, is in the other.
    pub(super) fn read(self) -> Power {
        let plausible = |kw: f64| (LEAST_KW..=MOST_KW).contains(&kw);
        let Self { value, unit } = self;
        let in_watts = value / 1_000.0;
        match unit {
            _ if value == 0.0 => Power::None,
            Unit::Kilowatts if (LEAST_KW..WATTS).contains(&value) => Power::Kilowatts(value),
            Unit::Kilowatts if value >= WATTS && plausible(in_watts) => Power::WasWatts(in_watts),
            // `50.000 W` may be fifty kilowatts or fifty watts.
            Unit::WrittenWatts if plausible(in_watts) => Power::WasWatts(in_watts),
            Unit::Watts if plausible(in_watts) => Power::Kilowatts(in_watts),
            Unit::Watts if value < 1_000.0 * LEAST_KW && plausible(value) => Power::WasKilowatts(value),
            _ => Power::Implausible,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_is_told_by_what_chargers_have() {
        use Power::{Implausible, Kilowatts, None, WasKilowatts, WasWatts};
        let kilowatts = |value: f64, expected| {
            assert_eq!(StatedPower::kilowatts(value).read(), expected, "{value} where kW are asked for");
        };
        kilowatts(50.0, Kilowatts(50.0));
        kilowatts(1_000.0, Kilowatts(1_000.0));
        kilowatts(3_700.0, WasWatts(3.7));
        kilowatts(3_750_000.0, WasWatts(3_750.0));
        kilowatts(0.0, None);
        for value in [0.05, -50.0, 5e7, f64::NAN] {
            kilowatts(value, Implausible);
        }
        let watts = |value: f64, expected| {
            assert_eq!(StatedPower::watts(value).read(), expected, "{value} where W are asked for");
        };
        watts(50_000.0, Kilowatts(50.0));
        // The Megawatt Charging System.
        watts(3_750_000.0, Kilowatts(3_750.0));
        watts(22.0, WasKilowatts(22.0));
        watts(0.0, None);
        for value in [0.05, -50.0, 5e7, f64::NAN] {
            watts(value, Implausible);
        }
        assert_eq!(StatedPower::written_watts(3_700.0).read(), WasWatts(3.7));
        assert_eq!(StatedPower::written_watts(50.0).read(), Implausible);
    }

    #[test]
    fn the_higher_of_two_is_in_whatever_unit() {
        let (ac, dc) = (StatedPower::watts(22.0), StatedPower::watts(150_000.0));
        assert_eq!((ac.higher(dc), dc.higher(ac)), (dc, dc));
        assert_eq!(StatedPower::watts(5e9).higher(ac), ac);
    }
}
