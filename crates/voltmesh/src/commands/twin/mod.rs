//! `voltmesh twin`: the battery's digital twin on files.

mod detect;
mod estimate;
mod evaluate;
mod fit;
mod import;
pub(crate) mod inject;
pub(crate) mod packs;
mod parameters;
pub(crate) mod read;
mod simulate;
mod written;

use anyhow::Result;
use voltmesh_battery::Chemistry;

use crate::Outcome;
use crate::args::{ChemistryArg, Twin};

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
