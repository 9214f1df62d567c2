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
    /// Numbers of the file that stand for a missing value.
    pub(crate) missing: Marks,
    /// Numbers of the file that seem to.
    pub(crate) doubted: Marks,
    /// Whether the sign of a number says something else than its value.
    pub(crate) is_magnitude: bool,
}

/// Numbers that stand for a missing value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Marks {
    numbers: Vec<f64>,
    /// The least of their magnitudes: almost all values are told from them by it.
    least: f64,
    /// Whether 0 is one.
    zero: bool,
}

impl Marks {
    pub fn new(mut numbers: Vec<f64>) -> Self {
        let zero = numbers.contains(&0.0);
        numbers.retain(|number| *number != 0.0);
        let least = numbers.iter().fold(f64::INFINITY, |least, number| least.min(number.abs()));
        Self { numbers, least, zero }
    }

    #[inline]
    pub fn contains(&self, value: f64) -> bool {
        (value.abs() >= self.least && self.numbers.contains(&value)) || (self.zero && value == 0.0)
    }
}

/// The column that states charge or discharge beside a current that is a magnitude.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub index: usize,
}
