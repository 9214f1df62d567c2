//! A statement that somebody signed and an authority anchored: dated, and never taken back.
//!
//! Provided: bytes with this SHA-256 were in the log by the time of a final block. Not provided: who signed them and what
//! they say (`control` reads the archive's).

use crate::{
    codec::decode_bounded,
    proof::{
        anchor_proof::{AnchorProof, Anchored, MAX_EVIDENCE_BYTES},
        authority_history::AuthorityHistory,
        failure::{ProofError, Stage},
    },
};
use bytes::{BufMut, Bytes};
use commonware_codec::{Buf, Encode, EncodeSize, Error as CodecError, RangeCfg, Read, ReadExt as _, Write};
use voltmesh_telemetry::{BatchId, Digest as Hash};

/// Longest statement: 1 KiB. The archive's has some 300 bytes.
pub const MAX_STATEMENT_BYTES: usize = 1024;

/// Longest encoding of an anchored statement.
pub const MAX_ANCHORED_STATEMENT_BYTES: usize = MAX_STATEMENT_BYTES + MAX_EVIDENCE_BYTES + 8;

/// Statement with the proof that the log holds its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchoredStatement {
    /// The signed bytes.
    pub statement: Bytes,
    /// That their [`AnchoredStatement::leaf`] is in the log; its signer is the fog node that anchored it.
    pub evidence: AnchorProof,
}

impl AnchoredStatement {
    /// What the log holds of a statement, in the place of a batch's id: SHA-256 of its bytes.
    pub fn leaf(statement: &[u8]) -> BatchId {
        BatchId::new(Hash::of(statement))
    }

    /// Checks that the statement was in the log of a final block, anchored for a signer whom the registry knew. Who signed
    /// the statement is the caller's question.
    pub fn verify(&self, trust: &AuthorityHistory) -> Result<Anchored, ProofError> {
        if self.statement.len() > MAX_STATEMENT_BYTES {
            let why = format!("a statement of {} bytes, at most {MAX_STATEMENT_BYTES}", self.statement.len());
            return Err(ProofError::new(Stage::Format, why));
        }
        let signer = self.evidence.signer.entry.commitment;
        self.evidence.verify(trust, &Self::leaf(&self.statement), &signer)
    }

    /// The encoding: what a fog node keeps and serves.
    pub fn to_bytes(&self) -> Bytes {
        self.encode()
    }

    /// Reads bytes of at most [`MAX_ANCHORED_STATEMENT_BYTES`]; there is one encoding.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        decode_bounded("anchored statement", bytes, MAX_ANCHORED_STATEMENT_BYTES, &())
            .map_err(|e| ProofError::from(Stage::Format, e))
    }
}

impl Write for AnchoredStatement {
    fn write(&self, buf: &mut impl BufMut) {
        self.statement.write(buf);
        self.evidence.write(buf);
    }
}

impl EncodeSize for AnchoredStatement {
    fn encode_size(&self) -> usize {
        self.statement.encode_size() + self.evidence.encode_size()
    }
}

impl Read for AnchoredStatement {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            statement: Bytes::read_cfg(buf, &RangeCfg::from(0..=MAX_STATEMENT_BYTES))?,
            evidence: AnchorProof::read(buf)?,
        })
    }
}
