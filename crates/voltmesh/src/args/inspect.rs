//! Options of `voltmesh inspect`.

use std::path::PathBuf;

use clap::Args;
use voltmesh_recording::Chemistry;
use voltmesh_recording::table::Mapping;

/// Options of `voltmesh inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh inspect trip.csv.gz
  voltmesh inspect drive.log --dbc bms.dbc
  voltmesh inspect drive.log --dbc bms.dbc --map pack_voltage=Battery.Voltage --map cells=Cell* --chemistry nmc --cells 96
  voltmesh inspect test.csv --map \"temperatures=T*0.5556-17.78\" -o report.html
  voltmesh inspect log.csv --date Day --time-format %H:%M:%S --missing -999 --decimal ,
  voltmesh inspect --config edge.toml --json

Quantities of --map: time, pack_voltage, pack_current, soc, cells, temperatures, contactor, charging, insulation, ambient, coolant,
speed, charge_counter. A factor leads from the column's or signal's value to V, A, %, V, °C, Ω, km/h, Ah or s; *-1 only turns the sign. In a name
of cells or temperatures, * stands for any text and {} for a number.
Exit codes: 0 usable, 2 not read, 3 doubtful.")]
pub struct Inspect {
    /// Recordings: logs of a CAN bus or tables, plain or gzip; recognised by their content.
    #[arg(value_name = "FILE", required_unless_present = "config")]
    pub files: Vec<PathBuf>,
    /// What the frames of a bus mean.
    #[arg(long, value_name = "FILE")]
    pub dbc: Option<PathBuf>,
    /// What answers of control units mean: a definition file (docs/sources.md).
    #[arg(long, value_name = "FILE")]
    pub diagnostics: Option<PathBuf>,
    /// A vehicle's configuration: its [source] says how files are read, and which if none is named; its [twin] states the battery.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// QUANTITY=NAME[*FACTOR][+OFFSET]: which column or signal is which quantity; may be repeated.
    #[arg(long = "map", value_name = "MAPPING")]
    pub mappings: Vec<Mapping>,
    /// Chemistry of the cells: lfp, nmc, nca, lco or lto. Values that it cannot have are doubtful.
    #[arg(long)]
    pub chemistry: Option<Chemistry>,
    /// Cells in series.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub cells: Option<u32>,
    /// Only frames of this interface of a bus.
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
    /// Unix time of the recording's time 0 in milliseconds, where it states no date.
    #[arg(long, value_name = "MS")]
    pub start_ms: Option<u64>,
    /// How a table writes times: epoch_s, epoch_ms, epoch_us, epoch_ns, gps_s, s, ms, us, min, h, the days of excel,
    /// excel1904, matlab or julian, or a format such as "%d/%m/%Y %H:%M:%S"; of a log, gps_s or epoch_s, of candump
    /// candump_td or candump_tz.
    #[arg(long, value_name = "FORMAT")]
    pub time_format: Option<String>,
    /// IANA zone of the local times of a table or a log, such as Europe/Berlin.
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// Column of dates, where that of the time has times of day.
    #[arg(long, value_name = "COLUMN")]
    pub date: Option<String>,
    /// Column that states charge, discharge or rest, where the current is a magnitude.
    #[arg(long, value_name = "COLUMN")]
    pub state: Option<String>,
    /// Number that stands for a missing value in a table, as the file writes it, such as -999; may be repeated.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub missing: Vec<f64>,
    /// Decimal sign of a table's numbers.
    #[arg(long, value_name = "SIGN", value_parser = decimal_sign)]
    pub decimal: Option<char>,
    /// Character between a table's cells, such as ';'.
    #[arg(long, value_name = "CHARACTER")]
    pub separator: Option<char>,
    /// Lines before a table's header.
    #[arg(long, value_name = "N")]
    pub skip_lines: Option<usize>,
    /// One JSON object on one line, the last of stdout.
    #[arg(long)]
    pub json: bool,
    /// A report with plots: .html or .svg.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

fn decimal_sign(text: &str) -> Result<char, String> {
    match text {
        "." => Ok('.'),
        "," => Ok(','),
        _ => Err("it is '.' or ','".into()),
    }
}
