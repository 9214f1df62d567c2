//! What the vehicles of a run replay.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use voltmesh_edge::config::SourceConfig;
use voltmesh_edge::sources::ReplayConfig;
use voltmesh_recording::Battery;

use crate::args;
use crate::deploy::{Pace, Recording};

/// Refuses a recording that cannot be read, or is doubtful, before anything starts.
fn plausible(file: &Path) -> Result<()> {
    let kind = voltmesh_edge::config::Kind::Replay(ReplayConfig::new(vec![file.to_path_buf()]));
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
    let report = SourceConfig { kind, speed: 1.0 }.inspect(Battery::default(), now_ms)?;
    match report.filter(|report| !report.usable) {
        None => Ok(()),
        Some(report) => {
            let doubts = format!("{}: {}", file.display(), report.reasons.join("; "));
            Err(voltmesh_edge::Error::Doubtful(doubts).into())
        }
    }
}

/// What each vehicle replays.
pub fn recordings(options: &args::Demo) -> Result<Vec<Recording>> {
    let pace = match options.speed {
        Some(times) => Pace::Recorded { times },
        None => Pace::Rate { hz: options.rate },
    };
    ensure!(options.rate > 0.0 && options.rate <= 10_000.0, "--rate wants more than 0 and at most 10000");
    let samples = (options.rate * options.duration.as_secs_f64()).ceil() as u64;
    let files = options
        .data
        .iter()
        .map(|file| file.canonicalize().with_context(|| format!("cannot find {}", file.display())))
        .collect::<Result<Vec<_>>>()?;
    if !options.accept_doubtful {
        files.iter().try_for_each(|file| plausible(file))?;
    }
    Ok((1..=usize::from(options.vehicles))
        .map(|n| Recording {
            file: (!files.is_empty()).then(|| files[(n - 1) % files.len()].clone()),
            seed: n as u64,
            series: None,
            pace,
            samples: matches!(pace, Pace::Rate { .. }).then_some(samples),
        })
        .collect())
}
