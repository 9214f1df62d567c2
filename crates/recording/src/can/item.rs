//! A wanted signal, and its readings in frames.

use super::codes::Codes;
use super::dbc::{Message, Number, Raw, Signal};
use crate::unit::Conversion;
use crate::{Quantity, Reading, Unknown};

/// A wanted signal.
pub(super) struct Item {
    pub(super) quantity: Quantity,
    /// Place among cells or temperatures; 0 otherwise.
    pub(super) place: usize,
    pub(super) message: usize,
    pub(super) signal: usize,
    /// Signal that gives a number to be added to `place`: its place in the message, first number, step.
    pub(super) index: Option<(usize, i64, i64)>,
    /// Factor and offset instead of the file's.
    pub(super) own: Option<(f64, f64)>,
    /// From the physical value to the base unit.
    pub(super) conversion: Conversion,
    /// Unit of the physical value.
    pub(super) unit: String,
    pub(super) max_age_ns: u64,
    /// Raw numbers that can be codes.
    pub(super) codes: Option<Codes>,
}

impl Item {
    /// Place and reading; `None` if the frame is too short or its number is of no cell.
    pub(super) fn read(&self, message: &Message, data: &[u8]) -> Option<(usize, Reading)> {
        let signal = message.signals.get(self.signal)?;
        let mut place = self.place;
        if let Some((index, first, step)) = self.index {
            let number = message.signals.get(index)?.physical(data)?;
            let at = (number as i64).checked_sub(first)?.checked_mul(step)?.checked_add(place as i64)?;
            place = usize::try_from(at).ok()?;
        }
        let judged = signal.read(data, message.j1939)?;
        let reading = match judged {
            Ok(_) if matches!(self.quantity, Quantity::Contactor) => {
                let raw = signal.raw(data)?.as_f64();
                let word = signal.values.get(&(raw as i64)).map(|word| word.to_lowercase());
                match word.as_deref() {
                    Some(word) if word.contains("open") => Ok(0.0),
                    Some(word) if word.contains("clos") => Ok(1.0),
                    _ => Ok(raw),
                }
            }
            Ok(value) => Ok(self.conversion.apply(match self.own {
                Some((factor, offset)) => signal.raw(data)?.as_f64() * factor + offset,
                None => value,
            })),
            Err(cause) => Err(cause),
        };
        if self.is_full_byte(signal, data)
            && !matches!((self.quantity, reading), (Quantity::Soc, Ok(soc)) if is_full(soc))
        {
            return Some((place, reading.and(Err(Unknown::NotAvailable))));
        }
        Some((place, reading.and_then(|v| if v.is_finite() { Ok(v) } else { Err(Unknown::OutOfRange) })))
    }

    /// The raw number of a measured quantity whose signal has codes that no word names.
    pub(super) fn raw_with_codes(&self, message: &Message, data: &[u8]) -> Option<(Codes, i64)> {
        let codes = self.codes?;
        let signal = message.signals.get(self.signal)?;
        let Raw::Whole(raw) = signal.raw(data)? else { return None };
        (!signal.values.contains_key(&raw)).then_some((codes, raw))
    }

    /// Whether all bits of a byte are one, which a measured quantity has where it is not available, and no word says
    /// otherwise.
    fn is_full_byte(&self, signal: &Signal, data: &[u8]) -> bool {
        is_measured(self.quantity)
            && signal.size == 8
            && signal.number == Number::Unsigned
            && !signal.values.contains_key(&0xff)
            && signal.bits(data) == Some(0xff)
    }
}

/// Whether a quantity is measured, so that a number with all bits one is hardly its value.
pub(super) fn is_measured(quantity: Quantity) -> bool {
    matches!(
        quantity,
        Quantity::PackVoltage
            | Quantity::PackCurrent
            | Quantity::Cells
            | Quantity::Soc
            | Quantity::Temperatures
            | Quantity::Ambient
            | Quantity::Coolant
    )
}

/// The raw numbers that can be codes, of a measured quantity or a speed. A state of charge whose last number is that of a
/// full battery has none.
pub(super) fn codes(
    quantity: Quantity,
    signal: &Signal,
    conversion: Conversion,
    own: (f64, f64),
) -> Option<Codes> {
    let value = |raw: f64| conversion.apply(raw * own.0 + own.1);
    let last = (1_u64 << signal.size.min(63)) as f64 - 1.0;
    let is_to_full = quantity == Quantity::Soc && is_full(value(last));
    let has_codes = (is_measured(quantity) || quantity == Quantity::Speed) && !is_to_full;
    has_codes.then(|| Codes::of(signal, quantity, own.0 * conversion.factor, value(0.0))).flatten()
}

/// Whether a state of charge is that of a full battery, which a byte of steps of 1/2.55 % says with all bits one.
pub(super) fn is_full(soc_pct: f64) -> bool {
    (soc_pct - 100.0).abs() < 0.5
}
