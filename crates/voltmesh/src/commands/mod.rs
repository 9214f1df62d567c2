//! One file a command.

#[cfg(feature = "full")]
pub mod archive;
#[cfg(feature = "full")]
pub mod audit;
mod audit_log;
#[cfg(feature = "full")]
pub mod chain;
#[cfg(feature = "full")]
pub mod controller;
#[cfg(feature = "full")]
pub mod function;
#[cfg(feature = "full")]
mod gzip;
pub mod inspect;
pub mod pki;
#[cfg(feature = "full")]
pub mod prove;
mod public_key;
#[cfg(feature = "full")]
pub mod query;
#[cfg(feature = "full")]
pub mod registry;
pub mod roles;
#[cfg(feature = "full")]
pub mod sim;
#[cfg(feature = "full")]
pub mod stations;
pub mod twin;
#[cfg(feature = "full")]
pub mod verify;

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Runs a short asynchronous command; roles have commonware's runner instead.
#[cfg(feature = "full")]
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?
        .block_on(work)
}

/// Reads a file that someone hands us, refusing more than `limit` bytes.
fn read_limited(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() > limit {
        bail!("{} has more than {limit} bytes; is it the right file?", path.display());
    }
    Ok(bytes)
}

/// As [`read_limited`], for text.
pub(crate) fn read_text(path: &Path, limit: usize) -> Result<String> {
    String::from_utf8(read_limited(path, limit)?).with_context(|| format!("{} is not text", path.display()))
}
