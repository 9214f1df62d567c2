//! What the one binary does: arguments, logging, exit codes; the commands; and the demo and benchmarks, which run the
//! roles as processes from the outside. A library so that tests can deploy a system as the demo does.
//!
//! Exit codes: 0 done, 1 failed, 2 the command line is wrong or recordings give no usable sample, 3 a check found
//! something wrong (a proof, an archive, a demo, a simulated seed), 4 a role's disk is full, read-only or not there, a
//! log could not be looked at, or a trust file is too old to tell.
#![forbid(unsafe_code)]

pub mod args;
#[cfg(feature = "full")]
pub mod bench;
pub mod commands;
#[cfg(feature = "full")]
pub mod demo;
#[cfg(feature = "full")]
pub mod deploy;
pub mod disk;
#[cfg(all(test, feature = "full"))]
#[allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that fails should stop")]
mod fuzz;
#[cfg(feature = "full")]
pub mod http;
mod outcome;
pub mod output;
pub mod parallel;
pub mod plot;
pub mod sandbox;
#[cfg(feature = "full")]
pub mod usage;

pub use outcome::Outcome;

use std::process::ExitCode;

#[cfg(feature = "full")]
use args::Bench;
use args::{Cli, Command};
use clap::Parser as _;

/// Logs of a role by default.
const LOGS_OF_ROLES: &str = "info,buoyant_kernel=warn,deltalake_core=warn";

/// Logs of a command by default.
const LOGS_OF_COMMANDS: &str = "warn";

/// The whole program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    output::init_logging(cli.log.as_deref(), default_logs(&cli.command));
    match run(cli.command) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Wrong) => ExitCode::from(3),
        Ok(Outcome::Unread) => ExitCode::from(2),
        Ok(Outcome::NotLooked) => ExitCode::from(4),
        Err(error) => {
            output::error(&error);
            ExitCode::from(disk::exit_code(&error))
        }
    }
}

#[cfg(feature = "full")]
fn default_logs(command: &Command) -> &'static str {
    match command {
        Command::Edge(_) | Command::Fog(_) | Command::Cloud(_) => LOGS_OF_ROLES,
        Command::Controller(args) if args.command.is_none() => LOGS_OF_ROLES,
        // Its faults are the point: what libraries say of them is noise.
        Command::Sim(_) | Command::Bench(Bench::Consensus(_)) => "off",
        _ => LOGS_OF_COMMANDS,
    }
}

#[cfg(not(feature = "full"))]
fn default_logs(command: &Command) -> &'static str {
    if matches!(command, Command::Edge(_)) { LOGS_OF_ROLES } else { LOGS_OF_COMMANDS }
}

#[cfg(not(feature = "full"))]
fn run(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Inspect(options) => commands::inspect::run(options),
        Command::Edge(args) => commands::roles::edge(args),
        Command::Pki(command) => commands::pki::run(command),
        Command::Twin(command) => commands::twin::run(command),
    }
}

#[cfg(feature = "full")]
fn run(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Demo(options) => demo::run(options),
        Command::Inspect(options) => commands::inspect::run(options),
        Command::Edge(args) => commands::roles::edge(args),
        Command::Fog(args) => commands::roles::fog(args),
        Command::Cloud(args) => commands::roles::cloud(args),
        Command::Pki(command) => commands::pki::run(command),
        Command::Chain(command) => commands::chain::run(command),
        Command::Registry(command) => commands::registry::run(command),
        Command::Prove(options) => commands::prove::run(options),
        Command::Verify(options) => commands::verify::run(options),
        Command::Audit(command) => commands::audit::run(command),
        Command::Archive(command) => commands::archive::run(command),
        Command::Query(options) => commands::query::run(options),
        Command::Twin(command) => commands::twin::run(command),
        Command::Stations(command) => commands::stations::run(command),
        Command::Controller(command) => commands::controller::run(command),
        Command::Function(command) => commands::function::run(command),
        Command::Sim(options) => commands::sim::run(options),
        Command::Bench(Bench::Ingest(options)) => bench::ingest::run(options),
        Command::Bench(Bench::Path(options)) => bench::path::run(&options),
        Command::Bench(Bench::Generate(options)) => bench::ingest::generate(options),
        Command::Bench(Bench::Hostile(options)) => bench::hostile::run(&options),
        Command::Bench(Bench::Attack(options)) => bench::attack::run(&options),
        Command::Bench(Bench::Archive(options)) => bench::archive::run(options),
        Command::Bench(Bench::Soak(options)) => bench::soak::run(options),
        Command::Bench(Bench::Ledger(options)) => bench::ledger::run(options),
        Command::Bench(Bench::Consensus(options)) => bench::consensus::run(options),
        Command::Bench(Bench::Loop(options)) => bench::closed_loop::run(&options),
        Command::Bench(Bench::Twin(options)) => bench::twin::run(&options),
        Command::Bench(Bench::Placement(options)) => bench::placement::run(&options),
        Command::Bench(Bench::Encoding { json }) => bench::encoding::run(json),
    }
}
