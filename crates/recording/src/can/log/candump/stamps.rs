//! Meaning of candump's times: whether each counts from the first frame (`-tz`), or from the frame before (`-td`). Both begin
//! with 0 and look alike.

use super::super::text::stamp;
use crate::Stamp;

/// Later times in order from which it is certain that they are no differences: those of eight would be in order by chance
/// once in 40,320 logs.
const ORDERED: u64 = 7;
/// Rises one after the other up to which about equal differences may drift; a silence before a bus begins is the other cause.
const DRIFT: u64 = 50;
/// Falls from which differences are certain in a log whose first frame is not there.
const CUT_FALLS: u64 = 5;

/// Meaning of a log's times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    /// Each counts from the frame before.
    pub deltas: bool,
    /// The log begins with 0, so that both were possible.
    pub of_zero: bool,
    /// The times can mean either.
    pub unsure: bool,
}

/// Rises and falls from time to time.
#[derive(Default)]
struct Steps {
    rises: u64,
    falls: u64,
    rise_ns: i64,
    largest_rise_ns: i64,
    fall_ns: i64,
}

/// What the times of the first frames mean, in ns.
pub(super) fn told(times: &[i64]) -> Meaning {
    let from_first = Meaning::default();
    let Some((&first, later)) = times.split_first() else { return from_first };
    if matches!(stamp(first), Stamp::Unix(_)) || later.iter().all(|time| *time == first) {
        return from_first;
    }
    let steps = steps(later);
    let Steps { rises, falls, .. } = steps;
    let differences = |unsure| Meaning { deltas: true, of_zero: first == 0, unsure };
    // Frames of two interfaces may be a little out of order; differences go up and down as often as not.
    let by_number = falls > 0 && falls * 4 >= rises + falls;
    // What counts from one beginning goes on; one long pause alone is no going on.
    let usual_ns = steps.rise_ns - steps.largest_rise_ns;
    let by_size = falls > 0 && falls * 50 >= rises + falls && steps.fall_ns.saturating_mul(2) >= usual_ns;
    if first != 0 {
        let are = by_number && by_size && falls >= CUT_FALLS;
        return if are { differences(false) } else { from_first };
    }
    let from_first = Meaning { of_zero: true, ..from_first };
    let (Some(&first), Some(&most)) = (later.first(), later.iter().max()) else { return from_first };
    // The first pause is longer than all that follows it together: a silence, or one of about equal differences.
    let is_level = first > most - first;
    match (by_number, by_size) {
        // A single frame that is a little late falls as well.
        (true, true) => differences(!is_level && falls < 3 && steps.fall_ns.saturating_mul(10) < most),
        (false, true) => differences(falls < CUT_FALLS),
        (true, false) => differences(true),
        (false, false) if falls > 0 => from_first,
        // One time after the first is the same by either.
        _ if later.len() == 1 => from_first,
        // No bus sends all its frames at one moment.
        _ if rises == 0 => differences(false),
        _ if is_level && rises < DRIFT => differences(true),
        _ => Meaning { unsure: rises < ORDERED, ..from_first },
    }
}

fn steps(times: &[i64]) -> Steps {
    let falls_to_0 = times.windows(2).filter(|pair| pair[1] == 0 && pair[0] > 0).count();
    // A log that was appended to begins with 0 again, seldom; a difference of 0 is not seldom.
    let begins_anew = falls_to_0 * 16 <= times.len();
    let mut steps = Steps::default();
    for pair in times.windows(2) {
        let step = pair[1].saturating_sub(pair[0]);
        if step > 0 {
            steps.rises += 1;
            steps.rise_ns = steps.rise_ns.saturating_add(step);
            steps.largest_rise_ns = steps.largest_rise_ns.max(step);
        } else if step < 0 && !(begins_anew && pair[1] == 0) {
            steps.falls += 1;
            steps.fall_ns = steps.fall_ns.saturating_sub(step);
        }
    }
    steps
}
