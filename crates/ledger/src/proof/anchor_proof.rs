//! What a fog node hands out for an anchored batch: enough for anyone with the trust file to check it offline.

use crate::{
    block::header::Header,
    codec::decode_bounded,
    commitment::Commitment,
    proof::{
        authority_history::AuthorityHistory,
        certificate::{Certificate, MAX_CERTIFICATE_BYTES},
        failure::{ProofError, Stage},
        log_proof::{LogProof, Strangers, verify_finality, verify_receipts},
        root_receipt::RootReceipt,
    },
    state::{
        entry::Entry,
        inclusion::{inclusion_size, read_inclusion, write_inclusion},
        registry_proof::RegistryProof,
    },
    types::{Digest, Height, MAX_AUTHORITIES, PublicKey},
};
use bytes::BufMut;
use commonware_codec::{
    Buf, Encode, EncodeSize, Error as CodecError, FixedSize as _, RangeCfg, Read, ReadExt, Write,
};
use voltmesh_telemetry::{
    BatchId, Timestamp,
    merkle::{Inclusion, leaf_hash},
};

/// Longest evidence: certificate, as many root receipts as authorities, two paths; about 27 KiB.
pub const MAX_EVIDENCE_BYTES: usize =
    Header::SIZE + MAX_CERTIFICATE_BYTES + MAX_AUTHORITIES * RootReceipt::SIZE + 2 * (64 * 32 + 32) + 64;

/// Proof that a batch was anchored while its signer counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorProof {
    /// The block at which the other parts hold.
    pub header: Header,
    /// Makes it final.
    pub certificate: Certificate,
    /// Signatures over the log's root, in the order of the keys: of f + 1 authorities or more, where a committee votes
    /// of more than two thirds ([`crate::Genesis::root_quorum`]).
    pub receipts: Vec<RootReceipt>,
    /// The batch's place in the log.
    pub inclusion: Inclusion,
    /// The signer's entry in the registry.
    pub signer: RegistryProof,
}

/// The bytes of evidence in the parts that repeat differently: joined they are [`AnchorProof::to_bytes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceParts {
    /// Header, certificate and root receipts, the bytes of a [`crate::LogProof`]: those of one block's batches are mostly
    /// the same.
    pub block: bytes::Bytes,
    /// The batch's place in the log: of each batch its own.
    pub place: bytes::Bytes,
    /// The signer's entry in the registry: the same until the registry changes.
    pub signer: bytes::Bytes,
}

impl EvidenceParts {
    /// Splits evidence; an error if it has not the form of any.
    pub fn of(evidence: &[u8]) -> Result<Self, ProofError> {
        let AnchorProof { header, certificate, receipts, inclusion, signer } =
            AnchorProof::from_bytes(evidence)?;
        let mut place = bytes::BytesMut::with_capacity(inclusion_size(&inclusion));
        write_inclusion(&inclusion, &mut place);
        Ok(Self {
            block: LogProof { header, certificate, receipts }.to_bytes(),
            place: place.freeze(),
            signer: signer.encode(),
        })
    }

    /// The evidence, whatever the parts are: [`AnchorProof::from_bytes`] judges it.
    pub fn join(block: &[u8], place: &[u8], signer: &[u8]) -> bytes::Bytes {
        [block, place, signer].concat().into()
    }
}

/// Facts that a proof of an anchor has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchored {
    /// The block at which the batch was in the log.
    pub height: Height,
    /// That block's time: the batch existed by then.
    pub time: Timestamp,
    /// Authorities whose votes made it final.
    pub signers: Vec<PublicKey>,
    /// How many there were in that epoch.
    pub authorities: usize,
    /// The batch's index in the log.
    pub index: u64,
    /// The signer's entry in the registry.
    pub entry: Entry,
    /// Whether the proof of that entry is of the older form, which also names the size of the registry's tree, that nothing
    /// commits to.
    pub older_form: bool,
}

impl AnchorProof {
    /// Assembles evidence; brings the receipts into their order.
    pub fn new(
        header: Header,
        certificate: Certificate,
        mut receipts: Vec<RootReceipt>,
        inclusion: Inclusion,
        signer: RegistryProof,
    ) -> Self {
        receipts.sort_by(|a, b| a.authority.cmp(&b.authority));
        receipts.dedup_by(|a, b| a.authority == b.authority);
        Self { header, certificate, receipts, inclusion, signer }
    }

    /// The bytes that go to vehicles and cloud.
    pub fn to_bytes(&self) -> bytes::Bytes {
        self.encode()
    }

    /// Reads bytes of at most [`MAX_EVIDENCE_BYTES`]; each piece of evidence has one encoding.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        decode_bounded("evidence", bytes, MAX_EVIDENCE_BYTES, &())
            .map_err(|e| ProofError::from(Stage::Format, e))
    }

    /// Checks everything: `batch`, signed by the holder of `signer`, was in the log in a final block while that signer
    /// counted. Whether the batch's own signature is right is the caller's question.
    pub fn verify(
        &self,
        trust: &AuthorityHistory,
        batch: &BatchId,
        signer: &Commitment,
    ) -> Result<Anchored, ProofError> {
        self.verify_beside(trust, batch, signer, Strangers::None)
    }

    /// [`Self::verify`] where further authorities are said to have signed the root, whose keys are not known.
    pub(crate) fn verify_beside(
        &self,
        trust: &AuthorityHistory,
        batch: &BatchId,
        signer: &Commitment,
        strangers: Strangers,
    ) -> Result<Anchored, ProofError> {
        self.verify_log(&trust.chain(), batch)?;
        let finality = verify_finality(trust, &self.header, &self.certificate, &self.receipts, strangers);
        // What does not depend on the authorities is judged even where they are not known.
        if finality.as_ref().map_or_else(|error| error.stage == Stage::Authorities, |_| true) {
            self.verify_signer(signer)?;
        }
        let signers = finality?;
        Ok(Anchored {
            authorities: trust.authorities_for(self.header.epoch).map_or(0, |set| set.len()),
            signers,
            ..self.said()
        })
    }

    /// What the evidence says, by nobody's vote.
    pub fn said(&self) -> Anchored {
        Anchored {
            height: self.header.height,
            time: self.header.time,
            signers: Vec::new(),
            authorities: 0,
            index: self.inclusion.index,
            entry: self.signer.entry,
            older_form: self.signer.is_of_older_form(),
        }
    }

    /// Checks that `batch` was in the log of a final block, whoever signed it. Returns its index there.
    pub fn verify_place(&self, trust: &AuthorityHistory, batch: &BatchId) -> Result<u64, ProofError> {
        self.verify_log(&trust.chain(), batch)?;
        verify_finality(trust, &self.header, &self.certificate, &self.receipts, Strangers::None)?;
        Ok(self.inclusion.index)
    }

    /// The batch is in the log, and all root receipts are of this header.
    fn verify_log(&self, chain: &Digest, batch: &BatchId) -> Result<(), ProofError> {
        let fails = |why: &str| Err(ProofError::new(Stage::Log, why));
        if self.inclusion.size != self.header.log_size {
            return fails("the path is for a log of another size");
        }
        if !self.inclusion.verify(&leaf_hash(batch.as_bytes()), &self.header.log_root) {
            return fails("the path does not lead from the batch to the log's root");
        }
        verify_receipts(chain, &self.header, &self.receipts)
    }

    /// The signer counted at this height.
    fn verify_signer(&self, signer: &Commitment) -> Result<(), ProofError> {
        let fails = |why: String| Err(ProofError::new(Stage::Registry, why));
        let (entry, height) = (&self.signer.entry, self.header.height);
        if entry.commitment != *signer {
            return fails("the registry entry is another signer's".into());
        }
        if !self.signer.verify(&self.header.registry_root) {
            return fails("the entry is not in the registry".into());
        }
        if !entry.counts_at(height) {
            let until = entry.revoked_at.map_or(String::new(), |at| format!(", revoked at height {at}"));
            return fails(format!(
                "the key does not count at height {height}: enrolled at height {}{until}",
                entry.enrolled_at
            ));
        }
        Ok(())
    }
}

impl Write for AnchorProof {
    fn write(&self, buf: &mut impl BufMut) {
        self.header.write(buf);
        self.certificate.write(buf);
        self.receipts.write(buf);
        write_inclusion(&self.inclusion, buf);
        self.signer.write(buf);
    }
}

impl EncodeSize for AnchorProof {
    fn encode_size(&self) -> usize {
        Header::SIZE
            + self.certificate.encode_size()
            + self.receipts.encode_size()
            + inclusion_size(&self.inclusion)
            + self.signer.encode_size()
    }
}

impl Read for AnchorProof {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            header: Header::read(buf)?,
            certificate: Certificate::read(buf)?,
            receipts: Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_AUTHORITIES), ()))?,
            inclusion: read_inclusion(buf)?,
            signer: RegistryProof::read(buf)?,
        })
    }
}
