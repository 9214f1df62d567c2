//! Names of vehicles, records and batches, and their text forms.

use crate::{Boot, Digest, Error, RecordNumber};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
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
            boot: Boot::new(parse_decimal(boot).ok_or_else(wrong)?),
            number: RecordNumber::new(parse_decimal(number).ok_or_else(wrong)?),
        })
    }
}

/// Strict decimal: one text per number (no sign, no leading zero).
pub(crate) fn parse_decimal(s: &str) -> Option<u64> {
    let value: u64 = s.parse().ok()?;
    (value.to_string() == s).then_some(value)
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(s, &mut bytes).map_err(|_| Error::name("digest (want 64 hex digits)", s))?;
        Ok(Self::new(bytes))
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
        Self(Digest::new(bytes))
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
    RecordId(self, f) write!(f, "{}/{}/{}", self.vehicle, self.boot, self.number);
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
