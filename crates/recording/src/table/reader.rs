//! Rows of readings of a table.

use super::cell::Cell;
use super::found::{Found, State};
use super::input::Input;
use super::number::Decimal;
use super::open::open;
use super::options::{Level, Options};
use super::plan::Plan;
use super::presets;
use super::repeated;
use super::source::{Cells, Opened, Source, from_lines};
use super::text::{self, Lines};
use super::value::{self, Direction};
use crate::{Error, Quantity, Reading, Row, Skipped, Stamp, Unknown};
use std::io::Read;
use std::path::Path;

/// Reason for skipping a row without a readable time.
const NO_TIME: &str = "its time cannot be read";
/// Reason for skipping a header in the midst of the file.
const AGAIN: &str = "the header comes again";
/// Reason why a number is no reading.
const IMPOSSIBLE: &str = "are impossible in the unit that was taken (kelvin, a fraction, a dead sensor?)";

/// Reason why a current without its sign is unknown.
const UNSIGNED: &str = "state neither a charge nor a discharge nor a rest: the current is unknown there";

/// Reason why a number may be no reading.
const MARK: &str = "hold a number that files often have where a value is missing, far from all others: state --missing \
                    NUMBER, or `missing = [NUMBER]` under [source.columns]";

/// A table that is being read.
///
/// ```
/// # use voltmesh_recording::table::{Options, Table};
/// let text = "Zeit;Spannung;Strom\n0;355,2;-12,5\n1;355,1;-13,0\n";
/// let mut table = Table::read(Box::new(text.as_bytes()), "trip.csv", &Options::default())?;
/// let row = table.next()?.expect("a row");
/// assert_eq!((row.pack_voltage, row.pack_current), (Ok(355.2), Ok(-12.5)));
/// # Ok::<(), voltmesh_recording::Error>(())
/// ```
pub struct Table {
    source: Source,
    plan: Plan,
    decimal: Decimal,
    grouped: bool,
    place: String,
    format: String,
    /// Names of the columns as the file spells them.
    header: Vec<String>,
    skipped: Skipped,
    /// Whether the pack's voltage is the sum of its cells: no column has it.
    sums_cells: bool,
    rows: u64,
    /// Rows with a voltage, and with a current.
    known: (u64, u64),
    /// Cells that are no numbers, or impossible, by column: why, the count, and the first.
    unread: Vec<(String, &'static str, u64, String)>,
    ended: bool,
}

impl Table {
    /// Opens a file and finds out how it is written.
    ///
    /// # Errors
    /// [`Error::Format`] for what is no table, [`Error::Mapping`] where a column is missing or ambiguous.
    pub fn open(path: &Path, options: &Options) -> Result<Self, Error> {
        let opened = open(path, options)?;
        Self::new(opened, options, path.display().to_string())
    }

    /// Reads a text that `from` gives; `place` is its name in messages.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn read(from: Box<dyn Read + Send>, place: &str, options: &Options) -> Result<Self, Error> {
        let opened = from_lines(Lines::read(from, Path::new(place))?, options, place)?;
        Self::new(opened, options, place.to_owned())
    }

    fn new(opened: Opened, options: &Options, place: String) -> Result<Self, Error> {
        let Opened {
            source,
            mut names,
            sample,
            decimal,
            grouped,
            is_guessed,
            is_1904,
            dates,
            kind,
            mut warnings,
        } = opened;
        if sample.is_empty() {
            let problem = "no row has as many cells as the header: if decimals are written with a comma, the columns \
                           must be separated by another sign, or the file has no rows";
            return Err(Error::format(place, problem));
        }
        presets::rename(&mut names);
        let input = Input {
            names: &names,
            sample: &sample,
            options,
            decimal,
            grouped,
            is_guessed,
            is_1904,
            dates: &dates,
            preset: presets::find(&names),
            place: &place,
        };
        let mut plan = Plan::find(&input)?;
        warnings.append(&mut plan.warnings);
        plan.warnings = warnings;
        let sums_cells = plan.level == Level::Pack
            && !plan.cells.is_empty()
            && plan.single.iter().all(|found| found.quantity != Quantity::PackVoltage);
        if sums_cells {
            plan.warnings.push("no column is the pack's voltage: it is the sum of the cells".into());
        }
        let name = plan.preset.map_or("table", |preset| preset.name);
        let format = format!("{name} ({kind})");
        Ok(Self {
            source,
            plan,
            decimal,
            grouped,
            place,
            format,
            header: names.into_iter().map(|name| name.text).collect(),
            skipped: Skipped::default(),
            sums_cells,
            rows: 0,
            known: (0, 0),
            unread: Vec::new(),
            ended: false,
        })
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// See [`Self::read_row`].
    #[allow(clippy::should_implement_trait, reason = "a row can fail")]
    pub fn next(&mut self) -> Result<Option<Row>, Error> {
        let mut row = Row::unknown(Stamp::Relative(0), 0, 0);
        Ok(self.read_row(&mut row)?.then_some(row))
    }

    /// Reads the next row into `row`, whose lists keep their memory; false at the end, and `row` is then as it was.
    ///
    /// # Errors
    /// [`Error::File`]; at the end [`Error::Format`] if no row, no voltage or no current could be read at all.
    pub fn read_row(&mut self, row: &mut Row) -> Result<bool, Error> {
        while !self.ended && self.source.advance(&mut self.skipped)? {
            let cells = self.source.cells();
            let day = self.plan.time.day().map(|day| cells.get(day.index));
            let Some(time) = self.plan.time.read_on(day, cells.get(self.plan.time_index)) else {
                match repeated::header(&self.header, cells) {
                    Some(true) => self.skipped.count(AGAIN, || self.source.place()),
                    Some(false) => return Err(self.other_columns()),
                    None => self.skipped.count(NO_TIME, || self.source.place()),
                }
                continue;
            };
            row.clear(time);
            let (decimal, grouped) = (self.decimal, self.grouped);
            let mut read = |found: &Found| {
                let cell = cells.get(found.index);
                let (reading, unread) = value::reading(cell, found, decimal, grouped);
                if unread {
                    note(&mut self.unread, reading, cell, found, || self.source.place());
                }
                reading
            };
            let mut is_unsigned = false;
            for found in &self.plan.single {
                let reading = read(found);
                match found.quantity {
                    Quantity::PackVoltage => row.pack_voltage = reading,
                    Quantity::PackCurrent => {
                        row.pack_current = signed(self.plan.state, cells, reading);
                        is_unsigned = reading.is_ok() && row.pack_current.is_err();
                    }
                    Quantity::Soc => row.soc = reading,
                    Quantity::Contactor => row.contactor = reading,
                    Quantity::Charging => row.charging = reading,
                    Quantity::Insulation => row.insulation = reading,
                    Quantity::Ambient => row.ambient = reading,
                    Quantity::Coolant => row.coolant = reading,
                    Quantity::Speed => row.speed = reading,
                    Quantity::ChargeCounter => row.charge_counter = reading,
                    Quantity::Time | Quantity::Cells | Quantity::Temperatures => {}
                }
            }
            for found in &self.plan.cells {
                row.cells.push(read(found));
            }
            for found in &self.plan.temperatures {
                row.temperatures.push(read(found));
            }
            if let (true, Some(state), Some(name)) = (is_unsigned, self.plan.state, &self.plan.state_name) {
                note_in(&mut self.unread, name, UNSIGNED, cells.get(state.index), || self.source.place());
            }
            if self.sums_cells {
                row.pack_voltage = row.cells.iter().copied().sum();
            }
            self.rows += 1;
            self.known.0 += u64::from(row.pack_voltage.is_ok() || row.cells.iter().any(Result::is_ok));
            self.known.1 += u64::from(row.pack_current.is_ok());
            return Ok(true);
        }
        let first = !std::mem::replace(&mut self.ended, true);
        if first { self.check_end().map(|()| false) } else { Ok(false) }
    }

    /// The refusal of what follows a header that names other columns than the first one.
    fn other_columns(&mut self) -> Error {
        self.ended = true;
        let problem = format!(
            "{} names other columns than the header at the beginning does: split the file there into two",
            self.source.place()
        );
        Error::format(&self.place, problem)
    }

    fn check_end(&self) -> Result<(), Error> {
        let problem = if self.rows == 0 {
            "no row is usable"
        } else if self.known.0 == 0 {
            "no row has a voltage that can be read"
        } else if self.known.1 == 0 {
            "no row has a current that can be read"
        } else {
            return Ok(());
        };
        let reasons: Vec<String> = self
            .skipped
            .iter()
            .map(|(reason, count, first)| format!("{count} rows: {reason} (first {first})"))
            .chain(self.unread.iter().map(|(column, why, count, first)| {
                format!("{count} cells of column {column:?} {why} (first {first})")
            }))
            .take(5)
            .collect();
        let reasons = if reasons.is_empty() {
            vec!["its cells are empty, or formulas whose values are not stored".to_owned()]
        } else {
            reasons
        };
        Err(Error::format(&self.place, format!("{problem}: {}", reasons.join("; "))))
    }

    /// What the file was taken for, like `Arbin (text in UTF-8, separated by ',', decimal sign '.')`.
    #[must_use]
    pub fn format(&self) -> &str {
        &self.format
    }

    /// Its name in messages.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The column that states charge or discharge, if the current is a magnitude.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.plan.state_name.as_deref()
    }

    /// Whether it speaks of a cell or of a pack.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.plan.level
    }

    /// Rows that were not read, by reason.
    #[must_use]
    pub const fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// What was assumed, and what was found while reading, as sentences for a person.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let unread = self.unread.iter().filter(|(_, why, ..)| *why != MARK);
        let unread = unread.map(|(column, why, count, first)| {
            let and = if *why == UNSIGNED { "" } else { ", and unknown" };
            format!("{count} cells of column {column:?} {why}{and} (first {first})")
        });
        self.plan.warnings.iter().cloned().chain(unread).chain(self.marks(false)).collect()
    }

    /// What makes the values doubtful (a sign, a unit, the order of cells), each with its remedy.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        let skipped = self.skipped.total();
        let mostly = (skipped > self.rows).then(|| {
            let reasons: Vec<String> = self
                .skipped
                .iter()
                .map(|(reason, count, first)| format!("{count}: {reason} (first {first})"))
                .collect();
            format!("{skipped} rows are not read, and {} are: {}", self.rows, reasons.join("; "))
        });
        self.plan.doubts.iter().cloned().chain(mostly).chain(self.marks(true)).collect()
    }

    /// Numbers that seem to stand for missing values: those that are frequent, or the seldom ones.
    fn marks(&self, are_frequent: bool) -> impl Iterator<Item = String> {
        let found = self
            .unread
            .iter()
            .filter(move |(_, why, count, _)| *why == MARK && (*count * 1000 >= self.rows) == are_frequent);
        found.map(|(column, why, count, first)| {
            format!("{count} cells of column {column:?} {why} (first {first})")
        })
    }

    /// The column of time, and what it was taken for.
    #[must_use]
    pub fn time(&self) -> (&str, &str) {
        (&self.plan.time_name, &self.plan.time.said)
    }

    /// The column of dates, if that of the time has times of day.
    #[must_use]
    pub fn date(&self) -> Option<&str> {
        self.plan.date_name.as_deref()
    }

    /// Which column was found for each quantity but time.
    pub fn mapping(&self) -> impl Iterator<Item = &Found> {
        self.plan.single.iter().chain(&self.plan.cells).chain(&self.plan.temperatures)
    }

    /// Columns that are not read.
    #[must_use]
    pub fn unused_columns(&self) -> &[String] {
        &self.plan.unused
    }
}

/// A current with the sign that the column of the state gives it.
fn signed(state: Option<State>, cells: Cells<'_>, reading: Reading) -> Reading {
    let (Some(state), Ok(value)) = (state, reading) else { return reading };
    match cells.get(state.index) {
        Cell::Text(text) => Direction::apply(Direction::parse(text), value),
        _ if value == 0.0 => Ok(0.0),
        _ => Err(Unknown::NotAvailable),
    }
}

/// Counts a cell that is no number, impossible, or doubted.
#[cold]
fn note(
    unread: &mut Vec<(String, &'static str, u64, String)>,
    reading: Reading,
    cell: Cell<'_>,
    found: &Found,
    place: impl FnOnce() -> String,
) {
    let why = match reading {
        Ok(_) => MARK,
        Err(Unknown::OutOfRange) => IMPOSSIBLE,
        _ => "are no numbers",
    };
    note_in(unread, &found.source, why, cell, place);
}

/// Counts a cell of a column by a reason.
#[cold]
fn note_in(
    unread: &mut Vec<(String, &'static str, u64, String)>,
    column: &str,
    why: &'static str,
    cell: Cell<'_>,
    place: impl FnOnce() -> String,
) {
    if let Some((_, _, count, _)) =
        unread.iter_mut().find(|(other, reason, ..)| other == column && *reason == why)
    {
        *count += 1;
        return;
    }
    let shown = match cell {
        Cell::Text(text) => text::decode(text).chars().take(40).collect(),
        Cell::Number(value) => value.to_string(),
        Cell::Empty | Cell::Date(..) => "a date".to_owned(),
    };
    unread.push((column.to_owned(), why, 1, format!("{shown:?} in {}", place())));
}
