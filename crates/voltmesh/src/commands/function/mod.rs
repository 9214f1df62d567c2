//! `voltmesh function`: functions, from a new project to a signed release, and those of a controller that runs.

mod build;
mod deployments;
mod listing;
mod logs;
mod new;
mod project;
mod releases;
mod show;
mod sign;
mod test;
mod upgrade;

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
        Function::Publish(options) => releases::publish(&options),
        Function::Withdraw { release, ask } => releases::withdraw(&release, &ask),
        Function::Deploy(options) => deployments::deploy(options),
        Function::Undeploy { name, ask } => deployments::undeploy(&name, &ask),
        Function::Upgrade(options) => upgrade::run(&options),
        Function::List(ask) => listing::run(&ask),
        Function::Logs(options) => logs::run(&options),
    }
}
