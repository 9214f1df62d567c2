//! Who commands, as of a final block: for a controller, which has no node of the ledger itself.
//!
//! Provided: the term, its holder and its end are what a final block's state says; the certificate is that of the block's voters,
//! who follow from the genesis by hand-overs. Not provided: that there is no newer block.

use crate::{
    block::header::Header,
    codec::decode_bounded,
    proof::{
        authority_history::AuthorityHistory,
        certificate::{Certificate, MAX_CERTIFICATE_BYTES},
        failure::{ProofError, Stage},
        log_proof::verify_votes,
    },
    state::{
        fact::{Fact, FactProof, Term},
        registry_path::RegistryPath,
    },
};
use bytes::{BufMut, Bytes};
use commonware_codec::{
    Buf, Encode as _, EncodeSize, Error as CodecError, FixedSize as _, Read, ReadExt as _, Write,
};

/// Longest evidence of a term: header, certificate, the term of 53 bytes, a path; some 12 KiB.
pub const MAX_TERM_EVIDENCE_BYTES: usize = Header::SIZE + MAX_CERTIFICATE_BYTES + 128 + 64 * 32 + 32;

/// That a controller holds a term as of a final block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermEvidence {
    /// The block.
    pub header: Header,
    /// Makes it final.
    pub certificate: Certificate,
    /// Who commands after it.
    pub term: Term,
    /// From the term to the header's registry root.
    path: RegistryPath,
}

impl TermEvidence {
    /// Evidence of what the state after the block of `header` says ([`crate::State::prove_term`]); `None` if that is no term.
    pub fn new(header: Header, certificate: Certificate, proof: FactProof) -> Option<Self> {
        let FactProof { fact: Fact::Term(term), inclusion } = proof else { return None };
        Some(Self { header, certificate, term, path: RegistryPath::new(&inclusion)? })
    }

    /// Checks that the block is final and that its state says this.
    pub fn verify(&self, trust: &AuthorityHistory) -> Result<&Term, ProofError> {
        let fact = Fact::Term(self.term.clone());
        if !self.path.verify(fact.leaf(), &self.header.registry_root) {
            let why = "the path does not lead from the term to the block's registry root";
            return Err(ProofError::new(Stage::Registry, why));
        }
        verify_votes(trust, &self.header, &self.certificate)?;
        Ok(&self.term)
    }

    /// The encoding.
    pub fn to_bytes(&self) -> Bytes {
        self.encode()
    }

    /// Reads bytes of at most [`MAX_TERM_EVIDENCE_BYTES`]; each piece of evidence has one encoding.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        decode_bounded("evidence of a term", bytes, MAX_TERM_EVIDENCE_BYTES, &())
            .map_err(|e| ProofError::from(Stage::Format, e))
    }
}

impl Write for TermEvidence {
    fn write(&self, buf: &mut impl BufMut) {
        self.header.write(buf);
        self.certificate.write(buf);
        self.term.write(buf);
        self.path.write(buf);
    }
}

impl EncodeSize for TermEvidence {
    fn encode_size(&self) -> usize {
        Header::SIZE + self.certificate.encode_size() + self.term.encode_size() + self.path.encode_size()
    }
}

impl Read for TermEvidence {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            header: Header::read(buf)?,
            certificate: Certificate::read(buf)?,
            term: Term::read(buf)?,
            path: RegistryPath::read(buf)?,
        })
    }
}
