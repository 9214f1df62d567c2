//! Acts: the leaves of the log of acts, which stands beside the log of batches.
//!
//! Two logs, because an archive accounts for every leaf of the log of batches: an event there would look like a batch that
//! is missing, or hide one that is.

use crate::{
    block::{
        event_list::{EventList, Lane, SaltedDigest},
        policy::{Policy, PolicyAct},
    },
    codec::{read_hash, write_hash},
    types::PublicKey,
};
use bytes::BufMut;
use commonware_codec::{Buf, Encode as _, EncodeSize, Error as CodecError, Read, ReadExt, Write};
use voltmesh_telemetry::{Digest as Hash, merkle::leaf_hash};

/// What the bytes of a leaf begin with.
const ACT: &[u8] = b"voltmesh-act-1";

/// Entry of the log of acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// An authority's list of events.
    Events {
        /// Whose list.
        authority: PublicKey,
        /// Of which kind.
        lane: Lane,
        /// Events in it.
        count: u32,
        /// RFC 9162 root over their commitments.
        root: Hash,
    },
    /// A controller's decision.
    Decision {
        /// Who decided, as the holder of the term.
        controller: PublicKey,
        /// In which term.
        term: u32,
        /// Its number there.
        number: u64,
        /// The commitment to it.
        decision: SaltedDigest,
    },
    /// A term began.
    Term {
        /// Who holds it.
        controller: PublicKey,
        /// Which one.
        term: u32,
    },
}

impl Act {
    /// The list's entry.
    pub fn of_events(list: &EventList) -> Self {
        // A list holds at most 256.
        let count = u32::try_from(list.events.len()).unwrap_or(u32::MAX);
        Self::Events { authority: list.authority.clone(), lane: list.lane, count, root: list.root() }
    }

    /// What a policy transaction enters, if anything.
    pub fn of_policy(policy: &Policy) -> Option<Self> {
        let (controller, term) = (policy.controller.clone(), policy.term);
        Some(match &policy.act {
            PolicyAct::Renew => return None,
            PolicyAct::TakeTerm => Self::Term { controller, term },
            PolicyAct::HandOver { to } => Self::Term { controller: to.clone(), term: term.saturating_add(1) },
            PolicyAct::Decide { decision } => {
                Self::Decision { controller, term, number: policy.number, decision: *decision }
            }
        })
    }

    /// Leaf hash in the log of acts: SHA-256(`00` ‖ `voltmesh-act-1` ‖ encoding).
    pub fn leaf(&self) -> Hash {
        leaf_hash(&[ACT, self.encode().as_ref()].concat())
    }
}

impl Write for Act {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Events { authority, lane, count, root } => {
                0u8.write(buf);
                authority.write(buf);
                lane.write(buf);
                count.write(buf);
                write_hash(root, buf);
            }
            Self::Decision { controller, term, number, decision } => {
                1u8.write(buf);
                controller.write(buf);
                term.write(buf);
                number.write(buf);
                write_hash(decision, buf);
            }
            Self::Term { controller, term } => {
                2u8.write(buf);
                controller.write(buf);
                term.write(buf);
            }
        }
    }
}

impl EncodeSize for Act {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Events { .. } => 32 + 1 + 4 + 32,
            Self::Decision { .. } => 32 + 4 + 8 + 32,
            Self::Term { .. } => 32 + 4,
        }
    }
}

impl Read for Act {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(match u8::read(buf)? {
            0 => Self::Events {
                authority: PublicKey::read(buf)?,
                lane: Lane::read(buf)?,
                count: u32::read(buf)?,
                root: read_hash(buf)?,
            },
            1 => Self::Decision {
                controller: PublicKey::read(buf)?,
                term: u32::read(buf)?,
                number: u64::read(buf)?,
                decision: read_hash(buf)?,
            },
            2 => Self::Term { controller: PublicKey::read(buf)?, term: u32::read(buf)? },
            other => return Err(CodecError::InvalidEnum(other)),
        })
    }
}
