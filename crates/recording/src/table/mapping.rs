//! Which column is which quantity, as a user states it.

use crate::Quantity;
use crate::unit::{self, Conversion};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A user's statement which column holds a quantity: `QUANTITY=NAME[*FACTOR][+OFFSET]`.
///
/// ```
/// # use voltmesh_recording::table::Mapping;
/// let mapping: Mapping = "temperatures=Temp [F]*0.5556+-17.78".parse().unwrap();
/// assert_eq!((mapping.name.as_str(), mapping.factor, mapping.offset), ("Temp [F]", 0.5556, -17.78));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// What the column holds.
    pub quantity: Quantity,
    /// The column's name as the file spells it (case and its unit may differ); for cells and temperatures `*` stands
    /// for any text and `{}` for a number.
    pub name: String,
    /// Base units per unit of the file. Default: by the unit, else 1.
    #[serde(default = "one")]
    pub factor: f64,
    /// Added after the factor, in the base unit. Default 0.
    #[serde(default)]
    pub offset: f64,
    /// The file's unit, where its header does not state it. A factor or offset makes it unused.
    #[serde(default)]
    pub unit: Option<String>,
}

fn one() -> f64 {
    1.0
}

impl Mapping {
    /// A column in the unit that its header states, or the base unit.
    #[must_use]
    pub fn new(quantity: Quantity, name: impl Into<String>) -> Self {
        Self { quantity, name: name.into(), factor: 1.0, offset: 0.0, unit: None }
    }

    /// Whether a factor or an offset is stated, so that the header's unit no longer counts.
    #[must_use]
    pub fn converts(&self) -> bool {
        self.factor != 1.0 || self.offset != 0.0
    }

    /// The stated conversion; `None` where the header's unit counts.
    pub(crate) fn conversion(&self) -> Option<Conversion> {
        if self.converts() {
            return Some(Conversion { factor: self.factor, offset: self.offset });
        }
        self.unit.as_deref().and_then(|unit| unit::convert(self.quantity, unit))
    }
}

/// A finite number at the end of `text` after `sign`, and the text before it.
fn tail(text: &str, sign: char) -> Option<(&str, f64)> {
    let at = text.rfind(sign)?;
    let number: f64 = text[at + sign.len_utf8()..].trim().parse().ok()?;
    (number.is_finite() && at > 0).then_some((&text[..at], number))
}

/// An offset at the end: `+1`, `-1`, `+-1`, also with an exponent (`+1e-3`).
fn offset(text: &str) -> Option<(&str, f64)> {
    let mut found = None;
    for (at, sign) in text.char_indices().filter(|(at, c)| *at > 0 && matches!(c, '+' | '-')) {
        if let (Some(number), None) = (text[at + 1..].trim().parse::<f64>().ok(), found) {
            let value = if sign == '-' { -number } else { number };
            found = value.is_finite().then_some((&text[..at], value));
        }
    }
    found
}

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let usage = || format!("{text:?} is no mapping: write QUANTITY=NAME[*FACTOR][+OFFSET]");
        let (quantity, rest) = text.split_once('=').ok_or_else(usage)?;
        let quantity: Quantity = quantity.trim().parse()?;
        let (mut name, mut factor, mut add) = (rest.trim(), 1.0, 0.0);
        // `-17` after a name is an offset only behind a factor: names like `cell-1` are frequent.
        if let Some((before, number)) = tail(name, '*') {
            (name, factor) = (before, number);
        } else if let Some((before, number)) = offset(name)
            && let Some((start, scale)) = tail(before, '*')
        {
            (name, factor, add) = (start, scale, number);
        } else if let Some((before, number)) = offset(name)
            && name[before.len()..].starts_with('+')
        {
            (name, add) = (before, number);
        } else if let Some((before, number)) = offset(name)
            && before.ends_with(char::is_whitespace)
        {
            (name, add) = (before, number);
        }
        let name = name.trim();
        if name.is_empty() || factor == 0.0 {
            return Err(usage());
        }
        // `*1` states that the values are in the base unit, whatever the file says.
        let plain = factor == 1.0 && add == 0.0 && name.len() < rest.trim().len();
        let unit = (plain && !quantity.base_unit().is_empty()).then(|| quantity.base_unit().to_owned());
        Ok(Self { quantity, name: name.to_owned(), factor, offset: add, unit })
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.quantity, self.name)?;
        if self.converts() {
            write!(f, "*{}", self.factor)?;
        }
        if self.offset != 0.0 {
            write!(f, "+{}", self.offset)?;
        }
        if !self.converts() && self.unit.as_deref() == Some(self.quantity.base_unit()) {
            f.write_str("*1")?;
        }
        Ok(())
    }
}

/// Whether `name` fits `pattern`, in which `*` stands for any text and `{}` (also `{:02}`) for a number.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    fn rest(pattern: &[u8], name: &[u8]) -> bool {
        match pattern {
            [] => name.is_empty(),
            [b'*', after @ ..] => (0..=name.len()).any(|skip| rest(after, &name[skip..])),
            [b'{', ..] if pattern.contains(&b'}') => {
                let end = pattern.iter().position(|b| *b == b'}').unwrap_or(0);
                let digits = name.iter().take_while(|b| b.is_ascii_digit()).count();
                digits > 0 && rest(&pattern[end + 1..], &name[digits..])
            }
            [first, after @ ..] => {
                name.first().is_some_and(|b| b.eq_ignore_ascii_case(first)) && rest(after, &name[1..])
            }
        }
    }
    // Each `*` multiplies the work: two are enough for any name, and names are short.
    pattern.matches('*').count() <= 3 && name.len() <= 256 && rest(pattern.as_bytes(), name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, name: &str, factor: f64, offset: f64) {
        let mapping: Mapping = text.parse().expect("a mapping");
        assert_eq!((mapping.name.as_str(), mapping.factor, mapping.offset), (name, factor, offset), "{text}");
        assert_eq!(mapping.to_string().parse(), Ok(mapping));
    }

    #[test]
    fn mappings() {
        check("time=ts*0.001", "ts", 0.001, 0.0);
        check("cells=c*", "c*", 1.0, 0.0);
        check("cells=c**0.001", "c*", 0.001, 0.0);
        check("cells=cell_{}_v", "cell_{}_v", 1.0, 0.0);
        check("temperatures=Temp [F]*0.5556+-17.78", "Temp [F]", 0.5556, -17.78);
        check("temperatures=T*1-273.15", "T", 1.0, -273.15);
        check("temperatures=T*0.5556-17.78", "T", 0.5556, -17.78);
        check("temperatures=T+-273.15", "T", 1.0, -273.15);
        check("pack_current=Strom*-1", "Strom", -1.0, 0.0);
        check("pack_voltage=cell-1", "cell-1", 1.0, 0.0);
        check("pack_voltage=U*1e-3+1e-2", "U", 1e-3, 1e-2);
        check("soc=SoC*1", "SoC", 1.0, 0.0);
        assert_eq!("soc=SoC*1".parse::<Mapping>().expect("a mapping").unit.as_deref(), Some("%"));
        for bad in ["volts=u", "pack_voltage", "pack_voltage=", "pack_voltage=u*0"] {
            assert!(bad.parse::<Mapping>().is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns() {
        assert!(fits("c*", "c1") && fits("cell_{}_v", "Cell_01_V") && fits("Cell{:02}", "Cell07"));
        assert!(!fits("c*", "u") && !fits("cell_{}_v", "cell_x_v"));
    }
}
