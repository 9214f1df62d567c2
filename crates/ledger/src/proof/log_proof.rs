//! How large the log was, provable offline: a final block's header, without any batch.
//!
//! Provided: size, root, height and time are those of a block that is final under the authorities that a trust file leads
//! to, and enough of them signed the root. Not provided: that nothing was added since.

use crate::{
    block::header::Header,
    codec::decode_bounded,
    error::Error,
    proof::{
        authority_history::AuthorityHistory,
        certificate::{Certificate, MAX_CERTIFICATE_BYTES},
        failure::{ProofError, Stage},
        root_receipt::RootReceipt,
    },
    types::{Digest, Height, MAX_AUTHORITIES, PublicKey},
};
use bytes::{BufMut, Bytes};
use commonware_codec::{
    Buf, Encode, EncodeSize, Error as CodecError, FixedSize as _, RangeCfg, Read, ReadExt as _, Write,
};
use std::collections::BTreeSet;
use voltmesh_telemetry::{Digest as Hash, Timestamp};

/// Longest proof: header, certificate, as many root receipts as authorities; about 23 KiB.
pub const MAX_LOG_PROOF_BYTES: usize =
    Header::SIZE + MAX_CERTIFICATE_BYTES + MAX_AUTHORITIES * RootReceipt::SIZE + 16;

/// Extent of the log after a final block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// The block.
    pub height: Height,
    /// The block's time.
    pub time: Timestamp,
    /// Batches in the log.
    pub size: u64,
    /// RFC 9162 root over them.
    pub root: Hash,
}

impl LogHead {
    /// What a header says of the log.
    pub fn of(header: &Header) -> Self {
        Self { height: header.height, time: header.time, size: header.log_size, root: header.log_root }
    }
}

/// Proof of a [`LogHead`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogProof {
    /// The block.
    pub header: Header,
    /// Makes it final.
    pub certificate: Certificate,
    /// Signatures over the log's root, in the order of the keys ([`crate::Genesis::root_quorum`]).
    pub receipts: Vec<RootReceipt>,
}

impl LogProof {
    /// Assembles a proof; brings the receipts into their order.
    pub fn new(header: Header, certificate: Certificate, mut receipts: Vec<RootReceipt>) -> Self {
        receipts.sort_by(|a, b| a.authority.cmp(&b.authority));
        receipts.dedup_by(|a, b| a.authority == b.authority);
        Self { header, certificate, receipts }
    }

    /// What it proves, if it holds.
    pub fn head(&self) -> LogHead {
        LogHead::of(&self.header)
    }

    /// Checks that the block is final and that enough authorities of its epoch signed the log's root.
    pub fn verify(&self, trust: &AuthorityHistory) -> Result<LogHead, ProofError> {
        verify_receipts(&trust.chain(), &self.header, &self.receipts)?;
        verify_finality(trust, &self.header, &self.certificate, &self.receipts, Strangers::None)?;
        Ok(self.head())
    }

    /// The encoding.
    pub fn to_bytes(&self) -> Bytes {
        self.encode()
    }

    /// Reads bytes of at most [`MAX_LOG_PROOF_BYTES`]; each proof has one encoding.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        decode_bounded("log proof", bytes, MAX_LOG_PROOF_BYTES, &())
            .map_err(|e| ProofError::from(Stage::Format, e))
    }
}

/// Checks that all root receipts are of this header, in the order of their keys, none twice.
pub(crate) fn verify_receipts(
    chain: &Digest,
    header: &Header,
    receipts: &[RootReceipt],
) -> Result<(), ProofError> {
    if !receipts.is_sorted_by(|a, b| a.authority < b.authority) {
        return Err(ProofError::new(Stage::Log, "an authority's receipt is there twice or out of order"));
    }
    receipts
        .iter()
        .try_for_each(|receipt| receipt.verify(chain, header))
        .map_err(|e| ProofError::from(Stage::Log, e))
}

/// Presence of further root receipts, under keys that no authority of the trust file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strangers {
    /// No.
    None,
    /// Yes.
    Some,
}

/// Checks that the block is final, and that enough authorities of its epoch signed the root
/// ([`crate::Genesis::root_quorum`]). Returns whose votes made it final.
///
/// A trust file that is older than the block may not know its authorities. Those that it does know are believed if their
/// votes hold; if not, a hand-over may be missing as well as the votes be forged, and the error is [`Stage::Authorities`].
pub(crate) fn verify_finality(
    trust: &AuthorityHistory,
    header: &Header,
    certificate: &Certificate,
    receipts: &[RootReceipt],
    strangers: Strangers,
) -> Result<Vec<PublicKey>, ProofError> {
    let signers = verify_votes(trust, header, certificate)?;
    let later = header.epoch > trust.known_until();
    let unknown = || ProofError::from(Stage::Finality, Error::UnknownEpoch(header.epoch));
    let authorities = trust.authorities_for(header.epoch).ok_or_else(unknown)?;
    let known: BTreeSet<&PublicKey> = authorities.keys().collect();
    let stranger = receipts.iter().find(|receipt| !known.contains(&receipt.authority));
    if later && (stranger.is_some() || strangers == Strangers::Some) {
        return Err(ProofError::later(trust.known_until(), header.epoch));
    }
    if let Some(stranger) = stranger {
        return Err(ProofError::from(Stage::Log, Error::NotAuthority(stranger.authority.clone())));
    }
    let (found, want) = (receipts.len(), trust.genesis().root_quorum(authorities));
    if found < want {
        return Err(ProofError::new(Stage::Log, format!("{found} authorities signed the root, {want} must")));
    }
    Ok(signers)
}

/// Checks that the block is final: what [`verify_finality`] does, without receipts of the log's root.
pub(crate) fn verify_votes(
    trust: &AuthorityHistory,
    header: &Header,
    certificate: &Certificate,
) -> Result<Vec<PublicKey>, ProofError> {
    // Whoever the authorities are, these are not their votes for this block.
    certificate.is_for(header).map_err(|e| ProofError::from(Stage::Finality, e))?;
    let later = header.epoch > trust.known_until();
    if trust.calendar().epoch_of(header.height) != header.epoch {
        // Only a decree cuts an epoch short, and only where a committee votes.
        if later && trust.genesis().has_committee() {
            return Err(ProofError::later(trust.known_until(), header.epoch));
        }
        return Err(ProofError::new(Stage::Finality, "the block's epoch is not that of its height"));
    }
    let unknown = || ProofError::from(Stage::Finality, Error::UnknownEpoch(header.epoch));
    let voters = trust.voters_for(header.epoch).ok_or_else(unknown)?;
    certificate.verify(&trust.chain(), voters, header).map_err(|error| {
        if later {
            ProofError::later(trust.known_until(), header.epoch)
        } else {
            ProofError::from(Stage::Finality, error)
        }
    })
}

impl Write for LogProof {
    fn write(&self, buf: &mut impl BufMut) {
        self.header.write(buf);
        self.certificate.write(buf);
        self.receipts.write(buf);
    }
}

impl EncodeSize for LogProof {
    fn encode_size(&self) -> usize {
        Header::SIZE + self.certificate.encode_size() + self.receipts.encode_size()
    }
}

impl Read for LogProof {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            header: Header::read(buf)?,
            certificate: Certificate::read(buf)?,
            receipts: Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_AUTHORITIES), ()))?,
        })
    }
}
