//! Arguments of `voltmesh demo`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::registry::ElectionArgs;
use crate::demo::fault::{Schedule, parse_duration};
use voltmesh_battery::trouble::Trouble;

/// Trouble of a pack, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// This one.
    One(Trouble),
    /// One after the other.
    All,
}

impl std::str::FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" { Ok(Self::All) } else { text.parse().map(Self::One) }
    }
}

/// Options of `voltmesh demo`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  voltmesh demo
  voltmesh demo --duration 20s --fault kill:fog-1@5s,restart:fog-1@9s,tamper:archive@15s
  voltmesh demo --chaos 7 --duration 60s
  voltmesh demo --fogs 7 --committee 4
  voltmesh demo --scenario overcharge
  voltmesh demo --data trip.csv.gz --speed 100 --json")]
pub struct Demo {
    /// How many vehicles (1 to 32).
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub vehicles: u8,
    /// How many fog nodes (4 to 20); they tolerate (n - 1) / 3 that fail.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=20))]
    pub fogs: u8,
    /// How the ledger elects.
    #[command(flatten)]
    pub election: ElectionArgs,
    /// How long the vehicles drive, in wall-clock time.
    #[arg(long, default_value = "20s", value_parser = parse_duration)]
    pub duration: Duration,
    /// Samples per second and vehicle.
    #[arg(long, default_value_t = 100.0, conflicts_with = "speed")]
    pub rate: f64,
    /// Replays by the recording's own time stamps, this many times faster than real time.
    #[arg(long)]
    pub speed: Option<f64>,
    /// Recordings to replay instead of the drive cycles that are built in; vehicle i takes file i, round robin.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pub data: Vec<PathBuf>,
    /// Takes recordings of --data although what they hold is not plausible.
    #[arg(long)]
    pub accept_doubtful: bool,
    /// What goes wrong: KIND:TARGET@TIME, comma-separated. Kinds: kill, restart, partition, heal, pause (the process
    /// stands still), resume, wipe (a fog node's disk and key), tamper. Targets: fog-N, edge-N, cloud,
    /// controller, archive.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub fault: Schedule,
    /// Draws faults of all kinds and lengths from this seed instead, several at once, and prints them as --fault takes
    /// them. The last quarter of the run, at least 10 s, is calm.
    #[arg(long, value_name = "SEED", conflicts_with = "fault")]
    pub chaos: Option<u64>,
    /// Runs one trouble of a simulated pack in simulated time instead, with the closed loop and without: overcharge,
    /// deep-discharge, cooling-failure, cold-charge, imbalance, weak-cell, sensor-freeze, none, or all of them. With --dir, figures
    /// as SVG.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["fault", "chaos", "data"])]
    pub scenario: Option<Scenario>,
    /// Where the run's files go; kept afterwards (default: a temporary folder that is removed).
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// Longest time, after the last fault, in which no record comes further before the run has failed; at least as long as
    /// the run took until then, and a minute more.
    #[arg(long, default_value = "120s", value_parser = parse_duration)]
    pub patience: Duration,
    /// One JSON object on one line, the last of stdout.
    #[arg(long)]
    pub json: bool,
}
