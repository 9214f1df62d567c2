//! Columns beside that of the time which complete or explain it.

use super::cell::{Cell, Kept};
use super::found::Found;
use super::input::Input;
use super::sign::names_a_discharge;
use super::{date, number, time, value};
use crate::unit::Dimension;
use crate::{Quantity, unit};

/// Words of columns that hold dates.
const DATES: [&str; 5] = ["date", "datum", "day", "tag", "fecha"];

/// Offset of local times from UTC, as another column says.
pub(super) enum Ahead {
    Seconds(i32),
    /// An abbreviation, which has no single meaning.
    Named(&'static str),
    Unsaid,
}

/// The offset of Torque's times of the device, from its column of the times of GPS: both are of the clock on its wall.
pub(super) fn ahead(input: &Input<'_>, time_index: usize) -> Ahead {
    let is_named = |index: usize, key: &str| input.names[index].key == key;
    let gps = (0..input.names.len()).find(|index| is_named(*index, "gps time"));
    let Some(gps) = gps.filter(|_| is_named(time_index, "device time")) else { return Ahead::Unsaid };
    let texts = || {
        input.sample.iter().filter_map(|row| match row.get(gps).map(Kept::as_cell) {
            Some(Cell::Text(text)) => Some(text),
            _ => None,
        })
    };
    let named = texts().find_map(|text| time::zone_of_words(std::str::from_utf8(text).ok()?));
    if let Some(name) = named {
        return Ahead::Named(name);
    }
    let mut offsets = texts().filter_map(|text| date::date(text, None)?.offset_s);
    match offsets.next() {
        Some(first) if offsets.all(|offset| offset == first) => Ahead::Seconds(first),
        _ => Ahead::Unsaid,
    }
}

/// Whether a column beside that of the time has dates of eight digits, as 20230516.
pub(super) fn has_digits_of_dates(input: &Input<'_>, time_index: usize) -> bool {
    (0..input.names.len()).any(|index| {
        index != time_index
            && input.names[index].words().any(|word| DATES.contains(&word))
            && time::are_digits_of_dates(input.numbers(index))
    })
}

/// The doubt about a column of milliseconds that completes times of whole seconds.
pub(super) fn milliseconds(input: &Input<'_>, taken: &[usize]) -> Option<String> {
    const NAMES: [&str; 6] = ["ms", "msec", "millis", "millisecond", "milliseconds", "millisekunden"];
    let is_one = |index: &usize| {
        let name = &input.names[*index];
        let mut numbers = input.numbers(*index);
        !taken.contains(index)
            && NAMES.contains(&name.key.as_str())
            && input.numbers(*index).any(|value| value > 0.0)
            && numbers.all(|value| (0.0..1000.0).contains(&value) && value.fract() == 0.0)
    };
    let name = &input.names[(0..input.names.len()).find(is_one)?].text;
    Some(format!(
        "column {name:?} seems to hold the milliseconds of the times, which are read without them: write them behind the \
         seconds (06:59:10.250), or map a column that has both (--map time=NAME)"
    ))
}

/// The doubt about sensors that say -40 °C throughout, as those do that are not there, beside warm ones.
pub(super) fn coldest(input: &Input<'_>, temperatures: &[Found]) -> Option<String> {
    const COLDEST: f64 = -40.0;
    let values = |found: &Found| {
        let conversion = found.conversion;
        input.numbers(found.index).map(move |value| conversion.apply(value)).collect::<Vec<_>>()
    };
    let is_warm = |found: &&Found| values(found).iter().any(|value| *value > COLDEST + 30.0);
    let is_coldest = |found: &&Found| {
        let values = values(found);
        !values.is_empty() && values.iter().all(|value| (*value - COLDEST).abs() < 0.01)
    };
    let found = temperatures.iter().find(is_coldest)?;
    temperatures.iter().find(is_warm)?;
    Some(format!(
        "column {:?} says -40 °C in all of the first rows, and others do not: is the sensor not there? State missing = [-40] \
         under [source.columns]",
        found.source
    ))
}

/// The doubt about a current that is positive where another column says that the battery is discharged.
pub(super) fn discharge(input: &Input<'_>, current: &Found) -> Option<String> {
    /// Rows that are enough to say so.
    const ROWS: usize = 3;
    let is_power = |index: usize| {
        let unit = input.names[index].unit.as_deref();
        unit.is_some_and(|unit| unit.eq_ignore_ascii_case("w") || unit.eq_ignore_ascii_case("kw"))
    };
    let is_signed = input.numbers(current.index).any(|value| current.conversion.apply(value) < 0.0);
    let says = |index: usize, cell: Cell<'_>| -> Option<bool> {
        let name = &input.names[index];
        let number = match cell {
            Cell::Number(value) => Some(value),
            Cell::Text(text) => {
                number::parse(text, input.decimal, input.grouped).or_else(|| value::state(text))
            }
            Cell::Empty | Cell::Date(..) => None,
        }?;
        match name.key.as_str() {
            "is charging" | "charging" => Some(number == 0.0),
            "is discharging" | "discharging" => Some(number != 0.0),
            _ if is_power(index) => Some(number < 0.0),
            _ => {
                let dimension = name.unit.as_deref().and_then(unit::parse).map(|(dimension, _)| dimension);
                let is_current = dimension == Some(Dimension::of(Quantity::PackCurrent)?);
                (is_current && names_a_discharge(&name.text).is_some()).then_some(number > 0.0)
            }
        }
    };
    let contradicts = |index: &usize| {
        let (mut positive, mut negative) = (0, 0);
        for row in input.sample {
            let cell = row.get(*index).map_or(Cell::Empty, Kept::as_cell);
            let amperes = input.cell(row, current.index).map(|value| current.conversion.apply(value));
            if let (Some(true), Some(amperes)) = (says(*index, cell), amperes) {
                positive += usize::from(amperes > 0.0);
                negative += usize::from(amperes < 0.0);
            }
        }
        // A motor's power is negative where it charges; of a current without signs, it tells them.
        let counts = *index != current.index && !(is_power(*index) && is_signed);
        counts && positive >= ROWS && negative == 0
    };
    let name = &input.names[(0..input.names.len()).find(contradicts)?].text;
    Some(format!(
        "the current is positive where column {name:?} says that the battery is not charged: state \
         --map 'pack_current={}*-1' where a positive current discharges, *1 where it charges",
        current.source
    ))
}
