//! Excel's two systems of dates: a serial date counts from 1900 or, as old versions for the Macintosh wrote, from 1904, and
//! a text does not say which. A date that stands elsewhere does.

use super::date::{DAY_NS, SECOND_NS};
use super::elsewhere;
use super::input::Input;

/// Days from the beginning of the system of 1900 to that of 1904: the same number is four years and a day later.
const BETWEEN_DAYS: i64 = 1462;
/// 2000-01-01 as a Unix time, in s: packs of vehicles whose recordings are older are hardly of interest.
const FIRST_S: i64 = 946_684_800;

/// The doubt about serial dates that another date contradicts; `first` is the first of them, and whether it counts from 1904.
pub(super) fn other_system(input: &Input<'_>, time_index: usize, first: (i64, bool)) -> Option<String> {
    let (first_ns, is_1904) = first;
    let name = &input.names[time_index].text;
    let wanted_ns = first_ns + if is_1904 { -BETWEEN_DAYS } else { BETWEEN_DAYS } * DAY_NS;
    let Some(place) = elsewhere::of_table(input, time_index, wanted_ns) else {
        let is_old = !is_1904 && first_ns < FIRST_S * SECOND_NS && input.options.time_format.is_none();
        return is_old.then(|| {
            format!(
                "the serial dates of {name:?} are before 2000 where they count from 1900: state time_format, \"excel\" if \
                 they do, or \"excel1904\""
            )
        });
    };
    let (taken, other) = if is_1904 { ("1904", "\"excel\"") } else { ("1900", "\"excel1904\"") };
    Some(format!(
        "the serial dates of {name:?} are taken to count from {taken}, and {place} states a date that they have in Excel's \
         other system, four years and a day apart: state time_format = {other}"
    ))
}
