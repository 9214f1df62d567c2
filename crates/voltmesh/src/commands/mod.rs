//! One file a command.

pub mod archive;
pub mod audit;
pub mod chain;
pub mod controller;
pub mod inspect;
pub mod pki;
pub mod prove;
pub mod query;
pub mod registry;
pub mod roles;
pub mod sim;
pub mod stations;
pub mod twin;
pub mod verify;

use std::future::Future;
use std::io::{Read, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// What every gzipped file begins with (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Runs a short asynchronous command; roles have commonware's runner instead.
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

/// Opens a file that may be gzipped, whatever its name; reads no more than `limit` bytes of it, decompressed.
fn open_gzipped(path: &Path, limit: u64) -> Result<Box<dyn Read>> {
    let mut file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let unread = || format!("cannot read {}", path.display());
    let mut magic = [0; 2];
    let got = file.read(&mut magic).with_context(unread)?;
    file.seek(SeekFrom::Start(0)).with_context(unread)?;
    Ok(if magic[..got] == GZIP {
        Box::new(flate2::read::MultiGzDecoder::new(file).take(limit))
    } else {
        Box::new(file.take(limit))
    })
}
