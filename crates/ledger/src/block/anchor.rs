//! Anchors: an authority puts batches into the log.

use crate::{
    codec::{count, read_hash},
    error::Error,
    keys::transaction_namespace,
    types::{Digest, PrivateKey, PublicKey, Signature},
};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, RangeCfg, Read, ReadExt, Write};
use commonware_cryptography::{Signer as _, Verifier as _};
use voltmesh_telemetry::BatchId;

/// Most batches in one anchor: 512 × 32 B = 16 KiB.
pub const MAX_BATCHES_PER_ANCHOR: usize = 512;

/// Most anchors of one authority in a block: at one each 100 ms, 1.6 s of blocks missed.
pub const MAX_ANCHORS_PER_AUTHORITY: usize = 16;

/// Most batches of one authority in a block: 4 full anchors, 8 M records in batches of 4,096.
pub const MAX_BATCHES_PER_AUTHORITY: usize = 4 * MAX_BATCHES_PER_ANCHOR;

const ANCHOR: &[u8] = b"-anchor-";

/// Transaction by which an authority puts batches into the log, whose signatures and chains it has checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Who anchors.
    pub authority: PublicKey,
    /// Counts the authority's anchors; each number is applied once, gaps are allowed.
    pub sequence: u64,
    /// Records in these batches together, for statistics.
    pub records: u64,
    /// What enters the log, in this order: 1 to [`MAX_BATCHES_PER_ANCHOR`], none twice.
    pub batches: Vec<BatchId>,
    /// The authority's signature over all of the above on one chain.
    pub signature: Signature,
}

impl Anchor {
    /// Signs an anchor.
    pub fn sign(
        chain: &Digest,
        key: &PrivateKey,
        sequence: u64,
        records: u64,
        batches: Vec<BatchId>,
    ) -> Self {
        let authority = key.public_key();
        let message = Self::message(&authority, sequence, records, &batches);
        let signature = key.sign(&Self::namespace(chain), &message);
        Self { authority, sequence, records, batches, signature }
    }

    /// Whether the signature is the authority's, on this chain.
    pub fn verify(&self, chain: &Digest) -> bool {
        self.authority.verify(&Self::namespace(chain), &self.signed(), &self.signature)
    }

    pub(crate) fn namespace(chain: &Digest) -> Vec<u8> {
        transaction_namespace(ANCHOR, chain)
    }

    /// The bytes that the authority signs.
    pub(crate) fn signed(&self) -> Vec<u8> {
        Self::message(&self.authority, self.sequence, self.records, &self.batches)
    }

    fn message(authority: &PublicKey, sequence: u64, records: u64, batches: &[BatchId]) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + 5 + 32 * batches.len());
        authority.write(&mut out);
        sequence.write(&mut out);
        records.write(&mut out);
        write_batches(batches, &mut out);
        out
    }

    /// Checks what holds on any chain.
    pub(crate) fn check_shape(&self) -> Result<(), Error> {
        count("batches in an anchor", self.batches.len(), 1, MAX_BATCHES_PER_ANCHOR)?;
        // Sorting copies of 32 B is faster than a tree of references, and this runs for each anchor of a block.
        let mut sorted: Vec<&BatchId> = self.batches.iter().collect();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::DuplicateBatch(*pair[0]));
        }
        Ok(())
    }
}

fn write_batches(batches: &[BatchId], buf: &mut impl BufMut) {
    batches.len().write(buf);
    for batch in batches {
        buf.put_slice(batch.as_bytes());
    }
}

impl Write for Anchor {
    fn write(&self, buf: &mut impl BufMut) {
        self.authority.write(buf);
        self.sequence.write(buf);
        self.records.write(buf);
        write_batches(&self.batches, buf);
        self.signature.write(buf);
    }
}

impl EncodeSize for Anchor {
    fn encode_size(&self) -> usize {
        32 + 8 + 8 + self.batches.len().encode_size() + 32 * self.batches.len() + 64
    }
}

impl Read for Anchor {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let authority = PublicKey::read(buf)?;
        let sequence = u64::read(buf)?;
        let records = u64::read(buf)?;
        let len = usize::read_cfg(buf, &RangeCfg::from(1..=MAX_BATCHES_PER_ANCHOR))?;
        let mut batches = Vec::with_capacity(len);
        for _ in 0..len {
            batches.push(BatchId::new(read_hash(buf)?));
        }
        let signature = Signature::read(buf)?;
        Ok(Self { authority, sequence, records, batches, signature })
    }
}
