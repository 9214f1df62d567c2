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

use crate::{Outcome, args, output};

/// Runs the command.
pub fn run(command: args::Stations) -> Result<Outcome> {
    let mut odd = input::Odd::default();
    let done = match command {
        args::Stations::Inspect(options) => return inspect::run(&options),
        args::Stations::Evaluate(options) => evaluate::run(&options, &mut odd),
        args::Stations::Train(options) => train::run(&options, &mut odd),
        args::Stations::Predict(options) => predict::run(&options, &mut odd),
        args::Stations::Recommend(options) => recommend::run(&options, &mut odd),
        args::Stations::Replay(options) => replay::run(&options, &mut odd),
    };
    if !odd.mostly_unusable() {
        return done.map(|()| Outcome::Done);
    }
    // Whatever came of it came of a few rows.
    if let Err(error) = done {
        output::error(&error);
    }
    Ok(Outcome::Wrong)
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
