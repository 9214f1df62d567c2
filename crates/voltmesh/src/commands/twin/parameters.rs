//! Parameters of a cell as a command is given them.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use voltmesh_battery::{Cell, CellParams};

use crate::commands::read_text;

/// Bytes of a parameter file at most.
pub(super) const MAX_PARAMS: usize = 4 << 20;

/// Reads a cell's parameters.
pub(super) fn cell(path: &Path) -> Result<Arc<Cell>> {
    let text = read_text(path, MAX_PARAMS)?;
    let params: CellParams =
        toml::from_str(&text).with_context(|| format!("{} has no parameters of a cell", path.display()))?;
    let cell = Cell::new(params).with_context(|| format!("{} cannot be used", path.display()))?;
    Ok(Arc::new(cell))
}

/// The capacity that someone wrote.
pub(super) fn capacity(ah: f64) -> Result<f64> {
    ensure!((1e-3..=1e4).contains(&ah), "--capacity-ah wants 0.001 to 10000, not {ah}");
    Ok(ah)
}
