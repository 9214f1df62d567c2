//! Columns of format 1.
//!
//! Layout before compression: runs of equal shape (`records, cells, temperatures`)…; number (boot 0 only) and time; sums of
//! cells; pack voltage; pack current; state of charge; contactor; charger; temperatures; cells.

use super::{
    cells,
    stream::{self, Input, Output},
};
use crate::{
    CentiPercent, Centidegrees, Charger, Contactor, Error, MAX_CELLS, MAX_TEMPERATURES, Milliamps,
    Millivolts, Record, RecordNumber, Sample, Timestamp,
    batch::{BatchHeader, MAX_VALUES},
};

/// Name of what [`MAX_VALUES`] bounds.
pub(super) const VALUES: &str = "number of a batch's cells and temperatures";

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

/// The columns of records, which have passed [`Sample::check`].
pub(super) fn encode(records: &[Record], foreign: bool) -> Output {
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

/// `count` records of the columns that [`encode`] made; they are not checked yet.
pub(super) fn decode(
    input: &mut Input<'_>,
    count: usize,
    header: &BatchHeader,
) -> Result<Vec<Record>, Error> {
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
        cells::decode(input, these, these_sums, run.cells, scale)?;
        (rest, rest_sums) = (after, after_sums);
    }
    Ok(records)
}
