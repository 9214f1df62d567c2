//! Statements of the cloud's archive that wait for the log, and the newest that are in it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use voltmesh_control::ArchiveStatement;
use voltmesh_ledger::{AnchoredStatement, MAX_ANCHORED_STATEMENT_BYTES};
use voltmesh_telemetry::{BatchId, Timestamp};

/// Places of statements in the log that are kept with their evidence, newest last; some 2 KiB each with four authorities. All
/// of them are told to the cloud when it is connected, so those of the last minutes, each anchored by up to four nodes.
const KEPT: usize = 16;

/// Statements on their way into the log: the cloud makes one a minute at most, and blocks take seconds.
pub const OPEN: usize = 16;

/// Most bytes of [`Statements::encode`].
pub const MAX_STATEMENTS_BYTES: usize = KEPT * (4 + MAX_ANCHORED_STATEMENT_BYTES);

/// A statement that is not in the log yet.
#[derive(Debug)]
pub struct Open {
    pub statement: ArchiveStatement,
    pub bytes: Bytes,
    /// When this node anchors it; `None` once it has begun to.
    pub due: Option<Timestamp>,
}

/// What this node knows of the archive's statements.
#[derive(Debug, Default)]
pub struct Statements {
    pub open: BTreeMap<BatchId, Open>,
    pub kept: VecDeque<(ArchiveStatement, AnchoredStatement)>,
}

impl Statements {
    /// Whether this leaf is a statement's that waits for the log.
    pub fn is_open(&self, leaf: &BatchId) -> bool {
        self.open.contains_key(leaf)
    }

    pub fn deadline(&self) -> Option<Timestamp> {
        self.open.values().filter_map(|open| open.due).min()
    }

    /// The newest statement that was taken, in the log or not.
    pub fn newest(&self) -> Option<&ArchiveStatement> {
        let open = self.open.values().map(|open| &open.statement);
        open.chain(self.kept.iter().map(|(statement, _)| statement)).max_by_key(|one| one.sequence)
    }

    pub fn knows(&self, leaf: &BatchId) -> bool {
        self.is_open(leaf) || self.kept_bytes(leaf).is_some()
    }

    /// A kept statement by its leaf.
    pub fn kept_bytes(&self, leaf: &BatchId) -> Option<(ArchiveStatement, Bytes)> {
        let found = self.kept.iter().find(|(_, kept)| AnchoredStatement::leaf(&kept.statement) == *leaf);
        found.map(|(statement, kept)| (statement.clone(), kept.statement.clone()))
    }

    pub fn keep(&mut self, statement: ArchiveStatement, anchored: AnchoredStatement) {
        let at = self.kept.partition_point(|(kept, _)| kept.sequence <= statement.sequence);
        self.kept.insert(at, (statement, anchored));
        while self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    /// The kept ones, oldest first: each one's length as u32 little-endian, then its bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        for (_, anchored) in &self.kept {
            let bytes = anchored.to_bytes();
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes()); // at most 30 KiB
            out.extend_from_slice(&bytes);
        }
        out.into()
    }

    /// Reads [`Self::encode`]'s bytes; `None` if they are not.
    pub fn decode(mut bytes: &[u8]) -> Option<VecDeque<(ArchiveStatement, AnchoredStatement)>> {
        let mut kept = VecDeque::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk::<4>()?;
            let (one, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            let anchored = AnchoredStatement::from_bytes(one).ok()?;
            kept.push_back((ArchiveStatement::peek(&anchored.statement).ok()?, anchored));
            bytes = rest;
        }
        (kept.len() <= KEPT).then_some(kept)
    }
}

/// The newest statement in the bytes of [`Output::KeepStatements`](crate::ingest::Output::KeepStatements); for those who ask over HTTP.
pub fn newest_statement(kept: &[u8]) -> Option<Bytes> {
    Statements::decode(kept)?.back().map(|(_, anchored)| anchored.to_bytes())
}
