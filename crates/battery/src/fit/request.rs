//! What a fit is asked for, and how far it is.

use super::run::LoggedRun;
use crate::Chemistry;

/// Request for a fit.
#[derive(Debug, Clone)]
pub struct Request {
    /// Name of the kind of cell.
    pub name: String,
    /// Its active materials.
    pub chemistry: Chemistry,
    /// Ah between full and empty, as all states of charge here count them.
    pub capacity_ah: f64,
    /// Measurements; at least one slow discharge and one drive cycle.
    pub runs: Vec<LoggedRun>,
}

/// Progress of a fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub done: usize,
    /// Steps that there may be in all; it can end before.
    pub of: usize,
    /// Root mean square error so far, in V.
    pub rmse_v: f64,
}
