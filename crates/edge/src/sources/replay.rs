//! Tables of recorded data.

use super::columns::{Columns, Located, Row};
use super::{Cursor, Level, Next, PackLayout, Sampled, Source, fingerprint, lines};
use crate::Error;
use serde::Deserialize;
use std::io::BufRead;
use std::path::PathBuf;
use voltmesh_telemetry::{
    CentiPercent, Centidegrees, Charger, Contactor, MAX_CELLS, Milliamps, Millivolts, Millivolts16, Sample,
    Timestamp,
};

/// Recorded tables, one after the other.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayConfig {
    /// CSV files, plain or gzip; relative to the working folder.
    pub files: Vec<PathBuf>,
    /// Which column means what. Default: found out from the first line (Battery Data Format, BMW i3 trips, Panasonic
    /// 18650PF cycles).
    pub columns: Option<Columns>,
    /// Whether the file speaks of a pack or of a cell. Default: of the known format, else `pack`.
    pub level: Option<Level>,
    /// For a cell: the pack that is made of it. Default one cell.
    #[serde(default)]
    pub pack: PackLayout,
    /// At most so many samples per second of recorded time; the rows between are left out. Default: all rows.
    pub rate_hz: Option<f64>,
    /// How often to play the files; 0 for ever. Default 1.
    #[serde(default = "once")]
    pub repeat: u64,
    /// Samples after which it ends; 0 for no such end. Default 0.
    #[serde(default)]
    pub samples: u64,
    /// Unix time of the recording's time 0 in milliseconds. Default: when the replay first started.
    pub start_ms: Option<u64>,
}

fn once() -> u64 {
    1
}

impl ReplayConfig {
    /// All defaults for these files.
    #[must_use]
    pub fn new(files: Vec<PathBuf>) -> Self {
        let pack = PackLayout::default();
        Self { files, columns: None, level: None, pack, rate_hz: None, repeat: 1, samples: 0, start_ms: None }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.files.is_empty() {
            return Err(Error::config("source.files", "names no file"));
        }
        if !(1..=MAX_CELLS as u16).contains(&self.pack.series) || self.pack.parallel == 0 {
            return Err(Error::config(
                "source.pack",
                format!("wants 1 to {MAX_CELLS} in series, 1 or more in parallel"),
            ));
        }
        if self.rate_hz.is_some_and(|hz| !(hz > 0.0 && hz <= 1000.0)) {
            return Err(Error::config("source.rate_hz", "wants more than 0 and at most 1000"));
        }
        Ok(())
    }
}

/// Plays tables.
pub struct Replay {
    config: ReplayConfig,
    period_ms: u64,
    cursor: Cursor,
    /// Rows seen, in all passes.
    rows: u64,
    pass: u64,
    file: usize,
    open: Option<Open>,
    /// Own time of the last row, and what was added for the files before this one.
    last_ms: u64,
    shift_ms: u64,
    /// Own time of the next sample that is taken, if the rate is limited.
    due_ms: u64,
    temperatures: Vec<Option<f64>>,
    skipped: u64,
    rows_in_pass: u64,
    /// Samples of the recording so far, those before the place to go on from included.
    taken: u64,
}

struct Open {
    reader: Box<dyn BufRead + Send>,
    located: Located,
    columns: Columns,
    level: Level,
    place: PathBuf,
    first_ms: Option<u64>,
}

impl Replay {
    /// Opens at a place of this source, or at its beginning.
    ///
    /// # Errors
    /// [`Error::Config`]; files are opened when it is their turn.
    pub fn open(config: ReplayConfig, found: Cursor, now_ms: u64) -> Result<Self, Error> {
        config.check()?;
        let source = fingerprint(&["replay", &format!("{config:?}")]);
        let cursor = Cursor::resume(found, source, config.start_ms.unwrap_or(now_ms));
        let period_ms = config.rate_hz.map_or(0, |hz| (1000.0 / hz).round() as u64);
        Ok(Self {
            config,
            period_ms,
            cursor,
            rows: 0,
            pass: 0,
            file: 0,
            open: None,
            last_ms: 0,
            shift_ms: 0,
            due_ms: 0,
            temperatures: Vec::new(),
            skipped: 0,
            rows_in_pass: 0,
            taken: 0,
        })
    }

    /// Opens the next file; false at the end.
    fn advance(&mut self) -> Result<bool, Error> {
        if self.file == self.config.files.len() {
            self.pass += 1;
            self.file = 0;
            let empty = std::mem::take(&mut self.rows_in_pass) == 0;
            if (self.config.repeat > 0 && self.pass >= self.config.repeat) || empty {
                self.pass = u64::MAX / 2; // stay at the end
                self.file = self.config.files.len();
                return Ok(false);
            }
        }
        let path = self.config.files[self.file].clone();
        self.file += 1;
        let place = path.display().to_string();
        let mut reader = lines::open(&path)?;
        let header = loop {
            match lines::next_line(&mut *reader, &path)? {
                Some(line) if line.is_empty() || line.starts_with('#') => {}
                Some(line) => break line,
                None => return Err(Error::source(place, "the file is empty")),
            }
        };
        let detected = Columns::detect(&header);
        let (columns, cell) = match (&self.config.columns, detected) {
            (Some(columns), _) => (columns.clone(), false),
            (None, Some((columns, cell))) => (columns, cell),
            (None, None) => {
                let problem = "its columns are none of the known formats: name them under [source.columns]";
                return Err(Error::source(place, problem));
            }
        };
        let level = self.config.level.unwrap_or(if cell { Level::Cell } else { Level::Pack });
        let located = columns.locate(&header, &place)?;
        // The next file follows after the one before it, as one recording.
        self.shift_ms = if self.rows == 0 { 0 } else { self.last_ms + self.period_ms.max(1000) };
        self.temperatures = vec![None; located.temperatures.len()];
        self.open = Some(Open { reader, located, columns, level, place: path, first_ms: None });
        Ok(true)
    }

    /// The next row that can be used.
    fn row(&mut self) -> Result<Option<(Row, Level)>, Error> {
        loop {
            if self.open.is_none() && !self.advance()? {
                return Ok(None);
            }
            let Some(open) = &mut self.open else { return Ok(None) };
            let Some(line) = lines::next_line(&mut *open.reader, &open.place)? else {
                self.open = None;
                continue;
            };
            self.rows += 1;
            self.rows_in_pass += 1;
            match open.located.row(&line, &open.columns) {
                Some(row) if row.seconds >= 0.0 => {
                    let level = open.level;
                    let ms = (row.seconds * 1000.0).round() as u64;
                    let first = *open.first_ms.get_or_insert(ms);
                    // Only the first file's time 0 counts as the recording's.
                    let start = if self.shift_ms == 0 { 0 } else { first };
                    self.last_ms = self.shift_ms + ms.saturating_sub(start);
                    return Ok(Some((row, level)));
                }
                _ => self.skipped += 1,
            }
        }
    }

    fn sample(&mut self, row: Row, level: Level) -> Option<Sample> {
        for (kept, new) in self.temperatures.iter_mut().zip(&row.temperatures) {
            *kept = new.or(*kept);
        }
        let (volts, amperes, cells) = match level {
            Level::Pack => (row.volts, row.amperes, row.cells),
            Level::Cell => {
                let cells = self.config.pack.cells(row.volts);
                (cells.iter().sum(), row.amperes * f64::from(self.config.pack.parallel), cells)
            }
        };
        let soc = row.percent.map(|p| p.clamp(0.0, 100.0)).and_then(CentiPercent::from_base);
        Some(Sample {
            time: Timestamp::from_millis(self.cursor.base_ms.saturating_add(self.last_ms)),
            pack_voltage: Millivolts::from_base(volts)?,
            pack_current: Milliamps::from_base(amperes)?,
            cells: cells.into_iter().map(Millivolts16::from_base).collect::<Option<_>>()?,
            // A sensor that has not spoken yet is left out; one that falls silent keeps its last value.
            temperatures: self
                .temperatures
                .iter()
                .flatten()
                .filter_map(|t| Centidegrees::from_base(*t))
                .collect(),
            soc: soc.unwrap_or(CentiPercent::UNKNOWN),
            contactor: Contactor::Closed,
            charger: Charger::Unknown,
        })
    }
}

impl Source for Replay {
    fn poll(&mut self) -> Result<Next, Error> {
        loop {
            if self.config.samples > 0 && self.taken >= self.config.samples {
                return Ok(Next::End);
            }
            let Some((row, level)) = self.row()? else { return Ok(Next::End) };
            let taken = self.period_ms == 0 || self.last_ms >= self.due_ms;
            if !taken {
                continue;
            }
            if let Some(periods) = self.last_ms.checked_div(self.period_ms) {
                self.due_ms = (periods + 1) * self.period_ms;
            }
            let Some(sample) = self.sample(row, level) else {
                self.skipped += 1;
                continue;
            };
            self.taken += 1;
            if self.rows <= self.cursor.done {
                continue; // before the place to go on from
            }
            self.cursor.done = self.rows;
            return Ok(Next::Sample(Sampled { sample, cursor: self.cursor }));
        }
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }
}
