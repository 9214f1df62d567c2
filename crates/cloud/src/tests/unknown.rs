//! Unknown values, optional quantities and extra channels in the archive; and archives of before them.

use super::{lab::Lab, *};
use crate::{
    delta,
    testing::{sample, unknown_sample},
};
use arrow::{
    array::{
        Array as _, ArrayRef, Float64Array, Float64Builder, Int32Builder, ListBuilder, RecordBatch,
        StringArray, cast::AsArray as _, new_null_array,
    },
    datatypes::{DataType, Field, Float64Type, Int32Type, Schema},
};
use serde_json::{Value, json};
use std::{fs, sync::Arc};
use voltmesh_telemetry::{OriginalNumber, Record, RecordNumber, Sample, SealedBatch, VehicleId};

/// Columns of `records` that came with unknown values.
const LATER: [&str; 6] = ["insulation_ohm", "ambient_c", "coolant_c", "speed_kmh", "channels", "causes"];

/// Numbers of format 1 that are codes now.
const NUMBERS: [OriginalNumber; 3] = [
    OriginalNumber::PackVoltage(u32::MAX),
    OriginalNumber::Cell(3, u16::MAX),
    OriginalNumber::Temperature(0, i16::MIN),
];

/// A column's value in one row, changed.
type Change<'a> = &'a dyn Fn(&ArrayRef, usize) -> ArrayRef;

fn batch(lab: &Lab, boot: u64, of: impl Fn(u64) -> Sample) -> SealedBatch {
    let record = |number| Record { number: RecordNumber::new(number), sample: of(number) };
    lab.fleet.sealed(1, boot, None, &(0..4).map(record).collect::<Vec<_>>())
}

async fn with(boot: u64, of: impl Fn(u64) -> Sample) -> Lab {
    let mut lab = Lab::new().await;
    let batch = batch(&lab, boot, of);
    let delivery = lab.fleet.envelope(0, &batch);
    lab.append(&[delivery]).await;
    lab
}

async fn assert_sound(lab: &Lab, verified: u64) {
    let report = lab.verify().await;
    assert!(report.is_sound() && report.problems.is_empty(), "{report:#?}");
    assert_eq!((report.records, report.verified), (verified, verified));
}

/// Reads a boot's rows back as samples.
async fn samples(lab: &Lab, boot: u64) -> Vec<Sample> {
    let reader = delta::open_reader(&lab.location()).await.unwrap();
    let vehicle: VehicleId = "ev-1".parse().unwrap();
    let page = reader.records(&vehicle, 0, u64::MAX / 2000, None, 1000).await.unwrap();
    page.records.iter().filter(|row| row.boot == boot).map(|row| row.sample().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unknown_is_archived_and_verified() {
    let lab = with(3, |number| unknown_sample(1, 3, number)).await;
    assert_sound(&lab, 53).await;
    let want: Vec<Sample> = (0..4).map(|number| unknown_sample(1, 3, number)).collect();
    assert_eq!(samples(&lab, 3).await, want);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_column_of_what_is_unknown_is_checked() {
    let null = |column: &ArrayRef, _: usize| new_null_array(column.data_type(), 1);
    let voltage = |_: &ArrayRef, _: usize| -> ArrayRef { Arc::new(Float64Array::from(vec![355.0])) };
    let text =
        |_: &ArrayRef, _: usize| -> ArrayRef { Arc::new(StringArray::from(vec!["cells_mv[0]=stale"])) };
    let fewer = |column: &ArrayRef, at: usize| -> ArrayRef {
        let cells = column.as_list::<i32>().value(at);
        let cells = cells.as_primitive::<Int32Type>().iter().map(|cell| Some(cell.unwrap_or(0)));
        let list = arrow::array::ListArray::from_iter_primitive::<Int32Type, _, _>([Some(cells)]);
        arrow::compute::cast(&list, column.data_type()).unwrap()
    };
    let changes: [(&str, Change<'_>); 7] = [
        ("pack_voltage_v", &voltage),
        ("pack_current_a", &null),
        ("cells_mv", &fewer),
        ("insulation_ohm", &null),
        ("ambient_c", &null),
        ("channels", &null),
        ("causes", &text),
    ];
    for (column, change) in changes {
        let mut lab = with(3, |number| unknown_sample(1, 3, number)).await;
        lab.set("records", column, |row| row.is_of("ev-1", 3) && row.long("number") == 1, change);
        let report = lab.verify().await;
        assert_eq!((report.is_sound(), report.tampered), (false, 1), "{column}: {report:#?}");
    }
}

/// Rows as the older layout has them: numbers where there are nulls now, and none of the later columns.
fn older(rows: &RecordBatch) -> RecordBatch {
    let double = |name: &str| rows.column_by_name(name).unwrap().as_primitive::<Float64Type>().clone();
    let item = |data_type| Arc::new(Field::new("element", data_type, false));
    let cells = rows.column_by_name("cells_mv").unwrap().as_list::<i32>();
    let temperatures = rows.column_by_name("temperatures_c").unwrap().as_list::<i32>();
    let mut old_cells = ListBuilder::new(Int32Builder::new()).with_field(item(DataType::Int32));
    let mut old_temperatures = ListBuilder::new(Float64Builder::new()).with_field(item(DataType::Float64));
    for row in 0..rows.num_rows() {
        let cells = cells.value(row);
        old_cells
            .append_value(cells.as_primitive::<Int32Type>().iter().map(|cell| Some(cell.unwrap_or(65_535))));
        let temperatures = temperatures.value(row);
        let temperatures = temperatures.as_primitive::<Float64Type>().iter();
        old_temperatures.append_value(temperatures.map(|value| Some(value.unwrap_or(-327.68))));
    }
    let volts: Float64Array = double("pack_voltage_v").iter().map(|v| v.or(Some(4_294_967.295))).collect();
    let columns =
        rows.schema().fields().iter().cloned().zip(rows.columns().iter().cloned()).collect::<Vec<_>>();
    let (fields, arrays): (Vec<_>, Vec<ArrayRef>) = columns
        .into_iter()
        .filter(|(field, _)| !LATER.contains(&field.name().as_str()))
        .map(|(field, array)| {
            let array: ArrayRef = match field.name().as_str() {
                "pack_voltage_v" => Arc::new(volts.clone()),
                "cells_mv" => Arc::new(old_cells.finish()),
                "temperatures_c" => Arc::new(old_temperatures.finish()),
                _ => array,
            };
            let nullable = matches!(field.name().as_str(), "soc_percent" | "attested_by");
            (Arc::new(Field::new(field.name(), array.data_type().clone(), nullable)), array)
        })
        .unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// Gives the table `records` the layout of before, in its files and in its log's word on its columns.
async fn aged() -> Lab {
    let mut lab = with(3, |number| sample(1, 3, number).with_original_numbers(&NUMBERS).unwrap()).await;
    lab.rewrite("records", |rows| Some(older(rows)));
    let log = lab.table("records").join("_delta_log/00000000000000000000.json");
    let aged: Vec<String> = fs::read_to_string(&log)
        .unwrap()
        .lines()
        .map(|line| {
            let mut action: Value = serde_json::from_str(line).unwrap();
            if let Some(text) = action["metaData"]["schemaString"].as_str() {
                let mut schema: Value = serde_json::from_str(text).unwrap();
                let fields = schema["fields"].as_array_mut().unwrap();
                fields.retain(|field| !LATER.contains(&field["name"].as_str().unwrap()));
                for field in fields {
                    let nullable = ["soc_percent", "attested_by"].contains(&field["name"].as_str().unwrap());
                    field["nullable"] = json!(nullable);
                    if field["type"].is_object() {
                        field["type"]["containsNull"] = json!(false);
                    }
                }
                action["metaData"]["schemaString"] = json!(schema.to_string());
            }
            action.to_string()
        })
        .collect();
    fs::write(log, aged.join("\n")).unwrap();
    lab
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_of_before_is_read_as_it_is() {
    let lab = aged().await;
    assert_sound(&lab, 53).await;
    assert!(
        lab.rows("records").iter().all(|rows| rows.column_by_name("causes").is_none()),
        "nothing was written"
    );
    let read = samples(&lab, 3).await;
    assert_eq!(
        read,
        (0..4).map(|n| sample(1, 3, n).with_original_numbers(&NUMBERS).unwrap()).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_of_before_that_is_altered_is_found() {
    let volts = |by: f64| {
        move |_: &ArrayRef, _: usize| -> ArrayRef { Arc::new(Float64Array::from(vec![4_294_967.295 + by])) }
    };
    for by in [-0.001, 0.000_01, -1e6] {
        let mut lab = aged().await;
        lab.set(
            "records",
            "pack_voltage_v",
            |row| row.is_of("ev-1", 3) && row.long("number") == 2,
            volts(by),
        );
        let report = lab.verify().await;
        assert_eq!((report.is_sound(), report.tampered), (false, 1), "{by}: {report:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_of_before_is_written_on_and_merged() {
    let mut lab = aged().await;
    let batch = batch(&lab, 4, |number| unknown_sample(1, 4, number));
    let delivery = lab.fleet.envelope(0, &batch);
    lab.append(&[delivery]).await;
    assert_sound(&lab, 57).await;
    let want: Vec<Sample> = (0..4).map(|number| unknown_sample(1, 4, number)).collect();
    assert_eq!(samples(&lab, 4).await, want);

    let merging = Settings { compact_files: 2, ..Settings::default() };
    let (mut archive, _) = Archive::open(&lab.location(), merging).await.unwrap();
    while archive.compact().await.unwrap() {}
    drop(archive);
    let files = lab.rows("records");
    assert!(files.len() < 7, "{} files", files.len());
    assert!(files.iter().all(|rows| rows.column_by_name("causes").is_some()), "all are of today's layout");
    assert_sound(&lab, 57).await;
    assert_eq!(samples(&lab, 4).await, want);
    let read = samples(&lab, 3).await;
    assert_eq!(
        read,
        (0..4).map(|n| sample(1, 3, n).with_original_numbers(&NUMBERS).unwrap()).collect::<Vec<_>>()
    );
}

/// A client's sample with unknown values that comes again is the same one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_sample_with_unknown_values_is_archived_once() {
    let mut lab = Lab::new().await;
    let foreign = |number| Record::foreign(unknown_sample(2, 0, number));
    let old = Record::foreign(sample(2, 0, 9).with_original_numbers(&NUMBERS).unwrap());
    let first = lab.fleet.attested(0, 2, vec![foreign(10), foreign(11), old.clone()]);
    let second = lab.fleet.attested(1, 2, vec![foreign(11), foreign(12), old]);
    let (first, second) = (lab.fleet.envelope(0, &first), lab.fleet.envelope(1, &second));
    let mut bench = Bench::open(&lab.fleet, &lab.location(), Settings::default()).await;
    bench.clock = 300_000;
    bench.deliver(0, 1, first).await;
    assert!(bench.flush().await);
    bench.deliver(1, 2, second).await;
    assert!(bench.flush().await);
    assert_eq!((bench.accepted.len(), bench.rejected.len()), (2, 0));
    drop(bench);
    assert_sound(&lab, 53).await;
}
