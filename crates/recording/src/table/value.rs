//! Cells to readings.

use super::cell::Cell;
use super::found::Found;
use super::number::{self, Decimal};
use crate::unit::Conversion;
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
        Cell::Text(text) => {
            match number::parse(text, decimal, grouped).or_else(|| percent(text, found, decimal)) {
                Some(value) => value,
                None if number::says_none(text) => return (Err(Unknown::NotAvailable), false),
                None => match is_state(found.quantity).then(|| state(text)).flatten() {
                    Some(value) => value,
                    None => return (Err(Unknown::NotAvailable), true),
                },
            }
        }
    };
    if found.missing.contains(value) {
        return (Err(Unknown::NotAvailable), false);
    }
    let is_doubted = found.doubted.contains(value);
    let value = if found.is_magnitude { value.abs() } else { value };
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

/// A state of charge that states its unit itself: `43.1 %`.
fn percent(text: &[u8], found: &Found, decimal: Decimal) -> Option<f64> {
    let number = text.strip_suffix(b"%").filter(|_| found.quantity == Quantity::Soc)?;
    // Whatever its column states, it is in percent.
    (found.conversion == Conversion::BASE)
        .then(|| number::parse(number.trim_ascii(), decimal, false))
        .flatten()
}

fn is_state(quantity: Quantity) -> bool {
    matches!(quantity, Quantity::Charging | Quantity::Contactor)
}

/// The state that a word says: 1 for closed or charging.
pub(super) fn state(text: &[u8]) -> Option<f64> {
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
    /// Reads what testers write: `C`, `D`, `R`; `CC Chg`, `CC DChg`, `Rest`; `CHA`, `DCH`, `PAU`; `Entladen`, `Décharge`,
    /// `恒流放电`.
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
        let any = |parts: &[&str]| parts.iter().any(|part| has(part));
        // `disconnected` and `not charging` say that none of both is known.
        let is_other = any(&["discon", "disab", "displ", "dist", "not charg", "no charg", "uncharg"]);
        if is_other {
            None
        } else if any(&["dis", "dch", "dsg", "entlad", "descarg", "scaric", "放电", "放電", "방전"])
            || is_french_discharge(&lower)
        {
            Some(Self::Discharge)
        } else if any(&["chg", "charg", "laden", "ladung", "carga", "carica", "充电", "充電", "충전"]) {
            Some(Self::Charge)
        } else if any(&["rest", "pause", "suspend", "ruhe", "end", "静置", "搁置", "休止", "휴지"]) {
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

/// Whether `charg` stands behind `de` or `dé`, in UTF-8 or Latin-1, small or capital.
fn is_french_discharge(lower: &[u8]) -> bool {
    let Some(at) = memchr::memmem::find(lower, b"charg") else { return false };
    let before = &lower[..at];
    [b"de".as_slice(), "dé".as_bytes(), "dÉ".as_bytes(), b"d\xe9", b"d\xc9"]
        .iter()
        .any(|end| before.ends_with(end))
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
            ("CC_CV_Charge", Some(Direction::Charge)),
            ("Entladung", Some(Direction::Discharge)),
            ("Ladung", Some(Direction::Charge)),
            ("Décharge", Some(Direction::Discharge)),
            ("DÉCHARGE CC", Some(Direction::Discharge)),
            ("Charge CC", Some(Direction::Charge)),
            ("Descarga", Some(Direction::Discharge)),
            ("Carga", Some(Direction::Charge)),
            ("Scarica", Some(Direction::Discharge)),
            ("恒流放电", Some(Direction::Discharge)),
            ("恒流恒压充电", Some(Direction::Charge)),
            ("搁置", Some(Direction::Rest)),
            ("Not charging", None),
            ("Disconnected", None),
            ("7", None),
            ("", None),
        ] {
            assert_eq!(Direction::parse(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(Direction::apply(Some(Direction::Discharge), 1.5), Ok(-1.5));
        assert_eq!(Direction::apply(None, 1.5), Err(Unknown::NotAvailable));
    }
}
