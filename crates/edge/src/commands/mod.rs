//! The way back: what functions on fog nodes ask of this vehicle, and what of it is in force.
//!
//! Provided: a command counts only if a configured controller's lease allows its sender to act on this vehicle by that
//! function, in order, within its time by this vehicle's clock, and never beyond the vehicle's own limits. Leases are
//! fenced: the newest epoch of each function is on disk before anything under it acts. What has expired falls back to the
//! vehicle's own limits. Each command is answered with what became of it.
//! Not provided: enforcing what is in force on cells, which is the source's ([`crate::sources::Source::obey`]) or the
//! BMS's behind an outlet; limits that hold without any command, which are the BMS's own.
//!
//! [`Commands`] decides and touches nothing.

mod answer;
mod config;
mod core;
mod fences;
mod held;
mod judging;
mod memory;
mod outlets;
mod own;
mod pace;
mod refusal;
mod setpoints;
mod shown;
mod watch;

pub use self::core::{CommandRules, Commands, Effect};
pub use config::CommandsConfig;
pub use memory::Memory;
pub use outlets::{CanOutletConfig, Idle, OutletSignals, VssConfig};
pub use own::{Nameplate, OwnLimits};
pub use refusal::Refusal;
pub use setpoints::Setpoints;

pub(crate) use memory::{recall, remember};
pub(crate) use outlets::{InForce, Outlets};
