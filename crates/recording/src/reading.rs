//! A value, or why there is none.

pub use voltmesh_telemetry::Unknown;

/// A value in the base unit of its quantity, or why it is unknown. A value is finite.
pub type Reading = voltmesh_telemetry::Reading<f64>;
