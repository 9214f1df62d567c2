//! Dates that begin with their month's name: `May 16 06:59:10 GMT+02:00 2023`, as Java and C write them, and `May 16, 2023`.

use super::cursor::{Cursor, year};

/// Parts of a date.
pub(super) struct Parts {
    /// Year, month and day.
    pub day: (i64, i64, i64),
    /// Nanoseconds of the day.
    pub clock_ns: i64,
    /// How far the clock is ahead of UTC in s, if it is stated.
    pub offset_s: Option<i32>,
}

/// Reads the whole of a text, which begins with the month.
pub(super) fn month_first(text: &[u8]) -> Option<Parts> {
    let mut cursor = Cursor(text);
    let month = cursor.month()?;
    cursor.eat(b".");
    cursor.eat(b" ")?;
    cursor.spaces();
    let day = cursor.int(2)?.0;
    cursor.eat(b",");
    cursor.eat(b" ")?;
    cursor.spaces();
    let (mut clock_ns, mut offset_s) = (0, None);
    let begins_with_year = cursor.0.iter().take_while(|b| b.is_ascii_digit()).count() == 4;
    if begins_with_year {
        let year = cursor.int(4)?.0;
        cursor.eat(b",");
        if cursor.eat(b" ").is_some() {
            cursor.spaces();
            clock_ns = cursor.clock(2)?;
            offset_s = cursor.zone()?;
        }
        return cursor.0.is_empty().then_some(Parts { day: (year, month, day), clock_ns, offset_s });
    }
    clock_ns = cursor.clock(2)?;
    cursor.spaces();
    if !cursor.0.first()?.is_ascii_digit() {
        let end = cursor.0.iter().position(|b| *b == b' ')?;
        let mut zone = Cursor(&cursor.0[..end]);
        // Letters of another zone are no offset.
        offset_s = Some(zone.zone()??);
        zone.0.is_empty().then_some(())?;
        cursor.0 = &cursor.0[end..];
        cursor.spaces();
    }
    let of_four = cursor.int(4)?;
    let year = year(of_four).filter(|_| of_four.1 == 4)?;
    cursor.0.is_empty().then_some(Parts { day: (year, month, day), clock_ns, offset_s })
}
