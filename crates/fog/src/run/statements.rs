//! The archive's statements on disk, and for those who ask over HTTP.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::watch;
use voltmesh_identity::write_public;

use crate::{
    Error,
    ingest::{Ingest, MAX_STATEMENTS_BYTES},
};

/// The file in the node's folder.
const FILE: &str = "statements.bin";

/// Gives the core what an earlier process kept, and starts the task that writes what is kept from now on. What cannot be
/// read is moved aside: the cloud sends its newest statement again.
pub fn start(ingest: &mut Ingest, data: &Path) -> Result<watch::Sender<Bytes>, Error> {
    let path = data.join(FILE);
    let mut kept = Bytes::new();
    match std::fs::read(&path) {
        Ok(bytes) if bytes.len() <= MAX_STATEMENTS_BYTES && ingest.restore_statements(&bytes) => {
            kept = bytes.into();
        }
        Ok(_) => {
            let aside = path.with_extension("unreadable");
            std::fs::rename(&path, &aside).map_err(Error::file("move aside", &path))?;
            tracing::error!(moved_to = %aside.display(), "the archive's statements cannot be read");
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::file("read", &path)(error)),
    }
    let (sender, changes) = watch::channel(kept);
    tokio::spawn(write(path, changes));
    Ok(sender)
}

/// Writes each change, the newest if there were several; ends with the node.
async fn write(path: PathBuf, mut changes: watch::Receiver<Bytes>) {
    while changes.changed().await.is_ok() {
        let bytes = changes.borrow_and_update().clone();
        let to = path.clone();
        let written = tokio::task::spawn_blocking(move || write_public(&to, &bytes)).await;
        if let Ok(Err(error)) = written {
            tracing::error!(%error, "the archive's statements are not on disk; with the next one it is tried again");
        }
    }
}
