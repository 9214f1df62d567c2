//! What roles tell each other: hellos, envelopes, archive notices, status.

#![forbid(unsafe_code)]

pub mod topics;

mod envelope;
mod error;
mod handovers;
mod hello;
mod notice;
mod receipts;
mod status;

pub use envelope::{Envelope, MAX_ENVELOPE_BYTES};
pub use error::Error;
pub use handovers::{Handovers, MAX_HANDOVERS_BYTES};
pub use hello::{Hello, MAX_HELLO_BYTES, Opening, commitment};
pub use notice::{ArchiveNotice, ArchivedBatch, MAX_NOTICE_BATCHES, MAX_NOTICE_BYTES};
pub use receipts::{BatchReceipt, MAX_RECEIPTS, MAX_RECEIPTS_BYTES, Receipts};
pub use status::{Latency, MAX_STATUS_BYTES, Role, Status};
