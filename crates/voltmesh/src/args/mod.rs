//! What the command line accepts. Help is for people: every command has an example.

mod archive;
mod audit;
mod bench;
mod chain;
mod controller;
mod demo;
#[cfg(test)]
mod documents;
mod inspect;
mod pki;
mod proof;
mod registry;
mod roles;
mod sim;
mod stations;
mod twin;

use clap::{Parser, Subcommand};

pub use self::archive::*;
pub use self::audit::*;
pub use self::bench::*;
pub use self::chain::*;
pub use self::controller::*;
pub use self::demo::*;
pub use self::inspect::*;
pub use self::pki::*;
pub use self::proof::*;
pub use self::registry::*;
pub use self::roles::*;
pub use self::sim::*;
pub use self::stations::*;
pub use self::twin::*;

/// Battery data from vehicles to the cloud: nothing lost, nothing altered unseen.
#[derive(Debug, Parser)]
#[command(name = "voltmesh", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "Start with `voltmesh demo`. Every command explains itself with --help.")]
pub struct Cli {
    /// Log filter, e.g. `info` or `voltmesh_fog=debug` (default: warn; roles: info).
    #[arg(long, global = true, env = "VOLTMESH_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, in the order in which a newcomer meets them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the whole system on this machine and checks it from the outside.
    Demo(Demo),
    /// Shows what would be read of recordings, and whether it is plausible, before anything is signed.
    Inspect(Inspect),
    /// Runs a vehicle's agent.
    Edge(EdgeRole),
    /// Runs a fog node: ingest and authority of the ledger.
    Fog(FogRole),
    /// Runs the cloud: archive, interface, proofs.
    Cloud(RoleArgs),
    /// Keys and certificates of a development CA.
    #[command(subcommand)]
    Pki(Pki),
    /// What the ledger has agreed on.
    #[command(subcommand)]
    Chain(Chain),
    /// Enrol, revoke and rotate, as transactions signed by m of n operators.
    #[command(subcommand)]
    Registry(Registry),
    /// Fetches a record with everything that proves it.
    Prove(Prove),
    /// Checks a proof, or a whole archive, offline.
    Verify(Verify),
    /// What a role did and refused, from its audit log: shown, and its chain checked.
    #[command(subcommand)]
    Audit(Audit),
    /// What stands twice in an archive: found, and removed.
    #[command(subcommand)]
    Archive(Archive),
    /// Asks the archive in SQL (cargo feature `sql`).
    Query(Query),
    /// The battery's digital twin: fit, evaluate, simulate, detect.
    #[command(subcommand)]
    Twin(Twin),
    /// Charging stations: how well their availability can be forecast.
    #[command(subcommand)]
    Stations(Stations),
    /// The controller's rules: checked, and tried on recordings.
    #[command(subcommand)]
    Controller(Controller),
    /// Simulates edge, fog, ledger and cloud in one deterministic process with faults.
    Sim(Sim),
    /// Measures this machine.
    #[command(subcommand)]
    Bench(Bench),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
