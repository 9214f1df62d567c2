//! What roles tell each other: hellos, receipts, envelopes, archive notices and statements, status, and the topics they travel on.
//!
//! Invariant: a message has one encoding; its size is checked before it is parsed; what is accepted encodes to the same
//! bytes again.
//!
//! Deliberately absent: sockets and sessions (the roles), and the meaning of evidence and hand-overs, which are the
//! ledger's and opaque here.
//!
//! ```
//! use ed25519_dalek::SigningKey;
//! use voltmesh_control::{ArchiveNotice, ArchivedBatch};
//! use voltmesh_telemetry::{BatchId, Boot, RecordNumber, Timestamp};
//!
//! let cloud = SigningKey::from_bytes(&[1; 32]);
//! let notice = ArchiveNotice {
//!     vehicle: "bus-7".parse()?,
//!     batches: vec![ArchivedBatch {
//!         boot: Boot::new(17),
//!         first: RecordNumber::ZERO,
//!         count: 60,
//!         id: BatchId::from([0xab; 32]),
//!     }],
//!     archived: Timestamp::from_millis(1_767_600_000_000),
//! };
//! let bytes = notice.sign(&cloud);
//! // Only now may the vehicle forget these sixty records.
//! assert_eq!(ArchiveNotice::verify(&bytes, &cloud.verifying_key())?, notice);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod topics;

mod action;
mod allowance;
mod allowed;
mod command;
mod envelope;
mod error;
mod handovers;
mod hello;
mod lease;
mod ledger_report;
mod notice;
mod orders;
mod receipts;
mod statement;
mod status;

pub use action::{Action, ActionKind, MAX_GROUPS};
pub use allowance::Allowance;
pub use allowed::{Allowed, FleetShare};
pub use command::{Command, CommandAnswer, MAX_COMMAND_BYTES, MAX_REASON_BYTES, MAX_VALID_MS, Outcome};
pub use envelope::{Envelope, MAX_ENVELOPE_BYTES};
pub use error::Error;
pub use handovers::{Handovers, MAX_HANDOVERS_BYTES};
pub use hello::{CLOCK_TOLERANCE_MS, Hello, MAX_HELLO_BYTES, Opening, commitment};
pub use lease::{Epoch, Lease, MAX_LEASE_BYTES};
pub use ledger_report::{LedgerReport, MAX_POLICY_MESSAGE_BYTES};
pub use notice::{ArchiveNotice, ArchivedBatch, MAX_NOTICE_BATCHES, MAX_NOTICE_BYTES};
pub use orders::{
    FunctionEvent, FunctionReport, FunctionState, Instance, InstanceState, MAX_CONTROLLER_MESSAGE_BYTES,
    Order, Room, Severity, Summaries, VehicleSummary, Work,
};
pub use receipts::{BatchReceipt, MAX_RECEIPTS, MAX_RECEIPTS_BYTES, Receipts};
pub use statement::{ArchiveStatement, AuditHead, MAX_STATEMENT_BYTES, Tree};
pub use status::{Latency, MAX_STATUS_BYTES, Role, Status};

#[cfg(test)]
mod tests;
