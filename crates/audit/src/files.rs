//! The files of a log: each is named by the number of its first entry.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;

/// Size at which a file is followed by the next: some 14,000 entries of 300 bytes.
pub(crate) const FILE_BYTES: u64 = 4 << 20;

/// Files that are kept; the oldest goes when one more begins. 64 MiB in all: at the most that outsiders can cause
/// ([`crate::Tally`]), 400 bytes a second with every text as long as it may be, two months; else years.
pub(crate) const FILES: usize = 16;

const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";

/// The file whose first entry has this number.
pub(crate) fn path_of(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{first:020}{SUFFIX}"))
}

/// Files of a folder with the number of their first entry, oldest first.
pub(crate) fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::file("list", folder))? {
        let path = entry.map_err(Error::file("list", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX));
        if let Some(first) = number.and_then(|number| number.parse().ok()) {
            files.push((first, path));
        }
    }
    files.sort();
    Ok(files)
}
