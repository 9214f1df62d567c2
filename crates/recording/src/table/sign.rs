//! Evidence of the first rows on units, on the decimal sign and on the current's sign, where names do not tell.

use super::cell::{Cell, Kept};
use super::found::{Found, State};
use super::input::Input;
use super::number::median;
use super::presets::{self, Preset, SignRule};
use super::{Mapping, value};
use crate::unit::Conversion;
use crate::{Error, Quantity};

/// A voltage without a unit that no volt can be.
pub(super) fn millivolts(
    input: &Input<'_>,
    found: &mut Found,
    warnings: &mut Vec<String>,
    doubts: &mut Vec<String>,
) {
    if input.names[found.index].unit.is_some()
        || found.conversion != Conversion::BASE
        || found.unit == "as mapped"
    {
        return;
    }
    let middle = median(input.numbers(found.index)).unwrap_or(0.0);
    if (1500.0..=5000.0).contains(&middle) {
        found.conversion = Conversion::scale(1e-3);
        found.unit = "mV".into();
        let said = format!("column {:?} states no unit and holds about {middle}: taken for mV", found.source);
        warnings.push(said.clone());
        if found.quantity == Quantity::PackVoltage {
            doubts.push(format!("{said}; a current in mA would have to be mapped"));
        }
    }
}

/// Refuses a decimal sign that was guessed where its other meaning, to part thousands, is the one that makes volts.
pub(super) fn check_decimal(input: &Input<'_>, found: &Found) -> Result<(), Error> {
    const VOLTS: std::ops::Range<f64> = 1.0..2000.0;
    if !input.is_guessed {
        return Ok(());
    }
    let volts = input.numbers(found.index).map(|value| found.conversion.apply(value).abs());
    let middle = median(volts).unwrap_or(0.0);
    let parted = 1e3 * middle;
    if VOLTS.contains(&middle) || !VOLTS.contains(&parted) {
        return Ok(());
    }
    let sign = input.decimal.sign();
    Err(Error::mapping(
        input.place,
        format!(
            "the decimal sign cannot be told: with {sign:?} column {:?} holds about {middle:.3} V, and about {parted:.0} V \
             where that parts thousands; give decimal = \".\" or \",\"",
            found.source
        ),
    ))
}

/// Turns the sign of a current by the format's convention, and finds the column that states it.
pub(super) fn sign(
    input: &Input<'_>,
    preset: Option<&Preset>,
    current: &mut Found,
    taken: &mut Vec<usize>,
    warnings: &mut Vec<String>,
    doubts: &mut Vec<String>,
) -> Result<Option<State>, Error> {
    let mapped = input.mapping(Quantity::PackCurrent);
    let rule = preset.map_or(SignRule::Unknown, |preset| preset.sign);
    if rule == SignRule::Discharge && mapped.is_none() {
        current.conversion.factor = -current.conversion.factor;
        let name = preset.map_or("", |preset| preset.name);
        warnings.push(format!("{name} states a discharge as positive: its sign is turned"));
    }
    if let Some(name) = &input.options.state {
        let index = input.mapped(&Mapping::new(Quantity::PackCurrent, name.clone()))?;
        taken.push(index);
        return Ok(Some(State { index }));
    }
    if mapped.is_none()
        && rule != SignRule::Discharge
        && let Some(word) = names_a_discharge(&current.source)
    {
        doubts.push(format!(
            "the name of column {:?} says {word:?}, and a positive current is read as a charge; state \
             --map 'pack_current={}*-1' where it discharges, *1 where it charges",
            current.source, current.source
        ));
    }
    let negative = input.numbers(current.index).any(|value| value < 0.0);
    if input.options.only_mapped || negative || current.conversion.factor < 0.0 {
        return Ok(None);
    }
    let states = |index: usize| {
        let words = input.sample.iter().filter_map(|row| match row.get(index).map(Kept::as_cell) {
            Some(Cell::Text(text)) => Some(value::Direction::parse(text)),
            _ => None,
        });
        words.fold((0, 0, 0), |(known, discharges, all), word| {
            let is_discharge = word == Some(value::Direction::Discharge);
            (known + usize::from(word.is_some()), discharges + usize::from(is_discharge), all + 1)
        })
    };
    let found = (0..input.names.len()).find(|index| {
        let (known, _, all) = states(*index);
        presets::is_state(&input.names[*index].key) && known > 0 && known * 2 >= all
    });
    if let Some(index) = found {
        taken.push(index);
        warnings.push(format!(
            "the current is a magnitude: column {:?} states charge or discharge",
            input.names[index].text
        ));
        return Ok(Some(State { index }));
    }
    if rule == SignRule::Magnitude && input.numbers(current.index).any(|value| value > 0.0) {
        doubts.push(format!(
            "the current is a magnitude and no column states charge or discharge: it is read as a charge; state \
             --map 'pack_current={}*-1' for a discharge",
            current.source
        ));
    } else if mapped.is_none()
        && input.numbers(current.index).any(|value| value > 0.0)
        && let Some(index) = (0..input.names.len()).find(|index| {
            let (known, discharges, all) = states(*index);
            !taken.contains(index) && discharges > 0 && known == all
        })
    {
        let name = &input.names[index].text;
        doubts.push(format!(
            "the current is never negative, and column {name:?} seems to state charge or discharge: state \
             state = {name:?} under [source.columns], or --map 'pack_current={}*1' for a current with its sign",
            current.source
        ));
    } else if mapped.is_none()
        && input.numbers(current.index).any(|value| value > 0.0)
        && let Some(index) = (0..input.names.len()).find(|index| presets::is_state(&input.names[*index].key))
    {
        let name = &input.names[index].text;
        let said = format!(
            "the current is never negative, and what column {name:?} states is not understood: if it states a discharge, the \
             current's sign is wrong (--map 'pack_current={}*-1')",
            current.source
        );
        // States that change while a current flows are those of a charge and a discharge.
        let mut flowing = input
            .sample
            .iter()
            .filter(|row| input.cell(row, current.index).is_some_and(|value| value > 0.0))
            .filter_map(|row| row.get(index).filter(|kept| **kept != Kept::Empty));
        let first = flowing.next();
        let changes = first.is_some_and(|first| flowing.any(|other| other != first));
        if changes { doubts.push(said) } else { warnings.push(said) }
    }
    Ok(None)
}

/// The words of a name by which a positive current may discharge.
pub(crate) fn names_a_discharge(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    [
        "discharg",
        "dischg",
        "dchg",
        "charge neg",
        "neg charge",
        "negative charge",
        "entlad",
        "décharg",
        "descarg",
        "scaric",
        "放电",
    ]
    .into_iter()
    .find(|word| lower.contains(word))
}

/// Whether the voltage falls when the current rises: then a positive current discharges.
pub(super) fn check_sign(input: &Input<'_>, voltage: &Found, current: &Found, doubts: &mut Vec<String>) {
    let pairs: Vec<(f64, f64)> = input
        .sample
        .iter()
        .filter_map(|row| {
            let value = |found: &Found| Some(found.conversion.apply(input.cell(row, found.index)?));
            Some((value(voltage)?, value(current)?))
        })
        .collect();
    let (mut both, mut volts, mut amperes, mut steps) = (0.0, 0.0, 0.0, 0);
    let most = pairs.iter().fold(0.0, |most: f64, (_, i)| most.max(i.abs()));
    for pair in pairs.windows(2) {
        let (u, i) = (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1);
        both += u * i;
        volts += u * u;
        amperes += i * i;
        steps += usize::from(i.abs() > 0.1 * most);
    }
    let correlation = both / (volts * amperes).sqrt();
    if steps >= 5 && correlation < -0.5 {
        doubts.push(format!(
            "the voltage falls where the current rises: a positive current seems to discharge; state \
             --map 'pack_current={}*-1'",
            current.source
        ));
    }
}
