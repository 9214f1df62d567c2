//! The archive: verify, store exactly once, answer, prove.
//!
//! Fog nodes deliver envelopes (a vehicle's signed batch with the ledger's evidence) over MQTT 5 with mutual TLS. The
//! cloud believes none of them: it checks everything again, appends what holds to a Delta Lake table, acknowledges, and
//! signs a notice for the vehicle, which may then forget.
//!
//! **Invariants.** No record is archived twice. Nothing is archived that the ledger has not finalised. A PUBACK or
//! notice comes only after the commit is durable. What fails a check is kept in the quarantine table, with its reason.
//! A gap in a vehicle's numbers is visible, and holds up nothing.
//!
//! **Deliberately lacks**: agreement on a second cloud (one writer per archive; a second one is noticed, not elected),
//! deletion of a vehicle's records, and plausibility of what sensors say.
//!
//! ```
//! use voltmesh_cloud::{Archivist, Grouping, Input, Marks, Output, Token};
//! use voltmesh_ledger::testing::Chain;
//! use voltmesh_telemetry::Timestamp;
//!
//! // The core decides without sockets, disks or clocks: this delivery is no envelope.
//! let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
//! let mut archivist = Archivist::new(Chain::new(4).trust(), key, Grouping::default(), &Marks::default());
//! let envelope = Input::Envelope { fog: "fog-1".into(), token: Token(1), bytes: "?".into() };
//! assert!(archivist.handle(Timestamp::from_millis(0), envelope).is_empty());
//! // It is written to the quarantine table with the next commit, and only then rejected.
//! let due = archivist.deadline().unwrap();
//! let out = archivist.handle(due, Input::Tick);
//! let [Output::Commit(commit)] = &out[..] else { panic!() };
//! assert_eq!(commit.quarantine.len(), 1);
//! let out = archivist.handle(due, Input::Committed { ticket: commit.ticket });
//! assert!(matches!(&out[..], [Output::Reject(Token(1), _)]));
//! ```
#![forbid(unsafe_code)]

pub mod archivist;
pub mod config;
pub mod coverage;
pub mod delta;
pub mod foreign;
pub mod http;
#[cfg(feature = "testing")]
pub mod testing;
pub mod writer;

mod audit;
mod doubles;
mod proof;
#[cfg(feature = "sql")]
mod query;
mod run;
mod statement;
mod verify;

pub use archivist::{
    Answer, Archivist, Commit, Counters, Entry, Gap, Grouping, Input, Marks, Output, Quarantined, Question,
    Token,
};
pub use audit::{
    ArchiveReport, ClaimError, Claims, Later, LogReport, Look, MAX_ABSENT, MAX_PROBLEMS, look,
    verify_archive, verify_claims, verify_reader, verify_settled,
};
pub use config::{Config, ConfigError};
pub use delta::{
    Archive, ArchiveError, ArchivedChannel, ArchivedRow, Holding, Location, Reader, Settings, TableChange,
    Totals, open_reader,
};
pub use doubles::{DedupReport, DoublesReport, MAX_IDS, check_doubles, dedup};
pub use proof::{ProveError, prove, report as twin_report};
#[cfg(feature = "sql")]
pub use query::{QueryError, QueryLimits, Rows, query, query_within};
pub use run::{Cloud, Error, FogsOnly, MetricsText, run};
pub use statement::{MAX_STATEMENTS, StatementStore, read_places, read_statements};
pub use verify::{About, Checked, Rejection, Stage, Verified, check, opening_bytes, opening_from};

#[cfg(test)]
mod tests;
