//! Cells and twins for commands that run a whole twin over the log of a pack.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use voltmesh_battery::pack::PackLog;
use voltmesh_battery::twin::Setup;
use voltmesh_battery::{Cell, CellParams, Twin};

use super::parameters::{capacity, cell};
use super::read::NotLooked;
use crate::args::TwinPack;
use crate::output;

/// Capacity of a typical cell in Ah, where nobody says.
const TYPICAL_AH: f64 = 60.0;

/// The cell that is asked for: fitted parameters, or a typical one, which is uncertain.
pub fn cell_of(pack: &TwinPack) -> Result<Arc<Cell>> {
    match pack.params.as_deref() {
        Some(path) => cell(path),
        None => {
            let ah = capacity(pack.capacity_ah.unwrap_or(TYPICAL_AH))?;
            Ok(Arc::new(Cell::new(CellParams::typical(pack.chemistry.into(), ah))?))
        }
    }
}

/// A twin for a log. Parameters are of one cell: a group of more charge is several of them.
///
/// # Errors
/// [`NotLooked`] for a pack without cell voltages of which nobody says how many cells it has.
pub fn twin_of(cell: &Arc<Cell>, log: &PackLog, pack: &TwinPack) -> Result<Twin> {
    let measured = log.samples.first().map_or(1, |sample| sample.cells_v.len());
    let series = match (measured, pack.cells) {
        (0, Some(stated)) => usize::from(stated),
        (0, None) => {
            let why = anyhow!("it has no cell voltages: say with --cells how many cells are in series");
            return Err(why.context(NotLooked::of(&log.name)));
        }
        (measured, _) => measured,
    };
    let group_ah = pack.capacity_ah.map(capacity).transpose()?.unwrap_or(cell.params().capacity_ah);
    let parallel = (group_ah / cell.params().capacity_ah).round().max(1.0) as usize;
    Ok(Twin::new(cell.clone(), Setup { parallel, series, full_every_s: None, ..Setup::default() }, None))
}

/// Says which columns nothing is read from.
pub fn say_unused(file: &str, columns: &[String]) {
    if !columns.is_empty() {
        output::line(format!("{file}: columns that are not used: {}", columns.join(", ")));
    }
}
