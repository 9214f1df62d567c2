//! Columns that were found for quantities.

use crate::Quantity;
use crate::unit::Conversion;

/// A column of a quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What it holds.
    pub quantity: Quantity,
    /// Its name in the file.
    pub source: String,
    /// The unit in which it was read.
    pub unit: String,
    /// To the base unit.
    pub conversion: Conversion,
    /// Its place, from 0.
    pub(crate) index: usize,
}

/// The column that states charge or discharge beside a current that is a magnitude.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub index: usize,
}
