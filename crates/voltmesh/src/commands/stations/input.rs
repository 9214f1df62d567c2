//! What the commands read: histories of any format, places, covariates, models.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use voltmesh_stations::feeds;
use voltmesh_stations::history::Report;
use voltmesh_stations::place::Joined;
use voltmesh_stations::table::Columns;
use voltmesh_stations::{
    Builder, Covariates, Error, Forecaster, History, Mapping, PlaceList, Places, parse_time,
};

use super::super::{gzip::open_gzipped, read_limited};
use crate::{args, output};

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
        builder.read(open_gzipped(path, MAX_HISTORY)?).map_err(Into::into)
    };
    added.with_context(|| format!("cannot read {}", path.display()))
}

/// A Parquet file with the columns of a history: times are timestamps, numbers since 1970, or text.
fn add_parquet(builder: &mut Builder, path: &Path) -> Result<()> {
    let file = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let names: Vec<String> = file.schema().fields().iter().map(|field| field.name().clone()).collect();
    let Some(columns) = Columns::of(names.iter().map(String::as_str)) else {
        bail!("the history has no columns `timestamp`, `evse_id` and `status`; it has {}", names.join(", "))
    };
    builder.source("Parquet")?;
    let mut number = 0;
    for batch in file.build()? {
        let batch = batch?;
        let texts = batch.columns().iter().map(as_text).collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            number += 1;
            let text = |column: &Option<ArrayRef>| {
                let column = column.as_ref().filter(|column| column.is_valid(row));
                column
                    .map_or_else(String::new, |column| column.as_string::<i32>().value(row).trim().to_owned())
            };
            let fields: Vec<String> = texts.iter().map(text).collect();
            builder.row(columns, &fields, number)?;
        }
    }
    Ok(())
}

/// A column as text, a timestamp of a zone in seconds since 1970, and one without as it reads; `None` if it has no text.
fn as_text(column: &ArrayRef) -> Result<Option<ArrayRef>> {
    let column = match column.data_type() {
        DataType::Timestamp(_, Some(zone)) => {
            let seconds = cast(column, &DataType::Timestamp(TimeUnit::Second, Some(zone.clone())))?;
            cast(&seconds, &DataType::Int64)?
        }
        _ => column.clone(),
    };
    if !can_cast_types(column.data_type(), &DataType::Utf8) {
        return Ok(None);
    }
    Ok(Some(cast(&column, &DataType::Utf8)?))
}

/// One history of its own; what is odd is said.
pub fn history(path: &Path, mapping: &Mapping, odd: &mut Odd) -> Result<History> {
    let mut builder = Builder::default();
    add(&mut builder, path)?;
    build(builder, mapping, odd).with_context(|| format!("cannot use {}", path.display()))
}

/// The history of what was added; what is odd is said.
pub fn build(builder: Builder, mapping: &Mapping, odd: &mut Odd) -> Result<History> {
    let (report, history) = builder.inspect(mapping);
    odd.report(&report);
    Ok(history?)
}

/// What was odd, printed as it is found, and whether most of a file could not be used.
#[derive(Default)]
pub struct Odd {
    mostly_unusable: bool,
}

impl Odd {
    /// Says what was odd about a history.
    fn report(&mut self, report: &Report) {
        report.lines().iter().for_each(|line| output::note(line));
        if report.mostly_unusable() {
            self.mostly_unusable = true;
            let (usable, rows) = (report.usable(), report.rows());
            output::note(&format!(
                "only {usable} of {rows} rows could be used: most of the history tells nothing"
            ));
        }
    }

    /// Says what was odd about a list of places.
    pub fn places(&mut self, list: &PlaceList, joined: Joined) {
        list.report.lines().iter().chain(&joined.line()).for_each(|line| output::note(line));
        if list.report.mostly_unusable() {
            self.mostly_unusable = true;
            output::note("most of the list of places could not be used");
        }
    }

    /// Whether most of a file could not be used: the command ends with exit code 3.
    pub fn mostly_unusable(&self) -> bool {
        self.mostly_unusable
    }
}

/// A format, and statuses with how many EVSEs have each.
pub type Live = (&'static str, BTreeMap<String, usize>);

/// The format and the statuses of a document that a live feed takes; `None` for other files.
pub fn live(path: &Path) -> Result<Option<Live>> {
    let mut bytes = Vec::new();
    let limit = feeds::MAX_FEED_BYTES as u64;
    std::io::Read::read_to_end(&mut open_gzipped(path, limit)?, &mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(live_of([&bytes[..]]))
}

/// The same of documents that belong together.
pub fn live_of<'a>(documents: impl IntoIterator<Item = &'a [u8]>) -> Option<Live> {
    let (mut found, mut statuses) = (None, BTreeMap::new());
    for read in documents.into_iter().map(feeds::read) {
        let (format, readings) = match read {
            Ok(read) => read,
            Err(error) => {
                // What is no document of a feed is read as another thing.
                if matches!(error, Error::Refused { .. }) {
                    output::note(&error.to_string());
                }
                continue;
            }
        };
        found.get_or_insert(format);
        for reading in readings {
            *statuses.entry(reading.status).or_default() += 1;
        }
    }
    found.map(|format| (format, statuses)).filter(|(_, statuses)| !statuses.is_empty())
}

/// The list of places.
pub fn list(path: &Path) -> Result<PlaceList> {
    PlaceList::read(open_gzipped(path, MAX_TABLE)?).with_context(|| format!("cannot read {}", path.display()))
}

/// The places by the ids of a network, or none; what is odd is said.
pub fn places<'a>(
    input: &args::StationsInput,
    evses: impl IntoIterator<Item = &'a str>,
    odd: &mut Odd,
) -> Result<Places> {
    let Some(path) = &input.evse else { return Ok(Places::new()) };
    let list = list(path)?;
    let distinct: BTreeSet<&str> = evses.into_iter().collect();
    let (places, joined) = list.join(distinct);
    odd.places(&list, joined);
    Ok(places)
}

/// The EVSEs that a model knows, and those of a history.
pub fn ids<'a>(model: &'a Forecaster, history: Option<&'a History>) -> impl Iterator<Item = &'a str> {
    model.tracker().ids.iter().chain(history.into_iter().flat_map(History::evses)).map(|id| &**id)
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
