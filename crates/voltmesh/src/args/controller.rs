//! Arguments of `voltmesh controller`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::twin::TwinPack;

/// `voltmesh controller …`
#[derive(Debug, Subcommand)]
pub enum Controller {
    /// Rules: from which limits on a vehicle's battery is in an operating condition.
    #[command(subcommand)]
    Rules(ControllerRules),
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
