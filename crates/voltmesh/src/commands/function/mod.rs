//! `voltmesh function`: functions, from a new project to a signed release.

mod build;
mod new;
mod project;
mod show;
mod sign;
mod test;

use anyhow::Result;

use crate::Outcome;
use crate::args::Function;

/// Runs the command.
pub fn run(command: Function) -> Result<Outcome> {
    match command {
        Function::New { name, into } => new::run(&name, &into),
        Function::Build(options) => build::run(&options),
        Function::Test(options) => test::run(&options),
        Function::Sign(options) => sign::run(&options),
        Function::Show(options) => show::run(&options),
    }
}
