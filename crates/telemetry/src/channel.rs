//! Extra channels: quantities of a pack that have no field of their own, each with a name, a unit and a resolution.

mod ucum;

use crate::{ChannelCount, Error, Reading};
use std::{fmt, str::FromStr, sync::Arc};

/// Most extra channels in a sample, and in a batch.
pub const MAX_CHANNELS: usize = 32;

/// Step of a channel's values, `mantissa · 10^exponent`, in the channel's unit. The mantissa is no multiple of ten, so
/// that each step has one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resolution {
    mantissa: u16,
    exponent: i8,
}

impl Resolution {
    /// One.
    pub const ONE: Resolution = Resolution { mantissa: 1, exponent: 0 };
    /// Largest and, negated, smallest exponent: powers of ten that are exact in a double.
    pub const MAX_EXPONENT: i8 = 12;

    /// A step of `mantissa · 10^exponent`.
    pub fn new(mantissa: u16, exponent: i8) -> Result<Self, Error> {
        let wrong = |why| Err(Error::Inconsistent { what: "channel's resolution", why });
        if mantissa == 0 || mantissa.is_multiple_of(10) {
            return wrong("mantissa is 0 or a multiple of 10: move its zeros to the exponent");
        }
        if exponent.unsigned_abs() > Self::MAX_EXPONENT.unsigned_abs() {
            return wrong("exponent is not within -12 to 12");
        }
        Ok(Self { mantissa, exponent })
    }

    /// The mantissa.
    pub const fn mantissa(self) -> u16 {
        self.mantissa
    }

    /// The exponent of ten.
    pub const fn exponent(self) -> i8 {
        self.exponent
    }

    fn power(self) -> f64 {
        10f64.powi(i32::from(self.exponent.unsigned_abs()))
    }

    /// `count` steps in the channel's unit.
    pub fn value(self, count: i32) -> f64 {
        let steps = i64::from(count) * i64::from(self.mantissa);
        if self.exponent < 0 { steps as f64 / self.power() } else { steps as f64 * self.power() }
    }

    /// The nearest number of steps; `None` out of range or not a number.
    pub fn count(self, value: f64) -> Option<ChannelCount> {
        let steps = if self.exponent < 0 { value * self.power() } else { value / self.power() };
        ChannelCount::from_base(steps / f64::from(self.mantissa))
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.value(1))
    }
}

impl FromStr for Resolution {
    type Err = Error;

    /// Reads decimal digits with a point, such as `0.25`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::name("resolution (want a decimal number such as 0.25)", text);
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{fraction}");
        if whole.is_empty() || digits.len() > 32 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let trimmed = digits.trim_end_matches('0');
        let zeros = digits.len() as i32 - trimmed.len() as i32 - fraction.len() as i32;
        let mantissa = trimmed.trim_start_matches('0').parse().map_err(|_| wrong())?;
        Self::new(mantissa, i8::try_from(zeros).map_err(|_| wrong())?)
    }
}

/// Definition of an extra channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel {
    name: String,
    unit: String,
    resolution: Resolution,
}

impl Channel {
    /// Longest name in bytes.
    pub const MAX_NAME: usize = 32;
    /// Longest unit in bytes.
    pub const MAX_UNIT: usize = 16;
    /// Longest canonical bytes of a channel with its value: lengths, name, unit, mantissa, exponent, count.
    pub(crate) const MAX_BYTES: usize = 1 + Self::MAX_NAME + 1 + Self::MAX_UNIT + 2 + 1 + 4;

    /// A channel with a name of 1 to 32 of `A-Z a-z 0-9 . _ -` and a unit of UCUM (case-sensitive form).
    pub fn new(name: &str, unit: &str, resolution: Resolution) -> Result<Self, Error> {
        let field = |why: String| Error::Field { field: format!("channel {name:.40?}"), why };
        if !crate::is_name(name) || name.len() > Self::MAX_NAME {
            return Err(field(format!("name wants 1 to {} of A-Z a-z 0-9 . _ -", Self::MAX_NAME)));
        }
        if unit.len() > Self::MAX_UNIT {
            return Err(field(format!("unit has more than {} bytes", Self::MAX_UNIT)));
        }
        ucum::check(unit).map_err(field)?;
        Ok(Self { name: name.to_owned(), unit: unit.to_owned(), resolution })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its unit in UCUM, such as `kPa`, `Cel`, `us`, `1`.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// The step of its values.
    pub fn resolution(&self) -> Resolution {
        self.resolution
    }

    /// Bytes that it takes in memory.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>() + self.name.len() + self.unit.len()
    }
}

/// Value of an extra channel at one moment; samples of one source share the definition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChannelValue {
    /// What it is a value of.
    pub channel: Arc<Channel>,
    /// In steps of the channel's resolution.
    pub count: ChannelCount,
}

impl ChannelValue {
    /// The value in the channel's unit.
    pub fn reading(&self) -> Reading<f64> {
        self.count.reading().map(|count| self.channel.resolution.value(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, want: Option<(u16, i8)>) {
        let found = text.parse::<Resolution>().ok();
        assert_eq!(found.map(|found| (found.mantissa, found.exponent)), want, "{text}");
    }

    #[test]
    fn resolutions_have_one_form() {
        check("1", Some((1, 0)));
        check("0.25", Some((25, -2)));
        check("00.250", Some((25, -2)));
        check("500", Some((5, 2)));
        check("65535", Some((65535, 0)));
        check("65536", None);
        check("0", None);
        check("", None);
        check(".5", None);
        check("-1", None);
        check("1e3", None);
        check("0.0000000000001", None);
        assert!(Resolution::new(10, 0).is_err() && Resolution::new(0, 0).is_err());
    }

    #[test]
    fn names_and_units_are_checked() {
        let channel = |name: &str, unit: &str| Channel::new(name, unit, Resolution::ONE);
        for (name, unit) in [("gas", "1"), ("cell-pressure.1", "kPa"), ("x", "[ppm]")] {
            channel(name, unit).unwrap_or_else(|error| panic!("{name} {unit}: {error}"));
        }
        for (name, unit) in [("", "1"), ("a b", "1"), ("a", ""), ("a", "°C"), (&"x".repeat(33), "1")] {
            channel(name, unit).expect_err(name);
        }
    }

    proptest! {
        #[test]
        fn values_come_back(mantissa in 1..u16::MAX, exponent in -12..=12i8, count in i32::MIN + 5..=i32::MAX) {
            let Ok(resolution) = Resolution::new(mantissa, exponent) else { return Ok(()) };
            prop_assert_eq!(resolution.count(resolution.value(count)), Some(ChannelCount::new(count)));
            prop_assert_eq!(resolution.to_string().parse(), Ok(resolution));
        }
    }
}
