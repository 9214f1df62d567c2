//! Arguments of `voltmesh bench`.

mod consensus;

pub use consensus::{Arrivals, BenchConsensus, Runtime, Sweep};

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `voltmesh bench …`
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// One fog node over real sockets, TLS and fsync, with the load generator in its own process.
    Ingest(BenchIngest),
    /// The whole path from vehicle to archive, as the demo runs it: processes, TLS, fsync, a ledger of four, Delta.
    Path(BenchPath),
    /// What a fleet's archive costs over hours or days, in minutes: disk, processor time, memory.
    Archive(BenchArchive),
    /// Memory, processor time and disk of each role over time, of real processes with default waits.
    Soak(BenchSoak),
    /// What honest clients of a fog node notice of attackers: silent connections, a TLS flood, one certificate with many
    /// sessions, rubbish. Processes, TLS, fsync, as the demo runs them.
    Hostile(BenchHostile),
    /// Twenty authorities in one process agree on anchored batches.
    Ledger(BenchLedger),
    /// Proof of authority, PBFT and proof of work beside each other.
    Consensus(BenchConsensus),
    /// The battery's twin: speed on one core, memory, faults found in simulated packs.
    Twin(BenchTwin),
    /// Functions onto fog nodes: cost over a proven bound, time, and what a dead node's functions take.
    Placement(BenchPlacement),
    /// What closing the loop costs: functions deployed, called, upgraded, handed over.
    Loop(BenchLoop),
    /// The load generator that `ingest` starts.
    #[command(hide = true)]
    Generate(GeneratorArgs),
    /// An attacker that `hostile` starts.
    #[command(hide = true)]
    Attack(AttackArgs),
    /// Bytes a record: ours beside JSON and a protobuf-like encoding.
    Encoding {
        /// One JSON object on one line.
        #[arg(long)]
        json: bool,
    },
}

/// Options of `voltmesh bench loop`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  voltmesh bench loop
  voltmesh bench loop --vehicles 16 --seconds 120 --json")]
pub struct BenchLoop {
    /// Vehicles that are commanded by a function on their fog node, and as many through the controller, 1 to 32.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub vehicles: u8,
    /// How long they are, in s.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(5..=3_600))]
    pub seconds: u16,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
}

/// Options of `voltmesh bench twin`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  voltmesh bench twin
  voltmesh bench twin --fault-free-hours 10000 --packs-per-fault 20 --json")]
pub struct BenchTwin {
    /// Simulated hours of packs without a fault, in which every event is a false alarm.
    #[arg(long, default_value_t = 100.0)]
    pub fault_free_hours: f64,
    /// Simulated packs for each kind of fault.
    #[arg(long, default_value_t = 4)]
    pub packs_per_fault: u32,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
}

/// Options of `voltmesh bench placement`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  voltmesh bench placement
  voltmesh bench placement --nodes 200 --functions 2000 --load 0.8 --json
  voltmesh bench placement --problems 1 --programme placement.lp")]
pub struct BenchPlacement {
    /// Fog nodes (2 to 1000).
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(2..=1_000))]
    pub nodes: u16,
    /// Functions (1 to 20000).
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    pub functions: u16,
    /// Load of all functions over that of all nodes (0.01 to 1).
    #[arg(long, default_value_t = 0.6)]
    pub load: f64,
    /// Problems that are drawn (1 to 1000).
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub problems: u16,
    /// Seed of the first; the others follow.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Milliseconds for local search and what is found in the background (1 to 60000).
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub budget_ms: u64,
    /// Writes the first problem as an integer programme in CPLEX's LP format, for an exact solver.
    #[arg(long, value_name = "FILE")]
    pub programme: Option<PathBuf>,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
}

/// Options of `voltmesh bench ingest`.
#[derive(Debug, Clone, Args)]
pub struct BenchIngest {
    /// Seconds a measurement.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Connections of the generator.
    #[arg(long, default_value_t = 8)]
    pub clients: usize,
    /// Where the fog node's disk is (default: a temporary folder).
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
}

/// Options of `voltmesh bench path`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  voltmesh bench path
  voltmesh bench path --vehicles 8 --rate 1000 --records 480000 --idle 0
  voltmesh bench path --idle 3600 --json")]
pub struct BenchPath {
    /// Vehicles (1 to 32).
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub vehicles: u8,
    /// Samples per second and vehicle (default: as fast as the vehicle takes them).
    #[arg(long)]
    pub rate: Option<f64>,
    /// Records of all vehicles without the twin.
    #[arg(long, default_value_t = 1_000_000)]
    pub records: u64,
    /// Records of all vehicles with the twin (mean and differences, no filter of each cell).
    #[arg(long, default_value_t = 200_000)]
    pub twin_records: u64,
    /// Records in a batch (1 to 4096).
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub batch: u16,
    /// Seconds that one vehicle at 1 Hz, configured by default, is watched; 0: it is not. The first third is not counted.
    #[arg(long, default_value_t = 240, value_name = "SECONDS")]
    pub idle: u64,
    /// Where the deployments' disks are (default: a temporary folder).
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
}

/// Options of `voltmesh bench hostile`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  voltmesh bench hostile
  voltmesh bench hostile --seconds 2 --silent 500 --handshakes 500 --sessions 500 --json")]
pub struct BenchHostile {
    /// Seconds of each attack (1 to 3600).
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Silent connections, which come again when they are ended (1 to 30000).
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=30_000))]
    pub silent: u64,
    /// TLS handshakes that are begun and left, per second (200 to 20000).
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(200..=20_000))]
    pub handshakes: u64,
    /// Sessions that one certificate tries to open (10 to 100000).
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(10..=100_000))]
    pub sessions: u64,
    /// Where the run's files go; kept afterwards (default: a temporary folder that is removed).
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
}

/// An attack on a fog node's MQTT listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AttackKind {
    /// Connections that say nothing.
    Silent,
    /// ClientHellos without what follows.
    TlsFlood,
    /// One certificate that opens ever more sessions.
    Hoarder,
    /// One certificate that publishes what is refused.
    Rubbish,
}

impl AttackKind {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            AttackKind::Silent => "silent",
            AttackKind::TlsFlood => "tls-flood",
            AttackKind::Hoarder => "hoarder",
            AttackKind::Rubbish => "rubbish",
        }
    }
}

/// Options of `voltmesh bench attack`.
#[derive(Debug, Clone, Args)]
pub struct AttackArgs {
    /// What to do.
    #[arg(long)]
    pub kind: AttackKind,
    /// The fog node's MQTT listener.
    #[arg(long)]
    pub address: std::net::SocketAddr,
    /// The attacker's credentials.
    #[arg(long)]
    pub credentials: PathBuf,
    /// Connections, handshakes a second or sessions.
    #[arg(long)]
    pub amount: u64,
}

/// Options of `voltmesh bench archive`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  voltmesh bench archive
  voltmesh bench archive --vehicles 1000 --hours 1 --json")]
pub struct BenchArchive {
    /// Vehicles (1 to 100000), each with a pack of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub vehicles: u32,
    /// Samples a second of each (0.1 to 100).
    #[arg(long, default_value_t = 1.0, value_parser = within::<100, 100_000>)]
    pub hz: f64,
    /// Simulated hours (0.01 to 1000).
    #[arg(long, default_value_t = 24.0, value_parser = within::<10, 1_000_000>)]
    pub hours: f64,
    /// Seconds of samples in a batch (0.1 to 600); a vehicle's default is 10.
    #[arg(long, default_value_t = 10.0, value_parser = within::<100, 600_000>)]
    pub batch_s: f64,
    /// Where the archive is made, a folder without one (default: a temporary folder).
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
}

/// Options of `voltmesh bench soak`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  voltmesh bench soak --minutes 20 -o docs/figures
  voltmesh bench soak --vehicles 100 --hz 10 --minutes 60 --json")]
pub struct BenchSoak {
    /// Vehicles, each a process.
    #[arg(long, default_value_t = 1)]
    pub vehicles: usize,
    /// Samples a second of each (0.1 to 100).
    #[arg(long, default_value_t = 1.0, value_parser = within::<100, 100_000>)]
    pub hz: f64,
    /// How long, after the ledger runs (1 to 100000).
    #[arg(long, default_value_t = 60.0, value_parser = within::<1_000, 100_000_000>)]
    pub minutes: f64,
    /// Where the run's files go; kept afterwards (default: a temporary folder that is removed).
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
    /// Writes figures (SVG) there.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// A number between two bounds in thousandths.
fn within<const LOW: u32, const HIGH: u32>(text: &str) -> Result<f64, String> {
    let (low, high) = (f64::from(LOW) / 1000.0, f64::from(HIGH) / 1000.0);
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if (low..=high).contains(&value) { Ok(value) } else { Err(format!("{value}, want {low} to {high}")) }
}

/// What a generator sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum GeneratorMode {
    /// JSON samples of foreign clients.
    Json,
    /// Signed batches of vehicles.
    Batches,
}

impl GeneratorMode {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            GeneratorMode::Json => "json",
            GeneratorMode::Batches => "batches",
        }
    }
}

/// Options of `voltmesh bench generate`.
#[derive(Debug, Clone, Args)]
pub struct GeneratorArgs {
    /// What to send.
    #[arg(long)]
    pub mode: GeneratorMode,
    /// The fog node's MQTT listener.
    #[arg(long)]
    pub address: String,
    /// The deployment's folder, for keys.
    #[arg(long)]
    pub dir: PathBuf,
    /// Connections.
    #[arg(long)]
    pub clients: usize,
    /// How long.
    #[arg(long)]
    pub seconds: f64,
    /// Publishes a second in all.
    #[arg(long)]
    pub rate: Option<f64>,
}

/// Options of `voltmesh bench ledger`.
#[derive(Debug, Clone, Args)]
pub struct BenchLedger {
    /// Authorities.
    #[arg(long, default_value_t = 20)]
    pub authorities: usize,
    /// Seconds a measurement.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Records a batch.
    #[arg(long, default_value_t = 4096)]
    pub batch: usize,
    /// Bytes a record.
    #[arg(long, default_value_t = 128)]
    pub record_bytes: usize,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
}
