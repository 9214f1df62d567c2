//! What a role did and refused: an append-only log, each entry hashed over the one before.
//!
//! A log is a folder of files of JSON lines, one entry a line. [`Recorder`] writes it, on a thread of its own; [`read`] reads
//! and checks it.
//!
//! **Invariant.** Each entry names its number and the SHA-256 hash of the entry before it, and its own hash covers both: a line
//! that is altered, moved, inserted or removed inside the log is found. What outsiders cause has a bound on lines
//! ([`Tally`]), and each occurrence is in an entry of its own or in the count of one.
//!
//! **Provided**: rotation by size, where the chain goes on from file to file and the oldest file goes at a bound; an fsync
//! before the writer takes more, so that a power cut loses at most what came during one fsync; entries that could not be
//! written are counted in the next one that can.
//! **Not provided**: signatures. Whoever may write the folder may replace the whole log, or cut its end; that shows only against a
//! head that was noted elsewhere ([`Report::head`]): fog nodes put theirs on the ledger ([`HeadStatement`]).
//!
//! ```
//! use voltmesh_audit::{Kind, Recorder, read};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let recorder = Recorder::open(folder)?;
//! recorder.record(Kind::Operator, "operators 1 and 2", "car-7 is enrolled");
//! for _ in 0..1000 {
//!     recorder.refusal("client:mallory", "topic of another");
//! }
//! recorder.close();
//! let report = read(folder, |entry| println!("{} {} {}", entry.who, entry.what, entry.count))?;
//! assert!(report.problems.is_empty());
//! // The operators' decision, the first refusal, and one entry for 999 more.
//! assert_eq!(report.entries, 3);
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod entry;
mod error;
mod files;
mod head_statement;
mod reader;
mod recorder;
mod tally;

pub use entry::{Entry, Hash, Kind};
pub use error::Error;
pub use head_statement::HeadStatement;
pub use reader::{Head, Problem, Report, read};
pub use recorder::Recorder;
pub use tally::Tally;
