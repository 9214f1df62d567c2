//! Arguments of `voltmesh prove` and `voltmesh verify`.

use std::path::PathBuf;

use clap::Args;

/// Options of `voltmesh prove`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  voltmesh prove --record car-1/1/42 --cloud 127.0.0.1:8094 -o r.cose")]
pub struct Prove {
    /// Record id: VEHICLE/BOOT/NUMBER.
    #[arg(long, value_name = "V/BOOT/N")]
    pub record: String,
    /// The cloud's HTTP interface, HOST:PORT; a URL where it is beyond a proxy or speaks TLS.
    #[arg(long, default_value = "127.0.0.1:8094", value_name = "ADDRESS|URL")]
    pub cloud: String,
    /// A file with the bearer token that the interface asks for.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Where to write the proof.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Options of `voltmesh verify`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh verify r.cose --trust trust.toml
  voltmesh verify --event balancing-started.event --trust trust.toml
  voltmesh verify --archive archive --trust trust.toml --json")]
pub struct Verify {
    /// A proof written by `voltmesh prove`.
    #[arg(value_name = "PROOF", required_unless_present_any = ["archive", "event"], conflicts_with_all = ["archive", "event"])]
    pub proof: Option<PathBuf>,
    /// The proof of a function's event, or of a controller's decision, instead.
    #[arg(long, value_name = "FILE", conflicts_with = "archive")]
    pub event: Option<PathBuf>,
    /// Checks every record of an archive instead.
    #[arg(long, value_name = "FOLDER")]
    pub archive: Option<PathBuf>,
    /// Archive notices that vehicles or fog nodes hold (bytes, or hex line by line): what they name must be there.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "archive")]
    pub claims: Vec<PathBuf>,
    /// The ledger's log, leaf by leaf, from `voltmesh chain leaves`: tells each entry that is not here.
    #[arg(long, value_name = "FILE", requires = "archive")]
    pub leaves: Option<PathBuf>,
    /// The trust file: genesis and hand-overs, from `voltmesh chain trust`.
    #[arg(long, value_name = "FILE")]
    pub trust: PathBuf,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
}
