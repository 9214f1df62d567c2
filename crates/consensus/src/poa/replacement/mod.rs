//! Replacement of a committee that has stalled, by order of the operators.

pub(crate) mod promise;
pub(crate) mod tracker;
