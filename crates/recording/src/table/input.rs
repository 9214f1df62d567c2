//! Names and first rows of a table: what its plan is made from, and the columns that a name means in it.

use super::cell::{Cell, Kept};
use super::found::{Found, Marks};
use super::header::Name;
use super::number::Decimal;
use super::options::Options;
use super::presets::Preset;
use super::{Mapping, foreign, mapping};
use crate::unit::{self, Conversion};
use crate::{Error, Quantity};

/// Numbers that files often have where a value is missing: 0, nines, and integers with all bits set, also in tenths to
/// ten-thousandths.
const USUAL_MARKS: [f64; 18] = [
    0.0,
    655.35,
    65.535,
    6.5535,
    -999.0,
    999.0,
    -9999.0,
    9999.0,
    -99_999.0,
    99_999.0,
    999_999.0,
    65_535.0,
    6553.5,
    32_767.0,
    -32_768.0,
    3276.7,
    -3276.8,
    4_294_967_295.0,
];

/// What a temperature of one byte says, in °C or °F, where all its bits are 0: a sensor that is not there.
const COLDEST: f64 = -40.0;
/// How far all other values of a column are from it, where it is doubted.
const COLDEST_GAP: f64 = 30.0;

/// Input that a plan is made from.
pub(crate) struct Input<'a> {
    pub names: &'a [Name],
    pub sample: &'a [Vec<Kept>],
    pub options: &'a Options,
    pub decimal: Decimal,
    pub grouped: bool,
    /// Whether the decimal sign is a guess.
    pub is_guessed: bool,
    /// Whether dates that the file stores as numbers count from 1904.
    pub is_1904: bool,
    /// Dates that lines before the header state, in ns since the Unix epoch.
    pub dates: &'a [i64],
    /// The format that its columns tell.
    pub preset: Option<&'static Preset>,
    pub place: &'a str,
}

impl Input<'_> {
    /// The format, unless the user states which columns are read.
    pub(super) fn free_preset(&self) -> Option<&'static Preset> {
        self.preset.filter(|_| !self.options.only_mapped)
    }

    pub(super) fn mapping(&self, quantity: Quantity) -> Option<&Mapping> {
        self.options.mappings.iter().find(|mapping| mapping.quantity == quantity)
    }

    pub(super) fn cell(&self, row: &'_ [Kept], index: usize) -> Option<f64> {
        match row.get(index).map_or(Cell::Empty, Kept::as_cell) {
            Cell::Number(value) => Some(value),
            Cell::Text(text) => super::number::parse(text, self.decimal, self.grouped),
            Cell::Empty | Cell::Date(..) => None,
        }
    }

    /// Numbers of a column's first rows.
    pub(super) fn numbers(&self, index: usize) -> impl Iterator<Item = f64> + '_ {
        self.sample.iter().filter_map(move |row| self.cell(row, index))
    }

    pub(super) fn error(&self, problem: impl std::fmt::Display) -> Error {
        let names: Vec<&str> = self.names.iter().map(|name| name.text.as_str()).collect();
        let shown: String = names.join(", ").chars().take(1500).collect();
        let encoding = if foreign::are_of_another_encoding(self.names) {
            " (the text is no UTF-8: if the names read wrongly, convert it, as with `iconv -f GBK -t UTF-8`)"
        } else {
            ""
        };
        Error::mapping(self.place, format!("{problem}; the columns are: {shown}{encoding}"))
    }

    /// Columns that a user's name means.
    pub(super) fn named(&self, wanted: &str) -> Vec<usize> {
        if let Some(number) = wanted.strip_prefix('#').and_then(|digits| digits.parse::<usize>().ok())
            && (1..=self.names.len()).contains(&number)
        {
            return vec![number - 1];
        }
        let all = |test: &dyn Fn(&Name) -> bool| -> Vec<usize> {
            (0..self.names.len()).filter(|index| test(&self.names[*index])).collect()
        };
        let wanted = Name::parse(wanted);
        let tests: [&dyn Fn(&Name) -> bool; 4] = [
            &|name| name.text == wanted.text,
            &|name| name.text.eq_ignore_ascii_case(&wanted.text),
            &|name| !wanted.key.is_empty() && name.key == wanted.key && wanted.unit.is_none(),
            &|name| mapping::fits(&wanted.text, &name.text),
        ];
        tests.iter().map(|test| all(*test)).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// The column that is mapped to a quantity of one column.
    pub(super) fn mapped(&self, mapping: &Mapping) -> Result<usize, Error> {
        match self.named(&mapping.name).as_slice() {
            [] => Err(self.error(format!("there is no column {:?}", mapping.name))),
            [index] => Ok(*index),
            several => {
                let numbers: Vec<String> = several.iter().map(|index| format!("#{}", index + 1)).collect();
                Err(self.error(format!(
                    "{} columns are {:?}: map one by its number ({})",
                    several.len(),
                    mapping.name,
                    numbers.join(", ")
                )))
            }
        }
    }

    /// The column that a quantity's usual names mean. Ambiguous if two of them are equally good.
    pub(super) fn usual(&self, quantity: Quantity, keys: &[&str]) -> Result<Option<usize>, Error> {
        for key in keys {
            let found: Vec<usize> = (0..self.names.len())
                .filter(|index| self.names[*index].key == *key && self.fits_unit(quantity, *index))
                .collect();
            match found.as_slice() {
                [] => {}
                [index] => return Ok(Some(*index)),
                [index, ..] if !is_needed(quantity) => return Ok(Some(*index)),
                // `t` beside `T`: the time is written small.
                several if several.iter().filter(|index| self.names[**index].text == *key).count() == 1 => {
                    return Ok(several.iter().copied().find(|index| self.names[*index].text == *key));
                }
                [first, ..] => {
                    let problem = format!(
                        "{} columns can be the {quantity} ({:?} and others): map one (--map {quantity}=#{})",
                        found.len(),
                        self.names[*first].text,
                        first + 1
                    );
                    return Err(self.error(problem));
                }
            }
        }
        Ok(None)
    }

    /// Whether the column's unit, if it states a known one, is of the quantity.
    fn fits_unit(&self, quantity: Quantity, index: usize) -> bool {
        let stated = self.names[index].unit.as_deref().and_then(unit::parse);
        stated.is_none_or(|(dimension, _)| Some(dimension) == unit::Dimension::of(quantity))
    }

    /// Marks that are far from all other numbers of the first rows.
    fn doubted(&self, quantity: Quantity, index: usize) -> Marks {
        if quantity == Quantity::Temperatures {
            let least = self.numbers(index).filter(|value| *value != COLDEST).fold(f64::INFINITY, f64::min);
            let is_far = least.is_finite() && least > COLDEST + COLDEST_GAP;
            return Marks::new(if is_far { vec![COLDEST] } else { Vec::new() });
        }
        let is_measured = matches!(quantity, Quantity::PackVoltage | Quantity::PackCurrent | Quantity::Cells);
        let is_voltage = matches!(quantity, Quantity::PackVoltage | Quantity::Cells);
        let is_mark = |value: &f64| USUAL_MARKS.contains(value) && (is_voltage || *value != 0.0);
        let others = || self.numbers(index).filter(|value| !is_mark(value));
        let least = others().fold(f64::INFINITY, f64::min);
        let most = others().fold(f64::NEG_INFINITY, f64::max);
        let reach = least.abs().max(most.abs()).max(most - least);
        let is_far = |mark: &f64| match quantity {
            // A voltage that is nowhere near 0 before and after.
            _ if *mark == 0.0 => is_voltage && least > 1.0,
            // Parts of all bits set: twice a pack's or a cell's voltage can be beyond them.
            _ if is_voltage && [655.35, 65.535, 6.5535].contains(mark) => {
                *mark > most + (0.2 * most).max(most - least)
            }
            _ => *mark < least - reach || *mark > most + reach,
        };
        let is_stated = |mark: &f64| self.options.missing.contains(mark);
        let marks = USUAL_MARKS.into_iter().filter(|mark| is_measured && is_far(mark) && !is_stated(mark));
        Marks::new(if least <= most { marks.collect() } else { Vec::new() })
    }

    /// A column's conversion: as mapped, else of the header's unit.
    pub(super) fn found(
        &self,
        quantity: Quantity,
        index: usize,
        mapping: Option<&Mapping>,
    ) -> Result<Found, Error> {
        let name = &self.names[index];
        let sign = mapping.filter(|mapping| mapping.factor == -1.0 && mapping.offset == 0.0);
        let stated = mapping.filter(|_| sign.is_none()).and_then(Mapping::conversion);
        let mapped_unit = mapping.and_then(|mapping| mapping.unit.as_deref());
        let of_preset = self.free_preset().and_then(|preset| preset.unit(quantity));
        let (conversion, unit) = match (stated, mapped_unit.or(name.unit.as_deref()).or(of_preset)) {
            (Some(conversion), unit) => {
                let unit = mapped_unit.filter(|_| unit.is_some()).unwrap_or("as mapped");
                (conversion, unit.to_owned())
            }
            (None, None) => (Conversion::BASE, quantity.base_unit().to_owned()),
            (None, Some(unit)) if unit::Dimension::of(quantity).is_none() => {
                (Conversion::BASE, unit.to_owned())
            }
            (None, Some(unit)) => match unit::convert(quantity, unit) {
                Some(conversion) => (conversion, unit.to_owned()),
                None => {
                    let problem = format!(
                        "the unit {unit:?} of column {:?} is none of {quantity}: state a factor to {} \
                         (--map '{quantity}={}*FACTOR')",
                        name.text,
                        quantity.base_unit(),
                        name.text
                    );
                    return Err(self.error(problem));
                }
            },
        };
        let sign = if sign.is_some() { -1.0 } else { 1.0 };
        let conversion = Conversion { factor: conversion.factor * sign, offset: conversion.offset };
        let missing = Marks::new(self.options.missing.clone());
        let doubted = self.doubted(quantity, index);
        let is_magnitude =
            quantity == Quantity::Cells && self.preset.is_some_and(|preset| preset.marks_cells);
        Ok(Found {
            quantity,
            source: name.text.clone(),
            unit,
            conversion,
            index,
            missing,
            doubted,
            is_magnitude,
        })
    }
}

/// Whether a table without this quantity cannot be read, unless its cells stand for it.
pub(super) fn is_needed(quantity: Quantity) -> bool {
    matches!(quantity, Quantity::Time | Quantity::PackVoltage | Quantity::PackCurrent)
}
