//! Statements of the cloud's archive: checked, put into the log, kept with their evidence for whoever asks.
//!
//! All fog nodes of a cloud are sent each statement. Each waits a time of its own before it anchors one, and takes over the
//! evidence if another has anchored it meanwhile: mostly the log grows by one leaf a statement, not by one a node.
//!
//! Provided: a statement is taken only if the configured cloud key signed it and it can follow the newest one that is kept;
//! of two that cannot follow each other the first stands, here and in the log. Not provided: a statement that was not final
//! when the process ended (the cloud sends its newest again when this node connects).

use bytes::Bytes;
use voltmesh_consensus::Finalized;
use voltmesh_control::ArchiveStatement;
use voltmesh_ledger::{AnchorProof, AnchoredStatement, LogEntry};
use voltmesh_telemetry::{BatchId, Digest};

use super::{
    core::Ingest,
    io::Output,
    state::statements::{OPEN, Open, Statements},
};

/// Longest time before this node anchors a statement that nobody else has: a few blocks.
const STAGGER_MS: u64 = 4_000;

impl Ingest {
    /// Takes what [`Output::KeepStatements`] asked to keep. False if it cannot be read: then nothing is known.
    pub fn restore_statements(&mut self, bytes: &[u8]) -> bool {
        match Statements::decode(bytes) {
            Some(kept) => self.statements.kept = kept,
            None => return false,
        }
        true
    }

    pub(super) fn cloud_statement(&mut self, bytes: &Bytes) {
        let statement = match ArchiveStatement::verify_any(bytes, &self.settings.cloud_keys) {
            Ok(statement) => statement,
            Err(error) => {
                self.counters.statements_refused += 1;
                self.log(format!("an archive statement is not taken: {error}; check cloud.notice_key"));
                return;
            }
        };
        let leaf = AnchoredStatement::leaf(bytes);
        if self.statements.knows(&leaf) {
            return;
        }
        if let Some(known) = self.statements.newest()
            && (statement.sequence == known.sequence || !known.may_become(&statement))
        {
            self.counters.statements_refused += 1;
            let text = format!(
                "THE ARCHIVE WENT BACK: {} says in statement {} that it holds {} batches, after {} in statement {}; compare \
                 with `voltmesh chain statement`. The later statement is not taken",
                statement.cloud,
                statement.sequence,
                statement.batches.size,
                known.batches.size,
                known.sequence
            );
            return self.log(text);
        }
        if self.statements.open.len() >= OPEN {
            // The log stands still; a newer statement says all that the oldest does.
            let oldest = self.statements.open.iter().min_by_key(|(_, open)| open.statement.sequence);
            if let Some(oldest) = oldest.map(|(leaf, _)| *leaf) {
                self.statements.open.remove(&oldest);
            }
        }
        let due = Some(self.now.plus_millis(self.stagger(&leaf)));
        self.statements.open.insert(leaf, Open { statement, bytes: bytes.clone(), due });
    }

    /// The cloud is connected: it hears of each place that is kept.
    pub(super) fn tell_anchored(&mut self) {
        let kept = self.statements.kept.iter().map(|(_, anchored)| anchored.to_bytes());
        self.outputs.extend(kept.map(Output::AnchoredToCloud));
    }

    /// This node's own time before it anchors a statement.
    fn stagger(&self, leaf: &BatchId) -> u64 {
        let own = Digest::of(&[self.authority.as_ref(), leaf.as_bytes().as_slice()].concat());
        let [a, b, ..] = own.to_bytes();
        u64::from(u16::from_le_bytes([a, b])) * STAGGER_MS / u64::from(u16::MAX)
    }

    /// Statements that nobody has anchored in time wait for this node's next anchor.
    pub(super) fn statements_due(&mut self) {
        let now = self.now;
        let mut due = Vec::new();
        for (leaf, open) in &mut self.statements.open {
            if open.due.take_if(|due| *due <= now).is_some() {
                due.push(*leaf);
            }
        }
        due.into_iter().for_each(|leaf| self.anchor_soon(leaf));
    }

    /// Statements among what a final block put into the log are kept with their evidence.
    pub(super) fn statements_final(&mut self, finalized: &Finalized) {
        // The same statement may be in the log several times: each place is told, so that the archive explains it.
        let found: Vec<&LogEntry> =
            finalized.entries.iter().filter(|entry| self.statements.knows(&entry.batch)).collect();
        if found.is_empty() {
            return;
        }
        let height = finalized.header.height;
        let proof = finalized.state.prove(&self.own_commitment);
        let Some(signer) = proof.filter(|proof| proof.entry.counts_at(height)) else {
            // Once another has anchored it there is nothing to wait for.
            found.iter().for_each(|entry| drop(self.statements.open.remove(&entry.batch)));
            return self.log(
                "a statement of the archive is in the log, but not kept: this node is not enrolled".into(),
            );
        };
        for entry in found {
            let open = self.statements.open.remove(&entry.batch).map(|open| (open.statement, open.bytes));
            let Some((statement, bytes)) = open.or_else(|| self.statements.kept_bytes(&entry.batch)) else {
                continue;
            };
            let evidence = AnchorProof::new(
                finalized.header.clone(),
                finalized.certificate.clone(),
                finalized.root_signatures.clone(),
                entry.inclusion.clone(),
                signer.clone(),
            );
            self.counters.statements_anchored += 1;
            let anchored = AnchoredStatement { statement: bytes, evidence };
            self.outputs.push(Output::AnchoredToCloud(anchored.to_bytes()));
            self.statements.keep(statement, anchored);
        }
        self.outputs.push(Output::KeepStatements(self.statements.encode()));
    }
}
