//! The trust file: what someone must hold to check proofs offline.

use crate::{
    block::{Header, decode_bounded},
    certificate::{Certificate, MAX_CERTIFICATE_BYTES},
    election::Roster,
    error::Error,
    genesis::{Genesis, RawGenesis},
    keys::{AuthoritySet, Digest, Epoch, MAX_AUTHORITIES, PublicKey, Signature, public_key_from_hex},
    seal::Seal,
    transaction::count,
};
use bytes::BufMut;
use commonware_codec::{
    Buf, Encode, EncodeSize, Error as CodecError, FixedSize as _, RangeCfg, Read, ReadExt, Write,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// Longest hand-over: a header, a certificate, twice 128 keys and 128 signatures with their keys; about 29 KiB.
pub const MAX_HANDOVER_BYTES: usize = Header::SIZE
    + MAX_CERTIFICATE_BYTES
    + 2 * MAX_AUTHORITIES * 32
    + MAX_AUTHORITIES * (32 + Signature::SIZE)
    + 32;

/// Most changes of authorities that a trust file follows.
pub const MAX_HANDOVERS: usize = 4096;

/// Most keys of archives in a trust file.
pub const MAX_CLOUD_KEYS: usize = 16;

/// Longest trust file: 4,096 hand-overs of four authorities, in hex.
pub const MAX_TRUST_BYTES: usize = 8 * 1024 * 1024;

/// The last block of an epoch, final, and the authorities that it names for the next-but-one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The epoch's last header.
    pub header: Header,
    /// Makes it final, by the epoch's own authorities.
    pub certificate: Certificate,
    /// Serve from the next-but-one epoch on.
    pub authorities: AuthoritySet,
    /// Those of them that vote; `None` if all do.
    pub committee: Option<AuthoritySet>,
    /// By more than two thirds of all authorities of the epoch; only where a committee votes.
    pub seal: Option<Seal>,
}

impl Handover {
    /// The first epoch in which the set serves.
    pub fn epoch(&self) -> Epoch {
        self.header.epoch.next().next()
    }

    /// Reads encoded bytes of at most [`MAX_HANDOVER_BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        decode_bounded("hand-over", bytes, MAX_HANDOVER_BYTES, &())
    }

    /// Encodes.
    pub fn to_bytes(&self) -> bytes::Bytes {
        self.encode()
    }
}

/// Who may be believed: a chain's genesis, the authorities that it led to, and the keys of archives.
///
/// Provided: each set was handed over by more than two thirds of one that was trusted before, starting from genesis;
/// where a committee votes, by more than two thirds of all authorities besides.
/// Not provided: news of hand-overs that this file has not seen. Authorities count until a hand-over replaces them, so
/// a stale file still believes a set that has left. Refresh it from any fog node: nothing needs to be believed for that.
#[derive(Clone, Debug)]
pub struct Trust {
    genesis: Genesis,
    chain: Digest,
    /// Sets by the first epoch in which they serve; each until the next one.
    sets: BTreeMap<Epoch, Sets>,
    handovers: Vec<Handover>,
    cloud: Vec<PublicKey>,
}

/// The authorities of some epochs, and those of them that vote.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sets {
    authorities: Arc<AuthoritySet>,
    voters: Arc<AuthoritySet>,
}

impl Trust {
    /// Trusts a chain from its beginning.
    pub fn from_genesis(genesis: Genesis) -> Self {
        let Roster { authorities, voters, .. } = genesis.roster();
        let sets = BTreeMap::from([(Epoch::zero(), Sets { authorities, voters })]);
        Self { chain: genesis.digest(), genesis, sets, handovers: Vec::new(), cloud: Vec::new() }
    }

    /// Also trusts archive notices signed by `key`; false if it is known or there are [`MAX_CLOUD_KEYS`] already.
    pub fn add_cloud(&mut self, key: PublicKey) -> bool {
        let new = !self.cloud.contains(&key) && self.cloud.len() < MAX_CLOUD_KEYS;
        if new {
            self.cloud.push(key);
        }
        new
    }

    /// Keys whose archive notices are believed.
    pub fn cloud_keys(&self) -> &[PublicKey] {
        &self.cloud
    }

    /// The genesis.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The chain's identity.
    pub fn chain(&self) -> Digest {
        self.chain
    }

    /// The authorities of an epoch, as far as the hand-overs seen tell.
    pub fn authorities_for(&self, epoch: Epoch) -> Option<&Arc<AuthoritySet>> {
        self.sets_for(epoch).map(|sets| &sets.authorities)
    }

    /// Those of them that make blocks final.
    pub fn voters_for(&self, epoch: Epoch) -> Option<&Arc<AuthoritySet>> {
        self.sets_for(epoch).map(|sets| &sets.voters)
    }

    fn sets_for(&self, epoch: Epoch) -> Option<&Sets> {
        self.sets.range(..=epoch).next_back().map(|(_, sets)| sets)
    }

    /// Hand-overs that changed the authorities, in order.
    pub fn handovers(&self) -> &[Handover] {
        &self.handovers
    }

    /// Follows a hand-over. True if it changed the authorities, false if it says what is known.
    pub fn extend(&mut self, handover: &Handover) -> Result<bool, Error> {
        let header = &handover.header;
        let fails = |why| Err(Error::Handover { height: header.height, why });
        if !self.genesis.ends_epoch(header.height) || self.genesis.epoch_of(header.height) != header.epoch {
            return fails("not the last block of its epoch");
        }
        let (authorities, committee) = (&handover.authorities, handover.committee.as_ref());
        if Roster::digest_of(authorities, committee) != header.authorities {
            return fails("the header names other authorities");
        }
        Roster::check(authorities, committee.unwrap_or(authorities))?;
        let Some(current) = self.voters_for(header.epoch) else {
            return Err(Error::UnknownEpoch(header.epoch));
        };
        handover.certificate.verify(&self.chain, current, header)?;
        match (&handover.seal, self.authorities_for(header.epoch)) {
            (Some(seal), Some(all)) if self.genesis.has_committee() => {
                seal.verify(&self.chain, all, header)?
            }
            (None, _) if !self.genesis.has_committee() => {}
            (None, _) => return fails("a committee's word alone, without a seal"),
            (Some(_), _) => return fails("a seal where all authorities vote"),
        }
        let from = handover.epoch();
        let authorities = Arc::new(authorities.clone());
        let voters = committee.map_or_else(|| authorities.clone(), |committee| Arc::new(committee.clone()));
        let sets = Sets { authorities, voters };
        if self.sets_for(from) == Some(&sets) {
            return Ok(false);
        }
        if self.sets.last_key_value().is_some_and(|(last, _)| *last >= from) {
            return fails("contradicts a later hand-over; keep both as evidence");
        }
        count("hand-overs", self.handovers.len() + 1, 1, MAX_HANDOVERS)?;
        self.sets.insert(from, sets);
        self.handovers.push(handover.clone());
        Ok(true)
    }

    /// Reads the TOML form and follows its hand-overs again.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_TRUST_BYTES {
            return Err(Error::TooLong { what: "trust file", len: text.len(), max: MAX_TRUST_BYTES });
        }
        let wrong = |why: String| Error::Text { what: "trust file", why };
        let raw: RawTrust = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        count("cloud keys", raw.cloud.len(), 0, MAX_CLOUD_KEYS)?;
        let mut trust = Self::from_genesis(raw.genesis.try_into()?);
        if raw.chain != trust.chain.to_string() {
            return Err(wrong(format!(
                "chain is {}, but the genesis below is of {}",
                raw.chain, trust.chain
            )));
        }
        for key in &raw.cloud {
            trust.add_cloud(public_key_from_hex(key)?);
        }
        for text in &raw.handovers {
            let bytes = hex::decode(text).map_err(|e| wrong(format!("hand-over is not hex: {e}")))?;
            trust.extend(&Handover::from_bytes(&bytes)?)?;
        }
        Ok(trust)
    }

    /// Writes the TOML form.
    pub fn to_toml(&self) -> String {
        // A struct of strings, integers and arrays always has a TOML form.
        toml::to_string(&RawTrust {
            chain: self.chain.to_string(),
            cloud: self.cloud.iter().map(ToString::to_string).collect(),
            handovers: self.handovers.iter().map(|handover| hex::encode(handover.to_bytes())).collect(),
            genesis: RawGenesis::from(&self.genesis),
        })
        .unwrap_or_default()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrust {
    chain: String,
    #[serde(default)]
    cloud: Vec<String>,
    #[serde(default)]
    handovers: Vec<String>,
    genesis: RawGenesis,
}

/// The committee's keys, none if all authorities vote.
fn committee(handover: &Handover) -> &[PublicKey] {
    handover.committee.as_ref().map_or(&[], |set| set.as_set().as_ref())
}

/// Keys that must be in order; an empty list is no set.
fn read_set(buf: &mut impl Buf) -> Result<Option<AuthoritySet>, CodecError> {
    let keys: Vec<PublicKey> = Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_AUTHORITIES), ()))?;
    if keys.is_empty() {
        return Ok(None);
    }
    let unordered = CodecError::Invalid("voltmesh_ledger::Handover", "not an ordered set of authorities");
    if !keys.is_sorted_by(|a, b| a < b) {
        return Err(unordered);
    }
    AuthoritySet::new(keys).map(Some).map_err(|_| unordered)
}

impl Write for Handover {
    fn write(&self, buf: &mut impl BufMut) {
        self.header.write(buf);
        self.certificate.write(buf);
        self.authorities.as_set().as_ref().write(buf);
        committee(self).write(buf);
        // A hand-over stands alone, so what follows is the seal; without one nothing does.
        if let Some(seal) = &self.seal {
            seal.write(buf);
        }
    }
}

impl EncodeSize for Handover {
    fn encode_size(&self) -> usize {
        Header::SIZE
            + self.certificate.encode_size()
            + self.authorities.as_set().as_ref().encode_size()
            + committee(self).encode_size()
            + self.seal.as_ref().map_or(0, EncodeSize::encode_size)
    }
}

impl Read for Handover {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let header = Header::read(buf)?;
        let certificate = Certificate::read(buf)?;
        let none = CodecError::Invalid("voltmesh_ledger::Handover", "no authorities");
        let authorities = read_set(buf)?.ok_or(none)?;
        let committee = read_set(buf)?;
        let seal = if buf.remaining() > 0 { Some(Seal::read(buf)?) } else { None };
        Ok(Self { header, certificate, authorities, committee, seal })
    }
}
