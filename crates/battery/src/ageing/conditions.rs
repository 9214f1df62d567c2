//! Conditions under which a cell ages.

/// Conditions of storage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rest {
    /// In °C.
    pub temp_c: f64,
    /// State of charge.
    pub soc: f64,
    /// Voltage at rest in V.
    pub voltage_v: f64,
}

/// Conditions of a cycle, or half of one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Use {
    /// Depth, a fraction of the capacity.
    pub depth: f64,
    /// Equivalent full cycles, throughput / (2 capacity): half of `depth` for half a cycle.
    pub full_cycles: f64,
    /// Mean state of charge.
    pub soc: f64,
    /// Mean voltage at rest in V.
    pub voltage_v: f64,
    /// Mean temperature in °C.
    pub temp_c: f64,
    /// Mean C-rate while current flowed.
    pub c_rate: f64,
}
