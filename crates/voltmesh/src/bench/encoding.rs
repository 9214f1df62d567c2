//! `voltmesh bench encoding`: bytes a record of a 96-cell pack at 1 Hz, ours beside others.

use anyhow::Result;
use serde_json::json;
use voltmesh_telemetry::{Record, encoding_sizes};

use crate::{Outcome, output};

/// Records measured: an hour at 1 Hz.
const RECORDS: usize = 3600;

/// Records a batch: the vehicle's default of ten seconds, a minute, the largest.
const BATCHES: [usize; 4] = [10, 60, 600, 3600];

/// Runs the command.
pub fn run(as_json: bool) -> Result<Outcome> {
    let records: Vec<Record> = super::drive::records(RECORDS)?;
    let mut rows = Vec::new();
    let mut list = Vec::new();
    for batch in BATCHES {
        let sizes = encoding_sizes(&records, batch)?;
        let each = |bytes: usize| sizes.per_record(bytes);
        let values = [
            each(sizes.batches),
            each(sizes.json),
            each(sizes.json_zstd),
            each(sizes.protobuf),
            each(sizes.protobuf_zstd),
        ];
        let mut row = vec![batch.to_string()];
        row.extend(values.iter().map(|value| format!("{value:.1}")));
        rows.push(row);
        list.push(json!({
            "batch_records": batch, "signed_batch": values[0], "json": values[1], "json_zstd": values[2],
            "protobuf": values[3], "protobuf_zstd": values[4],
        }));
    }
    if as_json {
        output::json(&json!({ "records": RECORDS, "cells": 96, "bytes_per_record": list }))?;
    } else {
        output::table(&["batch", "signed batch", "JSON", "JSON+zstd", "protobuf", "protobuf+zstd"], &rows);
        output::line(format!(
            "bytes a record, {RECORDS} records of 96 cells at 1 Hz; signature and tree included in ours"
        ));
    }
    Ok(Outcome::Done)
}
