//! Files that may be gzipped.

use std::io::{Read, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, Result};

/// What every gzipped file begins with (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Opens a file that may be gzipped, whatever its name; reads no more than `limit` bytes of it, decompressed.
pub(super) fn open_gzipped(path: &Path, limit: u64) -> Result<Box<dyn Read>> {
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
