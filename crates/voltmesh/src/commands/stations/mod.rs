//! `voltmesh stations …`

mod evaluate;
mod figures;
mod input;
mod inspect;
mod predict;
mod progress;
mod recommend;
mod replay;
mod train;

use anyhow::Result;

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
