//! How good forecasts of a status are.

mod metrics;

pub use metrics::{ClassScore, ECE_BINS, Scores, score};
