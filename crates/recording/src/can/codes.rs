//! Raw numbers that devices use for codes and a DBC file often does not name: 0xFFE for an error beside 0xFFF for "not
//! available", and 0 before anything was measured.
//!
//! The rule: a raw number of the last few, or of those that SAE J1939 keeps for codes, or 0 where it says 0 V, the coldest
//! temperature or the least current, is a value only where the value before it was near. A battery's quantities get there
//! step by step; a code comes at once.

use super::dbc::{Number, Signal};
use crate::Quantity;

/// Numbers at an end that devices use for codes, beside the last one.
const FEW: i64 = 4;
/// Bits of a signal that has codes: fewer have hardly a number to spare, and more hold no code at their end.
const SIZES: std::ops::RangeInclusive<usize> = 8..=32;
/// Bits from which all numbers whose highest byte is 0xfe or 0xff can be codes, as in J1939.
const WIDE: usize = 12;
/// A value may be so large a part of all numbers away from the one before it.
const PART: i64 = 16;

/// Raw numbers of a signal that can be codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Codes {
    /// Least and greatest number that is none.
    least: i64,
    greatest: i64,
    /// How far from a value its successor is one at the ends.
    near: i64,
    /// The same of 0; `None` where 0 is a value like others.
    near_0: Option<i64>,
}

/// Change from which a quantity does not get to its number 0 at once, in V and K.
const MOST_VOLTS: f64 = 1.0;
const MOST_KELVINS: f64 = 30.0;
/// Temperature in °C from which down the raw number 0 is that of a sensor that is not there.
const COLDEST_C: f64 = -30.0;

impl Codes {
    /// Of a signal of whole numbers that gives a quantity with this factor and this value of the raw number 0; `None` for one
    /// without.
    pub(super) fn of(signal: &Signal, quantity: Quantity, factor: f64, value_of_0: f64) -> Option<Self> {
        if !SIZES.contains(&signal.size) {
            return None;
        }
        let count = 1_i64 << signal.size;
        let near = count / PART;
        let is_unsigned = signal.number == Number::Unsigned;
        let steps = |change: f64| Some((change / factor.abs()) as i64);
        let near_0 = match quantity {
            Quantity::PackVoltage | Quantity::Cells => steps(MOST_VOLTS),
            Quantity::Temperatures | Quantity::Ambient | Quantity::Coolant
                if is_unsigned && value_of_0 <= COLDEST_C =>
            {
                steps(MOST_KELVINS)
            }
            Quantity::PackCurrent if is_unsigned && value_of_0.abs() >= 1.0 => Some(near),
            _ => None,
        };
        match signal.number {
            Number::Unsigned => {
                let of_j1939 = if signal.size >= WIDE { 0xfe << (signal.size - 8) } else { count };
                Some(Self { least: 0, greatest: (count - 2 - FEW).min(of_j1939 - 1), near, near_0 })
            }
            Number::Signed => {
                let half = count / 2;
                Some(Self { least: FEW + 1 - half, greatest: half - 2 - FEW, near, near_0 })
            }
            Number::Float | Number::Double => None,
        }
    }

    /// Whether a raw number is a code, where this was the value before it.
    pub(super) fn contains(self, raw: i64, before: Option<i64>) -> bool {
        let near = match self.near_0 {
            Some(near) if raw == 0 => near,
            _ if raw < self.least || raw > self.greatest => self.near,
            _ => return false,
        };
        before.is_none_or(|before| raw.abs_diff(before) > near.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::super::dbc::Dbc;
    use super::*;

    #[track_caller]
    fn check_of(
        quantity: Quantity,
        bits: &str,
        scale: (f64, f64),
        before: Option<i64>,
        raw: i64,
        expected: bool,
    ) {
        let text = format!("VERSION \"\"\n\nBU_: A\n\nBO_ 1 M: 8 A\n SG_ A : 0|{bits} (1,0) [0|0] \"V\" A\n");
        let dbc = Dbc::parse(text.as_bytes(), "a.dbc").expect("a DBC file");
        let codes = Codes::of(&dbc.messages[0].signals[0], quantity, scale.0, scale.1);
        assert_eq!(codes.is_some_and(|codes| codes.contains(raw, before)), expected, "{bits} {raw:#x}");
    }

    #[track_caller]
    fn check(bits: &str, before: Option<i64>, raw: i64, expected: bool) {
        check_of(Quantity::Speed, bits, (1.0, 0.0), before, raw, expected);
    }

    #[test]
    fn zero_is_a_code_where_a_quantity_does_not_get_there_at_once() {
        use Quantity::{Cells, PackCurrent, PackVoltage, Soc, Temperatures};
        for before in [None, Some(3552)] {
            check_of(PackVoltage, "16@1+", (0.1, 0.0), before, 0, true);
            check_of(Cells, "16@1+", (1e-3, 0.0), before, 0, true);
            check_of(Soc, "16@1+", (0.1, 0.0), before, 0, false);
            check_of(PackCurrent, "16@1-", (0.1, 0.0), before, 0, false);
        }
        check_of(PackVoltage, "16@1+", (0.1, 0.0), Some(9), 0, false);
        check_of(Cells, "16@1+", (1e-3, 0.0), Some(700), 0, false);
        check_of(Temperatures, "8@1+", (1.0, -40.0), Some(65), 0, true);
        check_of(Temperatures, "8@1+", (1.0, -40.0), Some(5), 0, false);
        check_of(Temperatures, "8@1+", (1.0, 0.0), Some(65), 0, false);
        check_of(Temperatures, "16@1-", (0.1, 0.0), Some(250), 0, false);
        check_of(PackCurrent, "16@1+", (0.1, -1000.0), Some(9875), 0, true);
    }

    #[test]
    fn numbers_at_the_ends_are_codes_where_none_is_near() {
        for raw in [0xffd, 0xffe, 0xfff, 0xfe0] {
            check("12@1+", Some(3701), raw, true);
            check("12@1+", None, raw, true);
            check("12@1+", Some(0xfdf), raw, false);
        }
        check("12@1+", Some(3701), 0xfdf, false);
        check("8@1+", Some(65), 0xfe, true);
        check("8@1+", Some(65), 0xfa, false);
        check("8@1+", Some(0xfa), 0xfb, false);
        check("10@1+", Some(700), 1022, true);
        check("10@1+", Some(700), 1018, false);
        check("16@1+", Some(3552), 0xfe13, true);
        check("16@1-", Some(-125), 0x7ffe, true);
        check("16@1-", Some(-125), -0x7fff, true);
        check("16@1-", Some(-125), -0x7f00, false);
        check("8@1-", Some(25), 127, true);
        check("7@1+", Some(25), 126, false);
    }
}
