//! Which of the rows that stand twice goes, and which stays.

use super::{
    find::{At, Key, MAX_IDS, Names, batch_rows, keys_of, record_keys},
    report::DedupReport,
};
use crate::{
    archivist::Entry,
    audit::{OurColumns, Prints, prove},
    delta::{self, ArchiveError, Columns, Inspected, Removal, Rows, schema, stored_batches},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use voltmesh_ledger::Trust;
use voltmesh_telemetry::{Digest, Timestamp};

/// Plan of what to remove, and what is said of it.
pub(super) struct Plan {
    pub removal: Removal,
    pub report: DedupReport,
}

/// A row of `batches` that matters: its batch stands twice, or one of its records does.
struct Copy {
    at: At,
    sequence: i64,
    height: u64,
    /// What its records' rows must be; `None` if it does not verify.
    rows: Option<BTreeMap<Key, Digest>>,
}

/// A row of `records` that matters.
struct Found {
    at: At,
    print: Digest,
}

/// Looks through both tables. Holds some 50 bytes per record, and the doubled ones' digests.
pub(super) async fn plan(tables: &[Inspected; 4], trust: &Trust) -> Result<Plan, ArchiveError> {
    let [records, batches, ..] = tables;
    let mut names = Names::default();
    let (keys, _) = record_keys(records, &mut names).await?;
    let doubled: BTreeSet<Key> = keys.into_iter().filter(|(_, n)| *n > 1).map(|(key, _)| key).collect();
    let ids = batch_rows(batches).await?;
    let twice: BTreeSet<String> =
        ids.into_iter().filter(|(_, rows)| rows.len() > 1).map(|(id, _)| id).collect();
    let copies = copies(batches, &twice, &doubled, trust, &mut names).await?;
    let mut wanted = doubled;
    let of_twice = copies.iter().filter(|(id, _)| twice.contains(*id)).flat_map(|(_, copies)| copies);
    wanted.extend(of_twice.flat_map(|copy| copy.rows.iter().flat_map(|rows| rows.keys().copied())));
    let found = find(records, &wanted, &mut names).await?;

    let mut plan = Plan { removal: Removal::default(), report: DedupReport::default() };
    let mut expected: BTreeMap<Key, Vec<Digest>> = BTreeMap::new();
    for (id, copies) in copies {
        for rows in plan.choose_batch(&id, copies, &found).into_iter().filter_map(|copy| copy.rows) {
            rows.into_iter().for_each(|(key, print)| expected.entry(key).or_default().push(print));
        }
    }
    for (key, rows) in found.into_iter().filter(|(_, rows)| rows.len() > 1) {
        plan.choose_record(&names.text(key), &rows, expected.get(&key).map_or(&[][..], Vec::as_slice));
    }
    Ok(plan)
}

/// The rows of `batches` that matter, by batch id.
async fn copies(
    table: &Inspected,
    twice: &BTreeSet<String>,
    doubled: &BTreeSet<Key>,
    trust: &Trust,
    names: &mut Names,
) -> Result<BTreeMap<String, Vec<Copy>>, ArchiveError> {
    let mut copies: BTreeMap<String, Vec<Copy>> = BTreeMap::new();
    let mut prints = Prints::of(&schema::records());
    for file in table.view.files().iter() {
        let mut row = 0;
        for rows in table.view.scan_file(file, &[], &Default::default()).await? {
            let (sequences, boots) = (Columns(&rows).long("sequence")?, Columns(&rows).long("boot")?);
            let vehicles = Columns(&rows).text("vehicle")?;
            for (n, batch) in stored_batches(&rows)?.into_iter().enumerate() {
                let at = At { file: file.path.clone(), row };
                row += 1;
                let long = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
                let (vehicle, boot) = (names.number(vehicles.value(n)), boots.value(n));
                let range = (vehicle, boot, long(batch.first))..=(vehicle, boot, long(batch.last));
                let some_doubled = batch.first <= batch.last && doubled.range(range).next().is_some();
                if !twice.contains(&batch.id) && !some_doubled {
                    continue;
                }
                let rows = prove(&batch, trust).ok().filter(|proven| proven.later.is_none()).map(|proven| {
                    let entry = Entry { batch: Arc::new(proven.batch), kept: batch.kept.clone() };
                    expected(&entry, &file.day, &mut prints, names)
                });
                let (sequence, height) = (sequences.value(n), batch.height);
                copies.entry(batch.id).or_default().push(Copy { at, sequence, height, rows });
            }
        }
    }
    Ok(copies)
}

/// The rows that a batch's records must be.
fn expected(entry: &Entry, day: &str, prints: &mut Prints, names: &mut Names) -> BTreeMap<Key, Digest> {
    let rows = delta::record_rows(std::slice::from_ref(entry), Timestamp::from_millis(0));
    let keys = rows.and_then(|rows| Ok((keys_of(&rows, names)?, prints.digests(&rows, day)?)));
    keys.map_or_else(|_| BTreeMap::new(), |(keys, prints)| keys.into_iter().zip(prints).collect())
}

/// The rows of `records` that matter, by record id.
async fn find(
    table: &Inspected,
    wanted: &BTreeSet<Key>,
    names: &mut Names,
) -> Result<BTreeMap<Key, Vec<Found>>, ArchiveError> {
    let mut found: BTreeMap<Key, Vec<Found>> = BTreeMap::new();
    let (columns, mut prints) = (OurColumns::of(table), Prints::of(&schema::records()));
    if wanted.is_empty() {
        return Ok(found);
    }
    for file in table.view.files().iter() {
        let mut first = 0;
        for rows in table.view.scan_file(file, &[], &Default::default()).await? {
            let keys = keys_of(&rows, names)?;
            let chosen: Vec<_> = keys.iter().enumerate().filter(|(_, key)| wanted.contains(key)).collect();
            if !chosen.is_empty() {
                let ours = columns.ours(&rows).map_err(|wrong| ArchiveError::Damaged {
                    what: format!("{}: {}", file.path, wrong.join("; ")),
                })?;
                let digests = prints.digests(&ours, &file.day)?;
                for (n, key) in chosen {
                    let at = At { file: file.path.clone(), row: first + n };
                    let print = digests.get(n).copied().unwrap_or(Digest::ZERO);
                    found.entry(*key).or_default().push(Found { at, print });
                }
            }
            first += rows.num_rows();
        }
    }
    Ok(found)
}

impl Plan {
    /// Keeps the copy of a batch that verifies and that most rows of `records` are of; of equals the oldest. Returns what
    /// stays.
    fn choose_batch(
        &mut self,
        id: &str,
        mut copies: Vec<Copy>,
        found: &BTreeMap<Key, Vec<Found>>,
    ) -> Option<Copy> {
        let matching = |copy: &Copy| {
            let rows = copy.rows.iter().flatten();
            rows.filter(|(key, print)| {
                found.get(key).is_some_and(|rows| rows.iter().any(|row| row.print == **print))
            })
            .count()
        };
        copies.sort_by_cached_key(|copy| {
            (copy.rows.is_none(), std::cmp::Reverse(matching(copy)), copy.sequence)
        });
        let mut copies = copies.into_iter();
        let kept = copies.next()?;
        for copy in copies {
            let what = format!("batch {id} of commit {}, block {}", copy.sequence, copy.height);
            if kept.rows.is_none() {
                self.report.left += 1;
                self.say(format!("{what}: stands twice, and no copy verifies: left"));
                continue;
            }
            self.report.removed_batches += 1;
            if copy.rows.is_some() {
                self.report.moved += 1;
                add(&mut self.removal.moved, &copy.at);
                self.say(format!("{what}: moved to copies; that of commit {} stays", kept.sequence));
            } else {
                self.say(format!("{what}: does not verify: removed; that of commit {} stays", kept.sequence));
            }
            add(&mut self.removal.batches, &copy.at);
        }
        Some(kept)
    }

    /// Keeps the first row that is what one of the remaining batches signed.
    fn choose_record(&mut self, id: &str, rows: &[Found], expected: &[Digest]) {
        let Some(kept) = rows.iter().position(|row| expected.contains(&row.print)) else {
            self.report.left += rows.len() as u64 - 1;
            return self.say(format!("record {id}: {} rows, and none is what was signed: left", rows.len()));
        };
        for (_, row) in rows.iter().enumerate().filter(|(n, _)| *n != kept) {
            self.report.removed_records += 1;
            add(&mut self.removal.records, &row.at);
        }
        self.say(format!("record {id}: {} of {} rows removed", rows.len() - 1, rows.len()));
    }

    fn say(&mut self, line: String) {
        if self.report.log.len() < MAX_IDS {
            self.report.log.push(line);
        }
    }
}

fn add(rows: &mut Rows, at: &At) {
    rows.entry(at.file.clone()).or_default().insert(at.row);
}
