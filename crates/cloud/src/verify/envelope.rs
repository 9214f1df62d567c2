//! The checks that an envelope passes before the archive is asked: form, batch, evidence, signature, content.
//!
//! Provided: the cloud believes no fog node. The batch's key is the one whose salted commitment the ledger's registry
//! held in the very block that proves the batch anchored; the batch's own chain is checked by [`crate::coverage`].
//! Not provided: plausibility of what the sensors said.

use super::{
    rejection::{Rejection, Stage},
    verified::{About, Verified},
};
use crate::foreign::content_of;
use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use voltmesh_control::{Envelope, Opening};
use voltmesh_ledger::{AnchorProof, Anchored, ProofError, Stage as ProofStage, Trust, commitment};
use voltmesh_telemetry::{Record, RecordNumber, SealedBatch, Signer, VehicleId};

/// Result of the checks.
#[derive(Debug)]
pub enum Checked {
    /// All passed.
    Passed(Box<Verified>),
    /// One failed.
    Failed {
        /// Which, and why.
        rejection: Rejection,
        /// What it claims to be, if it could be read that far.
        about: Option<About>,
        /// Whether a hand-over of the authorities that we have not seen could be the reason.
        perhaps_later: bool,
    },
}

/// Checks an envelope from the fog node `fog` (by its certificate).
pub fn check(fog: &str, bytes: &Bytes, trust: &Trust) -> Checked {
    match Delivery::read(fog, bytes) {
        Ok(delivery) => delivery.check(trust),
        Err(rejection) => Checked::Failed { rejection, about: None, perhaps_later: false },
    }
}

/// An envelope, read as far as its batch's header. Its form is checked, nothing is unpacked.
#[derive(Debug)]
pub struct Delivery {
    envelope: Envelope,
    sealed: SealedBatch,
}

impl Delivery {
    /// Reads an envelope from the fog node `fog` (by its certificate).
    pub fn read(fog: &str, bytes: &Bytes) -> Result<Self, Rejection> {
        let envelope = Envelope::decode(bytes).map_err(|error| Rejection::new(Stage::Envelope, &error))?;
        if envelope.fog != fog {
            let reason = format!("it names fog node {}, but {fog} sent it", envelope.fog);
            return Err(Rejection { stage: Stage::Envelope, reason });
        }
        let sealed = SealedBatch::parse(envelope.batch.clone())
            .map_err(|error| Rejection::new(Stage::Batch, &error))?;
        Ok(Self { envelope, sealed })
    }

    /// Whose batch it says to be.
    pub fn vehicle(&self) -> &VehicleId {
        &self.sealed.header().vehicle
    }

    /// Unpacks the batch and checks everything that can be told without its neighbours.
    pub fn check(self, trust: &Trust) -> Checked {
        let Self { envelope, sealed } = self;
        let (header, id) = (sealed.header().clone(), sealed.id());
        match verify(&sealed, &envelope.opening, &envelope.evidence, trust) {
            Ok(Judged { unproven: Some(rejection), .. }) => {
                Checked::Failed { rejection, about: Some(About::of(&header, id)), perhaps_later: true }
            }
            Ok(Judged { records, anchored, unproven: None }) => Checked::Passed(Box::new(Verified {
                header,
                id,
                id_text: id.to_string(),
                wire: envelope.batch,
                opening: opening_bytes(&envelope.opening),
                evidence: envelope.evidence,
                height: anchored.height.get(),
                log_index: Some(anchored.index),
                fog: envelope.fog,
                records,
            })),
            Err(rejection) => {
                Checked::Failed { rejection, about: Some(About::of(&header, id)), perhaps_later: false }
            }
        }
    }
}

/// A batch whose bytes are what its signer signed.
pub(crate) struct Judged {
    /// Its records.
    pub records: Vec<Record>,
    /// What its evidence says.
    pub anchored: Anchored,
    /// Why that is not proven: a hand-over of the authorities that the trust file has not seen. All else holds.
    pub unproven: Option<Rejection>,
}

/// Everything that is known of one batch without its neighbours: used on arrival and by [`crate::verify_archive`].
pub(crate) fn verify(
    sealed: &SealedBatch,
    opening: &Opening,
    evidence: &[u8],
    trust: &Trust,
) -> Result<Judged, Rejection> {
    let header = sealed.header();
    let limit = RecordNumber::new(i64::MAX as u64);
    if header.first > limit || header.next() > limit || header.boot.get() > limit.get() {
        let reason = "its boot or numbers are beyond what a table holds (2^63 - 1)".to_owned();
        return Err(Rejection { stage: Stage::Batch, reason });
    }
    let evidence = AnchorProof::from_bytes(evidence).map_err(|error| proof_failed(&error))?;
    let signer = match &header.signer {
        Signer::Vehicle => header.vehicle.as_str(),
        Signer::Fog(fog) => fog,
    };
    let commitment = commitment(signer, &opening.salt, &opening.key);
    let (anchored, unproven) = match evidence.verify(trust, &sealed.id(), &commitment) {
        Ok(anchored) => (anchored, None),
        Err(error) if error.stage == ProofStage::Authorities => (evidence.said(), Some(proof_failed(&error))),
        Err(error) => return Err(proof_failed(&error)),
    };
    let key =
        VerifyingKey::from_bytes(&opening.key).map_err(|error| Rejection::new(Stage::Signature, &error))?;
    let records = sealed.verify(&key).map_err(|error| {
        let stage = match error {
            voltmesh_telemetry::Error::Key { .. } | voltmesh_telemetry::Error::Signature { .. } => {
                Stage::Signature
            }
            _ => Stage::Content,
        };
        Rejection::new(stage, &error)
    })?;
    if records.iter().any(|record| record.number > limit) {
        let reason = "a record's number is beyond what a table holds (2^63 - 1)".to_owned();
        return Err(Rejection { stage: Stage::Content, reason });
    }
    if header.boot.is_foreign()
        && let Some(record) = records.iter().find(|record| !is_named_by_content(record))
    {
        let reason = format!("record number {} is not made of its time and content", record.number);
        return Err(Rejection { stage: Stage::Content, reason });
    }
    Ok(Judged { records, anchored, unproven })
}

/// Whether an attested record has the number that its content leads to (ADR 3): a faulty fog node could take a number
/// from another sample otherwise.
fn is_named_by_content(record: &Record) -> bool {
    RecordNumber::foreign(record.sample.time, &content_of(record)) == record.number
}

fn proof_failed(error: &ProofError) -> Rejection {
    let stage = match error.stage {
        ProofStage::Format => Stage::Evidence,
        ProofStage::Log => Stage::Log,
        ProofStage::Registry => Stage::Registry,
        ProofStage::Finality | ProofStage::Authorities => Stage::Finality,
        ProofStage::Record | ProofStage::Event | ProofStage::Batch => Stage::Batch,
    };
    Rejection::new(stage, error)
}

/// An opening as the archive stores it: salt, then key.
pub fn opening_bytes(opening: &Opening) -> Vec<u8> {
    [opening.salt, opening.key].concat()
}

/// Reads [`opening_bytes`].
pub fn opening_from(bytes: &[u8]) -> Option<Opening> {
    let (salt, key) = bytes.split_at_checked(32)?;
    Some(Opening { salt: salt.try_into().ok()?, key: key.try_into().ok()? })
}
