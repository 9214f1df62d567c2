//! Physical quantities as integers: what is hashed and signed is never a float.
//!
//! Five codes at one end of each unit's range stand for an unknown value with its cause ([`Unknown`]): the code of cause
//! *n* is *n* away from the end. [`reading`](Millivolts::reading) and [`to_base`](Millivolts::to_base) tell them apart, so
//! that no code is taken for a number.

use crate::{Reading, Unknown};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Codes that each unit reserves: one for each [`Unknown`].
const RESERVED: u64 = Unknown::ALL.len() as u64;

macro_rules! unit {
    (@code top $inner:ident $cause:expr) => { $inner::MAX - $cause as u8 as $inner };
    (@code bottom $inner:ident $cause:expr) => { $inner::MIN + $cause as u8 as $inner };
    (@away top $inner:ident $value:expr) => { $inner::MAX.wrapping_sub($value) as u64 };
    // Negative if the distance is more than half of the range, which is far from the end as well.
    (@away bottom $inner:ident $value:expr) => { $value.wrapping_sub($inner::MIN) as i64 as u64 };
    ($(#[$doc:meta])* $name:ident($inner:ident), $per_unit:literal, $end:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($inner);

        impl $name {
            /// Wraps a count of this unit, or the code of an unknown value, as on the wire.
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            /// An unknown value.
            pub const fn unknown(cause: Unknown) -> Self {
                Self(unit!(@code $end $inner cause))
            }

            /// The count of this unit, or the code of an unknown value: for the wire. What computes asks
            /// [`Self::reading`].
            pub const fn get(self) -> $inner {
                self.0
            }

            /// Why it is unknown; `None` if it is known.
            pub const fn cause(self) -> Option<Unknown> {
                let away = unit!(@away $end $inner self.0);
                if away < RESERVED { Unknown::from_code(away as u8) } else { None }
            }

            /// Whether it is known.
            pub const fn is_known(self) -> bool {
                unit!(@away $end $inner self.0) >= RESERVED
            }

            /// The count of this unit.
            pub const fn reading(self) -> Reading<$inner> {
                match self.cause() {
                    None => Ok(self.0),
                    Some(cause) => Err(cause),
                }
            }

            /// The value in the VSS base unit, for display and estimates only.
            pub fn to_base(self) -> Reading<f64> {
                self.reading().map(|count| f64::from(count) / $per_unit)
            }

            /// The nearest count to a value in the VSS base unit; `None` outside the range, on a reserved code, or not a
            /// number.
            pub fn from_base(value: f64) -> Option<Self> {
                let count = value * $per_unit;
                if !count.is_finite() {
                    return None;
                }
                // Half away from zero. The cast saturates, so what is out of range stays so.
                let count = <$inner>::try_from((count + 0.5f64.copysign(count)) as i64).ok().map(Self);
                count.filter(|count| count.is_known())
            }

            /// The nearest count to a value in the VSS base unit, or why there is none.
            pub fn from_reading(value: Reading<f64>) -> Self {
                match value {
                    Ok(value) => Self::from_base(value).unwrap_or(Self::unknown(Unknown::OutOfRange)),
                    Err(cause) => Self::unknown(cause),
                }
            }
        }

        impl Default for $name {
            /// Not sent: a value that was forgotten is not zero.
            fn default() -> Self {
                Self::unknown(Unknown::NotSent)
            }
        }

        impl Serialize for $name {
            /// The count; null if it is unknown.
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.reading().ok().serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let Some(count) = Option::<$inner>::deserialize(deserializer)? else { return Ok(Self::default()) };
                if Self(count).is_known() {
                    Ok(Self(count))
                } else {
                    Err(de::Error::custom(format!("{count} stands for an unknown value: write null")))
                }
            }
        }
    };
}

unit! {
    /// Voltage of a pack in millivolts, 0 to 4.29 MV.
    Millivolts(u32), 1000.0, top
}
unit! {
    /// Voltage of one cell in millivolts, 0 to 65.530 V.
    Millivolts16(u16), 1000.0, top
}
unit! {
    /// Current in milliamps, ±2.14 MA; positive charges the battery (the sign of VSS).
    Milliamps(i32), 1000.0, bottom
}
unit! {
    /// Temperature in hundredths of a degree Celsius, -327.63 to 327.67 °C.
    Centidegrees(i16), 100.0, bottom
}
unit! {
    /// A share in hundredths of a percent, 0 to 10000, or the code of an unknown one.
    CentiPercent(u16), 100.0, top
}
unit! {
    /// Resistance in ohms, 0 to 4.29 GΩ.
    Ohms(u32), 1.0, top
}
unit! {
    /// Speed in hundredths of a kilometre per hour, 0 to 655.30 km/h.
    CentiKilometersPerHour(u16), 100.0, top
}
unit! {
    /// Value of an extra channel in steps of its resolution, ±2.1 · 10⁹.
    ChannelCount(i32), 1.0, bottom
}

impl CentiPercent {
    /// The largest share: 100 %.
    pub const FULL: CentiPercent = CentiPercent(10_000);
    /// The source reports none.
    pub const UNKNOWN: CentiPercent = CentiPercent::unknown(Unknown::NotSent);

    /// Whether the value is a share or the code of an unknown one.
    pub const fn is_valid(self) -> bool {
        self.0 <= Self::FULL.0 || !self.is_known()
    }
}
