//! Arguments of `voltmesh sim`.

use std::path::PathBuf;

use clap::Args;

use super::TwinPack;

/// Options of `voltmesh sim`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  voltmesh sim --seed 7 --minutes 2
  voltmesh sim --seeds 0..1000 --minutes 1
  voltmesh sim --loop --seeds 0..1000 --minutes 1
  voltmesh sim --loop --capacity-ah 60 --cells 96 --data trip-1.csv trip-2.csv")]
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
    /// The closed loop instead: vehicles whose batteries are hot, fog nodes with functions, a controller, and faults of all of them.
    #[arg(long = "loop", conflicts_with = "scenario")]
    pub closed_loop: bool,
    /// With --loop: recordings through the closed loop, each a vehicle of its own that obeys nothing. Ends with 3 if a command
    /// takes current or charging from one although the recording does not come near what the command guards against within a minute.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "closed_loop", conflicts_with_all = ["seeds", "seed"])]
    pub data: Vec<PathBuf>,
    /// Pack of the recordings.
    #[command(flatten)]
    pub pack: TwinPack,
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
    use super::parse_range;

    #[test]
    fn ranges_of_seeds() {
        assert_eq!(parse_range("3..7").unwrap(), 3..7);
        assert!(parse_range("7..3").is_err());
        assert!(parse_range("7").is_err());
    }
}
