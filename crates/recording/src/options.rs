//! Options for reading a recording, where it does not say so itself.

use crate::Battery;
use crate::can::Signals;
use crate::table::{self, Mapping};
use std::path::PathBuf;

/// Options for reading files. What is not stated is found out from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Which column or signal is which quantity; a quantity that stands here is not taken from `table` or `signals`.
    pub mappings: Vec<Mapping>,
    /// Of tables; of logs of a bus, `time_zone` counts too, and a `time_format` of
    /// `gps_s` or `epoch_s` or, of candump's, `candump_td` or `candump_tz`.
    pub table: table::Options,
    /// Of logs of a bus: what the frames mean.
    pub dbc: Option<PathBuf>,
    /// Of logs of a bus: what answers of control units mean, a definition file.
    pub diagnostics: Option<PathBuf>,
    /// Of logs of a bus. Default: guessed by names and units in the DBC file, which is said.
    pub signals: Option<Signals>,
    /// Of logs of a bus: only frames of this interface. Default: of all.
    pub interface: Option<String>,
    /// Of logs of a bus: a row at most every so many milliseconds. Default 1,000.
    pub period_ms: u64,
    /// Unix time of the recording's time 0 in milliseconds, for clocks without a date. Default: none.
    pub start_ms: Option<u64>,
    /// Whether a clock without a date and without `start_ms` is refused. Default: no.
    pub needs_date: bool,
    /// Unix time now in milliseconds: nothing is dated more than a day after it.
    pub now_ms: u64,
    /// What is stated of the battery.
    pub battery: Battery,
}

impl Options {
    /// All defaults at this Unix time in milliseconds.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self {
            mappings: Vec::new(),
            table: table::Options::default(),
            dbc: None,
            diagnostics: None,
            signals: None,
            interface: None,
            period_ms: 1000,
            start_ms: None,
            needs_date: false,
            now_ms,
            battery: Battery::default(),
        }
    }

    /// Of tables: the mappings of `table` that are not replaced, and the others.
    pub(crate) fn of_tables(&self) -> table::Options {
        let mut table = self.table.clone();
        let mapped = |of: &Mapping| self.mappings.iter().any(|mapping| mapping.quantity == of.quantity);
        table.mappings.retain(|mapping| !mapped(mapping));
        table.mappings.extend(self.mappings.iter().cloned());
        table
    }
}
