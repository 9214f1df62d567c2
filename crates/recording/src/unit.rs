//! Text of units to factors and offsets.

use crate::Quantity;
use serde::{Deserialize, Serialize};

/// Most that a state of charge as a fraction is: a counter of charge may run a little past full.
pub(crate) const MOST_FRACTION: f64 = 1.2;

/// Linear conversion of a stated value to the base unit of its quantity: `value * factor + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversion {
    /// Base units per stated unit.
    pub factor: f64,
    /// Added after the factor, in the base unit.
    pub offset: f64,
}

impl Conversion {
    /// The values are in the base unit.
    pub const BASE: Self = Self { factor: 1.0, offset: 0.0 };

    /// Scales only.
    #[must_use]
    pub const fn scale(factor: f64) -> Self {
        Self { factor, offset: 0.0 }
    }

    /// The value in the base unit.
    #[must_use]
    #[inline]
    pub fn apply(self, value: f64) -> f64 {
        if self.factor == 1.0 { value + self.offset } else { self.scaled(value) }
    }

    fn scaled(self, value: f64) -> f64 {
        // Division by a power of ten is exact to the last digit where multiplication by 0.001 is not.
        let inverse = (1.0 / self.factor).round();
        if self.factor.abs() < 1.0 && inverse.abs() <= 1e9 && 1.0 / inverse == self.factor {
            return value / inverse + self.offset;
        }
        value * self.factor + self.offset
    }
}

/// Kind of a physical unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Base V.
    Voltage,
    /// Base A.
    Current,
    /// Base s.
    Time,
    /// Base %.
    Ratio,
    /// Base °C.
    Temperature,
    /// Base Ω.
    Resistance,
    /// Base km/h.
    Speed,
    /// Base Ah.
    Charge,
    /// Energy, power and others that no quantity has.
    Other,
}

impl Dimension {
    /// The dimension of a quantity's values; `None` for a state.
    #[must_use]
    pub const fn of(quantity: Quantity) -> Option<Self> {
        Some(match quantity {
            Quantity::Time => Self::Time,
            Quantity::PackVoltage | Quantity::Cells => Self::Voltage,
            Quantity::PackCurrent => Self::Current,
            Quantity::Soc => Self::Ratio,
            Quantity::Temperatures | Quantity::Ambient | Quantity::Coolant => Self::Temperature,
            Quantity::Insulation => Self::Resistance,
            Quantity::Speed => Self::Speed,
            Quantity::ChargeCounter => Self::Charge,
            Quantity::Contactor | Quantity::Charging => return None,
        })
    }
}

/// A unit's dimension and its conversion to the base; `None` for text that is no known unit. A number before it is a
/// step: `0.1 %`.
#[must_use]
pub fn parse(text: &str) -> Option<(Dimension, Conversion)> {
    let text = text.trim().trim_matches(['[', ']', '(', ')']).trim();
    let text = text.strip_prefix("Unit_").unwrap_or(text);
    if text == "1" {
        return Some((Dimension::Ratio, Conversion::scale(100.0)));
    }
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    if digits == 0 {
        return plain(text);
    }
    let (step, rest) = text.split_at(digits);
    let step: f64 = step.parse().ok().filter(|step| *step > 0.0 && *step != 1.0)?;
    let (dimension, conversion) = plain(rest.trim().trim_start_matches(['*', '·']).trim())?;
    let scaled = conversion.offset == 0.0 && dimension != Dimension::Other;
    scaled.then(|| (dimension, Conversion::scale(step * conversion.factor)))
}

/// Whether a unit begins with a number, as `0.1 %` does; a share's unit is 1 itself.
#[must_use]
pub fn states_a_step(text: &str) -> bool {
    let text = text.trim();
    text != "1" && text.starts_with(|c: char| c.is_ascii_digit())
}

/// A unit without a step.
fn plain(text: &str) -> Option<(Dimension, Conversion)> {
    if let Some(conversion) = temperature(text) {
        return Some((Dimension::Temperature, conversion));
    }
    let (dimension, factor) = prefixed(text).or_else(|| named(text))?;
    Some((dimension, Conversion::scale(factor)))
}

/// Volts, amperes and ohms with or without a prefix; the prefix of a word may be a word too: `millivolt`.
fn prefixed(unit: &str) -> Option<(Dimension, f64)> {
    const NAMES: [(Dimension, &[&str]); 3] = [
        (Dimension::Voltage, &["V", "Volt", "Volts"]),
        (Dimension::Current, &["A", "Amp", "Amps", "Ampere", "Amper", "Amperes"]),
        (Dimension::Resistance, &["Ω", "\u{2126}", "Ohm", "Ohms"]),
    ];
    const PREFIXES: [(&str, f64); 16] = [
        ("", 1.0),
        ("µ", 1e-6),
        ("μ", 1e-6),
        ("u", 1e-6),
        ("m", 1e-3),
        ("c", 1e-2),
        ("d", 1e-1),
        ("k", 1e3),
        ("K", 1e3),
        ("M", 1e6),
        ("micro", 1e-6),
        ("milli", 1e-3),
        ("kilo", 1e3),
        ("mega", 1e6),
        ("meg", 1e6),
        ("n", 1e-9),
    ];
    for (prefix, factor) in PREFIXES {
        let rest = unit.strip_prefix(prefix).or_else(|| {
            let head = unit.get(..prefix.len())?;
            (prefix.len() > 2 && head.eq_ignore_ascii_case(prefix)).then(|| &unit[prefix.len()..])
        });
        let Some(rest) = rest else { continue };
        let is = |name: &&&str| name.eq_ignore_ascii_case(rest) || name.to_lowercase() == rest;
        if let Some((dimension, _)) = NAMES.iter().find(|(_, names)| names.iter().find(is).is_some()) {
            // MV is as likely a misspelt mV: it is not understood.
            let mega = factor == 1e6 && *dimension != Dimension::Resistance;
            return (!mega).then_some((*dimension, factor));
        }
    }
    None
}

/// Units without prefixes, and what stands for no quantity.
fn named(text: &str) -> Option<(Dimension, f64)> {
    use Dimension::{Charge, Other, Ratio, Speed, Time, Voltage};
    let lower = text.to_lowercase().replace(['\u{b5}', '\u{3bc}'], "u");
    let compact: String = lower.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).collect();
    Some(match compact.as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" | "sek" => (Time, 1.0),
        "ms" | "msec" | "millisecond" | "milliseconds" => (Time, 1e-3),
        "us" | "usec" | "microsecond" | "microseconds" => (Time, 1e-6),
        "ns" | "nsec" | "nanosecond" | "nanoseconds" => (Time, 1e-9),
        "min" | "mins" | "minute" | "minutes" => (Time, 60.0),
        "h" | "hr" | "hrs" | "hour" | "hours" => (Time, 3600.0),
        "d" | "day" | "days" => (Time, 86_400.0),
        "vdc" | "voltdc" | "voltsdc" => (Voltage, 1.0),
        "%" | "pct" | "percent" | "prozent" | "perc" | "%soc" | "soc%" => (Ratio, 1.0),
        "fraction" | "ratio" | "p.u." | "pu" => (Ratio, 100.0),
        "‰" | "permille" | "permil" | "promille" => (Ratio, 0.1),
        "km/h" | "kmh" | "kph" | "kmph" | "kilometerperhour" | "kilometeperhour" => (Speed, 1.0),
        "m/s" | "mps" | "meterpersecond" => (Speed, 3.6),
        "mph" | "mi/h" | "mile/h" | "miles/h" | "milesperhour" => (Speed, 1.609_344),
        "ah" | "a.h" | "amperehour" | "amperehours" => (Charge, 1.0),
        "mah" | "ma.h" => (Charge, 1e-3),
        "wh" | "mwh" | "kwh" | "w.h" | "w" | "kw" | "mw" | "hz" | "v/s" | "ah/v" | "v/ah" | "c/s"
        | "mah/g" | "nm" | "km" | "m" | "f/g" | "a/s" => (Other, 1.0),
        _ => return None,
    })
}

/// Temperatures. Signs of degree come in many encodings, right and wrong ones: the letters count.
fn temperature(text: &str) -> Option<Conversion> {
    if text.contains(|c: char| c.is_ascii_digit() || matches!(c, '/' | '%' | '*' | '+' | 'Ω' | '\u{2126}')) {
        return None;
    }
    let letters: String = text.to_lowercase().chars().filter(char::is_ascii_alphabetic).collect();
    match letters.as_str() {
        "c" | "degc" | "degcelsius" | "celsius" | "degreecelsius" | "degreecelsi" | "degreescelsius"
        | "degreec" | "degreesc" | "gradc" | "grdc" | "gradcelsius" | "cel" => Some(Conversion::BASE),
        "" if text == "℃" => Some(Conversion::BASE),
        "k" | "kelvin" | "degk" => Some(Conversion { factor: 1.0, offset: -273.15 }),
        "f" | "degf" | "fahrenheit" | "degfahrenheit" | "degreef" => Some(FAHRENHEIT),
        "" if text == "℉" => Some(FAHRENHEIT),
        _ => None,
    }
}

const FAHRENHEIT: Conversion = Conversion { factor: 5.0 / 9.0, offset: -160.0 / 9.0 };

/// The conversion of a unit for a quantity: `None` for an unknown unit or one of another dimension. Voltages of cells
/// may be stated per cell.
#[must_use]
pub fn convert(quantity: Quantity, text: &str) -> Option<Conversion> {
    let lower = text.to_ascii_lowercase();
    let per_cell = lower.strip_suffix("/cell").or_else(|| lower.strip_suffix(" per cell"));
    let text = match (quantity, per_cell) {
        (Quantity::Cells, Some(unit)) => &text[..unit.len()],
        _ => text,
    };
    let (dimension, conversion) = parse(text)?;
    (Dimension::of(quantity) == Some(dimension)).then_some(conversion)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(quantity: Quantity, unit: &str, stated: f64, expected: Option<f64>) {
        let got = convert(quantity, unit).map(|conversion| conversion.apply(stated));
        match (got, expected) {
            (Some(got), Some(expected)) => {
                assert!((got - expected).abs() < 1e-9 * expected.abs().max(1.0), "{unit}")
            }
            (got, expected) => assert_eq!(got, expected, "{unit}"),
        }
    }

    #[test]
    fn units_of_each_quantity() {
        use Quantity::{
            Ambient, Cells, ChargeCounter, Coolant, Insulation, PackCurrent, PackVoltage, Soc, Speed,
            Temperatures, Time,
        };
        check(PackVoltage, "V", 355.2, Some(355.2));
        check(PackVoltage, "Volts", 355.2, Some(355.2));
        check(PackVoltage, "[mV]", 355_200.0, Some(355.2));
        check(PackVoltage, "kV", 0.4, Some(400.0));
        check(PackVoltage, "millivolt", 1.0, Some(1e-3));
        check(PackVoltage, "0.1 V", 1.0, Some(0.1));
        check(PackVoltage, "V DC", 355.2, Some(355.2));
        check(PackVoltage, "Vdc", 355.2, Some(355.2));
        check(PackVoltage, "VAC", 230.0, None);
        check(PackVoltage, "V/cell", 3.7, None);
        check(PackVoltage, "MV", 1.0, None);
        check(PackVoltage, "furlong", 1.0, None);
        check(PackVoltage, "A", 1.0, None);
        check(Cells, "mV", 3701.0, Some(3.701));
        check(Cells, "V/cell", 3.7, Some(3.7));
        check(PackCurrent, "mA", -25_000.0, Some(-25.0));
        check(PackCurrent, "µA", 5.0, Some(5e-6));
        check(PackCurrent, "Ampere", 5.0, Some(5.0));
        check(PackCurrent, "Ah", 1.0, None);
        check(Time, "min", 2.0, Some(120.0));
        check(Time, "h", 0.5, Some(1800.0));
        check(Soc, "‰", 431.0, Some(43.1));
        check(Soc, "0.1%", 431.0, Some(43.1));
        check(Soc, "fraction", 0.431, Some(43.1));
        check(Soc, "Ratio", 0.431, Some(43.1));
        check(Soc, "1", 0.431, Some(43.1));
        check(Soc, "Unit_Percent", 43.1, Some(43.1));
        for unknown in ["", "%+1", "0.1", "V", "2"] {
            check(Soc, unknown, 1.0, None);
        }
        check(Temperatures, "K", 298.15, Some(25.0));
        check(Temperatures, "°F", 77.0, Some(25.0));
        check(Temperatures, "degC", 25.0, Some(25.0));
        check(Temperatures, "\u{fffd}C", 25.0, Some(25.0));
        check(Temperatures, "Â°C", 25.0, Some(25.0));
        check(Ambient, "deg(C)", 25.0, Some(25.0));
        check(Coolant, "2 K", 1.0, None);
        check(Temperatures, "C/s", 1.0, None);
        check(Insulation, "kΩ", 2.0, Some(2000.0));
        check(Insulation, "MΩ", 2.0, Some(2e6));
        check(Insulation, "kOhm", 2.0, Some(2000.0));
        check(Speed, "m/s", 10.0, Some(36.0));
        check(Speed, "mph", 10.0, Some(16.09344));
        check(ChargeCounter, "Ah", -1.5, Some(-1.5));
        check(ChargeCounter, "mA.h", -1500.0, Some(-1.5));
        check(ChargeCounter, "A", 1.0, None);
    }
}
