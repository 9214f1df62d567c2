//! Rule of when a finding counts in an archive whose writer may go on: the one rule for every check of one.
//!
//! A commit shows in `batches` before it shows in `records`, and a merge takes files away while they are read. So a finding
//! counts if the tables are after the look as they were before it and hold no commit that is in `batches` alone. Until then
//! the archive is looked at again after a wait, at most [`LOOKS`] times: what a crashed writer has left between two tables
//! for so long is wrong.

use super::{Claims, sequence, verify_tables};
use crate::{
    audit::ArchiveReport,
    delta::{ArchiveError, Inspected, Location, inspect},
};
use std::time::Duration;
use voltmesh_ledger::Trust;

/// Looks at an archive at most: with the waits between them 127 s, while a commit to a slow store takes a minute.
const LOOKS: u32 = 8;
/// The first wait; each is twice the one before it.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Findings of one look at an archive.
#[derive(Debug)]
pub struct Look {
    /// What it found.
    pub report: ArchiveReport,
    /// Whether its writer may have changed what was looked at meanwhile, or is about to.
    in_motion: bool,
}

/// Looks at the archive at `location` once.
pub async fn look(location: &Location, trust: &Trust, claims: &Claims) -> Result<Look, ArchiveError> {
    let tables = inspect(location).await?;
    let report = verify_tables(&tables, location, trust, claims).await;
    let in_motion = !report.sound && {
        let now = inspect(location).await?;
        let changed = now.iter().zip(&tables).any(|(now, before)| !now.has_the_files_of(before));
        changed || is_between_tables(&now)
    };
    Ok(Look { report, in_motion })
}

/// Looks until nothing is wrong by `is_fine`, or what is wrong counts; `wait` lets time pass.
pub async fn verify_settled(
    mut look: impl AsyncFnMut() -> Result<Look, ArchiveError>,
    is_fine: impl Fn(&ArchiveReport) -> bool,
    mut wait: impl AsyncFnMut(Duration),
) -> Result<ArchiveReport, ArchiveError> {
    let mut pause = FIRST_WAIT;
    for _ in 1..LOOKS {
        let Look { report, in_motion } = look().await?;
        if !in_motion || is_fine(&report) {
            return Ok(report);
        }
        wait(pause).await;
        pause *= 2;
    }
    Ok(look().await?.report)
}

/// Whether the newest commit is in `batches` and not yet in `records`.
fn is_between_tables([records, batches, ..]: &[Inspected; 4]) -> bool {
    match (sequence(records), sequence(batches)) {
        (Some(records), Some(batches)) => batches.checked_sub(records) == Some(1),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits and looks of a check of an archive that is in motion at the first `moving` looks and fine from look `fine` on.
    fn check(moving: u32, fine: u32, expected: (u32, u64, bool)) {
        let (mut looks, mut waited) = (0, Duration::ZERO);
        let looking = async || {
            looks += 1;
            let report = ArchiveReport { sound: looks >= fine, ..ArchiveReport::default() };
            Ok(Look { in_motion: !report.sound && looks <= moving, report })
        };
        let settled = verify_settled(looking, |report| report.sound, async |pause| waited += pause);
        let sound = futures::executor::block_on(settled).is_ok_and(|report| report.sound);
        assert_eq!((looks, waited.as_secs(), sound), expected, "{moving} {fine}");
    }

    #[test]
    fn a_finding_counts_when_nothing_moves_any_more() {
        check(0, 1, (1, 0, true));
        check(0, 9, (1, 0, false));
        check(3, 9, (4, 7, false));
        check(9, 3, (3, 3, true));
        check(u32::MAX, u32::MAX, (LOOKS, 127, false));
    }
}
