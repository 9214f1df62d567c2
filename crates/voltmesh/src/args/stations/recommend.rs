//! `voltmesh stations recommend` and `replay`.

use std::path::PathBuf;

use clap::Args;
use voltmesh_stations::{Plug, Position};

use super::StationsInput;

/// Options of `voltmesh stations recommend`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  voltmesh stations recommend --model network.model --history today.csv --at 53.35,-6.26 --soc 0.2 \\
    --capacity-kwh 58 --max-dc-kw 100 --max-ac-kw 11 --plugs ccs,type2

The order is by drive + expected wait + charge in minutes; price and the risk of a wasted arrival are weighed in minutes.")]
pub struct StationsRecommend {
    /// A model of `voltmesh stations train`.
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// What was observed since training: CSV, CSV.GZ or Parquet. Default: nothing; now is when training ended.
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Places, covariates, meanings.
    #[command(flatten)]
    pub input: StationsInput,
    /// Where the vehicle is, in degrees north and east.
    #[arg(long, value_name = "LAT,LON", allow_hyphen_values = true, value_parser = position)]
    pub at: Position,
    /// State of charge, 0 to 1.
    #[arg(long, value_name = "SHARE")]
    pub soc: f64,
    /// Usable capacity of the battery in kWh.
    #[arg(long, value_name = "KWH")]
    pub capacity_kwh: f64,
    /// Most power that the vehicle takes as direct current, in kW.
    #[arg(long, value_name = "KW", default_value_t = 100.0)]
    pub max_dc_kw: f64,
    /// Most power of the vehicle's own charger, in kW.
    #[arg(long, value_name = "KW", default_value_t = 11.0)]
    pub max_ac_kw: f64,
    /// What it can be plugged into: ccs, ccs1, chademo, type1, type2, type3, tesla, gbt, mcs, domestic, IEC 60309.
    #[arg(long, value_delimiter = ',', value_name = "PLUGS", required = true, value_parser = plug)]
    pub plugs: Vec<Plug>,
    /// Charges up to this state of charge, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.8)]
    pub target_soc: f64,
    /// State of charge that must be left on arrival, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub reserve_soc: f64,
    /// Consumption in kWh/km.
    #[arg(long, value_name = "KWH", default_value_t = 0.18)]
    pub consumption_kwh_km: f64,
    /// Temperature of battery and air, in °C.
    #[arg(long, value_name = "°C", default_value_t = 20.0, allow_hyphen_values = true)]
    pub temperature_c: f64,
    /// Leaves out what cannot be reached by this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub arrive_by: Option<String>,
    /// Only these operators, comma-separated.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub operators: Vec<String>,
    /// Leaves out what is known to cost more per kWh.
    #[arg(long, value_name = "PRICE")]
    pub max_price: Option<f64>,
    /// What an hour of the driver is worth, in the currency of the prices.
    #[arg(long, value_name = "PRICE", default_value_t = 10.0)]
    pub price_per_hour: f64,
    /// Minutes of drive worth the certainty of a free plug, beyond the expected wait.
    #[arg(long, value_name = "MINUTES", default_value_t = voltmesh_stations::recommend::Request::WASTE_MIN)]
    pub waste_min: f64,
    /// How many stations to name.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub top: usize,
    /// An OSRM server that measures the roads, as http://HOST:PORT. Default: estimated from the straight line.
    #[arg(long, value_name = "URL")]
    pub osrm: Option<String>,
    /// One JSON object on one line, the last of stdout.
    #[arg(long)]
    pub json: bool,
}

/// Options of `voltmesh stations replay`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  voltmesh stations replay --model network.model --history november_2.csv.gz --evse evse.csv --drivers-per-hour 30

Every policy (nearest, nearest free now, ours) gets the same drivers. The model must not have been trained on the days
that are replayed.")]
pub struct StationsReplay {
    /// A model of `voltmesh stations train`.
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// What really happened: CSV, CSV.GZ or Parquet.
    #[arg(long, value_name = "FILE")]
    pub history: PathBuf,
    /// Places, covariates, meanings.
    #[command(flatten)]
    pub input: StationsInput,
    /// Sends drivers from this time on (RFC 3339); what is older leads the model up to it and says at which hours drivers
    /// come. Default: one day after the history begins, or when training ended if that is later.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Drivers an hour, on average over the day.
    #[arg(long, value_name = "N", default_value_t = 30.0)]
    pub drivers_per_hour: f64,
    /// Minutes of drive that ours gives for the certainty of a free plug, beyond the expected wait.
    #[arg(long, value_name = "MINUTES", default_value_t = voltmesh_stations::recommend::Request::WASTE_MIN)]
    pub waste_min: f64,
    /// Ours keeps no reservations of those who are on the way.
    #[arg(long)]
    pub no_reservations: bool,
    /// Seed of the drivers.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// One JSON object on one line, the last of stdout.
    #[arg(long)]
    pub json: bool,
}

fn position(text: &str) -> Result<Position, String> {
    let parsed = text.split_once(',').and_then(|(latitude, longitude)| {
        Position::new(latitude.trim().parse().ok()?, longitude.trim().parse().ok()?)
    });
    parsed.ok_or_else(|| "no position on Earth; write LAT,LON in degrees, for example 53.35,-6.26".to_owned())
}

fn plug(text: &str) -> Result<Plug, String> {
    Plug::of_name(text).ok_or_else(|| format!("no plug; one of {}", Plug::NAMES))
}
