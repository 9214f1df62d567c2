//! Statistics by which readers skip files, row groups and pages: what a table's log and a file's footer say, against the
//! rows. A false range hides rows from whoever asks for some of them, though all are there.
//!
//! Provided: every range and count of the log, of each row group and of each page, of columns that are no lists.
//! Not provided: statistics of what lists hold, by which no reader skips rows; the order of pages within a file.

use crate::delta::SaidOfFile;
use arrow::{
    array::{Array, RecordBatch, cast::AsArray},
    compute::{cast, max, max_binary, max_string, min, min_binary, min_string},
    datatypes::{DataType, Float64Type, Int64Type},
};
use parquet::file::{
    metadata::{ParquetMetaData, RowGroupMetaData},
    page_index::column_index::ColumnIndexMetaData,
    statistics::Statistics,
};
use serde_json::{Map, Value};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Times in the log may be cut to milliseconds: a greatest one may lie as much lower, in microseconds.
const CUT: i64 = 999;

/// A value by which columns are compared.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Limit {
    Long(i64),
    Double(f64),
    Bytes(Vec<u8>),
}

/// Content of one column in some rows.
#[derive(Clone, Debug, Default, PartialEq)]
struct Content {
    /// Least and greatest value; none where all are null, or for a type without an order.
    limits: Option<(Limit, Limit)>,
    nulls: u64,
}

/// What statistics say of a column.
#[derive(Clone, Debug, Default)]
struct Range {
    min: Option<Limit>,
    max: Option<Limit>,
    nulls: Option<u64>,
}

impl Range {
    /// Whether rows with this content can be missed by it.
    fn hides(&self, held: &Content) -> bool {
        let Some((least, greatest)) = &held.limits else {
            return self.nulls.is_some_and(|nulls| nulls != held.nulls);
        };
        // Values of another kind, and NaN, enclose nothing.
        let at_most = |a: &Limit, b: &Limit| a.partial_cmp(b).is_some_and(Ordering::is_le);
        self.min.as_ref().is_some_and(|min| !at_most(min, least))
            || self.max.as_ref().is_some_and(|max| !at_most(greatest, max))
            || self.nulls.is_some_and(|nulls| nulls != held.nulls)
    }
}

/// What the log says of a file and its rows deny.
pub(super) fn wrong_in_log(said: &SaidOfFile, rows: &[RecordBatch]) -> Vec<String> {
    let mut wrong = Vec::new();
    if said.has_deleted_rows {
        wrong.push("the table's log says that rows of it are deleted (a deletion vector)".to_owned());
    }
    let Some(text) = &said.statistics else { return wrong };
    let Ok(Value::Object(said)) = serde_json::from_str(text) else {
        wrong.push("what the table's log says of its values cannot be read".to_owned());
        return wrong;
    };
    let held: u64 = rows.iter().map(|rows| rows.num_rows() as u64).sum();
    match said.get("numRecords") {
        Some(rows) if rows.as_u64() != Some(held) => {
            wrong.push(format!("the table's log says {rows} rows, there are {held}"));
        }
        _ => {}
    }
    let empty = Map::new();
    let of = |key: &str| said.get(key).and_then(Value::as_object).unwrap_or(&empty);
    let mut ranges: BTreeMap<&String, Range> = BTreeMap::new();
    for (key, greatest) in [("minValues", false), ("maxValues", true)] {
        for (name, value) in of(key).iter().filter(|(_, value)| !value.is_null()) {
            let Some(limit) = rows.first().and_then(|rows| limit_of(rows, name, value, greatest)) else {
                wrong.push(format!("what the table's log says of {name} cannot be checked: {value}"));
                continue;
            };
            let range = ranges.entry(name).or_default();
            *(if greatest { &mut range.max } else { &mut range.min }) = Some(limit);
        }
    }
    // Counts of what lists hold are objects.
    let counts: BTreeMap<_, _> = of("nullCount").iter().filter(|(_, value)| !value.is_object()).collect();
    let columns: BTreeSet<_> = ranges.keys().chain(counts.keys()).copied().collect();
    for name in columns {
        let held = content(rows, name);
        if ranges.get(name).is_some_and(|range| range.hides(&held)) {
            wrong.push(format!("a value of {name} is outside the range that the table's log says"));
        }
        if let Some(said) = counts.get(name).filter(|said| said.as_u64() != Some(held.nulls)) {
            let nulls = held.nulls;
            wrong.push(format!("the table's log says that {said} values of {name} are null, {nulls} are"));
        }
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

/// A value of the log as the column holds such; none for a type of which nothing can be said, or a value that is none of it.
fn limit_of(rows: &RecordBatch, name: &str, value: &Value, greatest: bool) -> Option<Limit> {
    match rows.column_by_name(name)?.data_type() {
        DataType::Int64 | DataType::Int32 => value.as_i64().map(Limit::Long),
        DataType::Float64 => value.as_f64().map(Limit::Double),
        DataType::Utf8 => value.as_str().map(|text| Limit::Bytes(text.into())),
        DataType::Timestamp(..) => {
            let time = OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok()?;
            let micros = i64::try_from(time.unix_timestamp_nanos() / 1000).ok()?;
            Some(Limit::Long(micros.saturating_add(if greatest { CUT } else { 0 })))
        }
        _ => None,
    }
}

/// What a file's footer says of its row groups and pages, and the rows deny.
pub(super) fn wrong_in_footer(footer: &ParquetMetaData, rows: &[RecordBatch]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut from = 0;
    for (number, group) in footer.row_groups().iter().enumerate() {
        let Ok(count) = usize::try_from(group.num_rows()) else {
            wrong.push(format!("row group {number} has {} rows", group.num_rows()));
            return wrong;
        };
        let rows = part(rows, from, count);
        from += count;
        for (at, column) in group.columns().iter().enumerate() {
            let [name] = column.column_path().parts() else { continue };
            let said = column.statistics().map(of_statistics);
            if said.is_some_and(|said| said.hides(&content(&rows, name))) {
                wrong.push(format!("a value of {name} is outside the range that the file's footer says"));
            }
            if column.bloom_filter_offset().is_some() {
                wrong.push(format!("the file's footer has a filter for {name}, which is not checked"));
            }
            if pages_hide(footer, number, at, group, &rows, name) {
                wrong.push(format!(
                    "a value of {name} is outside the range that the file's index of pages says"
                ));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

/// Whether a page's statistics hide a value, or do not tell which rows the page holds.
fn pages_hide(
    footer: &ParquetMetaData,
    number: usize,
    at: usize,
    group: &RowGroupMetaData,
    rows: &[RecordBatch],
    name: &str,
) -> bool {
    let index = footer.column_index().and_then(|index| index.get(number)?.get(at));
    let Some(index) = index.filter(|index| !matches!(index, ColumnIndexMetaData::NONE)) else { return false };
    let places = footer.offset_index().and_then(|offsets| offsets.get(number)?.get(at));
    let Some(places) = places.map(|places| places.page_locations()) else { return true };
    if usize::try_from(index.num_pages()).ok() != Some(places.len()) {
        return true;
    }
    let ends = places.iter().skip(1).map(|place| place.first_row_index).chain([group.num_rows()]);
    places.iter().zip(ends).enumerate().any(|(page, (place, end))| {
        let (from, count) =
            (usize::try_from(place.first_row_index), usize::try_from(end - place.first_row_index));
        let (Ok(from), Ok(count)) = (from, count) else { return true };
        of_page(index, page).hides(&content(&part(rows, from, count), name))
    })
}

fn of_statistics(said: &Statistics) -> Range {
    let nulls = said.null_count_opt();
    let (min, max) = match said {
        Statistics::Int64(said) => {
            (said.min_opt().copied().map(Limit::Long), said.max_opt().copied().map(Limit::Long))
        }
        Statistics::Int32(said) => {
            let long = |value: &i32| Limit::Long((*value).into());
            (said.min_opt().map(long), said.max_opt().map(long))
        }
        Statistics::Double(said) => {
            (said.min_opt().copied().map(Limit::Double), said.max_opt().copied().map(Limit::Double))
        }
        Statistics::ByteArray(_) => {
            let bytes = |bytes: &[u8]| Limit::Bytes(bytes.to_vec());
            (said.min_bytes_opt().map(bytes), said.max_bytes_opt().map(bytes))
        }
        // Of types that no column of ours has.
        _ => (None, None),
    };
    Range { min, max, nulls }
}

fn of_page(index: &ColumnIndexMetaData, page: usize) -> Range {
    let (min, max) = match index {
        ColumnIndexMetaData::INT64(of) => {
            (of.min_value(page).copied().map(Limit::Long), of.max_value(page).copied().map(Limit::Long))
        }
        ColumnIndexMetaData::INT32(of) => {
            let long = |value: &i32| Limit::Long((*value).into());
            (of.min_value(page).map(long), of.max_value(page).map(long))
        }
        ColumnIndexMetaData::DOUBLE(of) => {
            (of.min_value(page).copied().map(Limit::Double), of.max_value(page).copied().map(Limit::Double))
        }
        ColumnIndexMetaData::BYTE_ARRAY(of) => {
            let bytes = |bytes: &[u8]| Limit::Bytes(bytes.to_vec());
            (of.min_value(page).map(bytes), of.max_value(page).map(bytes))
        }
        _ => (None, None),
    };
    let nulls = index.null_count(page).and_then(|nulls| u64::try_from(nulls).ok());
    Range { min, max, nulls }
}

/// These rows of a file.
fn part(rows: &[RecordBatch], from: usize, count: usize) -> Vec<RecordBatch> {
    let (mut at, end) = (0, from.saturating_add(count));
    let mut found = Vec::new();
    for rows in rows {
        let (first, last) = (from.max(at), end.min(at + rows.num_rows()));
        if first < last {
            found.push(rows.slice(first - at, last - first));
        }
        at += rows.num_rows();
    }
    found
}

/// A column's content in these rows.
fn content(rows: &[RecordBatch], name: &str) -> Content {
    let mut all = Content::default();
    for column in rows.iter().filter_map(|rows| rows.column_by_name(name)) {
        all.nulls += column.logical_null_count() as u64;
        let Some((least, greatest)) = limits(column) else { continue };
        all.limits = Some(match all.limits.take() {
            Some((min, max)) => {
                (if least < min { least } else { min }, if greatest > max { greatest } else { max })
            }
            None => (least, greatest),
        });
    }
    all
}

fn limits(column: &dyn Array) -> Option<(Limit, Limit)> {
    let bytes = |min: &[u8], max: &[u8]| (Limit::Bytes(min.to_vec()), Limit::Bytes(max.to_vec()));
    match column.data_type() {
        DataType::Int64 | DataType::Int32 | DataType::Timestamp(..) => {
            let column = cast(column, &DataType::Int64).ok()?;
            let column = column.as_primitive_opt::<Int64Type>()?;
            Some((Limit::Long(min(column)?), Limit::Long(max(column)?)))
        }
        DataType::Float64 => {
            let column = column.as_primitive_opt::<Float64Type>()?;
            Some((Limit::Double(min(column)?), Limit::Double(max(column)?)))
        }
        DataType::Utf8 => {
            let column = column.as_string_opt::<i32>()?;
            Some(bytes(min_string(column)?.as_bytes(), max_string(column)?.as_bytes()))
        }
        DataType::Binary => {
            let column = column.as_binary_opt::<i32>()?;
            Some(bytes(min_binary(column)?, max_binary(column)?))
        }
        _ => None,
    }
}
