//! Header of a batch: what its signature covers.

use crate::{
    BatchId, Boot, Digest, Error, Format, Record, RecordNumber, Timestamp, VehicleId,
    batch::MAX_RECORDS,
    cbor::{Reader, Writer},
    cose::{Protected, Sign1},
    id::{is_name, parse_decimal},
};

/// Version of header and columns: columns of format 1, no report.
const VERSION: u64 = 1;
/// The same with a report.
const WITH_REPORT: u64 = 2;
/// Columns of format 2, no report.
const VERSION_OF_2: u64 = 3;
/// The same with a report.
const WITH_REPORT_OF_2: u64 = 4;
/// Fields of a header without a report.
const FIELDS: usize = 7;
/// And with one.
const FIELDS_WITH_REPORT: usize = FIELDS + 1;
const VEHICLE_URN: &str = "urn:voltmesh:vehicle:";
const FOG_URN: &str = "urn:voltmesh:fog:";

/// Signer of a batch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signer {
    /// The vehicle itself.
    Vehicle,
    /// This fog node, for a client that does not sign (boot 0 only).
    Fog(String),
}

/// The signed facts about a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Whose records.
    pub vehicle: VehicleId,
    /// Of its columns.
    pub format: Format,
    /// In which boot; 0 if and only if a fog node signs.
    pub boot: Boot,
    /// Number of the first record.
    pub first: RecordNumber,
    /// Records, 1 to [`MAX_RECORDS`].
    pub count: u32,
    /// The batch before it in the same boot; `None` for a boot's first batch and for boot 0.
    pub previous: Option<BatchId>,
    /// Root over the records.
    pub root: Digest,
    /// Time of the first record.
    pub first_time: Timestamp,
    /// Time of the last record.
    pub last_time: Timestamp,
    /// SHA-256(batch salt ‖ compressed columns).
    pub content: Digest,
    /// SHA-256(batch salt ‖ report) of what the signer's own computation says beside the records; `None` if nothing.
    pub report: Option<Digest>,
    /// Who vouches for it.
    pub signer: Signer,
    /// SHA-256 of the signer's public key.
    pub key_id: Digest,
}

impl BatchHeader {
    /// The number after the last record of a native batch.
    pub fn next(&self) -> RecordNumber {
        RecordNumber::new(self.first.get().saturating_add(u64::from(self.count)))
    }

    /// The protected header that says this.
    pub(super) fn protected(&self) -> Protected {
        let issuer = match &self.signer {
            Signer::Vehicle => format!("{VEHICLE_URN}{}", self.vehicle),
            Signer::Fog(fog) => format!("{FOG_URN}{fog}"),
        };
        let previous = self.previous.as_ref().map_or(Digest::ZERO, BatchId::digest);
        let (fields, version) = match (self.format, self.report.is_some()) {
            (Format::One, false) => (FIELDS, VERSION),
            (Format::One, true) => (FIELDS_WITH_REPORT, WITH_REPORT),
            (Format::Two, false) => (FIELDS, VERSION_OF_2),
            (Format::Two, true) => (FIELDS_WITH_REPORT, WITH_REPORT_OF_2),
        };
        let mut extension = Writer::with_capacity(160);
        extension.array(fields).uint(version).uint(self.first.get()).uint(u64::from(self.count));
        extension.bytes(previous.as_bytes());
        extension.uint(self.first_time.as_millis()).uint(self.last_time.as_millis());
        extension.bytes(self.content.as_bytes());
        if let Some(report) = &self.report {
            extension.bytes(report.as_bytes());
        }
        Protected {
            key_id: self.key_id,
            issuer,
            subject: format!("{}/{}", self.vehicle, self.boot),
            tree: true,
            extension: extension.finish(),
        }
    }

    /// Reads a statement: a COSE_Sign1 message with the root as its payload.
    pub fn from_statement(statement: &Sign1) -> Result<Self, Error> {
        let inconsistent = |why| Error::Inconsistent { what: "batch statement", why };
        if !statement.has_bare_header() {
            return Err(inconsistent("the unprotected header is not empty"));
        }
        let root: [u8; 32] = statement
            .payload
            .as_deref()
            .and_then(|payload| payload.try_into().ok())
            .ok_or(inconsistent("the payload is no root of 32 bytes"))?;
        Self::from_protected(&statement.protected, Digest::new(root))
    }

    /// Reads the protected header of a statement over `root`.
    pub fn from_protected(protected: &[u8], root: Digest) -> Result<Self, Error> {
        let inconsistent = |why| Error::Inconsistent { what: "batch statement", why };
        let protected = Protected::decode(protected)?;
        if !protected.tree {
            return Err(inconsistent("it signs no tree"));
        }
        let (vehicle, boot) =
            protected.subject.split_once('/').ok_or(inconsistent("subject is no V/BOOT"))?;
        let vehicle: VehicleId = vehicle.parse()?;
        let boot = Boot::new(parse_decimal(boot).ok_or(inconsistent("subject is no V/BOOT"))?);
        let signer = match protected.issuer.strip_prefix(FOG_URN) {
            Some(fog) if is_name(fog) => Signer::Fog(fog.to_owned()),
            None if protected.issuer.strip_prefix(VEHICLE_URN) == Some(vehicle.as_str()) => Signer::Vehicle,
            _ => return Err(inconsistent("issuer is neither the vehicle nor a fog node")),
        };

        let mut reader = Reader::new("batch statement's claims", &protected.extension);
        let fields = reader.array()?;
        let (format, has_report) = match (fields, reader.uint()?) {
            (FIELDS, VERSION) => (Format::One, false),
            (FIELDS_WITH_REPORT, WITH_REPORT) => (Format::One, true),
            (FIELDS, VERSION_OF_2) => (Format::Two, false),
            (FIELDS_WITH_REPORT, WITH_REPORT_OF_2) => (Format::Two, true),
            _ => return Err(reader.malformed("unknown version")),
        };
        let first = RecordNumber::new(reader.uint()?);
        let count = reader.u32()?;
        let previous = reader.digest()?;
        let (first_time, last_time) = (reader.uint()?, reader.uint()?);
        let content = reader.digest()?;
        let report = if has_report { Some(reader.digest()?) } else { None };
        reader.finish()?;

        let header = Self {
            vehicle,
            format,
            boot,
            first,
            count,
            previous: (previous != Digest::ZERO).then_some(BatchId::new(previous)),
            root,
            first_time: Timestamp::from_millis(first_time),
            last_time: Timestamp::from_millis(last_time),
            content,
            report,
            signer,
            key_id: protected.key_id,
        };
        header.check()?;
        Ok(header)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let inconsistent = |why| Err(Error::Inconsistent { what: "batch statement", why });
        Error::limit("batch's records", self.count as usize, MAX_RECORDS)?;
        if self.count == 0 {
            return inconsistent("it holds no record");
        }
        if self.first_time > Timestamp::MAX || self.last_time > Timestamp::MAX {
            return inconsistent(Timestamp::AFTER_MAX);
        }
        match (&self.signer, self.boot.is_foreign()) {
            (Signer::Vehicle, true) => return inconsistent("boot 0 belongs to fog nodes"),
            (Signer::Fog(_), false) => return inconsistent("a fog node attests in boot 0 only"),
            (Signer::Fog(_), true) if self.previous.is_some() => {
                return inconsistent("attested batches are not chained");
            }
            (Signer::Vehicle, false) if (self.first == RecordNumber::ZERO) != self.previous.is_none() => {
                return inconsistent("only the first batch of a boot has no predecessor");
            }
            _ => {}
        }
        if !self.boot.is_foreign() && self.first.checked_add(u64::from(self.count)).is_none() {
            return inconsistent("record numbers run out");
        }
        Ok(())
    }

    /// Whether these are records that the header can speak of: count, numbers and times.
    pub(super) fn check_records(&self, records: &[Record]) -> Result<(), Error> {
        let inconsistent = |why| Err(Error::Inconsistent { what: "batch", why });
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return inconsistent("it holds no record");
        };
        if records.len() != self.count as usize {
            return inconsistent("it does not hold as many records as it says");
        }
        if first.sample.time != self.first_time || last.sample.time != self.last_time {
            return inconsistent("its times are not those of its first and last record");
        }
        let mut expected = self.first;
        for record in records {
            let fits = if self.boot.is_foreign() {
                record.number >= expected && *record == Record::foreign(record.sample.clone())
            } else {
                record.number == expected
            };
            if !fits {
                return Err(Error::Number { boot: self.boot, expected, found: record.number });
            }
            expected = record.number.checked_add(1).unwrap_or(record.number);
        }
        if first.number != self.first {
            return Err(Error::Number { boot: self.boot, expected: self.first, found: first.number });
        }
        Ok(())
    }
}
