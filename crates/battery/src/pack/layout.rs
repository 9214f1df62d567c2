//! Layout of a pack, and the spread of its cells.

use serde::{Deserialize, Serialize};

/// Standard deviations are relative where no unit is said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Layout {
    /// Groups in series. Default 96.
    pub series: usize,
    /// Cells in parallel in each group. Default 1.
    pub parallel: usize,
    /// Of capacity. Default 0.005.
    pub capacity_sd: f64,
    /// Of resistance. Default 0.03.
    pub resistance_sd: f64,
    /// Of the state of charge at the start. Default 0.003.
    pub soc_sd: f64,
    /// Of the temperature of the surroundings, in K. Default 0.8.
    pub temp_sd_k: f64,
    /// Of the random numbers. Default 1.
    pub seed: u64,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            series: 96,
            parallel: 1,
            capacity_sd: 0.005,
            resistance_sd: 0.03,
            soc_sd: 0.003,
            temp_sd_k: 0.8,
            seed: 1,
        }
    }
}

impl Layout {
    /// All cells.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.series * self.parallel
    }

    /// A standard normal number that depends on the seed and its arguments only, within ±3.
    #[must_use]
    pub fn normal(&self, which: u64, index: usize) -> f64 {
        normal(self.seed, which, index as u64)
    }
}

/// See [`Layout::normal`]: the sum of twelve uniform numbers less six (Irwin and Hall), which is enough here.
pub(super) fn normal(seed: u64, which: u64, index: u64) -> f64 {
    let mut state =
        seed ^ which.wrapping_mul(0xa076_1d64_78bd_642f) ^ index.wrapping_mul(0xe703_7ed1_a0b4_28db);
    let sum: f64 = (0..12).map(|_| uniform(&mut state)).sum();
    (sum - 6.0).clamp(-3.0, 3.0)
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), as a number in 0..1.
pub(super) fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 11) as f64 / (1u64 << 53) as f64
}
