//! What the command line accepts. Help is for people: every command has an example.

#[cfg(feature = "full")]
mod archive;
#[cfg(feature = "full")]
mod audit;
#[cfg(feature = "full")]
mod bench;
#[cfg(feature = "full")]
mod chain;
#[cfg(feature = "full")]
mod controller;
#[cfg(feature = "full")]
mod demo;
#[cfg(all(test, feature = "full"))]
mod documents;
#[cfg(feature = "full")]
mod function;
#[cfg(feature = "full")]
mod function_deploy;
mod inspect;
mod pki;
#[cfg(feature = "full")]
mod proof;
#[cfg(feature = "full")]
mod registry;
mod roles;
#[cfg(feature = "full")]
mod sim;
#[cfg(feature = "full")]
mod stations;
mod twin;

use clap::{Parser, Subcommand};

pub use self::inspect::*;
pub use self::pki::*;
pub use self::roles::*;
pub use self::twin::*;
#[cfg(feature = "full")]
pub use self::{
    archive::*, audit::*, bench::*, chain::*, controller::*, demo::*, function::*, function_deploy::*,
    proof::*, registry::*, sim::*, stations::*,
};

/// Battery data from vehicles to the cloud: nothing lost, nothing altered unseen.
#[derive(Debug, Parser)]
#[command(name = "voltmesh", version, propagate_version = true, max_term_width = 110)]
#[cfg_attr(
    feature = "full",
    command(after_help = "Start with `voltmesh demo`. Every command explains itself with --help.")
)]
#[cfg_attr(
    not(feature = "full"),
    command(
        after_help = "A build for vehicles: other roles are in the full one. Every command explains itself with --help."
    )
)]
pub struct Cli {
    /// Log filter, e.g. `info` or `voltmesh_fog=debug` (default: warn; roles: info).
    #[arg(long, global = true, env = "VOLTMESH_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, in the order in which a newcomer meets them.
#[cfg(feature = "full")]
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
    /// Fetches a record, a function's event or a controller's decision with everything that proves it.
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
    /// Runs the controller: conditions of vehicles, functions near them. Asks one that runs. Checks rules.
    Controller(Controller),
    /// Functions that act on vehicles from fog nodes: made, built, tested, signed and shown.
    #[command(subcommand)]
    Function(Function),
    /// Simulates edge, fog, ledger and cloud in one deterministic process with faults.
    Sim(Sim),
    /// Measures this machine.
    #[command(subcommand)]
    Bench(Bench),
}

/// The commands of a build for vehicles.
#[cfg(not(feature = "full"))]
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows what would be read of recordings, and whether it is plausible, before anything is signed.
    Inspect(Inspect),
    /// Runs a vehicle's agent.
    Edge(EdgeRole),
    /// Keys and certificates of a development CA.
    #[command(subcommand)]
    Pki(Pki),
    /// The battery's digital twin: fit, evaluate, simulate, detect.
    #[command(subcommand)]
    Twin(Twin),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
