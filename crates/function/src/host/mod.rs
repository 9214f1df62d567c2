//! The sandbox: compiles components and calls their instances within limits.
//!
//! Provided: no import but types; fuel for each call, an epoch's deadline behind it, a bound of memory, tables and instances,
//! a bound of the stack; a bound of a component's extent before it is compiled; answers that are checked before anybody sees them; compilation on this node only.
//! Not provided: protection against a wrong decision that is well formed, which is the vehicle's own limits' work.

mod component;
mod engine;
mod extent;
mod instance;
mod limits;

pub use component::Component;
pub use engine::{Clock, Host};
pub(crate) use instance::{Guest, MAX_SAMPLES};
pub(crate) use limits::{Answer, Asked, Failure, HOST_KINDS, in_units};

/// Most bytes of an exported state: in hexadecimal, two fit a message of 1 MiB with its other fields.
pub const MAX_STATE_BYTES: usize = 240 << 10;
