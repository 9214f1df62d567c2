//! Text of dates and times of day.

mod cursor;
mod spelled;
pub mod within;

pub use cursor::{DAY_NS, SECOND_NS};

use cursor::{Cursor, year};

/// Order of day and month in dates like `3/4/2024`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Day first.
    DayFirst,
    /// Month first.
    MonthFirst,
}

/// A date as text states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated {
    /// Nanoseconds since 1970-01-01 00:00 of the clock on the wall.
    pub wall_ns: i64,
    /// How far that clock is ahead of UTC in s, if it is stated.
    pub offset_s: Option<i32>,
    /// The order that this date proves, if it is of the kind `a/b/Y`.
    pub proves: Option<Order>,
    /// Whether it is of the kind `a/b/Y`.
    pub slashed: bool,
    /// Whether it is of the kind `a/b/c` in two digits each, and may as well begin with the year.
    pub may_begin_with_year: bool,
}

/// Reads a date: ISO 8601, `d.m.Y`, `Y/m/d`, `d-Mon-Y`, `a/b/Y` in the given order, each with or without a time of day, and
/// dates whose month or weekday is a word in front.
#[must_use]
pub fn date(text: &[u8], order: Option<Order>) -> Option<Dated> {
    let mut cursor = Cursor(text);
    if text.first()?.is_ascii_alphabetic() {
        cursor.weekday();
        if !cursor.0.first()?.is_ascii_digit() {
            let spelled::Parts { day, clock_ns, offset_s } = spelled::month_first(cursor.0)?;
            let wall_ns = days(day.0, day.1, day.2)? * DAY_NS + clock_ns;
            return Some(Dated {
                wall_ns,
                offset_s,
                proves: None,
                slashed: false,
                may_begin_with_year: false,
            });
        }
    }
    let (first, digits) = cursor.int(8)?;
    let (mut proves, mut slashed, mut may_begin_with_year) = (None, false, false);
    let (year, month, day) = if digits == 8 {
        (first / 10_000, first / 100 % 100, first % 100)
    } else {
        let separator = cursor.eat(b"-/. ")?;
        if digits == 4 {
            let month = cursor.int(2)?.0;
            cursor.eat(&[separator])?;
            (first, month, cursor.int(2)?.0)
        } else if digits > 2 {
            return None;
        } else if let Some(month) = month_behind(&mut cursor, separator) {
            (year(cursor.int(4)?)?, month, first)
        } else {
            let second = cursor.int(2)?.0;
            cursor.eat(&[separator])?;
            let third = cursor.int(4)?;
            let year = year(third)?;
            slashed = separator != b'.';
            may_begin_with_year =
                slashed && (digits, third.1) == (2, 2) && second <= 12 && (1..=31).contains(&third.0);
            let day_first = match separator {
                b'.' => true,
                b'/' | b'-' => {
                    proves = match (first > 12, second > 12) {
                        (true, false) => Some(Order::DayFirst),
                        (false, true) => Some(Order::MonthFirst),
                        _ => None,
                    };
                    order.or(proves) != Some(Order::MonthFirst)
                }
                _ => return None,
            };
            if day_first { (year, second, first) } else { (year, first, second) }
        }
    };
    let mut wall_ns = days(year, month, day)? * DAY_NS;
    let mut offset_s = None;
    cursor.eat(b",");
    let apart = cursor.eat(b"Tt \t_").is_some();
    cursor.spaces();
    if !cursor.0.is_empty() && apart {
        let is_basic = digits == 8 && cursor.0.get(2) != Some(&b':');
        let clock = if is_basic { cursor.basic_clock()? } else { cursor.clock(2)? };
        if clock > DAY_NS {
            return None;
        }
        wall_ns += clock;
        offset_s = cursor.zone()?;
        // The name of the zone behind the offset, as java.time writes it: `+02:00[Europe/Berlin]`.
        if let (Some(_), [b'[', .., b']']) = (offset_s, cursor.0) {
            cursor.0 = b"";
        }
    }
    cursor.0.is_empty().then_some(Dated { wall_ns, offset_s, proves, slashed, may_begin_with_year })
}

/// The month's name behind a day and its separator: `16-May-`, `16. Mai `.
fn month_behind(cursor: &mut Cursor<'_>, separator: u8) -> Option<i64> {
    let mut ahead = Cursor(cursor.0);
    if matches!(separator, b'.' | b' ') {
        ahead.spaces();
    }
    let month = ahead.month()?;
    let shortened = ahead.eat(b".").is_some();
    if ahead.eat(b"-/ ").is_none() && !shortened {
        return None;
    }
    ahead.spaces();
    cursor.0 = ahead.0;
    Some(month)
}

/// Reads a time without a date, `hh:mm:ss.fff`, also of more than 24 h and with days before it (`1d 02:03:04`,
/// `1-02:03:04`), or `mm:ss.fff`, in ns.
#[must_use]
pub fn time_of_day(text: &[u8]) -> Option<i64> {
    let mut cursor = Cursor(text);
    let negative = cursor.eat(b"-").is_some();
    let mut days = 0;
    let mut ahead = Cursor(cursor.0);
    if let Some((value, _)) = ahead.int(5)
        && ({
            ahead.spaces();
            ahead.word(b"days") || ahead.word(b"day") || ahead.word(b"d")
        } || (cursor.0.contains(&b' ') && ahead.0.first().is_some_and(u8::is_ascii_digit))
            || (ahead.eat(b"-.").is_some() && ahead.0.contains(&b':')))
    {
        ahead.eat(b",");
        ahead.spaces();
        days = value;
        cursor = ahead;
    }
    let clock = cursor.minutes().or_else(|| cursor.clock(6))?;
    let ns = days * DAY_NS + clock;
    cursor.0.is_empty().then_some(if negative { -ns } else { ns })
}

/// Reads a date by a format of `strftime`: `%Y %y %m %d %H %I %M %S %f %p %b %z`; `%f` is any count of digits.
#[must_use]
pub fn by_format(text: &[u8], format: &str) -> Option<Dated> {
    let mut cursor = Cursor(text);
    let (mut y, mut m, mut d) = (1970, 1, 1);
    let (mut hour, mut minute, mut second, mut ns) = (0, 0, 0, 0);
    let (mut afternoon, mut offset_s) = (None, None);
    let mut letters = format.bytes();
    while let Some(letter) = letters.next() {
        if letter != b'%' {
            if letter == b' ' {
                cursor.spaces();
            } else {
                cursor.eat(&[letter])?;
            }
            continue;
        }
        match letters.next()? {
            b'Y' => y = cursor.int(4)?.0,
            b'y' => y = year((cursor.int(2)?.0, 2))?,
            b'm' => m = cursor.int(2)?.0,
            b'd' | b'e' => d = cursor.int(2)?.0,
            b'b' | b'B' => m = cursor.month()?,
            b'H' | b'I' | b'k' | b'l' => hour = cursor.int(2)?.0,
            b'M' => minute = cursor.int(2)?.0,
            b'S' => second = cursor.int(2)?.0,
            b'f' => ns = cursor.fraction(),
            b'T' => {
                let clock = cursor.clock(2)?;
                (hour, ns) = (0, clock % SECOND_NS);
                second = clock / SECOND_NS;
            }
            b'p' => {
                let pm = cursor.word(b"pm");
                (pm || cursor.word(b"am")).then_some(())?;
                afternoon = Some(pm);
            }
            b'z' | b'Z' => offset_s = cursor.zone()?,
            b'%' => _ = cursor.eat(b"%")?,
            _ => return None,
        }
    }
    if let Some(pm) = afternoon {
        hour = hour % 12 + if pm { 12 } else { 0 };
    }
    if hour > 23 || minute > 59 || second >= 86_400 || !cursor.0.is_empty() {
        return None;
    }
    let wall_ns = days(y, m, d)? * DAY_NS + (hour * 3600 + minute * 60 + second) * SECOND_NS + ns;
    Some(Dated { wall_ns, offset_s, proves: None, slashed: false, may_begin_with_year: false })
}

/// Days since 1970-01-01 in the Gregorian calendar (H. Hinnant, `days_from_civil`).
#[must_use]
pub fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if !(1..=12).contains(&month) || !(1800..=2262).contains(&year) {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = LENGTHS[month as usize - 1] + i64::from(leap && month == 2);
    if !(1..=length).contains(&day) || year > 2261 {
        return None;
    }
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests;
