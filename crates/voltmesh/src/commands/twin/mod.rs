//! `voltmesh twin`: the battery's digital twin on files.

mod detect;
mod estimate;
mod evaluate;
mod fit;
mod import;
pub(crate) mod inject;
pub(crate) mod packs;
pub(crate) mod read;
mod simulate;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use voltmesh_battery::{Cell, CellParams, Chemistry};

use super::read_text;
use crate::args::{ChemistryArg, Twin};
use crate::{Outcome, output};

/// Bytes of a parameter file at most.
const MAX_PARAMS: usize = 4 << 20;

/// Runs the command.
pub fn run(command: Twin) -> Result<Outcome> {
    match command {
        Twin::Fit(options) => fit::run(&options),
        Twin::Estimate(options) => estimate::run(&options),
        Twin::Evaluate(options) => evaluate::run(&options),
        Twin::Import(options) => import::run(&options),
        Twin::Simulate(options) => simulate::run(&options),
        Twin::Detect(options) => detect::run(&options),
        Twin::Inject(options) => inject::run(&options),
    }
}

impl From<ChemistryArg> for Chemistry {
    fn from(arg: ChemistryArg) -> Self {
        match arg {
            ChemistryArg::Nca => Self::Nca,
            ChemistryArg::Nmc => Self::Nmc,
            ChemistryArg::Lfp => Self::Lfp,
        }
    }
}

/// What a log is called.
fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into())
}

/// Reads a cell's parameters.
fn cell(path: &Path) -> Result<Arc<Cell>> {
    let text = read_text(path, MAX_PARAMS)?;
    let params: CellParams =
        toml::from_str(&text).with_context(|| format!("{} has no parameters of a cell", path.display()))?;
    let cell = Cell::new(params).with_context(|| format!("{} cannot be used", path.display()))?;
    Ok(Arc::new(cell))
}

/// The capacity that someone wrote.
fn capacity(ah: f64) -> Result<f64> {
    ensure!((1e-3..=1e4).contains(&ah), "--capacity-ah wants 0.001 to 10000, not {ah}");
    Ok(ah)
}

fn folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}

/// A figure with as many decimals, or a dash.
fn figure(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.decimals$}"))
}

fn wrote(path: &Path) {
    output::line(format!("wrote {}", path.display()));
}
