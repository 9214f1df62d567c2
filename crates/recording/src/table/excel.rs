//! Excel's two systems of dates: a serial date counts from 1900 or, as old versions for the Macintosh wrote, from 1904, and
//! a text does not say which. A date that stands elsewhere does.

use super::cell::{Cell, Kept};
use super::date::{DAY_NS, SECOND_NS, within};
use super::input::Input;
use super::number;
use std::path::Path;

/// Days from the beginning of the system of 1900 to that of 1904: the same number is four years and a day later.
const BETWEEN_DAYS: i64 = 1462;
/// Two dates of one recording are at most so many hours apart: more than a day, for those that state no time of day or zone.
const APART_HOURS: i64 = 36;
/// 2000-01-01 as a Unix time, in s: packs of vehicles whose recordings are older are hardly of interest.
const FIRST_S: i64 = 946_684_800;
/// Numbers that are Unix times of 1990 to 2100, in s.
const EPOCH_S: std::ops::Range<f64> = 6.3e8..4.2e9;

/// The doubt about serial dates that another date contradicts; `first` is the first of them, and whether it counts from 1904.
pub(super) fn other_system(input: &Input<'_>, time_index: usize, first: (i64, bool)) -> Option<String> {
    let (first_ns, is_1904) = first;
    let name = &input.names[time_index].text;
    let wanted_ns = first_ns + if is_1904 { -BETWEEN_DAYS } else { BETWEEN_DAYS } * DAY_NS;
    let contradicts = |known: &i64| (known - wanted_ns).abs() <= APART_HOURS * 3600 * SECOND_NS;
    let of_column = |index: &usize| {
        *index != time_index
            && input
                .sample
                .iter()
                .find_map(|row| known(input, row.get(*index)?))
                .is_some_and(|dates| dates.iter().any(contradicts))
    };
    let file = Path::new(input.place).file_name().map(|name| name.to_string_lossy().into_owned());
    let place = if input.dates.iter().any(contradicts) {
        "a line before the header".to_owned()
    } else if let Some(index) = (0..input.names.len()).find(of_column) {
        format!("column {:?}", input.names[index].text)
    } else if file.is_some_and(|name| within::dates(name.as_bytes()).iter().any(contradicts)) {
        "the file's name".to_owned()
    } else if !is_1904 && first_ns < FIRST_S * SECOND_NS && input.options.time_format.is_none() {
        return Some(format!(
            "the serial dates of {name:?} are before 2000 where they count from 1900: state time_format, \"excel\" if they \
             do, or \"excel1904\""
        ));
    } else {
        return None;
    };
    let (taken, other) = if is_1904 { ("1904", "\"excel\"") } else { ("1900", "\"excel1904\"") };
    Some(format!(
        "the serial dates of {name:?} are taken to count from {taken}, and {place} states a date that they have in Excel's \
         other system, four years and a day apart: state time_format = {other}"
    ))
}

/// Dates that a cell can mean, with the day or the month first; `None` if it is none.
fn known(input: &Input<'_>, kept: &Kept) -> Option<Vec<i64>> {
    let number = match kept.as_cell() {
        Cell::Date(ns, _) => return Some(vec![ns]),
        Cell::Number(value) => value,
        Cell::Empty => return None,
        Cell::Text(text) => match number::parse(text, input.decimal, input.grouped) {
            Some(value) => value,
            None => return within::either(text),
        },
    };
    let seconds = [number, number / 1e3].into_iter().find(|seconds| EPOCH_S.contains(seconds))?;
    Some(vec![(seconds * 1e9) as i64])
}
