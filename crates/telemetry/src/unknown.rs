//! A value that is not known, and why.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Cause for which a value is unknown. Its number is the distance of its code from the end of a unit's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Unknown {
    /// The source does not report it.
    NotSent = 0,
    /// The source reports that it has none.
    NotAvailable = 1,
    /// The source reports a number that the quantity cannot have.
    OutOfRange = 2,
    /// The last report is too old.
    Stale = 3,
    /// The sensor is broken.
    SensorFault = 4,
}

impl Unknown {
    /// All causes, by number.
    pub const ALL: [Unknown; 5] =
        [Self::NotSent, Self::NotAvailable, Self::OutOfRange, Self::Stale, Self::SensorFault];

    /// The cause with this number.
    pub const fn from_code(code: u8) -> Option<Self> {
        if (code as usize) < Self::ALL.len() { Some(Self::ALL[code as usize]) } else { None }
    }

    /// The cause's name, in JSON and in the archive.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::NotAvailable => "not_available",
            Self::OutOfRange => "out_of_range",
            Self::Stale => "stale",
            Self::SensorFault => "sensor_fault",
        }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Unknown {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|cause| cause.as_str() == text);
        found.ok_or_else(|| crate::Error::name("cause of an unknown value", text))
    }
}

/// Value of a quantity, or why it is unknown.
pub type Reading<T> = Result<T, Unknown>;
