//! Times as networks write them: RFC 3339, offsets without colon or minutes, and seconds, milliseconds, microseconds or
//! nanoseconds since 1970.

use time::{Date, Month, Time, UtcOffset};

/// Times that can be observations of charging stations, in seconds since 1970: 2000-01-01 to 2100-01-01. Before, clocks that were
/// never set; after, clocks that are broken.
pub const PLAUSIBLE_S: std::ops::Range<i64> = 946_684_800..4_102_444_800;

/// Reason why a text is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoTime {
    /// Date and time of day are there; how far that is from UTC is not.
    NoOffset,
    /// No form that is read.
    NotATime,
}

/// Seconds since 1970 and the offset from UTC in seconds: of RFC 3339 with `T` or a blank, an offset `Z`, `UTC`, `+01:00`, `+0100`
/// or `+01`, or of a number of seconds to nanoseconds since 1970.
pub fn parse_time(text: &str) -> Option<(i64, i32)> {
    read_time(text).ok()
}

/// As [`parse_time`], and why it is none. Also read are `Mon, 03 Mar 2025 10:30:00 GMT` (RFC 5322), `03.03.2025 11:30:00 +01:00`, and the
/// name of a zone in brackets behind an offset (RFC 9557).
///
/// # Errors
/// A text that is no time, or one without an offset.
pub fn read_time(text: &str) -> Result<(i64, i32), NoTime> {
    let text = text.trim();
    if is_date_and_hour(text) {
        return Err(NoTime::NoOffset);
    }
    if let Some(at) = since_1970(text) {
        return Ok((at, 0));
    }
    let text = match text.strip_suffix(']').and_then(|text| text.rsplit_once('[')) {
        Some((text, zone)) if zone.contains('/') || zone == "UTC" => text,
        _ => text,
    };
    let other = in_order(text);
    let text = other.as_deref().unwrap_or(text);
    local(text).ok_or(NoTime::NotATime).and_then(|(at, rest)| {
        let offset_s = offset(rest.trim())?;
        Ok((at - i64::from(offset_s), offset_s))
    })
}

/// A time whose day or month stands first, in the order of RFC 3339: `03.03.2025 …` of German tables, RFC 5322 of e-mail and HTTP, and
/// fourteen digits without anything between. `None` for any other text; `03/04/2025` may be of March or of April.
fn in_order(text: &str) -> Option<String> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|byte| byte.is_ascii_digit());
    // Most times are RFC 3339.
    if text.as_bytes().get(4) == Some(&b'-') {
        return None;
    }
    if digits(text, 14) {
        return Some(format!("{}T{}", &text[..8], &text[8..]));
    }
    let rest = match text.split_once(", ") {
        Some((weekday, rest)) if weekday.bytes().all(|byte| byte.is_ascii_alphabetic()) => rest,
        _ => text,
    };
    let parts: Vec<&str> = rest.splitn(4, [' ', '.']).collect();
    let [day, month, year, time] = parts[..] else { return None };
    let month = match MONTHS.iter().position(|known| month.eq_ignore_ascii_case(known)) {
        Some(at) => format!("{:02}", at + 1),
        None if digits(month, 2) && rest.as_bytes().get(2) == Some(&b'.') => month.to_owned(),
        None => return None,
    };
    let day = if digits(day, 1) { format!("0{day}") } else { day.to_owned() };
    let ordered = digits(&day, 2) && digits(year.trim_end_matches(','), 4);
    ordered.then(|| format!("{}-{month}-{day}T{}", year.trim_end_matches(','), time.trim_start()))
}

/// Whether ten or twelve digits are a date and an hour, as in `2025030310` or `202503031030`: as seconds since 1970 the first is
/// of 2034, as milliseconds the second of 1976.
fn is_date_and_hour(text: &str) -> bool {
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<u8>().ok());
    let within = |range: std::ops::Range<usize>, most: u8| number(range).is_some_and(|n| n <= most);
    matches!(text.len(), 10 | 12)
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.starts_with("20")
        && within(4..6, 12)
        && within(6..8, 31)
        && within(8..10, 23)
        && (text.len() == 10 || within(10..12, 59))
        && !matches!((number(4..6), number(6..8)), (Some(0), _) | (_, Some(0)))
}

/// A number since 1970; its unit is told by how many digits it has, which is unique from 1973 to 2286.
fn since_1970(text: &str) -> Option<i64> {
    let whole = text.split('.').next()?;
    let fraction = &text[whole.len()..];
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() > 20 || !digits(whole) || !digits(fraction.get(1..).unwrap_or_default()) {
        return None;
    }
    let number: i128 = whole.parse().ok()?;
    let per_s = match whole.len() {
        9..=11 => 1,
        // Fourteen digits of milliseconds are centuries ahead: they are date and time of day.
        12..=13 => 1_000,
        15..=17 => 1_000_000,
        18..=20 => 1_000_000_000,
        // A stamp of a clock that was never set is a time all the same; nobody believes it.
        1 if number == 0 => 1,
        _ => return None,
    };
    i64::try_from(number / per_s).ok()
}

/// The date and time of day as if they were UTC, and what stands behind them.
fn local(text: &str) -> Option<(i64, &str)> {
    let number = |range: std::ops::Range<usize>| -> Option<u16> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let bytes = text.as_bytes();
    let (date, hour_at) = if bytes.len() >= 10 && matches!(bytes[4], b'-' | b'/') && bytes[7] == bytes[4] {
        ((number(0..4)?, number(5..7)?, number(8..10)?), 11)
    } else {
        ((number(0..4)?, number(4..6)?, number(6..8)?), 9)
    };
    if !matches!(bytes.get(hour_at - 1)?, b'T' | b't' | b' ' | b'_') {
        return None;
    }
    let (hour, mut end) = (number(hour_at..hour_at + 2)?, hour_at + 2);
    let mut next = || -> Option<u16> {
        let begin = end + usize::from(bytes.get(end) == Some(&b':'));
        let found = number(begin..begin + 2)?;
        end = begin + 2;
        Some(found)
    };
    let minute = next()?;
    // A leap second counts as the second before.
    let second = next().unwrap_or(0);
    let second = if second == 60 { 59 } else { second };
    if matches!(bytes.get(end), Some(b'.' | b',')) {
        end += 1;
        while bytes.get(end).is_some_and(u8::is_ascii_digit) {
            end += 1;
        }
    }
    let (month, day) = (Month::try_from(date.1 as u8).ok()?, date.2 as u8);
    let date = Date::from_calendar_date(i32::from(date.0), month, day).ok()?;
    let time = Time::from_hms(hour as u8, minute as u8, second as u8).ok()?;
    Some((date.with_time(time).assume_utc().unix_timestamp(), text.get(end..)?))
}

/// An offset in seconds.
fn offset(text: &str) -> Result<i32, NoTime> {
    if text.is_empty() {
        return Err(NoTime::NoOffset);
    }
    if ["Z", "UTC", "GMT"].iter().any(|zone| text.eq_ignore_ascii_case(zone)) {
        return Ok(0);
    }
    let (sign, digits) = match text.as_bytes() {
        [b'+', ..] => (1, text[1..].replacen(':', "", 1)),
        [b'-', ..] => (-1, text[1..].replacen(':', "", 1)),
        // The minus of typography, as some tables have it.
        _ if text.starts_with('\u{2212}') => (-1, text['\u{2212}'.len_utf8()..].replacen(':', "", 1)),
        _ => return Err(NoTime::NotATime),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NoTime::NotATime);
    }
    let number = |range: std::ops::Range<usize>| digits.get(range).and_then(|d| d.parse::<i8>().ok());
    let (hours, minutes) = match digits.len() {
        2 => (number(0..2), Some(0)),
        4 => (number(0..2), number(2..4)),
        _ => (None, None),
    };
    let (Some(hours), Some(minutes)) = (hours, minutes) else { return Err(NoTime::NotATime) };
    let offset = UtcOffset::from_hms(sign * hours, sign * minutes, 0);
    offset.map(UtcOffset::whole_seconds).map_err(|_| NoTime::NotATime)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2025-03-03T10:30:00Z.
    const AT: i64 = 1_740_997_800;

    #[test]
    fn one_time_has_many_spellings() {
        let check = |text: &str, offset_s: i32| assert_eq!(read_time(text), Ok((AT, offset_s)), "{text}");
        check("2025-03-03T10:30:00Z", 0);
        check("2025-03-03t10:30:00.123456z", 0);
        check("2025-03-03 10:30:00 UTC", 0);
        check("2025-03-03 10:30Z", 0);
        check("20250303T103000Z", 0);
        check("2025/03/03 10:30:00+00", 0);
        check("2025-03-03T11:30:00+01:00", 3600);
        check("2025-03-03T11:30:00+0100", 3600);
        check("2025-03-03T11:30:00,5 +01", 3600);
        check("2025-03-03T05:00:00-05:30", -19_800);
        check("Mon, 03 Mar 2025 10:30:00 GMT", 0);
        check("3 Mar 2025 11:30:00 +0100", 3600);
        check("03.03.2025 11:30:00 +01:00", 3600);
        check("03.03.2025, 10:30:00Z", 0);
        check("2025-03-03T11:30:00+01:00[Europe/Berlin]", 3600);
        check("1740997800", 0);
        check("1740997800.75", 0);
        check("1740997800123", 0);
        check("1740997800123456", 0);
        check("1740997800123456789", 0);
        assert_eq!(read_time("0"), Ok((0, 0)));
        assert_eq!(read_time("2016-12-31T23:59:60Z"), read_time("2016-12-31T23:59:59Z"));
    }

    #[test]
    fn what_is_no_time_says_why() {
        for text in [
            "2025-03-03T10:30:00",
            "2025-03-03 10:30",
            "20250303103000",
            "03.03.2025 10:30:00",
            "2025030310",
            "202503031030",
        ] {
            assert_eq!(read_time(text), Err(NoTime::NoOffset), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2025-03-03",
            "2025-13-03T10:30:00Z",
            "2025-03-03T25:30:00Z",
            "12",
            "03/04/2025 10:30:00Z",
            "2025-03-03T10:30:00+1",
            "2025-03-03T10:30:00 CEST",
            "1e9",
            "-5",
            "2025-03-03T10:30:00Zulu",
        ] {
            assert_eq!(read_time(text), Err(NoTime::NotATime), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,40}|[0-9TZ:+. -]{0,32}") {
            let _ = read_time(&text);
        }

        /// What is written by the standard is read as it.
        #[test]
        fn rfc_3339_is_read(at in PLAUSIBLE_S) {
            use time::OffsetDateTime;
            use time::format_description::well_known::Rfc3339;
            let text = OffsetDateTime::from_unix_timestamp(at).unwrap().format(&Rfc3339).unwrap();
            prop_assert_eq!(read_time(&text), Ok((at, 0)));
        }
    }
}
