//! Additions of format 2 to the columns: unknown values, optional quantities, extra channels.
//!
//! In the columns of format 1 an unknown value is replaced by one that costs little: its neighbours' or the one before it.
//! Which are unknown follows as spans: a place (a quantity, a cell, a sensor, a channel), consecutive records, a cause. So
//! a cell that is never measured costs five bytes a batch, and one that is missing once four.
//!
//! Layout after the columns of format 1: `optional u8`, a bit for each quantity that any record has; `channels`, and for
//! each in ascending order `name, unit, mantissa, exponent`; a column for each of these quantities and channels; `spans`,
//! and for each in ascending order `place - last, record - last, 5 · (records - 1) + cause`; `originals`, and for each
//! `record - last` and the sample's bytes in format 1.

use super::{
    first,
    spans::{Place, Spans},
    stream::{Input, Output},
};
use crate::{
    CentiKilometersPerHour, CentiPercent, Centidegrees, Channel, ChannelCount, ChannelValue, Error,
    MAX_CELLS, MAX_CHANNELS, MAX_TEMPERATURES, Milliamps, Millivolts, Millivolts16, Ohms, Record, Resolution,
    Sample, Unknown,
};
use std::{collections::BTreeMap, sync::Arc};

/// Optional quantities of a sample.
const OPTIONAL: usize = 4;

/// Count and cause of each optional quantity.
fn optional(sample: &Sample) -> [(i64, Option<Unknown>); OPTIONAL] {
    [
        (sample.insulation.get().into(), sample.insulation.cause()),
        (sample.ambient.get().into(), sample.ambient.cause()),
        (sample.coolant.get().into(), sample.coolant.cause()),
        (sample.speed.get().into(), sample.speed.cause()),
    ]
}

/// A value that stands for unknown ones: the last that is known, or before it the first.
fn filled(values: impl Iterator<Item = Option<i64>> + Clone) -> Vec<i64> {
    let mut last = values.clone().flatten().next().unwrap_or(0);
    values
        .map(|value| {
            last = value.unwrap_or(last);
            last
        })
        .collect()
}

/// The records with a number for each unknown value of format 1.
fn replaced(records: &[Record]) -> Vec<Record> {
    let known = |value: Result<i64, Unknown>| value.ok();
    let sensors = records.iter().map(|record| record.sample.temperatures.len()).max().unwrap_or(0);
    let samples = || records.iter().map(|record| &record.sample);
    let amps = filled(samples().map(|sample| known(sample.pack_current.reading().map(i64::from))));
    let socs = filled(samples().map(|sample| known(sample.soc.reading().map(i64::from))));
    let mut temperatures = vec![0i16; sensors];
    for (sensor, value) in temperatures.iter_mut().enumerate() {
        let mut values = samples().filter_map(|sample| sample.temperatures.get(sensor)?.reading().ok());
        *value = values.next().unwrap_or(0);
    }
    // The pack's voltage is predicted from its cells: what it differed by last.
    let mut difference = None;
    let replace = |((record, amps), soc): ((&Record, i64), i64)| {
        let mut sample = record.sample.clone();
        replace_cells(&mut sample.cells);
        let sum: i64 = sample.cells.iter().map(|cell| i64::from(cell.get())).sum();
        match sample.pack_voltage.reading() {
            Ok(voltage) => difference = Some(i64::from(voltage) - sum),
            Err(_) => {
                let voltage = sum + difference.unwrap_or(0);
                sample.pack_voltage = Millivolts::new(u32::try_from(voltage).unwrap_or(0));
            }
        }
        if !sample.pack_current.is_known() {
            sample.pack_current = Milliamps::new(amps as i32);
        }
        // A state of charge that is not sent is a number of format 1.
        if !sample.soc.is_known() && sample.soc != CentiPercent::UNKNOWN {
            sample.soc = CentiPercent::new(soc as u16);
        }
        for (value, last) in sample.temperatures.iter_mut().zip(&mut temperatures) {
            match value.reading() {
                Ok(known) => *last = known,
                Err(_) => *value = Centidegrees::new(*last),
            }
        }
        Record { number: record.number, sample }
    };
    records.iter().zip(amps).zip(socs).map(replace).collect()
}

/// Replaces unknown cells by the known one that is nearest to the mean, which is a multiple of the cells' resolution.
fn replace_cells(cells: &mut [Millivolts16]) {
    let known = || cells.iter().filter_map(|cell| cell.reading().ok().map(u64::from));
    let count = known().count() as u64;
    if count == cells.len() as u64 {
        return;
    }
    let mean = known().sum::<u64>() / count.max(1);
    let nearest = known().min_by_key(|cell| cell.abs_diff(mean)).unwrap_or(0);
    for cell in cells.iter_mut().filter(|cell| !cell.is_known()) {
        *cell = Millivolts16::new(nearest as u16);
    }
}

/// The channels of all records, in order.
fn channels_of(records: &[Record]) -> Result<Vec<Arc<Channel>>, Error> {
    let mut all: BTreeMap<&Channel, &Arc<Channel>> = BTreeMap::new();
    for value in records.iter().flat_map(|record| &record.sample.channels) {
        all.insert(&value.channel, &value.channel);
        Error::limit("number of a batch's channels", all.len(), MAX_CHANNELS)?;
    }
    Ok(all.into_values().cloned().collect())
}

pub(super) fn encode(records: &[Record], foreign: bool) -> Result<Output, Error> {
    let channels = channels_of(records)?;
    let mut out = first::encode(&replaced(records), foreign);
    let optionals: Vec<_> = records.iter().map(|record| optional(&record.sample)).collect();
    let sent = |of: usize| optionals.iter().any(|values| values[of].1 != Some(Unknown::NotSent));
    let present: Vec<usize> = (0..OPTIONAL).filter(|of| sent(*of)).collect();
    out.bytes(&[present.iter().map(|of| 1u8 << of).sum()]);
    out.uint(channels.len() as u64);
    for channel in &channels {
        for text in [channel.name(), channel.unit()] {
            out.uint(text.len() as u64);
            out.bytes(text.as_bytes());
        }
        out.uint(channel.resolution().mantissa().into());
        out.int(channel.resolution().exponent().into());
    }
    for of in &present {
        let values = optionals.iter().map(|values| values[*of]);
        out.scaled(filled(values.map(|(count, cause)| cause.is_none().then_some(count))).into_iter());
    }
    let counts: Vec<Vec<ChannelCount>> = channels
        .iter()
        .map(|channel| {
            let of = |record: &Record| {
                let values = &record.sample.channels;
                let value = values
                    .iter()
                    .find(|value| Arc::ptr_eq(&value.channel, channel) || value.channel == *channel);
                value.map_or(ChannelCount::default(), |value| value.count)
            };
            records.iter().map(of).collect()
        })
        .collect();
    for counts in &counts {
        let known = counts.iter().map(|count| count.reading().ok().map(i64::from));
        out.scaled(filled(known).into_iter());
    }
    let mut spans = Spans::default();
    for (at, record) in records.iter().enumerate() {
        let sample = &record.sample;
        spans.note(Place::PACK_VOLTAGE, at, sample.pack_voltage.cause());
        spans.note(Place::PACK_CURRENT, at, sample.pack_current.cause());
        spans.note(Place::SOC, at, sample.soc.cause().filter(|cause| *cause != Unknown::NotSent));
        for (place, cell) in sample.cells.iter().enumerate().filter(|(_, cell)| !cell.is_known()) {
            spans.note(Place::cell(place), at, cell.cause());
        }
        for (place, value) in sample.temperatures.iter().enumerate() {
            spans.note(Place::temperature(place), at, value.cause());
        }
        present.iter().for_each(|of| spans.note(Place::optional(*of), at, optionals[at][*of].1));
        for (place, counts) in counts.iter().enumerate() {
            spans.note(Place::channel(place), at, counts[at].cause());
        }
    }
    spans.encode(&mut out);
    let kept =
        || records.iter().enumerate().filter_map(|(at, record)| Some((at, record.sample.original.bytes()?)));
    out.uint(kept().count() as u64);
    let mut last = 0;
    for (at, bytes) in kept() {
        out.uint((at - last) as u64);
        out.bytes(bytes);
        last = at;
    }
    Ok(out)
}

pub(super) fn decode(input: &mut Input<'_>, records: &mut [Record]) -> Result<(), Error> {
    let present = input.bytes(1)?[0];
    if present >> OPTIONAL != 0 {
        return Err(input.malformed("unknown optional quantity"));
    }
    let channels = definitions(input)?;
    // By quantity and then by channel: at most 36 columns of 4,096 numbers.
    let mut columns: BTreeMap<Place, Vec<i64>> = BTreeMap::new();
    for of in (0..OPTIONAL).filter(|of| present >> of & 1 == 1) {
        columns.insert(Place::optional(of), input.scaled(records.len())?);
    }
    for channel in 0..channels.len() {
        columns.insert(Place::channel(channel), input.scaled(records.len())?);
    }
    // Spans come in ascending order and do not overlap: each value is marked once at most.
    let mut unknown: BTreeMap<Place, Vec<(std::ops::Range<usize>, Unknown)>> = BTreeMap::new();
    Spans::decode(input, records.len(), |place, span, cause| {
        if columns.contains_key(&place) {
            unknown.entry(place).or_default().push((span, cause));
            return true;
        }
        records[span].iter_mut().all(|record| mark(&mut record.sample, place, cause))
    })?;
    for (place, values) in &columns {
        let mut causes = vec![None; records.len()];
        for (span, cause) in unknown.remove(place).unwrap_or_default() {
            causes[span].fill(Some(cause));
        }
        for ((record, value), cause) in records.iter_mut().zip(values).zip(causes) {
            let set = set(&mut record.sample, *place, *value, cause, &channels);
            set.ok_or_else(|| input.malformed("optional quantity or channel out of range"))?;
        }
    }
    originals(input, records)
}

fn definitions(input: &mut Input<'_>) -> Result<Vec<Arc<Channel>>, Error> {
    let mut channels: Vec<Arc<Channel>> = Vec::new();
    for _ in 0..input.count(MAX_CHANNELS)? {
        let mut text = |limit| {
            let len = input.count(limit)?;
            let bytes = input.bytes(len)?;
            std::str::from_utf8(bytes).map_err(|_| input.malformed("text is not UTF-8"))
        };
        let (name, unit) = (text(Channel::MAX_NAME)?, text(Channel::MAX_UNIT)?);
        let (mantissa, exponent) = (u16::try_from(input.uint()?), i8::try_from(input.int()?));
        let (Ok(mantissa), Ok(exponent)) = (mantissa, exponent) else {
            return Err(input.malformed("channel's resolution is out of range"));
        };
        let channel = Channel::new(name, unit, Resolution::new(mantissa, exponent)?)?;
        if channels.last().is_some_and(|last| **last >= channel) {
            return Err(input.malformed("channels are not in ascending order"));
        }
        channels.push(Arc::new(channel));
    }
    Ok(channels)
}

/// Marks a value of format 1's columns as unknown; false if the sample has no such value.
fn mark(sample: &mut Sample, place: Place, cause: Unknown) -> bool {
    match place {
        Place::PACK_VOLTAGE => sample.pack_voltage = Millivolts::unknown(cause),
        Place::PACK_CURRENT => sample.pack_current = Milliamps::unknown(cause),
        Place::SOC => sample.soc = CentiPercent::unknown(cause),
        _ => match (place.as_cell(), place.as_temperature()) {
            (Some(cell), _) if cell < sample.cells.len() => sample.cells[cell] = Millivolts16::unknown(cause),
            (_, Some(sensor)) if sensor < sample.temperatures.len() => {
                sample.temperatures[sensor] = Centidegrees::unknown(cause);
            }
            _ => return false,
        },
    }
    true
}

/// Sets a value of a column of this format; `None` if it does not fit the quantity.
fn set(
    sample: &mut Sample,
    place: Place,
    value: i64,
    cause: Option<Unknown>,
    channels: &[Arc<Channel>],
) -> Option<()> {
    /// The count, or the code of its cause.
    macro_rules! of {
        ($unit:ident) => {
            match cause {
                Some(cause) => $unit::unknown(cause),
                None => $unit::new(value.try_into().ok()?),
            }
        };
    }
    match place.as_optional() {
        Some(0) => sample.insulation = of!(Ohms),
        Some(1) => sample.ambient = of!(Centidegrees),
        Some(2) => sample.coolant = of!(Centidegrees),
        Some(3) => sample.speed = of!(CentiKilometersPerHour),
        _ => {
            let channel = channels.get(place.as_channel()?)?;
            let count = of!(ChannelCount);
            if count.cause() != Some(Unknown::NotSent) {
                sample.channels.push(ChannelValue { channel: channel.clone(), count });
            }
        }
    }
    Some(())
}

fn originals(input: &mut Input<'_>, records: &mut [Record]) -> Result<(), Error> {
    let count = input.count(records.len())?;
    let mut at = 0;
    for n in 0..count {
        let step = input.count(records.len())?;
        at += step;
        let record = records.get_mut(at).filter(|_| n == 0 || step > 0);
        let record = record.ok_or_else(|| input.malformed("original of no record"))?;
        let bytes = input.bytes(Sample::bytes_in_format_1(record.sample.values()))?;
        let said = Sample::from_format_1(bytes)?;
        record.sample.original = said.original.clone();
        if said != record.sample {
            return Err(input.malformed("a record is not what its original says"));
        }
    }
    Ok(())
}

const _: () = assert!(MAX_CELLS == 512 && MAX_TEMPERATURES == 128, "places in spans are a format");
