//! Opening of files: their kind and their order.

use super::bus::{Bus, log};
use super::step::clock;
use super::tables::Tables;
use super::{Recording, Source};
use crate::can::diagnostics::Definition;
use crate::can::{self, Dbc, Decoder, Log, Sampler, Signals, Stated, guess};
use crate::clock::Placed;
use crate::report::{Reporter, Said};
use crate::table::{self, Level, Table};
use crate::{Error, Options, Quantity, Row, Skipped, Stamp, unit, wall};
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

/// Largest DBC file that is read: 16 MB.
const MAX_DBC: usize = 16 << 20;
/// Rows or frames of a file's beginning among which its first date is looked for.
const FIRST: usize = 100;
/// Frames of each log by whose identifiers signals are guessed.
const GUESSED_FROM: usize = 200_000;
/// 1990-01-01: a date before it is none.
const FIRST_DATE_NS: i64 = 631_152_000 * 1_000_000_000;

/// The time of a recording's row before its first.
const START: Stamp = Stamp::Relative(0);

/// Kind of a file.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Table,
    Bus,
}

impl Recording {
    /// Opens files by their content, in the order of their times. Files may be gzip.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Format`] for a file that is neither a log of a bus nor a table, and for a log without
    /// times; [`Error::Mapping`] for a column or signal that is not there or ambiguous.
    pub fn open(paths: &[PathBuf], options: &Options) -> Result<Self, Error> {
        for (at, mapping) in options.mappings.iter().enumerate() {
            let several = matches!(mapping.quantity, Quantity::Cells | Quantity::Temperatures);
            if !several && options.mappings[..at].iter().any(|other| other.quantity == mapping.quantity) {
                let problem = format!("{} is mapped twice: leave one out", mapping.quantity);
                return Err(Error::mapping("--map", problem));
            }
        }
        let mut files = Vec::new();
        let mut first_kind = None;
        for path in paths {
            let (kind, first) = examine(path, options, first_kind)?;
            first_kind = Some(kind);
            files.push((path.clone(), first));
        }
        let Some(kind) = first_kind else { return Err(Error::mapping("files", "no file is named")) };
        let files = crate::clock::order(files);
        let reordered = files != paths;
        Self::begin(kind, files, options, reordered)
    }

    /// The same files from their beginning again, without another look at what they are.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn again(&self) -> Result<Self, Error> {
        let kind = match &self.source {
            Source::Tables(_) => Kind::Table,
            Source::Bus(_) => Kind::Bus,
        };
        Self::begin(kind, self.files.clone(), &self.options, self.reordered)
    }

    fn begin(kind: Kind, files: Vec<PathBuf>, options: &Options, reordered: bool) -> Result<Self, Error> {
        let mut said = Said::default();
        if reordered {
            said.warnings.push(
                "the files are read in the order of their times, which is another than the given one".into(),
            );
        }
        let source = match kind {
            Kind::Table => {
                if options.dbc.is_some() || options.diagnostics.is_some() {
                    let unused =
                        "the files are tables: the DBC file and the definition of diagnostics are not used";
                    said.warnings.push(unused.into());
                }
                Source::Tables(Box::new(Tables {
                    clock: clock(options),
                    table: None,
                    columns: None,
                    out: Vec::new(),
                }))
            }
            Kind::Bus => Source::Bus(Box::new(bus(&files, options)?)),
        };
        let mut reporter = Reporter::new(options.battery);
        if states_percent(options) {
            reporter.set_soc_stated();
        }
        if options.table.time_format.is_some() || options.start_ms.is_some() {
            reporter.set_times_stated();
        }
        let mut recording = Self {
            options: options.clone(),
            files,
            reordered,
            next: 0,
            source,
            ready: VecDeque::new(),
            row: Placed { item: Row::unknown(START, 0, 0), segment: 0, time: START },
            reporter,
            counts: true,
            said,
            level: Level::Pack,
            ended: false,
        };
        recording.open_next()?;
        Ok(recording)
    }
}

/// Whether the user states that the state of charge is in percent.
fn states_percent(options: &Options) -> bool {
    let mappings = options.mappings.iter().chain(&options.table.mappings);
    let of_mappings = mappings.filter(|mapping| mapping.quantity == Quantity::Soc && !mapping.converts());
    let of_signals = options.signals.iter().filter_map(|signals| signals.soc.as_ref());
    of_mappings
        .filter_map(|mapping| mapping.unit.clone())
        .chain(of_signals.filter_map(|wanted| wanted.corrected().unit))
        .any(|unit| unit::convert(Quantity::Soc, &unit) == Some(unit::Conversion::BASE))
}

/// The kind of a file, and its first time.
fn examine(path: &Path, options: &Options, wanted: Option<Kind>) -> Result<(Kind, Stamp), Error> {
    let mut first = None;
    let mut see = |stamp: Stamp| {
        let is_date = matches!(stamp, Stamp::Unix(ns) if ns >= FIRST_DATE_NS);
        if first.is_none() || (is_date && !matches!(first, Some(Stamp::Unix(ns)) if ns >= FIRST_DATE_NS)) {
            first = Some(stamp);
        }
        is_date
    };
    let kind = if Log::find(path)?.is_some() { Kind::Bus } else { Kind::Table };
    if wanted.is_some_and(|wanted| wanted != kind) {
        let problem =
            "it is of another kind than the files before it (a log of a bus, or a table): read them apart";
        return Err(Error::format(path.display(), problem));
    }
    if kind == Kind::Bus {
        let mut log = log(path, &stated(options)?)?;
        for _ in 0..FIRST {
            match log.next()? {
                Some(frame) if see(frame.time) => break,
                Some(_) => {}
                None => break,
            }
        }
        return Ok((kind, first.unwrap_or(Stamp::Relative(0))));
    }
    let mut table = Table::open(path, &options.of_tables()).map_err(|error| match error {
        Error::Format { place, problem } => Error::Format {
            place,
            problem: format!("neither a log of frames in a known format nor a table: {problem}"),
        },
        other => other,
    })?;
    for _ in 0..FIRST {
        // What makes the table unusable is said when it is read.
        match table.next() {
            Ok(Some(row)) if see(row.time) => break,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break,
        }
    }
    Ok((kind, first.unwrap_or(Stamp::Relative(0))))
}

/// What is stated of the times of logs of a bus.
fn stated(options: &Options) -> Result<Stated, Error> {
    let table::Options { time_zone, time_format, .. } = &options.table;
    let zone = time_zone.as_deref().map(|name| wall::zone(name, "time_zone")).transpose()?;
    let (deltas, gps) = match time_format.as_deref() {
        None => (None, None),
        Some("candump_td") => (Some(true), None),
        Some("candump_tz") => (Some(false), None),
        Some("gps_s") => (None, Some(true)),
        Some("epoch_s") => (None, Some(false)),
        Some(other) => {
            let problem = format!(
                "{other:?} is of tables: times of logs of a bus can be stated as gps_s or epoch_s (seconds from 1980 or \
                 1970) and, of candump, as candump_td (each counts from the frame before) or candump_tz (from the first)"
            );
            return Err(Error::mapping("time_format", problem));
        }
    };
    Ok(Stated { zone, deltas, gps })
}

/// Reads a DBC file, plain or gzip.
///
/// # Errors
/// [`Error::File`]; [`Error::Format`] if it is none, or larger than 16 MB.
pub fn dbc(path: &Path) -> Result<Dbc, Error> {
    let mut file = table::open_packed(path)?;
    let bytes = table::beginning(&mut file, MAX_DBC + 1).map_err(Error::file(path, "reading"))?;
    if bytes.len() > MAX_DBC {
        return Err(Error::format(path.display(), "a DBC file of more than 16 MB is not read"));
    }
    Dbc::parse(&bytes, &path.display().to_string())
}

fn bus(files: &[PathBuf], options: &Options) -> Result<Bus, Error> {
    let definition = options.diagnostics.as_deref().map(Definition::open).transpose()?;
    let (dbc, place) = match (&options.dbc, &options.diagnostics) {
        (Some(path), _) => (dbc(path)?, path.display().to_string()),
        (None, Some(path)) => (Dbc::default(), path.display().to_string()),
        (None, None) => {
            let place = files.first().map(|path| path.display().to_string()).unwrap_or_default();
            let problem = "this is a log of a bus: a DBC file says what its frames mean (--dbc FILE), or a definition \
                           what control units answer (--diagnostics FILE)";
            return Err(Error::mapping(place, problem));
        }
    };
    let mut warnings: Vec<String> =
        dbc.warnings.iter().take(5).map(|text| format!("{place}: {text}")).collect();
    if dbc.warnings.len() > 5 {
        warnings.push(format!("{place}: {} further remarks", dbc.warnings.len() - 5));
    }
    let mut doubts = Vec::new();
    let answered: BTreeSet<Quantity> = definition.iter().flat_map(Definition::quantities).collect();
    let needed = [Quantity::PackCurrent, Quantity::PackVoltage];
    let known = |quantity: Quantity| {
        let is = |other: Quantity| {
            other == quantity || (quantity == Quantity::PackVoltage && other == Quantity::Cells)
        };
        options.mappings.iter().any(|mapping| is(mapping.quantity)) || answered.iter().any(|other| is(*other))
    };
    let mut signals = match &options.signals {
        Some(signals) => signals.clone(),
        None if options.dbc.is_none() || needed.into_iter().all(known) => Signals::default(),
        None => {
            let mut guess = guessed(&dbc, files, options)?;
            let stated = |quantity: &Quantity| {
                options.mappings.iter().any(|mapping| mapping.quantity == *quantity)
                    || answered.contains(quantity)
            };
            let unsure = |text: &&String| {
                !Quantity::ALL.iter().filter(|q| stated(q)).any(|q| text.starts_with(&format!("{q} ")))
            };
            doubts.extend(guess.ambiguous.iter().filter(unsure).cloned());
            warnings
                .push("the signals are guessed by their names and units in the DBC file: check them".into());
            guess.signals.leave_out(&answered);
            guess.signals
        }
    };
    signals.map(&options.mappings)?;
    if signals.current.is_none() && !answered.contains(&Quantity::PackCurrent) {
        let problem = "no signal is the current: name it (--map pack_current=MESSAGE.SIGNAL)";
        return Err(Error::mapping(place, problem));
    }
    let has_voltage =
        signals.voltage.is_some() || !signals.cells.is_empty() || signals.indexed_cells.is_some();
    if !has_voltage && !answered.contains(&Quantity::PackVoltage) && !answered.contains(&Quantity::Cells) {
        let problem = "no signal is the voltage of the pack or of its cells: name it (--map pack_voltage=MESSAGE.SIGNAL)";
        return Err(Error::mapping(place, problem));
    }
    let decoder = Decoder::with_diagnostics(&dbc, &signals, definition).map_err(|error| match error {
        Error::Mapping { problem, .. } => Error::Mapping { place, problem },
        other => other,
    })?;
    Ok(Bus {
        clock: clock(options),
        sampler: Sampler::new(decoder, options.period_ms),
        signals,
        log: None,
        interface: options.interface.as_ref().map(|name| can::Bus::new(name.as_bytes())),
        stated: stated(options)?,
        warnings,
        doubts,
        needs_start: options.start_ms.is_none(),
        usable: 0,
        others: 0,
        out: Vec::new(),
        place: String::new(),
        is_dated: false,
    })
}

/// An identifier as tools write it, with as many digits as its kind has.
fn named(id: u32, extended: bool) -> String {
    if extended { format!("{id:08X}") } else { format!("{id:03X}") }
}

/// Guesses signals among the messages that are in the logs.
fn guessed(dbc: &Dbc, files: &[PathBuf], options: &Options) -> Result<can::Guess, Error> {
    let interface = options.interface.as_ref().map(|name| can::Bus::new(name.as_bytes()));
    let mut seen = BTreeSet::new();
    let mut skipped = Skipped::default();
    for path in files {
        let mut log = log(path, &stated(options)?)?;
        let mut assembler = can::Assembler::default();
        for _ in 0..GUESSED_FROM {
            let Some(frame) = log.next()? else { break };
            if frame.has_data() && (interface.is_none() || frame.bus == interface) {
                seen.insert((frame.id, frame.extended));
                seen.extend(assembler.take(&frame).map(|whole| (whole.id, true)));
            }
        }
        skipped.merge(log.skipped());
    }
    if seen.is_empty() {
        let reasons = skipped
            .iter()
            .take(3)
            .map(|(reason, count, first)| format!("; {count}: {reason} (first: {first})"));
        let place = files.first().map(|path| path.display().to_string()).unwrap_or_default();
        let of = options.interface.as_ref().map_or_else(String::new, |name| format!(" of interface {name}"));
        let problem = format!("no frame with data{of} could be read{}", reasons.collect::<String>());
        return Err(Error::format(place, problem));
    }
    let is_seen =
        |message: &can::dbc::Message| seen.iter().any(|(id, extended)| message.has_id(*id, *extended));
    if options.diagnostics.is_none() && !dbc.messages.iter().any(is_seen) {
        let place = files.first().map(|path| path.display().to_string()).unwrap_or_default();
        let shown: Vec<String> = seen.iter().take(5).map(|(id, extended)| named(*id, *extended)).collect();
        let of_dbc: Vec<String> =
            dbc.messages.iter().take(5).map(|message| named(message.id, message.extended)).collect();
        let problem = format!(
            "none of the {} messages of the DBC file ({}…) is among the {} identifiers of the log ({}…): it is of another \
             vehicle or bus, or of another kind of identifiers",
            dbc.messages.len(),
            of_dbc.join(", "),
            seen.len(),
            shown.join(", ")
        );
        return Err(Error::mapping(place, problem));
    }
    Ok(guess(dbc, is_seen))
}
