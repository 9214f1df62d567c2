//! Alterations of an archive's logs and of its files' footers by which other readers leave out rows, columns or files, though
//! every row is what was signed. Each is found.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

mod common;

use arrow::{array::RecordBatch, datatypes::Schema};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use serde_json::{Map, Value, json};
use std::{fs, path::PathBuf, sync::Arc};
use tempfile::TempDir;
use voltmesh_cloud::{ArchiveReport, Location, Settings, testing::Fleet, verify_archive};

/// An archive whose files are altered.
struct Lab {
    folder: TempDir,
    fleet: Fleet,
}

impl Lab {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::folder(folder.path()).unwrap();
        let fleet = common::fill(&location, Settings::default()).await;
        Self { folder, fleet }
    }

    async fn verify(&self) -> ArchiveReport {
        let location = Location::existing_folder(self.folder.path()).unwrap();
        verify_archive(&location, &self.fleet.trust()).await.unwrap()
    }

    fn log(&self, table: &str) -> Vec<PathBuf> {
        let folder = self.folder.path().join(table).join("_delta_log");
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut all: Vec<_> =
            entries.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
        all.sort();
        all
    }

    /// Changes each action of a table's log.
    fn change(&self, table: &str, change: impl Fn(&mut Map<String, Value>)) {
        for path in self.log(table) {
            let text = fs::read_to_string(&path).unwrap();
            let changed = text.lines().map(|line| {
                let mut action: Value = serde_json::from_str(line).unwrap();
                change(action.as_object_mut().unwrap());
                action.to_string() + "\n"
            });
            let changed: String = changed.collect();
            fs::write(path, changed).unwrap();
        }
    }

    /// Changes the statistics of each file of `records`.
    fn change_statistics(&self, change: impl Fn(&mut Value)) {
        self.change("records", |action| {
            let Some(add) = action.get_mut("add") else { return };
            let mut said: Value = serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
            change(&mut said);
            add["stats"] = json!(said.to_string());
        });
    }

    /// Changes what the log says of the columns of `records`.
    fn change_columns(&self, change: impl Fn(&mut Vec<Value>)) {
        self.change("records", |action| {
            let Some(metadata) = action.get_mut("metaData") else { return };
            let mut schema: Value = serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
            change(schema["fields"].as_array_mut().unwrap());
            metadata["schemaString"] = json!(schema.to_string());
        });
    }

    /// Replaces the first file of `records`, and says its size in the log.
    fn replace_file(&self, change: impl Fn(Vec<u8>) -> Vec<u8>) {
        let text = fs::read_to_string(&self.log("records")[1]).unwrap();
        let mut adds = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["add"].clone());
        let add = adds.rfind(Value::is_object).unwrap();
        let path = self.folder.path().join("records").join(add["path"].as_str().unwrap());
        let bytes = change(fs::read(&path).unwrap());
        fs::write(&path, &bytes).unwrap();
        self.change("records", |action| {
            if let Some(of) = action.get_mut("add").filter(|of| of["path"] == add["path"]) {
                of["size"] = json!(bytes.len());
            }
        });
    }

    async fn finds(self, what: &str, named: &str) {
        let report = self.verify().await;
        let found = report.problems.iter().any(|problem| problem.contains(named));
        assert!(!report.sound && found, "{what}: want {named:?}: {report:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_found_where_nothing_was_altered() {
    let lab = Lab::new().await;
    let report = lab.verify().await;
    assert!(report.sound && report.problems.is_empty(), "{report:#?}");
    assert_eq!((report.records, report.verified), (40, 40));
    // Without statistics nobody skips anything.
    lab.change("records", |action| {
        if let Some(add) = action.get_mut("add") {
            add.as_object_mut().unwrap().remove("stats");
        }
    });
    assert!(lab.verify().await.sound);
    // A file in other hands' order of columns, written anew.
    let lab = Lab::new().await;
    lab.replace_file(|bytes| {
        let rows = read(bytes);
        let order: Vec<usize> = (0..rows.num_columns()).rev().collect();
        write(&rows.project(&order).unwrap())
    });
    let report = lab.verify().await;
    assert!(report.sound, "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_of_any_column_and_form() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &str); 10] = [
        (
            "a double",
            |said| said["minValues"]["pack_voltage_v"] = json!(900.5),
            "a value of pack_voltage_v is outside",
        ),
        ("a text", |said| said["maxValues"]["charger"] = json!("a"), "a value of charger is outside"),
        ("a maximum alone", only_a_maximum, "a value of number is outside"),
        (
            "all null",
            |said| said["nullCount"]["pack_voltage_v"] = said["numRecords"].clone(),
            "of pack_voltage_v are null",
        ),
        ("none null", |said| said["nullCount"]["causes"] = json!(0), "of causes are null"),
        (
            "another form of time",
            |said| said["minValues"]["time"] = json!("2030-01-01 00:00:00"),
            "of time cannot be checked",
        ),
        (
            "a number as text",
            |said| said["minValues"]["number"] = json!("900"),
            "of number cannot be checked",
        ),
        (
            "a number with a fraction",
            |said| said["minValues"]["number"] = json!(9e5),
            "of number cannot be checked",
        ),
        ("no such column", |said| said["minValues"]["x"] = json!({"y": 1}), "of x cannot be checked"),
        ("a vehicle", |said| said["minValues"]["vehicle"] = json!("ev-9"), "a value of vehicle is outside"),
    ];
    for (what, change, named) in cases {
        let lab = Lab::new().await;
        lab.change_statistics(change);
        lab.finds(what, named).await;
    }
    let lab = Lab::new().await;
    lab.change("records", |action| {
        if let Some(add) = action.get_mut("add") {
            add["stats"] = json!("{");
        }
    });
    lab.finds("no JSON", "what the table's log says of its values cannot be read").await;
}

fn only_a_maximum(said: &mut Value) {
    said["minValues"].as_object_mut().unwrap().remove("number");
    said["maxValues"]["number"] = json!(-1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_and_groups_of_the_log() {
    let lab = Lab::new().await;
    lab.change_columns(|fields| fields.retain(|field| field["name"] != "causes"));
    lab.finds("a column less", "the table's log does not name the column causes").await;
    let lab = Lab::new().await;
    lab.change_columns(|fields| {
        fields.push(json!({"name": "pack_voltage", "type": "double", "nullable": true, "metadata": {}}));
    });
    lab.finds("a column more", "table records: column pack_voltage is not one of the table's").await;
    let lab = Lab::new().await;
    lab.change("records", |action| {
        if let Some(metadata) = action.get_mut("metaData") {
            metadata["partitionColumns"] = json!([]);
        }
    });
    lab.finds("no groups", "table records: its files are grouped by []").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_vectors_and_compacted_logs() {
    let lab = Lab::new().await;
    let features = json!(["deletionVectors"]);
    lab.change("records", |action| {
        if let Some(protocol) = action.get_mut("protocol") {
            *protocol = json!({"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features});
        }
        if let Some(add) = action.get_mut("add") {
            add["deletionVector"] = json!({"storageType": "i", "pathOrInlineDv": "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L", "sizeInBytes": 44, "cardinality": 6});
        }
    });
    lab.finds("rows that are deleted", "rows of it are deleted (a deletion vector)").await;
    let lab = Lab::new().await;
    let compacted = lab.log("records")[0].with_file_name(format!("{:020}.{:020}.compacted.json", 0, 4));
    fs::copy(&lab.log("records")[0], compacted).unwrap();
    lab.finds("a compacted log", "other readers may believe").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watermarks_of_records_that_run_ahead() {
    let lab = Lab::new().await;
    lab.change("records", |action| {
        if let Some(of) = action.get_mut("txn").filter(|of| of["version"].as_i64() == Some(4)) {
            of["version"] = json!(1000);
        }
    });
    lab.finds("watermarks", "the log of records counts 1000 commits, that of batches 4").await;
}

/// Readers skip row groups and pages by what the files themselves say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn footers_and_indexes_of_pages() {
    let lab = Lab::new().await;
    lab.replace_file(|bytes| {
        let (data, footer) = parts(&bytes);
        [data, &replaced(footer, b"ev-0", b"zz-9", usize::MAX), &bytes[bytes.len() - 8..]].concat()
    });
    lab.finds("a footer", "a value of vehicle is outside the range that the file's footer says").await;
    let lab = Lab::new().await;
    lab.replace_file(|bytes| {
        let (data, footer) = parts(&bytes);
        // The index lies between the data and the footer: its least and greatest value are the last ones there.
        [&replaced(data, b"ev-0", b"zz-9", 2)[..], footer, &bytes[bytes.len() - 8..]].concat()
    });
    lab.finds("pages", "a value of vehicle is outside the range that the file's index of pages says").await;
    let lab = Lab::new().await;
    lab.replace_file(|bytes| {
        let rows = read(bytes);
        let (mut fields, mut columns) = (rows.schema().fields().to_vec(), rows.columns().to_vec());
        let at = rows.schema().index_of("pack_current_a").unwrap();
        fields.push(Arc::new(fields[at].as_ref().clone().with_name("pack_voltage_v")));
        columns.push(columns[at].clone());
        write(&RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap())
    });
    lab.finds("a column twice", "column pack_voltage_v is there twice").await;
}

fn read(bytes: Vec<u8>) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let rows: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    arrow::compute::concat_batches(&rows[0].schema(), &rows).unwrap()
}

fn write(rows: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
    bytes
}

/// Data with the index of pages, and the footer without its length.
fn parts(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (rest, end) = bytes.split_at(bytes.len() - 8);
    let length = u32::from_le_bytes(end[..4].try_into().unwrap()) as usize;
    rest.split_at(rest.len() - length)
}

/// The last so many places of `old` replaced.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8], most: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> =
        (0..=bytes.len() - old.len()).filter(|at| bytes[*at..].starts_with(old)).collect();
    assert!(!places.is_empty());
    for at in places.into_iter().rev().take(most) {
        bytes[at..at + new.len()].copy_from_slice(new);
    }
    bytes
}
