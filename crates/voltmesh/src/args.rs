//! What the command line accepts. Help is for people: every command has an example.

mod bench;
mod inspect;
mod stations;
mod twin;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub use self::bench::*;
pub use self::inspect::*;
pub use self::stations::*;
pub use self::twin::*;
use crate::demo::fault::{Schedule, parse_duration};

/// Battery data from vehicles to the cloud: nothing lost, nothing altered unseen.
#[derive(Debug, Parser)]
#[command(name = "voltmesh", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "Start with `voltmesh demo`. Every command explains itself with --help.")]
pub struct Cli {
    /// Log filter, e.g. `info` or `voltmesh_fog=debug` (default: warn; roles: info).
    #[arg(long, global = true, env = "VOLTMESH_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, in the order in which a newcomer meets them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the whole system on this machine and checks it from the outside.
    Demo(Demo),
    /// Shows what would be read of recordings, and whether it is plausible, before anything is signed.
    Inspect(Inspect),
    /// Runs a vehicle's agent.
    Edge(EdgeRole),
    /// Runs a fog node: ingest and authority of the ledger.
    Fog(FogRole),
    /// Runs the cloud: archive, interface, proofs.
    Cloud(RoleArgs),
    /// Keys and certificates of a development CA.
    #[command(subcommand)]
    Pki(Pki),
    /// What the ledger has agreed on.
    #[command(subcommand)]
    Chain(Chain),
    /// Enrol, revoke and rotate, as transactions signed by m of n operators.
    #[command(subcommand)]
    Registry(Registry),
    /// Fetches a record with everything that proves it.
    Prove(Prove),
    /// Checks a proof, or a whole archive, offline.
    Verify(Verify),
    /// What a role did and refused, from its audit log: shown, and its chain checked.
    #[command(subcommand)]
    Audit(Audit),
    /// What stands twice in an archive: found, and removed.
    #[command(subcommand)]
    Archive(Archive),
    /// Asks the archive in SQL (cargo feature `sql`).
    Query(Query),
    /// The battery's digital twin: fit, evaluate, simulate, detect.
    #[command(subcommand)]
    Twin(Twin),
    /// Charging stations: how well their availability can be forecast.
    #[command(subcommand)]
    Stations(Stations),
    /// Simulates edge, fog, ledger and cloud in one deterministic process with faults.
    Sim(Sim),
    /// Measures this machine.
    #[command(subcommand)]
    Bench(Bench),
}

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

Exit code 2: the recordings give no usable sample, or are doubtful (`voltmesh inspect` shows why).")]
pub struct EdgeRole {
    /// As for every role.
    #[command(flatten)]
    pub role: RoleArgs,
    /// Takes recordings although what they hold is not plausible.
    #[arg(long)]
    pub accept_doubtful: bool,
}

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

/// Options of `voltmesh demo`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  voltmesh demo
  voltmesh demo --duration 20s --fault kill:fog-1@5s,restart:fog-1@9s,tamper:archive@15s
  voltmesh demo --chaos 7 --duration 60s
  voltmesh demo --fogs 7 --committee 4
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
    /// stands still), resume, wipe (a fog node's disk and key), tamper. Targets: fog-N, edge-N, cloud, archive.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub fault: Schedule,
    /// Draws faults of all kinds and lengths from this seed instead, several at once, and prints them as --fault takes
    /// them. The last quarter of the run, at least 10 s, is calm.
    #[arg(long, value_name = "SEED", conflicts_with = "fault")]
    pub chaos: Option<u64>,
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
  voltmesh audit verify --dir audit --head 41:9f2c0000000000000000000000000000000000000000000000000000000000aa --json")]
    Verify {
        /// The log's folder.
        #[arg(long, value_name = "FOLDER")]
        dir: PathBuf,
        /// A head that an earlier `verify` printed: the log must still have that entry.
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Option<voltmesh_audit::Head>,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
}

/// `voltmesh pki …`
#[derive(Debug, Subcommand)]
pub enum Pki {
    /// Makes a development CA.
    #[command(after_help = "Example:\n  voltmesh pki init --one-role --dir pki")]
    Init {
        /// The PKI folder.
        #[command(flatten)]
        dir: PkiDir,
        /// Refuses a certificate for an id that another role has, such as client:car-1 beside edge:car-1. Without it, that
        /// is only warned of.
        #[arg(long)]
        one_role: bool,
    },
    /// Issues keys and a certificate to `role:id`.
    #[command(
        after_help = "Examples:\n  voltmesh pki issue edge:car-1\n  voltmesh pki issue fog:fog-1 --host fog-1.example --host 127.0.0.1"
    )]
    Issue {
        /// The PKI folder.
        #[command(flatten)]
        dir: PkiDir,
        /// Who: edge:ID, fog:ID, cloud:ID, client:ID or operator:ID.
        identity: String,
        /// DNS names and IP addresses of a server.
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
        /// Validity in days.
        #[arg(long, default_value_t = 365)]
        days: u32,
    },
    /// Issues a new certificate with a new TLS key; the signing key stays.
    Renew {
        /// The PKI folder.
        #[command(flatten)]
        dir: PkiDir,
        /// Who, as in `issue`.
        identity: String,
        /// Validity in days.
        #[arg(long, default_value_t = 365)]
        days: u32,
    },
    /// Revokes a certificate; running nodes that watch this folder's crl.pem drop its sessions.
    Revoke {
        /// The PKI folder.
        #[command(flatten)]
        dir: PkiDir,
        /// Who, as in `issue`.
        identity: String,
    },
    /// Signs the revocation list anew, for a year: an older one may be past its time.
    RenewCrl(PkiDir),
    /// Lists certificates with their validity.
    Show {
        /// The PKI folder.
        #[command(flatten)]
        dir: PkiDir,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
}

/// Where the development CA lives.
#[derive(Debug, Args)]
pub struct PkiDir {
    /// The PKI folder.
    #[arg(long, default_value = "pki", value_name = "FOLDER")]
    pub dir: PathBuf,
}

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
    Status(Ask),
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

/// `voltmesh registry …`
#[derive(Debug, Subcommand)]
pub enum Registry {
    /// Writes a genesis and the trust file that starts from it.
    Genesis(GenesisArgs),
    /// Writes the opening of a new commitment for a vehicle's signing key: a random salt and the key.
    Opening {
        /// The vehicle's `sign.pub`.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Where to write.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Enrols a vehicle's signing key.
    #[command(after_help = "Example:
  voltmesh registry enrol car-1 --opening opening.toml --genesis genesis.toml \\
    --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key --fog 127.0.0.1:9100")]
    Enrol {
        /// The vehicle.
        vehicle: String,
        /// The opening of its commitment: salt and public key.
        #[arg(long, value_name = "FILE")]
        opening: PathBuf,
        /// The CA's folder: refuses an id for which a role other than vehicle or fog node, or both, have a certificate in force.
        #[arg(long, value_name = "FOLDER")]
        pki: Option<PathBuf>,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Revokes a vehicle's signing key from the next block on.
    Revoke {
        /// The vehicle.
        vehicle: String,
        /// The opening of its commitment.
        #[arg(long, value_name = "FILE")]
        opening: PathBuf,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Admits an authority: it serves from the next-but-one epoch on, at first on probation.
    #[command(after_help = "Example:
  voltmesh registry admit-authority pki/fog-fog-5/sign.pub --genesis genesis.toml \\
    --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key")]
    AdmitAuthority {
        /// Its `sign.pub`, or its key in 64 hex digits. A key that was an authority once never returns.
        key: AuthorityKey,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Removes an authority for good: it serves until the end of the next epoch. Four must remain.
    #[command(after_help = "Example:
  voltmesh registry remove-authority pki/fog-fog-5/sign.pub --genesis genesis.toml \\
    --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key")]
    RemoveAuthority {
        /// Its `sign.pub`, or its key in 64 hex digits.
        key: AuthorityKey,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Replaces an authority's key, as after the loss of its disk: the new one serves from the next-but-one epoch on.
    #[command(after_help = "Example:
  voltmesh registry rotate-authority pki-old/fog-fog-3/sign.pub pki/fog-fog-3/sign.pub --genesis genesis.toml \\
    --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key")]
    RotateAuthority {
        /// The old key: `sign.pub` or 64 hex digits.
        old: AuthorityKey,
        /// The new key: `sign.pub` or 64 hex digits.
        new: AuthorityKey,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Lets a convicted authority return: from the next-but-one epoch on, without a score and on probation.
    #[command(after_help = "Example:
  voltmesh chain evidence
  voltmesh registry pardon-authority pki/fog-fog-3/sign.pub --genesis genesis.toml \\
    --operator pki/operator-op-1/sign.key --operator pki/operator-op-2/sign.key")]
    PardonAuthority {
        /// Its `sign.pub`, or its key in 64 hex digits as `voltmesh chain evidence` shows it.
        key: AuthorityKey,
        /// Who signs and where it goes.
        #[command(flatten)]
        submit: Submit,
    },
    /// Replaces a committee that has stalled: other authorities vote after the newest final block, for two epochs.
    ReplaceCommittee(ReplaceCommittee),
}

/// Options of `voltmesh registry replace-committee`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  voltmesh registry replace-committee --genesis genesis.toml --operator pki/operator-op-1/sign.key \\
    --operator pki/operator-op-2/sign.key --fog 127.0.0.1:9100 --fog 127.0.0.1:9101

It is in force once more than two thirds of all authorities have promised to follow it, which they do when no block has
become final for 10 s. Name as many fog nodes as can be reached: the decree is about the newest block of the furthest.")]
pub struct ReplaceCommittee {
    /// The genesis file; it names the chain.
    #[arg(long, value_name = "FILE")]
    pub genesis: PathBuf,
    /// Operators' private keys (PEM files with mode 0600); as many as the ledger's threshold asks for.
    #[arg(long = "operator", value_name = "FILE", required = true)]
    pub operators: Vec<PathBuf>,
    /// Who votes: `sign.pub` or 64 hex digits, 3 f + 1 of them (default: the best by score that can be reached, as many as
    /// are elected).
    #[arg(long = "voter", value_name = "KEY")]
    pub voters: Vec<AuthorityKey>,
    /// HTTP interfaces of fog nodes.
    #[arg(long = "fog", value_name = "ADDRESS", default_value = "127.0.0.1:9100")]
    pub fogs: Vec<std::net::SocketAddr>,
}

/// How an authority is named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthorityKey {
    /// By its key.
    Hex(String),
    /// By the file that holds it.
    File(PathBuf),
}

impl std::str::FromStr for AuthorityKey {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_key = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        Ok(if is_key {
            AuthorityKey::Hex(text.to_ascii_lowercase())
        } else {
            AuthorityKey::File(text.into())
        })
    }
}

/// How leaders and voters are elected; fixed with the genesis.
#[derive(Debug, Clone, Copy, Args)]
pub struct ElectionArgs {
    /// Views in a row that one leader has, 1 to 64.
    #[arg(long, default_value_t = 1, value_name = "VIEWS", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub term_length: u32,
    /// How many authorities vote, elected by quality of service: 4, 7, 10, 13 and so on (default: all vote).
    #[arg(long, value_name = "K")]
    pub committee: Option<u8>,
}

impl Default for ElectionArgs {
    fn default() -> Self {
        Self { term_length: 1, committee: None }
    }
}

/// A chain's beginning.
#[derive(Debug, Args)]
pub struct GenesisArgs {
    /// The chain's name.
    #[arg(long)]
    pub chain: String,
    /// Each fog node's `sign.pub`; at least four.
    #[arg(long = "authority", value_name = "FILE", required = true)]
    pub authorities: Vec<PathBuf>,
    /// Each operator's `sign.pub`.
    #[arg(long = "operator", value_name = "FILE", required = true)]
    pub operators: Vec<PathBuf>,
    /// How many operators must sign.
    #[arg(long)]
    pub threshold: u8,
    /// Blocks in an epoch.
    #[arg(long, default_value_t = 1000)]
    pub epoch_length: u64,
    /// How leaders and voters are elected.
    #[command(flatten)]
    pub election: ElectionArgs,
    /// The cloud's `sign.pub`, for the trust file.
    #[arg(long, value_name = "FILE")]
    pub cloud: Option<PathBuf>,
    /// Where to write the genesis.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Where to write the trust file.
    #[arg(long, value_name = "FILE")]
    pub trust: PathBuf,
}

/// Who signs a registry transaction, and through which fog node it goes to the ledger.
#[derive(Debug, Args)]
pub struct Submit {
    /// The genesis file; it names the chain.
    #[arg(long, value_name = "FILE")]
    pub genesis: PathBuf,
    /// Operators' private keys (PEM files with mode 0600); as many as the ledger's threshold asks for.
    #[arg(long = "operator", value_name = "FILE", required = true)]
    pub operators: Vec<PathBuf>,
    /// Which fog node.
    #[command(flatten)]
    pub fog: FogArgs,
}

/// Options of `voltmesh prove`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  voltmesh prove --record car-1/1/42 --cloud http://127.0.0.1:8094 -o r.cose"
)]
pub struct Prove {
    /// Record id: VEHICLE/BOOT/NUMBER.
    #[arg(long, value_name = "V/BOOT/N")]
    pub record: String,
    /// The cloud's HTTP interface.
    #[arg(long, default_value = "http://127.0.0.1:8094", value_name = "URL")]
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
  voltmesh verify --archive archive --trust trust.toml --json")]
pub struct Verify {
    /// A proof written by `voltmesh prove`.
    #[arg(value_name = "PROOF", required_unless_present = "archive", conflicts_with = "archive")]
    pub proof: Option<PathBuf>,
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

/// The commands about rows that stand twice.
#[derive(Debug, Subcommand)]
pub enum Archive {
    /// Looks for records and batches that stand twice; ends with code 3 if there are any.
    #[command(after_help = "Example:\n  voltmesh archive check --archive archive --json")]
    Check {
        /// The archive: a folder, or a URL such as s3://bucket/prefix (options of the store from the environment).
        #[arg(long, value_name = "FOLDER|URL")]
        archive: String,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
    /// Removes rows that stand twice, keeping the one whose proof verifies. The cloud must be stopped.
    #[command(after_help = "Examples:
  voltmesh archive dedup --archive archive --trust trust.toml --dry-run
  voltmesh archive dedup --archive archive --trust trust.toml --json

Each table changes in one commit. A removed row of batches that proves its own entry of the ledger's log moves to the
table copies. What was removed, kept and left is printed. Files of the old snapshot stay for readers until they expire.")]
    Dedup {
        /// The archive: a folder, or a URL such as s3://bucket/prefix (options of the store from the environment).
        #[arg(long, value_name = "FOLDER|URL")]
        archive: String,
        /// The trust file, from `voltmesh chain trust`.
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
        /// Only says what would be removed.
        #[arg(long)]
        dry_run: bool,
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
}

/// Options of `voltmesh query`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  voltmesh query \"SELECT vehicle, count(*), max(time) FROM records GROUP BY vehicle\" --archive archive")]
pub struct Query {
    /// The statement, which can only read; tables: records, batches, quarantine.
    pub sql: String,
    /// The archive: a folder, or a URL such as s3://bucket/prefix (options of the store from the environment).
    #[arg(long, value_name = "FOLDER|URL", required_unless_present = "config")]
    pub archive: Option<String>,
    /// The cloud's configuration, which names the archive and its store.
    #[arg(long, value_name = "FILE", conflicts_with = "archive")]
    pub config: Option<PathBuf>,
    /// Longest time in seconds, 1 to 86400.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// Memory of operators, and as much for the answer, in MiB, 16 to 1048576.
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(16..=1_048_576))]
    pub memory: u64,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
}

/// Options of `voltmesh sim`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh sim --seed 7 --minutes 2
  voltmesh sim --seeds 0..1000 --minutes 1")]
pub struct Sim {
    /// One seed.
    #[arg(long, default_value_t = 0, conflicts_with = "seeds")]
    pub seed: u64,
    /// A range of seeds, A..B without B.
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    pub seeds: Option<std::ops::Range<u64>>,
    /// Simulated minutes of faults a seed; then everything must be archived.
    #[arg(long, default_value_t = 1.0)]
    pub minutes: f64,
    /// The scenario of every seed: minutes, fast, days (two days, outages of up to one) or backlog (100,000 batches while the
    /// cloud is away). Default: minutes or fast, drawn for each seed.
    #[arg(long, value_name = "NAME")]
    pub scenario: Option<voltmesh_sim::Class>,
    /// Worker threads for a range (default: one a core).
    #[arg(long)]
    pub jobs: Option<usize>,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
}

fn parse_range(text: &str) -> Result<std::ops::Range<u64>, String> {
    let help = || format!("`{text}` is not a range of seeds; write A..B, e.g. 0..1000");
    let (a, b) = text.split_once("..").ok_or_else(help)?;
    let range = a.parse().map_err(|_| help())?..b.parse().map_err(|_| help())?;
    if range.is_empty() { Err(help()) } else { Ok(range) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn blocks_are_named_by_height_or_latest() {
        assert_eq!("latest".parse(), Ok(At::Latest));
        assert_eq!("42".parse(), Ok(At::Height(42)));
        for wrong in ["-1", "newest", "", "1.5", "18446744073709551616"] {
            assert!(wrong.parse::<At>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn authorities_are_named_by_key_or_file() {
        let key = "aB".repeat(32);
        assert_eq!(key.parse(), Ok(AuthorityKey::Hex(key.to_lowercase())));
        assert_eq!("pki/sign.pub".parse(), Ok(AuthorityKey::File("pki/sign.pub".into())));
    }

    #[test]
    fn ranges_of_seeds() {
        assert_eq!(parse_range("3..7").unwrap(), 3..7);
        assert!(parse_range("7..3").is_err());
        assert!(parse_range("7").is_err());
    }
}

#[cfg(test)]
mod documents {
    use super::*;

    /// Every `voltmesh …` line in the documents parses, so that what they show can be typed.
    #[test]
    fn shown_commands_parse() {
        let documents = [
            include_str!("../../../README.md"),
            include_str!("../../../SECURITY.md"),
            include_str!("../../../docs/operate.md"),
            include_str!("../../../docs/security.md"),
            include_str!("../../../docs/sources.md"),
        ];
        let commands: Vec<&str> = documents
            .iter()
            .flat_map(|text| text.lines())
            .map(|line| line.split("   #").next().unwrap_or(line).trim())
            .filter(|line| line.starts_with("voltmesh "))
            .collect();
        assert!(commands.len() > 20, "only {} commands found", commands.len());
        for command in commands {
            let parsed = Cli::try_parse_from(words(command));
            assert!(parsed.is_ok(), "{command}\n{}", parsed.unwrap_err());
        }
    }

    /// What the units of systemd start is a command of ours.
    #[test]
    fn units_start_a_role() {
        let units = [
            include_str!("../../../deploy/systemd/voltmesh-edge.service"),
            include_str!("../../../deploy/systemd/voltmesh-fog.service"),
            include_str!("../../../deploy/systemd/voltmesh-cloud.service"),
        ];
        for unit in units {
            let command =
                unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/")).expect("a command");
            let parsed = Cli::try_parse_from(words(command));
            assert!(parsed.is_ok(), "{command}\n{}", parsed.unwrap_err());
        }
    }

    /// Splits a shell line: double quotes hold a word together.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                _ => words.last_mut().expect("never empty").push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }
}
