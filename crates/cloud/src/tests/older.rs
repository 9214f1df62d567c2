//! Archives of before the evidence had three columns: they are read, verified, and written on.

use super::{lab::Lab, *};
use crate::{Claims, check_doubles, delta, verify_archive};
use arrow::array::{Array as _, ArrayRef, BinaryArray, RecordBatch, cast::AsArray as _};
use arrow::datatypes::Schema;
use serde_json::{Value, json};
use std::{fs, sync::Arc};
use voltmesh_ledger::{EvidenceParts, Proof};

/// The columns that came later.
const LATER: [&str; 2] = ["block", "signer"];

/// Rows as the older layout has them: all evidence in one column.
fn older(rows: &RecordBatch) -> RecordBatch {
    let part = |name: &str, at| rows.column_by_name(name).unwrap().as_binary::<i32>().value(at).to_vec();
    let whole = |at| EvidenceParts::join(&part("block", at), &part("evidence", at), &part("signer", at));
    let whole: Vec<_> = (0..rows.num_rows()).map(whole).collect();
    let whole: ArrayRef = Arc::new(BinaryArray::from_iter_values(&whole));
    let schema = rows.schema();
    let columns = schema.fields().iter().cloned().zip(rows.columns().iter().cloned());
    let (fields, arrays): (Vec<_>, Vec<_>) = columns
        .filter(|(field, _)| !LATER.contains(&field.name().as_str()))
        .map(
            |(field, array)| if field.name() == "evidence" { (field, whole.clone()) } else { (field, array) },
        )
        .unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// Takes the later columns out of a table, and out of its log's word on its columns.
fn age(lab: &mut Lab, table: &str) {
    lab.rewrite(table, |rows| Some(older(rows)));
    let log = lab.table(table).join("_delta_log/00000000000000000000.json");
    let aged: Vec<String> = fs::read_to_string(&log)
        .unwrap()
        .lines()
        .map(|line| {
            let mut action: Value = serde_json::from_str(line).unwrap();
            if let Some(text) = action["metaData"]["schemaString"].as_str() {
                let mut schema: Value = serde_json::from_str(text).unwrap();
                let fields = schema["fields"].as_array_mut().unwrap();
                let before = fields.len();
                fields.retain(|field| !LATER.contains(&field["name"].as_str().unwrap()));
                assert_eq!(fields.len(), before - 2);
                action["metaData"]["schemaString"] = json!(schema.to_string());
            }
            action.to_string()
        })
        .collect();
    fs::write(log, aged.join("\n")).unwrap();
}

async fn aged() -> Lab {
    let mut lab = Lab::new().await;
    age(&mut lab, "batches");
    age(&mut lab, "copies");
    lab
}

fn columns(lab: &Lab) -> Vec<bool> {
    lab.rows("batches").iter().map(|rows| rows.column_by_name("block").is_some()).collect()
}

async fn assert_proves(lab: &Lab) {
    let reader = delta::open_reader(&lab.location()).await.unwrap();
    for id in ["ev-0/1/12", "ev-1/2/2"] {
        let proof = crate::prove(&reader, &lab.fleet.trust().chain(), &id.parse().unwrap()).await.unwrap();
        Proof::decode(&proof).unwrap().verify(&lab.fleet.trust()).unwrap();
    }
}

#[cfg(feature = "sql")]
async fn sql(lab: &Lab, query: &str) -> String {
    let rows = crate::query(&lab.location(), query).await.unwrap();
    rows.to_json_lines().unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_archive_is_read_as_it_is() {
    let lab = aged().await;
    let report = lab.verify().await;
    assert!(report.is_sound(), "{report:#?}");
    assert_eq!((report.records, report.verified, report.batches), (49, 49, 12));
    assert_proves(&lab).await;
    assert!(check_doubles(&lab.location()).await.unwrap().is_clean());
    #[cfg(feature = "sql")]
    assert_eq!(sql(&lab, "SELECT count(evidence) AS n FROM batches").await, r#"{"n":12}"#);
    assert_eq!(columns(&lab), [false; 6], "nothing was written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_altered_in_an_older_archive_is_found() {
    let mut lab = aged().await;
    let last_byte = |column: &ArrayRef, at: usize| -> ArrayRef {
        let mut bytes = column.as_binary::<i32>().value(at).to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        Arc::new(BinaryArray::from(vec![bytes.as_slice()]))
    };
    lab.set("batches", "evidence", |row| row.is_of("ev-0", 1) && row.long("first") == 10, last_byte);
    let report = lab.verify().await;
    assert_eq!((report.is_sound(), report.bad_batches, report.verified), (false, 1, 44), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_archive_is_written_on_and_merged_into_the_layout_of_today() {
    let mut lab = aged().await;
    let next = {
        let batches = lab.fleet.boot(0, 1, &[5; 7]);
        lab.fleet.envelope(0, &batches[6])
    };
    // Appended to, not merged: both layouts in one table.
    let mut bench = Bench::open(&lab.fleet, &lab.location(), Settings::default()).await;
    bench.clock = 300_000;
    bench.deliver(0, 200, next).await;
    assert!(bench.flush().await);
    assert_eq!(bench.accepted.len(), 1);
    assert_eq!(columns(&lab).iter().filter(|new| **new).count(), 1);
    let report = lab.verify_with(&lab.fleet.trust(), &Claims::default()).await;
    assert!(report.is_sound(), "{report:#?}");
    assert_eq!((report.verified, report.batches), (54, 13));
    #[cfg(feature = "sql")]
    {
        let counts = sql(&lab, "SELECT count(block) AS new, count(evidence) AS n FROM batches").await;
        assert_eq!(counts, r#"{"new":1,"n":13}"#);
    }
    drop(bench);

    let merging = Settings { compact_files: 2, ..Settings::default() };
    let (mut archive, _) = Archive::open(&lab.location(), merging).await.unwrap();
    while archive.compact().await.unwrap() {}
    assert_eq!(lab.rows("batches").iter().map(RecordBatch::num_rows).sum::<usize>(), 13);
    for rows in lab.rows("batches") {
        assert_eq!(
            rows.column_by_name("block").unwrap().null_count(),
            0,
            "evidence of older rows has parts now"
        );
    }
    let report = verify_archive(&lab.location(), &lab.fleet.trust()).await.unwrap();
    assert!(report.is_sound(), "{report:#?}");
    assert_eq!((report.verified, report.batches), (54, 13));
    assert_proves(&lab).await;
}
