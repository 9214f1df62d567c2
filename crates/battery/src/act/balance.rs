//! Which groups to bleed, and for how long.

use crate::pack::Deltas;
use serde::Serialize;

/// Differences in charge that are left alone.
const LEAVE: f64 = 0.004;

/// Standard deviations that a difference must be away from what is left alone.
const SURE: f64 = 2.0;

/// A group to bleed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Balance {
    /// Which, from 0.
    pub group: usize,
    /// For how long, in s.
    pub seconds: f64,
}

/// Commands that bring all groups down to the lowest, at a bleed current in A of groups with that capacity. Only what is
/// surely above is bled: balancing by voltages under load is how packs are put out of balance.
#[must_use]
pub fn balance(deltas: &Deltas, capacity_ah: f64, bleed_a: f64) -> Vec<Balance> {
    let cells: Vec<_> = (0..deltas.len()).map(|group| deltas.cell(group)).collect();
    let Some(lowest) = cells.iter().map(|cell| cell.soc).min_by(f64::total_cmp) else { return Vec::new() };
    let surplus = |cell: &crate::pack::CellDelta| cell.soc - lowest - LEAVE;
    let groups = cells.iter().enumerate().filter(|(_, cell)| surplus(cell) > SURE * cell.soc_sd);
    groups
        .map(|(group, cell)| Balance {
            group,
            seconds: surplus(cell) * capacity_ah / bleed_a.max(1e-3) * 3_600.0,
        })
        .collect()
}
