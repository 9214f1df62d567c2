//! The cloud's signed word that batches are archived, after which a vehicle may forget them.

use crate::Error;
use ed25519_dalek::{SigningKey, VerifyingKey};
use voltmesh_telemetry::{
    BatchHeader, BatchId, Boot, RecordNumber, Timestamp, VehicleId,
    cbor::{Reader, Writer},
    cose::{Protected, Sign1, key_id},
};

/// Most bytes of a notice: 64 KiB.
pub const MAX_NOTICE_BYTES: usize = 64 << 10;
/// Most batches in a notice: 1,024 of at most 57 bytes stay below [`MAX_NOTICE_BYTES`].
pub const MAX_NOTICE_BATCHES: usize = 1024;
/// Who signs.
const ISSUER: &str = "urn:voltmesh:cloud:archive";
/// Our claim in the protected header: this is an archive notice, version 1.
const KIND: &str = "archive-notice/1";

/// A batch that is stored for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchivedBatch {
    /// In which boot.
    pub boot: Boot,
    /// Its first record.
    pub first: RecordNumber,
    /// Its number of records.
    pub count: u32,
    /// Its id: what the vehicle compares before it forgets.
    pub id: BatchId,
}

impl ArchivedBatch {
    /// What a notice says of this batch.
    pub fn of(header: &BatchHeader, id: BatchId) -> Self {
        Self { boot: header.boot, first: header.first, count: header.count, id }
    }
}

/// Cloud → fog → vehicle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveNotice {
    /// Whose batches.
    pub vehicle: VehicleId,
    /// 1 to [`MAX_NOTICE_BATCHES`].
    pub batches: Vec<ArchivedBatch>,
    /// When the archive committed them, by the cloud's clock.
    pub archived: Timestamp,
}

impl ArchiveNotice {
    /// The COSE_Sign1 message by the cloud's key.
    ///
    /// # Panics
    /// Without batches or with more than [`MAX_NOTICE_BATCHES`]: the caller splits.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        assert!((1..=MAX_NOTICE_BATCHES).contains(&self.batches.len()), "a notice holds 1 to 1,024 batches");
        let protected = Protected {
            key_id: key_id(&key.verifying_key()),
            issuer: ISSUER.to_owned(),
            subject: self.vehicle.to_string(),
            tree: false,
            extension: Writer::new().text(KIND).finish(),
        };
        let mut payload = Writer::with_capacity(64 * self.batches.len() + 16);
        payload.array(2).uint(self.archived.as_millis()).array(self.batches.len());
        for batch in &self.batches {
            payload.array(4).uint(batch.boot.get()).uint(batch.first.get());
            payload.uint(u64::from(batch.count)).bytes(batch.id.as_bytes());
        }
        Sign1::sign(&protected, &payload.finish(), key).encode()
    }

    /// Checks the cloud's signature and reads the notice.
    pub fn verify(bytes: &[u8], key: &VerifyingKey) -> Result<Self, Error> {
        let (notice, message, named) = Self::read(bytes)?;
        let expected = key_id(key);
        if named != expected {
            return Err(voltmesh_telemetry::Error::Key { what: "archive notice", named, expected }.into());
        }
        message.verify(key)?;
        Ok(notice)
    }

    /// The same, if any of these keys signed it.
    pub fn verify_any(bytes: &[u8], keys: &[VerifyingKey]) -> Result<Self, Error> {
        let mut refused = Error::inconsistent("archive notice", "no key is configured that may sign it");
        for key in keys {
            match Self::verify(bytes, key) {
                Ok(notice) => return Ok(notice),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Reads a notice without checking who signed it: enough to pass it on, not to forget a record.
    pub fn peek(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(bytes).map(|(notice, ..)| notice)
    }

    fn read(bytes: &[u8]) -> Result<(Self, Sign1, voltmesh_telemetry::Digest), Error> {
        Error::limit("archive notice", bytes.len(), MAX_NOTICE_BYTES)?;
        let message = Sign1::decode(bytes)?;
        let protected = Protected::decode(&message.protected)?;
        let kind = Writer::new().text(KIND).finish();
        if protected.tree || protected.issuer != ISSUER || protected.extension != kind {
            return Err(Error::inconsistent("archive notice", "it is another kind of statement"));
        }
        if !message.has_bare_header() {
            return Err(Error::inconsistent("archive notice", "the unprotected header is not empty"));
        }
        let payload = message.payload.as_deref().unwrap_or_default();
        let mut reader = Reader::new("archive notice", payload);
        reader.array_of(2)?;
        let archived = Timestamp::from_millis(reader.uint()?);
        let len = reader.array()?;
        Error::limit("archive notice's batches", len, MAX_NOTICE_BATCHES)?;
        let mut batches = Vec::with_capacity(len);
        for _ in 0..len {
            reader.array_of(4)?;
            batches.push(ArchivedBatch {
                boot: Boot::new(reader.uint()?),
                first: RecordNumber::new(reader.uint()?),
                count: reader.u32()?,
                id: BatchId::new(reader.digest()?),
            });
        }
        reader.finish()?;
        if batches.is_empty() {
            return Err(Error::inconsistent("archive notice", "it names no batch"));
        }
        let notice = Self { vehicle: protected.subject.parse()?, batches, archived };
        Ok((notice, message, protected.key_id))
    }
}
