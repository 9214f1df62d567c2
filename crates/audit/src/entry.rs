//! One entry: its fields, its line, its hash.
//!
//! A line is a JSON object whose last member is `hash`, the SHA-256 of a tag and of all bytes of the line before
//! `,"hash":`. So the bytes are hashed as they stand, and no two programs can differ about how to write an entry anew.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Before what is hashed: no other hash of this system has the same input.
const TAG: &[u8] = b"voltmesh-audit-1\n";

/// What stands between the hashed part of a line and its hash.
const SEAM: &str = ",\"hash\":\"";

/// Longest `who`, in characters: an identity has some 80.
const MAX_WHO: usize = 128;

/// Longest `what`, in characters.
const MAX_WHAT: usize = 512;

/// Longest line that is read: every character escaped to six bytes, and 300 bytes of numbers and hashes.
pub(crate) const MAX_LINE: usize = 6 * (MAX_WHO + MAX_WHAT) + 512;

/// SHA-256 hash of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// A hash of these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for Hash {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A process began.
    Start,
    /// A process ended in order.
    Stop,
    /// What a process goes by: its configuration at the start, and a revocation list that was taken over.
    Configuration,
    /// A decision of an operator: a registry transaction, a certificate, a revocation.
    Operator,
    /// Somebody was turned away.
    Refusal,
    /// Somebody read the archive.
    Read,
    /// Entries that could not be written, or a file whose end was cut or damaged.
    Gap,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 7] =
        [Kind::Start, Kind::Stop, Kind::Configuration, Kind::Operator, Kind::Refusal, Kind::Read, Kind::Gap];

    /// As it stands in a line.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Start => "start",
            Kind::Stop => "stop",
            Kind::Configuration => "configuration",
            Kind::Operator => "operator",
            Kind::Refusal => "refusal",
            Kind::Read => "read",
            Kind::Gap => "gap",
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            format!("{text:?} is no kind of entry; choose one of {}", Kind::ALL.map(Kind::as_str).join(", "))
        })
    }
}

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Number, from 0 on, without gaps.
    pub seq: u64,
    /// When it was written, in milliseconds since the Unix epoch by this machine's clock.
    pub at_ms: u64,
    /// Kind of the event.
    pub kind: Kind,
    /// Who caused it: an identity, a source address, `others`.
    pub who: String,
    /// What was done or refused.
    pub what: String,
    /// How often since the last entry of the same.
    pub count: u64,
    /// Hash of the entry before it; of the first, all zeros.
    pub previous: Hash,
}

impl Entry {
    /// An entry whose texts are cut to their bounds.
    pub(crate) fn new(
        seq: u64,
        at_ms: u64,
        kind: Kind,
        who: &str,
        what: &str,
        count: u64,
        previous: Hash,
    ) -> Self {
        let (who, what) = (who.chars().take(MAX_WHO).collect(), what.chars().take(MAX_WHAT).collect());
        Self { seq, at_ms, kind, who, what, count, previous }
    }

    /// Its line, without the end of line, and its hash.
    pub(crate) fn to_line(&self) -> (String, Hash) {
        let json =
            serde_json::to_string(self).unwrap_or_else(|_| unreachable!("numbers and texts are always JSON"));
        let body = json.strip_suffix('}').unwrap_or_else(|| unreachable!("a struct is an object"));
        let hash = hash_of(body);
        (format!("{body}{SEAM}{hash}\"}}"), hash)
    }

    /// The entry of a line whose hash holds.
    pub(crate) fn from_line(line: &str) -> Result<(Self, Hash), String> {
        let sealed = line.strip_suffix("\"}").and_then(|line| line.rsplit_once(SEAM));
        let (body, stated) = sealed.ok_or("the line does not end with a hash")?;
        let stated: Hash = stated.parse().map_err(|_| "its hash is not 64 hex digits")?;
        let computed = hash_of(body);
        if computed != stated {
            return Err(format!("it states the hash {stated}, its bytes have {computed}"));
        }
        let entry =
            serde_json::from_str(&format!("{body}}}")).map_err(|error| format!("it is no entry: {error}"))?;
        Ok((entry, stated))
    }
}

fn hash_of(body: &str) -> Hash {
    Hash(Sha256::new().chain_update(TAG).chain_update(body.as_bytes()).finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_gives_its_entry_back(seq: u64, at_ms: u64, kind in 0..7_usize, who: String, what: String, count: u64) {
            let entry = Entry::new(seq, at_ms, Kind::ALL[kind], &who, &what, count, Hash([7; 32]));
            let (line, hash) = entry.to_line();
            prop_assert!(!line.contains('\n') && line.len() <= MAX_LINE);
            prop_assert_eq!(Entry::from_line(&line), Ok((entry, hash)));
        }
    }

    /// The format is what earlier logs were written in.
    #[test]
    fn the_line_is_pinned() {
        let (line, _) =
            Entry::new(3, 1_780_300_000_000, Kind::Refusal, "client:m", "a \"topic\"", 2, Hash::default())
                .to_line();
        let zeros = "0".repeat(64);
        let body = format!(
            "{{\"seq\":3,\"at_ms\":1780300000000,\"kind\":\"refusal\",\"who\":\"client:m\",\"what\":\"a \\\"topic\\\"\",\"count\":2,\"previous\":\"{zeros}\""
        );
        let hash = "bd9f1bc7ca8507bd9b096f1d3eeb5028d10782b3882e4dd3fa1f093b6d9cb3aa";
        assert_eq!(line, format!("{body},\"hash\":\"{hash}\"}}"));
    }

    #[test]
    fn any_flipped_bit_is_found() {
        let (line, _) = Entry::new(1, 2, Kind::Operator, "op-1", "enrols", 1, Hash([9; 32])).to_line();
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut bytes = line.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let Ok(text) = String::from_utf8(bytes) else { continue };
                // Hex digits of either case are the same hash.
                if text.eq_ignore_ascii_case(&line) && at > line.len() - 67 {
                    continue;
                }
                assert!(Entry::from_line(&text).is_err(), "byte {at}, bit {bit}: {text}");
            }
        }
    }
}
