//! The proof of one record: a file that anyone with the trust file can check, offline.
//!
//! It is the vehicle's COSE_Sign1 statement as an RFC 9942 receipt for the record (unprotected header 396), with the
//! log's RFC 9942 receipts for the batch (394) and our extension: the record itself, the finality certificate, and the
//! registry's word on the key.
//!
//! Provided: record, batch, log, finality and key are checked, each with its own error; each proof has one encoding and
//! all of it is checked, so that any flipped bit is found.
//! Not provided: that the vehicle's sensors told the truth, and that the trust file has seen the latest hand-over.

pub(crate) mod anchor_proof;
pub(crate) mod authority_history;
pub(crate) mod certificate;
pub(crate) mod checkpoint;
pub(crate) mod event_proof;
pub(crate) mod failure;
pub(crate) mod handover;
pub(crate) mod leaves;
pub(crate) mod log_proof;
pub(crate) mod root_receipt;
pub(crate) mod statement;
pub(crate) mod term_evidence;
pub(crate) mod trust;

use crate::{
    block::header::Header,
    codec::decode_bounded,
    commitment::{Commitment, commitment},
    proof::{
        anchor_proof::{AnchorProof, Anchored},
        certificate::{Certificate, MAX_CERTIFICATE_BYTES},
        failure::{ProofError, Stage},
        log_proof::Strangers,
        root_receipt::RootReceipt,
        trust::Trust,
    },
    state::registry_proof::RegistryProof,
    types::{Digest, MAX_AUTHORITIES},
};
use commonware_codec::{Encode, FixedSize as _};
use ed25519_dalek::VerifyingKey;
use voltmesh_telemetry::{
    BatchId, Digest as Hash, Record, RecordId, RecordReceipt, Signer,
    batch::BatchHeader,
    cbor::{Reader, Writer},
    cose::{self, Receipt, Sign1, decode_vdp, encode_vdp},
};

/// Longest proof: 128 receipts with paths of 63 hashes, some 2.3 KiB each, and everything else.
pub const MAX_PROOF_BYTES: usize = 512 * 1024;

/// Version of our extension.
const VERSION: u64 = 2;
/// The one of before: its registry proof names a size that nothing commits to, see [`RegistryProof`].
const OLDER: u64 = 1;
const EXTENSION: &str = "voltmesh";
/// Version, record, its salt, root, key, its salt, header, certificate, registry proof.
const FIELDS: usize = 9;

/// Salt and key that open a commitment of the registry. Without it, nobody can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// 32 random bytes that the operator gave the signer.
    pub salt: [u8; 32],
    /// The signer's Ed25519 key.
    pub key: [u8; 32],
}

/// The proof of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    record: RecordReceipt,
    root: Hash,
    opening: Opening,
    receipts: Vec<Receipt>,
    header: Header,
    certificate: Certificate,
    signer: RegistryProof,
}

/// Facts that a proof of a record has shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Proven {
    /// Which record.
    pub id: RecordId,
    /// What it says.
    pub record: Record,
    /// The batch that it is in.
    pub batch: BatchId,
    /// The batch's signed header: who signed, and of what it is a part.
    pub statement: BatchHeader,
    /// Since when, and under whose keys.
    pub anchored: Anchored,
    /// The chain's name.
    pub chain: String,
}

impl Proof {
    /// Assembles the proof of a record from its place in the batch ([`voltmesh_telemetry::SealedBatch::prove`]),
    /// the batch's evidence, and the signer's opening. Fails if the pieces do not fit each other's form; whether they
    /// hold is for [`Proof::verify`].
    pub fn build(
        chain: &Digest,
        record: RecordReceipt,
        evidence: &AnchorProof,
        opening: Opening,
    ) -> Result<Self, ProofError> {
        let root = record.receipt.proof.root(&record.leaf()).ok_or_else(|| {
            ProofError::new(Stage::Record, "the inclusion path does not fit the batch's size")
        })?;
        Ok(Self {
            record,
            root,
            opening,
            receipts: evidence.receipts.iter().map(|r| r.receipt(chain, &evidence.inclusion)).collect(),
            header: evidence.header.clone(),
            certificate: evidence.certificate.clone(),
            signer: evidence.signer.renewed(),
        })
    }

    /// The file.
    pub fn encode(&self) -> Vec<u8> {
        let mut map = Writer::with_capacity(4096);
        map.map(3).int(cose::RECEIPTS).array(self.receipts.len());
        for receipt in &self.receipts {
            map.bytes(&receipt.encode());
        }
        map.int(cose::VDP).raw(&encode_vdp(&self.record.receipt.proof));
        map.text(EXTENSION).array(FIELDS).uint(version(&self.signer));
        map.bytes(&self.record.record.to_canonical()).bytes(&self.record.salt).bytes(self.root.as_bytes());
        map.bytes(&self.opening.key).bytes(&self.opening.salt);
        map.bytes(&self.header.encode()).bytes(&self.certificate.encode()).bytes(&self.signer.encode());
        Sign1 {
            protected: self.record.receipt.protected.clone(),
            unprotected: map.finish(),
            payload: None,
            signature: self.record.receipt.signature,
        }
        .encode()
    }

    /// Reads a file of at most [`MAX_PROOF_BYTES`]; each proof has one encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > MAX_PROOF_BYTES {
            let why = format!("{} bytes, at most {MAX_PROOF_BYTES} are read", bytes.len());
            return Err(ProofError::new(Stage::Format, why));
        }
        let proof = Self::parse(bytes)?;
        if proof.encode() == bytes {
            Ok(proof)
        } else {
            Err(ProofError::new(Stage::Format, "not the one encoding"))
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        let format = |e| ProofError::from(Stage::Format, e);
        let message = Sign1::decode(bytes).map_err(format)?;
        if message.payload.is_some() {
            return Err(ProofError::new(Stage::Format, "the payload is attached"));
        }
        let mut map = Reader::new("proof's unprotected header", &message.unprotected);
        let mut fields = || {
            map.map_of(3)?;
            map.key(cose::RECEIPTS)?;
            let len = map.array()?;
            if len > MAX_AUTHORITIES {
                return Err(map.malformed("more receipts than authorities"));
            }
            let receipts = (0..len).map(|_| Receipt::decode(map.bytes()?)).collect::<Result<Vec<_>, _>>()?;
            map.key(cose::VDP)?;
            let inclusion = decode_vdp(&mut map)?;
            map.text_key(EXTENSION)?;
            map.array_of(FIELDS)?;
            let version = map.uint()?;
            let record = RecordReceipt {
                receipt: Receipt {
                    protected: message.protected.clone(),
                    signature: message.signature,
                    proof: inclusion,
                },
                record: Record::from_canonical(map.bytes()?)?,
                salt: map.fixed()?,
            };
            let root = map.digest()?;
            let opening = Opening { key: map.fixed()?, salt: map.fixed()? };
            let parts = [map.bytes()?, map.bytes()?, map.bytes()?];
            map.finish()?;
            Ok((version, receipts, record, root, opening, parts))
        };
        let (said, receipts, record, root, opening, parts) = fields().map_err(format)?;
        let [header, certificate, signer] = parts;
        let format = |e| ProofError::from(Stage::Format, e);
        let signer = decode_bounded("registry proof", signer, 4096, &()).map_err(format)?;
        if said != version(&signer) {
            return Err(ProofError::new(Stage::Format, "another version"));
        }
        Ok(Self {
            record,
            root,
            opening,
            receipts,
            header: decode_bounded("header", header, Header::SIZE, &()).map_err(format)?,
            certificate: decode_bounded("certificate", certificate, MAX_CERTIFICATE_BYTES, &())
                .map_err(format)?,
            signer,
        })
    }

    /// Checks everything that the file says, against nothing but `trust`.
    pub fn verify(&self, trust: &Trust) -> Result<Proven, ProofError> {
        let (id, batch, statement) = self.verify_record()?;
        let (evidence, strangers) = self.evidence(trust)?;
        let anchored = evidence.verify_beside(trust, &batch, &self.commitment(&statement), strangers)?;
        Ok(Proven {
            id,
            record: self.record.record.clone(),
            batch,
            statement,
            anchored,
            chain: trust.genesis().chain.clone(),
        })
    }

    /// Record and batch: RFC 9942's receipt for the record.
    fn verify_record(&self) -> Result<(RecordId, BatchId, BatchHeader), ProofError> {
        let receipt = &self.record.receipt;
        if receipt.proof.root(&self.record.leaf()) != Some(self.root) {
            return Err(ProofError::new(
                Stage::Record,
                "the path does not lead from the record to the batch's root",
            ));
        }
        let batch = |e| ProofError::from(Stage::Batch, e);
        let statement = BatchHeader::from_protected(&receipt.protected, self.root).map_err(batch)?;
        let key = VerifyingKey::from_bytes(&self.opening.key)
            .map_err(|_| ProofError::new(Stage::Batch, "the opening holds no Ed25519 key"))?;
        if statement.key_id != cose::key_id(&key) {
            return Err(ProofError::new(Stage::Batch, "the statement names another key than the opening"));
        }
        receipt.signed_root(&self.root).verify(&key).map_err(batch)?;
        let read = self.record.read().map_err(|e| ProofError::from(Stage::Record, e))?;
        Ok((read.id, read.batch, read.header))
    }

    /// The log's receipts as signatures of the epoch's authorities, and whether further ones are of keys that a trust file
    /// of before this epoch does not know.
    fn evidence(&self, trust: &Trust) -> Result<(AnchorProof, Strangers), ProofError> {
        let fails = |why| ProofError::new(Stage::Log, why);
        let first = self.receipts.first().ok_or_else(|| fails("no receipt of the log"))?;
        if self.receipts.iter().any(|receipt| receipt.proof != first.proof) {
            return Err(fails("receipts with different paths"));
        }
        let authorities = trust
            .authorities_for(self.header.epoch)
            .ok_or_else(|| ProofError::new(Stage::Finality, "the epoch's authorities are not known"))?;
        let (mut receipts, mut strangers) = (Vec::with_capacity(self.receipts.len()), Strangers::None);
        for receipt in &self.receipts {
            let named = RootReceipt::named_by(&trust.chain(), receipt)
                .ok_or_else(|| fails("a receipt that is none of this chain's log"))?;
            match authorities.by_key_id(&named.key_id) {
                Some(authority) => receipts.push(named.of(authority.clone(), receipt)),
                None if self.header.epoch > trust.known_until() => strangers = Strangers::Some,
                None => {
                    return Err(fails("a receipt of someone who is no authority of this chain and epoch"));
                }
            }
        }
        let evidence = AnchorProof {
            header: self.header.clone(),
            certificate: self.certificate.clone(),
            receipts,
            inclusion: first.proof.clone(),
            signer: self.signer.clone(),
        };
        Ok((evidence, strangers))
    }

    /// What the registry must hold: the signer's name, from the signed statement, with the opening.
    fn commitment(&self, statement: &BatchHeader) -> Commitment {
        let name = match &statement.signer {
            Signer::Vehicle => statement.vehicle.as_str(),
            Signer::Fog(fog) => fog,
        };
        commitment(name, &self.opening.salt, &self.opening.key)
    }
}

/// The version of the extension that holds this registry proof.
fn version(signer: &RegistryProof) -> u64 {
    if signer.is_of_older_form() { OLDER } else { VERSION }
}

impl Proven {
    /// One sentence: what is proven, since when, under whose keys; and another one if the proof is of the older form.
    pub fn summary(&self) -> String {
        let key = self.statement.key_id.to_string();
        let by = match &self.statement.signer {
            Signer::Vehicle => format!("signed by the vehicle's key {}…", &key[..16]),
            Signer::Fog(fog) => format!("attested by fog node {fog} with its key {}…", &key[..16]),
        };
        let signers: Vec<_> =
            self.anchored.signers.iter().map(|key| key.to_string()[..8].to_owned()).collect();
        let form = if self.anchored.older_form {
            " The proof is of the older form: the size of the registry's tree in it is not checked."
        } else {
            ""
        };
        format!(
            "Record {} of {} is exactly as {by}, and has been in the log of chain {:?} since {} (block {}), final by {} of {} authorities ({}).{form}",
            self.id,
            rfc3339(self.record.sample.time.as_millis()),
            self.chain,
            rfc3339(self.anchored.time.as_millis()),
            self.anchored.height,
            self.anchored.signers.len(),
            self.anchored.authorities,
            signers.join(", "),
        )
    }
}

/// UTC with milliseconds. Days to civil date after Howard Hinnant, "chrono-compatible low-level date algorithms".
fn rfc3339(ms: u64) -> String {
    let (days, ms_of_day) = (ms / 86_400_000, ms % 86_400_000);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (s, ms) = (ms_of_day / 1000, ms_of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use crate::proof::rfc3339;

    #[test]
    fn dates() {
        let check = |ms, expected| assert_eq!(rfc3339(ms), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_123, "2000-02-29T00:00:00.123Z");
        check(1_709_251_199_999, "2024-02-29T23:59:59.999Z");
        check(4_102_444_800_000, "2100-01-01T00:00:00.000Z");
    }
}
