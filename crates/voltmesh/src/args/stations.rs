//! `voltmesh stations …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `voltmesh stations …`
#[derive(Debug, Subcommand)]
pub enum Stations {
    /// Scores forecasts on a real history, in temporal order: trained before, scored after, one horizon between.
    Evaluate(StationsEvaluate),
}

/// Options of `voltmesh stations evaluate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh stations evaluate --train november_1.csv.gz --test november_2.csv.gz
  voltmesh stations evaluate --train all.csv.gz --train-until 2018-11-08T00:00:00Z --horizons 15,120 --json

A history has the columns timestamp (RFC 3339), evse_id and status. Models so far: majority, persistence,
climatology, markov.")]
pub struct StationsEvaluate {
    /// The history to learn from, CSV or CSV.GZ.
    #[arg(long, value_name = "FILE")]
    pub train: PathBuf,
    /// The history to score on; later than the other. Default: what of that is not trained on.
    #[arg(long, value_name = "FILE", required_unless_present = "train_until")]
    pub test: Option<PathBuf>,
    /// Learns only from what is older than this (RFC 3339). Default: everything in --train.
    #[arg(long, value_name = "TIME")]
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
    /// What a status means, where its name does not tell: NAME=free, partly-free, busy, out-of-order or unknown.
    #[arg(long, value_name = "NAME=MEANING")]
    pub meaning: Vec<String>,
    /// One JSON object on one line, the last of stdout.
    #[arg(long)]
    pub json: bool,
}
