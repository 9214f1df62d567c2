//! Rows of `quarantine` from refused deliveries.

use super::schema::{finish, quarantine, times};
use crate::{archivist::Quarantined, delta::ArchiveError};
use arrow::array::{BinaryBuilder, Date32Array, Int64Builder, RecordBatch, StringBuilder};
use std::sync::Arc;

/// Rows of [`super::schema::QUARANTINE`], with the times of their receipt in microseconds.
pub fn quarantine_rows(rows: &[&Quarantined], times_us: &[i64]) -> Result<RecordBatch, ArchiveError> {
    let n = rows.len();
    let mut received_at = times(n);
    let mut fog = StringBuilder::new();
    let mut vehicle = StringBuilder::new();
    let mut boot = Int64Builder::with_capacity(n);
    let mut first = Int64Builder::with_capacity(n);
    let mut count = Int64Builder::with_capacity(n);
    let mut batch_id = StringBuilder::new();
    let mut stage = StringBuilder::new();
    let mut reason = StringBuilder::new();
    let mut digest = StringBuilder::new();
    let mut bytes = BinaryBuilder::new();
    let mut archived_days = Vec::with_capacity(n);
    // What was refused may name any number: one that does not fit is left out, the raw bytes have it.
    let narrow = |value: u64| i64::try_from(value).ok();
    for (row, received_us) in rows.iter().zip(times_us) {
        received_at.append_value(*received_us);
        fog.append_value(&row.fog);
        let about = row.about.as_ref();
        vehicle.append_option(about.map(|about| about.vehicle.as_str()));
        boot.append_option(about.and_then(|about| narrow(about.boot.get())));
        first.append_option(about.and_then(|about| narrow(about.first)));
        count.append_option(about.map(|about| i64::from(about.count)));
        batch_id.append_option(about.map(|about| about.id.to_string()));
        stage.append_value(row.rejection.stage.as_str());
        reason.append_value(&row.rejection.reason);
        digest.append_value(row.digest.to_string());
        bytes.append_value(&row.bytes);
        archived_days.push(i32::try_from(received_us.div_euclid(86_400_000_000)).unwrap_or(i32::MAX));
    }
    finish(
        quarantine(),
        vec![
            Arc::new(received_at.finish()),
            Arc::new(fog.finish()),
            Arc::new(vehicle.finish()),
            Arc::new(boot.finish()),
            Arc::new(first.finish()),
            Arc::new(count.finish()),
            Arc::new(batch_id.finish()),
            Arc::new(stage.finish()),
            Arc::new(reason.finish()),
            Arc::new(digest.finish()),
            Arc::new(bytes.finish()),
            Arc::new(Date32Array::from(archived_days)),
        ],
    )
}
