//! Arguments of `voltmesh audit`.

use std::path::PathBuf;

use clap::Subcommand;

/// `voltmesh audit …`
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Prints entries, oldest first: when, kind, who, what, how often.
    #[command(after_help = "Examples:
  voltmesh audit show --dir fog-1/data/audit
  voltmesh audit show --dir audit --kind refusal --last 20
  voltmesh audit show --dir pki/audit --json")]
    Show {
        /// The log's folder: `audit` in the data folder of an edge or fog node, beside a cloud's configuration, in a CA's folder.
        #[arg(long, value_name = "FOLDER")]
        dir: PathBuf,
        /// Only of this kind: start, stop, configuration, operator, refusal, read or gap.
        #[arg(long, value_name = "KIND")]
        kind: Option<voltmesh_audit::Kind>,
        /// Only the last so many (1 to 1000000).
        #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        last: u32,
        /// One JSON object on one line for each entry.
        #[arg(long)]
        json: bool,
    },
    /// Checks that each entry follows the one before it; exits with 3 if one does not, or a noted head is not there.
    #[command(after_help = "Examples:
  voltmesh audit verify --dir fog-1/data/audit
  voltmesh audit verify --dir fog-1/data/audit --trust trust.toml
  voltmesh audit verify --dir audit --head 41:9f2c0000000000000000000000000000000000000000000000000000000000aa --json")]
    Verify {
        /// The log's folder.
        #[arg(long, value_name = "FOLDER")]
        dir: PathBuf,
        /// A head that an earlier `verify` printed: the log must still have that entry.
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Option<voltmesh_audit::Head>,
        /// A trust file: checks the receipts of heads that the node put onto the ledger, and up to which entry they vouch.
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
        /// Folder of the receipts (default: `ledger` in the log's folder).
        #[arg(long, value_name = "FOLDER", requires = "trust")]
        receipts: Option<PathBuf>,
        /// The node whose log it is: a receipt of another one counts as wrong.
        #[arg(long, value_name = "NODE", requires = "trust")]
        node: Option<String>,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
}
