//! Rows of `batches`: each one's signed bytes are checked, then every column is derived from them and compared.

use super::{
    chains::Chains,
    commits::{Commits, time_of},
    log::{LogIndex, Place},
    records::Expected,
    report::{ArchiveReport, Kind},
};
use crate::{
    archivist::Entry,
    delta::{self, Columns, Replay, StoredBatch, stored_batches},
    verify::{Judged, Stage, Verified, opening_from, verify},
};
use arrow::{
    array::{Array, RecordBatch},
    util::display::array_value_to_string,
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use voltmesh_ledger::{AnchorProof, Epoch, Trust};
use voltmesh_telemetry::{BatchId, Digest, SealedBatch, Timestamp};

/// All that the rows of `batches` prove.
#[derive(Default)]
pub(super) struct Batches {
    /// How often each batch stands there.
    pub ids: BTreeMap<BatchId, u32>,
    /// Places in the ledger's log.
    pub log: LogIndex,
    /// Foreign batches in `copies` all of whose records are archived from others.
    copied: BTreeSet<BatchId>,
    chains: Chains,
    commits: Commits,
    expected: Expected,
}

/// A row whose signed bytes hold.
pub(crate) struct Proven {
    /// The batch.
    pub batch: Verified,
    /// Its place in the ledger's log.
    pub place: Place,
    /// Time of that block.
    pub block: Timestamp,
    /// The block's epoch, if the trust file does not know its authorities: place and time are what the evidence says.
    pub later: Option<Epoch>,
    /// Whether its evidence also names the size of the registry's tree, which nothing commits to.
    pub older_form: bool,
}

impl Batches {
    /// Checks the rows of one file, which lies in the partition `day`.
    pub fn check(&mut self, rows: &RecordBatch, day: &str, trust: &Trust, report: &mut ArchiveReport) {
        report.batches = report.batches.saturating_add(rows.num_rows() as u64);
        // The columns were read as ours, so that these do not fail.
        let (Ok(stored), Ok(sequences), Ok(times)) =
            (stored_batches(rows), Columns(rows).long("sequence"), Columns(rows).long("archived_at"))
        else {
            return report.problems_of(Kind::Batch, rows.num_rows() as u64, "rows are not read".to_owned());
        };
        for (at, batch) in stored.iter().enumerate() {
            report.wire_bytes = report.wire_bytes.saturating_add(batch.wire.len() as u64);
            match prove(batch, trust) {
                Ok(proven) => {
                    let of = report.wire_bytes_of.entry(proven.batch.header.vehicle.to_string()).or_default();
                    *of = of.saturating_add(batch.wire.len() as u64);
                    let (sequence, micros) = (sequences.value(at), times.value(at));
                    self.row(rows.slice(at, 1), batch, proven, (sequence, micros), day, report);
                }
                Err(problem) => report.problem(Kind::Batch, format!("batch {}: {problem}", batch.id)),
            }
        }
    }

    fn row(
        &mut self,
        row: RecordBatch,
        stored: &StoredBatch,
        proven: Proven,
        (sequence, micros): (i64, i64),
        day: &str,
        report: &mut ArchiveReport,
    ) {
        let Proven { batch, place, block, later, older_form } = proven;
        report.older_forms = report.older_forms.saturating_add(u64::from(older_form));
        let id = batch.id;
        let copies = self.ids.entry(id).or_default();
        *copies += 1;
        if *copies > 1 {
            report.problem(Kind::DoubledBatch, format!("batch {id} stands in batches {copies} times"));
        }
        let doubts = accepted_doubts(&batch);
        if !doubts.is_empty() {
            report.doubtful(batch.header.vehicle.as_str(), &doubts);
        }
        let mut wrong = Vec::new();
        let kept = match kept(&batch, stored.kept.as_deref()) {
            Ok(kept) => kept,
            Err(why) => {
                wrong.push(why);
                None
            }
        };
        let entry = Entry { batch: Arc::new(batch), kept };
        wrong.extend(other_columns(&row, &entry, time_of(sequence, micros)));
        if let Some(why) = self.commits.note(sequence, micros, day, block) {
            wrong.push(why);
        }
        if !wrong.is_empty() {
            report.problem(Kind::Batch, format!("batch {id}: {}", wrong.join("; ")));
        }
        self.place(place, later, &id, report);
        self.chains.note(&entry.batch);
        self.expected.batch(&entry, day, later.is_none());
    }

    fn place(&mut self, place: Place, later: Option<Epoch>, id: &BatchId, report: &mut ArchiveReport) {
        match later {
            None => self.log.hold(place, id, report),
            Some(epoch) => {
                report.batch_of_later(epoch.get());
                self.log.say(place.index, id);
            }
        }
    }

    /// Notes a further copy, which must be of something archived.
    pub fn copy(
        &mut self,
        entry: Entry,
        sequence: i64,
        (place, later): (Place, Option<Epoch>),
        report: &mut ArchiveReport,
    ) {
        let id = entry.batch.id;
        self.commits.copy(sequence);
        self.place(place, later, &id, report);
        if self.ids.contains_key(&id) {
            return;
        }
        if entry.batch.header.boot.is_foreign() {
            // Each of its records was there before, from other batches.
            self.copied.insert(id);
            self.expected.batch(&Entry { kept: Some(Vec::new()), ..entry }, "", later.is_none());
        } else {
            report.problem(Kind::Unaccounted, format!("batch {id} is in copies, and not in batches"));
        }
    }

    /// Whether a batch is here, with records of its own or without.
    pub fn holds(&self, id: &BatchId) -> bool {
        self.ids.contains_key(id) || self.copied.contains(id)
    }

    /// A record of a foreign client that was refused alone, for another one has its number.
    pub fn refused(&mut self, content: Digest) {
        self.expected.refused(content);
    }

    /// Judges what the rows say together, and gives what the records must be.
    pub fn settle(&mut self, replay: Option<&Replay>, report: &mut ArchiveReport) -> Expected {
        self.chains.settle(replay, report);
        self.commits.settle(replay, report);
        std::mem::take(&mut self.expected)
    }
}

/// Checks what is signed of a batch: its form, its place in the log, finality as far as the trust file tells, its signer and
/// its records.
pub(crate) fn prove(stored: &StoredBatch, trust: &Trust) -> Result<Proven, String> {
    let sealed = SealedBatch::parse(stored.wire.clone()).map_err(|error| error.to_string())?;
    let opening = opening_from(&stored.opening).ok_or("its opening is not 64 bytes")?;
    let checked = verify(&sealed, &opening, &stored.evidence, trust);
    let Judged { records, anchored, unproven } = checked.map_err(|rejection| rejection.to_string())?;
    let evidence = AnchorProof::from_bytes(&stored.evidence);
    let header = evidence.map_err(|error| format!("{}: {error}", Stage::Evidence))?.header;
    let place = Place { index: anchored.index, size: header.log_size, root: header.log_root };
    let id = sealed.id();
    let batch = Verified {
        header: sealed.header().clone(),
        id,
        id_text: id.to_string(),
        wire: stored.wire.clone(),
        opening: stored.opening.clone(),
        evidence: stored.evidence.clone(),
        height: anchored.height.get(),
        log_index: Some(anchored.index),
        fog: stored.fog.clone(),
        records,
    };
    let (block, older_form) = (anchored.time, anchored.older_form);
    Ok(Proven { batch, place, block, later: unproven.map(|_| header.epoch), older_form })
}

/// Why the recording of a batch is doubtful, as its signed report says where someone accepted it nevertheless.
fn accepted_doubts(batch: &Verified) -> Vec<String> {
    #[derive(Deserialize)]
    struct Report {
        accepted_doubts: Vec<String>,
    }
    if batch.header.report.is_none() {
        return Vec::new();
    }
    let report = SealedBatch::parse(batch.wire.clone()).and_then(|sealed| sealed.report()).ok().flatten();
    // A report that is none of ours names none. Few reports have the key: the others are not parsed.
    let named = |json: &Vec<u8>| json.windows(17).any(|window| window == b"\"accepted_doubts\"");
    let report = report.filter(named).and_then(|json| serde_json::from_slice::<Report>(&json).ok());
    report.map(|report| report.accepted_doubts).unwrap_or_default()
}

/// The positions that were new, if they can be: a vehicle's batch is archived whole, an attested one in part.
pub(super) fn kept(batch: &Verified, kept: Option<&[u32]>) -> Result<Option<Vec<u32>>, String> {
    let Some(positions) = kept else { return Ok(None) };
    if !batch.header.boot.is_foreign() {
        return Err("column kept leaves records out, but a vehicle's batch is archived whole".to_owned());
    }
    let unique: BTreeSet<_> = positions.iter().collect();
    let ordered = positions.is_sorted() && unique.len() == positions.len();
    let within = positions.last().is_none_or(|last| (*last as usize) < batch.records.len());
    if ordered && within && positions.len() < batch.records.len() {
        Ok(Some(positions.to_vec()))
    } else {
        Err("column kept does not name some of its records, each once, in order".to_owned())
    }
}

/// The columns that differ from the row that this batch must have. Commit and time are taken from the row: they are
/// notes, which [`Commits`] checks.
pub(super) fn other_columns(
    row: &RecordBatch,
    entry: &Entry,
    (sequence, archived): (u64, Timestamp),
) -> Vec<String> {
    let sequence = sequence.min(i64::MAX as u64);
    let expected = match delta::batch_rows(std::slice::from_ref(entry), sequence, archived) {
        Ok(expected) => expected,
        Err(error) => return vec![error.to_string()],
    };
    let schema = row.schema();
    let mut wrong = Vec::new();
    for (field, column) in schema.fields().iter().zip(row.columns()) {
        let Some(want) = expected.column_by_name(field.name()) else { continue };
        if column != want {
            let text = |column: &dyn Array| match array_value_to_string(column, 0) {
                Ok(text) if text.is_empty() => "nothing".to_owned(),
                Ok(text) => text.chars().take(80).collect(),
                Err(_) => "another value".to_owned(),
            };
            wrong.push(format!("column {} says {}, signed is {}", field.name(), text(column), text(want)));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archivist::reopen,
        testing::{Fleet, id_of, key_of},
    };
    use bytes::Bytes;
    use voltmesh_telemetry::{Boot, Secret, Signer, batch::Place, seal_with};

    #[test]
    fn accepted_doubts_are_counted_and_named_once_a_vehicle() {
        let mut found = ArchiveReport::default();
        for report in [
            None,
            Some(r#"{"events":[]}"#),
            Some(r#"{"accepted_doubts":["too high","no date"],"events":[]}"#),
            Some(r#"{"state":null,"accepted_doubts":["too high"]}"#),
            Some(r#"{"accepted_doubts":7}"#),
            Some(r#"["accepted_doubts"]"#),
            Some("\"accepted_doubts\" and no JSON"),
        ] {
            let records = Fleet::new(1).batch(0, 1, 0, 3, None).open().unwrap();
            let place =
                Place { vehicle: id_of("ev-0"), boot: Boot::new(1), previous: None, signer: Signer::Vehicle };
            let (secret, report) = (Secret::new([0; 32]), report.map(str::as_bytes));
            let sealed = seal_with(&place, &records, report, &secret, &key_of("ev-0")).unwrap();
            let entry =
                reopen(sealed.wire().clone(), vec![], Bytes::new(), 1, "fog-1".to_owned(), None).unwrap();
            let doubts = accepted_doubts(&entry.batch);
            if !doubts.is_empty() {
                found.doubtful(entry.batch.header.vehicle.as_str(), &doubts);
            }
        }
        assert_eq!(found.doubtful_batches, 2);
        assert_eq!(found.doubts.iter().collect::<Vec<_>>(), ["ev-0: no date", "ev-0: too high"]);
        assert!(found.is_sound(), "no fault of the archive");
    }
}
