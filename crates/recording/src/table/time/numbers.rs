//! Numbers that can be dates or clocks, told by their size and their steps.

use super::super::number::median;

/// Clocks that count days: their names in `time_format`, and the day of 1970-01-01.
const DAYS: [(&str, f64); 3] = [("excel", EXCEL_1900), ("matlab", 719_529.0), ("julian", 2_440_587.5)];

/// 1970-01-01 in the two systems of Excel: of 1900, and of 1904, which old versions for the Macintosh wrote.
const EXCEL_1900: f64 = 25_569.0;
const EXCEL_1904: f64 = 24_107.0;

/// Days from 1970 of 1990 to 2100.
const DATES: std::ops::Range<f64> = 7_305.0..47_482.0;

/// The day of 1970-01-01 of a clock that counts days, by its name.
pub(super) fn day_of_1970(name: &str, is_1904: bool) -> Option<f64> {
    match name {
        "excel1904" => Some(EXCEL_1904),
        "excel" if is_1904 => Some(EXCEL_1904),
        name => DAYS.into_iter().find(|(known, _)| *known == name).map(|(_, of_1970)| of_1970),
    }
}

/// Whether days count by Excel's system of 1904 or, if not, of 1900; `None` for other clocks.
pub(super) fn system_of_excel(of_1970: f64) -> Option<bool> {
    match of_1970 {
        EXCEL_1904 => Some(true),
        EXCEL_1900 => Some(false),
        _ => None,
    }
}

/// The clock that counts days by which all of `least` to `most` are dates: its name, and the day of 1970-01-01.
pub(super) fn serial_dates(least: f64, most: f64, is_1904: bool) -> Option<(&'static str, f64)> {
    DAYS.into_iter()
        .map(|(name, _)| (name, day_of_1970(name, is_1904).unwrap_or(EXCEL_1900)))
        .find(|(_, of_1970)| DATES.contains(&(least - of_1970)) && DATES.contains(&(most - of_1970)))
}

/// Whether days without a time of day come more than once: they are no times of rows.
pub(super) fn repeat_days(days: &[f64]) -> bool {
    days.len() > 1
        && days.iter().all(|day| day.fract() == 0.0)
        && days.windows(2).any(|pair| pair[0] == pair[1])
}

/// Whether all are whole numbers.
pub(super) fn are_whole_days(values: &[f64]) -> bool {
    values.iter().all(|value| value.fract() == 0.0)
}

/// Whether numbers are dates and times in 14 digits, as 20230516065910.
pub(super) fn are_compact_dates(values: &[f64]) -> bool {
    let part = |value: f64, unit: f64, size: f64| (value / unit).floor() % size;
    let is_date = |value: f64| {
        (1.990_01e13..2.100_01e13).contains(&value)
            && value.fract() == 0.0
            && (1.0..=12.0).contains(&part(value, 1e8, 100.0))
            && (1.0..=31.0).contains(&part(value, 1e6, 100.0))
            && part(value, 1e4, 100.0) < 24.0
            && part(value, 100.0, 100.0) < 60.0
            && part(value, 1.0, 100.0) < 61.0
    };
    !values.is_empty() && values.iter().copied().all(is_date)
}

/// Whether numbers are dates in 8 digits, as 20230516.
pub(crate) fn are_digits_of_dates(values: impl Iterator<Item = f64>) -> bool {
    let mut values = values.peekable();
    values.peek().is_some()
        && values.all(|value| {
            (19_900_101.0..21_000_101.0).contains(&value)
                && (1.0..=12.0).contains(&((value / 100.0).floor() % 100.0))
                && (1.0..=31.0).contains(&(value % 100.0))
        })
}

/// The middle one of the steps; infinite where there is none.
pub(super) fn typical_step(values: &[f64]) -> f64 {
    median(values.windows(2).map(|pair| (pair[1] - pair[0]).abs())).unwrap_or(f64::INFINITY)
}

/// Whether most steps are whole minutes in days, as 0.041667 is an hour, and no round number of seconds.
pub(super) fn are_minutes_of_days(values: &[f64]) -> bool {
    let is_minutes = |step: f64| {
        let minutes = step * 1440.0;
        let is_round = ((step * 1e3).round() - step * 1e3).abs() < 1e-3;
        minutes >= 1.0 && (minutes - minutes.round()).abs() < 0.02 && !is_round
    };
    let steps = values.windows(2).map(|pair| pair[1] - pair[0]);
    let count = steps.clone().filter(|step| is_minutes(*step)).count();
    values.len() > 2 && count * 10 >= (values.len() - 1) * 8
}

/// Whether most steps are whole seconds in days, as 0.000011574 is one, and no round number of seconds.
pub(super) fn are_seconds_of_a_day(values: &[f64]) -> bool {
    let is_seconds = |step: f64| {
        let seconds = step * 86_400.0;
        let is_round = ((step * 1e3).round() - step * 1e3).abs() < 1e-6 && step >= 1e-4;
        seconds > 0.5 && (seconds - seconds.round()).abs() < 0.1 && !is_round
    };
    let count = values.windows(2).filter(|pair| is_seconds(pair[1] - pair[0])).count();
    values.len() > 2 && count * 10 >= (values.len() - 1) * 8
}

/// Whether numbers from `least` on are those of clocks, `hhmmss`: minutes and seconds are below 60, and a minute ends or
/// their name or a column of dates beside them says so.
pub(super) fn are_clock_digits(values: &[f64], is_named: bool, least: f64) -> bool {
    let is_clock = |value: &f64| {
        (least..240_000.0).contains(value) && *value % 100.0 < 60.0 && (*value / 100.0).floor() % 100.0 < 60.0
    };
    let ends_a_minute = |pair: &[f64]| {
        let (step, from, to) = (pair[1] - pair[0], pair[0] % 100.0, pair[1] % 100.0);
        step > 40.0 && from > to && from >= 40.0 && to < 20.0
    };
    values.iter().all(is_clock) && (is_named || (values.len() > 4 && values.windows(2).any(ends_a_minute)))
}
