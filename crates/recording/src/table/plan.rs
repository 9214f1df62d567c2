//! Which column is which quantity: as mapped, else by its name.

use super::cell::{Cell, Kept};
use super::header::Name;
use super::number::Decimal;
use super::options::{Level, Options};
use super::presets::{self, Preset};
use super::sign::{check_sign, millivolts, sign};
use super::time::{Given, Remarks, TimeColumn};
use super::{Mapping, mapping};
use crate::unit::{self, Conversion};
use crate::{Error, Quantity};

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
}

/// The column that states charge or discharge beside a current that is a magnitude.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub index: usize,
}

/// Plan by which rows are read.
#[derive(Debug)]
pub(crate) struct Plan {
    pub preset: Option<&'static Preset>,
    pub level: Level,
    pub time: TimeColumn,
    pub time_index: usize,
    pub time_name: String,
    /// Quantities of one column.
    pub single: Vec<Found>,
    pub cells: Vec<Found>,
    pub temperatures: Vec<Found>,
    pub state: Option<State>,
    pub state_name: Option<String>,
    pub unused: Vec<String>,
    pub warnings: Vec<String>,
    pub doubts: Vec<String>,
}

/// Input that a plan is made from.
pub(crate) struct Input<'a> {
    pub names: &'a [Name],
    pub sample: &'a [Vec<Kept>],
    pub options: &'a Options,
    pub decimal: Decimal,
    pub grouped: bool,
    pub place: &'a str,
}

impl Input<'_> {
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
        Error::mapping(self.place, format!("{problem}; the columns are: {shown}"))
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
    fn usual(&self, quantity: Quantity, keys: &[&str]) -> Result<Option<usize>, Error> {
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

    /// A column's conversion: as mapped, else of the header's unit.
    fn found(&self, quantity: Quantity, index: usize, mapping: Option<&Mapping>) -> Result<Found, Error> {
        let name = &self.names[index];
        let sign = mapping.filter(|mapping| mapping.factor == -1.0 && mapping.offset == 0.0);
        let stated = mapping.filter(|_| sign.is_none()).and_then(Mapping::conversion);
        let mapped_unit = mapping.and_then(|mapping| mapping.unit.as_deref());
        let (conversion, unit) = match (stated, mapped_unit.or(name.unit.as_deref())) {
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
        Ok(Found { quantity, source: name.text.clone(), unit, conversion, index })
    }
}

fn is_needed(quantity: Quantity) -> bool {
    matches!(quantity, Quantity::Time | Quantity::PackVoltage | Quantity::PackCurrent)
}

impl Plan {
    /// Finds the columns.
    pub fn find(input: &Input<'_>) -> Result<Self, Error> {
        let options = input.options;
        let preset = presets::find(input.names).filter(|_| !options.only_mapped);
        let mut remarks = Remarks::default();
        let time_index = time_index(input, preset)?;
        let time = TimeColumn::find(
            &Given {
                name: &input.names[time_index],
                mapping: input.mapping(Quantity::Time),
                options,
                cells: input.sample.iter().filter_map(|row| row.get(time_index)).collect(),
                decimal: input.decimal,
                grouped: input.grouped,
                place: input.place,
            },
            &mut remarks,
        )?;
        let Remarks { mut warnings, mut doubts } = remarks;
        if input.names[time_index].key == "step time" {
            doubts
                .push("only a time of the step is there: each step begins anew, and pauses are lost".into());
        }
        let mut taken = vec![time_index];
        let mut cells = several(input, Quantity::Cells, &taken, &mut warnings, &mut doubts)?;
        taken.extend(cells.iter().map(|found| found.index));
        let mut single = singles(input, &mut taken, &mut warnings)?;
        let temperatures = several(input, Quantity::Temperatures, &taken, &mut warnings, &mut doubts)?;
        taken.extend(temperatures.iter().map(|found| found.index));
        let voltage = single.iter().position(|found| found.quantity == Quantity::PackVoltage);
        if voltage.is_none() && cells.is_empty() {
            return Err(input.error(
                "no column is the voltage (of the pack, the cell or its cells): map one \
                 (--map pack_voltage=NAME or --map cells=NAME*)",
            ));
        }
        let current = single.iter().position(|found| found.quantity == Quantity::PackCurrent);
        let Some(current) = current else {
            return Err(input.error("no column is the current: map one (--map pack_current=NAME)"));
        };
        if let Some(voltage) = voltage {
            millivolts(input, &mut single[voltage], &mut warnings, &mut doubts);
        }
        for found in &mut cells {
            millivolts(input, found, &mut Vec::new(), &mut doubts);
        }
        let state = sign(input, preset, &mut single[current], &mut taken, &mut warnings, &mut doubts)?;
        if let (Some(voltage), None) = (voltage, state) {
            check_sign(input, &single[voltage], &single[current], &mut doubts);
        }
        let level = level(input, preset, &cells, voltage.map(|index| &single[index]));
        let unused = (0..input.names.len())
            .filter(|index| !taken.contains(index) && !input.names[*index].text.is_empty())
            .map(|index| input.names[index].text.clone())
            .collect();
        let state_name = state.map(|state| input.names[state.index].text.clone());
        let time_name = input.names[time_index].text.clone();
        Ok(Self {
            preset,
            level,
            time,
            time_index,
            time_name,
            single,
            cells,
            temperatures,
            state,
            state_name,
            unused,
            warnings,
            doubts,
        })
    }
}

fn time_index(input: &Input<'_>, preset: Option<&Preset>) -> Result<usize, Error> {
    if let Some(mapping) = input.mapping(Quantity::Time) {
        return input.mapped(mapping);
    }
    let preferred = preset.map_or(&[][..], |preset| preset.times);
    // A unit of time, or none: "Date" and "hh:mm:ss" state none.
    let usual = input.usual(Quantity::Time, preferred)?;
    let found = match usual {
        Some(index) => Some(index),
        None => input.usual(Quantity::Time, presets::keys(Quantity::Time))?,
    };
    found.ok_or_else(|| input.error("no column is the time: map one (--map time=NAME)"))
}

/// Quantities of one column.
fn singles(
    input: &Input<'_>,
    taken: &mut Vec<usize>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Found>, Error> {
    let mut single = Vec::new();
    for quantity in Quantity::ALL {
        if matches!(quantity, Quantity::Time | Quantity::Cells | Quantity::Temperatures) {
            continue;
        }
        let mapping = input.mapping(quantity);
        let index = match mapping {
            Some(mapping) => Some(input.mapped(mapping)?),
            None if input.options.only_mapped => None,
            None => input.usual(quantity, presets::keys(quantity))?,
        };
        let Some(index) = index.filter(|index| mapping.is_some() || !taken.contains(index)) else { continue };
        match input.found(quantity, index, mapping) {
            Ok(found) => {
                if quantity == Quantity::Soc && mapping.is_none() && is_fraction(input, &found) {
                    warnings.push(format!(
                        "column {:?} states no unit and never exceeds 1: a fraction or percent? It is not read; state \
                         --map 'soc={}*100' or *1",
                        found.source, found.source
                    ));
                    continue;
                }
                taken.push(index);
                single.push(found);
            }
            Err(error) if is_needed(quantity) || mapping.is_some() => return Err(error),
            Err(error) => {
                warnings.push(format!("{quantity} is not read: {error}").chars().take(300).collect())
            }
        }
    }
    Ok(single)
}

fn is_fraction(input: &Input<'_>, found: &Found) -> bool {
    let most = input.numbers(found.index).fold(f64::NEG_INFINITY, f64::max);
    input.names[found.index].unit.is_none() && most > 0.0 && most <= 1.0
}

/// Columns of cells or of temperatures, in the pack's order.
fn several(
    input: &Input<'_>,
    quantity: Quantity,
    taken: &[usize],
    warnings: &mut Vec<String>,
    doubts: &mut Vec<String>,
) -> Result<Vec<Found>, Error> {
    let mappings: Vec<&Mapping> = input.options.mappings.iter().filter(|m| m.quantity == quantity).collect();
    let mut all = Vec::new();
    for mapping in &mappings {
        let mut indices = input.named(&mapping.name);
        indices.retain(|index| !taken.contains(index));
        if indices.is_empty() {
            return Err(input.error(format!("there is no column {:?}", mapping.name)));
        }
        in_order(input, &mut indices);
        if indices.len() > 1 && !mapping.name.contains(['*', '{']) {
            return Err(input.error(format!("{} columns are {:?}", indices.len(), mapping.name)));
        }
        for index in indices {
            all.push(input.found(quantity, index, Some(mapping))?);
        }
    }
    if !mappings.is_empty() || input.options.only_mapped {
        return Ok(all);
    }
    let test = if quantity == Quantity::Cells { presets::is_cell } else { presets::is_temperature };
    let mut indices: Vec<usize> =
        (0..input.names.len()).filter(|index| !taken.contains(index) && test(&input.names[*index])).collect();
    in_order(input, &mut indices);
    for index in indices {
        match input.found(quantity, index, None) {
            Ok(found) => all.push(found),
            Err(error) => warnings.push(format!("{quantity}: {error}").chars().take(300).collect()),
        }
    }
    if quantity == Quantity::Cells {
        let numbers: Vec<u32> = all.iter().filter_map(|found| input.names[found.index].number()).collect();
        let first = numbers.first().copied().unwrap_or(1);
        if first > 1 || numbers.windows(2).any(|pair| pair[1] != pair[0] + 1) {
            doubts.push(format!("the cells are not numbered without gaps from 0 or 1: {numbers:?}"));
        }
    }
    Ok(all)
}

/// By number if all have one, else as in the file.
fn in_order(input: &Input<'_>, indices: &mut [usize]) {
    if indices.iter().all(|index| input.names[*index].number().is_some()) {
        indices.sort_by_key(|index| (input.names[*index].number(), *index));
    }
}

fn level(input: &Input<'_>, preset: Option<&Preset>, cells: &[Found], voltage: Option<&Found>) -> Level {
    if let Some(level) = input.options.level {
        return level;
    }
    if !cells.is_empty() {
        return Level::Pack;
    }
    if let Some(level) = preset.and_then(|preset| preset.level) {
        return level;
    }
    let most = voltage.map_or(0.0, |found| {
        input.numbers(found.index).map(|value| found.conversion.apply(value)).fold(0.0, f64::max)
    });
    if most > 0.0 && most < 6.0 { Level::Cell } else { Level::Pack }
}
