//! Report on a recording: what it holds, and whether it is plausible.
//!
//! A [`Reporter`] is given each row with its final time; its [`Report`] says per quantity what was read, and per doubt
//! the reason with its remedy. A single value beyond a limit among more than 1,000 is a warning, not a doubt: sensors
//! glitch.

mod alone;
mod counts;
mod judge;

use crate::battery::limits;
use crate::unit::MOST_FRACTION;
use crate::{Battery, Quantity, Reading, Row, Skipped, Stamp};
use alone::Alone;
use counts::{Steps, Sums, Tally};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether a recording can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All that was read is plausible.
    Usable,
    /// Something that was read is not plausible: see the reasons.
    Doubtful,
    /// No voltage or no current was read.
    Unread,
}

/// A moment: a date if the recording states one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Moment {
    /// RFC 3339, UTC.
    Date(String),
    /// Seconds since the recording's time 0.
    Seconds(f64),
}

impl From<Stamp> for Moment {
    fn from(stamp: Stamp) -> Self {
        match stamp {
            Stamp::Unix(ns) => {
                let date = chrono::DateTime::from_timestamp_nanos(ns);
                Self::Date(date.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
            }
            Stamp::Relative(ns) => Self::Seconds(ns as f64 / 1e9),
        }
    }
}

/// A run of rows whose times never decrease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Of its first row.
    pub start: Moment,
    /// Of its last row.
    pub end: Moment,
    /// Its rows.
    pub samples: u64,
}

/// Values of one row: one, or one for each cell or sensor. `None` is unknown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// Of a quantity of one value.
    One(Option<f64>),
    /// Of cells and temperatures.
    Many(Vec<Option<f64>>),
}

/// Report on one quantity, in the unit that is stated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantityReport {
    /// Columns or signals.
    pub source: String,
    /// Unit of the values here.
    pub unit: String,
    /// Known values.
    pub n: u64,
    /// Unknown values.
    pub unknown: u64,
    /// Least.
    pub min: Option<f64>,
    /// Most.
    pub max: Option<f64>,
    /// Of the first row.
    pub first: Values,
    /// Of the last row.
    pub last: Values,
}

/// Report on a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What the file was taken for.
    pub format: String,
    /// What was said of the clock.
    pub clock: Vec<String>,
    /// In the order of reading.
    pub segments: Vec<Segment>,
    /// By name: `pack_voltage_v`, `pack_current_a`, `soc_pct`, `cells_mv`, `temperatures_c`, …
    pub quantities: BTreeMap<String, QuantityReport>,
    /// Rows that were read.
    pub samples: u64,
    /// Rows that were not, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// What was assumed.
    pub warnings: Vec<String>,
    /// Columns or signals that were not read.
    pub unused: Vec<String>,
    /// Whether the verdict is [`Verdict::Usable`].
    pub usable: bool,
    /// Whether it can be used.
    pub verdict: Verdict,
    /// Of the verdict, each with its remedy.
    pub reasons: Vec<String>,
}

/// Remarks of the reader of a recording, beside its rows.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// See [`Report::format`].
    pub format: String,
    /// See [`Report::clock`].
    pub clock: Vec<String>,
    /// Column or signal of each quantity.
    pub sources: Vec<(Quantity, String)>,
    /// See [`Report::skipped`].
    pub skipped: Skipped,
    /// See [`Report::warnings`].
    pub warnings: Vec<String>,
    /// What makes values doubtful.
    pub doubts: Vec<String>,
    /// See [`Report::unused`].
    pub unused: Vec<String>,
}

/// Quantities of a report: name, factor from the base unit, unit, and which it is.
const REPORTED: [(&str, f64, &str, Quantity); 10] = [
    ("pack_voltage_v", 1.0, "V", Quantity::PackVoltage),
    ("pack_current_a", 1.0, "A", Quantity::PackCurrent),
    ("soc_pct", 1.0, "%", Quantity::Soc),
    ("cells_mv", 1000.0, "mV", Quantity::Cells),
    ("temperatures_c", 1.0, "°C", Quantity::Temperatures),
    ("insulation_ohm", 1.0, "Ω", Quantity::Insulation),
    ("ambient_c", 1.0, "°C", Quantity::Ambient),
    ("coolant_c", 1.0, "°C", Quantity::Coolant),
    ("speed_kmh", 1.0, "km/h", Quantity::Speed),
    ("charge_counter_ah", 1.0, "Ah", Quantity::ChargeCounter),
];

/// Reads rows for a report.
#[derive(Debug)]
pub struct Reporter {
    battery: Battery,
    tallies: Vec<Tally>,
    first: Option<Row>,
    /// Places of those tallies that rows can have values for.
    present: Vec<usize>,
    segments: Vec<(u32, Stamp, Stamp, u64)>,
    samples: u64,
    sums: Sums,
    steps: Steps,
    alone: Alone,
    /// States of charge that a fraction can have.
    fractions: u64,
    /// Whether the user states that the state of charge is in percent.
    soc_is_stated: bool,
    /// Whether the user states what the times are.
    times_are_stated: bool,
    /// Whether a column states charge and discharge.
    sign_is_stated: bool,
}

impl Reporter {
    /// A reporter before the first row.
    #[must_use]
    pub fn new(battery: Battery) -> Self {
        let tallies = REPORTED
            .iter()
            .map(|(_, _, _, quantity)| Tally {
                n: 0,
                unknown: 0,
                min: f64::INFINITY,
                max: f64::NEG_INFINITY,
                beyond: 0,
                limits: limits(*quantity, battery),
            })
            .collect();
        Self {
            battery,
            tallies,
            first: None,
            present: (0..REPORTED.len()).collect(),
            segments: Vec::new(),
            samples: 0,
            sums: Sums::default(),
            steps: Steps::default(),
            alone: Alone::default(),
            fractions: 0,
            soc_is_stated: false,
            times_are_stated: false,
            sign_is_stated: false,
        }
    }

    /// States whether the pack's voltage is that of one cell; before the first row.
    pub fn set_cell(&mut self, is_cell: bool) {
        self.battery.is_cell = is_cell;
        for (tally, (_, _, _, quantity)) in self.tallies.iter_mut().zip(REPORTED) {
            tally.limits = limits(quantity, self.battery);
        }
    }

    /// States that a column says which currents charge.
    pub fn set_sign_stated(&mut self) {
        self.sign_is_stated = true;
    }

    /// States that the times are meant as they are, however old.
    pub fn set_times_stated(&mut self) {
        self.times_are_stated = true;
    }

    /// States that the state of charge is in percent, however small it is.
    pub fn set_soc_stated(&mut self) {
        self.soc_is_stated = true;
    }

    /// States which quantities the rows of the first file have, or those of a further one have beside them.
    pub fn set_present(&mut self, quantities: impl Iterator<Item = Quantity>) {
        if self.samples == 0 {
            self.present.clear();
        }
        for quantity in quantities {
            let place = REPORTED.iter().position(|(.., other)| *other == quantity);
            self.present.extend(place.filter(|place| !self.present.contains(place)));
        }
    }

    /// Takes a row with the segment and the time that the clock gave it.
    pub fn row(&mut self, segment: u32, time: Stamp, row: &Row) {
        self.samples += 1;
        match self.segments.last_mut() {
            Some((number, _, end, samples)) if *number == segment => {
                *end = time;
                *samples += 1;
            }
            _ => self.segments.push((segment, time, time, 1)),
        }
        for place in &self.present {
            let tally = &mut self.tallies[*place];
            match REPORTED[*place].3 {
                Quantity::Cells => row.cells.iter().for_each(|reading| tally.take(*reading)),
                Quantity::Temperatures => row.temperatures.iter().for_each(|reading| tally.take(*reading)),
                single => {
                    if let Some(Ok(value)) = row.single(single) {
                        tally.take_known(value);
                        self.fractions += u64::from(single == Quantity::Soc && value <= MOST_FRACTION);
                    }
                }
            }
        }
        self.alone.row(segment, time, row);
        self.steps.take(row.pack_voltage.ok().zip(row.pack_current.ok()));
        if let (Ok(pack), false) = (row.pack_voltage, row.cells.is_empty()) {
            let sum: Reading = row.cells.iter().copied().sum();
            if let Ok(sum) = sum {
                self.sums.take(sum, row.cells.len(), pack);
            }
        }
        if self.first.is_none() {
            self.first = Some(row.clone());
        }
    }

    /// The report on the rows so far, of which this is the last.
    #[must_use]
    pub fn finish(&self, said: Said, last: &Row) -> Report {
        let mut reasons = said.doubts.clone();
        let mut warnings = said.warnings.clone();
        let mut quantities = BTreeMap::new();
        for (tally, (name, factor, unit, quantity)) in self.tallies.iter().zip(REPORTED) {
            let sources: Vec<&str> = said
                .sources
                .iter()
                .filter(|(of, _)| *of == quantity)
                .map(|(_, source)| source.as_str())
                .collect();
            let unknown = self.unknown(tally, quantity);
            if tally.n == 0 && (unknown == 0 || sources.is_empty()) {
                continue;
            }
            self.judge(tally, name, quantity, &mut reasons, &mut warnings);
            let values = |row: Option<&Row>| match row {
                Some(row) => values(row, quantity, factor),
                None => Values::One(None),
            };
            let known = |value: f64| (tally.n > 0).then(|| rounded(value * factor));
            let report = QuantityReport {
                source: sources.join(", "),
                unit: unit.to_owned(),
                n: tally.n,
                unknown,
                min: known(tally.min),
                max: known(tally.max),
                first: values(self.first.as_ref()),
                last: values(self.first.is_some().then_some(last)),
            };
            quantities.insert(name.to_owned(), report);
        }
        self.judge_alone(&mut reasons, &mut warnings);
        self.judge_together(&mut reasons, &mut warnings);
        self.judge_sign(&said.sources, &mut reasons);
        self.judge_span(&mut reasons);
        self.judge_dates(&mut reasons);
        let unread = self.tallies[1].n == 0 || (self.tallies[0].n == 0 && self.tallies[3].n == 0);
        if unread {
            reasons.insert(
                0,
                match said.skipped.iter().max_by_key(|(_, count, _)| *count) {
                    Some((reason, count, first)) if self.samples == 0 => {
                        format!("no row was read: {count}: {reason} (first: {first})")
                    }
                    _ => "no voltage or no current was read: map them (--map pack_voltage=NAME)".into(),
                },
            );
        }
        let verdict = match (unread, reasons.is_empty()) {
            (true, _) => Verdict::Unread,
            (false, true) => Verdict::Usable,
            (false, false) => Verdict::Doubtful,
        };
        let segment = |(_, start, end, samples): &(u32, Stamp, Stamp, u64)| Segment {
            start: (*start).into(),
            end: (*end).into(),
            samples: *samples,
        };
        Report {
            format: said.format,
            clock: said.clock,
            segments: self.segments.iter().map(segment).collect(),
            quantities,
            samples: self.samples,
            skipped: said.skipped.iter().map(|(reason, count, _)| (reason.to_owned(), count)).collect(),
            warnings,
            unused: said.unused,
            usable: verdict == Verdict::Usable,
            verdict,
            reasons,
        }
    }

    /// Unknown values of a quantity.
    fn unknown(&self, tally: &Tally, quantity: Quantity) -> u64 {
        match quantity {
            Quantity::Cells | Quantity::Temperatures => tally.unknown,
            _ => self.samples - tally.n,
        }
    }
}

/// Six decimals: a microvolt is beyond any sensor here, and 3701 mV should not be 3701.0000000000005.
fn rounded(value: f64) -> f64 {
    let rounded = (value * 1e6).round() / 1e6;
    if rounded.is_finite() { rounded } else { value }
}

fn values(row: &Row, quantity: Quantity, factor: f64) -> Values {
    let scaled = |reading: &Reading| reading.ok().map(|value| rounded(value * factor));
    match quantity {
        Quantity::Cells => Values::Many(row.cells.iter().map(scaled).collect()),
        Quantity::Temperatures => Values::Many(row.temperatures.iter().map(scaled).collect()),
        single => Values::One(row.single(single).and_then(|reading| scaled(&reading))),
    }
}

#[cfg(test)]
mod tests;
