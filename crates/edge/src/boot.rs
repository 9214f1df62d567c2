//! The boot counter: never used twice, even after the loss of the vehicle's disk.
//!
//! Provided: the counter is fsynced before the first batch; without it, the boot is the Unix time in seconds, which no
//! counter reaches that grows by less than one a second. Not provided: safety against a clock that was set back before
//! the disk was lost.

use crate::Error;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use voltmesh_telemetry::Boot;

/// Earlier than this the clock is not set: 2023-11-14.
const CLOCK_IS_SET: u64 = 1_700_000_000;

/// What was found of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The number of the boot before.
    Number(u64),
    /// There is none.
    Missing,
    /// There is one, and it is no number.
    Damaged,
}

/// The next boot number, or `None` if it cannot be told: the counter is lost and the clock is not set.
///
/// `newest` is the newest boot in the spool, if any: a counter that was restored from an old copy is not followed below
/// it. `now_s` is the clock's Unix time in seconds.
pub fn number_after(kept: Kept, newest: Option<Boot>, new_vehicle: bool, now_s: u64) -> Option<Boot> {
    let stored = match kept {
        Kept::Number(number) => Some(number),
        Kept::Missing if new_vehicle && newest.is_none() => Some(0),
        Kept::Missing | Kept::Damaged => None,
    };
    let counted = stored.or(newest.map(Boot::get)).and_then(|boot| boot.checked_add(1));
    let boot = match counted {
        Some(boot) if stored.is_some() => boot,
        // The counter is lost or damaged: after a disk loss nothing else is known.
        other if now_s >= CLOCK_IS_SET => now_s.max(other.unwrap_or(0)),
        _ => return None,
    };
    Some(Boot::new(boot.max(newest.map_or(0, |b| b.get().saturating_add(1))).max(1)))
}

/// Takes the next boot number by [`number_after`] and makes it durable.
///
/// # Errors
/// [`Error::Boot`] or [`Error::Identity`]: no batch may be made.
pub fn next(file: &Path, new_vehicle: bool, newest: Option<Boot>, now: SystemTime) -> Result<Boot, Error> {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let kept = match std::fs::read_to_string(file) {
        Ok(text) => text.trim().parse().map_or(Kept::Damaged, Kept::Number),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Kept::Missing,
        Err(e) => return Err(Error::file(file, "reading")(e)),
    };
    let boot = number_after(kept, newest, new_vehicle, seconds).ok_or_else(|| {
        let problem = "the counter is lost and the clock is not set; set it, or say `new_vehicle = true`";
        Error::Boot(problem.to_owned())
    })?;
    voltmesh_identity::write_public(file, boot.to_string().as_bytes())?;
    Ok(boot)
}
