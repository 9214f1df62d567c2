//! Consequences of a state: limits, charging, balancing, heating, maintenance.

mod balance;
mod charge;
mod limits;
mod maintenance;

pub use balance::{Balance, balance};
pub use charge::{ChargePlan, ChargeRequest, ChargeStep, plan};
pub use limits::{CurrentLimits, current_limits, warm_enough_c};
pub use maintenance::{Item, Outlook, schedule};

#[cfg(test)]
mod tests;
