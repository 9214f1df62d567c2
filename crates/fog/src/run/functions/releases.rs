//! Signed releases on disk, so that functions begin again without the controller. They are checked again each time they are read.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;
use voltmesh_function::MAX_PACKAGE_BYTES;
use voltmesh_identity::{create_private_dir, write_private};
use voltmesh_telemetry::Digest;

use crate::Error;

/// Folder in the node's.
const FOLDER: &str = "releases";

/// Ending of a release's file, whose name is the SHA-256 of its bytes.
const ENDING: &str = "function";

/// The store.
#[derive(Debug)]
pub struct Releases {
    folder: PathBuf,
    bound: u64,
}

/// A release on disk.
struct Kept {
    path: PathBuf,
    name: String,
    size: u64,
    written: SystemTime,
}

impl Releases {
    /// The store in a node's folder, of at most so many bytes.
    pub fn open(data: &Path, bound: u64) -> Result<Self, Error> {
        let folder = data.join(FOLDER);
        create_private_dir(&folder)?;
        Ok(Self { folder, bound })
    }

    /// All releases, the oldest first. A file whose bytes are not what its name says is removed.
    pub fn all(&self) -> Vec<Bytes> {
        let mut all = Vec::new();
        for kept in self.list() {
            let bytes =
                if kept.size <= MAX_PACKAGE_BYTES as u64 { std::fs::read(&kept.path).ok() } else { None };
            match bytes {
                Some(bytes) if Digest::of(&bytes).to_string() == kept.name => all.push(Bytes::from(bytes)),
                _ => {
                    tracing::warn!(file = %kept.path.display(), "a kept release is damaged and removed: it is fetched again");
                    let _ = std::fs::remove_file(&kept.path);
                }
            }
        }
        all
    }

    /// Keeps a release; the oldest of others that are not in use make room. `in_use` names packages by their SHA-256.
    pub fn keep(&self, bytes: &Bytes, in_use: &BTreeSet<Digest>) {
        let name = Digest::of(bytes);
        let path = self.folder.join(format!("{name}.{ENDING}"));
        if path.exists() {
            return;
        }
        let mut kept = self.list();
        let mut used: u64 = kept.iter().map(|one| one.size).sum();
        kept.retain(|one| !in_use.iter().any(|used| used.to_string() == one.name));
        for oldest in kept {
            if used + bytes.len() as u64 <= self.bound {
                break;
            }
            if std::fs::remove_file(&oldest.path).is_ok() {
                used -= oldest.size;
            }
        }
        if used + bytes.len() as u64 > self.bound {
            tracing::warn!(release = %name, "functions.cache_bytes has no room for a release: after a restart it must be fetched again");
            return;
        }
        if let Err(error) = write_private(&path, bytes) {
            tracing::error!(%error, release = %name, "a release is not on disk: after a restart it must be fetched again");
        }
    }

    /// Releases on disk, the oldest first.
    fn list(&self) -> Vec<Kept> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let mut all: Vec<Kept> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_stem()?.to_str()?.to_owned();
                let meta = path.metadata().ok()?;
                let ours = meta.is_file() && path.extension().is_some_and(|ending| ending == ENDING);
                ours.then(|| Kept {
                    size: meta.len(),
                    written: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                    path,
                    name,
                })
            })
            .collect();
        all.sort_by(|a, b| (a.written, &a.name).cmp(&(b.written, &b.name)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_kept_within_their_room_and_damaged_ones_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let releases = Releases::open(folder.path(), 250).unwrap();
        let package = |n: u8| Bytes::from(vec![n; 100]);
        let none = BTreeSet::new();
        releases.keep(&package(1), &none);
        releases.keep(&package(1), &none);
        releases.keep(&package(2), &none);
        assert_eq!(releases.all().len(), 2);
        // No room while both are in use; then one of them goes.
        let used = BTreeSet::from([Digest::of(&package(1)), Digest::of(&package(2))]);
        releases.keep(&package(3), &used);
        assert_eq!(releases.all().len(), 2);
        releases.keep(&package(3), &BTreeSet::from([Digest::of(&package(2))]));
        let all = releases.all();
        assert!(all.len() == 2 && all.contains(&package(2)) && all.contains(&package(3)));
        let path = folder.path().join(FOLDER).join(format!("{}.{ENDING}", Digest::of(&package(3))));
        std::fs::write(&path, b"other bytes").unwrap();
        assert_eq!(releases.all(), [package(2)]);
        assert!(!path.exists());
    }
}
