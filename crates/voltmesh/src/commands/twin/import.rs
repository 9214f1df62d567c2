//! `voltmesh twin import`: parameters from a BPX file.

use anyhow::{Context as _, Result};
use voltmesh_battery::{Cell, bpx};

use super::parameters::MAX_PARAMS;
use super::written::wrote;
use crate::args::TwinImport;
use crate::commands::read_text;
use crate::{Outcome, output};

/// Runs the command.
pub fn run(options: &TwinImport) -> Result<Outcome> {
    let text = read_text(&options.bpx, MAX_PARAMS)?;
    let imported = bpx::import(&text, options.chemistry.map(Into::into))
        .with_context(|| format!("{} cannot be imported", options.bpx.display()))?;
    Cell::new(imported.params.clone())?;
    let toml = toml::to_string(&imported.params).context("the parameters cannot be written down")?;
    std::fs::write(&options.output, toml)
        .with_context(|| format!("cannot write {}", options.output.display()))?;
    for remark in &imported.remarks {
        output::note(remark);
    }
    wrote(&options.output);
    Ok(Outcome::Done)
}
