//! Event lists: an authority puts what functions of its vehicles did onto the ledger.

use crate::{
    codec::{count, read_hash, write_hash},
    error::Error,
    keys::transaction_namespace,
    types::{Digest, PrivateKey, PublicKey, Signature},
};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, FixedSize, RangeCfg, Read, ReadExt, Write};
use commonware_cryptography::{Signer as _, Verifier as _};
use voltmesh_telemetry::{
    Digest as Hash,
    merkle::{leaf_hash, root},
};

/// Most events in one list: 256 × 32 B = 8 KiB.
pub const MAX_EVENTS_PER_LIST: usize = 256;

/// Most lists of one authority in a block: at one each 250 ms, a second of blocks missed.
pub const MAX_LISTS_PER_AUTHORITY: usize = 4;

/// Most events of one authority in a block: two full lists, 128 × 512 × 32 B = 2 MiB with the most authorities, so a block
/// is shared by its byte limit as well.
pub const MAX_EVENTS_PER_AUTHORITY: usize = 2 * MAX_EVENTS_PER_LIST;

const EVENTS: &[u8] = b"-events-";

/// Commitment to an event or a decision: what the ledger holds instead of its bytes ([`salted_digest`]).
pub type SaltedDigest = Hash;

/// Salt of an event: 16 random bytes that only its author knows until it is shown.
pub type EventSalt = [u8; 16];

/// The commitment to an event or a decision: SHA-256(`00` ‖ salt ‖ bytes), the leaf that a record with this salt would be
/// (RFC 9162 2.1.1).
pub fn salted_digest(salt: &EventSalt, bytes: &[u8]) -> SaltedDigest {
    leaf_hash(&[salt.as_slice(), bytes].concat())
}

/// Series of an authority's lists with numbers of its own: each is numbered by itself, so that none needs to know of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// What functions of vehicles did.
    Functions,
    /// Heads of the authority's own audit log.
    Audit,
}

impl Lane {
    /// All of them, by their number in encodings.
    pub(crate) const ALL: [Self; 2] = [Self::Functions, Self::Audit];
}

impl Write for Lane {
    fn write(&self, buf: &mut impl BufMut) {
        (*self as u8).write(buf);
    }
}

impl FixedSize for Lane {
    const SIZE: usize = 1;
}

impl Read for Lane {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let number = u8::read(buf)?;
        Self::ALL.get(usize::from(number)).copied().ok_or(CodecError::InvalidEnum(number))
    }
}

/// Transaction by which an authority puts events onto the ledger: commitments only, no telemetry and no plain name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventList {
    /// Whose events.
    pub authority: PublicKey,
    /// Of which kind they are.
    pub lane: Lane,
    /// Counts the authority's lists of this lane, apart from its anchors; each number is applied once, gaps are allowed.
    pub sequence: u64,
    /// Commitments in the order of the events: 1 to [`MAX_EVENTS_PER_LIST`], none twice.
    pub events: Vec<SaltedDigest>,
    /// The authority's signature over all of the above on one chain.
    pub signature: Signature,
}

impl EventList {
    /// Signs a list.
    pub fn sign(
        chain: &Digest,
        key: &PrivateKey,
        lane: Lane,
        sequence: u64,
        events: Vec<SaltedDigest>,
    ) -> Self {
        let authority = key.public_key();
        let message = message(&authority, lane, sequence, &events);
        let signature = key.sign(&transaction_namespace(EVENTS, chain), &message);
        Self { authority, lane, sequence, events, signature }
    }

    /// Whether the signature is the authority's, on this chain.
    pub fn verify(&self, chain: &Digest) -> bool {
        let message = message(&self.authority, self.lane, self.sequence, &self.events);
        self.authority.verify(&transaction_namespace(EVENTS, chain), &message, &self.signature)
    }

    /// RFC 9162 root over the events, whose commitments are the tree's leaf hashes.
    pub fn root(&self) -> Hash {
        root(&self.events)
    }

    /// Checks what holds on any chain.
    pub(crate) fn check_shape(&self) -> Result<(), Error> {
        count("events in a list", self.events.len(), 1, MAX_EVENTS_PER_LIST)?;
        let mut sorted: Vec<&SaltedDigest> = self.events.iter().collect();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Error::EventTwice(*pair[0])),
            None => Ok(()),
        }
    }
}

fn message(authority: &PublicKey, lane: Lane, sequence: u64, events: &[SaltedDigest]) -> Vec<u8> {
    let mut out = Vec::with_capacity(48 + 32 * events.len());
    authority.write(&mut out);
    lane.write(&mut out);
    sequence.write(&mut out);
    write_events(events, &mut out);
    out
}

fn write_events(events: &[SaltedDigest], buf: &mut impl BufMut) {
    events.len().write(buf);
    events.iter().for_each(|event| write_hash(event, buf));
}

impl Write for EventList {
    fn write(&self, buf: &mut impl BufMut) {
        self.authority.write(buf);
        self.lane.write(buf);
        self.sequence.write(buf);
        write_events(&self.events, buf);
        self.signature.write(buf);
    }
}

impl EncodeSize for EventList {
    fn encode_size(&self) -> usize {
        32 + 1 + 8 + self.events.len().encode_size() + 32 * self.events.len() + 64
    }
}

impl Read for EventList {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let authority = PublicKey::read(buf)?;
        let lane = Lane::read(buf)?;
        let sequence = u64::read(buf)?;
        let len = usize::read_cfg(buf, &RangeCfg::from(1..=MAX_EVENTS_PER_LIST))?;
        let events = (0..len).map(|_| read_hash(buf)).collect::<Result<_, _>>()?;
        Ok(Self { authority, lane, sequence, events, signature: Signature::read(buf)? })
    }
}
