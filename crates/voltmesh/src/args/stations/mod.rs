//! `voltmesh stations …`

mod recommend;

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub use self::recommend::{StationsRecommend, StationsReplay};

/// `voltmesh stations …`
#[derive(Debug, Subcommand)]
pub enum Stations {
    /// Says what would be read of histories and lists of places: kind, interval, words, and what could not be used.
    Inspect(StationsInspect),
    /// Scores forecasts on a real history, in temporal order: trained before, scored after, one horizon between.
    Evaluate(StationsEvaluate),
    /// Trains a model and writes it to a file.
    Train(StationsTrain),
    /// Forecasts what each charging point will be, from a model and what has been observed since.
    Predict(StationsPredict),
    /// Ranks charging stations for one vehicle: drive, wait and charge, from the probability of a free plug.
    Recommend(StationsRecommend),
    /// Sends drivers through a real history by three policies and counts wasted arrivals.
    Replay(StationsReplay),
}

/// Where histories come from, and what their words mean.
#[derive(Debug, Args)]
pub struct StationsInput {
    /// The list of places: CSV with evse_id and as much of station_id, connector_type, latitude, longitude, power_kw,
    /// price_kwh, operator, address, opening_hours, time_zone as there is; IRVE, BNetzA; OCPI, OICP, DATEX II or Open Charge Map as JSON; DATEX II as XML.
    #[arg(long, value_name = "FILE")]
    pub evse: Option<PathBuf>,
    /// Traffic, weather, prices: CSV with timestamp and columns of numbers, each known from its time on.
    #[arg(long, value_name = "FILE")]
    pub covariates: Option<PathBuf>,
    /// What a status means, where its name does not tell: NAME=free, partly-free, busy, out-of-order or unknown.
    #[arg(long, value_name = "NAME=MEANING")]
    pub meaning: Vec<String>,
}

/// Options of `voltmesh stations inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  voltmesh stations inspect november.csv.gz evse.csv
  voltmesh stations inspect 'https://cpo.example/ocpi/2.2.1/locations?limit=100' --token-file feed.token --scheme Token

Exit code 3 where most rows of a file, or a page of an address, could not be used.")]
pub struct StationsInspect {
    /// Histories, feeds or lists of places: files, or http and https addresses, of which all pages are asked for.
    #[arg(required = true, value_name = "FILE|URL")]
    pub files: Vec<PathBuf>,
    /// A file with the token that goes with every request to an address.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The HTTP field that has the token.
    #[arg(long, value_name = "NAME", default_value = "Authorization")]
    pub header: String,
    /// What stands before the token: Bearer, OCPI's Token, or nothing.
    #[arg(long, value_name = "WORD", default_value = "Bearer")]
    pub scheme: String,
    /// A PEM file with the certificate authorities that may vouch for the server. Default: the system's.
    #[arg(long, value_name = "FILE")]
    pub roots: Option<PathBuf>,
    /// What a status means, where its name does not tell: NAME=free, partly-free, busy, out-of-order or unknown.
    #[arg(long, value_name = "NAME=MEANING")]
    pub meaning: Vec<String>,
    /// One JSON object on one line, the last of stdout.
    #[arg(long)]
    pub json: bool,
}

/// Options of `voltmesh stations evaluate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh stations evaluate --train november_1.csv.gz --test november_2.csv.gz --evse evse.csv
  voltmesh stations evaluate --train all.csv.gz --train-until 2018-11-08T00:00:00Z --models ours,markov --json

A history is a table (CSV, Parquet) or JSON of statuses or sessions, told by its content: see `voltmesh stations inspect`.
Exit code 3 where most of its rows could not be used. Models: the baselines
majority, persistence, climatology and markov; ann, knn, lr, rf and svm of ENERGETIC D5.3; boosting; ours.")]
pub struct StationsEvaluate {
    /// The history to learn from.
    #[arg(long, value_name = "FILE")]
    pub train: PathBuf,
    /// A later history to choose sizes, temperatures and decisions on. Default: the last fifth of --train, from which is
    /// learnt as well afterwards.
    #[arg(long, value_name = "FILE")]
    pub validate: Option<PathBuf>,
    /// The history to score on; later than the others. Default: what of them is not trained on.
    #[arg(long, value_name = "FILE", required_unless_present = "train_until")]
    pub test: Option<PathBuf>,
    /// Learns only from what is older than this (RFC 3339). Default: everything in --train.
    #[arg(long, value_name = "TIME", conflicts_with = "validate")]
    pub train_until: Option<String>,
    /// Scores only forecasts made from this time on (RFC 3339). Default: one horizon after training ends.
    #[arg(long, value_name = "TIME")]
    pub score_from: Option<String>,
    /// How far ahead, in minutes.
    #[arg(long, value_delimiter = ',', default_value = "15,30,60,120,1440", value_name = "MINUTES")]
    pub horizons: Vec<u32>,
    /// Which models, comma-separated, or all.
    #[arg(long, value_delimiter = ',', default_value = "all", value_name = "NAMES")]
    pub models: Vec<String>,
    /// Places, covariates, meanings.
    #[command(flatten)]
    pub input: StationsInput,
    /// Also splits the rows of training at random, as D5.3 does, to show what such a split is worth.
    #[arg(long)]
    pub random_split: bool,
    /// Draws reliability, F1 against horizon and confusion into this folder (SVG).
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// One JSON object on one line, the last of stdout.
    #[arg(long)]
    pub json: bool,
}

/// Options of `voltmesh stations train`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  voltmesh stations train --train november.csv.gz --evse evse.csv -o network.model")]
pub struct StationsTrain {
    /// The history to learn from: CSV, Parquet or JSON of statuses or sessions. Where most rows cannot be used, no model is written.
    #[arg(long, value_name = "FILE")]
    pub train: PathBuf,
    /// Learns only from what is older than this (RFC 3339). Default: everything.
    #[arg(long, value_name = "TIME")]
    pub train_until: Option<String>,
    /// How far ahead, in minutes.
    #[arg(long, value_delimiter = ',', default_value = "15,30,60,120,1440", value_name = "MINUTES")]
    pub horizons: Vec<u32>,
    /// Which model.
    #[arg(long, default_value = "ours", value_name = "NAME")]
    pub model: String,
    /// Places, covariates, meanings.
    #[command(flatten)]
    pub input: StationsInput,
    /// The model's file.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// One JSON object on one line, the last of stdout.
    #[arg(long)]
    pub json: bool,
}

/// Options of `voltmesh stations predict`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  voltmesh stations predict --model network.model --history today.csv --id 'S1/CCS' --minutes 60")]
pub struct StationsPredict {
    /// A model of `voltmesh stations train`.
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// What was observed since training: CSV, CSV.GZ or Parquet. Default: nothing; the forecast is made when training ended.
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Makes the forecast at this time, from what was observed until then (RFC 3339). Default: after the whole history.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Only these charging points, comma-separated. Default: all.
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    pub id: Vec<String>,
    /// Only these of the model's horizons, in minutes. Default: all.
    #[arg(long, value_delimiter = ',', value_name = "MINUTES")]
    pub minutes: Vec<u32>,
    /// Places, covariates, meanings.
    #[command(flatten)]
    pub input: StationsInput,
    /// One JSON object on one line, the last of stdout.
    #[arg(long)]
    pub json: bool,
}
