//! Measurements of this machine. Each states what it ran on; timings never decide a test.

pub mod archive;
pub mod attack;
pub mod consensus;
mod drive;
pub mod encoding;
pub mod generator;
pub mod hostile;
pub mod ingest;
pub mod ledger;
mod machine;
pub mod path;
pub mod soak;
pub mod twin;
mod usage;
