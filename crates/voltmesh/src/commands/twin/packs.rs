//! Cells and twins for commands that run a whole twin over the log of a pack.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use voltmesh_battery::pack::PackLog;
use voltmesh_battery::twin::Setup;
use voltmesh_battery::{Cell, CellParams, Twin};

use super::{capacity, cell};
use crate::args::ChemistryArg;
use crate::output;

/// Capacity of a typical cell in Ah, where nobody says.
const TYPICAL_AH: f64 = 60.0;

/// The cell that is asked for: fitted parameters, or a typical one, which is uncertain.
pub fn cell_of(
    params: Option<&Path>,
    chemistry: ChemistryArg,
    capacity_ah: Option<f64>,
) -> Result<Arc<Cell>> {
    match params {
        Some(path) => cell(path),
        None => {
            let ah = capacity(capacity_ah.unwrap_or(TYPICAL_AH))?;
            Ok(Arc::new(Cell::new(CellParams::typical(chemistry.into(), ah))?))
        }
    }
}

/// A twin for a log. Parameters are of one cell: a group of more charge is several of them.
pub fn twin_of(cell: &Arc<Cell>, log: &PackLog, capacity_ah: Option<f64>) -> Result<Twin> {
    let groups = log.samples.first().map_or(1, |sample| sample.cells_v.len());
    let group_ah = capacity_ah.map(capacity).transpose()?.unwrap_or(cell.params().capacity_ah);
    let parallel = (group_ah / cell.params().capacity_ah).round().max(1.0) as usize;
    Ok(Twin::new(
        cell.clone(),
        Setup { parallel, series: groups, full_every_s: None, ..Setup::default() },
        None,
    ))
}

/// Says which columns nothing is read from.
pub fn say_unused(file: &str, columns: &[String]) {
    if !columns.is_empty() {
        output::line(format!("{file}: columns that are not used: {}", columns.join(", ")));
    }
}
