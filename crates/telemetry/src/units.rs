//! Physical quantities as integers: what is hashed and signed is never a float.

use serde::{Deserialize, Serialize};

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($inner:ty), $per_unit:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// Wraps a count of this unit.
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            /// The count of this unit.
            pub const fn get(self) -> $inner {
                self.0
            }

            /// The value in the VSS base unit (V, A, celsius, percent), for display only.
            pub fn to_base(self) -> f64 {
                f64::from(self.0) / $per_unit
            }

            /// The nearest count to a value in the VSS base unit; `None` outside the range or not a number.
            pub fn from_base(value: f64) -> Option<Self> {
                let count = value * $per_unit;
                if !count.is_finite() {
                    return None;
                }
                // Half away from zero. The cast saturates, so what is out of range stays so.
                <$inner>::try_from((count + 0.5f64.copysign(count)) as i64).ok().map(Self)
            }
        }
    };
}

unit! {
    /// Voltage of a pack in millivolts, 0 to 4.29 MV.
    Millivolts(u32), 1000.0
}
unit! {
    /// Voltage of one cell in millivolts, 0 to 65.535 V.
    Millivolts16(u16), 1000.0
}
unit! {
    /// Current in milliamps; positive charges the battery (the sign of VSS).
    Milliamps(i32), 1000.0
}
unit! {
    /// Temperature in hundredths of a degree Celsius, -327.68 to 327.67 °C.
    Centidegrees(i16), 100.0
}
unit! {
    /// A share in hundredths of a percent, 0 to 10000, or [`CentiPercent::UNKNOWN`].
    CentiPercent(u16), 100.0
}

impl CentiPercent {
    /// The largest share: 100 %.
    pub const FULL: CentiPercent = CentiPercent(10_000);
    /// The source reports none.
    pub const UNKNOWN: CentiPercent = CentiPercent(u16::MAX);

    /// Whether the value is a share or [`CentiPercent::UNKNOWN`].
    pub const fn is_valid(self) -> bool {
        self.0 <= Self::FULL.0 || self.0 == Self::UNKNOWN.0
    }
}

/// Milliseconds since the Unix epoch, as the source states them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The latest time that a record may carry: 2^42 - 1 ms, 15 May 2109. A foreign record's number is its time and 21
    /// bits of its content, and the archive's tables hold numbers of 63 bits. Every door asks this one bound.
    pub const MAX: Timestamp = Timestamp((1 << 42) - 1);
    /// What every door says of a later time.
    pub(crate) const AFTER_MAX: &'static str =
        "time is after 15 May 2109, the last that a record may carry: correct the source's clock";

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This time plus `ms` milliseconds, at most `u64::MAX`.
    pub const fn plus_millis(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time; 0 if `earlier` is later.
    pub const fn millis_since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
