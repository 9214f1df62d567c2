//! Headers: what a certificate makes final.

use crate::{
    codec::{read_hash, write_hash},
    error::Error,
    types::{Digest, Epoch, Height},
};
use bytes::BufMut;
use commonware_codec::{Buf, Encode as _, Error as CodecError, FixedSize, Read, ReadExt as _, Write};
use commonware_cryptography::{Hasher, Sha256};
use voltmesh_telemetry::{Digest as Hash, Timestamp};

/// Version of the header's format.
const VERSION: u8 = 2;

/// Header of a block: its place in the chain, and digests of everything after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Blocks before this one.
    pub height: Height,
    /// Digest of the block before; of block 0, the chain's identity.
    pub parent: Digest,
    /// Not before the parent's.
    pub time: Timestamp,
    /// Height divided by the epoch length, unless a decree has cut an epoch short ([`crate::Calendar`]).
    pub epoch: Epoch,
    /// The view of the epoch in which it was proposed, from 1 on; after the parent's. Views between were skipped.
    pub view: u64,
    /// Digest of the embedded mandate and votes and of the transactions.
    pub body: Digest,
    /// Batches in the log after this block.
    pub log_size: u64,
    /// RFC 9162 root over them.
    pub log_root: Hash,
    /// RFC 9162 root over the registry's entries after this block.
    pub registry_root: Hash,
    /// Digest of the authorities and voters that are to serve in the next-but-one epoch ([`crate::Roster::digest`]);
    /// settled with the epoch's last block.
    pub authorities: Digest,
    /// Digest of all that decides who leads: scores, counts, convictions.
    pub election: Digest,
}

impl Header {
    /// The block's digest.
    pub fn digest(&self) -> Digest {
        Sha256::hash(&[self.encode().as_ref()])
    }

    /// Checks the time against the local clock: ahead of it by at most `bound_ms`. A block behind the clock is fine,
    /// since a node may look at it late.
    pub fn check_clock(&self, now: Timestamp, bound_ms: u64) -> Result<(), Error> {
        let by_ms = self.time.as_millis().saturating_sub(now.as_millis());
        if by_ms > bound_ms { Err(Error::TimeAhead { by_ms, bound_ms }) } else { Ok(()) }
    }
}

impl Write for Header {
    fn write(&self, buf: &mut impl BufMut) {
        VERSION.write(buf);
        self.height.get().write(buf);
        self.parent.write(buf);
        self.time.as_millis().write(buf);
        self.epoch.get().write(buf);
        self.view.write(buf);
        self.body.write(buf);
        self.log_size.write(buf);
        write_hash(&self.log_root, buf);
        write_hash(&self.registry_root, buf);
        self.authorities.write(buf);
        self.election.write(buf);
    }
}

impl FixedSize for Header {
    const SIZE: usize = 1 + 8 + 32 + 8 + 8 + 8 + 32 + 8 + 32 + 32 + 32 + 32;
}

impl Read for Header {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Self::read_version(u8::read(buf)?, buf)
    }
}

impl Header {
    /// Reads what follows the version.
    pub(crate) fn read_version(version: u8, buf: &mut impl Buf) -> Result<Self, CodecError> {
        if version != VERSION {
            return Err(CodecError::Invalid("voltmesh_ledger::Header", "another version"));
        }
        Ok(Self {
            height: Height::new(u64::read(buf)?),
            parent: Digest::read(buf)?,
            time: Timestamp::from_millis(u64::read(buf)?),
            epoch: Epoch::new(u64::read(buf)?),
            view: u64::read(buf)?,
            body: Digest::read(buf)?,
            log_size: u64::read(buf)?,
            log_root: read_hash(buf)?,
            registry_root: read_hash(buf)?,
            authorities: Digest::read(buf)?,
            election: Digest::read(buf)?,
        })
    }
}
