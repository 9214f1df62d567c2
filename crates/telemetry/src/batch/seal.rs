//! Making a batch.

use super::{SealedBatch, columns, content_digest, leaves};
use crate::{
    BatchHeader, BatchId, Boot, Digest, Error, Record, RecordNumber, Signer, Timestamp, VehicleId,
    batch::{MAX_RECORDS, MAX_REPORT_BYTES, MAX_WIRE_BYTES},
    cose::{Sign1, key_id},
    merkle,
};
use ed25519_dalek::SigningKey;
use hmac::{Hmac, KeyInit as _, Mac as _};
use zeroize::Zeroize as _;

/// Secret that all salts of a vehicle are derived from. Deleting it makes what was anchored unlinkable.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Secret {
    /// Wraps 32 random bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// HMAC-SHA-256(secret, boot ‖ first ‖ vehicle), integers as u64 big-endian.
    fn batch_salt(&self, vehicle: &VehicleId, boot: Boot, first: RecordNumber) -> [u8; 32] {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(&boot.get().to_be_bytes());
        mac.update(&first.get().to_be_bytes());
        mac.update(vehicle.as_str().as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Place of a new batch: its vehicle, boot and predecessor.
#[derive(Clone, Debug)]
pub struct Place {
    /// Whose records.
    pub vehicle: VehicleId,
    /// In which boot; 0 if a fog node attests.
    pub boot: Boot,
    /// The batch before it in the same boot; `None` for the first of a boot and for boot 0.
    pub previous: Option<BatchId>,
    /// Who signs.
    pub signer: Signer,
}

/// Signs 1 to [`MAX_RECORDS`] records as a batch. Native records have contiguous numbers; foreign ones ascending
/// numbers made by [`Record::foreign`].
pub fn seal(
    place: &Place,
    records: &[Record],
    secret: &Secret,
    key: &SigningKey,
) -> Result<SealedBatch, Error> {
    seal_with(place, records, None, secret, key)
}

/// As [`seal`], with a report of at most [`super::MAX_REPORT_BYTES`] that the signature covers as well.
pub fn seal_with(
    place: &Place,
    records: &[Record],
    report: Option<&[u8]>,
    secret: &Secret,
    key: &SigningKey,
) -> Result<SealedBatch, Error> {
    Error::limit("batch's report", report.map_or(0, <[u8]>::len), MAX_REPORT_BYTES)?;
    Error::limit("batch's records", records.len(), MAX_RECORDS)?;
    records.iter().try_for_each(|record| record.sample.check())?;
    let first = records.first().map_or(RecordNumber::ZERO, |record| record.number);
    let time = |record: Option<&Record>| record.map_or(Timestamp::default(), |record| record.sample.time);
    let mut header = BatchHeader {
        vehicle: place.vehicle.clone(),
        format: columns::format(records),
        boot: place.boot,
        first,
        count: records.len() as u32,
        previous: place.previous,
        root: Digest::ZERO,
        first_time: time(records.first()),
        last_time: time(records.last()),
        content: Digest::ZERO,
        report: None,
        signer: place.signer.clone(),
        key_id: key_id(&key.verifying_key()),
    };
    header.check()?;
    header.check_records(records)?;

    let salt = secret.batch_salt(&place.vehicle, place.boot, first);
    let compressed = columns::compress(records, place.boot.is_foreign(), header.format)?;
    header.content = content_digest(&salt, &compressed);
    let report = report.map(columns::compress_report).transpose()?;
    header.report = report.as_ref().map(|report| content_digest(&salt, report));
    header.root = merkle::root_in_place(&mut leaves(&salt, records));
    let statement = Sign1::sign(&header.protected(), header.root.as_bytes(), key);
    let batch = SealedBatch::assemble(header, statement, salt, &compressed, report.as_deref());
    Error::limit("batch", batch.wire().len(), MAX_WIRE_BYTES)?;
    Ok(batch)
}
