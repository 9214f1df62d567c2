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
