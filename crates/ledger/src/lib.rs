//! What authorities agree on, and how anyone checks it offline.
//!
//! The ledger is a verifiable log first: an RFC 9162 tree over the ids of all anchored batches, whose size and root
//! each block header carries, beside the root of a registry that says which signers count.
//!
//! Invariants: the state is a pure function of genesis and blocks; an anchor or operators' decision is applied at most
//! once; a block is final with one certificate and nothing is reorganised; each structure has one encoding.
//!
//! Deliberately lacks: agreement (`consensus`), clocks, sockets, disks and entropy; telemetry and plain vehicle names
//! (only batch ids and salted commitments are written).
//!
//! ```
//! use voltmesh_ledger::{Action, RegistryTx, State, Transaction, commitment, testing::Network};
//! use voltmesh_telemetry::Timestamp;
//!
//! let network = Network::new(4);                       // keys and genesis of four authorities
//! let mut state = State::new(network.genesis());
//! let vehicle = commitment("ev-1", &[7; 32], &[8; 32]);
//! let enrol = RegistryTx::new(state.chain(), state.nonce(), vec![Action::EnrolVehicle { commitment: vehicle }])
//!     .sign(network.operator(0))
//!     .sign(network.operator(1));
//! let built = state.build([Transaction::Registry(enrol)], Timestamp::from_millis(1_000));
//! let (next, _) = state.execute(&built.block)?;         // what every authority does
//! assert!(next.registry().get(&vehicle).is_some());
//! # state = next;
//! # assert_eq!(state.height().get(), 1);
//! # Ok::<(), voltmesh_ledger::Error>(())
//! ```
#![forbid(unsafe_code)]

mod block;
mod calendar;
mod certificate;
mod checkpoint;
mod decree;
mod draft;
mod election;
mod error;
mod evidence;
mod genesis;
mod handover;
mod justification;
mod keys;
mod leaves;
mod log_proof;
mod mandate;
mod misbehaviour;
pub mod proof;
mod receipt;
mod registry;
mod round_trips;
mod schedule;
mod seal;
mod sequence;
mod signatures;
mod snapshot;
mod state;
mod statement;
pub mod testing;
mod transaction;
mod trust;

pub use block::{Block, Header, MAX_BLOCK_BYTES, MAX_TRANSACTIONS};
pub use calendar::{Calendar, MAX_CUTS};
pub use certificate::{Certificate, Finalization, MAX_CERTIFICATE_BYTES};
pub use checkpoint::{Attestation, Checkpoint, MAX_CHECKPOINT_BYTES, believe};
pub use decree::{Decree, MAX_EPOCHS_SKIPPED, MAX_REPLACEMENT_BYTES, Replacement};
pub use election::{Leaders, MAX_ANCESTORS, PERFECT, PROBATION, Quarantine, Roster, Standing};
pub use error::Error;
pub use evidence::{AnchorEvidence, Anchored, EvidenceParts, MAX_EVIDENCE_BYTES, ProofError, Stage};
pub use genesis::{Genesis, MAX_CHAIN_NAME, MAX_EPOCH_LENGTH, MAX_GENESIS_BYTES, MAX_TERM_LENGTH, Operators};
pub use handover::{EpochEnd, Handover, MAX_HANDOVER_BYTES};
pub use justification::{Justification, Notarization};
pub use keys::{
    AuthoritySet, Digest, Epoch, Height, MAX_AUTHORITIES, MIN_AUTHORITIES, NAMESPACE, PrivateKey, PublicKey,
    Scheme, Signature, key_id, namespace, private_key, public_key, public_key_from_hex, signing_key,
    verifying_key,
};
pub use leaves::{LEAVES_MAGIC, Leaves};
pub use log_proof::{LogHead, LogProof, MAX_LOG_PROOF_BYTES};
pub use mandate::Mandate;
pub use misbehaviour::{Evidence, Offence, SignedVote};
pub use proof::{Proof, Proven};
pub use receipt::RootReceipt;
pub use registry::{Entry, MAX_ENTRIES, Registry, RegistryProof};
pub use round_trips::{RoundTrips, UNREACHABLE};
pub use schedule::MAX_RETIRED;
pub use seal::{Seal, SealSignature};
pub use sequence::SEQUENCE_WINDOW;
pub use signatures::Signatures;
pub use snapshot::{MAX_SNAPSHOT_BYTES, Snapshot};
pub use state::{Built, Checked, LogEntry, State};
pub use statement::{AnchoredStatement, MAX_ANCHORED_STATEMENT_BYTES, MAX_STATEMENT_BYTES};
pub use transaction::{
    Action, Anchor, Commitment, MAX_ACTIONS, MAX_ANCHORS_PER_AUTHORITY, MAX_BATCHES_PER_ANCHOR,
    MAX_BATCHES_PER_AUTHORITY, MAX_OPERATORS, RegistryTx, Transaction, commitment,
};
pub use trust::{MAX_ARCHIVES, MAX_CLOUD_KEYS, MAX_HANDOVERS, MAX_TRUST_BYTES, Trust};
pub use voltmesh_telemetry::{BatchId, Timestamp};
