//! Policy: which functions a vehicle is to have, by its conditions. One TOML file, checked before it counts.

mod check;
mod entry;
mod error;
mod function;
mod select;
mod wanted;

pub use entry::{Entry, KnownBattery};
pub use error::{Error, MAX_ENTRIES, MAX_FUNCTIONS, MAX_POLICY_BYTES};
pub use function::{BatteryKey, Bounds, Function, Latency, Stronger, Tunable};
pub use select::{DEFAULTS, Policy, lacking, select};
pub use wanted::{Battery, Lacking, Reason, VehicleFacts, Wanted};

#[cfg(test)]
mod tests;
