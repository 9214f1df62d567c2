//! Measurements of this machine. Each states what it ran on; timings never decide a test.

pub mod archive;
pub mod attack;
pub mod closed_loop;
pub mod consensus;
mod drive;
pub mod encoding;
pub mod generator;
mod hello;
pub mod hostile;
pub mod ingest;
pub mod ledger;
mod loop_commands;
pub mod loop_functions;
mod loop_node;
mod loop_vehicle;
mod machine;
pub mod path;
pub mod placement;
pub mod soak;
pub mod twin;
