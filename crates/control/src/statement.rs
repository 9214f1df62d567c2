//! The cloud's signed word on what its archive holds, which fog nodes put into the ledger's log: a rollback shows, dated.

use crate::Error;
use ed25519_dalek::{SigningKey, VerifyingKey};
use voltmesh_telemetry::{
    Digest, Timestamp,
    cbor::{Reader, Writer},
    cose::{Protected, Sign1, key_id},
    is_name,
};

/// Most bytes of a statement: 1 KiB; one has some 330.
pub const MAX_STATEMENT_BYTES: usize = 1 << 10;
/// Who signs.
const ISSUER: &str = "urn:voltmesh:cloud:archive";
/// Our claim in the protected header: this is a statement of an archive, version 1.
const KIND: &str = "archive-statement/1";
/// The same of a statement that also names the head of the cloud's audit log.
const KIND_WITH_HEAD: &str = "archive-statement/2";

/// A list that only grows: its length and the RFC 9162 root over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Leaves.
    pub size: u64,
    /// Root over them.
    pub root: Digest,
}

/// Head of the cloud's audit log: its last entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// The entry's number.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

/// What an archive holds. Cloud → fog, and from there the SHA-256 of the signed bytes as a leaf of the ledger's log.
///
/// The order of batches is that of their commits (the column `sequence`), within one of vehicle, boot, first number and
/// id; a leaf is the leaf hash of the batch's id. Of quarantined deliveries it is that of `received_at`, then digest; a leaf
/// is the leaf hash of the delivery's digest. So each statement's trees are beginnings of all later ones' trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveStatement {
    /// The cloud's name.
    pub cloud: String,
    /// Counts this archive's statements from 1 on. Gaps are allowed.
    pub sequence: u64,
    /// By the cloud's clock.
    pub time: Timestamp,
    /// Versions of the Delta tables `records`, `batches` and `quarantine`.
    pub versions: [u64; 3],
    /// Rows of `records`.
    pub records: u64,
    /// Rows of `batches`.
    pub batches: Tree,
    /// Rows of `quarantine`.
    pub quarantine: Tree,
    /// Head of the cloud's audit log. Once a day, for older fog nodes take no statement with it.
    pub audit: Option<AuditHead>,
}

impl ArchiveStatement {
    /// The COSE_Sign1 message by the cloud's key.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let protected = Protected {
            key_id: key_id(&key.verifying_key()),
            issuer: ISSUER.to_owned(),
            subject: self.cloud.clone(),
            tree: false,
            extension: Writer::new().text(kind(self.audit.is_some())).finish(),
        };
        let mut payload = Writer::with_capacity(240);
        payload
            .array(6 + usize::from(self.audit.is_some()))
            .uint(self.sequence)
            .uint(self.time.as_millis())
            .array(3);
        for version in self.versions {
            payload.uint(version);
        }
        payload.uint(self.records);
        for tree in [&self.batches, &self.quarantine] {
            payload.array(2).uint(tree.size).bytes(tree.root.as_bytes());
        }
        if let Some(head) = &self.audit {
            payload.array(2).uint(head.seq).bytes(head.hash.as_bytes());
        }
        Sign1::sign(&protected, &payload.finish(), key).encode()
    }

    /// Checks the cloud's signature and reads the statement.
    pub fn verify(bytes: &[u8], key: &VerifyingKey) -> Result<Self, Error> {
        let (statement, message, named) = Self::read(bytes)?;
        let expected = key_id(key);
        if named != expected {
            return Err(voltmesh_telemetry::Error::Key { what: "archive statement", named, expected }.into());
        }
        message.verify(key)?;
        Ok(statement)
    }

    /// The same, if any of these keys signed it.
    pub fn verify_any(bytes: &[u8], keys: &[VerifyingKey]) -> Result<Self, Error> {
        let mut refused = Error::inconsistent("archive statement", "no key is configured that may sign it");
        for key in keys {
            match Self::verify(bytes, key) {
                Ok(statement) => return Ok(statement),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Reads a statement without checking who signed it: enough to show it, not to hold an archive to it.
    pub fn peek(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(bytes).map(|(statement, ..)| statement)
    }

    /// Whether an archive that held what `self` says can hold what `later` says: nothing but growth. Which leaves are the
    /// same is for who has them.
    pub fn may_become(&self, later: &Self) -> bool {
        let grows = |before: &Tree, after: &Tree| {
            before.size < after.size || (before.size == after.size && before.root == after.root)
        };
        self.cloud == later.cloud
            && self.sequence <= later.sequence
            && grows(&self.batches, &later.batches)
            && grows(&self.quarantine, &later.quarantine)
    }

    fn read(bytes: &[u8]) -> Result<(Self, Sign1, Digest), Error> {
        Error::limit("archive statement", bytes.len(), MAX_STATEMENT_BYTES)?;
        let message = Sign1::decode(bytes)?;
        let protected = Protected::decode(&message.protected)?;
        let is_kind = |with_head| protected.extension == Writer::new().text(kind(with_head)).finish();
        let with_head = is_kind(true);
        if protected.tree || protected.issuer != ISSUER || !(with_head || is_kind(false)) {
            return Err(Error::inconsistent("archive statement", "it is another kind of statement"));
        }
        if !message.has_bare_header() {
            return Err(Error::inconsistent("archive statement", "the unprotected header is not empty"));
        }
        if !is_name(&protected.subject) {
            return Err(Error::inconsistent("archive statement", "the cloud has no valid name"));
        }
        let payload = message.payload.as_deref().unwrap_or_default();
        let mut reader = Reader::new("archive statement", payload);
        reader.array_of(6 + usize::from(with_head))?;
        let (sequence, time) = (reader.uint()?, Timestamp::from_millis(reader.uint()?));
        reader.array_of(3)?;
        let versions = [reader.uint()?, reader.uint()?, reader.uint()?];
        let records = reader.uint()?;
        let mut tree = || -> Result<Tree, Error> {
            reader.array_of(2)?;
            Ok(Tree { size: reader.uint()?, root: reader.digest()? })
        };
        let (batches, quarantine) = (tree()?, tree()?);
        // The same two items as a tree.
        let audit = if with_head { Some(tree()?) } else { None };
        reader.finish()?;
        let audit = audit.map(|Tree { size, root }| AuditHead { seq: size, hash: root });
        let cloud = protected.subject.clone();
        let statement = Self { cloud, sequence, time, versions, records, batches, quarantine, audit };
        Ok((statement, message, protected.key_id))
    }
}

fn kind(with_head: bool) -> &'static str {
    if with_head { KIND_WITH_HEAD } else { KIND }
}
