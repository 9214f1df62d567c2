//! Rows of a table (file format, 2.1 "Record Format"), and the names of its columns.

use super::super::seekable::damaged;
use std::io;

/// Most columns of a table that are looked at.
const MAX_COLUMNS: usize = 64;

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Whole(i64),
    Real(f64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
}

/// The values of a row.
pub(super) struct Row<'a>(Vec<Value<'a>>);

impl<'a> Row<'a> {
    /// Reads a row.
    pub fn parse(bytes: &'a [u8]) -> io::Result<Self> {
        Self::read(bytes).ok_or_else(|| damaged("a row is damaged"))
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (header, mut at) = varint(bytes)?;
        let types = bytes.get(..usize::try_from(header).ok()?)?;
        let (mut values, mut rest) = (Vec::new(), &bytes[types.len()..]);
        while at < types.len() && values.len() < MAX_COLUMNS {
            let (kind, read) = varint(&types[at..])?;
            at += read;
            let length = match kind {
                0 | 8 | 9 => 0,
                1..=4 => kind as usize,
                5 => 6,
                6 | 7 => 8,
                12.. => usize::try_from((kind - 12) / 2).ok()?,
                _ => return None,
            };
            let part = rest.get(..length)?;
            rest = &rest[length..];
            values.push(match kind {
                0 => Value::Null,
                8 => Value::Whole(0),
                9 => Value::Whole(1),
                1..=6 => Value::Whole(whole(part)),
                7 => Value::Real(f64::from_bits(whole(part) as u64)),
                kind if kind % 2 == 0 => Value::Blob(part),
                _ => Value::Text(part),
            });
        }
        Some(Self(values))
    }

    /// A value; `None` where the row has none or it is null.
    pub fn value(&self, column: usize) -> Option<Value<'a>> {
        self.0.get(column).copied().filter(|value| *value != Value::Null)
    }
}

/// A whole number in two's complement, most significant byte first.
fn whole(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    bytes.iter().fold(if negative { -1 } else { 0 }, |value, byte| value << 8 | i64::from(*byte))
}

/// A number of variable length and its bytes.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        if at == 8 {
            return Some((value << 8 | u64::from(*byte), 9));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

/// Names of columns in the text that defined a table, in lower case.
pub(super) fn columns(sql: &str) -> Vec<String> {
    let inside =
        sql.split_once('(').map_or("", |(_, rest)| rest.rsplit_once(')').map_or(rest, |(inside, _)| inside));
    let (mut names, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, c) in inside.char_indices().chain([(inside.len(), ',')]) {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth <= 0 => {
                let name = inside[from..at].split_whitespace().next().unwrap_or_default();
                names.push(name.trim_matches(['"', '`', '[', ']', '\'']).to_lowercase());
                from = at + 1;
            }
            _ => {}
        }
    }
    names.truncate(MAX_COLUMNS);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_variable_length() {
        for (bytes, expected) in [
            (&[0x00_u8][..], Some((0, 1))),
            (&[0x7f], Some((127, 1))),
            (&[0x81, 0x00], Some((128, 2))),
            (&[0xff; 9], Some((u64::MAX, 9))),
            (&[0x81], None),
            (&[], None),
        ] {
            assert_eq!(varint(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn values_of_a_row() {
        let row = [6, 0, 1, 9, 18, 17, 0xfe, b'a', b'b', b'c', b'd', b'e'];
        let row = Row::parse(&row).expect("a row");
        assert_eq!(
            (row.value(0), row.value(1), row.value(2)),
            (None, Some(Value::Whole(-2)), Some(Value::Whole(1)))
        );
        assert_eq!((row.value(3), row.value(4)), (Some(Value::Blob(b"abc")), Some(Value::Text(b"de"))));
        assert!(Row::parse(&[3, 1, 1, 0]).is_err(), "the second value is cut");
        assert!(Row::parse(&[2, 10]).is_err(), "kind 10 is reserved");
    }

    #[test]
    fn names_of_columns() {
        let sql = "CREATE TABLE \"messages\"\n( ts REAL, arbitration_id INTEGER, [data] BLOB DEFAULT (x'00,00'), \"dlc\" INT)";
        assert_eq!(columns(sql), ["ts", "arbitration_id", "data", "dlc"]);
        assert_eq!(columns("CREATE TABLE x"), [""]);
    }
}
