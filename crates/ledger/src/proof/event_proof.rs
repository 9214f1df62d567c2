//! The proof of one event or decision: a file that anyone with the trust file can check, offline.
//!
//! Provided: the bytes were committed to by this authority or controller, and that was in the log of acts of a final block;
//! the certificate is that of the block's voters, who follow from the genesis by hand-overs. Each proof has one encoding.
//! Not provided: that what the event says is true; that no other events were kept back. Where a committee votes, the proof
//! rests on the committee's votes, like a registry entry's: no root receipts of all authorities stand beside them.

use crate::{
    block::{
        act::Act,
        event_list::{EventSalt, Lane, MAX_EVENTS_PER_LIST, SaltedDigest, salted_digest},
        header::Header,
    },
    codec::decode_bounded,
    proof::{
        authority_history::AuthorityHistory,
        certificate::{Certificate, MAX_CERTIFICATE_BYTES},
        failure::{ProofError, Stage},
        log_proof::verify_votes,
        rfc3339,
        trust::Trust,
    },
    state::{
        controllers::ActEntry,
        fact::{Fact, FactProof},
        inclusion::{inclusion_size, read_inclusion, write_inclusion},
    },
    types::{Height, PublicKey},
};
use bytes::{BufMut, Bytes};
use commonware_codec::{
    Buf, Encode, EncodeSize, Error as CodecError, FixedSize as _, RangeCfg, Read, ReadExt as _, Write,
};
use voltmesh_telemetry::{
    Timestamp,
    merkle::{self, Inclusion},
};

/// Longest event or decision: 64 KiB. An event of a function has some 500 bytes.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;

/// Longest evidence of an act: header, certificate, the act of 77 bytes, two paths; some 12 KiB.
pub const MAX_ACT_EVIDENCE_BYTES: usize = Header::SIZE + MAX_CERTIFICATE_BYTES + 128 + 2 * (64 * 32 + 32);

/// Longest proof: the event, its path in its list, and the evidence.
pub const MAX_EVENT_PROOF_BYTES: usize = 64 + MAX_EVENT_BYTES + 64 * 32 + 32 + MAX_ACT_EVIDENCE_BYTES;

/// What a proof begins with: its format's name and version.
const MAGIC: &[u8; 22] = b"voltmesh-event-proof-1";

/// That an act is in the log of acts of a final block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActEvidence {
    /// The block at which the other parts hold.
    pub header: Header,
    /// Makes it final.
    pub certificate: Certificate,
    /// The act.
    pub act: Act,
    /// Its place in the log of acts.
    pub inclusion: Inclusion,
    /// The place of that log's size and root under the header's registry root.
    pub extent: Inclusion,
}

impl ActEvidence {
    /// Evidence for an entry of the log of acts as it is after the block of `header`; `acts` is what that block's state says
    /// of the log ([`crate::State::prove_acts`]).
    pub fn new(header: Header, certificate: Certificate, entry: ActEntry, acts: FactProof) -> Self {
        Self { header, certificate, act: entry.act, inclusion: entry.inclusion, extent: acts.inclusion }
    }

    /// Checks that the act is in the log of a final block. Returns whose votes made it final.
    pub fn verify(&self, trust: &AuthorityHistory) -> Result<Vec<PublicKey>, ProofError> {
        let fails = |why: &str| ProofError::new(Stage::Log, why);
        let root = self
            .inclusion
            .root(&self.act.leaf())
            .ok_or_else(|| fails("the path does not fit the size of the log of acts"))?;
        let extent = Fact::Acts { size: self.inclusion.size, root, leaves: self.extent.size };
        if !self.extent.verify(&extent.leaf(), &self.header.registry_root) {
            return Err(fails("the path does not lead from the act to the block's registry root"));
        }
        verify_votes(trust, &self.header, &self.certificate)
    }

    /// The encoding.
    pub fn to_bytes(&self) -> Bytes {
        self.encode()
    }

    /// Reads bytes of at most [`MAX_ACT_EVIDENCE_BYTES`]; each piece of evidence has one encoding.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        decode_bounded("evidence of an act", bytes, MAX_ACT_EVIDENCE_BYTES, &())
            .map_err(|e| ProofError::from(Stage::Format, e))
    }
}

/// The proof of one event or decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventProof {
    /// Opens the commitment, with `bytes`.
    pub salt: EventSalt,
    /// The event or decision as its author wrote it.
    pub bytes: Bytes,
    /// An event's place in its list; none of a decision.
    pub place: Option<Inclusion>,
    /// That the list or the decision is in the log of acts.
    pub evidence: ActEvidence,
}

/// Facts that a proof of an event or decision has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenEvent {
    /// The event or decision as its author wrote it.
    pub bytes: Bytes,
    /// The commitment to it.
    pub digest: SaltedDigest,
    /// Whose it is.
    pub act: Act,
    /// The block by which it was on the ledger.
    pub height: Height,
    /// That block's time.
    pub time: Timestamp,
    /// Whose votes made it final.
    pub signers: Vec<PublicKey>,
    /// How many vote in that epoch.
    pub voters: usize,
    /// How many authorities there are in it.
    pub authorities: usize,
    /// The chain's name.
    pub chain: String,
}

impl EventProof {
    /// The proof of the event at `index` of the list whose commitments are `list`; `None` if there is none.
    pub fn of_event(
        salt: EventSalt,
        bytes: Bytes,
        list: &[SaltedDigest],
        index: usize,
        evidence: ActEvidence,
    ) -> Option<Self> {
        let place = merkle::prove(list, index)?;
        Some(Self { salt, bytes, place: Some(place), evidence })
    }

    /// The proof of a decision.
    pub fn of_decision(salt: EventSalt, bytes: Bytes, evidence: ActEvidence) -> Self {
        Self { salt, bytes, place: None, evidence }
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAGIC.len() + self.encode_size());
        out.extend_from_slice(MAGIC);
        self.write(&mut out);
        out
    }

    /// Reads a file of at most [`MAX_EVENT_PROOF_BYTES`]; each proof has one encoding.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        let Some(content) = bytes.strip_prefix(MAGIC) else {
            return Err(ProofError::new(Stage::Format, "not the proof of an event or decision"));
        };
        decode_bounded("proof of an event", content, MAX_EVENT_PROOF_BYTES, &())
            .map_err(|e| ProofError::from(Stage::Format, e))
    }

    /// Checks everything that the file says, against nothing but `trust`.
    pub fn verify(&self, trust: &Trust) -> Result<ProvenEvent, ProofError> {
        let digest = self.verify_event()?;
        let signers = self.evidence.verify(trust)?;
        let header = &self.evidence.header;
        Ok(ProvenEvent {
            bytes: self.bytes.clone(),
            digest,
            act: self.evidence.act.clone(),
            height: header.height,
            time: header.time,
            signers,
            voters: trust.voters_for(header.epoch).map_or(0, |set| set.len()),
            authorities: trust.authorities_for(header.epoch).map_or(0, |set| set.len()),
            chain: trust.genesis().chain.clone(),
        })
    }

    /// The bytes are what the act committed to.
    fn verify_event(&self) -> Result<SaltedDigest, ProofError> {
        let fails = |why: &str| Err(ProofError::new(Stage::Event, why));
        let digest = salted_digest(&self.salt, &self.bytes);
        match (&self.evidence.act, &self.place) {
            (Act::Events { count, root, .. }, Some(place)) => {
                if place.size != u64::from(*count) || place.size > MAX_EVENTS_PER_LIST as u64 {
                    return fails("the path is for a list of another length");
                }
                if !place.verify(&digest, root) {
                    return fails("the path does not lead from the event to its list");
                }
            }
            (Act::Decision { decision, .. }, None) => {
                if digest != *decision {
                    return fails("the controller decided something else, or the salt is another");
                }
            }
            _ => return fails("the act holds no such thing"),
        }
        Ok(digest)
    }
}

impl ProvenEvent {
    /// One sentence: what is proven, since when, under whose keys.
    pub fn summary(&self) -> String {
        let what = match &self.act {
            Act::Events { authority, lane, .. } => {
                let what = match lane {
                    Lane::Functions => "event",
                    Lane::Audit => "head of an audit log",
                };
                format!("This {what} was put onto the ledger by fog node {}…", &authority.to_string()[..16])
            }
            Act::Decision { controller, term, number, .. } => format!(
                "This is decision {number} of controller {}… in its term {term}, put onto the ledger",
                &controller.to_string()[..16]
            ),
            Act::Term { controller, term } => format!("Controller {controller} took term {term}"),
        };
        let committee = if self.voters == self.authorities {
            format!("{} authorities", self.authorities)
        } else {
            format!("{} voters, a committee of {} authorities", self.voters, self.authorities)
        };
        let signers: Vec<_> = self.signers.iter().map(|key| key.to_string()[..8].to_owned()).collect();
        format!(
            "{what} of chain {:?} no later than {} (block {}), final by {} of {committee} ({}).",
            self.chain,
            rfc3339(self.time.as_millis()),
            self.height,
            self.signers.len(),
            signers.join(", "),
        )
    }
}

impl Write for ActEvidence {
    fn write(&self, buf: &mut impl BufMut) {
        self.header.write(buf);
        self.certificate.write(buf);
        self.act.write(buf);
        write_inclusion(&self.inclusion, buf);
        write_inclusion(&self.extent, buf);
    }
}

impl EncodeSize for ActEvidence {
    fn encode_size(&self) -> usize {
        Header::SIZE
            + self.certificate.encode_size()
            + self.act.encode_size()
            + inclusion_size(&self.inclusion)
            + inclusion_size(&self.extent)
    }
}

impl Read for ActEvidence {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            header: Header::read(buf)?,
            certificate: Certificate::read(buf)?,
            act: Act::read(buf)?,
            inclusion: read_inclusion(buf)?,
            extent: read_inclusion(buf)?,
        })
    }
}

impl Write for EventProof {
    fn write(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.salt);
        self.bytes.write(buf);
        u8::from(self.place.is_some()).write(buf);
        if let Some(place) = &self.place {
            write_inclusion(place, buf);
        }
        self.evidence.write(buf);
    }
}

impl EncodeSize for EventProof {
    fn encode_size(&self) -> usize {
        self.salt.len()
            + self.bytes.encode_size()
            + 1
            + self.place.as_ref().map_or(0, inclusion_size)
            + self.evidence.encode_size()
    }
}

impl Read for EventProof {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            salt: EventSalt::read(buf)?,
            bytes: Bytes::read_cfg(buf, &RangeCfg::from(0..=MAX_EVENT_BYTES))?,
            place: match u8::read(buf)? {
                0 => None,
                1 => Some(read_inclusion(buf)?),
                other => return Err(CodecError::InvalidEnum(other)),
            },
            evidence: ActEvidence::read(buf)?,
        })
    }
}
