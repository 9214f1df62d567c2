//! The spool and the quarantine: opened at the start, and the core rebuilt from what they hold.

use std::num::NonZeroU64;

use commonware_runtime::{Supervisor as _, tokio::Context};
use voltmesh_spool::{Config as SpoolConfig, Spool};

use super::clock::now;
use crate::{
    Config, Error,
    ingest::{Ingest, Restoring, Settings},
};

/// Quarantined publishes per file: 16 MiB of the largest.
const QUARANTINE_FILE: NonZeroU64 = NonZeroU64::new(256).expect("not zero");

/// Appended and not confirmed in the spool: what may be in flight, and as much of our own.
const UNSYNCED: usize = 2;

/// Restored entries read at once.
const RESTORE: (usize, usize) = (1_024, 16 * 1024 * 1024);

/// Opens the spool and rebuilds the core from it.
pub async fn restore(
    context: &Context,
    config: &Config,
    settings: Settings,
) -> Result<(Ingest, Spool<Context>), Error> {
    let unsynced =
        usize::try_from(config.ingest.inflight_bytes).unwrap_or(usize::MAX).saturating_mul(UNSYNCED);
    let spool = SpoolConfig {
        max_bytes: config.spool.capacity_bytes,
        max_unsynced: unsynced,
        ..SpoolConfig::new("ingest")
    };
    let spool = Spool::open(context.child("spool"), spool).await?;
    let mut ingest = Ingest::new(settings, spool.end());
    let mut restoring = Restoring::default();
    let mut from = spool.floor();
    loop {
        let entries = spool.read_from(from, RESTORE.0, RESTORE.1).await?;
        let Some((last, _)) = entries.last() else { break };
        from = last.next();
        let now = now(context);
        for (position, entry) in &entries {
            ingest.restore(now, &mut restoring, *position, entry);
        }
    }
    ingest.restored(restoring);
    Ok((ingest, spool))
}

/// Opens the quarantine and tells the core where its next entry goes.
pub async fn quarantine(
    context: &Context,
    config: &Config,
    ingest: &mut Ingest,
) -> Result<Spool<Context>, Error> {
    let quarantine = SpoolConfig {
        max_bytes: config.spool.quarantine_bytes,
        entries_per_file: QUARANTINE_FILE,
        ..SpoolConfig::new("quarantine")
    };
    let quarantine = Spool::open(context.child("quarantine"), quarantine).await?;
    ingest.quarantine_at(quarantine.end());
    Ok(quarantine)
}
