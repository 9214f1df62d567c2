//! The trust file: what someone must hold to check proofs offline.

use crate::{
    codec::count,
    error::Error,
    genesis::{Genesis, RawGenesis},
    keys::public_key_from_hex,
    proof::{
        anchor_proof::AnchorProof,
        authority_history::AuthorityHistory,
        failure::ProofError,
        handover::Handover,
        log_proof::{LogHead, LogProof},
        statement::AnchoredStatement,
    },
    types::PublicKey,
};
use serde::{Deserialize, Serialize};
use std::ops::Deref;
use voltmesh_telemetry::Digest as Hash;

/// Most keys of archives in a trust file.
pub const MAX_CLOUD_KEYS: usize = 16;

/// Most statements of archives in a trust file: the newest of each archive.
pub const MAX_ARCHIVES: usize = 16;

/// Longest trust file: 4,096 hand-overs of four authorities, in hex.
pub const MAX_TRUST_BYTES: usize = 8 * 1024 * 1024;

/// What the keys of archives are hashed after, for [`RawTrust::sha256_of_cloud`].
const CLOUD_CHECK: &[u8] = b"voltmesh-trust-cloud-1";

/// Parties that may be believed: a chain's genesis, the authorities that it led to, and the keys of archives.
///
/// Provided: each set was handed over by more than two thirds of one that was trusted before, starting from genesis;
/// where a committee votes, by more than two thirds of all authorities besides. The log's size at some final block, and
/// statements of archives that the log holds, each checked when it is read.
/// Not provided: news of hand-overs that this file has not seen. Authorities count until a hand-over replaces them, so
/// a stale file still believes a set that has left. Refresh it from any fog node: nothing needs to be believed for that.
#[derive(Clone, Debug)]
pub struct Trust {
    history: AuthorityHistory,
    cloud: Vec<PublicKey>,
    log: Option<LogProof>,
    archives: Vec<AnchoredStatement>,
}

impl Trust {
    /// Trusts a chain from its beginning.
    pub fn from_genesis(genesis: Genesis) -> Self {
        Self { history: AuthorityHistory::new(genesis), cloud: Vec::new(), log: None, archives: Vec::new() }
    }

    /// Follows a hand-over. True if it changed the authorities, false if it says what is known.
    pub fn extend(&mut self, handover: &Handover) -> Result<bool, Error> {
        self.history.extend(handover)
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

    /// SHA-256 over the chain and the keys of archives: all else in a trust file proves itself.
    fn sha256_of_cloud(&self) -> Option<String> {
        let keys = self.cloud.iter().flat_map(|key| key.as_ref().iter().copied());
        let bytes: Vec<u8> =
            CLOUD_CHECK.iter().copied().chain(self.chain().as_ref().iter().copied()).chain(keys).collect();
        (!self.cloud.is_empty()).then(|| Hash::of(&bytes).to_string())
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
        let head =
            proof.verify(&self.history).map_err(|error| unproven("proof of the log's size", &error))?;
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
        self.history.saw_final(proof.header.epoch);
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
            archive.verify(&self.history).map_err(|error| unproven("statement of an archive", &error))?;
        }
        for archive in &archives {
            self.history.saw_final(archive.evidence.header.epoch);
        }
        self.archives = archives;
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
        if raw.chain != trust.chain().to_string() {
            return Err(wrong(format!(
                "chain is {}, but the genesis below is of {}",
                raw.chain,
                trust.chain()
            )));
        }
        for key in &raw.cloud {
            trust.add_cloud(public_key_from_hex(key)?);
        }
        if raw.sha256_of_cloud.is_some() && raw.sha256_of_cloud != trust.sha256_of_cloud() {
            let why = "cloud: a key was altered since the file was written; make the file again with `voltmesh chain trust`, or \
                       remove the line sha256_of_cloud if these keys are meant";
            return Err(wrong(why.into()));
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
            chain: self.chain().to_string(),
            cloud: self.cloud.iter().map(ToString::to_string).collect(),
            sha256_of_cloud: self.sha256_of_cloud(),
            handovers: self.handovers().iter().map(|handover| hex::encode(handover.to_bytes())).collect(),
            genesis: RawGenesis::from(self.genesis()),
            log: self.log.as_ref().map(RawLog::of),
            archive: self.archives.iter().map(RawArchive::of).collect(),
        })
        .unwrap_or_default()
    }
}

/// Whatever is checked against the authorities' history is checked against the trust file that holds it.
impl Deref for Trust {
    type Target = AuthorityHistory;

    fn deref(&self) -> &AuthorityHistory {
        &self.history
    }
}

/// TOML form of [`Trust`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrust {
    chain: String,
    #[serde(default)]
    cloud: Vec<String>,
    /// See [`Trust::sha256_of_cloud`]; none in files of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256_of_cloud: Option<String>,
    #[serde(default)]
    handovers: Vec<String>,
    genesis: RawGenesis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log: Option<RawLog>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    archive: Vec<RawArchive>,
}

/// Extent of the log in TOML: numbers for people, and their proof.
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
        let evidence = AnchorProof::from_bytes(&unhex("archive.evidence", &self.evidence)?)
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
