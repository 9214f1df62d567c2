//! Packages of releases: checked when they come, kept in a folder by the digest of their component.

use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use voltmesh_function::{MAX_PACKAGE_BYTES, Package};
use voltmesh_identity::{create_private_dir, write_private};
use voltmesh_telemetry::{Digest, Timestamp};

use crate::controller::Release;

/// Packages on disk.
#[derive(Clone, Debug)]
pub struct Packages {
    folder: PathBuf,
    publishers: Vec<VerifyingKey>,
}

impl Packages {
    /// Those in a folder, which is made if it is not there.
    pub fn open(folder: &Path, publishers: Vec<VerifyingKey>) -> Result<Self, voltmesh_identity::Error> {
        create_private_dir(folder)?;
        Ok(Self { folder: folder.to_owned(), publishers })
    }

    /// Checks a package: its publisher, its parts, that it was not withdrawn. The reason if it is not taken.
    pub fn check(
        &self,
        now: Timestamp,
        bytes: &Bytes,
        withdrawn: &BTreeSet<Digest>,
    ) -> Result<Release, String> {
        if self.publishers.is_empty() {
            return Err(
                "no publisher is trusted here: name their keys in `publishers` of controller.toml".into()
            );
        }
        let package =
            Package::open(bytes, &self.publishers, withdrawn).map_err(|refusal| refusal.to_string())?;
        let version = package.manifest.release;
        Ok(Release {
            digest: package.digest,
            function: package.manifest.name,
            version: (version.major, version.minor, version.patch),
            publisher: package.publisher_key.to_string(),
            bytes: bytes.len() as u64,
            at_ms: now.as_millis(),
            withdrawn: false,
        })
    }

    /// Whether a package says the same of a release as the one that is kept: both are signed, but fog nodes know a release by its
    /// component, and another manifest would change the limits of what they run. One that cannot be read any more says nothing.
    pub fn agrees(&self, digest: &Digest, bytes: &Bytes) -> bool {
        let open = |bytes: &Bytes| Package::open(bytes, &self.publishers, &BTreeSet::new()).ok();
        match (self.read(digest).as_ref().and_then(open), open(bytes)) {
            (Some(kept), Some(new)) => kept.digest != *digest || kept.manifest == new.manifest,
            (kept, _) => kept.is_none(),
        }
    }

    /// Removes a package of a release that did not come to be.
    pub fn remove(&self, digest: &Digest) {
        if let Err(error) = std::fs::remove_file(self.path(digest)) {
            tracing::warn!(%error, "a package of no release cannot be removed");
        }
    }

    /// Makes a package durable.
    pub fn keep(&self, release: &Release, bytes: &[u8]) -> Result<(), voltmesh_identity::Error> {
        write_private(&self.path(&release.digest), bytes)
    }

    /// Whether a package is there.
    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// A package; none if it is not there, or too large to be one.
    pub fn read(&self, digest: &Digest) -> Option<Bytes> {
        let path = self.path(digest);
        let small = std::fs::metadata(&path).is_ok_and(|found| found.len() <= MAX_PACKAGE_BYTES as u64);
        small.then(|| std::fs::read(&path).ok().map(Bytes::from)).flatten()
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.vmf"))
    }
}
