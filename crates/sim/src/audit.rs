//! The archive's tables as their bytes say, at every commit: rows by id, counted.
//!
//! The audit sees each object that is written. A log entry makes it read the entry and the data files that it adds, by
//! itself and without the archive's code, so a doubled or lost row is found at the very commit that makes it, also if
//! the process that wrote it never learned of it.
//!
//! | what it counts | what must hold |
//! |---|---|
//! | rows of `records` by vehicle, boot and number | one each, at every commit, also of merging |
//! | rows of `batches` by batch | one each, at every commit |
//! | records that rows of `batches` say are kept | each is new, with the content that the vehicle has signed |
//! | both against each other | the same records, in the end |

use crate::checker::Checker;
use arrow::{
    array::{Array as _, RecordBatch, cast::AsArray as _},
    datatypes::{Int32Type, Int64Type},
};
use bytes::Bytes;
use object_store::path::Path;
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use voltmesh_cloud::archivist::reopen;

/// A record by vehicle, boot and number.
type RecordKey = (String, i64, i64);

/// A table of rows with an id each.
struct Rows<K> {
    name: &'static str,
    files: BTreeMap<String, Vec<K>>,
    counts: BTreeMap<K, u64>,
}

impl<K: Ord + Clone + std::fmt::Debug> Rows<K> {
    fn new(name: &'static str) -> Self {
        Self { name, files: BTreeMap::new(), counts: BTreeMap::new() }
    }

    /// Takes a commit over; says which of the touched rows do not stand once.
    fn commit(&mut self, adds: Vec<(String, Vec<K>)>, removes: &[String]) -> Vec<String> {
        let mut touched = BTreeSet::new();
        for path in removes {
            for key in self.files.remove(path).unwrap_or_default() {
                *self.counts.entry(key.clone()).or_default() -= 1;
                touched.insert(key);
            }
        }
        for (path, keys) in adds {
            for key in &keys {
                *self.counts.entry(key.clone()).or_default() += 1;
                touched.insert(key.clone());
            }
            self.files.insert(path, keys);
        }
        let mut wrong = Vec::new();
        for key in touched {
            match self.counts.get(&key) {
                Some(1) => {}
                Some(0) | None => wrong.push(format!("{key:?} was in table {} and is gone", self.name)),
                Some(times) => wrong.push(format!("{key:?} stands {times} times in table {}", self.name)),
            }
        }
        wrong
    }
}

/// Content of the tables, as the checker sees it.
pub struct Audit {
    checker: Checker,
    records: Rows<RecordKey>,
    batches: Rows<String>,
    /// The records that `batches` says are archived.
    kept: BTreeSet<RecordKey>,
    commits: u64,
}

impl Audit {
    /// Of empty tables; what is wrong goes to `checker`.
    pub fn new(checker: Checker) -> Self {
        Self {
            checker,
            records: Rows::new("records"),
            batches: Rows::new("batches"),
            kept: BTreeSet::new(),
            commits: 0,
        }
    }

    /// Commits seen, of all tables.
    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// Rows of `records`.
    pub fn rows(&self) -> u64 {
        self.records.counts.values().sum()
    }

    /// Records that one of the two tables has and the other has not, with an example.
    pub fn difference(&self) -> Option<String> {
        let stands = |key: &RecordKey| self.records.counts.get(key).is_some_and(|count| *count > 0);
        let missing = self.kept.iter().find(|key| !stands(key));
        let missing = missing.map(|key| format!("{key:?} is kept in batches and not in records"));
        let foreign = || {
            let held = self.records.counts.iter().filter(|(_, count)| **count > 0);
            held.map(|(key, _)| key).find(|key| !self.kept.contains(*key))
        };
        missing.or_else(|| foreign().map(|key| format!("{key:?} is in records and in no batch")))
    }

    /// An object was written; `read` reads others.
    pub fn put(&mut self, path: &Path, bytes: &Bytes, read: impl Fn(&Path) -> Option<Bytes>) {
        let parts: Vec<_> = path.parts().collect();
        let [.., table, log, name] = &parts[..] else { return };
        let (table, name) = (table.as_ref().to_owned(), name.as_ref().to_owned());
        let Some(version) = name.strip_suffix(".json").and_then(|version| version.parse::<u64>().ok()) else {
            return;
        };
        if log.as_ref() != "_delta_log" || name.len() != 25 {
            return;
        }
        self.commits += 1;
        if let Err(error) = self.entry(&table, version, path, bytes, read) {
            self.checker.problem(format!("commit {version} of table {table} does not read: {error}"));
        }
    }

    fn entry(
        &mut self,
        table: &str,
        version: u64,
        path: &Path,
        bytes: &Bytes,
        read: impl Fn(&Path) -> Option<Bytes>,
    ) -> Result<(), String> {
        let root = path.as_ref().split("/_delta_log/").next().unwrap_or_default().to_owned();
        let (mut adds, mut removes, mut fresh) = (Vec::new(), Vec::new(), true);
        let mut rows = 0;
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let action: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
            let named = |action: &Value| action["path"].as_str().map(|path| format!("{root}/{path}"));
            if let Some(path) = named(&action["remove"]) {
                removes.push(path);
            } else if let Some(path) = named(&action["add"]) {
                fresh &= action["add"]["dataChange"].as_bool().unwrap_or(true);
                let place = Path::parse(&path).map_err(|error| error.to_string())?;
                let file = read(&place).ok_or_else(|| format!("it names {path}, which is not there"))?;
                let file = decode(file, columns(table))?;
                rows += file.iter().map(RecordBatch::num_rows).sum::<usize>();
                adds.push((path, file));
            }
        }
        self.checker.note("table", format!("{table} {version} {rows} {}", removes.len()).as_bytes());
        match table {
            "records" => {
                let adds = adds.into_iter().map(|(path, rows)| (path, record_keys(&rows))).collect();
                self.records.commit(adds, &removes).into_iter().for_each(|text| self.checker.problem(text));
            }
            "batches" => {
                if fresh {
                    for batch in adds.iter().flat_map(|(_, rows)| rows) {
                        self.archived(batch)?;
                    }
                }
                let adds = adds.into_iter().map(|(path, rows)| (path, batch_keys(&rows))).collect();
                self.batches.commit(adds, &removes).into_iter().for_each(|text| self.checker.problem(text));
            }
            "quarantine" if fresh => {
                for rows in adds.iter().flat_map(|(_, rows)| rows) {
                    let reasons = rows.column(0).as_string::<i32>();
                    (0..rows.num_rows()).for_each(|row| self.checker.quarantined(reasons.value(row)));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// New rows of `batches`: what they say is kept is archived.
    fn archived(&mut self, rows: &RecordBatch) -> Result<(), String> {
        let column = |name: &str| rows.column_by_name(name).ok_or_else(|| format!("no column {name}"));
        let (kept, wire) = (column("kept")?.as_list::<i32>(), column("wire")?.as_binary::<i32>());
        for row in 0..rows.num_rows() {
            let kept = kept.is_valid(row).then(|| {
                let positions = kept.value(row);
                positions.as_primitive::<Int32Type>().values().iter().map(|at| *at as u32).collect()
            });
            let wire = Bytes::copy_from_slice(wire.value(row));
            let entry = reopen(wire, Vec::new(), Bytes::new(), 0, String::new(), kept)
                .map_err(|error| error.to_string())?;
            let header = &entry.batch.header;
            self.checker.archived(header, entry.batch.id, entry.kept_records());
            for record in entry.kept_records() {
                let key = (
                    header.vehicle.as_str().to_owned(),
                    header.boot.get() as i64,
                    record.number.get() as i64,
                );
                self.kept.insert(key);
            }
        }
        Ok(())
    }
}

/// The columns that the audit reads of a table.
fn columns(table: &str) -> &'static [&'static str] {
    match table {
        "records" => &["vehicle", "boot", "number"],
        "batches" => &["batch_id", "kept", "wire"],
        "quarantine" => &["reason"],
        // Only the files are looked at.
        _ => &[],
    }
}

fn decode(file: Bytes, columns: &[&str]) -> Result<Vec<RecordBatch>, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string())?;
    let indexes: Vec<usize> =
        columns.iter().filter_map(|name| builder.schema().index_of(name).ok()).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), indexes);
    let reader = builder.with_projection(mask).build().map_err(|error| error.to_string())?;
    reader.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

fn record_keys(rows: &[RecordBatch]) -> Vec<RecordKey> {
    let mut keys = Vec::new();
    for batch in rows {
        let vehicle = batch.column(0).as_string::<i32>();
        let (boot, number) =
            (batch.column(1).as_primitive::<Int64Type>(), batch.column(2).as_primitive::<Int64Type>());
        keys.extend(
            (0..batch.num_rows())
                .map(|row| (vehicle.value(row).to_owned(), boot.value(row), number.value(row))),
        );
    }
    keys
}

fn batch_keys(rows: &[RecordBatch]) -> Vec<String> {
    let ids = |batch: &RecordBatch| {
        let ids = batch.column(0).as_string::<i32>().clone();
        (0..batch.num_rows()).map(move |row| ids.value(row).to_owned()).collect::<Vec<_>>()
    };
    rows.iter().flat_map(ids).collect()
}
