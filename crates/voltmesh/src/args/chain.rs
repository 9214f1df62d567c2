//! Arguments of `voltmesh chain`, and of any command that asks a fog node.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::demo::fault::parse_duration;

/// Which fog node to ask.
#[derive(Debug, Args)]
pub struct FogArgs {
    /// HTTP interface of a fog node.
    #[arg(long, default_value = "127.0.0.1:9100", value_name = "ADDRESS")]
    pub fog: std::net::SocketAddr,
}

/// Which fog node to ask, and in which form to answer.
#[derive(Debug, Args)]
pub struct Ask {
    /// Which fog node.
    #[command(flatten)]
    pub fog: FogArgs,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
}

/// A block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The newest that is final.
    Latest,
    /// With so many before it.
    Height(u64),
}

impl std::str::FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "latest" => Ok(At::Latest),
            _ => text
                .parse()
                .map(At::Height)
                .map_err(|_| "want the block's height, a number from 0 on, or `latest`".into()),
        }
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            At::Latest => f.write_str("latest"),
            At::Height(height) => height.fmt(f),
        }
    }
}

/// `voltmesh chain …`
#[derive(Debug, Subcommand)]
pub enum Chain {
    /// Height, epoch, authorities and peers.
    #[command(
        after_help = "Examples:\n  voltmesh chain status --json\n  voltmesh chain status --fog 127.0.0.1:9100 --wait 60s"
    )]
    Status {
        /// Whom to ask.
        #[command(flatten)]
        ask: Ask,
        /// Waits so long at most until the node answers and has caught up with its peers.
        #[arg(long, value_name = "TIME", value_parser = parse_duration)]
        wait: Option<Duration>,
    },
    /// One finalised block: leader, embedded votes, transactions.
    #[command(after_help = "Examples:\n  voltmesh chain block latest\n  voltmesh chain block 42 --json")]
    Block {
        /// Its height, or `latest`.
        #[arg(value_name = "HEIGHT", allow_negative_numbers = true)]
        height: At,
        /// Whom to ask.
        #[command(flatten)]
        ask: Ask,
    },
    /// Who votes and leads in this epoch and the next, who is in quarantine or on probation.
    #[command(after_help = "Example:\n  voltmesh chain authorities --fog 127.0.0.1:9100")]
    Authorities(Ask),
    /// Quality of service of each authority, and the turns as leader that it earns.
    #[command(after_help = "Example:\n  voltmesh chain scores --fog 127.0.0.1:9100")]
    Scores(Ask),
    /// Controllers, who holds their term until when, and which functions are released.
    #[command(after_help = "Example:\n  voltmesh chain control --fog 127.0.0.1:9100 --json")]
    Control(Ask),
    /// Authorities convicted of voting twice; `show` prints the votes of a block's evidence and checks them.
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  voltmesh chain evidence\n  voltmesh chain evidence show 42 --json"
    )]
    Evidence(Evidence),
    /// A line for each block as it becomes final.
    #[command(
        after_help = "Examples:\n  voltmesh chain follow\n  voltmesh chain follow --from 1 --blocks 100 --json"
    )]
    Follow(Follow),
    /// Writes the newest checkpoint, checked: what a new fog node begins from instead of genesis.
    #[command(after_help = "Example:\n  voltmesh chain checkpoint --genesis genesis.toml -o checkpoint.bin")]
    Checkpoint {
        /// Which fog node.
        #[command(flatten)]
        fog: FogArgs,
        /// The genesis file: where trust starts.
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
        /// Where to write.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Writes the trust file for `voltmesh verify`: the genesis, every hand-over and how large the log is, each checked.
    Trust(Trust),
    /// What the cloud's archive holds, as its cloud signed it and the log has it.
    Statement(Statement),
    /// Writes the log's leaf hashes, up to the size in a trust file: what an archive is compared with.
    Leaves(Leaves),
}

/// Options of `voltmesh chain trust`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh chain trust --genesis genesis.toml -o trust.toml
  voltmesh chain trust --genesis genesis.toml --cloud pki/cloud-cloud/sign.pub -o trust.toml")]
pub struct Trust {
    /// Which fog node.
    #[command(flatten)]
    pub fog: FogArgs,
    /// The genesis file: where trust starts.
    #[arg(long, value_name = "FILE")]
    pub genesis: PathBuf,
    /// A cloud's `sign.pub`, whose notices and statements are to be believed; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub cloud: Vec<PathBuf>,
    /// Where to write. A trust file that is there already is refreshed: what it says is kept, and must not be contradicted.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Options of `voltmesh chain statement`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh chain statement --trust trust.toml
  voltmesh chain statement --trust trust.toml --json")]
pub struct Statement {
    /// Whom to ask.
    #[command(flatten)]
    pub ask: Ask,
    /// The trust file: genesis, hand-overs, the cloud's key. Without it, nothing is checked.
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
}

/// Options of `voltmesh chain leaves`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  voltmesh chain leaves --trust trust.toml -o leaves.bin")]
pub struct Leaves {
    /// Which fog node. It answers for the blocks that it still has.
    #[command(flatten)]
    pub fog: FogArgs,
    /// Index of the first leaf. Only from 0 on can the root be checked.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub from: u64,
    /// A trust file of `voltmesh chain trust`: leaves are written up to the log's size in it, and must lead to its root.
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// Where to write: `VMLEAVES`, the first index as 8 bytes little-endian, 32 bytes for each leaf.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Options of `voltmesh chain evidence`.
#[derive(Debug, Args)]
pub struct Evidence {
    /// Without it: who is convicted.
    #[command(subcommand)]
    pub command: Option<EvidenceCommand>,
    /// Whom to ask.
    #[command(flatten)]
    pub ask: Ask,
}

/// `voltmesh chain evidence …`
#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// The signed votes in hex, so that anyone can check them; exits with 3 if a signature does not hold.
    Show {
        /// Height of the block that holds the evidence, or `latest`.
        #[arg(value_name = "HEIGHT", allow_negative_numbers = true)]
        height: At,
        /// Whom to ask.
        #[command(flatten)]
        ask: Ask,
    },
}

/// Options of `voltmesh chain follow`.
#[derive(Debug, Args)]
pub struct Follow {
    /// First height (default: the next block that becomes final).
    #[arg(long, value_name = "HEIGHT")]
    pub from: Option<u64>,
    /// Ends after so many blocks (default: when interrupted).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub blocks: Option<u64>,
    /// Whom to ask; with --json one object on one line for each block.
    #[command(flatten)]
    pub ask: Ask,
}

#[cfg(test)]
mod tests {
    use super::At;

    #[test]
    fn blocks_are_named_by_height_or_latest() {
        assert_eq!("latest".parse(), Ok(At::Latest));
        assert_eq!("42".parse(), Ok(At::Height(42)));
        for wrong in ["-1", "newest", "", "1.5", "18446744073709551616"] {
            assert!(wrong.parse::<At>().is_err(), "{wrong}");
        }
    }
}
