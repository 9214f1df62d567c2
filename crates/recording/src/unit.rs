//! Text of units to factors and offsets.

use crate::Quantity;

/// Linear conversion of a stated value to the base unit of its quantity: `value * factor + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
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
        if self.factor == 1.0 {
            return value + self.offset;
        }
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
    /// Charge, energy, power and others that no quantity has.
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
            Quantity::Contactor | Quantity::Charging => return None,
        })
    }
}

/// A unit's dimension and its conversion to the base; `None` for text that is no known unit.
#[must_use]
pub fn parse(text: &str) -> Option<(Dimension, Conversion)> {
    use Dimension::{Current, Other, Ratio, Resistance, Speed, Temperature, Time, Voltage};
    const KELVIN: Conversion = Conversion { factor: 1.0, offset: -273.15 };
    const FAHRENHEIT: Conversion = Conversion { factor: 5.0 / 9.0, offset: -160.0 / 9.0 };
    let text = text.trim();
    // Case tells milli from mega, and kelvin from kilo.
    let exact = match text {
        "MΩ" | "MOhm" | "Mohm" => Some((Resistance, 1e6)),
        "mΩ" | "mOhm" | "mohm" => Some((Resistance, 1e-3)),
        "MV" | "MA" => return None,
        _ => None,
    };
    if let Some((dimension, factor)) = exact {
        return Some((dimension, Conversion::scale(factor)));
    }
    let lower = text.to_lowercase().replace(['\u{b5}', '\u{3bc}'], "u");
    let lower = lower.replace('\u{2126}', "ω");
    let (dimension, factor) = match lower.as_str() {
        "v" | "volt" | "volts" => (Voltage, 1.0),
        "mv" | "millivolt" | "millivolts" => (Voltage, 1e-3),
        "uv" | "microvolt" => (Voltage, 1e-6),
        "kv" | "kilovolt" => (Voltage, 1e3),
        "a" | "amp" | "amps" | "ampere" | "amperes" => (Current, 1.0),
        "ma" | "milliamp" | "milliamps" | "milliampere" => (Current, 1e-3),
        "ua" | "microampere" => (Current, 1e-6),
        "ka" | "kiloampere" => (Current, 1e3),
        "s" | "sec" | "secs" | "second" | "seconds" | "sek" => (Time, 1.0),
        "ms" | "msec" | "millisecond" | "milliseconds" => (Time, 1e-3),
        "us" | "usec" | "microsecond" | "microseconds" => (Time, 1e-6),
        "ns" | "nsec" | "nanosecond" | "nanoseconds" => (Time, 1e-9),
        "min" | "mins" | "minute" | "minutes" => (Time, 60.0),
        "h" | "hr" | "hrs" | "hour" | "hours" => (Time, 3600.0),
        "d" | "day" | "days" => (Time, 86_400.0),
        "%" | "pct" | "percent" | "prozent" => (Ratio, 1.0),
        "fraction" | "1" | "p.u." | "pu" => (Ratio, 100.0),
        "0.1 %" | "0.1%" | "‰" | "permille" | "permil" => (Ratio, 0.1),
        "0.01 %" | "0.01%" => (Ratio, 0.01),
        "°c" | "ºc" | "˚c" | "degc" | "deg c" | "deg. c" | "deg_c" | "c" | "celsius" | "℃" | "grad c" => {
            (Temperature, 1.0)
        }
        // The degree sign of a file that went through a wrong encoding (U+FFFD, or UTF-8 read as Latin-1).
        "\u{fffd}c" | "â°c" | "ï¿½c" => (Temperature, 1.0),
        "k" | "kelvin" | "degk" => return Some((Temperature, KELVIN)),
        "°f" | "ºf" | "degf" | "deg f" | "deg_f" | "f" | "fahrenheit" | "℉" => {
            return Some((Temperature, FAHRENHEIT));
        }
        "ω" | "ohm" | "ohms" => (Resistance, 1.0),
        "kω" | "kohm" | "kohms" => (Resistance, 1e3),
        "megohm" | "megaohm" => (Resistance, 1e6),
        "km/h" | "kmh" | "kph" | "kmph" => (Speed, 1.0),
        "m/s" | "mps" => (Speed, 3.6),
        "mph" | "mi/h" => (Speed, 1.609_344),
        "ah" | "mah" | "a.h" | "ma.h" | "wh" | "mwh" | "kwh" | "w.h" | "w" | "kw" | "mw" | "hz" | "v/s"
        | "ah/v" | "v/ah" | "c/s" | "mah/g" | "n m" | "nm" | "km" | "m" | "f/g" | "a/s" => (Other, 1.0),
        _ => return None,
    };
    Some((dimension, Conversion::scale(factor)))
}

/// The conversion of a unit for a quantity: `None` for an unknown unit or one of another dimension.
#[must_use]
pub fn convert(quantity: Quantity, text: &str) -> Option<Conversion> {
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
            (Some(got), Some(expected)) => assert!((got - expected).abs() < 1e-9 * expected.abs().max(1.0)),
            (got, expected) => assert_eq!(got, expected, "{unit}"),
        }
    }

    #[test]
    fn units_of_each_quantity() {
        use Quantity::{Cells, Insulation, PackCurrent, PackVoltage, Soc, Speed, Temperatures, Time};
        check(PackVoltage, "V", 355.2, Some(355.2));
        check(Cells, "mV", 3701.0, Some(3.701));
        check(PackVoltage, "kV", 0.4, Some(400.0));
        check(PackCurrent, "mA", -25_000.0, Some(-25.0));
        check(PackCurrent, "µA", 5.0, Some(5e-6));
        check(Time, "min", 2.0, Some(120.0));
        check(Time, "h", 0.5, Some(1800.0));
        check(Soc, "‰", 431.0, Some(43.1));
        check(Soc, "fraction", 0.431, Some(43.1));
        check(Temperatures, "K", 298.15, Some(25.0));
        check(Temperatures, "°F", 77.0, Some(25.0));
        check(Temperatures, "degC", 25.0, Some(25.0));
        check(Insulation, "kΩ", 2.0, Some(2000.0));
        check(Insulation, "MΩ", 2.0, Some(2e6));
        check(Speed, "m/s", 10.0, Some(36.0));
        check(PackVoltage, "furlong", 1.0, None);
        check(PackVoltage, "A", 1.0, None);
        check(PackCurrent, "Ah", 1.0, None);
    }
}
