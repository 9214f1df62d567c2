//! What one recording led to.

use std::collections::BTreeMap;

use serde::Serialize;

/// What one recording led to.
#[derive(Default, Serialize)]
pub struct Replayed {
    /// Its name.
    pub file: String,
    /// Samples in it.
    pub samples: usize,
    /// Its length in s.
    pub seconds: f64,
    /// Events that were said.
    pub events: usize,
    /// Commands that were given.
    pub commands: usize,
    /// Calls that trapped or were out of bounds.
    pub failures: u64,
    /// Figures for monitoring as they were last said.
    pub metrics: BTreeMap<String, f64>,
    /// What the host warned of.
    pub warnings: Vec<String>,
}
