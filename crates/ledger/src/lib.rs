//! What authorities agree on, and how anyone checks it offline.
//!
//! The ledger is a verifiable log first: an RFC 9162 tree over the ids of all anchored batches, whose size and root
//! each block header carries, beside the root of a registry that says which signers count. On chains with controllers that
//! root also covers who commands, which functions are released, and a second tree: the log of acts, with the events of
//! functions and the decisions of controllers.
//!
//! Invariants: the state is a pure function of genesis and blocks; an anchor, an event list or a decision is applied at most
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

mod authorities;
mod batch_rng;
mod block;
mod codec;
mod commitment;
mod committee;
mod election;
mod error;
mod genesis;
mod keys;
mod operators;
pub mod proof;
mod roster;
mod signatures;
mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod types;

pub use authorities::AuthoritySet;
pub use block::{
    Block, MAX_BLOCK_BYTES, MAX_TRANSACTIONS,
    act::Act,
    anchor::{Anchor, MAX_ANCHORS_PER_AUTHORITY, MAX_BATCHES_PER_ANCHOR, MAX_BATCHES_PER_AUTHORITY},
    equivocation::{EquivocationProof, Offence, SignedVote},
    event_list::{
        EventList, EventSalt, Lane, MAX_EVENTS_PER_AUTHORITY, MAX_EVENTS_PER_LIST, MAX_LISTS_PER_AUTHORITY,
        SaltedDigest, salted_digest,
    },
    header::Header,
    justification::{Justification, Notarization},
    policy::{
        MAX_DECISIONS_PER_EPOCH, MAX_POLICIES_PER_BLOCK, MAX_POLICY_LIFE_MS, MAX_TENURE_MS, Policy, PolicyAct,
    },
    registry_transaction::{Action, MAX_ACTIONS, RegistryTx},
    round_trips::{RoundTrips, UNREACHABLE},
    transaction::Transaction,
};
pub use commitment::{Commitment, commitment};
pub use committee::{
    epoch_opening::EpochOpening,
    replacement::{Decree, MAX_EPOCHS_SKIPPED, MAX_REPLACEMENT_BYTES, Replacement},
    seal::{Seal, SealSignature},
};
pub use election::{MAX_ANCESTORS, PERFECT, PROBATION, Quarantine, Standing};
pub use error::Error;
pub use genesis::{Genesis, MAX_CHAIN_NAME, MAX_EPOCH_LENGTH, MAX_GENESIS_BYTES, MAX_TERM_LENGTH};
pub use keys::{
    NAMESPACE, key_id, namespace, private_key, public_key, public_key_from_hex, signature, signing_key,
    verifying_key,
};
pub use operators::{MAX_OPERATORS, Operators};
pub use proof::{
    Proof, Proven,
    anchor_proof::{AnchorProof, Anchored, EvidenceParts, MAX_EVIDENCE_BYTES},
    authority_history::{AuthorityHistory, MAX_HANDOVERS},
    certificate::{Certificate, Finalization, MAX_CERTIFICATE_BYTES},
    checkpoint::{Attestation, Checkpoint, MAX_CHECKPOINT_BYTES, believe},
    event_proof::{
        ActEvidence, EventProof, MAX_ACT_EVIDENCE_BYTES, MAX_EVENT_BYTES, MAX_EVENT_PROOF_BYTES, ProvenEvent,
    },
    failure::{ProofError, Stage},
    handover::{EpochEnd, Handover, MAX_HANDOVER_BYTES},
    leaves::{LEAVES_MAGIC, Leaves},
    log_proof::{LogHead, LogProof, MAX_LOG_PROOF_BYTES},
    root_receipt::RootReceipt,
    statement::{AnchoredStatement, MAX_ANCHORED_STATEMENT_BYTES, MAX_STATEMENT_BYTES},
    term_evidence::{MAX_TERM_EVIDENCE_BYTES, TermEvidence},
    trust::{MAX_ARCHIVES, MAX_CLOUD_KEYS, MAX_TRUST_BYTES, Trust},
};
pub use roster::{
    Roster,
    calendar::{Calendar, MAX_CUTS},
    leaders::Leaders,
    schedule::MAX_RETIRED,
};
pub use signatures::Signatures;
pub use state::{
    State,
    build::Built,
    control::{MAX_CONTROLLERS, MAX_RECENT_EVENTS, MAX_RELEASES},
    controllers::ActEntry,
    entry::Entry,
    execute::Checked,
    fact::{Controller, Fact, FactProof, Release, Term},
    log::LogEntry,
    registry::{MAX_ENTRIES, Registry},
    registry_proof::RegistryProof,
    sequence::SEQUENCE_WINDOW,
    snapshot::{MAX_SNAPSHOT_BYTES, Snapshot},
};
pub use types::{
    Digest, Epoch, Height, MAX_AUTHORITIES, MIN_AUTHORITIES, PrivateKey, PublicKey, Scheme, Signature,
};
pub use voltmesh_telemetry::{BatchId, Digest as Hash, Timestamp};
