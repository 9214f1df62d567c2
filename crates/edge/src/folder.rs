//! The data folder: one process at a time, and what waits in it.

use std::fs::{File, OpenOptions, TryLockError};
use std::num::{NonZeroU64, NonZeroUsize};
use std::os::unix::fs::OpenOptionsExt as _;

use commonware_runtime::{Supervisor as _, tokio::Context};
use voltmesh_identity::create_private_dir;
use voltmesh_spool::{Position, Spool};

use crate::{Config, Error};

/// Added to the agent's own bound of the spool, so that the agent's is the one that is met.
const SLACK: u64 = 32 << 20;

/// Lock on a vehicle's data folder, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _lock: File,
}

/// Takes the data folder, which is made if it is not there.
///
/// # Errors
/// [`Error::InUse`] if another process has it, [`Error::File`] or [`Error::Identity`].
pub fn hold(config: &Config) -> Result<FolderLock, Error> {
    create_private_dir(&config.data)?;
    let path = config.data.join("lock");
    let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = opened.map_err(Error::file(&path, "opening"))?;
    match file.try_lock() {
        Ok(()) => Ok(FolderLock { _lock: file }),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { folder: config.data.clone() }),
        Err(TryLockError::Error(error)) => Err(Error::file(&path, "locking")(error)),
    }
}

/// Counts the batches in the spool that are not known to be archived. `config.data` is the context's storage folder, and must
/// be held.
///
/// # Errors
/// [`Error::Spool`] if the spool cannot be read.
pub async fn waiting(context: Context, config: &Config, _held: &FolderLock) -> Result<usize, Error> {
    let spool = Spool::open(context.child("spool"), spool_config(config)).await?;
    let positions = (spool.floor().0..spool.end().0).map(Position);
    Ok(positions.filter(|position| !spool.is_acked(*position)).count())
}

/// How batches are kept in the spool.
pub(crate) fn spool_config(config: &Config) -> voltmesh_spool::Config {
    voltmesh_spool::Config {
        max_bytes: config.spool.max_bytes + SLACK,
        max_unsynced: 16 << 20,
        recent_bytes: 1 << 20,
        entries_per_file: NonZeroU64::new(1024).expect("not zero"),
        write_buffer: NonZeroUsize::new(64 << 10).expect("not zero"),
        ..voltmesh_spool::Config::new("spool")
    }
}
