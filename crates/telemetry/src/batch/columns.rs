//! Records as compressed columns.
//!
//! Each quantity becomes a column of small numbers: divided by what all its values share (the sensor's resolution),
//! then taken as the difference from what the values before it predict. Cells move together, so each is predicted from
//! the mean of all ([`cells`]). zstd's entropy coder does the rest.
//!
//! Layout before compression, integers as LEB128 varints, signed ones zigzag: runs of equal shape
//! (`records, cells, temperatures`)…; number (boot 0 only) and time; sums of cells; pack voltage; pack current; state of
//! charge; contactor; charger; temperatures; cells. What only format 2 says follows ([`second`]).

mod cells;
mod second;
mod spans;
mod stream;

use super::{BatchHeader, MAX_COLUMN_BYTES, MAX_RECORDS, MAX_VALUES};
use crate::{
    CentiPercent, Centidegrees, Charger, Contactor, Error, Format, MAX_CELLS, MAX_TEMPERATURES, Milliamps,
    Millivolts, Record, RecordNumber, Sample, Timestamp,
};
use stream::{Input, Output};

/// Name of what [`MAX_VALUES`] bounds.
const VALUES: &str = "number of a batch's cells and temperatures";

/// Compression level: higher ones save less than 1 % of such columns.
const LEVEL: i32 = 3;

/// The first format whose columns can hold these records.
pub(super) fn format(records: &[Record]) -> Format {
    // What is kept of format 1 has no place in its columns: its numbers are codes now.
    let first = |record: &Record| record.sample.format() == Format::One && !record.sample.original.is_some();
    if records.iter().all(first) { Format::One } else { Format::Two }
}

/// Compresses records, which have passed [`Sample::check`].
pub(super) fn compress(records: &[Record], foreign: bool, format: Format) -> Result<Vec<u8>, Error> {
    let values = records.iter().map(|record| record.sample.values()).sum();
    Error::limit(VALUES, values, MAX_VALUES)?;
    let raw = match format {
        Format::One => encode(records, foreign).finish(),
        Format::Two => second::encode(records, foreign)?.finish(),
    };
    Error::limit("batch's columns", raw.len(), MAX_COLUMN_BYTES)?;
    zstd::bulk::compress(&raw, LEVEL)
        .map_err(|_| Error::Inconsistent { what: "batch's columns", why: "cannot be compressed" })
}

/// Compresses a report.
pub(super) fn compress_report(report: &[u8]) -> Result<Vec<u8>, Error> {
    zstd::bulk::compress(report, LEVEL)
        .map_err(|_| Error::Inconsistent { what: "batch's report", why: "cannot be compressed" })
}

/// Decompresses a report, no further than its limit.
pub(super) fn decompress_report(compressed: &[u8]) -> Result<Vec<u8>, Error> {
    zstd::bulk::decompress(compressed, super::MAX_REPORT_BYTES)
        .map_err(|_| Error::Inconsistent { what: "batch's report", why: "is no zstd frame within its limit" })
}

/// Decompresses and decodes what [`compress`] made; work and memory are bounded by the limits on a batch.
pub(super) fn decompress(compressed: &[u8], header: &BatchHeader) -> Result<Vec<Record>, Error> {
    let raw = stream::unzstd(compressed)?;
    let count = (header.count as usize).min(MAX_RECORDS);
    decode(&raw, count, header)
}

/// Consecutive records with as many cells and temperatures.
struct Run {
    records: usize,
    cells: usize,
    temperatures: usize,
}

fn runs(records: &[Record]) -> Vec<Run> {
    let shape = |record: &Record| (record.sample.cells.len(), record.sample.temperatures.len());
    records
        .chunk_by(|a, b| shape(a) == shape(b))
        .map(|run| Run { records: run.len(), cells: shape(&run[0]).0, temperatures: shape(&run[0]).1 })
        .collect()
}

fn encode(records: &[Record], foreign: bool) -> Output {
    let mut out = Output::default();
    let runs = runs(records);
    for run in &runs {
        out.uint(run.records as u64);
        out.uint(run.cells as u64);
        out.uint(run.temperatures as u64);
    }
    if foreign {
        out.deltas(records.iter().map(|record| record.number.get() as i64));
    }
    // A steady clock has a constant step: the step's change is zero.
    let times = || records.iter().map(|record| record.sample.time.as_millis() as i64);
    out.deltas(stream::differences(times()));
    let scale = cells::resolution(records);
    out.uint(u64::from(scale));
    let sums: Vec<i64> = records.iter().map(|record| cells::sum(record, scale)).collect();
    out.deltas(sums.iter().copied());
    // The pack's voltage follows the sum of its cells.
    let volts = records.iter().zip(&sums);
    out.scaled(
        volts.map(|(record, sum)| i64::from(record.sample.pack_voltage.get()) - sum * i64::from(scale)),
    );
    out.scaled(records.iter().map(|record| i64::from(record.sample.pack_current.get())));
    out.scaled(records.iter().map(|record| i64::from(record.sample.soc.get())));
    out.deltas(records.iter().map(|record| record.sample.contactor as i64));
    out.deltas(records.iter().map(|record| record.sample.charger as i64));
    let mut rest = records;
    for run in &runs {
        let (these, after) = rest.split_at(run.records);
        for sensor in 0..run.temperatures {
            out.scaled(these.iter().map(|record| i64::from(record.sample.temperatures[sensor].get())));
        }
        rest = after;
    }
    let (mut rest, mut rest_sums) = (records, sums.as_slice());
    for run in &runs {
        let (these, after) = rest.split_at(run.records);
        let (these_sums, after_sums) = rest_sums.split_at(run.records);
        cells::encode(&mut out, these, these_sums, run.cells, scale);
        (rest, rest_sums) = (after, after_sums);
    }
    out
}

fn decode(raw: &[u8], count: usize, header: &BatchHeader) -> Result<Vec<Record>, Error> {
    let mut input = Input::new(raw);
    let mut runs = Vec::new();
    let (mut left, mut values) = (count, 0);
    while left > 0 {
        let run = Run {
            records: input.count(left)?,
            cells: input.count(MAX_CELLS)?,
            temperatures: input.count(MAX_TEMPERATURES)?,
        };
        if run.records == 0 {
            return Err(input.malformed("empty run"));
        }
        left -= run.records;
        // Before anything is allocated for them. At most 4,096 runs of 640 each: no overflow.
        values += run.records * (run.cells + run.temperatures);
        Error::limit(VALUES, values, MAX_VALUES)?;
        runs.push(run);
    }
    let numbers: Vec<i64> = if header.boot.is_foreign() {
        input.deltas(count)?
    } else {
        (0..count as i64).map(|i| (header.first.get() as i64).wrapping_add(i)).collect()
    };
    let times = stream::sums(input.deltas(count)?);
    let scale =
        u16::try_from(input.uint()?).map_err(|_| input.malformed("cell resolution is over 16 bits"))?;
    let sums = input.deltas(count)?;
    let volts = input.scaled(count)?;
    let amps = input.scaled(count)?;
    let socs = input.scaled(count)?;
    let contactors = input.deltas(count)?;
    let chargers = input.deltas(count)?;

    let wrong = |why| move |_| Error::Malformed { what: "batch's columns", at: 0, why };
    let mut records = Vec::with_capacity(count);
    for i in 0..count {
        let volts = volts[i].wrapping_add(sums[i].wrapping_mul(i64::from(scale)));
        let code = |value: i64| u8::try_from(value).unwrap_or(u8::MAX);
        let sample = Sample {
            time: Timestamp::from_millis(times[i] as u64),
            pack_voltage: Millivolts::new(u32::try_from(volts).map_err(wrong("pack voltage out of range"))?),
            pack_current: Milliamps::new(i32::try_from(amps[i]).map_err(wrong("pack current out of range"))?),
            soc: CentiPercent::new(u16::try_from(socs[i]).map_err(wrong("state of charge out of range"))?),
            contactor: Contactor::from_code(code(contactors[i]))
                .ok_or_else(|| input.malformed("unknown contactor state"))?,
            charger: Charger::from_code(code(chargers[i]))
                .ok_or_else(|| input.malformed("unknown charger state"))?,
            ..Sample::default()
        };
        records.push(Record { number: RecordNumber::new(numbers[i] as u64), sample });
    }
    let mut rest = records.as_mut_slice();
    for run in &runs {
        let (these, after) = rest.split_at_mut(run.records);
        for record in &mut *these {
            record.sample.temperatures = Vec::with_capacity(run.temperatures);
        }
        for _ in 0..run.temperatures {
            for (record, value) in these.iter_mut().zip(input.scaled(run.records)?) {
                let value = i16::try_from(value).map_err(wrong("temperature out of range"))?;
                record.sample.temperatures.push(Centidegrees::new(value));
            }
        }
        rest = after;
    }
    let (mut rest, mut rest_sums) = (records.as_mut_slice(), sums.as_slice());
    for run in &runs {
        let (these, after) = rest.split_at_mut(run.records);
        let (these_sums, after_sums) = rest_sums.split_at(run.records);
        cells::decode(&mut input, these, these_sums, run.cells, scale)?;
        (rest, rest_sums) = (after, after_sums);
    }
    match header.format {
        Format::One => {
            for record in &mut records {
                record.sample = std::mem::take(&mut record.sample).of_format_1()?;
            }
        }
        Format::Two => second::decode(&mut input, &mut records)?,
    }
    input.finish()?;
    records.iter().try_for_each(|record| record.sample.check())?;
    Ok(records)
}

#[cfg(test)]
mod tests;
