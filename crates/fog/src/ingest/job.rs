//! Work that costs more than a look: signatures, roots and compression, done outside the core by whoever has a core to
//! spare. Pure: the same job gives the same result, so a simulation runs it in place.

use ed25519_dalek::{SigningKey, VerifyingKey};
use voltmesh_spool::Position;
use voltmesh_telemetry::{Boot, Place, Record, SealedBatch, Secret, Signer, VehicleId, seal};

use super::copies::MAX_SEALED;

/// Something to compute.
#[derive(Debug)]
pub enum Job {
    /// Check a batch's signature and every record against its root.
    Verify {
        /// Names the job in its result.
        ticket: u64,
        /// The batch.
        batch: Box<SealedBatch>,
        /// The enrolled key.
        key: VerifyingKey,
    },
    /// Attest records of a foreign client.
    Seal(Box<SealJob>),
}

/// Records of one foreign client that this node attests.
#[derive(Debug)]
pub struct SealJob {
    pub(super) ticket: u64,
    pub(super) fog: String,
    pub(super) client: VehicleId,
    /// Ascending, none twice.
    pub(super) records: Vec<Record>,
    pub(super) sources: Vec<(Position, u32)>,
    pub(super) secret: Secret,
    pub(super) key: SigningKey,
}

/// A job's result.
#[derive(Debug)]
pub enum Done {
    /// Of [`Job::Verify`].
    Verified {
        /// The job's.
        ticket: u64,
        /// What is wrong, if anything.
        result: Result<(), String>,
    },
    /// Of [`Job::Seal`]: one batch, or several if one would exceed the wire's bound or that of a second copy.
    Sealed {
        /// The job's.
        ticket: u64,
        /// The batches.
        batches: Vec<SealedBatch>,
        /// Records that cannot be sealed at all.
        failed: Vec<(Record, String)>,
        /// The client.
        client: VehicleId,
        /// Where the records came from; stated with the last batch.
        sources: Vec<(Position, u32)>,
    },
}

impl Job {
    /// Computes.
    pub fn run(self) -> Done {
        match self {
            Self::Verify { ticket, batch, key } => {
                let result = batch.verify(&key).map(drop).map_err(|error| error.to_string());
                Done::Verified { ticket, result }
            }
            Self::Seal(job) => {
                let place = Place {
                    vehicle: job.client.clone(),
                    boot: Boot::FOREIGN,
                    previous: None,
                    signer: Signer::Fog(job.fog),
                };
                let (mut batches, mut failed) = (Vec::new(), Vec::new());
                let mut parts = vec![job.records.as_slice()];
                while let Some(part) = parts.pop() {
                    match seal(&place, part, &job.secret, &job.key) {
                        Ok(batch) if batch.wire().len() <= MAX_SEALED || part.len() == 1 => {
                            batches.push(batch);
                        }
                        Err(error) if part.len() == 1 => failed.push((part[0].clone(), error.to_string())),
                        Ok(_) | Err(_) => {
                            let (left, right) = part.split_at(part.len() / 2);
                            parts.extend([right, left]);
                        }
                    }
                }
                Done::Sealed { ticket: job.ticket, batches, failed, client: job.client, sources: job.sources }
            }
        }
    }
}
