//! `voltmesh stations …`

mod evaluate;
mod figures;
mod input;
mod inspect;
mod predict;
mod recommend;
mod replay;
mod train;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{Outcome, args};

/// Runs the command.
pub fn run(command: args::Stations) -> Result<Outcome> {
    match command {
        args::Stations::Inspect(options) => inspect::run(&options),
        args::Stations::Evaluate(options) => evaluate::run(&options),
        args::Stations::Train(options) => train::run(&options),
        args::Stations::Predict(options) => predict::run(&options),
        args::Stations::Recommend(options) => recommend::run(&options),
        args::Stations::Replay(options) => replay::run(&options),
    }
}

/// Steps of a bar that shows a share.
const STEPS: u64 = 1000;

/// A bar on stderr, where somebody looks; `what` stands before it.
fn bar(what: String) -> ProgressBar {
    let bar = ProgressBar::new(STEPS).with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{msg:24} {bar:32} {percent:>3} % {elapsed}") {
        bar.set_style(style);
    }
    bar
}

/// Moves a bar to a share, 0..=1.
fn show(bar: &ProgressBar, share: f64) {
    bar.set_position((share * STEPS as f64) as u64);
}
