//! Columns of a CSV table by name.

use crate::Error;
use crate::error::cut;

/// The position of a column by its name, whatever its case; a byte-order mark before the first is ignored.
pub(crate) fn find(header: &csv::StringRecord, name: &str) -> Option<usize> {
    header.iter().position(|known| known.trim_start_matches('\u{feff}').trim().eq_ignore_ascii_case(name))
}

/// The position of a column that a table must have.
pub(crate) fn column(
    header: &csv::StringRecord,
    what: &'static str,
    column: &'static str,
) -> Result<usize, Error> {
    let header_text = || cut(&header.iter().collect::<Vec<_>>().join(","));
    find(header, column).ok_or_else(|| Error::Column { what, column, header: header_text() })
}
