//! Cells of a table, of whatever kind of file.

/// A cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    /// Nothing is there.
    Empty,
    /// Text, trimmed.
    Text(&'a [u8]),
    /// A number that the file stores as one.
    Number(f64),
    /// A date that the file stores as one, in ns since 1970, and whether it is UTC.
    Date(i64, bool),
}

/// A cell that is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Kept {
    #[default]
    Empty,
    Text(Box<[u8]>),
    Number(f64),
    Date(i64, bool),
}

impl Kept {
    pub fn as_cell(&self) -> Cell<'_> {
        match self {
            Self::Empty => Cell::Empty,
            Self::Text(text) => Cell::Text(text),
            Self::Number(value) => Cell::Number(*value),
            Self::Date(ns, utc) => Cell::Date(*ns, *utc),
        }
    }
}

impl From<Cell<'_>> for Kept {
    fn from(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Empty => Self::Empty,
            Cell::Text(text) => Self::Text(text.into()),
            Cell::Number(value) => Self::Number(value),
            Cell::Date(ns, utc) => Self::Date(ns, utc),
        }
    }
}
