//! What the commands read: histories of any format, places, covariates, models.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use arrow::array::{Array, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampSecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use voltmesh_stations::{Builder, Covariates, Forecaster, History, Mapping, Places, parse_time, read_places};

use super::super::{open_gzipped, read_limited};
use crate::args;

/// Bytes of a history at most, decompressed: 200 million rows of 60 bytes, as many as are taken, and room.
const MAX_HISTORY: u64 = 16 << 30;

/// Bytes of a list of places or a table of covariates at most: two million places.
const MAX_TABLE: u64 = 1 << 30;

/// Bytes of a model at most.
const MAX_MODEL: usize = 256 << 20;

/// What every Parquet file begins with.
const PARQUET: &[u8; 4] = b"PAR1";

/// What the status names mean where that was said.
pub fn mapping(pairs: &[String]) -> Result<Mapping> {
    let mut mapping = Mapping::new();
    for pair in pairs {
        let Some((name, meaning)) = pair.rsplit_once('=') else {
            bail!("`--meaning {pair}` has no `=`; write NAME=MEANING, for example RESERVED=busy")
        };
        mapping.insert(name.to_owned(), meaning.parse()?);
    }
    Ok(mapping)
}

/// Adds a file's rows, whatever its format.
pub fn add(builder: &mut Builder, path: &Path) -> Result<()> {
    let mut magic = [0; 4];
    let got = File::open(path)
        .and_then(|mut file| std::io::Read::read(&mut file, &mut magic))
        .with_context(|| format!("cannot open {}", path.display()))?;
    let added = if magic[..got] == *PARQUET {
        add_parquet(builder, path)
    } else {
        builder.read_csv(open_gzipped(path, MAX_HISTORY)?).map_err(Into::into)
    };
    added.with_context(|| format!("cannot read {}", path.display()))
}

/// Columns `timestamp` (a timestamp, or RFC 3339 text), `evse_id` and `status` of a Parquet file.
fn add_parquet(builder: &mut Builder, path: &Path) -> Result<()> {
    let file = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    for batch in file.build()? {
        let batch = batch?;
        let column = |name: &str| {
            batch.column_by_name(name).with_context(|| {
                let known: Vec<_> = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
                format!("the history has no column `{name}`; it has {}", known.join(", "))
            })
        };
        let text = |name: &str| -> Result<_> { Ok(cast(column(name)?, &DataType::Utf8)?) };
        let (evses, statuses) = (text("evse_id")?, text("status")?);
        let (evses, statuses) = (evses.as_string::<i32>(), statuses.as_string::<i32>());
        let times = column("timestamp")?;
        let seconds = match times.data_type() {
            DataType::Timestamp(..) => {
                let zone =
                    |t: &DataType| if let DataType::Timestamp(_, zone) = t { zone.clone() } else { None };
                Some(cast(times, &DataType::Timestamp(TimeUnit::Second, zone(times.data_type())))?)
            }
            _ => None,
        };
        let words = if seconds.is_none() { Some(cast(times, &DataType::Utf8)?) } else { None };
        for row in 0..batch.num_rows() {
            ensure!(
                evses.is_valid(row) && statuses.is_valid(row) && times.is_valid(row),
                "row {row} of a batch has no timestamp, evse_id or status"
            );
            let at = match (&seconds, &words) {
                (Some(seconds), _) => seconds.as_primitive::<TimestampSecondType>().value(row),
                (None, Some(words)) => {
                    let text = words.as_string::<i32>().value(row);
                    parse_time(text).with_context(|| format!("`{text}` is no RFC 3339 time"))?.0
                }
                (None, None) => unreachable!("one of both was cast"),
            };
            builder.push(at, evses.value(row), statuses.value(row))?;
        }
    }
    Ok(())
}

/// One history of its own.
pub fn history(path: &Path, mapping: &Mapping) -> Result<History> {
    let mut builder = Builder::default();
    add(&mut builder, path)?;
    Ok(builder.build(mapping)?)
}

/// The places, or none.
pub fn places(input: &args::StationsInput) -> Result<Places> {
    let Some(path) = &input.evse else { return Ok(Places::new()) };
    read_places(open_gzipped(path, MAX_TABLE)?).with_context(|| format!("cannot read {}", path.display()))
}

/// The covariates, or none.
pub fn covariates(input: &args::StationsInput) -> Result<Covariates> {
    let Some(path) = &input.covariates else { return Ok(Covariates::default()) };
    let read = Covariates::read_csv(open_gzipped(path, MAX_TABLE)?);
    read.with_context(|| format!("cannot read {}", path.display()))
}

/// A model's file.
pub fn model(path: &Path) -> Result<Forecaster> {
    let bytes = read_limited(path, MAX_MODEL)?;
    Forecaster::read(&bytes).with_context(|| format!("cannot use {}", path.display()))
}

/// Leads a model through what of a history is later than what it has seen, up to and including `until` (seconds since 1970).
/// Returns how many slots that were.
pub fn catch_up(
    model: &mut Forecaster,
    history: &History,
    covariates: &Covariates,
    places: &Places,
    mapping: &Mapping,
    until: Option<i64>,
) -> usize {
    model.meet(history.evses(), places);
    let seen = model.tracker().at;
    let mut slots = 0;
    for slot in 0..history.slots() {
        let at = history.time(slot);
        if seen.is_some_and(|seen| at <= seen) || until.is_some_and(|until| at > until) {
            continue;
        }
        slots += usize::from(model.observe(at, &history.readings(slot), mapping));
    }
    if let Some(at) = model.tracker().at {
        let arranged = covariates.arranged(model.covariates());
        let mut values = vec![f32::NAN; model.covariates().len()];
        arranged.as_of(at, &mut values);
        model.set_covariates(&values);
    }
    slots
}

/// A time that a history covers, as its slot.
pub fn slot(history: &History, text: &str) -> Result<usize> {
    let at = seconds(text)?;
    history.slot(at).with_context(|| format!("the history does not cover {text}"))
}

/// A time in seconds since 1970.
pub fn seconds(text: &str) -> Result<i64> {
    let time = parse_time(text);
    Ok(time
        .with_context(|| format!("`{text}` is no RFC 3339 time; write for example 2018-11-08T00:00:00Z"))?
        .0)
}
