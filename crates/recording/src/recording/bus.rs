//! Logs of a bus, one after the other.

use super::step::{Step, at, merge};
use crate::can::{self, Decoder, Frame, Log, Sampler, Signals, Stated};
use crate::clock::{Clock, Placed};
use crate::report::Said;
use crate::row::is_usable;
use crate::table::log_can_be_gps;
use crate::{Error, Row, Skipped, Stamp};
use std::collections::VecDeque;
use std::path::Path;

/// Identifiers that are named as not used.
const MAX_NAMED: usize = 20;

/// Logs of a bus.
pub(super) struct Bus {
    pub clock: Clock<Frame>,
    pub sampler: Sampler,
    pub signals: Signals,
    pub log: Option<Log>,
    pub interface: Option<can::Bus>,
    pub stated: Stated,
    /// What was assumed, and what is doubtful, before the first frame.
    pub warnings: Vec<String>,
    pub doubts: Vec<String>,
    pub needs_start: bool,
    pub usable: u64,
    pub others: u64,
    pub out: Vec<Placed<Frame>>,
    pub place: String,
    /// Whether a frame of the open log had a date.
    pub is_dated: bool,
}

impl Bus {
    pub fn decoder(&self) -> &Decoder {
        self.sampler.decoder()
    }

    /// Reads a frame.
    pub fn step(&mut self, ready: &mut VecDeque<Placed<Row>>) -> Result<Step, Error> {
        let Some(log) = &mut self.log else { return Ok(Step::End) };
        let Some(frame) = log.next()? else { return Ok(Step::End) };
        match frame.time {
            Stamp::Unix(ns) if !self.is_dated => {
                self.is_dated = true;
                let is_open = self.stated.gps.is_none() && log.counts_seconds();
                self.doubts.extend(is_open.then(|| log_can_be_gps(Path::new(&self.place), ns)).flatten());
            }
            Stamp::Relative(_) if self.stated.gps.is_some() => {
                let problem = "time_format states seconds from 1970 or 1980, and the log's times are of a clock without a \
                               date (of candump, candump_td or candump_tz): give start_ms";
                return Err(Error::mapping(&self.place, problem));
            }
            _ => {}
        }
        if self.interface.is_some() && frame.bus != self.interface {
            self.others += 1;
            return Ok(Step::More);
        }
        if !frame.has_data() {
            return Ok(Step::More);
        }
        if let Some((segment, time)) = self.clock.follows(frame.time) {
            self.take(Placed { item: frame, segment, time }, ready);
        } else {
            let pushed = self.clock.push(frame.time, frame, &mut self.out);
            pushed.map_err(|error| at(&self.place, error))?;
            self.sample(ready)?;
        }
        self.check_senders().map(|()| Step::More)
    }

    /// Gives a placed frame to the sampler.
    fn take(&mut self, placed: Placed<Frame>, ready: &mut VecDeque<Placed<Row>>) {
        if let Some(row) = self.sampler.take(placed) {
            self.usable += u64::from(is_usable(&row.item));
            ready.push_back(row);
        }
    }

    /// Gives the placed frames to the sampler.
    fn sample(&mut self, ready: &mut VecDeque<Placed<Row>>) -> Result<(), Error> {
        let mut out = std::mem::take(&mut self.out);
        for placed in out.drain(..) {
            self.take(placed, ready);
        }
        self.out = out;
        self.check_senders()
    }

    /// Refuses a wanted message that two devices send.
    fn check_senders(&self) -> Result<(), Error> {
        let decoder = self.sampler.decoder();
        if decoder.is_on_two_buses() {
            return Err(self.two_buses());
        }
        let Some((name, one, other)) = decoder.of_two_senders() else { return Ok(()) };
        let problem = format!(
            "the wanted message {name} comes from two source addresses (0x{one:02X}, 0x{other:02X}), which are two devices: \
             state the whole identifier of one in the DBC file, and no VFrameFormat J1939PG for it"
        );
        Err(Error::mapping(&self.place, problem))
    }

    fn two_buses(&self) -> Error {
        let (id, one, other) = self.decoder().on_two_buses().next().unwrap_or((0, None, can::Bus::default()));
        let one = one.map_or_else(|| "one without a name".to_owned(), |bus| bus.to_string());
        let problem = format!(
            "the wanted message {id:X} comes on two buses ({one}, {other}), which may be two devices: choose one \
             (interface = \"{other}\" under [source])"
        );
        Error::mapping(&self.place, problem)
    }

    /// Opens the next log.
    pub fn open(&mut self, path: &Path, first: bool, ready: &mut VecDeque<Placed<Row>>) -> Result<(), Error> {
        if !first {
            self.clock.next_file(&mut self.out);
            self.sample(ready)?;
        }
        self.place = path.display().to_string();
        self.is_dated = false;
        self.log = Some(log(path, &self.stated)?);
        Ok(())
    }

    /// Ends the open log.
    pub fn close(&mut self, said: &mut Said, several: bool) {
        let Some(log) = self.log.take() else { return };
        let format = log.format().to_owned();
        let warnings = log.warnings().map(str::to_owned).collect();
        let doubts = log.doubt().map(str::to_owned).into_iter().collect();
        let file = Said { format, warnings, doubts, skipped: log.skipped().clone(), ..Said::default() };
        merge(said, file, several.then_some(self.place.as_str()));
    }

    /// Ends the recording.
    pub fn end(&mut self, ready: &mut VecDeque<Placed<Row>>) -> Result<(), Error> {
        self.clock.flush(&mut self.out);
        self.sample(ready)?;
        if let Some(row) = self.sampler.end() {
            self.usable += u64::from(is_usable(&row.item));
            ready.push_back(row);
        }
        if self.usable > 0 {
            return Ok(());
        }
        let never = self.decoder().never_seen();
        let (frames, ids) = self.decoder().counted().fold((0, 0), |(n, ids), c| (n + c.frames, ids + 1));
        let left_out = self.clock.skipped().iter().max_by_key(|(_, count, _)| *count);
        let why = match (left_out, never.as_slice()) {
            // No frame came as far as the signals.
            (Some((reason, ..)), _) if frames == 0 => format!("of all frames, {reason}"),
            (_, []) => "voltage and current are never known at the same time".to_owned(),
            (_, some) => format!("never seen: {}", some.join(", ")),
        };
        let lost = self.decoder().lost().into_iter().flat_map(Skipped::iter);
        let lost: String = lost.map(|(reason, count, _)| format!("; {count} {reason}")).collect();
        let skipped = match self.clock.skipped().total() {
            0 => String::new(),
            count => format!("; {count} frames were left out for their stamps"),
        };
        let problem = format!(
            "no sample is usable: {why} ({frames} frames of {ids} identifiers were read{skipped}{lost}): check the signals, \
             the DBC file and the interface"
        );
        Err(Error::format(&self.place, problem))
    }

    /// What is to be said of all logs.
    pub fn say(&self, said: &mut Said) {
        if let Some(log) = &self.log {
            said.format = log.format().to_owned();
            said.doubts.extend(log.doubt().map(str::to_owned));
            said.skipped.merge(log.skipped());
        }
        said.skipped.merge(self.clock.skipped());
        for (reason, count, first) in self.decoder().lost().into_iter().flat_map(Skipped::iter) {
            said.warnings.push(format!("{count} {reason} (first: {first})"));
        }
        let clock = self.clock.said();
        said.warnings.extend(self.warnings.iter().cloned());
        said.warnings.extend(self.decoder().warnings().iter().cloned());
        said.warnings.extend(clock.iter().cloned());
        said.clock.extend(clock);
        let never = self.decoder().never_seen();
        if !never.is_empty() {
            said.warnings.push(format!("never seen: {}", never.join(", ")));
        }
        for (name, count, first) in self.decoder().with_codes() {
            said.warnings.push(format!(
                "{count} values of {name} are numbers that devices use for codes (first: 0x{first:X}) and far from the value \
                 before: taken for \"not available\" or an error, and unknown; a word for it in VAL_ makes such a number a \
                 value"
            ));
        }
        if self.others > 0 {
            said.warnings.push(format!("{} frames of other interfaces are not read", self.others));
        }
        said.doubts.extend(self.doubts.iter().cloned());
        if self.needs_start && self.clock.is_relative() {
            said.doubts.push(
                "the log states no date: give start_ms, the Unix time of its time 0 in milliseconds".into(),
            );
        }
        for (quantity, source, unit) in self.decoder().sources() {
            let unit = if unit.is_empty() { String::new() } else { format!(" [{unit}]") };
            said.sources.push((quantity, format!("{source}{unit}")));
        }
        let mut unused: Vec<_> = self.decoder().counted().filter(|counted| counted.used == 0).collect();
        unused.sort_by_key(|counted| std::cmp::Reverse(counted.frames));
        let named = unused.iter().take(MAX_NAMED);
        said.unused.extend(named.map(|counted| format!("{:X} ({} frames)", counted.id, counted.frames)));
        if unused.len() > MAX_NAMED {
            said.unused.push(format!("{} further identifiers", unused.len() - MAX_NAMED));
        }
    }
}

/// A log that states times.
pub(super) fn log(path: &Path, stated: &Stated) -> Result<Log, Error> {
    let log =
        Log::find(path)?.ok_or_else(|| Error::format(path.display(), "this is no log of frames any more"))?;
    if !log.timed() {
        let problem =
            format!("this {} log states no times: record with `candump -L` or `candump -ta`", log.format());
        return Err(Error::format(path.display(), problem));
    }
    log.with_stated(stated)
}
