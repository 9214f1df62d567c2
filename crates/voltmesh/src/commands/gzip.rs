//! Files that may be gzipped.

use std::io::{Read, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// What every gzipped file begins with (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What files begin with that are not read, their name, and the remedy.
const REFUSED: [(&[u8], &str, &str); 5] = [
    (b"PK\x03\x04", "a zip archive", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it"),
    (b"\xfd7zXZ\0", "an xz archive", "unpack it"),
    (b"\xff\xfe", "UTF-16 text", "convert it with `iconv -f UTF-16 -t UTF-8`"),
    (b"\xfe\xff", "UTF-16 text", "convert it with `iconv -f UTF-16 -t UTF-8`"),
];

/// Opens a file that may be gzipped, whatever its name; reads no more than `limit` bytes of it, decompressed.
pub(super) fn open_gzipped(path: &Path, limit: u64) -> Result<Box<dyn Read>> {
    let mut file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let unread = || format!("cannot read {}", path.display());
    let mut magic = Vec::new();
    (&mut file).take(8).read_to_end(&mut magic).with_context(unread)?;
    file.seek(SeekFrom::Start(0)).with_context(unread)?;
    if let Some((_, name, remedy)) = REFUSED.iter().find(|(refused, ..)| magic.starts_with(refused)) {
        bail!("{} is {name}, which is not read: {remedy}", path.display());
    }
    Ok(if magic.starts_with(&GZIP) {
        Box::new(flate2::read::MultiGzDecoder::new(file).take(limit))
    } else {
        Box::new(file.take(limit))
    })
}
