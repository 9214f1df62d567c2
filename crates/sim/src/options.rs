//! How large the simulated world is.

use crate::faults::Kinds;

/// How large the simulated world is, and what goes wrong in it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Vehicles, 1..=50. Default 2.
    pub vehicles: usize,
    /// Clients that are not ours, without a spool, 0..=50. Default 1.
    pub clients: usize,
    /// Fog nodes, all of them authorities, 4..=20. Default 4.
    pub fogs: usize,
    /// Between two samples of a vehicle, milliseconds. Default 500.
    pub sample_ms: u64,
    /// Least time between blocks, milliseconds. Default 400.
    pub block_ms: u64,
    /// What may go wrong. Default everything.
    pub faults: Kinds,
    /// Keep every event as text in the report. Default false.
    pub keep_events: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            vehicles: 2,
            clients: 1,
            fogs: 4,
            sample_ms: 500,
            block_ms: 400,
            faults: Kinds::ALL,
            keep_events: false,
        }
    }
}
