//! Entries that a process or an operator makes in its own audit log.

use std::path::Path;

use anyhow::{Context as _, Result};
use voltmesh_audit::{Kind, Recorder};
use voltmesh_telemetry::Digest;

use super::read_limited;

/// Largest configuration file of a role.
const MAX_CONFIG: usize = 1 << 20;

/// Enters what an operator has done in a log that no process keeps open.
pub(super) fn enter_once(folder: &Path, what: &str) -> Result<()> {
    let recorder = Recorder::open(folder)?;
    let user = std::env::var("USER").unwrap_or_else(|_| "user unknown".to_owned());
    recorder.record(Kind::Operator, &user, what);
    recorder.close();
    Ok(())
}

/// The log of a process that starts: its version and the digest of its configuration are the first entries.
pub(super) fn begin(folder: &Path, config: &Path) -> Result<Recorder> {
    let recorder =
        Recorder::open(folder).with_context(|| format!("no role runs unrecorded ({})", folder.display()))?;
    let digest = Digest::of(&read_limited(config, MAX_CONFIG)?);
    let name = config.file_name().unwrap_or_default().to_string_lossy();
    let version = concat!("voltmesh ", env!("CARGO_PKG_VERSION"));
    recorder.started(version, &format!("{name} with the SHA-256 {digest}"));
    Ok(recorder)
}

/// Enters how a process ended, and closes its log.
pub(super) fn end<T>(recorder: &Recorder, result: &Result<T>) {
    match result {
        Ok(_) => recorder.record(Kind::Stop, "process", "in order"),
        Err(error) => recorder.record(Kind::Stop, "process", &format!("failed: {error:#}")),
    }
    recorder.close();
}
