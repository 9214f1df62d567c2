//! The column of time: its cells to stamps.

mod meaning;
mod numbers;
mod zone;

pub(crate) use meaning::{Given, Remarks};
pub(crate) use numbers::are_digits_of_dates;
pub(crate) use zone::named as zone_of_words;

use super::cell::{Cell, Kept};
use super::date::{self, DAY_NS, SECOND_NS};
use super::day::Day;
use super::input::Input;
use super::number::{self, Decimal};
use crate::{Error, Stamp, wall};
use chrono_tz::Tz;
use meaning::Kind;
use zone::Zone;

/// Reader of a column of time.
#[derive(Debug)]
pub(crate) struct TimeColumn {
    kind: Kind,
    /// Nanoseconds of a number's unit, where they are whole: then the number needs no float.
    whole_ns: Option<u64>,
    zone: Option<Tz>,
    /// Offset of the local times from UTC where no zone is given, by the column's name.
    ahead_ns: i64,
    decimal: Decimal,
    grouped: bool,
    /// Of the last time of day, and what was added for midnights.
    last_of_day: i64,
    midnights: i64,
    last_unix: i64,
    /// The column of its dates, where it has times of day.
    day: Option<Day>,
    /// What it was taken for, for a person.
    pub said: String,
}

impl TimeColumn {
    /// Finds out what the cells mean, or says why that cannot be told.
    pub fn find(given: &Given<'_>, remarks: &mut Remarks) -> Result<Self, Error> {
        let zone = match given.options.time_zone.as_deref() {
            None => None,
            Some(name) => Some(wall::zone(name, given.place)?),
        };
        let (kind, said) = match &given.options.time_format {
            Some(format) => meaning::stated(format, given)?,
            None => meaning::told(given, remarks)?,
        };
        let whole_ns = match kind {
            Kind::Number { unit_ns, .. } if (1.0..=1e14).contains(&unit_ns) && unit_ns.fract() == 0.0 => {
                Some(unit_ns as u64)
            }
            _ => None,
        };
        let mut column = Self {
            kind,
            whole_ns,
            zone,
            ahead_ns: 0,
            decimal: given.decimal,
            grouped: given.grouped,
            last_of_day: i64::MIN,
            midnights: 0,
            last_unix: i64::MIN,
            day: None,
            said,
        };
        column.remark(given, remarks)?;
        Ok(column)
    }

    /// Says what is assumed or doubtful about the first rows.
    fn remark(&mut self, given: &Given<'_>, remarks: &mut Remarks) -> Result<(), Error> {
        let local = match &self.kind {
            Kind::Days { .. } => true,
            Kind::Date(order) => given.cells.iter().any(|cell| match cell.as_cell() {
                Cell::Text(text) => date::date(text, *order).is_some_and(|dated| dated.offset_s.is_none()),
                Cell::Date(_, utc) => !utc,
                _ => false,
            }),
            Kind::Format(format) => states_date(format) && !format.contains("%z") && !format.contains("%Z"),
            Kind::Number { .. } | Kind::OfDay => false,
        };
        match zone::stated(&given.name.text) {
            _ if !local || self.zone.is_some() => {}
            None if given.ahead_s.is_some() => {
                self.ahead_ns = i64::from(given.ahead_s.unwrap_or(0)) * SECOND_NS;
            }
            Some(Zone::Ahead(seconds)) => self.ahead_ns = i64::from(seconds) * SECOND_NS,
            Some(Zone::Named(name)) => remarks.doubts.push(format!(
                "the name of {:?} states the zone {name}, and its dates are taken for UTC: state time_zone, such as \
                 Europe/Berlin",
                given.name.text
            )),
            None => remarks.warnings.push(format!(
                "the dates of {:?} state no zone: taken for UTC; state time_zone if they are local",
                given.name.text
            )),
        }
        let mut again = Self { said: String::new(), ..self.copy() };
        let times: Vec<i64> = given
            .cells
            .iter()
            .filter_map(|cell| again.read(cell.as_cell()))
            .map(|stamp| match stamp {
                Stamp::Unix(ns) | Stamp::Relative(ns) => ns,
            })
            .collect();
        let backwards = times.windows(2).filter(|pair| pair[1] < pair[0]).count();
        if times.len() > 3 && backwards == times.len() - 1 {
            return Err(Error::format(given.place, "the rows run backwards in time: sort them by time"));
        }
        Ok(())
    }

    /// Whether it has times of day without a date.
    pub const fn is_of_day(&self) -> bool {
        matches!(self.kind, Kind::OfDay)
    }

    /// Whether it has dates.
    pub const fn is_dated(&self) -> bool {
        self.day.is_some()
            || matches!(
                self.kind,
                Kind::Date(_) | Kind::Days { .. } | Kind::Format(_) | Kind::Number { unix: true, .. }
            )
    }

    /// The column of its dates.
    pub const fn day(&self) -> Option<Day> {
        self.day
    }

    /// The first of its dates as a Unix time in ns, and the system of Excel by which it is one: whether that of 1904.
    pub fn first_of_excel(&self, input: &Input<'_>, index: usize) -> Option<(i64, bool)> {
        let Kind::Days { of_1970 } = self.kind else { return None };
        let is_1904 = numbers::system_of_excel(of_1970)?;
        let mut column = self.copy();
        let cells = input.sample.iter().filter_map(|row| row.get(index));
        let first = cells.map(Kept::as_cell).find_map(|cell| column.read(cell))?;
        match first {
            Stamp::Unix(ns) => Some((ns, is_1904)),
            Stamp::Relative(_) => None,
        }
    }

    /// The first of its numbers that are taken for Unix times, in ns.
    pub fn first_of_epoch(&self, input: &Input<'_>, index: usize) -> Option<i64> {
        let Kind::Number { unix: true, .. } = self.kind else { return None };
        let mut column = self.copy();
        let cells = input.sample.iter().filter_map(|row| row.get(index));
        match cells.map(Kept::as_cell).find_map(|cell| column.read(cell))? {
            Stamp::Unix(ns) => Some(ns),
            Stamp::Relative(_) => None,
        }
    }

    /// States the column of its dates; says what is assumed.
    pub fn set_day(&mut self, day: Day, name: &str) -> Option<String> {
        self.day = Some(day);
        self.said = format!("hh:mm:ss on the dates of {name:?}");
        self.zone.is_none().then(|| {
            format!("the dates of {name:?} state no zone: taken for UTC; state time_zone if they are local")
        })
    }

    /// The time of a cell, on the day of another one where there is a column of dates.
    #[inline]
    pub fn read_on(&mut self, day: Option<Cell<'_>>, cell: Cell<'_>) -> Option<Stamp> {
        match (self.day, day, cell) {
            (Some(column), Some(day), Cell::Text(text)) => {
                let wall_ns = column.wall_ns(day)?.checked_add(date::time_of_day(text)?)?;
                self.local(wall_ns)
            }
            (Some(_), ..) => None,
            (None, _, cell) => self.read(cell),
        }
    }

    fn copy(&self) -> Self {
        Self { kind: self.kind.clone(), said: String::new(), ..*self }
    }

    /// The time of a cell; `None` if it cannot be read.
    pub fn read(&mut self, cell: Cell<'_>) -> Option<Stamp> {
        match (&self.kind, cell) {
            (_, Cell::Empty) => None,
            (_, Cell::Date(ns, true)) => Some(Stamp::Unix(ns)),
            (_, Cell::Date(ns, false)) => self.local(ns),
            (Kind::Number { unit_ns, offset_ns, unix }, Cell::Number(value)) => {
                number_stamp(value, *unit_ns, *offset_ns, *unix)
            }
            (Kind::Number { unit_ns, offset_ns, unix }, Cell::Text(text)) => {
                let (unit_ns, offset_ns, unix) = (*unit_ns, *offset_ns, *unix);
                if let Some(ns) = self.whole_ns.and_then(|unit| exact(text, self.decimal, unit)) {
                    let ns = ns.checked_add(offset_ns)?;
                    return Some(if unix { Stamp::Unix(ns) } else { Stamp::Relative(ns) });
                }
                number_stamp(number::parse(text, self.decimal, self.grouped)?, unit_ns, offset_ns, unix)
            }
            (Kind::Days { of_1970, .. }, cell) => {
                let of_1970 = *of_1970;
                let value = match cell {
                    Cell::Number(value) => value,
                    Cell::Text(text) => number::parse(text, self.decimal, self.grouped)?,
                    _ => return None,
                };
                // A float keeps such a date to less than a millisecond.
                let ms = ((value - of_1970) * 86_400_000.0).round();
                (ms.abs() < 9e12).then_some(())?;
                self.local(ms as i64 * 1_000_000)
            }
            (Kind::OfDay, Cell::Text(text)) => {
                let ns = date::time_of_day(text)?;
                if self.last_of_day > DAY_NS - 3600 * SECOND_NS
                    && self.last_of_day < DAY_NS
                    && ns < 3600 * SECOND_NS
                {
                    self.midnights += DAY_NS;
                }
                self.last_of_day = ns;
                Some(Stamp::Relative(ns.checked_add(self.midnights)?))
            }
            (Kind::Date(order), Cell::Text(text)) => {
                let dated = date::date(text, *order)?;
                self.dated(dated)
            }
            (Kind::Format(format), Cell::Text(text)) => {
                let dated = date::by_format(text, format)?;
                if states_date(format) { self.dated(dated) } else { Some(Stamp::Relative(dated.wall_ns)) }
            }
            _ => None,
        }
    }

    fn dated(&mut self, dated: date::Dated) -> Option<Stamp> {
        match dated.offset_s {
            Some(offset) => {
                let ns = dated.wall_ns.checked_sub(i64::from(offset) * SECOND_NS)?;
                Some(Stamp::Unix(ns))
            }
            None => self.local(dated.wall_ns),
        }
    }

    /// A local time in UTC. In the hour that comes twice, the later one is taken once the earlier one has passed.
    fn local(&mut self, wall_ns: i64) -> Option<Stamp> {
        let Some(zone) = self.zone else { return Some(Stamp::Unix(wall_ns.checked_sub(self.ahead_ns)?)) };
        let found = wall::unix(zone, wall_ns, self.last_unix)?;
        self.last_unix = found;
        Some(Stamp::Unix(found))
    }
}

/// Whether a format has a date, or a time of day alone.
fn states_date(format: &str) -> bool {
    ["%Y", "%y", "%m", "%d", "%e", "%b", "%B"].iter().any(|part| format.contains(part))
}

fn number_stamp(value: f64, unit_ns: f64, offset_ns: i64, unix: bool) -> Option<Stamp> {
    let whole = value.trunc() * unit_ns;
    if !whole.is_finite() || whole.abs() > 9.2e18 {
        return None;
    }
    let ns = (whole.round() as i64).checked_add(((value - value.trunc()) * unit_ns).round() as i64)?;
    let ns = ns.checked_add(offset_ns)?;
    Some(if unix { Stamp::Unix(ns) } else { Stamp::Relative(ns) })
}

/// A decimal number without exponent times a whole number of ns, without the rounding of floats.
fn exact(text: &[u8], decimal: Decimal, unit: u64) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    let (mut whole, mut rest, mut scale, mut fraction) = (0_u64, 0_u64, 1_u64, false);
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 && !fraction {
            whole = whole.checked_mul(10)?.checked_add(u64::from(digit))?;
        } else if digit <= 9 {
            // Nine digits of a fraction are enough for ns of a second; a longer one is left to floats.
            rest = rest * 10 + u64::from(digit);
            scale *= 10;
            if scale > 1_000_000_000 {
                return None;
            }
        } else if byte == decimal.sign() as u8 && !fraction {
            fraction = true;
        } else {
            return None;
        }
    }
    let part = if rest == 0 { 0 } else { rest.checked_mul(unit)?.checked_add(scale / 2)? / scale };
    let ns = i64::try_from(whole.checked_mul(unit)?.checked_add(part)?).ok()?;
    Some(if negative { -ns } else { ns })
}

#[cfg(test)]
mod tests;
