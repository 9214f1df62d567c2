//! An archive in a folder, and someone with access to its store who alters it: the tables stay well-formed Delta tables.

use super::*;
use crate::{
    ArchiveReport, Claims, Commit, Entry, Marks,
    testing::{Fleet, verified},
    verify_claims,
};
use arrow::{
    array::{Array as _, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, cast::AsArray as _},
    compute::{concat_batches, filter_record_batch},
    datatypes::Int64Type,
};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};
use tempfile::TempDir;
use voltmesh_ledger::Trust;

/// The archive of a fleet: `ev-0` with 30 records in boot 1, `ev-1` with 12 in boot 1 and 3 in boot 2, `ev-2` with four
/// that two fog nodes attest, one of them in both batches; and one delivery in quarantine.
pub struct Lab {
    folder: TempDir,
    pub fleet: Fleet,
    made: u32,
}

/// Columns of a row that a test may ask for.
pub struct Row<'a>(&'a RecordBatch, usize);

impl<'a> Row<'a> {
    pub fn of(rows: &'a RecordBatch, at: usize) -> Self {
        Self(rows, at)
    }

    pub fn text(&self, column: &str) -> &str {
        self.0.column_by_name(column).unwrap().as_string::<i32>().value(self.1)
    }

    pub fn long(&self, column: &str) -> i64 {
        self.0.column_by_name(column).unwrap().as_primitive::<Int64Type>().value(self.1)
    }

    /// Whether it is of this vehicle's boot.
    pub fn is_of(&self, vehicle: &str, boot: i64) -> bool {
        self.text("vehicle") == vehicle && self.long("boot") == boot
    }
}

impl Lab {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut fleet = Fleet::new(3);
        let mut bench =
            Bench::open(&fleet, &Location::folder(folder.path()).unwrap(), Settings::default()).await;
        let mut batches = fleet.boot(0, 1, &[5; 6]);
        batches.extend(fleet.boot(1, 1, &[4; 3]));
        batches.extend(fleet.boot(1, 2, &[3]));
        batches.push(fleet.foreign(0, 2, &[1, 2, 3]));
        batches.push(fleet.foreign(1, 2, &[3, 4]));
        for (token, batch) in (0..).zip(&batches) {
            let bytes = fleet.envelope(0, batch);
            bench.deliver(0, token, bytes).await;
            // Two batches a commit.
            assert!(token % 2 == 0 || bench.flush().await);
        }
        bench.deliver(0, 99, Bytes::from_static(b"nonsense")).await;
        assert!(bench.flush().await);
        assert_eq!((bench.accepted.len(), bench.rejected.len()), (12, 1));
        Self { folder, fleet, made: 0 }
    }

    pub fn location(&self) -> Location {
        Location::existing_folder(self.folder.path()).unwrap()
    }

    pub fn table(&self, table: &str) -> PathBuf {
        self.folder.path().join(table)
    }

    pub async fn verify(&self) -> ArchiveReport {
        self.verify_with(&self.fleet.trust(), &Claims::default()).await
    }

    pub async fn verify_with(&self, trust: &Trust, claims: &Claims) -> ArchiveReport {
        verify_claims(&self.location(), trust, claims).await.unwrap()
    }

    /// Appends batches whatever the archive holds, as a faulty writer would.
    pub async fn append(&mut self, deliveries: &[Bytes]) {
        let trust = self.fleet.trust();
        let (mut archive, _) = Archive::open(&self.location(), Settings::default()).await.unwrap();
        let entries =
            deliveries.iter().map(|bytes| Entry { batch: verified(bytes, &trust).into(), kept: None });
        let (entries, marks) = (entries.collect(), Marks::default());
        let commit = Commit {
            ticket: 0,
            time: at(500_000),
            entries,
            copies: Vec::new(),
            quarantine: Vec::new(),
            marks,
        };
        archive.commit(&commit).await.unwrap();
    }

    /// Version of a table, and what adds its data files.
    fn log(&self, table: &str) -> (u64, BTreeMap<String, Value>) {
        let mut entries: Vec<PathBuf> = fs::read_dir(self.table(table).join("_delta_log"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "json"))
            .collect();
        entries.sort();
        let mut files = BTreeMap::new();
        for entry in &entries {
            for line in fs::read_to_string(entry).unwrap().lines() {
                let action: Value = serde_json::from_str(line).unwrap();
                if let Some(path) = action["add"]["path"].as_str() {
                    files.insert(path.to_owned(), action["add"].clone());
                }
                if let Some(path) = action["remove"]["path"].as_str() {
                    files.remove(path);
                }
            }
        }
        let version = entries.last().unwrap().file_stem().unwrap().to_str().unwrap().parse().unwrap();
        (version, files)
    }

    fn read(&self, table: &str, path: &str) -> RecordBatch {
        let file = fs::File::open(self.table(table).join(path)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let schema = reader.schema().clone();
        let rows: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
        concat_batches(&schema, &rows).unwrap()
    }

    /// All rows of a table.
    pub fn rows(&self, table: &str) -> Vec<RecordBatch> {
        self.log(table).1.keys().map(|path| self.read(table, path)).collect()
    }

    /// Rewrites the files of a table in one commit; says how many rows went.
    pub fn rewrite(&mut self, table: &str, change: impl Fn(&RecordBatch) -> Option<RecordBatch>) -> usize {
        let (version, files) = self.log(table);
        let mut actions = vec![json!({"commitInfo": {"timestamp": 1, "operation": "WRITE"}})];
        let mut gone = 0;
        for (path, add) in files {
            let rows = self.read(table, &path);
            let Some(new) = change(&rows) else { continue };
            gone += rows.num_rows() - new.num_rows();
            let partition = &add["partitionValues"];
            actions.push(json!({"remove": {"path": path, "deletionTimestamp": 1, "dataChange": true,
                "extendedFileMetadata": true, "partitionValues": partition, "size": add["size"]}}));
            if new.num_rows() == 0 {
                continue;
            }
            self.made += 1;
            let path = PathBuf::from(&path).with_file_name(format!("part-{}.parquet", self.made));
            let path = path.to_str().unwrap();
            let mut bytes = Vec::new();
            let mut writer = ArrowWriter::try_new(&mut bytes, new.schema(), None).unwrap();
            writer.write(&new).unwrap();
            writer.close().unwrap();
            fs::write(self.table(table).join(path), &bytes).unwrap();
            let mut stats: Value = serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
            stats["numRecords"] = json!(new.num_rows());
            let mut add = add.clone();
            add["path"] = json!(path);
            add["size"] = json!(bytes.len());
            add["stats"] = json!(stats.to_string());
            actions.push(json!({ "add": add }));
        }
        let text: Vec<String> = actions.iter().map(Value::to_string).collect();
        let entry = self.table(table).join(format!("_delta_log/{:020}.json", version + 1));
        fs::write(entry, text.join("\n")).unwrap();
        gone
    }

    /// Removes rows.
    pub fn delete(&mut self, table: &str, which: impl Fn(&Row<'_>) -> bool) -> usize {
        self.rewrite(table, |rows| {
            let keep: BooleanArray = (0..rows.num_rows()).map(|at| Some(!which(&Row(rows, at)))).collect();
            (keep.true_count() < rows.num_rows()).then(|| filter_record_batch(rows, &keep).unwrap())
        })
    }

    /// Gives a column of some rows other values.
    pub fn set(
        &mut self,
        table: &str,
        column: &str,
        which: impl Fn(&Row<'_>) -> bool,
        change: impl Fn(&ArrayRef, usize) -> ArrayRef,
    ) {
        self.rewrite(table, |rows| {
            let index = rows.schema().index_of(column).unwrap();
            let chosen: Vec<bool> = (0..rows.num_rows()).map(|at| which(&Row(rows, at))).collect();
            chosen.contains(&true).then(|| {
                let old = rows.column(index);
                let parts: Vec<ArrayRef> = (0..rows.num_rows())
                    .map(|at| if chosen[at] { change(old, at) } else { old.slice(at, 1) })
                    .collect();
                let parts: Vec<&dyn arrow::array::Array> = parts.iter().map(AsRef::as_ref).collect();
                let mut columns = rows.columns().to_vec();
                columns[index] = arrow::compute::concat(&parts).unwrap();
                RecordBatch::try_new(rows.schema(), columns).unwrap()
            })
        });
    }

    /// Removes batches and their records.
    pub fn delete_batches(&mut self, which: impl Fn(&Row<'_>) -> bool) -> (usize, usize) {
        let mut ids = Vec::new();
        for rows in self.rows("batches") {
            let rows = (0..rows.num_rows())
                .map(|at| Row(&rows, at))
                .filter(&which)
                .map(|r| r.text("batch_id").to_owned());
            ids.extend(rows.collect::<Vec<_>>());
        }
        let gone = |row: &Row<'_>| ids.iter().any(|id| id == row.text("batch_id"));
        (self.delete("batches", gone), self.delete("records", gone))
    }
}

/// Adds to a 64-bit integer, or to a time in microseconds.
pub fn plus(by: i64) -> impl Fn(&ArrayRef, usize) -> ArrayRef {
    move |column, at| {
        let number = arrow::compute::cast(column, &arrow::datatypes::DataType::Int64).unwrap();
        let number = Int64Array::from(vec![number.as_primitive::<Int64Type>().value(at) + by]);
        arrow::compute::cast(&number, column.data_type()).unwrap()
    }
}

/// Says a text.
pub fn says(text: &'static str) -> impl Fn(&ArrayRef, usize) -> ArrayRef {
    move |_, _| Arc::new(StringArray::from(vec![text]))
}
