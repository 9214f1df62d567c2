//! Logs of `candump -L`.

use super::{Cursor, Decoder, Next, Sampled, Signals, Source, fingerprint, lines};
use crate::Error;
use serde::Deserialize;
use socketcan::dump::{CanDumpRecord, ParseError, Reader};
use socketcan::{CanAnyFrame, EmbeddedFrame as _, Frame as _};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use voltmesh_telemetry::Timestamp;

/// A recorded bus.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandumpConfig {
    /// Logs of `candump -L`, plain or gzip, one after the other.
    pub files: Vec<PathBuf>,
    /// What the frames mean.
    pub dbc: PathBuf,
    /// Which signals.
    pub signals: Signals,
    /// Only frames of this interface. Default: of all.
    pub interface: Option<String>,
    /// A sample every so many milliseconds of the log's time. Default 1,000.
    #[serde(default = "second")]
    pub period_ms: u64,
}

pub(super) fn second() -> u64 {
    1000
}

impl CandumpConfig {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.files.is_empty() {
            return Err(Error::config("source.files", "names no file"));
        }
        check_period(self.period_ms)
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

type Log = Reader<BufReader<Box<dyn BufRead + Send>>>;

/// Plays logs. Their time stamps are the samples' times.
pub struct Candump {
    config: CandumpConfig,
    decoder: Decoder,
    cursor: Cursor,
    lines: u64,
    file: usize,
    open: Option<(Log, PathBuf)>,
    next_ms: Option<u64>,
    skipped: u64,
}

impl Candump {
    /// Opens at a place of this source, or at its beginning.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::File`] or [`Error::Source`].
    pub fn open(config: CandumpConfig, found: Cursor) -> Result<Self, Error> {
        config.check()?;
        let source = fingerprint(&["candump", &format!("{config:?}")]);
        let decoder = Decoder::open(&config.dbc, &config.signals)?;
        let cursor = Cursor::resume(found, source, 0);
        Ok(Self { config, decoder, cursor, lines: 0, file: 0, open: None, next_ms: None, skipped: 0 })
    }

    /// The next record; lines that are none are counted and left out.
    fn record(&mut self) -> Result<Option<CanDumpRecord>, Error> {
        loop {
            if let Some((log, path)) = &mut self.open {
                match log.next_record() {
                    Ok(Some(record)) => {
                        self.lines += 1;
                        return Ok(Some(record));
                    }
                    Ok(None) => self.open = None,
                    Err(ParseError::Io(e)) => return Err(Error::file(path, "reading")(e)),
                    Err(_) => {
                        self.lines += 1;
                        self.skipped += 1;
                    }
                }
                continue;
            }
            let Some(path) = self.config.files.get(self.file).cloned() else { return Ok(None) };
            self.file += 1;
            self.open = Some((Reader::from_reader(lines::open(&path)?), path));
        }
    }

    /// Takes a record in; the time of a sample that is due after it.
    fn take(&mut self, record: &CanDumpRecord) -> Option<u64> {
        if self.config.interface.as_ref().is_some_and(|wanted| *wanted != record.device) {
            return None;
        }
        if !matches!(record.frame, CanAnyFrame::Normal(_) | CanAnyFrame::Fd(_)) {
            return None;
        }
        let ms = record.t_us / 1000;
        self.decoder.frame(record.frame.raw_id(), record.frame.is_extended(), record.frame.data());
        let due = *self.next_ms.get_or_insert(ms);
        if ms < due {
            return None;
        }
        self.next_ms = Some((ms / self.config.period_ms + 1) * self.config.period_ms);
        Some(ms)
    }
}

impl Source for Candump {
    fn poll(&mut self) -> Result<Next, Error> {
        loop {
            let Some(record) = self.record()? else { return Ok(Next::End) };
            let Some(ms) = self.take(&record) else { continue };
            if self.lines <= self.cursor.done {
                continue; // before the place to go on from; the signals' values are kept
            }
            if let Some(sample) = self.decoder.sample(Timestamp::from_millis(ms)) {
                self.cursor.done = self.lines;
                return Ok(Next::Sample(Sampled { sample, cursor: self.cursor }));
            }
        }
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }
}
