//! Arguments of `voltmesh prove` and `voltmesh verify`.

use std::path::PathBuf;

use clap::Args;

/// Options of `voltmesh prove`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh prove --record car-1/1/42 --cloud 127.0.0.1:8094 -o r.cose
  voltmesh prove --event 17 --fog 127.0.0.1:9100 -o event.proof
  voltmesh prove --decision 4 --controller 127.0.0.1:8095 -o decision.proof")]
pub struct Prove {
    /// Record id: VEHICLE/BOOT/NUMBER.
    #[arg(long, value_name = "V/BOOT/N", required_unless_present_any = ["event", "decision"])]
    pub record: Option<String>,
    /// A function's event instead: its position at the fog node that said it, as the node's `/events` lists it.
    #[arg(long, value_name = "POSITION", conflicts_with = "record")]
    pub event: Option<u64>,
    /// A controller's decision instead, by its number.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["record", "event"])]
    pub decision: Option<u64>,
    /// HTTP interface of the controller that decided.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8095")]
    pub controller: std::net::SocketAddr,
    /// HTTP interface of the fog node that has the event.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9100")]
    pub fog: std::net::SocketAddr,
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
