//! Arguments of `voltmesh bench consensus`.

use std::path::PathBuf;

use clap::Args;
use voltmesh_consensus::harness::Fault;

use crate::bench::consensus::Contestant;

/// Options of `voltmesh bench consensus`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  voltmesh bench consensus --protocols poa --authorities 4 --seconds 3 --warm-up 1
  voltmesh bench consensus --protocols poa,pbft,pow --authorities 20 --network rsu --load 100 --seconds 30
  voltmesh bench consensus --protocols poa --fault crash:6 --network wan --json
  voltmesh bench consensus --protocols poa,pbft --network rsu --sweep nodes,block -o figures")]
pub struct BenchConsensus {
    /// What to measure, one after the other: poa (ours), pbft, pow; pbft-committee is PBFT among the committee.
    #[arg(long, default_value = "poa,pbft,pow", value_delimiter = ',', value_name = "NAMES")]
    pub protocols: Vec<Contestant>,
    /// Nodes (4 to 100).
    #[arg(long, default_value_t = 20)]
    pub authorities: usize,
    /// How many of them vote in proof of authority, the best by quality of service (default: all).
    #[arg(long, value_name = "K")]
    pub committee: Option<usize>,
    /// Links in a simulation: lan, wan (10-50 ms), rsu (5-20 ms, a fifth of the nodes 80-200 ms with jitter and loss), or a
    /// TOML file with a name and for each class of nodes a [[class]] of share, latency_ms = [A, B], jitter_ms, loss
    /// (default: wan).
    #[arg(long, value_name = "lan|wan|rsu|FILE")]
    pub network: Option<String>,
    /// Transactions a second, whether earlier ones are final or not.
    #[arg(long, default_value_t = 100.0, value_name = "TPS")]
    pub load: f64,
    /// Times between transactions.
    #[arg(long, value_enum, default_value_t = Arrivals::Poisson)]
    pub arrivals: Arrivals,
    /// Batches of 4,096 records in each transaction (1 to 512).
    #[arg(long, default_value_t = 13)]
    pub batches: usize,
    /// Longest block that is proposed, in bytes (1024 to 1048576).
    #[arg(long, default_value_t = 1_048_576, value_name = "B")]
    pub block_bytes: usize,
    /// Least time between blocks in ms (default: 0 in a simulation, 100 on sockets).
    #[arg(long, value_name = "MS")]
    pub block_interval: Option<u64>,
    /// Time between blocks of proof of work in ms, on average.
    #[arg(long, default_value_t = 1_000, value_name = "MS")]
    pub pow_interval: u64,
    /// Blocks in an epoch.
    #[arg(long, default_value_t = 200, value_name = "BLOCKS")]
    pub epoch: u64,
    /// Views in a row that one leader of proof of authority has (1 to 64).
    #[arg(long, default_value_t = 20, value_name = "VIEWS")]
    pub term: u32,
    /// What goes wrong: none, crash:F, slow:K (K nodes answer at the edge of time), equivocate:1, or partition (two halves,
    /// for a third of the time).
    #[arg(long, default_value = "none")]
    pub fault: Fault,
    /// Seconds measured, virtual ones in a simulation.
    #[arg(long, default_value_t = 30)]
    pub seconds: u64,
    /// Seconds under load before: leaders are elected from the third epoch on.
    #[arg(long, default_value_t = 20)]
    pub warm_up: u64,
    /// sim: virtual time, repeats exactly but for processor time; tcp: this machine's sockets and cores.
    #[arg(long, value_enum, default_value_t = Runtime::Sim)]
    pub runtime: Runtime,
    /// Of links, load and faults.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Also measures, each time a third as long: with other numbers of nodes, with full blocks of other sizes, under other
    /// loads, or how many readings are answered beside it (on sockets).
    #[arg(long, value_enum, value_delimiter = ',')]
    pub sweep: Vec<Sweep>,
    /// Model of energy: W that a busy core takes.
    #[arg(long, default_value_t = 5.0, value_name = "W")]
    pub cpu_watts: f64,
    /// Model of energy: µJ that a byte takes from node to node.
    #[arg(long, default_value_t = 3.92288, value_name = "UJ")]
    pub byte_microjoules: f64,
    /// Model of energy: Wh in the battery of each node.
    #[arg(long, default_value_t = 12.06, value_name = "WH")]
    pub battery_wh: f64,
    /// One JSON object on one line.
    #[arg(long)]
    pub json: bool,
    /// Writes figures (SVG) and results.json there.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Times between transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Arrivals {
    /// Exponential.
    Poisson,
    /// All the same.
    Fixed,
}

/// Where nodes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Runtime {
    /// Virtual time.
    Sim,
    /// This machine's sockets.
    Tcp,
}

/// What is varied beside the main measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Sweep {
    /// 4, 7, 10, 20 and 50 nodes.
    Nodes,
    /// Full blocks of 8 to 256 KiB.
    Block,
    /// A quarter of the load to four times of it.
    Transactions,
    /// Readings answered beside a quarter of the load to four times of it, on sockets.
    Reads,
}
