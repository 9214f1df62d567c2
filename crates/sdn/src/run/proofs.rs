//! Proofs of decisions in a folder, one file for those that were written down together.

use std::path::{Path, PathBuf};
use voltmesh_identity::{Error, create_private_dir, write_private};
use voltmesh_ledger::MAX_EVENT_PROOF_BYTES;

use crate::controller::Receipt;

/// Files that are kept: of each decision that is remembered one, at most.
const MAX_FILES: usize = 20_000;

/// The folder.
#[derive(Clone, Debug)]
pub struct Proofs {
    folder: PathBuf,
}

impl Proofs {
    /// Those in a folder, which is made if it is not there.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        create_private_dir(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Makes a proof durable. Past the bound the oldest goes.
    pub fn keep(&self, receipt: &Receipt, proof: &[u8]) -> Result<(), Error> {
        write_private(&self.path(receipt), proof)?;
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        if files.len() > MAX_FILES {
            files.sort();
            let oldest = &files[0];
            if let Err(error) = std::fs::remove_file(oldest) {
                tracing::warn!(%error, file = %oldest.display(), "an old proof cannot be removed");
            }
        }
        Ok(())
    }

    /// A proof; none if it is not there, or too large to be one.
    pub fn read(&self, receipt: &Receipt) -> Option<Vec<u8>> {
        let path = self.path(receipt);
        let small = std::fs::metadata(&path).is_ok_and(|found| found.len() <= MAX_EVENT_PROOF_BYTES as u64);
        small.then(|| std::fs::read(&path).ok()).flatten()
    }

    fn path(&self, receipt: &Receipt) -> PathBuf {
        self.folder.join(format!("{:010}-{:020}.event", receipt.term, receipt.number))
    }
}
