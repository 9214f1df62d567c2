//! A value, or why there is none.

use serde::{Deserialize, Serialize};

/// Cause of an unknown value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// The source has not sent it: an empty cell of a table, a signal that never came.
    NotSent,
    /// The source says that it has no value ("SNA", all bits one, a word of the DBC's value table).
    NotAvailable,
    /// The value is outside the range that the source's definition, or physics, allows.
    OutOfRange,
    /// The last value is older than its signal's age limit.
    Stale,
    /// The source reports a fault of the sensor, or the value changes faster than physics allows.
    SensorFault,
}

/// A value in the base unit of its quantity, or why it is unknown. A value is finite.
pub type Reading = Result<f64, Unknown>;
