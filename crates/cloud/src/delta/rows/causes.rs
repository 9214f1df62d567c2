//! Causes of unknown values as the text of one column, and back.
//!
//! A null of `records` is a value that was not sent, unless the row's `causes` say why: items with a space between them,
//! `COLUMN=CAUSE`, `COLUMN[N]=CAUSE` for one element of a list and `COLUMN[N-M]=CAUSE` for a range of them, from 0;
//! `channels.NAME=CAUSE` for a channel. A number of format 1 that no pack has stands in parentheses after its cause, so
//! that a row is an exact image of what was signed: `cells_mv[3]=out_of_range(65535)`.

use std::fmt::Write as _;
use voltmesh_telemetry::{
    CentiKilometersPerHour, CentiPercent, Centidegrees, ChannelCount, Milliamps, Millivolts, Millivolts16,
    Ohms, OriginalNumber, Sample, Unknown,
};

/// The text of a sample's causes; `None` if nothing is unknown but what was not sent.
pub(super) fn text(sample: &Sample) -> Option<String> {
    if is_plain(sample) {
        return None;
    }
    let mut text = String::new();
    let numbers = sample.original_numbers();
    let number = |wanted: &dyn Fn(&OriginalNumber) -> Option<i64>| numbers.iter().find_map(wanted);
    let mut one = |name: &str, cause: Option<Unknown>, number: Option<i64>| {
        if let Some(cause) = cause.filter(|cause| *cause != Unknown::NotSent) {
            item(&mut text, format_args!("{name}"), cause, number);
        }
    };
    let voltage = number(&|n| if let OriginalNumber::PackVoltage(v) = n { Some((*v).into()) } else { None });
    let current = number(&|n| if let OriginalNumber::PackCurrent(v) = n { Some((*v).into()) } else { None });
    one("pack_voltage_v", sample.pack_voltage.cause(), voltage);
    one("pack_current_a", sample.pack_current.cause(), current);
    one("soc_percent", sample.soc.cause(), None);
    one("insulation_ohm", sample.insulation.cause(), None);
    one("ambient_c", sample.ambient.cause(), None);
    one("coolant_c", sample.coolant.cause(), None);
    one("speed_kmh", sample.speed.cause(), None);
    let cell = |at: usize| {
        number(&|n| if let OriginalNumber::Cell(a, v) = n { (*a == at).then_some((*v).into()) } else { None })
    };
    list(&mut text, "cells_mv", sample.cells.iter().map(|cell| cell.cause()), &cell);
    let sensor = |at: usize| {
        number(&|n| {
            if let OriginalNumber::Temperature(a, v) = n { (*a == at).then_some((*v).into()) } else { None }
        })
    };
    list(&mut text, "temperatures_c", sample.temperatures.iter().map(|value| value.cause()), &sensor);
    for value in &sample.channels {
        if let Some(cause) = value.count.cause() {
            item(&mut text, format_args!("channels.{}", value.channel.name()), cause, None);
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Whether all cells and sensors are known and so is all else, or was not sent: nearly every sample, told without a look at
/// each value's cause.
fn is_plain(sample: &Sample) -> bool {
    let silent = |cause: Option<Unknown>| cause.is_none_or(|cause| cause == Unknown::NotSent);
    sample.cells.iter().fold(true, |known, cell| known & cell.is_known())
        && sample.temperatures.iter().all(|value| value.is_known())
        && silent(sample.pack_voltage.cause())
        && silent(sample.pack_current.cause())
        && silent(sample.soc.cause())
        && silent(sample.insulation.cause())
        && silent(sample.ambient.cause())
        && silent(sample.coolant.cause())
        && silent(sample.speed.cause())
        && sample.channels.iter().all(|value| value.count.is_known())
}

fn item(text: &mut String, name: std::fmt::Arguments<'_>, cause: Unknown, number: Option<i64>) {
    let space = if text.is_empty() { "" } else { " " };
    // Writing to a String cannot fail.
    let _ = write!(text, "{space}{name}={cause}");
    if let Some(number) = number {
        let _ = write!(text, "({number})");
    }
}

/// Elements of a list; those that follow each other with the same cause are one item.
fn list(
    text: &mut String,
    name: &str,
    causes: impl Iterator<Item = Option<Unknown>>,
    number: &dyn Fn(usize) -> Option<i64>,
) {
    let known = |cause: Option<Unknown>| cause.filter(|cause| *cause != Unknown::NotSent);
    let all: Vec<_> = causes.enumerate().map(|(at, cause)| (at, known(cause), number(at))).collect();
    for run in all.chunk_by(|(_, a, x), (_, b, y)| (a, x) == (b, y)) {
        let [(first, Some(cause), number), ..] = run else { continue };
        match run.len() {
            1 => item(text, format_args!("{name}[{first}]"), *cause, *number),
            len => item(text, format_args!("{name}[{first}-{}]", first + len - 1), *cause, *number),
        }
    }
}

/// Gives a sample whose unknown values were not sent their causes; `None` if the text is not one of ours for it.
pub(super) fn apply(sample: Sample, said: &str) -> Option<Sample> {
    let mut with = sample;
    let mut numbers = Vec::new();
    for item in said.split(' ') {
        let (place, cause) = item.split_once('=')?;
        let (cause, number) = match cause.strip_suffix(')').and_then(|cause| cause.split_once('(')) {
            Some((cause, number)) => (cause, Some(number)),
            None => (cause, None),
        };
        let cause: Unknown = cause.parse().ok()?;
        let (name, range) = match place.strip_suffix(']').and_then(|place| place.split_once('[')) {
            None => (place, 0..=0),
            Some((name, range)) => {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                (name, first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?)
            }
        };
        match name {
            "pack_voltage_v" => {
                with.pack_voltage = Millivolts::unknown(cause);
                numbers.extend(number.map(|n| n.parse().map(OriginalNumber::PackVoltage)).transpose().ok()?);
            }
            "pack_current_a" => {
                with.pack_current = Milliamps::unknown(cause);
                numbers.extend(number.map(|n| n.parse().map(OriginalNumber::PackCurrent)).transpose().ok()?);
            }
            "soc_percent" => with.soc = CentiPercent::unknown(cause),
            "insulation_ohm" => with.insulation = Ohms::unknown(cause),
            "ambient_c" => with.ambient = Centidegrees::unknown(cause),
            "coolant_c" => with.coolant = Centidegrees::unknown(cause),
            "speed_kmh" => with.speed = CentiKilometersPerHour::unknown(cause),
            "cells_mv" => {
                with.cells.get_mut(range.clone())?.fill(Millivolts16::unknown(cause));
                if let Some(number) = number {
                    let number = number.parse().ok()?;
                    numbers.extend(range.map(|at| OriginalNumber::Cell(at, number)));
                }
            }
            "temperatures_c" => {
                with.temperatures.get_mut(range.clone())?.fill(Centidegrees::unknown(cause));
                if let Some(number) = number {
                    let number = number.parse().ok()?;
                    numbers.extend(range.map(|at| OriginalNumber::Temperature(at, number)));
                }
            }
            _ => {
                let channel = name.strip_prefix("channels.")?;
                let value = with.channels.iter_mut().find(|value| value.channel.name() == channel)?;
                value.count = ChannelCount::unknown(cause);
            }
        }
    }
    if !numbers.is_empty() {
        with = with.with_original_numbers(&numbers).ok()?;
    }
    // The text is not free: what was altered is no image of a sample.
    (text(&with).as_deref() == Some(said)).then_some(with)
}
