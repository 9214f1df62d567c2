//! The trust file: what someone must hold to check proofs offline.

use crate::{
    calendar::Calendar,
    decree::Replacement,
    election::Roster,
    error::Error,
    evidence::{AnchorEvidence, ProofError},
    genesis::{Genesis, RawGenesis},
    handover::{EpochEnd, Handover},
    keys::{AuthoritySet, Digest, Epoch, PublicKey, public_key_from_hex},
    log_proof::{LogHead, LogProof},
    statement::AnchoredStatement,
    transaction::count,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// Most changes of authorities that a trust file follows.
pub const MAX_HANDOVERS: usize = 4096;

/// Most keys of archives in a trust file.
pub const MAX_CLOUD_KEYS: usize = 16;

/// Most statements of archives in a trust file: the newest of each archive.
pub const MAX_ARCHIVES: usize = 16;

/// Longest trust file: 4,096 hand-overs of four authorities, in hex.
pub const MAX_TRUST_BYTES: usize = 8 * 1024 * 1024;

/// Who may be believed: a chain's genesis, the authorities that it led to, and the keys of archives.
///
/// Provided: each set was handed over by more than two thirds of one that was trusted before, starting from genesis;
/// where a committee votes, by more than two thirds of all authorities besides. The log's size at some final block, and
/// statements of archives that the log holds, each checked when it is read.
/// Not provided: news of hand-overs that this file has not seen. Authorities count until a hand-over replaces them, so
/// a stale file still believes a set that has left. Refresh it from any fog node: nothing needs to be believed for that.
#[derive(Clone, Debug)]
pub struct Trust {
    genesis: Genesis,
    chain: Digest,
    /// Sets by the first epoch in which they serve; each until the next one.
    sets: BTreeMap<Epoch, Sets>,
    calendar: Calendar,
    handovers: Vec<Handover>,
    cloud: Vec<PublicKey>,
    log: Option<LogProof>,
    archives: Vec<AnchoredStatement>,
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
        let calendar = Calendar::new(genesis.epoch_length);
        Self {
            chain: genesis.digest(),
            genesis,
            sets,
            calendar,
            handovers: Vec::new(),
            cloud: Vec::new(),
            log: None,
            archives: Vec::new(),
        }
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

    /// The largest extent of the log that was proven so far: what must be accounted for, and perhaps more.
    pub fn log(&self) -> Option<LogHead> {
        self.log.as_ref().map(LogProof::head)
    }

    /// What proves [`Self::log`].
    pub fn log_proof(&self) -> Option<&LogProof> {
        self.log.as_ref()
    }

    /// Takes over a proof of the log's extent, once it is checked; hand-overs must have been followed before. True if it is
    /// of a later block than the one known. Two proofs that exclude each other are an error: keep both as evidence.
    pub fn set_log(&mut self, proof: LogProof) -> Result<bool, Error> {
        let head = proof.verify(self).map_err(|error| unproven("proof of the log's size", &error))?;
        // TOML's integers are signed.
        let largest = head.size.max(head.height.get()).max(head.time.as_millis());
        if i64::try_from(largest).is_err() {
            return Err(Error::Text { what: "proof of the log's size", why: "beyond 2^63".into() });
        }
        if let Some(known) = self.log() {
            let contradicts = (head.height == known.height && head != known)
                || (head.height > known.height && head.size < known.size)
                || (head.height < known.height && head.size > known.size);
            if contradicts {
                let why = format!(
                    "{} batches at block {}, but {} at block {}: keep both as evidence",
                    head.size, head.height, known.size, known.height
                );
                return Err(Error::Text { what: "proof of the log's size", why });
            }
            if head.height <= known.height {
                return Ok(false);
            }
        }
        self.log = Some(proof);
        Ok(true)
    }

    /// Statements of archives that the log holds, as they were added. That the log holds them was checked; whose they are
    /// and what they say is for `voltmesh-control` with [`Self::cloud_keys`].
    pub fn archives(&self) -> &[AnchoredStatement] {
        &self.archives
    }

    /// Replaces [`Self::archives`], each checked against the log; hand-overs must have been followed before.
    pub fn set_archives(&mut self, archives: Vec<AnchoredStatement>) -> Result<(), Error> {
        count("statements of archives", archives.len(), 0, MAX_ARCHIVES)?;
        for archive in &archives {
            archive.verify(self).map_err(|error| unproven("statement of an archive", &error))?;
        }
        self.archives = archives;
        Ok(())
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

    /// Which heights belong to which epoch, as far as the hand-overs seen tell.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// First epochs of new authorities or voters, in order.
    pub fn changes(&self) -> impl Iterator<Item = Epoch> {
        self.sets.keys().copied()
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
        if self.handovers.iter().any(|known| known.says(handover)) {
            return Ok(false);
        }
        let changed = match handover {
            Handover::Epoch(end) => self.follow(end)?,
            Handover::Decree(replacement) => self.replace(replacement).map(|()| true)?,
        };
        if changed {
            self.handovers.push(handover.clone());
        }
        Ok(changed)
    }

    fn follow(&mut self, handover: &EpochEnd) -> Result<bool, Error> {
        let header = &handover.header;
        let fails = |why| Err(Error::Handover { height: header.height, why });
        if !self.calendar.ends_epoch(header.height) || self.calendar.epoch_of(header.height) != header.epoch {
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
        // A decree in the epoch between has let nothing come of it.
        let between = header.height.get() + 1..=header.height.get() + self.genesis.epoch_length;
        if self.calendar.cuts().any(|(first, _)| between.contains(&first.get())) {
            return Ok(false);
        }
        if self.sets.last_key_value().is_some_and(|(last, _)| *last >= from) {
            return fails("contradicts a later hand-over; keep both as evidence");
        }
        count("hand-overs", self.handovers.len() + 1, 1, MAX_HANDOVERS)?;
        self.sets.insert(from, sets);
        Ok(true)
    }

    /// More than two thirds of the authorities follow the decree, so at least f + 1 honest ones have checked that it is
    /// the operators'.
    fn replace(&mut self, replacement: &Replacement) -> Result<(), Error> {
        let decree = &replacement.decree;
        let fails = |why| Err(Error::Decree { after: decree.after, why });
        if !self.genesis.has_committee() {
            return fails("all authorities vote in this chain");
        }
        if decree.chain != self.chain {
            return Err(Error::Chain { found: decree.chain, want: self.chain });
        }
        let first = decree.first();
        let later = |known: &Handover| known.height() >= first;
        let stalled = self.calendar.epoch_of(first);
        if self.handovers.iter().any(later) || decree.epoch <= stalled {
            return fails("contradicts a later hand-over; keep both as evidence");
        }
        let Some(Sets { authorities, .. }) = self.sets_for(stalled).cloned() else {
            return Err(Error::UnknownEpoch(stalled));
        };
        Roster::check(&authorities, &decree.voters)?;
        replacement.verify(&authorities)?;
        count("hand-overs", self.handovers.len() + 1, 1, MAX_HANDOVERS)?;
        // What was to come after the epoch that stalled never does.
        self.sets.retain(|from, _| *from <= stalled);
        self.sets.insert(decree.epoch, Sets { authorities, voters: Arc::new(decree.voters.clone()) });
        self.calendar = self.calendar.cut(first, decree.epoch);
        Ok(())
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
        if let Some(log) = &raw.log {
            trust.set_log(log.proof()?)?;
            if trust.log().is_none_or(|head| RawLog::says(&head) != log.said()) {
                return Err(wrong("log: it says something else than its proof".into()));
            }
        }
        let archives = raw.archive.iter().map(RawArchive::read).collect::<Result<_, _>>()?;
        trust.set_archives(archives)?;
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
            log: self.log.as_ref().map(RawLog::of),
            archive: self.archives.iter().map(RawArchive::of).collect(),
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log: Option<RawLog>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    archive: Vec<RawArchive>,
}

/// For people, and the proof of it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLog {
    size: u64,
    height: u64,
    time_ms: u64,
    root: String,
    proof: String,
}

impl RawLog {
    fn of(proof: &LogProof) -> Self {
        let (size, height, time_ms, root) = Self::says(&proof.head());
        Self { size, height, time_ms, root, proof: hex::encode(proof.to_bytes()) }
    }

    fn says(head: &LogHead) -> (u64, u64, u64, String) {
        (head.size, head.height.get(), head.time.as_millis(), head.root.to_string())
    }

    fn said(&self) -> (u64, u64, u64, String) {
        (self.size, self.height, self.time_ms, self.root.clone())
    }

    fn proof(&self) -> Result<LogProof, Error> {
        let bytes = unhex("log.proof", &self.proof)?;
        LogProof::from_bytes(&bytes).map_err(|error| unproven("proof of the log's size", &error))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawArchive {
    statement: String,
    evidence: String,
}

impl RawArchive {
    fn of(archive: &AnchoredStatement) -> Self {
        let evidence = hex::encode(archive.evidence.to_bytes());
        Self { statement: hex::encode(&archive.statement), evidence }
    }

    fn read(&self) -> Result<AnchoredStatement, Error> {
        let evidence = AnchorEvidence::from_bytes(&unhex("archive.evidence", &self.evidence)?)
            .map_err(|error| unproven("statement of an archive", &error))?;
        Ok(AnchoredStatement { statement: unhex("archive.statement", &self.statement)?.into(), evidence })
    }
}

fn unhex(field: &'static str, text: &str) -> Result<Vec<u8>, Error> {
    hex::decode(text).map_err(|error| Error::Text { what: field, why: format!("no hex: {error}") })
}

/// A proof that does not hold, with all that lies below.
fn unproven(what: &'static str, error: &ProofError) -> Error {
    let below = error.source.as_ref().map_or(String::new(), |source| format!(": {source}"));
    Error::Text { what, why: format!("{error}{below}") }
}
