//! Arguments of the roles: `voltmesh edge`, `fog`, `cloud`.

use std::path::PathBuf;

use clap::Args;

/// A role's configuration.
#[derive(Debug, Args)]
pub struct RoleArgs {
    /// The role's TOML file.
    #[arg(long, value_name = "FILE", required_unless_present = "defaults")]
    pub config: Option<PathBuf>,
    /// Prints a configuration with every default, explained, and exits.
    #[arg(long)]
    pub defaults: bool,
}

/// A vehicle's configuration, and what is for one start only.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh edge --config edge.toml
  voltmesh edge --config edge.toml --accept-doubtful
  voltmesh edge --config edge.toml --drain

Exit code 2: the recordings give no usable sample, or are doubtful (`voltmesh inspect` shows why).")]
pub struct EdgeRole {
    /// As for every role.
    #[command(flatten)]
    pub role: RoleArgs,
    /// Takes recordings although what they hold is not plausible.
    #[arg(long)]
    pub accept_doubtful: bool,
    /// Takes no samples, sends what waits in the spool, and ends once all of it is archived.
    #[arg(long)]
    pub drain: bool,
}

#[cfg(feature = "full")]
/// A fog node's configuration, and what is for one start only.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh fog --config fog.toml
  voltmesh fog --config fog.toml --checkpoint checkpoint.bin
  voltmesh fog --config fog.toml --repair-ledger")]
pub struct FogRole {
    /// As for every role.
    #[command(flatten)]
    pub role: RoleArgs,
    /// With an empty disk, begins from this file of `voltmesh chain checkpoint` instead of genesis. It is checked first.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Moves away what is damaged of the ledger's disk and fetches it from peers. With a damaged journal of votes the node
    /// follows without voting until the epoch after the next one.
    #[arg(long)]
    pub repair_ledger: bool,
}
