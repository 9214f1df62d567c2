//! Which column is which quantity: as mapped, else by its name.

use super::Mapping;
use super::beside::{self, Ahead};
use super::day::Day;
use super::elsewhere;
use super::excel;
use super::foreign;
use super::found::{Found, State};
use super::input::{Input, is_needed};
use super::number::median;
use super::options::{Level, Options};
use super::presets::{self, Preset, SignRule};
use super::sign::{check_decimal, check_sign, millivolts, sign};
use super::time::{Given, Remarks, TimeColumn};
use crate::unit::{Conversion, MOST_FRACTION};
use crate::{Error, Quantity};

/// Voltages that are those of a pack: above a cell's, and below what a cell has in mV.
const PACK_VOLTS: std::ops::Range<f64> = 6.0..1000.0;

/// Plan by which rows are read.
#[derive(Debug)]
pub(crate) struct Plan {
    pub preset: Option<&'static Preset>,
    pub level: Level,
    pub time: TimeColumn,
    pub time_index: usize,
    pub time_name: String,
    /// The column of dates, where that of the time has times of day.
    pub date_name: Option<String>,
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

impl Plan {
    /// Finds the columns.
    pub fn find(input: &Input<'_>) -> Result<Self, Error> {
        let options = input.options;
        let preset = input.free_preset();
        let foreign = || foreign::frames(input.names).or_else(|| foreign::one_value(input.names));
        if let (None, true, Some(problem)) = (preset, options.mappings.is_empty(), foreign()) {
            return Err(Error::format(input.place, problem));
        }
        let mut remarks = Remarks::default();
        let time_index = time_index(input, preset)?;
        let ahead = beside::ahead(input, time_index);
        let mut time = TimeColumn::find(
            &Given {
                name: &input.names[time_index],
                mapping: input.mapping(Quantity::Time),
                options,
                cells: input.sample.iter().filter_map(|row| row.get(time_index)).collect(),
                decimal: input.decimal,
                grouped: input.grouped,
                is_1904: input.is_1904,
                ahead_s: match ahead {
                    Ahead::Seconds(seconds) => Some(seconds),
                    Ahead::Named(_) | Ahead::Unsaid => None,
                },
                is_beside_dates: beside::has_digits_of_dates(input, time_index),
                place: input.place,
            },
            &mut remarks,
        )?;
        let Remarks { mut warnings, mut doubts } = remarks;
        let first = time.first_of_excel(input, time_index);
        doubts.extend(first.and_then(|first| excel::other_system(input, time_index, first)));
        if options.time_format.is_none() {
            let first = time.first_of_epoch(input, time_index);
            doubts.extend(first.and_then(|first| elsewhere::can_be_gps(input, time_index, first)));
        }
        if let (Ahead::Named(zone), None) = (ahead, &options.time_zone) {
            doubts.push(format!(
                "the times of GPS state the zone {zone}, and the dates of {:?} are taken for UTC: state time_zone, such as \
                 Europe/Berlin",
                input.names[time_index].text
            ));
        }
        if input.names[time_index].key == "step time" {
            doubts
                .push("only a time of the step is there: each step begins anew, and pauses are lost".into());
        }
        let mut taken = vec![time_index];
        let mut date_name = None;
        if time.is_of_day()
            && !presets::is_elapsed(&input.names[time_index].key)
            && let Some(day) = Day::find(input, &mut warnings)?
        {
            let name = input.names[day.index].text.clone();
            warnings.extend(time.set_day(day, &name));
            date_name = Some(name);
            taken.push(day.index);
        }
        let mut cells = several(input, Quantity::Cells, &taken, &mut warnings, &mut doubts)?;
        taken.extend(cells.iter().map(|found| found.index));
        let mut single = singles(input, &mut taken, &mut warnings, &mut doubts)?;
        let temperatures = several(input, Quantity::Temperatures, &taken, &mut warnings, &mut doubts)?;
        taken.extend(temperatures.iter().map(|found| found.index));
        doubts.extend(beside::coldest(input, &temperatures));
        if time.is_dated() || time.is_of_day() {
            doubts.extend(beside::milliseconds(input, &taken));
        }
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
        if let Some(voltage) = voltage
            && input.names[single[voltage].index].key == "ewe"
            && input.names.iter().any(|name| name.key == "ece")
        {
            doubts.push(format!(
                "the file has the potential of a counter electrode, and column {:?} is that of the working electrode alone: map \
                 the cell's voltage (--map pack_voltage=NAME)",
                single[voltage].source
            ));
        }
        if let Some(voltage) = voltage {
            millivolts(input, &mut single[voltage], &mut warnings, &mut doubts);
        }
        for found in &mut cells {
            millivolts(input, found, &mut Vec::new(), &mut doubts);
        }
        if let Some(volts) = voltage.map(|index| &single[index]).or(cells.first()) {
            check_decimal(input, volts)?;
        }
        let state = sign(input, preset, &mut single[current], &mut taken, &mut warnings, &mut doubts)?;
        let is_known = preset.is_some_and(|preset| preset.sign == SignRule::Discharge);
        if state.is_none()
            && !options.only_mapped
            && !is_known
            && input.mapping(Quantity::PackCurrent).is_none()
        {
            doubts.extend(beside::discharge(input, &single[current]));
        }
        if let (Some(voltage), None) = (voltage, state) {
            check_sign(input, &single[voltage], &single[current], &mut doubts);
        }
        if !time.is_dated() && input.mapping(Quantity::Time).is_none() {
            warnings.extend(dates_beside(input, &taken));
        }
        let level = level(input, preset, &cells, voltage.map(|index| &single[index]), &mut warnings);
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
            date_name,
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

/// A column of dates beside a clock without, which is said.
fn dates_beside(input: &Input<'_>, taken: &[usize]) -> Option<String> {
    let free = Options::default();
    let is_dated = |index: &usize| {
        let name = &input.names[*index];
        let given = Given {
            name,
            mapping: None,
            options: &free,
            cells: input.sample.iter().filter_map(|row| row.get(*index)).collect(),
            decimal: input.decimal,
            grouped: input.grouped,
            is_1904: input.is_1904,
            ahead_s: None,
            is_beside_dates: false,
            place: input.place,
        };
        !taken.contains(index)
            && presets::keys(Quantity::Time).contains(&name.key.as_str())
            && TimeColumn::find(&given, &mut Remarks::default()).is_ok_and(|column| column.is_dated())
    };
    let found = (0..input.names.len()).find(is_dated)?;
    let name = &input.names[found].text;
    Some(format!("column {name:?} states dates, which are not used: --map 'time={name}' takes them"))
}

/// Quantities of one column.
fn singles(
    input: &Input<'_>,
    taken: &mut Vec<usize>,
    warnings: &mut Vec<String>,
    doubts: &mut Vec<String>,
) -> Result<Vec<Found>, Error> {
    let mut single = Vec::new();
    for quantity in Quantity::ALL {
        if matches!(quantity, Quantity::Time | Quantity::Cells | Quantity::Temperatures) {
            continue;
        }
        let mapping = input.mapping(quantity);
        let preset = input.free_preset();
        if mapping.is_none() && preset.is_some_and(|preset| preset.unread.contains(&quantity)) {
            warnings.push(format!(
                "{quantity} is not read: the file does not tell its unit (--map {quantity}=NAME*FACTOR)"
            ));
            continue;
        }
        let index = match mapping {
            Some(mapping) => Some(input.mapped(mapping)?),
            None if input.options.only_mapped => None,
            None => input.usual(quantity, presets::keys(quantity))?,
        };
        let Some(index) = index.filter(|index| mapping.is_some() || !taken.contains(index)) else { continue };
        match input.found(quantity, index, mapping) {
            Ok(found) => {
                if quantity == Quantity::Soc && mapping.is_none() && is_fraction(input, &found) {
                    doubts.push(format!(
                        "column {:?} states no unit and hardly exceeds 1: a fraction or percent? It is not read; state \
                         --map 'soc={}*100' for a fraction, *1 for percent",
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

/// Whether a state of charge without a unit can be a fraction.
fn is_fraction(input: &Input<'_>, found: &Found) -> bool {
    let most = input.numbers(found.index).fold(f64::NEG_INFINITY, f64::max);
    found.conversion == Conversion::BASE
        && input.names[found.index].unit.is_none()
        && most > 0.0
        && most <= MOST_FRACTION
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
    let test = |name| match quantity {
        Quantity::Cells => presets::is_cell_of(name, input.free_preset()),
        _ => presets::is_temperature(name),
    };
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

fn level(
    input: &Input<'_>,
    preset: Option<&Preset>,
    cells: &[Found],
    voltage: Option<&Found>,
    warnings: &mut Vec<String>,
) -> Level {
    if let Some(level) = input.options.level {
        return level;
    }
    if !cells.is_empty() {
        return Level::Pack;
    }
    if let Some((preset, level)) = preset.and_then(|preset| Some((preset, preset.level?))) {
        // Testers of packs write as those of cells do.
        let volts =
            |found: &Found| median(input.numbers(found.index).map(|value| found.conversion.apply(value)));
        let is_pack = voltage.and_then(volts).is_some_and(|middle| PACK_VOLTS.contains(&middle));
        if level == Level::Cell && is_pack {
            warnings.push(format!("{} is of cells, and these voltages are of a pack", preset.name));
            return Level::Pack;
        }
        return level;
    }
    let most = voltage.map_or(0.0, |found| {
        input.numbers(found.index).map(|value| found.conversion.apply(value)).fold(0.0, f64::max)
    });
    if most > 0.0 && most < 6.0 { Level::Cell } else { Level::Pack }
}
