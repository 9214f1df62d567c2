//! Cells to readings.

use super::cell::Cell;
use super::found::Found;
use super::number::{self, Decimal};
use crate::{Quantity, Reading, Unknown};

/// Temperatures of a sensor that works, in °C: beyond them the unit or the sensor is wrong.
const TEMPERATURES: std::ops::RangeInclusive<f64> = -80.0..=200.0;

/// A cell's reading; the second value is true if that has to be said: its text is no number and does not say that there
/// is none, or its number is impossible or seems to stand for a missing value.
#[inline]
pub(crate) fn reading(cell: Cell<'_>, found: &Found, decimal: Decimal, grouped: bool) -> (Reading, bool) {
    let value = match cell {
        Cell::Empty => return (Err(Unknown::NotSent), false),
        Cell::Number(value) if value.is_finite() => value,
        Cell::Number(_) => return (Err(Unknown::NotAvailable), false),
        Cell::Date(..) => return (Err(Unknown::NotAvailable), true),
        Cell::Text(text) => match number::parse(text, decimal, grouped) {
            Some(value) => value,
            None if number::says_none(text) => return (Err(Unknown::NotAvailable), false),
            None => match is_state(found.quantity).then(|| state(text)).flatten() {
                Some(value) => value,
                None => return (Err(Unknown::NotAvailable), true),
            },
        },
    };
    if found.missing.contains(value) {
        return (Err(Unknown::NotAvailable), false);
    }
    let is_doubted = found.doubted.contains(value);
    let value = found.conversion.apply(value);
    let possible = match found.quantity {
        Quantity::Temperatures | Quantity::Ambient | Quantity::Coolant => TEMPERATURES.contains(&value),
        Quantity::Soc => (0.0..=100.0).contains(&value),
        Quantity::Insulation => value >= 0.0,
        _ => true,
    };
    match possible && value.is_finite() {
        true => (Ok(value), is_doubted),
        false => (Err(Unknown::OutOfRange), true),
    }
}

fn is_state(quantity: Quantity) -> bool {
    matches!(quantity, Quantity::Charging | Quantity::Contactor)
}

fn state(text: &[u8]) -> Option<f64> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    if is(&["true", "yes", "on", "closed", "charging"]) {
        return Some(1.0);
    }
    is(&["false", "no", "off", "open", "not charging", "idle"]).then_some(0.0)
}

/// Direction of a current that is a magnitude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Charge,
    Discharge,
    Rest,
}

impl Direction {
    /// Reads what testers write: `C`, `D`, `R`; `CC Chg`, `CC DChg`, `Rest`; `CHA`, `DCH`, `PAU`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        if text.is_empty() || text.len() > 40 {
            return None;
        }
        let lower = text.to_ascii_lowercase();
        let has = |part: &str| memchr::memmem::find(&lower, part.as_bytes()).is_some();
        match lower.as_slice() {
            b"c" | b"cha" | b"chg" | b"cccv" => return Some(Self::Charge),
            b"d" | b"dis" | b"dch" | b"dchg" => return Some(Self::Discharge),
            b"r" | b"p" | b"s" | b"o" | b"i" | b"pau" | b"stop" | b"rest" | b"idle" | b"ocv" => {
                return Some(Self::Rest);
            }
            _ => {}
        }
        if has("dis") || has("dch") || has("dchg") || has("entlad") {
            Some(Self::Discharge)
        } else if has("chg") || has("charg") || has("laden") {
            Some(Self::Charge)
        } else if has("rest") || has("pause") || has("suspend") || has("ruhe") || has("end") {
            Some(Self::Rest)
        } else {
            None
        }
    }

    /// The current with its sign; unknown if the state is not known and a current flows.
    pub fn apply(direction: Option<Self>, magnitude: f64) -> Reading {
        match direction {
            Some(Self::Charge | Self::Rest) => Ok(magnitude),
            Some(Self::Discharge) => Ok(-magnitude.abs()),
            None if magnitude == 0.0 => Ok(0.0),
            None => Err(Unknown::NotAvailable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions() {
        for (text, expected) in [
            ("C", Some(Direction::Charge)),
            ("CC Chg", Some(Direction::Charge)),
            ("CCCV_Chg", Some(Direction::Charge)),
            ("D", Some(Direction::Discharge)),
            ("CC DChg", Some(Direction::Discharge)),
            ("Constant current discharge", Some(Direction::Discharge)),
            ("DCH", Some(Direction::Discharge)),
            ("Rest", Some(Direction::Rest)),
            ("7", None),
            ("", None),
        ] {
            assert_eq!(Direction::parse(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(Direction::apply(Some(Direction::Discharge), 1.5), Ok(-1.5));
        assert_eq!(Direction::apply(None, 1.5), Err(Unknown::NotAvailable));
    }
}
