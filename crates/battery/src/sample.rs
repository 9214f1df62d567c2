//! Sample of what a battery management system measures at one moment.

use serde::{Deserialize, Serialize};

/// One measurement of one cell (or of a pack's mean cell).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds since any fixed start; rises from sample to sample.
    pub time_s: f64,
    /// Terminal voltage in V.
    pub voltage_v: f64,
    /// Current in A; discharge is negative.
    pub current_a: f64,
    /// Temperature of the cell's surface in °C, where a sensor gave one.
    pub cell_temp_c: Option<f64>,
    /// Temperature around the cell in °C, where a sensor gave one.
    pub ambient_c: Option<f64>,
}
