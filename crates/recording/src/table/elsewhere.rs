//! Dates that stand elsewhere than in the column of time, and contradict it: before the header, in another column, in the
//! file's name, and that of its last change.

use super::cell::{Cell, Kept};
use super::date::{DAY_NS, SECOND_NS, within};
use super::input::Input;
use super::number;
use crate::gps;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Two dates of one recording are at most so many hours apart: more than a day, for those that state no time of day or zone.
const APART_HOURS: i64 = 36;
/// Numbers that are Unix times of 1990 to 2100, in s.
const EPOCH_S: std::ops::Range<f64> = 6.3e8..4.2e9;

fn is_near(known_ns: i64, wanted_ns: i64) -> bool {
    known_ns.abs_diff(wanted_ns) <= (APART_HOURS * 3600 * SECOND_NS).unsigned_abs()
}

/// The place outside a file's content that states this date: its name, that of its folder, or its last change.
fn of_file(path: &Path, wanted_ns: i64) -> Option<&'static str> {
    let states = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| within::dates(name.as_bytes()).iter().any(|ns| is_near(*ns, wanted_ns)))
    };
    if states(path) {
        return Some("the file's name");
    }
    if path.parent().is_some_and(states) {
        return Some("the name of its folder");
    }
    let changed = path.metadata().and_then(|file| file.modified()).ok()?;
    let changed_ns = i64::try_from(changed.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()?;
    is_near(changed_ns, wanted_ns).then_some("the file's last change")
}

/// The place of a table outside its column of time that states this date.
pub(super) fn of_table(input: &Input<'_>, time_index: usize, wanted_ns: i64) -> Option<String> {
    let is_wanted = |known: &i64| is_near(*known, wanted_ns);
    let states = |index: &usize| {
        *index != time_index
            && input
                .sample
                .iter()
                .find_map(|row| known(input, row.get(*index)?))
                .is_some_and(|dates| dates.iter().any(is_wanted))
    };
    if input.dates.iter().any(is_wanted) {
        return Some("a line before the header".to_owned());
    }
    if let Some(index) = (0..input.names.len()).find(states) {
        return Some(format!("column {:?}", input.names[index].text));
    }
    of_file(Path::new(input.place), wanted_ns).map(str::to_owned)
}

/// The doubt about Unix times that GPS may count, where another date of the table says so; `first_ns` is the first of them.
pub(super) fn can_be_gps(input: &Input<'_>, time_index: usize, first_ns: i64) -> Option<String> {
    let place = of_table(input, time_index, first_ns.checked_add(gps::EARLY_DAYS * DAY_NS)?)?;
    Some(format!("the times of {:?} {}", input.names[time_index].text, taken_for_unix(&place)))
}

/// The same of a log of a bus; `None` where neither its name nor its last change says so.
pub(crate) fn log_can_be_gps(path: &Path, first_ns: i64) -> Option<String> {
    let place = of_file(path, first_ns.checked_add(gps::EARLY_DAYS * DAY_NS)?)?;
    Some(format!("the log's times {}", taken_for_unix(place)))
}

fn taken_for_unix(place: &str) -> String {
    format!(
        "are taken to count from 1970, and {place} states the date that they have if they count from 1980, as GPS does: state \
         time_format, \"gps_s\" (\"gps_ms\" for milliseconds of a table) or \"epoch_s\" (\"epoch_ms\")"
    )
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
