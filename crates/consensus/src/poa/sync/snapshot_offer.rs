//! What nodes tell each other about snapshots: which there are, their pieces, and the hand-overs that lead to them.

use crate::poa::storage::snapshot_store::CHUNK;
use bytes::{BufMut, Bytes};
use commonware_codec::{Buf, EncodeSize, Error, FixedSize as _, RangeCfg, Read, ReadExt as _, Write};
use voltmesh_ledger::{Attestation, Certificate, Digest, Header, MAX_AUTHORITIES, MAX_SNAPSHOT_BYTES};

/// Hand-overs in one message: 16 × 17 KiB = 272 KiB.
pub(crate) const MAX_HANDOVERS_SENT: usize = 16;

/// Offer of a snapshot that the sender holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Of its block.
    pub header: Header,
    /// Makes the block final.
    pub certificate: Certificate,
    /// [`voltmesh_ledger::Snapshot::digest_of`] it.
    pub digest: Digest,
    /// Its length in bytes, at most [`MAX_SNAPSHOT_BYTES`].
    pub len: u32,
    /// Those that the sender knows.
    pub attestations: Vec<Attestation>,
}

impl Offer {
    /// Pieces of [`CHUNK`] bytes, the last one shorter.
    pub fn chunks(&self) -> u32 {
        (self.len as usize).div_ceil(CHUNK) as u32
    }
}

impl Write for Offer {
    fn write(&self, buf: &mut impl BufMut) {
        self.header.write(buf);
        self.certificate.write(buf);
        self.digest.write(buf);
        self.len.write(buf);
        self.attestations.write(buf);
    }
}

impl EncodeSize for Offer {
    fn encode_size(&self) -> usize {
        Header::SIZE + self.certificate.encode_size() + 32 + 4 + self.attestations.encode_size()
    }
}

impl Read for Offer {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        let offer = Self {
            header: Header::read(buf)?,
            certificate: Certificate::read(buf)?,
            digest: Digest::read(buf)?,
            len: u32::read(buf)?,
            attestations: Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_AUTHORITIES), ()))?,
        };
        if offer.len as usize > MAX_SNAPSHOT_BYTES {
            return Err(Error::InvalidLength(offer.len as usize));
        }
        Ok(offer)
    }
}

/// A piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Of the snapshot's block.
    pub height: u64,
    /// Counts pieces from 0.
    pub index: u32,
    /// At most [`CHUNK`].
    pub bytes: Bytes,
}

impl Write for Chunk {
    fn write(&self, buf: &mut impl BufMut) {
        self.height.write(buf);
        self.index.write(buf);
        self.bytes.write(buf);
    }
}

impl EncodeSize for Chunk {
    fn encode_size(&self) -> usize {
        12 + self.bytes.encode_size()
    }
}

impl Read for Chunk {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        Ok(Self {
            height: u64::read(buf)?,
            index: u32::read(buf)?,
            bytes: Bytes::read_cfg(buf, &RangeCfg::from(0..=CHUNK))?,
        })
    }
}
