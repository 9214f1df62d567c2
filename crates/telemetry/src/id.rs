//! Names of vehicles, records and batches.

use crate::{Error, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Digest as _;
use std::{fmt, str::FromStr, sync::Arc};

/// A vehicle's name: 1 to 64 of `A-Z a-z 0-9 . _ -`, as in the SAN URI `urn:voltmesh:vehicle:<id>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VehicleId(Arc<str>);

impl VehicleId {
    /// Longest name in bytes.
    pub const MAX_LEN: usize = 64;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Some vehicle, where any will do.
    pub(crate) fn example() -> Self {
        Self("vehicle-1".into())
    }
}

/// Whether `name` can name a vehicle, a fog node or another role's instance.
pub fn is_name(name: &str) -> bool {
    (1..=VehicleId::MAX_LEN).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

impl FromStr for VehicleId {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        if is_name(s) { Ok(Self(s.into())) } else { Err(Error::name("vehicle id", s)) }
    }
}

/// A start of a vehicle's edge process: at least 1, never used twice. Boot 0 holds what a fog node
/// attests for clients that are not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Boot(u64);

impl Boot {
    /// Attested by a fog node for a foreign client.
    pub const FOREIGN: Boot = Boot(0);

    /// Wraps a boot counter.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The counter.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether a fog node attests for the records of this boot.
    pub const fn is_foreign(self) -> bool {
        self.0 == 0
    }
}

/// A record's number within its boot: 0, 1, 2 … for our vehicles, time and content for foreign ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordNumber(u64);

impl RecordNumber {
    /// The first record of a boot.
    pub const ZERO: RecordNumber = RecordNumber(0);

    /// Wraps a number.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number `count` after this one; `None` past the end of the range.
    pub fn checked_add(self, count: u64) -> Option<Self> {
        self.0.checked_add(count).map(Self)
    }

    /// Number of a foreign record: 42 bits of time and 21 of what it says, so that a second delivery, through
    /// whichever fog node, has the same number. Two samples that differ can have one number: whoever remembers a
    /// number compares the content too.
    pub fn foreign(time: Timestamp, content: &Digest) -> Self {
        let [a, b, c, ..] = content.0;
        let tag = (u64::from(a) << 13) | (u64::from(b) << 5) | (u64::from(c) >> 3);
        Self((time.as_millis().min(Timestamp::MAX.as_millis()) << 21) | tag)
    }
}

/// One record anywhere: `VEHICLE/BOOT/NUMBER`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// Whose record.
    pub vehicle: VehicleId,
    /// In which boot.
    pub boot: Boot,
    /// Which one of that boot.
    pub number: RecordNumber,
}

impl FromStr for RecordId {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let wrong = || Error::name("record id (want VEHICLE/BOOT/NUMBER)", s);
        let mut parts = s.split('/');
        let (Some(vehicle), Some(boot), Some(number), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        Ok(Self {
            vehicle: vehicle.parse()?,
            boot: Boot(parse_decimal(boot).ok_or_else(wrong)?),
            number: RecordNumber(parse_decimal(number).ok_or_else(wrong)?),
        })
    }
}

/// Strict decimal: one text per number (no sign, no leading zero).
pub(crate) fn parse_decimal(s: &str) -> Option<u64> {
    let value: u64 = s.parse().ok()?;
    (value.to_string() == s).then_some(value)
}

/// A SHA-256 value; prints as lower-case hex.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// All zeros: stands for "none" where a format has a fixed width.
    pub const ZERO: Digest = Digest([0; 32]);

    /// Wraps 32 bytes that are a SHA-256 value.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// SHA-256 of `data`.
    pub fn of(data: &[u8]) -> Self {
        Self(sha2::Sha256::digest(data).into())
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The bytes.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(s, &mut bytes).map_err(|_| Error::name("digest (want 64 hex digits)", s))?;
        Ok(Self(bytes))
    }
}

/// Name of a batch: SHA-256 of its signed statement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(Digest);

impl BatchId {
    /// Wraps the digest of a signed statement.
    pub const fn new(digest: Digest) -> Self {
        Self(digest)
    }

    /// The digest.
    pub const fn digest(&self) -> Digest {
        self.0
    }

    /// The digest's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl From<[u8; 32]> for BatchId {
    fn from(bytes: [u8; 32]) -> Self {
        Self(Digest(bytes))
    }
}

impl FromStr for BatchId {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        s.parse().map(Self)
    }
}

macro_rules! display {
    ($($name:ident($self:ident, $f:ident) $body:expr;)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&$self, $f: &mut fmt::Formatter<'_>) -> fmt::Result { $body }
        }
    )*};
}

display! {
    VehicleId(self, f) f.write_str(&self.0);
    Boot(self, f) self.0.fmt(f);
    RecordNumber(self, f) self.0.fmt(f);
    RecordId(self, f) write!(f, "{}/{}/{}", self.vehicle, self.boot, self.number);
    Digest(self, f) f.write_str(&hex::encode(self.0));
    BatchId(self, f) self.0.fmt(f);
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

as_text! { VehicleId RecordId Digest BatchId }
