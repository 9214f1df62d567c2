//! Genesis: the parameters of a chain, its first authorities and operators.

use crate::{
    authorities::AuthoritySet,
    codec::count,
    error::Error,
    keys::public_key_from_hex,
    operators::Operators,
    types::{Digest, Epoch, Height, MIN_AUTHORITIES, PublicKey},
};
use commonware_cryptography::{Hasher, Sha256};
use serde::{Deserialize, Serialize};
use voltmesh_telemetry::Timestamp;

/// Longest genesis text read: 128 authorities of some 70 B and room for comments.
pub const MAX_GENESIS_BYTES: usize = 64 * 1024;

/// Longest name of a chain in bytes.
pub const MAX_CHAIN_NAME: usize = 64;

/// Most blocks in an epoch: at ten a second, a year.
pub const MAX_EPOCH_LENGTH: u64 = 315_360_000;

/// Most views in a leader's term.
pub const MAX_TERM_LENGTH: u32 = 64;

/// Parameters that a chain begins with. Their digest is the chain's identity: whoever holds it can check everything after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Name for people, 1 to [`MAX_CHAIN_NAME`] bytes.
    pub chain: String,
    /// Time of block 0; no block is earlier.
    pub time: Timestamp,
    /// Authorities of epochs 0 and 1.
    pub authorities: AuthoritySet,
    /// The first operators.
    pub operators: Operators,
    /// Blocks in an epoch, 1 to [`MAX_EPOCH_LENGTH`]. Epoch of height h is h / length.
    pub epoch_length: u64,
    /// Views in a row that one leader has, 1 to [`MAX_TERM_LENGTH`]. Default 1.
    pub term_length: u32,
    /// How many of the authorities vote, elected by quality of service: 3 f + 1, at least 4. Default: all.
    pub committee: Option<u8>,
}

impl Genesis {
    /// Checks and builds a genesis.
    pub fn new(
        chain: impl Into<String>,
        time: Timestamp,
        authorities: impl IntoIterator<Item = PublicKey>,
        operators: impl IntoIterator<Item = PublicKey>,
        threshold: u8,
        epoch_length: u64,
    ) -> Result<Self, Error> {
        let chain = chain.into();
        count("bytes in the chain's name", chain.len(), 1, MAX_CHAIN_NAME)?;
        if !(1..=MAX_EPOCH_LENGTH).contains(&epoch_length) {
            return Err(wrong(format!("epoch_length is {epoch_length}, want 1 to {MAX_EPOCH_LENGTH}")));
        }
        Ok(Self {
            chain,
            time,
            authorities: AuthoritySet::new(authorities)?,
            operators: Operators::new(operators, threshold)?,
            epoch_length,
            term_length: 1,
            committee: None,
        })
    }

    /// This genesis with leaders that have so many views in a row.
    pub fn with_terms(mut self, term_length: u32) -> Result<Self, Error> {
        if !(1..=MAX_TERM_LENGTH).contains(&term_length) {
            return Err(wrong(format!("term_length is {term_length}, want 1 to {MAX_TERM_LENGTH}")));
        }
        self.term_length = term_length;
        Ok(self)
    }

    /// This genesis with a committee of `k` = 3 f + 1 that votes; `None` if all authorities do.
    pub fn with_committee(mut self, k: Option<u8>) -> Result<Self, Error> {
        if let Some(k) = k
            && (usize::from(k) < MIN_AUTHORITIES || k % 3 != 1)
        {
            return Err(wrong(format!("committee is {k}, want 4, 7, 10, 13 and so on")));
        }
        self.committee = k;
        Ok(self)
    }

    /// Reads the TOML form.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_GENESIS_BYTES {
            return Err(Error::TooLong { what: "genesis", len: text.len(), max: MAX_GENESIS_BYTES });
        }
        let raw: RawGenesis = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        raw.try_into()
    }

    /// Writes the TOML form.
    pub fn to_toml(&self) -> String {
        // A struct of strings, integers and arrays always has a TOML form.
        toml::to_string(&RawGenesis::from(self)).unwrap_or_default()
    }

    /// The chain's identity: SHA-256 over all fields.
    pub fn digest(&self) -> Digest {
        let mut hasher = Sha256::default();
        let mut part = |bytes: &[u8]| {
            hasher.update(bytes);
        };
        part(b"voltmesh-genesis-2");
        part(&(self.chain.len() as u64).to_be_bytes());
        part(self.chain.as_bytes());
        part(&self.time.as_millis().to_be_bytes());
        part(&self.epoch_length.to_be_bytes());
        part(&(self.authorities.len() as u64).to_be_bytes());
        self.authorities.keys().for_each(|key| part(key.as_ref()));
        part(&(self.operators.keys().len() as u64).to_be_bytes());
        self.operators.keys().iter().for_each(|key| part(key.as_ref()));
        part(&(self.operators.threshold() as u64).to_be_bytes());
        part(&self.term_length.to_be_bytes());
        part(&[self.committee.unwrap_or(0)]);
        hasher.finalize().1
    }

    /// Whether only some of the authorities vote. Then each epoch's last block needs a [`crate::Seal`].
    pub fn has_committee(&self) -> bool {
        self.committee.is_some()
    }

    /// How many of `authorities` must sign a log's root: f + 1, so at least one honest one, which signs only what is
    /// final. Where a committee votes, more than two thirds: more than f of the committee may be faulty although no
    /// more than f of all are, so a certificate alone says less there; and a committee that the operators have replaced
    /// must not find enough signers for a block that the others never saw.
    pub fn root_quorum(&self, authorities: &AuthoritySet) -> usize {
        if self.has_committee() { authorities.quorum() } else { authorities.honest() }
    }

    /// The epoch of a height, as long as no decree has cut one short ([`crate::State::calendar`]).
    pub fn epoch_of(&self, height: Height) -> Epoch {
        Epoch::new(height.get() / self.epoch_length)
    }

    /// Whether `height` is the last of its epoch, as long as no decree has cut one short.
    pub fn ends_epoch(&self, height: Height) -> bool {
        (height.get() + 1).is_multiple_of(self.epoch_length)
    }
}

/// The TOML form: keys in hex.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawGenesis {
    chain: String,
    time_ms: u64,
    epoch_length: u64,
    #[serde(default = "one")]
    term_length: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    committee: Option<u8>,
    threshold: u8,
    authorities: Vec<String>,
    operators: Vec<String>,
}

impl From<&Genesis> for RawGenesis {
    fn from(genesis: &Genesis) -> Self {
        Self {
            chain: genesis.chain.clone(),
            time_ms: genesis.time.as_millis(),
            epoch_length: genesis.epoch_length,
            term_length: genesis.term_length,
            committee: genesis.committee,
            threshold: genesis.operators.threshold() as u8,
            authorities: genesis.authorities.keys().map(ToString::to_string).collect(),
            operators: genesis.operators.keys().iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<RawGenesis> for Genesis {
    type Error = Error;

    fn try_from(raw: RawGenesis) -> Result<Self, Error> {
        let keys =
            |texts: &[String]| texts.iter().map(|t| public_key_from_hex(t)).collect::<Result<Vec<_>, _>>();
        let (authorities, operators) = (keys(&raw.authorities)?, keys(&raw.operators)?);
        let time = Timestamp::from_millis(raw.time_ms);
        Genesis::new(raw.chain, time, authorities, operators, raw.threshold, raw.epoch_length)?
            .with_terms(raw.term_length)?
            .with_committee(raw.committee)
    }
}

fn one() -> u32 {
    1
}

fn wrong(why: String) -> Error {
    Error::Text { what: "genesis", why }
}
