//! Alterations by someone with access to the archive's store, and what the check says of them. One alteration a test.

use super::lab::{Lab, Row, plus, says};
use crate::{ArchiveReport, verify_archive};
use arrow::array::{Array as _, ArrayRef, BinaryArray, Float64Array, ListArray, cast::AsArray as _};
use arrow::datatypes::{Float64Type, Int32Type};
use std::sync::Arc;

/// Alters the lab's archive and checks that it is found, and named: some problem holds each of `named`.
async fn finds(alter: impl AsyncFnOnce(&mut Lab), named: &[&str]) -> ArchiveReport {
    let mut lab = Lab::new().await;
    let report = lab.verify().await;
    assert!(report.is_sound() && report.problems.is_empty(), "{report:#?}");
    alter(&mut lab).await;
    let report = lab.verify().await;
    assert!(!report.is_sound() && !report.sound, "not found");
    let found = named.iter().all(|text| report.problems.iter().any(|problem| problem.contains(text)));
    assert!(found, "want {named:?}: {report:#?}");
    report
}

/// The first batch of `ev-0`'s second commit.
fn third(row: &Row<'_>) -> bool {
    row.is_of("ev-0", 1) && row.long("first") == 10
}

fn record(row: &Row<'_>) -> bool {
    row.is_of("ev-0", 1) && row.long("number") == 12
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rewritten_without_a_change() {
    let mut lab = Lab::new().await;
    for table in ["records", "batches", "quarantine"] {
        lab.rewrite(table, |rows| Some(rows.clone()));
    }
    let report = lab.verify().await;
    assert!(report.is_sound(), "{report:#?}");
    assert_eq!((report.records, report.verified, report.batches, report.quarantined), (49, 49, 12, 1));
    assert_eq!((report.log.held, report.log.size), (12, 12));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voltage_by_a_millivolt() {
    let change = |column: &ArrayRef, at: usize| -> ArrayRef {
        Arc::new(Float64Array::from(vec![column.as_primitive::<Float64Type>().value(at) + 0.001]))
    };
    let named = ["record ev-0/1/12: the row is not what was signed"];
    let report = finds(async |lab| lab.set("records", "pack_voltage_v", record, change), &named).await;
    assert_eq!((report.tampered, report.verified, report.problems.len()), (1, 48, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_by_a_microsecond() {
    let named = ["record ev-0/1/12: the row is not what was signed"];
    let report = finds(async |lab| lab.set("records", "time", record, plus(1)), &named).await;
    assert_eq!((report.tampered, report.problems.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_deleted() {
    let named = ["record ev-0/1/12 was archived, but its row is gone"];
    let report = finds(async |lab| assert_eq!(lab.delete("records", record), 1), &named).await;
    assert_eq!((report.missing, report.problems.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vehicles_last_batches_deleted() {
    let last = |row: &Row<'_>| row.is_of("ev-0", 1) && row.long("first") >= 20;
    let named = ["ev-0/1: numbers 20..=29 are archived by the table's log", "log entries 4..=5: anchored"];
    finds(async |lab| assert_eq!(lab.delete_batches(last), (2, 10)), &named).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_in_the_middle_deleted() {
    let named = ["ev-0/1: numbers 10..=14 are archived by the table's log", "log entries 2: anchored"];
    let report = finds(async |lab| assert_eq!(lab.delete_batches(third), (1, 5)), &named).await;
    assert_eq!((report.gaps, report.gap_records, report.log.absent), (1, 5, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_boots_first_batches_deleted() {
    let first = |row: &Row<'_>| row.is_of("ev-0", 1) && row.long("first") < 15;
    let named =
        ["ev-0/1: numbers 0..=14 are archived", "log entries 0..=2: anchored", "commits 1 have no batch"];
    finds(async |lab| assert_eq!(lab.delete_batches(first), (3, 15)), &named).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vehicle_deleted() {
    let named = ["ev-1/1: numbers 0..=11 are", "ev-1/2: numbers 0..=2 are", "log entries 6..=9: anchored"];
    finds(async |lab| assert_eq!(lab.delete_batches(|row| row.text("vehicle") == "ev-1"), (4, 15)), &named)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_clients_batch_deleted() {
    let named = ["ev-2/0: archived up to number"];
    let second = |row: &Row<'_>| row.is_of("ev-2", 0) && row.text("attested_by") == "fog-1";
    finds(async |lab| assert_eq!(lab.delete_batches(second), (1, 1)), &named).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_deleted() {
    let named = ["commits 1..=6 have no batch", "ev-0/1: numbers 0..=29 are archived by the table's log"];
    finds(async |lab| assert_eq!(lab.delete_batches(|_| true), (12, 49)), &named).await;
}

/// Says that only these positions were new.
fn keeps(positions: &'static [i32]) -> impl Fn(&ArrayRef, usize) -> ArrayRef {
    move |column, _| {
        let list =
            ListArray::from_iter_primitive::<Int32Type, _, _>([Some(positions.iter().map(|p| Some(*p)))]);
        arrow::compute::cast(&list, column.data_type()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vehicles_record_hidden_by_kept() {
    let hide = async |lab: &mut Lab| {
        lab.set("batches", "kept", third, keeps(&[0, 1, 3, 4]));
        assert_eq!(lab.delete("records", record), 1);
    };
    let named = ["a vehicle's batch is archived whole", "record ev-0/1/12 was archived, but its row is gone"];
    let report = finds(hide, &named).await;
    assert_eq!((report.bad_batches, report.missing), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_records_hidden_by_kept() {
    let hide = async |lab: &mut Lab| {
        lab.set("batches", "kept", |row| row.is_of("ev-0", 1), keeps(&[0]));
        let gone = lab.delete("records", |row| row.is_of("ev-0", 1) && row.long("number") % 5 != 0);
        assert_eq!(gone, 24);
    };
    let report = finds(hide, &["a vehicle's batch is archived whole"]).await;
    assert_eq!((report.bad_batches, report.missing), (6, 24));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_record_hidden_by_kept() {
    let first = |row: &Row<'_>| row.is_of("ev-2", 0) && row.text("attested_by") == "fog-0";
    let hide = async |lab: &mut Lab| {
        lab.set("batches", "kept", first, keeps(&[0, 2]));
        let least =
            lab.rows("records").iter().flat_map(foreign_numbers).collect::<std::collections::BTreeSet<_>>();
        let second = *least.iter().nth(1).unwrap();
        assert_eq!(lab.delete("records", |row| row.is_of("ev-2", 0) && row.long("number") == second), 1);
    };
    let report = finds(hide, &["its batch leaves it out by `kept`, and no other batch holds it"]).await;
    assert_eq!(report.missing, 1);
}

fn foreign_numbers(rows: &arrow::array::RecordBatch) -> Vec<i64> {
    let boots = rows.column_by_name("boot").unwrap().as_primitive::<arrow::datatypes::Int64Type>();
    let numbers = rows.column_by_name("number").unwrap().as_primitive::<arrow::datatypes::Int64Type>();
    (0..rows.num_rows()).filter(|at| boots.value(*at) == 0).map(|at| numbers.value(at)).collect()
}

/// Alters the first byte of a binary value.
fn first_byte(column: &ArrayRef, at: usize) -> ArrayRef {
    let mut bytes = column.as_binary::<i32>().value(at).to_vec();
    bytes[0] ^= 1;
    Arc::new(BinaryArray::from(vec![bytes.as_slice()]))
}

/// Takes bytes from where one part of the evidence ends to where the next begins, so that all of it stays what it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_cut_elsewhere() {
    let cut = async |lab: &mut Lab| {
        let value = |lab: &Lab, column: &str| {
            let found = lab.rows("batches").into_iter().find_map(|rows| {
                let at = (0..rows.num_rows()).find(|at| third(&Row::of(&rows, *at)))?;
                Some(rows.column_by_name(column).unwrap().as_binary::<i32>().value(at).to_vec())
            });
            found.unwrap()
        };
        let (block, place) = (value(lab, "block"), value(lab, "evidence"));
        let (moved, rest) = place.split_at(1);
        let longer = [block.as_slice(), moved].concat();
        lab.set("batches", "block", third, |_, _| Arc::new(BinaryArray::from(vec![longer.as_slice()])));
        lab.set("batches", "evidence", third, |_, _| Arc::new(BinaryArray::from(vec![rest])));
    };
    let report = finds(cut, &["column block says"]).await;
    assert_eq!((report.bad_batches, report.problems.len()), (1, 1));
}

/// A test for each column of `batches`: its name, the change, and what is said of it.
macro_rules! column {
    ($test:ident, $name:literal, $change:expr, $said:literal) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let report = finds(async |lab| lab.set("batches", $name, third, $change), &[$said]).await;
            assert!(report.bad_batches >= 1, "{report:#?}");
        }
    };
}

column!(column_vehicle, "vehicle", says("ev-1"), "column vehicle says ev-1, signed is ev-0");
column!(column_boot, "boot", plus(1), "column boot says 2, signed is 1");
column!(column_first, "first", plus(1_000_000), "column first says 1000010, signed is 10");
column!(column_last, "last", plus(1_000_000), "column last says 1000014, signed is 14");
column!(column_count, "count", plus(5), "column count says 10, signed is 5");
column!(column_height, "height", plus(1), "column height says");
column!(column_attested_by, "attested_by", says("fog-9"), "column attested_by says fog-9, signed is nothing");
column!(column_batch_id, "batch_id", says("0"), "column batch_id says 0, signed is");
column!(
    column_previous,
    "previous",
    says("0000000000000000000000000000000000000000000000000000000000000000"),
    "column previous says 00"
);
column!(
    column_opening,
    "opening",
    |_: &ArrayRef, _| -> ArrayRef { Arc::new(BinaryArray::from(vec![&[0u8; 64][..]])) },
    "registry: "
);
column!(column_block, "block", first_byte, "evidence: ");
column!(column_evidence, "evidence", first_byte, "log: ");
column!(column_signer, "signer", first_byte, "registry: ");
column!(
    column_sequence,
    "sequence",
    plus(1),
    "columns sequence, archived_at: commit 3 has another time elsewhere"
);
column!(
    column_archived_at,
    "archived_at",
    plus(-365 * 86_400_000_000),
    "columns sequence, archived_at: commit 2 has"
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantined_delivery_altered() {
    let named = ["columns digest are not what its bytes say"];
    let report = finds(async |lab| lab.set("quarantine", "digest", |_| true, says("0")), &named).await;
    assert_eq!(report.bad_quarantined, 1);
    let named = ["column stage says log, the check that it fails is envelope"];
    finds(async |lab| lab.set("quarantine", "stage", |_| true, says("log")), &named).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_deleted() {
    for (table, named) in [
        ("records", "record ev-0/1/12 was archived, but its row is gone"),
        ("batches", "record ev-0/1/12: no verified batch holds it"),
        ("quarantine", "table quarantine: there is no archive table"),
    ] {
        let delete = async |lab: &mut Lab| std::fs::remove_dir_all(lab.table(table)).unwrap();
        let report =
            finds(delete, &[format!("table {table}: there is no archive table").as_str(), named]).await;
        assert_eq!(report.bad_files, 1);
    }
    let lab = Lab::new().await;
    for table in ["records", "batches", "quarantine"] {
        std::fs::remove_dir_all(lab.table(table)).unwrap();
    }
    let nothing = verify_archive(&lab.location(), &lab.fleet.trust()).await;
    assert!(matches!(nothing, Err(crate::ArchiveError::Missing { .. })), "{nothing:?}");
}

/// A column of another type, or none of that name, in one file: the file is named, and the others are checked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_of_another_type_or_missing() {
    use arrow::{
        array::RecordBatch,
        compute::cast,
        datatypes::{DataType, Schema},
    };
    let retype = |rows: &RecordBatch, column: &str, to: &DataType| {
        let (mut fields, mut columns) = (rows.schema().fields().to_vec(), rows.columns().to_vec());
        let at = rows.schema().index_of(column).unwrap();
        fields[at] = Arc::new(fields[at].as_ref().clone().with_data_type(to.clone()).with_nullable(true));
        columns[at] = cast(&columns[at], to).unwrap();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    };
    for (table, column, to) in [
        ("records", "number", DataType::Int32),
        ("records", "pack_voltage_v", DataType::Float32),
        ("batches", "sequence", DataType::Utf8),
        ("batches", "previous", DataType::Binary),
        ("batches", "wire", DataType::LargeBinary),
        ("quarantine", "digest", DataType::Binary),
    ] {
        let named = [format!("column {column} is of type")];
        let report = finds(
            async |lab| {
                lab.rewrite(table, |rows| Some(retype(rows, column, &to)));
            },
            &[named[0].as_str()],
        )
        .await;
        assert!(report.bad_files >= 1, "{report:#?}");
        let drop = |rows: &RecordBatch| {
            let keep: Vec<usize> =
                (0..rows.num_columns()).filter(|at| rows.schema().field(*at).name() != column).collect();
            Some(rows.project(&keep).unwrap())
        };
        let named = [format!("column {column} is missing")];
        let drop_column = async |lab: &mut Lab| {
            lab.rewrite(table, drop);
        };
        finds(drop_column, &[named[0].as_str()]).await;
    }
}

/// The columns that older archives lack: of another type they are a finding; without them, what is left of the evidence
/// does not hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_the_evidence_missing_or_null() {
    use arrow::{
        array::{RecordBatch, new_null_array},
        compute::cast,
        datatypes::{DataType, Schema},
    };
    for column in ["block", "signer"] {
        let drop = |rows: &RecordBatch| {
            let keep: Vec<usize> =
                (0..rows.num_columns()).filter(|at| rows.schema().field(*at).name() != column).collect();
            Some(rows.project(&keep).unwrap())
        };
        let drop_column = async |lab: &mut Lab| {
            lab.rewrite("batches", drop);
        };
        let report = finds(drop_column, &["evidence: "]).await;
        assert_eq!((report.bad_batches, report.verified), (12, 0));
        let retype = |rows: &RecordBatch| {
            let (mut fields, mut columns) = (rows.schema().fields().to_vec(), rows.columns().to_vec());
            let at = rows.schema().index_of(column).unwrap();
            fields[at] = Arc::new(fields[at].as_ref().clone().with_data_type(DataType::LargeBinary));
            columns[at] = cast(&columns[at], &DataType::LargeBinary).unwrap();
            Some(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap())
        };
        let other_type = async |lab: &mut Lab| {
            lab.rewrite("batches", retype);
        };
        finds(other_type, &[format!("column {column} is of type").as_str()]).await;
        let null = |values: &ArrayRef, _| new_null_array(values.data_type(), 1);
        let report = finds(async |lab| lab.set("batches", column, third, null), &["evidence: "]).await;
        assert_eq!((report.bad_batches, report.verified), (1, 44));
    }
}

/// Look-ups trust the ranges in a table's log: a file that holds what its log denies is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_that_hide_rows() {
    let hide = async |lab: &mut Lab| {
        let log = lab.table("records").join("_delta_log/00000000000000000001.json");
        let text = std::fs::read_to_string(&log).unwrap();
        let changed = text.replace("\\\"number\\\":9", "\\\"number\\\":8");
        assert_ne!(changed, text);
        std::fs::write(&log, changed).unwrap();
    };
    let report = finds(hide, &["a value of number is outside the range that the table's log says"]).await;
    assert_eq!((report.bad_files, report.verified), (1, 49));
}
