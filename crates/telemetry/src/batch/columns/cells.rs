//! Cell voltages, predicted from the mean over the pack.
//!
//! Cell i at time t is near `mean(t) + offset(i) + gain(i) · (mean(t) - mean(0))`: its own state of charge makes the
//! offset, its own resistance the gain. Offset and gain are fitted over the batch and travel with it. What remains is
//! mostly sensor noise: one nibble each (zigzag; 15 announces a varint), two to a byte, for zstd to squeeze.
//! All of it is wrapping integer arithmetic, the same on every machine; a bad fit costs bytes, never truth.

use super::stream::{Input, Output, common_divisor};
use crate::{Error, Millivolts16, Record};

/// Fixed point of means and offsets: 1/16 of the resolution.
const POINT: u32 = 4;
/// Fixed point of gains: 1/256.
const GAIN_POINT: u32 = 8;
/// The nibble that says that a varint of the rest follows in the escape column.
const ESCAPE: u8 = 15;
/// Gains are fitted from so many records on; with fewer they cost more than they save.
const GAIN_RECORDS: usize = 24;

/// What all cell voltages are multiples of, in millivolts.
pub(super) fn resolution(records: &[Record]) -> u16 {
    let cells = records.iter().flat_map(|record| &record.sample.cells);
    common_divisor(cells.map(|cell| u64::from(cell.get()))) as u16
}

/// Sum of a record's cells in units of `scale`.
pub(super) fn sum(record: &Record, scale: u16) -> i64 {
    record.sample.cells.iter().map(|cell| i64::from(cell.get() / scale)).sum()
}

/// How coarse offsets are, as a shift: with few records, precision costs more than it saves.
fn offset_shift(records: usize) -> u32 {
    match records {
        0..=4 => 4,
        5..=16 => 3,
        17..=256 => 2,
        _ => 1,
    }
}

/// The mean cell in fixed point; any sum gives some mean, so that decoding cannot fail here.
fn mean(sum: i64, cells: usize) -> i32 {
    ((sum << POINT).wrapping_add(cells as i64 / 2) / cells as i64) as i32
}

/// What a batch says about one cell.
#[derive(Clone, Copy, Default)]
struct Fit {
    offset: i32,
    gain: i32,
}

impl Fit {
    fn predict(self, mean: i32, rise: i32) -> i32 {
        let lean = self.gain.wrapping_mul(rise) >> GAIN_POINT;
        mean.wrapping_add(self.offset).wrapping_add(lean).wrapping_add(1 << (POINT - 1)) >> POINT
    }

    /// Least squares of the cell's distance from the mean over the mean's rise.
    fn new(values: impl Iterator<Item = i64>, means: &[i32], shift: u32) -> Self {
        let (mut sx, mut sy, mut sxx, mut sxy) = (0i128, 0i128, 0i128, 0i128);
        for (value, mean) in values.zip(means) {
            let x = i128::from(mean - means[0]);
            let y = i128::from((value << POINT) - i64::from(*mean));
            sx += x;
            sy += y;
            sxx += x * x;
            sxy += x * y;
        }
        let n = means.len() as i128;
        let spread = n * sxx - sx * sx;
        let gain = if means.len() < GAIN_RECORDS || spread == 0 {
            0
        } else {
            rounded((n * sxy - sx * sy) << GAIN_POINT, spread).clamp(-0x7fff, 0x7fff)
        };
        let offset = rounded(sy - ((gain * sx) >> GAIN_POINT), n);
        let offset = rounded(offset, 1 << shift) << shift;
        Self { offset: offset as i32, gain: gain as i32 }
    }
}

/// The quotient to the nearest integer; `divisor` is positive.
fn rounded(value: i128, divisor: i128) -> i128 {
    (2 * value + divisor).div_euclid(2 * divisor)
}

/// Encodes the cells of records that all have `cells` cells.
pub(super) fn encode(out: &mut Output, records: &[Record], sums: &[i64], cells: usize, scale: u16) {
    if cells == 0 {
        return;
    }
    let shift = offset_shift(records.len());
    let means: Vec<i32> = sums.iter().map(|sum| mean(*sum, cells)).collect();
    let column =
        |cell: usize| records.iter().map(move |record| i64::from(record.sample.cells[cell].get() / scale));
    let fits: Vec<Fit> = (0..cells).map(|cell| Fit::new(column(cell), &means, shift)).collect();
    fits.iter().for_each(|fit| out.int(i64::from(fit.offset >> shift)));
    fits.iter().for_each(|fit| out.int(i64::from(fit.gain)));

    let mut nibbles = Vec::with_capacity(records.len() * cells);
    let mut escapes = Vec::new();
    for (record, mean) in records.iter().zip(&means) {
        let rise = mean.wrapping_sub(means[0]);
        for (cell, fit) in record.sample.cells.iter().zip(&fits) {
            let residual = i32::from(cell.get() / scale).wrapping_sub(fit.predict(*mean, rise));
            let zigzag = ((residual << 1) ^ (residual >> 31)) as u32;
            nibbles.push(zigzag.min(u32::from(ESCAPE)) as u8);
            if zigzag >= u32::from(ESCAPE) {
                escapes.push(zigzag - u32::from(ESCAPE));
            }
        }
    }
    let packed: Vec<u8> =
        nibbles.chunks(2).map(|pair| pair[0] | pair.get(1).copied().unwrap_or(0) << 4).collect();
    out.bytes(&packed);
    escapes.iter().for_each(|escape| out.uint(u64::from(*escape)));
}

/// Decodes the cells of records that all have `cells` cells.
pub(super) fn decode(
    input: &mut Input<'_>,
    records: &mut [Record],
    sums: &[i64],
    cells: usize,
    scale: u16,
) -> Result<(), Error> {
    if cells == 0 {
        return Ok(());
    }
    let shift = offset_shift(records.len());
    let mut fits = vec![Fit::default(); cells];
    for fit in &mut fits {
        fit.offset = (input.int()? as i32).wrapping_shl(shift);
    }
    for fit in &mut fits {
        fit.gain = input.int()? as i32;
    }
    let first_mean = mean(sums[0], cells);
    let packed = input.bytes((records.len() * cells).div_ceil(2))?;
    let mut at = 0;
    let mut row = vec![0u32; cells];
    for (record, sum) in records.iter_mut().zip(sums) {
        let escaped = unpack(packed, at, &mut row);
        at += cells;
        if escaped {
            for value in row.iter_mut().filter(|value| **value == u32::from(ESCAPE)) {
                *value = value.wrapping_add(input.uint()? as u32);
            }
        }
        let mean = mean(*sum, cells);
        let rise = mean.wrapping_sub(first_mean);
        let mut outside = 0u32;
        let values = row.iter().zip(&fits).map(|(zigzag, fit)| {
            let residual = (zigzag >> 1) as i32 ^ -((zigzag & 1) as i32);
            let value = fit.predict(mean, rise).wrapping_add(residual) as u32;
            let millivolts = value.wrapping_mul(u32::from(scale));
            outside |= (value | millivolts) >> 16;
            Millivolts16::new(millivolts as u16)
        });
        record.sample.cells = values.collect();
        if outside != 0 {
            return Err(input.malformed("cell voltage out of range"));
        }
    }
    Ok(())
}

/// Unpacks nibbles from number `at` on; tells whether one of them is an escape.
fn unpack(packed: &[u8], at: usize, row: &mut [u32]) -> bool {
    let mut escaped = false;
    let nibble = |i: usize| u32::from(packed[i / 2] >> (4 * (i % 2)) & 0xf);
    for (i, value) in (at..).zip(row.iter_mut()) {
        *value = nibble(i);
        escaped |= *value == u32::from(ESCAPE);
    }
    escaped
}
