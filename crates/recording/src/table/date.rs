//! Text of dates and times of day.

/// Nanoseconds of a second.
pub const SECOND_NS: i64 = 1_000_000_000;
/// Nanoseconds of a day.
pub const DAY_NS: i64 = 86_400 * SECOND_NS;

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

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    /// Digits: their value and count.
    fn int(&mut self, most: usize) -> Option<(i64, usize)> {
        let count = self.0.iter().take(most).take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return None;
        }
        let value = self.0[..count].iter().fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
        self.0 = &self.0[count..];
        Some((value, count))
    }

    fn eat(&mut self, bytes: &[u8]) -> Option<u8> {
        let first = *self.0.first()?;
        bytes.contains(&first).then(|| {
            self.0 = &self.0[1..];
            first
        })
    }

    /// A fraction of a second in ns; digits beyond the ninth are cut off.
    fn fraction(&mut self) -> i64 {
        let count = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let value = self.0[..count.min(9)].iter().fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
        self.0 = &self.0[count..];
        value * 10_i64.pow(9 - count.min(9) as u32)
    }

    fn month(&mut self) -> Option<i64> {
        const NAMES: [&[u8]; 12] =
            [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
        let head = self.0.get(..3)?;
        let month = NAMES.iter().position(|name| head.eq_ignore_ascii_case(name))?;
        let length = self.0.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        self.0 = &self.0[length..];
        Some(month as i64 + 1)
    }

    fn word(&mut self, word: &[u8]) -> bool {
        let found = self.0.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
        if found {
            self.0 = &self.0[word.len()..];
        }
        found
    }

    fn spaces(&mut self) {
        while self.eat(b" \t").is_some() {}
    }

    /// `h:mm[:ss[.f]][ AM]`, in ns.
    fn clock(&mut self, longest_hour: usize) -> Option<i64> {
        let (mut hour, _) = self.int(longest_hour)?;
        self.eat(b":")?;
        let (minute, digits) = self.int(2)?;
        if digits != 2 || minute > 59 {
            return None;
        }
        let (mut second, mut ns) = (0, 0);
        if self.eat(b":").is_some() {
            second = self.int(2)?.0;
            if self.eat(b".,:").is_some() {
                ns = self.fraction();
            }
        }
        self.spaces();
        let afternoon = self.word(b"pm");
        if afternoon || self.word(b"am") {
            if !(1..=12).contains(&hour) {
                return None;
            }
            hour = hour % 12 + if afternoon { 12 } else { 0 };
        }
        (second < 61).then(|| (hour * 3600 + minute * 60 + second) * SECOND_NS + ns)
    }

    /// `hhmm[ss[.f]]`, in ns.
    fn basic_clock(&mut self) -> Option<i64> {
        let ((hour, 2), (minute, 2)) = (self.int(2)?, self.int(2)?) else { return None };
        let second = match self.int(2) {
            Some((second, 2)) => second,
            Some(_) => return None,
            None => 0,
        };
        let ns = if self.eat(b".,").is_some() { self.fraction() } else { 0 };
        (minute < 60 && second < 61).then(|| (hour * 3600 + minute * 60 + second) * SECOND_NS + ns)
    }

    /// `Z`, `UTC`, `+02:00`, `+0200`, `+02`, `UTC+2`; the outer `None` is a mistake.
    fn zone(&mut self) -> Option<Option<i32>> {
        self.spaces();
        if self.word(b"z") {
            return Some(Some(0));
        }
        let is_utc = self.word(b"utc") || self.word(b"gmt");
        let Some(sign) = self.eat(b"+-") else { return Some(is_utc.then_some(0)) };
        let (hour, mut digits) = self.int(2)?;
        if is_utc {
            digits = 2; // `UTC+2`
        }
        let minute = if self.eat(b":").is_some() || !self.0.is_empty() { self.int(2)?.0 } else { 0 };
        let seconds = (hour * 3600 + minute * 60) as i32;
        (digits == 2 && hour < 15 && minute < 60).then_some(Some(if sign == b'-' {
            -seconds
        } else {
            seconds
        }))
    }
}

/// Reads a date: ISO 8601, `d.m.Y`, `Y/m/d`, `d-Mon-Y`, `a/b/Y` in the given order, each with or without a time of day.
#[must_use]
pub fn date(text: &[u8], order: Option<Order>) -> Option<Dated> {
    let mut cursor = Cursor(text);
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
        } else if let Some(month) = cursor.month() {
            cursor.eat(b"-/. ")?;
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
    let apart = cursor.eat(b"Tt \t").is_some();
    cursor.spaces();
    if !cursor.0.is_empty() && apart {
        let is_basic = digits == 8 && cursor.0.get(2) != Some(&b':');
        let clock = if is_basic { cursor.basic_clock()? } else { cursor.clock(2)? };
        if clock > DAY_NS {
            return None;
        }
        wall_ns += clock;
        offset_s = cursor.zone()?;
    }
    cursor.0.is_empty().then_some(Dated { wall_ns, offset_s, proves, slashed, may_begin_with_year })
}

/// Reads a time without a date, `hh:mm:ss.fff`, also of more than 24 h and with days before it (`1d 02:03:04`), in ns.
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
        } || (cursor.0.contains(&b' ') && ahead.0.first().is_some_and(u8::is_ascii_digit)))
    {
        ahead.eat(b",");
        ahead.spaces();
        days = value;
        cursor = ahead;
    }
    let clock = cursor.clock(6)?;
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

fn year((value, digits): (i64, usize)) -> Option<i64> {
    match digits {
        4 => Some(value),
        2 => Some(if value < 70 { 2000 + value } else { 1900 + value }),
        _ => None,
    }
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
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<f64>) {
        let utc = date(text.as_bytes(), None)
            .map(|dated| dated.wall_ns as f64 / 1e9 - f64::from(dated.offset_s.unwrap_or(0)));
        assert_eq!(utc, expected, "{text}");
    }

    #[test]
    fn dates() {
        check("2023-05-16 06:59:50.300000+00:00", Some(1_684_220_390.3));
        check("2023-05-16T08:59:50.3+02:00", Some(1_684_220_390.3));
        check("2023-05-16T06:59:50Z", Some(1_684_220_390.0));
        check("2023-05-16T06:59:50 UTC", Some(1_684_220_390.0));
        check("2023-05-16 08:59:50 UTC+2", Some(1_684_220_390.0));
        check("2023-05-16 08:59:50 GMT+02:00", Some(1_684_220_390.0));
        check("2023-05-16 08:59:50 +2", None);
        check("2023-05-16 08:59:50 CEST", None);
        check("20230516T06:59:50", Some(1_684_220_390.0));
        check("20230516T065950Z", Some(1_684_220_390.0));
        check("20230516T085950.5+0200", Some(1_684_220_390.5));
        check("20230516T0659", Some(1_684_220_340.0));
        check("20230516T06595", None);
        check("16.05.2023 06:59:50", Some(1_684_220_390.0));
        check("16.5.23 6:59:50", Some(1_684_220_390.0));
        check("05/16/2023 06:59:50", Some(1_684_220_390.0));
        check("16/05/2023 06:59:50", Some(1_684_220_390.0));
        check("5/16/2023 6:59:50 AM", Some(1_684_220_390.0));
        check("16-May-23 6:59:50 PM", Some(1_684_263_590.0));
        check("2023/05/16 06:59", Some(1_684_220_340.0));
        check("2023-05-16", Some(1_684_195_200.0));
        check("2023-02-30 00:00:00", None);
        check("2023-13-01", None);
        check("1684220390", None);
        check("355.2", None);
        check("06:59:50", None);
    }

    #[test]
    fn times_of_day() {
        for (text, expected) in [
            ("00:00:01.500", Some(1.5)),
            ("25:00:00", Some(90_000.0)),
            ("1d 02:03:04", Some(93_784.0)),
            ("0d 00:00:30.00", Some(30.0)),
            ("2 00:00:00", Some(172_800.0)),
            ("6:05", Some(21_900.0)),
            ("-00:00:01", Some(-1.0)),
            ("12", None),
            ("2023-05-16", None),
        ] {
            assert_eq!(time_of_day(text.as_bytes()).map(|ns| ns as f64 / 1e9), expected, "{text}");
        }
    }

    #[test]
    fn formats() {
        let read = |text: &str, format| by_format(text.as_bytes(), format).map(|d| d.wall_ns / SECOND_NS);
        assert_eq!(read("3/4/2024 01:02:03", "%d/%m/%Y %H:%M:%S"), Some(1_712_106_123));
        assert_eq!(read("3/4/2024 01:02:03", "%m/%d/%Y %H:%M:%S"), Some(1_709_514_123));
        assert_eq!(read("x", "%Y"), None);
    }
}
