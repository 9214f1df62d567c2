//! The readings of one moment.

use crate::{Quantity, Reading, Unknown};

/// Time as a file states it, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stamp {
    /// Since the Unix epoch, UTC.
    Unix(i64),
    /// Since a moment that the file does not state.
    Relative(i64),
}

/// The readings of one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// When they were measured, or when the last of them came in.
    pub time: Stamp,
    /// See [`Quantity::PackVoltage`].
    pub pack_voltage: Reading,
    /// See [`Quantity::PackCurrent`].
    pub pack_current: Reading,
    /// See [`Quantity::Soc`].
    pub soc: Reading,
    /// See [`Quantity::Cells`]; in the pack's order.
    pub cells: Vec<Reading>,
    /// See [`Quantity::Temperatures`]; in the pack's order.
    pub temperatures: Vec<Reading>,
    /// See [`Quantity::Contactor`].
    pub contactor: Reading,
    /// See [`Quantity::Charging`].
    pub charging: Reading,
    /// See [`Quantity::Insulation`].
    pub insulation: Reading,
    /// See [`Quantity::Ambient`].
    pub ambient: Reading,
    /// See [`Quantity::Coolant`].
    pub coolant: Reading,
    /// See [`Quantity::Speed`].
    pub speed: Reading,
    /// See [`Quantity::ChargeCounter`].
    pub charge_counter: Reading,
}

impl Row {
    /// A row with all quantities unknown.
    #[must_use]
    pub fn unknown(time: Stamp, cells: usize, temperatures: usize) -> Self {
        let none = Err(Unknown::NotSent);
        Self {
            time,
            pack_voltage: none,
            pack_current: none,
            soc: none,
            cells: vec![none; cells],
            temperatures: vec![none; temperatures],
            contactor: none,
            charging: none,
            insulation: none,
            ambient: none,
            coolant: none,
            speed: none,
            charge_counter: none,
        }
    }

    /// Makes all quantities unknown at another time; the lists are empty and keep their memory.
    #[inline]
    pub(crate) fn clear(&mut self, time: Stamp) {
        const NONE: Reading = Err(Unknown::NotSent);
        self.time = time;
        self.cells.clear();
        self.temperatures.clear();
        (self.pack_voltage, self.pack_current, self.soc) = (NONE, NONE, NONE);
        (self.contactor, self.charging, self.insulation) = (NONE, NONE, NONE);
        (self.ambient, self.coolant, self.speed, self.charge_counter) = (NONE, NONE, NONE, NONE);
    }

    /// The reading of a quantity of one value; `None` for time, cells and temperatures.
    #[must_use]
    pub fn single(&self, quantity: Quantity) -> Option<Reading> {
        Some(match quantity {
            Quantity::PackVoltage => self.pack_voltage,
            Quantity::PackCurrent => self.pack_current,
            Quantity::Soc => self.soc,
            Quantity::Contactor => self.contactor,
            Quantity::Charging => self.charging,
            Quantity::Insulation => self.insulation,
            Quantity::Ambient => self.ambient,
            Quantity::Coolant => self.coolant,
            Quantity::Speed => self.speed,
            Quantity::ChargeCounter => self.charge_counter,
            Quantity::Time | Quantity::Cells | Quantity::Temperatures => return None,
        })
    }
}

/// Whether a row can be used: its voltage and its current are known.
#[must_use]
pub fn is_usable(row: &Row) -> bool {
    row.single(Quantity::PackCurrent).is_some_and(|reading| reading.is_ok())
        && (row.pack_voltage.is_ok() || (!row.cells.is_empty() && row.cells.iter().all(Result::is_ok)))
}
