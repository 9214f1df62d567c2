//! Virtual functions: their interface, signed releases, and the host that runs them near the vehicle.
//!
//! A function is a WebAssembly component of the world in `wit/function.wit`. It decides and nothing else: the host owns
//! clock, limits, persistence and order. [`Manager`] is the core of one fog node: orders, samples and answers in; events,
//! commands and reports out.
//!
//! Invariants: an event has a number within its lease, from 0 without gaps, and none is given twice; a command comes
//! after the events of its call; nothing acts without a lease in force, and nothing after its end. A function that traps,
//! loops, takes too much memory or floods harms itself only.
//!
//! Deliberately absent: sockets, disks and clocks (the fog node's), and the choice of functions (the controller's).
#![forbid(unsafe_code)]

#[allow(missing_docs)]
mod bindings {
    wasmtime::component::bindgen!({ path: "wit", world: "function", additional_derives: [PartialEq] });
}

mod host;
mod manager;
mod manifest;
mod package;
mod refusal;
mod shipped;
mod version;

pub use bindings::voltmesh::function::types::{Estimate, Report, Sample};
pub use host::{Clock, Component, Host, MAX_STATE_BYTES};
pub use manager::{
    Compiled, Compiler, Counters, Input, MAX_CONFIGURATION_BYTES, MAX_INSTANCES, MAX_SNAPSHOT_BYTES, Manager,
    Output, Previous, Running, Sent, Settings, Snapshot, State,
};
pub use manifest::{FailurePolicy, Latency, MAX_FUEL, MAX_MEMORY_MIB, MAX_SCHEMA_BYTES, Manifest};
pub use package::{MAX_COMPONENT_BYTES, MAX_PACKAGE_BYTES, Package};
pub use refusal::Refusal;
pub use shipped::{SHIPPED, Shipped};
pub use version::{Version, WIT_VERSION};

/// The interface's text, for those who write functions.
pub const WIT: &str = include_str!("../wit/function.wit");
