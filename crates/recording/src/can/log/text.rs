//! Numbers, words and dates in lines of bytes.

use crate::Stamp;

/// Below this many seconds a time does not count from the Unix epoch (3 March 1973), but from some start: devices
/// without a clock count from when they were switched on.
const FIRST_UNIX_SECOND: i64 = 100_000_000;
/// Nanoseconds of a second.
pub(super) const SECOND: i64 = 1_000_000_000;

/// The time of a count of nanoseconds, by its size.
pub(super) fn stamp(ns: i64) -> Stamp {
    if ns >= FIRST_UNIX_SECOND * SECOND { Stamp::Unix(ns) } else { Stamp::Relative(ns) }
}

/// A number with at most nine decimals in units of 10⁻⁹; decimal point or comma; more decimals are cut off.
pub(super) fn nanos(text: &[u8]) -> Option<i64> {
    let mut rest = text;
    let (mut whole, mut digits) = (0i64, 0);
    while let [digit @ b'0'..=b'9', tail @ ..] = rest {
        whole = whole.checked_mul(10)?.checked_add(i64::from(digit - b'0'))?;
        (rest, digits) = (tail, digits + 1);
    }
    let (mut decimals, mut unit) = (0, SECOND);
    if let [b'.' | b',', tail @ ..] = rest {
        rest = tail;
        while let [digit @ b'0'..=b'9', tail @ ..] = rest {
            unit /= 10;
            decimals += i64::from(digit - b'0') * unit;
            (rest, digits) = (tail, digits + 1);
        }
    }
    if digits == 0 || !rest.is_empty() {
        return None;
    }
    whole.checked_mul(SECOND)?.checked_add(decimals)
}

/// A number of units of `unit` nanoseconds each; what is below a nanosecond is cut off.
pub(super) fn scaled(text: &[u8], unit: i64) -> Option<i64> {
    let dot = text.iter().position(|b| matches!(b, b'.' | b',')).unwrap_or(text.len());
    let (whole, decimals) = text.split_at(dot);
    let whole = i64::try_from(decimal(whole)?).ok()?.checked_mul(unit)?;
    let decimals = if decimals.len() > 1 { nanos(decimals)? } else { 0 };
    whole.checked_add(decimals / (SECOND / unit))
}

/// A decimal number.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

const fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        _ => 0xff,
    }
}

/// Value of each byte as a hexadecimal digit; 255 for others.
static DIGITS: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = digit(i as u8);
        i += 1;
    }
    table
};

/// The value of a hexadecimal digit.
pub(super) fn nibble(byte: u8) -> Option<u8> {
    let value = DIGITS[usize::from(byte)];
    (value < 16).then_some(value)
}

/// A hexadecimal number of 1 to 8 digits.
pub(super) fn hex(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 8 {
        return None;
    }
    text.iter().try_fold(0, |value, byte| Some(value << 4 | u32::from(nibble(*byte)?)))
}

/// A byte of exactly two hexadecimal digits: one digit may be half of a cut line.
pub(super) fn byte(text: &[u8]) -> Option<u8> {
    let [high, low] = text else { return None };
    let (high, low) = (DIGITS[usize::from(*high)], DIGITS[usize::from(*low)]);
    if high | low < 16 { Some(high << 4 | low) } else { None }
}

/// Without `0x` in front.
pub(super) fn without_0x(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text)
}

/// The first word and what follows it; an empty word at the end.
pub(super) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    text.split_at(end)
}

/// All words.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// Whether `text` begins with `start`, in upper or lower case.
pub(super) fn starts(text: &[u8], start: &[u8]) -> bool {
    text.len() >= start.len() && text[..start.len()].eq_ignore_ascii_case(start)
}

/// Days from 1 January 1970 to a day of the Gregorian calendar (H. Hinnant, "chrono-compatible low-level date
/// algorithms", days_from_civil); `None` if there is no such day.
pub(super) fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) || !(1601..=9999).contains(&year) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Nanoseconds since midnight of `10:13:20.5`.
pub(super) fn clock(text: &[u8]) -> Option<i64> {
    let mut parts = text.splitn(3, |b| *b == b':');
    let (hour, minute) = (decimal(parts.next()?)? as i64, decimal(parts.next()?)? as i64);
    let second = nanos(parts.next()?)?;
    (hour < 24 && minute < 60 && second < 61 * SECOND).then(|| (hour * 60 + minute) * 60 * SECOND + second)
}

/// Nanoseconds since the Unix epoch of a date and a clock, taken as UTC; `None` outside 1970 to 2262.
pub(super) fn moment(date: (i64, i64, i64), clock: i64) -> Option<i64> {
    let days = days(date.0, date.1, date.2)?;
    days.checked_mul(86_400 * SECOND)?.checked_add(clock).filter(|ns| *ns >= 0)
}
