//! Facts: what a block's registry root says besides the signers, each a leaf after theirs.
//!
//! A chain without a controller has none, and its registry root is that of its signers alone.

use crate::{
    codec::{read_hash, write_hash},
    types::{Height, PublicKey},
};
use bytes::BufMut;
use commonware_codec::{Buf, Encode as _, EncodeSize, Error as CodecError, FixedSize, Read, ReadExt, Write};
use voltmesh_telemetry::{
    Digest as Hash, Timestamp,
    merkle::{Inclusion, leaf_hash},
};

/// What the bytes of a leaf begin with. A signer's leaf has 48 bytes and no fact has, so none passes for the other.
const FACT: &[u8] = b"voltmesh-fact-1";

/// Controller that operators admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Signs its policy transactions and leases.
    pub key: PublicKey,
    /// Height of the block that admitted it.
    pub admitted_at: Height,
    /// Height of the block that removed it.
    pub removed_at: Option<Height>,
}

/// Term of a controller: who commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Term {
    /// Terms so far; 0 before the first.
    pub term: u32,
    /// Who holds it; nobody before the first, and after the holder was removed.
    pub holder: Option<PublicKey>,
    /// A block of a later time may begin another term.
    pub until: Timestamp,
    /// The next number of a policy transaction, at least.
    pub next: u64,
}

/// Function that operators released, or withdrew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// SHA-256 of the component.
    pub component: Hash,
    /// Signs the function's package.
    pub publisher: PublicKey,
    /// Height of the block that released it.
    pub released_at: Height,
    /// Height of the block that withdrew it; for good.
    pub withdrawn_at: Option<Height>,
}

impl Release {
    /// Whether the component may run after the block at `height`.
    pub fn counts_at(&self, height: Height) -> bool {
        self.released_at <= height && self.withdrawn_at.is_none_or(|at| height < at)
    }
}

/// One of the facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Extent of the log of acts.
    Acts {
        /// How many.
        size: u64,
        /// RFC 9162 root over them.
        root: Hash,
        /// Leaves under the registry root, this one included: no root says how many it is over.
        leaves: u64,
    },
    /// Who commands.
    Term(Term),
    /// A controller.
    Controller(Controller),
    /// A function's release.
    Release(Release),
}

impl Fact {
    /// Leaf hash: SHA-256(`00` ‖ `voltmesh-fact-1` ‖ encoding).
    pub fn leaf(&self) -> Hash {
        leaf_hash(&[FACT, self.encode().as_ref()].concat())
    }
}

/// That a fact holds under a certain registry root. The size in its place is not checked, but for that of
/// [`Fact::Acts`] in [`crate::ActEvidence`]: this one is not handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactProof {
    /// The fact.
    pub fact: Fact,
    /// Its place.
    pub inclusion: Inclusion,
}

impl FactProof {
    /// Whether the fact holds under `root`.
    pub fn verify(&self, root: &Hash) -> bool {
        self.inclusion.verify(&self.fact.leaf(), root)
    }
}

// Block 0 holds no transactions, so height 0 stands for "not yet".
pub(crate) fn write_end(end: Option<Height>, buf: &mut impl BufMut) {
    end.map_or(0, Height::get).write(buf);
}

pub(crate) fn read_end(buf: &mut impl Buf) -> Result<Option<Height>, CodecError> {
    Ok(Some(u64::read(buf)?).filter(|at| *at != 0).map(Height::new))
}

impl Write for Controller {
    fn write(&self, buf: &mut impl BufMut) {
        self.key.write(buf);
        self.admitted_at.get().write(buf);
        write_end(self.removed_at, buf);
    }
}

impl FixedSize for Controller {
    const SIZE: usize = 32 + 8 + 8;
}

impl Read for Controller {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            key: PublicKey::read(buf)?,
            admitted_at: Height::new(u64::read(buf)?),
            removed_at: read_end(buf)?,
        })
    }
}

impl Write for Term {
    fn write(&self, buf: &mut impl BufMut) {
        self.term.write(buf);
        self.holder.write(buf);
        self.until.as_millis().write(buf);
        self.next.write(buf);
    }
}

impl EncodeSize for Term {
    fn encode_size(&self) -> usize {
        4 + self.holder.encode_size() + 8 + 8
    }
}

impl Read for Term {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            term: u32::read(buf)?,
            holder: Option::read(buf)?,
            until: Timestamp::from_millis(u64::read(buf)?),
            next: u64::read(buf)?,
        })
    }
}

impl Write for Release {
    fn write(&self, buf: &mut impl BufMut) {
        write_hash(&self.component, buf);
        self.publisher.write(buf);
        self.released_at.get().write(buf);
        write_end(self.withdrawn_at, buf);
    }
}

impl FixedSize for Release {
    const SIZE: usize = 32 + 32 + 8 + 8;
}

impl Read for Release {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            component: read_hash(buf)?,
            publisher: PublicKey::read(buf)?,
            released_at: Height::new(u64::read(buf)?),
            withdrawn_at: read_end(buf)?,
        })
    }
}

impl Write for Fact {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Acts { size, root, leaves } => {
                0u8.write(buf);
                size.write(buf);
                write_hash(root, buf);
                leaves.write(buf);
            }
            Self::Term(term) => {
                1u8.write(buf);
                term.write(buf);
            }
            Self::Controller(controller) => {
                2u8.write(buf);
                controller.write(buf);
            }
            Self::Release(release) => {
                3u8.write(buf);
                release.write(buf);
            }
        }
    }
}

impl EncodeSize for Fact {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Acts { .. } => 8 + 32 + 8,
            Self::Term(term) => term.encode_size(),
            Self::Controller(_) => Controller::SIZE,
            Self::Release(_) => Release::SIZE,
        }
    }
}

impl Read for Fact {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(match u8::read(buf)? {
            0 => Self::Acts { size: u64::read(buf)?, root: read_hash(buf)?, leaves: u64::read(buf)? },
            1 => Self::Term(Term::read(buf)?),
            2 => Self::Controller(Controller::read(buf)?),
            3 => Self::Release(Release::read(buf)?),
            other => return Err(CodecError::InvalidEnum(other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{state::entry::Entry, testing::key};
    use commonware_cryptography::Signer as _;

    #[test]
    fn no_fact_has_the_length_of_a_signers_leaf() {
        let key = key(1).public_key();
        let facts = [
            Fact::Acts { size: 1, root: Hash::of(b"acts"), leaves: 1 },
            Fact::Term(Term::default()),
            Fact::Term(Term { holder: Some(key.clone()), ..Term::default() }),
            Fact::Controller(Controller { key: key.clone(), admitted_at: Height::new(1), removed_at: None }),
            Fact::Release(Release {
                component: Hash::of(b"wasm"),
                publisher: key,
                released_at: Height::new(1),
                withdrawn_at: Some(Height::new(2)),
            }),
        ];
        for fact in facts {
            let bytes = fact.encode();
            assert_ne!(FACT.len() + bytes.len(), Entry::SIZE, "{fact:?}");
            assert_eq!(commonware_codec::DecodeExt::decode(bytes).ok(), Some(fact));
        }
    }
}
