//! Rows of `records` from entries.

use super::{
    causes,
    channels_column::{ArchivedChannel, ChannelsBuilder},
    schema::{CELLS, charger_text, contactor_text, day, days, finish, item_of, long, micros, records, times},
};
use crate::{archivist::Entry, delta::ArchiveError};
use arrow::array::{Float64Builder, Int32Builder, Int64Builder, ListBuilder, RecordBatch, StringBuilder};
use std::sync::Arc;
use voltmesh_telemetry::{Millivolts16, Record, Timestamp};

/// Rows that are made at once: 2.5 MB of 96 cells each.
const PIECE: usize = 4_096;

/// Rows for the kept records of `entries`, sorted by vehicle, boot and number.
pub fn record_rows(entries: &[Entry], archived: Timestamp) -> Result<RecordBatch, ArchiveError> {
    rows_of(&sorted(entries), archived)
}

/// Gives `take` the same rows, so many at a time that a large commit takes no more memory than a small one.
pub fn record_pieces(
    entries: &[Entry],
    archived: Timestamp,
    mut take: impl FnMut(RecordBatch) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    sorted(entries).chunks(PIECE).try_for_each(|piece| take(rows_of(piece, archived)?))
}

fn sorted(entries: &[Entry]) -> Vec<(&Entry, &Record)> {
    let mut rows: Vec<_> =
        entries.iter().flat_map(|entry| entry.kept_records().map(move |r| (entry, r))).collect();
    rows.sort_by(|(a, x), (b, y)| {
        (&a.batch.header.vehicle, a.batch.header.boot, x.number).cmp(&(
            &b.batch.header.vehicle,
            b.batch.header.boot,
            y.number,
        ))
    });
    rows
}

fn rows_of(rows: &[(&Entry, &Record)], archived: Timestamp) -> Result<RecordBatch, ArchiveError> {
    let n = rows.len();
    let schema = records();
    let text = StringBuilder::new;
    let (longs, doubles) = (|| Int64Builder::with_capacity(n), || Float64Builder::with_capacity(n));
    let (mut vehicle, mut contactor, mut charger) = (text(), text(), text());
    let (mut causes, mut attested_by, mut batch_id) = (text(), text(), text());
    let (mut boot, mut number, mut insulation, mut height) = (longs(), longs(), longs(), longs());
    let (mut voltage, mut current, mut soc) = (doubles(), doubles(), doubles());
    let (mut ambient, mut coolant, mut speed) = (doubles(), doubles(), doubles());
    let mut time = times(n);
    let mut cells = ListBuilder::new(Int32Builder::new()).with_field(item_of(&schema, CELLS));
    let mut temperatures =
        ListBuilder::new(Float64Builder::new()).with_field(item_of(&schema, "temperatures_c"));
    let mut channels = ChannelsBuilder::new(item_of(&schema, "channels"));
    let mut known = Vec::new();
    for (entry, record) in rows {
        let (batch, sample) = (&entry.batch, &record.sample);
        vehicle.append_value(batch.header.vehicle.as_str());
        boot.append_value(long(batch.header.boot.get()));
        number.append_value(long(record.number.get()));
        time.append_value(micros(sample.time));
        voltage.append_option(sample.pack_voltage.to_base().ok());
        current.append_option(sample.pack_current.to_base().ok());
        soc.append_option(sample.soc.to_base().ok());
        append_cells(&mut cells, &sample.cells, &mut known);
        temperatures.append_value(sample.temperatures.iter().map(|value| value.to_base().ok()));
        contactor.append_value(contactor_text(sample.contactor));
        charger.append_value(charger_text(sample.charger));
        insulation.append_option(sample.insulation.reading().ok().map(i64::from));
        ambient.append_option(sample.ambient.to_base().ok());
        coolant.append_option(sample.coolant.to_base().ok());
        speed.append_option(sample.speed.to_base().ok());
        channels.append(sample.channels.iter().map(ArchivedChannel::of));
        causes.append_option(causes::text(sample));
        attested_by.append_option(batch.attested_by());
        batch_id.append_value(&batch.id_text);
        height.append_value(long(batch.height));
    }
    finish(
        schema,
        vec![
            Arc::new(vehicle.finish()),
            Arc::new(boot.finish()),
            Arc::new(number.finish()),
            Arc::new(time.finish()),
            Arc::new(voltage.finish()),
            Arc::new(current.finish()),
            Arc::new(soc.finish()),
            Arc::new(cells.finish()),
            Arc::new(temperatures.finish()),
            Arc::new(contactor.finish()),
            Arc::new(charger.finish()),
            Arc::new(insulation.finish()),
            Arc::new(ambient.finish()),
            Arc::new(coolant.finish()),
            Arc::new(speed.finish()),
            Arc::new(channels.finish()),
            Arc::new(causes.finish()),
            Arc::new(attested_by.finish()),
            Arc::new(batch_id.finish()),
            Arc::new(height.finish()),
            days(day(archived), n),
        ],
    )
}

/// Appends a row's cells. Nearly always all are known, and then they are copied at once; `known` is a buffer for that.
fn append_cells(list: &mut ListBuilder<Int32Builder>, cells: &[Millivolts16], known: &mut Vec<i32>) {
    if cells.iter().fold(true, |known, cell| known & cell.is_known()) {
        known.clear();
        known.extend(cells.iter().map(|cell| i32::from(cell.get())));
        list.values().append_slice(known);
        list.append(true);
    } else {
        list.append_value(cells.iter().map(|cell| cell.reading().ok().map(i32::from)));
    }
}
