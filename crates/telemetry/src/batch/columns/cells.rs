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
    record.sample.cells.iter().map(|cell| i64::from(cell.get())).sum::<i64>() / i64::from(scale)
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

/// Fit of one cell's voltages to the pack's mean in a batch: offset and gain.
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
}

/// Least squares of each cell's distance from the mean over the mean's rise; `rows` are records of `cells` values.
fn fit(rows: &[u16], cells: usize, means: &[i32]) -> Vec<Fit> {
    // Distances stay below 2^20, so that the sums over 4,096 records stay below 2^52.
    let (mut sx, mut sxx) = (0i64, 0i64);
    let mut sums = vec![(0i64, 0i64); cells];
    for (row, mean) in rows.chunks_exact(cells).zip(means) {
        let x = i64::from(mean - means[0]);
        sx += x;
        sxx += x * x;
        for ((sy, sxy), value) in sums.iter_mut().zip(row) {
            let y = i64::from((i32::from(*value) << POINT) - mean);
            *sy += y;
            *sxy += x * y;
        }
    }
    let [sx, sxx, n] = [sx, sxx, means.len() as i64].map(i128::from);
    let spread = n * sxx - sx * sx;
    let shift = offset_shift(means.len());
    let one = |(sy, sxy): (i64, i64)| {
        let (sy, sxy) = (i128::from(sy), i128::from(sxy));
        let gain = if means.len() < GAIN_RECORDS || spread == 0 {
            0
        } else {
            rounded((n * sxy - sx * sy) << GAIN_POINT, spread).clamp(-0x7fff, 0x7fff)
        };
        let offset = rounded(sy - ((gain * sx) >> GAIN_POINT), n);
        let offset = rounded(offset, 1 << shift) << shift;
        Fit { offset: offset as i32, gain: gain as i32 }
    };
    sums.into_iter().map(one).collect()
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
    let values = records.iter().flat_map(|record| &record.sample.cells);
    let mut rows = Vec::with_capacity(records.len() * cells);
    rows.extend(values.map(|cell| if scale == 1 { cell.get() } else { cell.get() / scale }));
    let fits = fit(&rows, cells, &means);
    fits.iter().for_each(|fit| out.int(i64::from(fit.offset >> shift)));
    fits.iter().for_each(|fit| out.int(i64::from(fit.gain)));

    // Every record begins a byte, so that rows unpack without shifting: one more than cells if their number is odd.
    let mut row = vec![0u32; cells.next_multiple_of(2)];
    let mut packed = vec![0u8; row.len() / 2];
    let mut escapes = Vec::new();
    for (values, mean) in rows.chunks_exact(cells).zip(&means) {
        let rise = mean.wrapping_sub(means[0]);
        let mut most = 0;
        for ((zigzag, value), fit) in row.iter_mut().zip(values).zip(&fits) {
            let residual = i32::from(*value).wrapping_sub(fit.predict(*mean, rise));
            *zigzag = ((residual << 1) ^ (residual >> 31)) as u32;
            most = most.max(*zigzag);
        }
        if most >= u32::from(ESCAPE) {
            for zigzag in row.iter_mut().filter(|zigzag| **zigzag >= u32::from(ESCAPE)) {
                escapes.push(*zigzag - u32::from(ESCAPE));
                *zigzag = u32::from(ESCAPE);
            }
        }
        for (byte, pair) in packed.iter_mut().zip(row.chunks_exact(2)) {
            *byte = (pair[0] | pair[1] << 4) as u8;
        }
        out.bytes(&packed);
    }
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
    let row_bytes = cells.div_ceil(2);
    let packed = input.bytes(records.len() * row_bytes)?;
    // One more than cells if their number is odd.
    let mut row = vec![0u32; 2 * row_bytes];
    for ((record, sum), packed) in records.iter_mut().zip(sums).zip(packed.chunks_exact(row_bytes)) {
        if unpack(packed, &mut row) {
            for value in row[..cells].iter_mut().filter(|value| **value == u32::from(ESCAPE)) {
                *value = value.wrapping_add(input.uint()? as u32);
            }
        }
        let mean = mean(*sum, cells);
        let rise = mean.wrapping_sub(first_mean);
        let mut outside = 0;
        for (value, fit) in row.iter_mut().zip(&fits) {
            let residual = (*value >> 1) as i32 ^ -((*value & 1) as i32);
            let predicted = fit.predict(mean, rise).wrapping_add(residual) as u32;
            *value = predicted.wrapping_mul(u32::from(scale));
            outside |= predicted | *value;
        }
        if outside > u32::from(u16::MAX) {
            return Err(input.malformed("cell voltage out of range"));
        }
        record.sample.cells = row[..cells].iter().map(|value| Millivolts16::new(*value as u16)).collect();
    }
    Ok(())
}

/// Unpacks two nibbles from each byte; tells whether one of them is an escape.
fn unpack(packed: &[u8], row: &mut [u32]) -> bool {
    let mut escaped = false;
    for (pair, byte) in row.chunks_exact_mut(2).zip(packed) {
        pair[0] = u32::from(byte & 0xf);
        pair[1] = u32::from(byte >> 4);
        escaped |= pair[0] == u32::from(ESCAPE) || pair[1] == u32::from(ESCAPE);
    }
    escaped
}
