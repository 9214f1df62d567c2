//! Arguments of `voltmesh controller`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::roles::RoleArgs;
use super::twin::TwinPack;

/// `voltmesh controller …`: the role, or what asks one that runs.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Examples:
  voltmesh controller --defaults > controller.toml
  voltmesh controller --config controller.toml
  voltmesh controller vehicles
  voltmesh controller decisions --vehicle car-1

Requests that change something carry the token in the file that the environment variable VOLTMESH_TOKEN_FILE names.")]
pub struct Controller {
    /// As for every role.
    #[command(flatten)]
    pub role: RoleArgs,
    /// What to ask or to check instead.
    #[command(subcommand)]
    pub command: Option<ControllerCommand>,
}

/// Which controller to ask, and in which form to answer.
#[derive(Debug, Args)]
pub struct AskController {
    /// HTTP interface of the controller.
    #[arg(long, default_value = "127.0.0.1:8095", value_name = "ADDRESS")]
    pub controller: std::net::SocketAddr,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
}

/// `voltmesh controller COMMAND`
#[derive(Debug, Subcommand)]
pub enum ControllerCommand {
    /// Rules: from which limits on a vehicle's battery is in an operating condition.
    #[command(subcommand)]
    Rules(ControllerRules),
    /// Vehicles that fog nodes see, with their conditions and functions.
    #[command(after_help = "Example:\n  voltmesh controller vehicles --controller 127.0.0.1:8095 --json")]
    Vehicles(AskController),
    /// Conditions that vehicles are in.
    #[command(after_help = "Example:\n  voltmesh controller conditions")]
    Conditions(AskController),
    /// What the controller has decided, why, instead of what, and what came of it; the newest first.
    #[command(
        after_help = "Examples:\n  voltmesh controller decisions\n  voltmesh controller decisions --vehicle car-1 --last 5 --json"
    )]
    Decisions {
        /// About this vehicle only.
        #[arg(long)]
        vehicle: Option<voltmesh_telemetry::VehicleId>,
        /// At most so many, 1 to 10000.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        last: u16,
        /// Which controller.
        #[command(flatten)]
        ask: AskController,
    },
    /// Undoes a decision: what it began ends, what was learned is as before.
    #[command(after_help = "Example:\n  voltmesh controller undo 17")]
    Undo {
        /// Number of the decision.
        number: u64,
        /// Which controller.
        #[command(flatten)]
        ask: AskController,
    },
    /// Has the controller give no orders until it is resumed; functions go on, and conditions are followed.
    #[command(after_help = "Example:\n  voltmesh controller pause")]
    Pause(AskController),
    /// Has the controller give orders again.
    #[command(after_help = "Example:\n  voltmesh controller resume")]
    Resume(AskController),
}

/// `voltmesh controller rules …`
#[derive(Debug, Subcommand)]
pub enum ControllerRules {
    /// Prints the rules that are shipped, with the source of each limit.
    #[command(after_help = "Example:\n  voltmesh controller rules defaults > rules.toml")]
    Defaults,
    /// Checks a rule file; says line and reason, and exits with 3, where it contradicts itself or is no rule file.
    #[command(after_help = "Example:\n  voltmesh controller rules check rules.toml")]
    Check {
        /// The rule file.
        #[arg(value_name = "FILE")]
        rules: PathBuf,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
    /// Replays recordings through a twin and the rules, and shows which conditions would have begun and ended, and when.
    Test(RulesTest),
}

/// Options of `voltmesh controller rules test`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh controller rules test --data drive.csv.gz
  voltmesh controller rules test --rules rules.toml --chemistry lfp --capacity-ah 100 --data pack-1.csv pack-2.csv --json
  voltmesh controller rules test --capacity-ah 60 --cells 96 --data trip.csv.gz

Recordings are those of `voltmesh twin detect`: tables of a pack or a cell. Exits with 4 where one could not be looked at.")]
pub struct RulesTest {
    /// The rule file (default: the rules that are shipped).
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Which pack.
    #[command(flatten)]
    pub pack: TwinPack,
    /// Recordings; each is a vehicle of its own.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// One JSON object on one line, the last of stdout.
    #[arg(long)]
    pub json: bool,
}
