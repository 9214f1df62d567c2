//! Decisions of the controller: each one is a record that can be explained and undone; and what it learns of their outcomes.

mod decision;
mod explain;
pub mod learning;
mod log;

pub use decision::{Alternative, Choice, Decision, Draft, Effect, Inputs, Undone, Value, Who};
pub use learning::{Learning, Outcome};
pub use log::{Log, MAX_ALTERNATIVES, MAX_DECISIONS, UndoError};

#[cfg(test)]
mod tests;
