//! Recorded files: tables, and logs of a bus.

use super::sample::Sampler;
use super::{Cursor, Level, Next, PackLayout, Sampled, Source, fingerprint};
use crate::Error;
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use voltmesh_recording::can::Signals;
use voltmesh_recording::report::{Report, Said};
use voltmesh_recording::table::{self, Columns};
use voltmesh_recording::{Battery, Options, Recording, Stamp};
use voltmesh_telemetry::MAX_CELLS;

/// Between two passes of a recording, at least, in ms.
const PASS_MS: u64 = 1000;

/// Recorded tables, one after the other.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayConfig {
    /// Tables (CSV and its kin, Parquet, XLSX), plain or gzip; relative to the working folder.
    pub files: Vec<PathBuf>,
    /// Which column means what. Default: found out from the file.
    pub columns: Option<Columns>,
    /// Whether the file speaks of a pack or of a cell. Default: of the known format; with `columns`, `pack`.
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
    /// Unix time of the recording's time 0 in milliseconds, if it states no date. Default: when the replay first started.
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

    /// How the files are to be read.
    #[must_use]
    pub fn options(&self, now_ms: u64) -> Options {
        let mut table = self.columns.as_ref().map(table::Options::from).unwrap_or_default();
        table.level = self.level.or(self.columns.is_some().then_some(Level::Pack));
        Options { table, start_ms: self.start_ms, ..Options::new(now_ms) }
    }
}

/// A recorded bus.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandumpConfig {
    /// Logs of a bus in any known format, plain or gzip.
    pub files: Vec<PathBuf>,
    /// What the frames mean. Default: only answers of control units are read.
    pub dbc: Option<PathBuf>,
    /// What answers of control units mean. Default: they are not read.
    pub diagnostics: Option<PathBuf>,
    /// Which signals of the DBC file.
    #[serde(default)]
    pub signals: Signals,
    /// Only frames of this interface. Default: of all.
    pub interface: Option<String>,
    /// At most one sample every so many milliseconds of the log's time. Default 1,000.
    #[serde(default = "second")]
    pub period_ms: u64,
    /// Unix time of the log's time 0 in milliseconds. A log that states no date needs it.
    pub start_ms: Option<u64>,
    /// IANA zone of a log's local times. Default: UTC, which is said.
    pub time_zone: Option<String>,
    /// Of logs of seconds: `gps_s`, which count from 1980, or `epoch_s`, from 1970; of candump: `candump_td`, whose times
    /// count from the frame before, or `candump_tz`, whose count from the first. Default: found out.
    pub time_format: Option<String>,
}

pub(super) fn second() -> u64 {
    1000
}

/// As before there were definitions of diagnostics: places of sources are known by this text.
impl fmt::Debug for CandumpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, dbc, diagnostics, signals, interface, period_ms, start_ms, time_zone, time_format } =
            self;
        let mut text = f.debug_struct("CandumpConfig");
        text.field("files", files).field("dbc", dbc.as_ref().unwrap_or(&PathBuf::new()));
        text.field("signals", signals).field("interface", interface);
        text.field("period_ms", period_ms).field("start_ms", start_ms);
        if let Some(diagnostics) = diagnostics {
            text.field("diagnostics", diagnostics);
        }
        for (name, stated) in [("time_zone", time_zone), ("time_format", time_format)] {
            if let Some(stated) = stated {
                text.field(name, stated);
            }
        }
        text.finish()
    }
}

/// Refuses a bus whose frames nothing explains.
pub(super) fn check_meaning(dbc: Option<&PathBuf>, diagnostics: Option<&PathBuf>) -> Result<(), Error> {
    if dbc.is_none() && diagnostics.is_none() {
        let problem = "wants a DBC file, or diagnostics a definition of what control units answer";
        return Err(Error::config("source.dbc", problem));
    }
    Ok(())
}

impl CandumpConfig {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.files.is_empty() {
            return Err(Error::config("source.files", "names no file"));
        }
        check_meaning(self.dbc.as_ref(), self.diagnostics.as_ref())?;
        check_period(self.period_ms)
    }

    /// How the files are to be read.
    #[must_use]
    pub fn options(&self, now_ms: u64) -> Options {
        let table = table::Options {
            time_zone: self.time_zone.clone(),
            time_format: self.time_format.clone(),
            ..table::Options::default()
        };
        Options {
            table,
            dbc: self.dbc.clone(),
            diagnostics: self.diagnostics.clone(),
            signals: Some(self.signals.clone()),
            interface: self.interface.clone(),
            period_ms: self.period_ms,
            start_ms: self.start_ms,
            needs_date: true,
            ..Options::new(now_ms)
        }
    }
}

pub(super) fn check_period(period_ms: u64) -> Result<(), Error> {
    let problem = "wants 10 to 3,600,000";
    if (10..=3_600_000).contains(&period_ms) {
        Ok(())
    } else {
        Err(Error::config("source.period_ms", problem))
    }
}

/// Reads recorded files once and says what they hold.
///
/// # Errors
/// [`Error::Recording`].
pub fn inspect(files: &[PathBuf], options: &Options) -> Result<Report, Error> {
    let mut recording = Recording::open(files, options)?;
    while recording.next()?.is_some() {}
    Ok(recording.report())
}

/// Plays recorded files.
pub struct Recorded {
    files: Vec<PathBuf>,
    options: Options,
    recording: Option<Recording>,
    sampler: Sampler,
    cursor: Cursor,
    period_ms: u64,
    repeat: u64,
    samples: u64,
    /// Rows, in all passes.
    rows: u64,
    pass: u64,
    /// Own time of the last row, and what is added in this pass.
    last_ms: u64,
    shift_ms: u64,
    /// Whether the pass has had a row, and samples in it.
    begun: bool,
    samples_in_pass: u64,
    segment: u32,
    /// Own time of the next sample that is taken, if the rate is limited.
    due_ms: u64,
    /// Samples of the recording so far, those before the place to go on from included.
    taken: u64,
    /// Rows and frames that the passes before left out, and what was said of the recording at the end of the first.
    skipped_before: u64,
    whole: Option<Said>,
    ended: bool,
}

impl Recorded {
    /// Opens tables at a place of this source, or at its beginning.
    ///
    /// # Errors
    /// [`Error::Config`]; [`Error::Recording`] for files that cannot be read so.
    pub fn tables(config: ReplayConfig, found: Cursor, now_ms: u64) -> Result<Self, Error> {
        config.check()?;
        let source = fingerprint(&["replay", &format!("{config:?}")]);
        let cursor = Cursor::resume(found, source, config.start_ms.unwrap_or(now_ms));
        let options = Options { start_ms: Some(cursor.base_ms), ..config.options(now_ms) };
        let mut this = Self::new(config.files, options, config.pack, cursor);
        this.period_ms = config.rate_hz.map_or(0, |hz| (1000.0 / hz).round() as u64);
        (this.repeat, this.samples) = (config.repeat, config.samples);
        Ok(this)
    }

    /// Opens logs of a bus at a place of this source, or at its beginning.
    ///
    /// # Errors
    /// [`Error::Config`]; [`Error::Recording`] for files that cannot be read so.
    pub fn logs(config: CandumpConfig, found: Cursor, now_ms: u64) -> Result<Self, Error> {
        config.check()?;
        let source = fingerprint(&["candump", &format!("{config:?}")]);
        let cursor = Cursor::resume(found, source, 0);
        let options = config.options(now_ms);
        Ok(Self::new(config.files, options, PackLayout::default(), cursor))
    }

    fn new(files: Vec<PathBuf>, options: Options, pack: PackLayout, cursor: Cursor) -> Self {
        Self {
            files,
            options,
            recording: None,
            sampler: Sampler::new(Level::Pack, pack),
            cursor,
            period_ms: 0,
            repeat: 1,
            samples: 0,
            rows: 0,
            pass: 0,
            last_ms: 0,
            shift_ms: 0,
            begun: false,
            samples_in_pass: 0,
            segment: 0,
            due_ms: 0,
            taken: 0,
            skipped_before: 0,
            whole: None,
            ended: false,
        }
    }

    /// Reads the next row: its own time, or `None` after the last pass.
    fn advance(&mut self) -> Result<Option<u64>, Error> {
        loop {
            let recording = match &mut self.recording {
                Some(recording) => recording,
                // Its values were looked at before the vehicle started.
                None => self.recording.insert(Recording::open(&self.files, &self.options)?.uncounted()),
            };
            if let Some(placed) = recording.next()? {
                let (segment, time) = (placed.segment, placed.time);
                return Ok(Some(self.own_ms(segment, time)));
            }
            self.end_pass()?;
            if self.ended {
                return Ok(None);
            }
        }
    }

    /// The own time of a row with this segment and stamp.
    fn own_ms(&mut self, segment: u32, time: Stamp) -> u64 {
        self.rows += 1;
        let (Stamp::Unix(ns) | Stamp::Relative(ns)) = time;
        let stated = u64::try_from(ns.div_euclid(1_000_000)).unwrap_or(0);
        if !self.begun {
            self.begun = true;
            let gap = self.period_ms.max(PASS_MS);
            self.shift_ms = if self.pass == 0 { 0 } else { (self.last_ms + gap).saturating_sub(stated) };
        }
        let own = stated.saturating_add(self.shift_ms);
        if segment != self.segment || own < self.last_ms {
            (self.segment, self.due_ms) = (segment, 0);
        }
        self.last_ms = own;
        own
    }

    fn end_pass(&mut self) -> Result<(), Error> {
        let ended = self.recording.take();
        if let Some(recording) = &ended {
            self.skipped_before += recording.skipped();
            self.whole.get_or_insert_with(|| recording.said());
        }
        if self.samples_in_pass == 0 {
            // Another pass would be as empty.
            self.ended = true;
            let reasons: Vec<String> = self
                .sampler
                .skipped()
                .iter()
                .take(5)
                .map(|(reason, count)| format!("{count} rows: {reason}"))
                .collect();
            let place = self.files.first().map(|path| path.display().to_string()).unwrap_or_default();
            return Err(Error::source(place, format!("no row is usable: {}", reasons.join("; "))));
        }
        self.pass += 1;
        self.ended = self.repeat > 0 && self.pass >= self.repeat;
        (self.begun, self.samples_in_pass) = (false, 0);
        if !self.ended {
            self.recording = ended.map(|recording| recording.again()).transpose()?;
        }
        Ok(())
    }
}

impl Source for Recorded {
    fn poll(&mut self) -> Result<Next, Error> {
        loop {
            if self.ended || (self.samples > 0 && self.taken >= self.samples) {
                return Ok(Next::End);
            }
            let Some(own_ms) = self.advance()? else { return Ok(Next::End) };
            if self.period_ms > 0 && own_ms < self.due_ms {
                continue;
            }
            let Some(recording) = &self.recording else { continue };
            self.sampler.set_level(recording.level());
            let Some(sample) = self.sampler.sample(recording.row(), own_ms) else { continue };
            if let Some(periods) = own_ms.checked_div(self.period_ms) {
                self.due_ms = (periods + 1) * self.period_ms;
            }
            self.taken += 1;
            self.samples_in_pass += 1;
            if self.rows <= self.cursor.done {
                continue; // before the place to go on from
            }
            self.cursor.done = self.rows;
            return Ok(Next::Sample(Sampled { sample, cursor: self.cursor }));
        }
    }

    fn skipped(&self) -> u64 {
        let open = self.recording.as_ref().map_or(0, |recording| recording.skipped());
        self.skipped_before + open + self.sampler.skipped_total()
    }

    fn said(&self) -> Vec<String> {
        let mut said = vec![format!("{} rows read, {} samples taken", self.rows, self.taken)];
        let open = self.recording.as_ref().map(Recording::said);
        if let Some(whole) = open.as_ref().or(self.whole.as_ref()) {
            said.extend(whole.skipped.iter().map(|(reason, count, _)| format!("{count} skipped: {reason}")));
            said.extend(whole.warnings.iter().cloned());
        }
        said.extend(
            self.sampler.skipped().iter().map(|(reason, count)| format!("{count} rows skipped: {reason}")),
        );
        said
    }
}

/// The battery that a vehicle's configuration states, for the check of its recordings.
#[must_use]
pub fn stated(chemistry: Option<voltmesh_battery::Chemistry>, cells_in_series: Option<u32>) -> Battery {
    use voltmesh_battery::Chemistry as Of;
    use voltmesh_recording::Chemistry;
    let chemistry = chemistry.map(|chemistry| match chemistry {
        Of::Lfp => Chemistry::Lfp,
        Of::Nmc => Chemistry::Nmc,
        Of::Nca => Chemistry::Nca,
    });
    Battery { chemistry, cells_in_series, is_cell: false }
}
