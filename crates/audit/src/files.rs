//! The files of a log: each is named by the number of its first entry.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Error;

/// Size at which a file is followed by the next: some 14,000 entries of 300 bytes.
pub(crate) const FILE_BYTES: u64 = 4 << 20;

/// Files that are kept; the oldest goes when one more begins. 64 MiB in all: at the most that outsiders can cause
/// ([`crate::Tally`]), 400 bytes a second with every text as long as it may be, two months; else years.
pub(crate) const FILES: usize = 16;

/// Longest wait for a process that has the log: one that is ending writes its last entries, a command has it for an fsync or two.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// Between two attempts to take the log.
const PAUSE: Duration = Duration::from_millis(20);

/// Locked by whoever writes the log.
const LOCK: &str = ".lock";

const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";

/// Takes the log for one writer, until the file is dropped or the process ends, however it ends: the entries of two would not
/// follow each other, as if the log had been altered. Another writer is waited for so long.
pub(crate) fn take(folder: &Path, patience: Duration) -> Result<File, Error> {
    let path = folder.join(LOCK);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = opened.map_err(Error::file("open", &path))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(Error::file("lock", &path)(error)),
            Err(TryLockError::WouldBlock) if begun.elapsed() >= patience => {
                return Err(Error::InUse { folder: folder.to_path_buf() });
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    }
}

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
