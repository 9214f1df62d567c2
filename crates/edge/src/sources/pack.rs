//! A pack made of one measured cell.

use serde::Deserialize;

/// A pack of equal cells in series and parallel. It is made up and declared as such: each group of parallel cells gets
/// its own constant offset, at most `spread_mv` to either side, from `seed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PackLayout {
    /// Groups in series, 1 to 512. Default 1.
    pub series: u16,
    /// Cells in parallel in each group. Default 1.
    pub parallel: u16,
    /// Largest offset of a group's voltage in millivolts. Default 0.
    pub spread_mv: u16,
    /// Of the offsets. Default 1.
    pub seed: u64,
}

impl Default for PackLayout {
    fn default() -> Self {
        Self { series: 1, parallel: 1, spread_mv: 0, seed: 1 }
    }
}

impl PackLayout {
    /// Each group's offset in volts.
    pub(super) fn offsets(&self) -> Vec<f64> {
        let spread = f64::from(self.spread_mv) / 1000.0;
        (0..u64::from(self.series)).map(|i| spread * uniform(self.seed, i)).collect()
    }
}

/// A number in -1..=1 that depends on nothing but its arguments.
pub(super) fn uniform(seed: u64, index: u64) -> f64 {
    let mut z =
        seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    // 53 bits are exact in a double.
    (z >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}
