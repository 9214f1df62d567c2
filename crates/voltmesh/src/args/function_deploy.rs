//! Arguments of `voltmesh function publish | deploy | upgrade | logs`: functions of a controller that runs.

use std::path::PathBuf;
use std::str::FromStr;
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
  voltmesh function deploy hot-pack --vehicle edge-1 --config '{\"limit_c\": 45}' --allow derate=0.1..1
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
    /// What the function may command, instead of what the policy says of it: charge-limit-a, discharge-limit-a, target-temperature-c,
    /// sampling-rate-hz and derate with LEAST..MOST, balance-groups with MOST, stop-charging; may be repeated. A function that
    /// the policy does not know may command nothing without it.
    #[arg(long = "allow", value_name = "KIND[=RANGE]")]
    pub allow: Vec<Allow>,
    /// Commands a minute that it may give, instead of the policy's (12 where the policy does not know it).
    #[arg(long, value_name = "N")]
    pub commands_per_min: Option<u32>,
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

/// Kind of command with its range.
#[derive(Debug, Clone, PartialEq)]
pub struct Allow {
    /// As the policy's `bounds` name it.
    pub kind: String,
    /// Its range, most, or `true`.
    pub range: serde_json::Value,
}

impl FromStr for Allow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} allows nothing; want derate=0.1..1, balance-groups=12, stop-charging or the like"
            )
        };
        let Some((kind, range)) = text.split_once('=') else {
            return Ok(Self { kind: text.to_owned(), range: true.into() });
        };
        let number = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite()).ok_or_else(wrong);
        let range = match range.split_once("..") {
            Some((least, most)) => vec![number(least)?, number(most)?].into(),
            None => range.parse::<u16>().map_err(|_| wrong())?.into(),
        };
        Ok(Self { kind: kind.to_owned(), range })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_is_read() {
        let read = |text: &str| text.parse::<Allow>().map(|allow| (allow.kind, allow.range.to_string()));
        assert_eq!(read("derate=0.1..1"), Ok(("derate".into(), "[0.1,1.0]".into())));
        assert_eq!(read("balance-groups=12"), Ok(("balance-groups".into(), "12".into())));
        assert_eq!(read("stop-charging"), Ok(("stop-charging".into(), "true".into())));
        for wrong in ["derate=", "derate=1..", "derate=a..b", "derate=0..inf", "balance-groups=1.5"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
