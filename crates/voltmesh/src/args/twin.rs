//! Arguments of `voltmesh twin`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use voltmesh_recording::table::Mapping;

/// `voltmesh twin …`
#[derive(Debug, Subcommand)]
pub enum Twin {
    /// Finds a cell's parameters from measurements.
    Fit(TwinFit),
    /// Turns a BPX parameter file into a cell's parameters, where the model allows.
    Import(TwinImport),
    /// Estimates state of charge and health from logs.
    Estimate(TwinEstimate),
    /// Estimates logs whose truth is known, and says how good that was.
    Evaluate(TwinEvaluate),
    /// Plays what-if scenarios and compares range, time, temperature and ageing.
    Simulate(TwinSimulate),
    /// Looks for faults in logs of packs or cells.
    Detect(TwinDetect),
    /// Makes logs of simulated packs, with faults where asked, and a file that says which.
    Inject(TwinInject),
}

/// Active material, as the command line has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChemistryArg {
    /// Lithium nickel cobalt aluminium oxide.
    Nca,
    /// Lithium nickel manganese cobalt oxide.
    Nmc,
    /// Lithium iron phosphate.
    Lfp,
}

/// How logs are read, by each command that reads some.
#[derive(Debug, Clone, Args)]
pub struct ReadLogs {
    /// QUANTITY=NAME[*FACTOR][+OFFSET]: which column or signal is which quantity; may be repeated (see `voltmesh inspect`).
    #[arg(long = "map", value_name = "MAPPING")]
    pub mappings: Vec<Mapping>,
    /// What the frames of a bus mean.
    #[arg(long, value_name = "FILE")]
    pub dbc: Option<PathBuf>,
    /// What answers of control units mean: a definition file (docs/sources.md).
    #[arg(long, value_name = "FILE")]
    pub diagnostics: Option<PathBuf>,
    /// Number that stands for a missing value in a table, as the file writes it, such as -999; may be repeated.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub missing: Vec<f64>,
}

/// Pack whose twin a command runs, and how its logs are read.
#[derive(Debug, Clone, Args)]
pub struct TwinPack {
    /// The cell's parameters (default: a typical cell of --chemistry, which is uncertain).
    #[arg(long, value_name = "FILE")]
    pub params: Option<PathBuf>,
    /// Active material, without --params.
    #[arg(long, default_value = "nmc")]
    pub chemistry: ChemistryArg,
    /// Charge of one cell (or parallel group) between full and empty in Ah (default: that of the parameters, or 60).
    #[arg(long, value_name = "AH")]
    pub capacity_ah: Option<f64>,
    /// Cells (or parallel groups) in series, for logs of packs without cell voltages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub cells: Option<u16>,
    /// How logs are read.
    #[command(flatten)]
    pub read: ReadLogs,
}

/// Pack, logs and output of commands that run a twin over logs.
#[derive(Debug, Clone, Args)]
pub struct TwinLogs {
    /// Which pack.
    #[command(flatten)]
    pub pack: TwinPack,
    /// One JSON object on one line, the last of stdout.
    #[arg(long)]
    pub json: bool,
    /// Logs.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Options of `voltmesh twin fit`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:
  voltmesh twin fit --ocv c20.csv.gz --hppc hppc_25.csv.gz hppc_0.csv.gz --cycles drives/*.csv.gz --capacity-ah 2.9 -o cell.toml

Files are logs of one cell as `voltmesh inspect` reads them, with a charge counter (a column ah or Net Capacity, 0 when full,
falling with discharge; --map charge_counter=NAME names another).")]
pub struct TwinFit {
    /// A slow discharge (C/20), from full to empty.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub ocv: Vec<PathBuf>,
    /// Pulses at known charge (HPPC), one file a temperature.
    #[arg(long, value_name = "FILE", num_args = 0..)]
    pub hppc: Vec<PathBuf>,
    /// Drive cycles from a full cell on, at all temperatures that matter. What comes before a file's last gap is left out.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub cycles: Vec<PathBuf>,
    /// Charge between full and empty that all states of charge count by, in Ah.
    #[arg(long, value_name = "AH")]
    pub capacity_ah: f64,
    /// Active material of the positive electrode (default: lfp where the voltage at rest is that of one, else nca).
    #[arg(long)]
    pub chemistry: Option<ChemistryArg>,
    /// Name of the kind of cell (default: the output's file name).
    #[arg(long)]
    pub name: Option<String>,
    /// Where the parameters go.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Folder for plots of what is left unexplained (SVG).
    #[arg(long, value_name = "FOLDER")]
    pub plots: Option<PathBuf>,
    /// The report as one JSON object on one line, the last of stdout.
    #[arg(long)]
    pub json: bool,
    /// How logs are read.
    #[command(flatten)]
    pub read: ReadLogs,
}

/// Options of `voltmesh twin import`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:
  voltmesh twin import --bpx lfp_18650_cell.json -o cell.toml

What the file leaves open, and what it says twice and differently, is remarked on. A file that contradicts itself (voltages
beyond its own cut-offs, or that fall with charge) is refused.")]
pub struct TwinImport {
    /// A file in the Battery Parameter eXchange format.
    #[arg(long, value_name = "FILE")]
    pub bpx: PathBuf,
    /// Active material of the positive electrode (default: what the voltages say, where they can).
    #[arg(long)]
    pub chemistry: Option<ChemistryArg>,
    /// Where the parameters go.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Options of `voltmesh twin estimate`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  voltmesh twin estimate --chemistry lfp --capacity-ah 2 drive.csv.gz
  voltmesh twin estimate --params cell.toml --json drive.csv.gz

Logs are those of `voltmesh twin detect`. Nobody has to know the charge at the start; where the voltages do not tell it, the
interval is wide. Exits 4 where a log allows no estimate.")]
pub struct TwinEstimate {
    /// Cell, logs and output.
    #[command(flatten)]
    pub logs: TwinLogs,
}

/// Options of `voltmesh twin evaluate`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  voltmesh twin evaluate --params cell.toml --capacity-ah 2.9 drives/*.csv.gz
  voltmesh twin evaluate --params cell.toml --capacity-ah 2.9 --initial-soc 0.6 --current-bias-a 0.05 --start-after-gap --json drive.csv.gz")]
pub struct TwinEvaluate {
    /// The cell's parameters, as `voltmesh twin fit` writes them.
    #[arg(long, value_name = "FILE")]
    pub params: PathBuf,
    /// Charge between full and empty in Ah; with the counter (column ah) it says what the true SoC is.
    #[arg(long, value_name = "AH")]
    pub capacity_ah: f64,
    /// SoC that the estimator is told at the start.
    #[arg(long, default_value_t = 1.0, value_name = "0..1")]
    pub initial_soc: f64,
    /// Added to every measured current, in A.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_name = "A")]
    pub current_bias_a: f64,
    /// Begins each file after its last gap of more than 5 s: rests and charges are often logged now and then only.
    #[arg(long)]
    pub start_after_gap: bool,
    /// Seconds after the first sample from which on SoC errors count.
    #[arg(long, default_value_t = 600.0, value_name = "S")]
    pub settle_s: f64,
    /// Lets the estimator use the capacity and resistance that it finds. Errors then compare the charge taken from a full
    /// cell, in percent of --capacity-ah.
    #[arg(long)]
    pub adapt_capacity: bool,
    /// Folder for plots of estimate and truth (SVG).
    #[arg(long, value_name = "FOLDER")]
    pub plots: Option<PathBuf>,
    /// How logs are read.
    #[command(flatten)]
    pub read: ReadLogs,
    /// One JSON object on one line, the last of stdout.
    #[arg(long)]
    pub json: bool,
    /// Logs, from a full cell on.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Options of `voltmesh twin simulate`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  voltmesh twin simulate --ambient-c -10,20 --target-soc 0.8,1.0 --charge-kw 11,50
  voltmesh twin simulate --ambient-c -10 --preheat-c 0,20 --years 8 --plots figures
  voltmesh twin simulate --scenarios trips.toml --json

Lists make every combination; hundreds run in parallel. A scenario file has a table [[scenario]] for each, with the keys that
--defaults prints.")]
pub struct TwinSimulate {
    /// A cell's parameters (default: a typical NMC cell).
    #[arg(long, value_name = "FILE")]
    pub params: Option<PathBuf>,
    /// A scenario file; flags then do not apply.
    #[arg(long, value_name = "FILE")]
    pub scenarios: Option<PathBuf>,
    /// Prints a scenario file with every default, explained, and exits.
    #[arg(long)]
    pub defaults: bool,
    /// Driving schedule: udds, hwfet, wltc (class 3b) or wltc_class3a.
    #[arg(long, default_value = "wltc", value_delimiter = ',')]
    pub cycle: Vec<String>,
    /// Distance driven a day in km.
    #[arg(long, default_value = "40", value_delimiter = ',')]
    pub daily_km: Vec<f64>,
    /// Charging power in kW.
    #[arg(long, default_value = "11", value_delimiter = ',')]
    pub charge_kw: Vec<f64>,
    /// SoC to charge to.
    #[arg(long, default_value = "0.8", value_delimiter = ',')]
    pub target_soc: Vec<f64>,
    /// SoC that the vehicle is parked at, where charging waits until just before departure.
    #[arg(long, value_delimiter = ',')]
    pub parking_soc: Vec<f64>,
    /// Temperature of the surroundings in °C.
    #[arg(long, default_value = "20", value_delimiter = ',', allow_hyphen_values = true)]
    pub ambient_c: Vec<f64>,
    /// Temperature that the battery is heated to before it is driven and while it is charged, in °C.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    pub preheat_c: Vec<f64>,
    /// Years that ageing is projected over.
    #[arg(long, default_value_t = 8.0)]
    pub years: f64,
    /// Folder for plots (SVG).
    #[arg(long, value_name = "FOLDER")]
    pub plots: Option<PathBuf>,
    /// One JSON object on one line, the last of stdout.
    #[arg(long)]
    pub json: bool,
}

/// Options of `voltmesh twin detect`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  voltmesh twin detect --params cell.toml --capacity-ah 2.9 drive.csv.gz
  voltmesh twin inject --fault internal-short@600 -o packs && voltmesh twin detect --json packs/*.csv.gz

Logs are those that `voltmesh inspect` reads: of a pack, or of one cell. What was looked for, how long, and why not longer is said; exits 4 where a log could not be looked at.")]
pub struct TwinDetect {
    /// Cell, logs and output.
    #[command(flatten)]
    pub logs: TwinLogs,
}

/// Options of `voltmesh twin inject`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  voltmesh twin inject --hours 2 -o packs
  voltmesh twin inject --fault internal-short@600 --fault capacity-outlier@0 --packs 20 --seed 7 -o packs

Writes pack-N.csv.gz and labels.json. Everything in them is synthetic.")]
pub struct TwinInject {
    /// A fault and when it begins: KIND@SECONDS. Kinds: internal-short, connection-resistance, sensor-bias, sensor-freeze,
    /// capacity-outlier, self-discharge, thermal-runaway, insulation. Each pack takes one, in turn; none without this option.
    #[arg(long, value_name = "KIND@S")]
    pub fault: Vec<String>,
    /// How many packs.
    #[arg(long, default_value_t = 1)]
    pub packs: u32,
    /// How long each log is, in hours at 1 Hz.
    #[arg(long, default_value_t = 1.0)]
    pub hours: f64,
    /// Cells in series.
    #[arg(long, default_value_t = 96)]
    pub cells: usize,
    /// Of the random numbers.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// A cell's parameters (default: a typical NMC cell of 60 Ah).
    #[arg(long, value_name = "FILE")]
    pub params: Option<PathBuf>,
    /// Where the logs go.
    #[arg(short, long, value_name = "FOLDER")]
    pub output: PathBuf,
}
