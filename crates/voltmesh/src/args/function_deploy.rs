//! Arguments of `voltmesh function publish | deploy | upgrade | logs`: functions of a controller that runs.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use voltmesh_telemetry::VehicleId;

use super::AskController;
use crate::demo::fault::parse_duration;

/// Options of `voltmesh function publish`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  voltmesh function publish hot-pack/hot-pack-1.0.0.vmf

The token is in the file that the environment variable VOLTMESH_TOKEN_FILE names. Exits with 3 where the controller refuses a release.")]
pub struct FunctionPublish {
    /// Signed releases.
    #[arg(value_name = "FILE", required = true, num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// Which controller.
    #[command(flatten)]
    pub ask: AskController,
}

/// Options of `voltmesh function deploy`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh function deploy hot-pack
  voltmesh function deploy hot-pack --vehicle edge-1 --config '{\"limit_c\": 45}'
  voltmesh function deploy plating-guard --condition cold-charge --release plating-guard-1.0.0.vmf

A deployment of the same name is replaced. With --release, newer releases do not take its place.")]
pub struct FunctionDeploy {
    /// Name of the function, of which a release is published.
    pub function: String,
    /// Name of the deployment (default: the function's).
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// This release only: a signed release, or the SHA-256 of its component (default: always the newest).
    #[arg(long, value_name = "FILE|DIGEST")]
    pub release: Option<String>,
    /// What the function's configuration has otherwise than the policy says: JSON, or a file of it.
    #[arg(long, value_name = "JSON")]
    pub config: Option<String>,
    /// For this vehicle only; may be repeated.
    #[arg(long = "vehicle", value_name = "VEHICLE")]
    pub vehicles: Vec<VehicleId>,
    /// Only while this condition is the case; may be repeated.
    #[arg(long = "condition", value_name = "CONDITION")]
    pub conditions: Vec<String>,
    /// Which controller.
    #[command(flatten)]
    pub ask: AskController,
}

/// Options of `voltmesh function upgrade`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  voltmesh function upgrade hot-pack/hot-pack-1.0.1.vmf

Deployments that name another release are moved to this one. A fog node that rolls back by itself says why, which is shown; exits with 3
where the new release does not run everywhere in time. `voltmesh function withdraw` rolls back everywhere.")]
pub struct FunctionUpgrade {
    /// The signed release.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How long to wait.
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    pub wait: Duration,
    /// Which controller.
    #[command(flatten)]
    pub ask: AskController,
}

/// Options of `voltmesh function logs`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh function logs --last 20
  voltmesh function logs --vehicle edge-1 --function plating-guard --follow")]
pub struct FunctionLogs {
    /// Of this vehicle only.
    #[arg(long)]
    pub vehicle: Option<VehicleId>,
    /// Of this function only.
    #[arg(long)]
    pub function: Option<String>,
    /// At most so many, 1 to 10000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub last: u16,
    /// Goes on with what comes, until it is interrupted.
    #[arg(long, conflicts_with = "json")]
    pub follow: bool,
    /// Which controller.
    #[command(flatten)]
    pub ask: AskController,
}
