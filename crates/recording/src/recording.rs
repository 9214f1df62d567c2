//! Files of a recording to placed rows, whatever kind of file they are.

mod bus;
mod configuration;
mod open;
mod step;
mod tables;

pub use open::dbc;

use crate::can::Log;
use crate::clock::Placed;
use crate::report::{Report, Reporter, Said};
use crate::table::{Level, Table, first_number};
use crate::{Error, Options, Quantity, Row, Skipped};
use bus::Bus;
use configuration::{configuration_of_bus, configuration_of_tables};
use std::collections::VecDeque;
use std::path::PathBuf;
use step::{Step, merge};
use tables::Tables;

/// Most unused columns or identifiers that are named.
const MAX_UNUSED: usize = 200;

/// A recording of one or several files, read once from its beginning to its end.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("trip.csv");
/// std::fs::write(&path, "time_s,voltage_v,current_a\n0,3.70,-1.5\n1,3.69,-1.5\n")?;
/// let now_ms = 1_790_000_000_000;
/// let options = voltmesh_recording::Options::new(now_ms);
/// let mut recording = voltmesh_recording::Recording::open(&[path], &options)?;
/// while let Some(placed) = recording.next()? {
///     assert_eq!(placed.item.pack_current, Ok(-1.5));
/// }
/// let report = recording.report();
/// assert_eq!((report.samples, report.usable), (2, true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Recording {
    options: Options,
    /// In the order of time.
    files: Vec<PathBuf>,
    /// Whether they were given in another one.
    reordered: bool,
    /// The file to come.
    next: usize,
    source: Source,
    ready: VecDeque<Placed<Row>>,
    /// The last row that was given.
    row: Placed<Row>,
    reporter: Reporter,
    /// Whether the reporter is given the rows.
    counts: bool,
    /// What the files that have ended said.
    said: Said,
    level: Level,
    ended: bool,
}

enum Source {
    Tables(Box<Tables>),
    Bus(Box<Bus>),
}

impl Recording {
    /// The next row, which is there until the one after it is read; `None` at the end.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Format`] if a file cannot be read on, and at the end if no row is usable, with what was
    /// never there; [`Error::Mapping`] if a wanted message came on two buses.
    #[expect(clippy::should_implement_trait, reason = "a row can fail")]
    pub fn next(&mut self) -> Result<Option<&Placed<Row>>, Error> {
        let next = self.advance();
        self.ended |= next.is_err();
        if !next? {
            return Ok(None);
        }
        if self.counts {
            self.reporter.row(self.row.segment, self.row.time, &self.row.item);
        }
        Ok(Some(&self.row))
    }

    /// The last row that was read.
    #[must_use]
    pub const fn row(&self) -> &Row {
        &self.row.item
    }

    /// The same recording, whose report says nothing of values: for a reader that has looked at the files before.
    #[must_use]
    pub fn uncounted(mut self) -> Self {
        self.counts = false;
        self
    }

    /// Goes to the next row; false at the end.
    fn advance(&mut self) -> Result<bool, Error> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                self.row = row;
                return Ok(true);
            }
            if self.ended {
                return Ok(false);
            }
            let step = match &mut self.source {
                Source::Tables(tables) => tables.step(&mut self.row, &mut self.ready)?,
                Source::Bus(bus) => bus.step(&mut self.ready)?,
            };
            if matches!(step, Step::Row) {
                return Ok(true);
            }
            if matches!(step, Step::End) && !self.open_next()? {
                self.ended = true;
                match &mut self.source {
                    Source::Tables(tables) => tables.end(&mut self.ready),
                    Source::Bus(bus) => bus.end(&mut self.ready)?,
                }
            }
        }
    }

    /// Ends the open file and opens the one to come; false if there is none.
    fn open_next(&mut self) -> Result<bool, Error> {
        let several = self.files.len() > 1;
        match &mut self.source {
            Source::Tables(tables) => {
                if let Some(table) = tables.table.take() {
                    tables.columns = Some(table.columns(&self.options.of_tables()));
                    merge(&mut self.said, table.said(Vec::new()), several.then(|| table.place()));
                }
            }
            Source::Bus(bus) => bus.close(&mut self.said, several),
        }
        let Some(path) = self.files.get(self.next) else { return Ok(false) };
        let first = self.next == 0;
        self.next += 1;
        match &mut self.source {
            Source::Tables(tables) => {
                if !first {
                    tables.clock.next_file(&mut tables.out);
                    self.ready.extend(tables.out.drain(..));
                }
                let table = Table::open(path, &self.options.of_tables())?;
                // A voltage that no column has is the sum of the cells.
                let present = table.mapping().map(|found| found.quantity);
                self.reporter.set_present(present.chain([Quantity::PackVoltage]));
                if table.state().is_some() {
                    self.reporter.set_sign_stated();
                }
                if first {
                    self.level = table.level();
                    self.reporter.set_cell(table.level() == Level::Cell);
                } else if table.level() != self.level {
                    let problem = "it speaks of a cell where the files before speak of a pack, or the other way: read them apart";
                    return Err(Error::format(path.display(), problem));
                }
                tables.table = Some(table);
            }
            Source::Bus(bus) => bus.open(path, first, &mut self.ready)?,
        }
        Ok(true)
    }

    /// Files in the order in which they are read.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether the voltage is a cell's or a pack's.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Number of rows or frames that were left out so far. Cheap: it may be asked after each row.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        let (open, clock) = match &self.source {
            Source::Tables(tables) => (tables.table.as_ref().map(Table::skipped), tables.clock.skipped()),
            Source::Bus(bus) => (bus.log.as_ref().map(Log::skipped), bus.clock.skipped()),
        };
        self.said.skipped.total() + open.map_or(0, Skipped::total) + clock.total()
    }

    /// Wanted signals of a bus that no frame had so far.
    #[must_use]
    pub fn never_seen(&self) -> Vec<String> {
        match &self.source {
            Source::Tables(_) => Vec::new(),
            Source::Bus(bus) => bus.decoder().never_seen(),
        }
    }

    /// What makes the mapping, the units, the current's sign or the clock doubtful by the rows so far, whatever the values are;
    /// each with its remedy.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        let said = self.said();
        let mut doubts = said.doubts;
        self.reporter.judge_sign(&said.sources, &mut doubts);
        doubts
    }

    /// What was read so far; of the whole recording after its last row.
    #[must_use]
    pub fn report(&self) -> Report {
        self.reporter.finish(self.said(), &self.row.item)
    }

    /// The number that the recording gives its first cell: 0 or 1.
    #[must_use]
    pub fn first_cell(&self) -> usize {
        let of_cells = |(quantity, source): &(Quantity, String)| {
            (*quantity == Quantity::Cells).then(|| first_number(source))
        };
        self.said().sources.iter().find_map(of_cells).unwrap_or(1)
    }

    /// What is said of all files but their values, with the one that is open.
    #[must_use]
    pub fn said(&self) -> Said {
        let mut said = self.said.clone();
        match &self.source {
            Source::Tables(tables) => {
                if let Some(table) = &tables.table {
                    let several = self.files.len() > 1;
                    merge(&mut said, table.said(Vec::new()), several.then(|| table.place()));
                }
                said.skipped.merge(tables.clock.skipped());
                let clock = tables.clock.said();
                said.warnings.extend(clock.iter().cloned());
                said.clock.extend(clock);
            }
            Source::Bus(bus) => bus.say(&mut said),
        }
        said.unused.truncate(MAX_UNUSED);
        said
    }

    /// The part of a vehicle's configuration that reads these files so, as TOML.
    #[must_use]
    pub fn configuration(&self) -> String {
        match &self.source {
            Source::Tables(tables) => {
                let options = self.options.of_tables();
                let open = tables.table.as_ref().map(|table| table.columns(&options));
                let columns = open.or_else(|| tables.columns.clone());
                configuration_of_tables(&self.files, &self.options, self.level, columns)
            }
            Source::Bus(bus) => configuration_of_bus(&self.files, &self.options, bus),
        }
    }
}
