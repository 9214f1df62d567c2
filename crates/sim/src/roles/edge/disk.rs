//! What a vehicle finds on its disk when it starts: boot counter and spool.

use super::setup::Setup;
use crate::node::NodeContext;
use bytes::Bytes;
use commonware_runtime::{Blob as _, Clock as _, ReadOptions, Storage as _, WriteOptions};
use std::time::SystemTime;
use voltmesh_edge::{
    agent::Found,
    boot::{self, Kept},
    entry,
    sources::Cursor,
};
use voltmesh_spool::{Position, Writer};
use voltmesh_telemetry::Boot;

/// The product's boot counter, kept on the vehicle's simulated disk.
pub(super) async fn next_boot(context: &NodeContext, newest: Option<Boot>, new_vehicle: bool) -> Boot {
    let opened = async {
        let (blob, len) = context.open("boot", b"counter").await?;
        let kept = match len {
            0 => Kept::Missing,
            8.. => {
                let bytes = blob.read_at(0, 8, ReadOptions::default()).await?.coalesce();
                bytes
                    .as_ref()
                    .try_into()
                    .map_or(Kept::Damaged, |bytes| Kept::Number(u64::from_be_bytes(bytes)))
            }
            _ => Kept::Damaged,
        };
        let seconds = context.current().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let boot = boot::number_after(kept, newest, new_vehicle, seconds)
            .unwrap_or_else(|| unreachable!("a simulated vehicle's clock is set"));
        blob.write_at(0, boot.get().to_be_bytes().to_vec(), WriteOptions::SYNC).await?;
        Ok::<_, commonware_runtime::Error>(boot)
    };
    match opened.await {
        Ok(boot) => boot,
        Err(error) => panic!("the boot counter is not kept: {error}"),
    }
}

/// What the spool holds; all of it is durable now, whether its sync was confirmed or not.
pub(super) async fn found(setup: &Setup, spool: &Writer<NodeContext>) -> Found {
    let mut found =
        Found { floor: spool.floor(), end: spool.end(), bytes: spool.bytes(), cursor: Cursor::default() };
    let mut from = spool.floor();
    while let Ok(entries) = spool.read_from(from, 256, usize::MAX).await {
        let Some((last, _)) = entries.last() else { break };
        from = last.next();
        for (position, bytes) in &entries {
            spooled(setup, *position, bytes);
        }
    }
    // The newest entry stays readable after its acknowledgement.
    if let Some(last) = found.end.0.checked_sub(1)
        && let Ok(Some(bytes)) = spool.read(Position(last)).await
        && let Ok(stored) = entry::decode(Position(last), &bytes)
    {
        found.cursor = stored.cursor;
    }
    found
}

/// Tells the checker of a spooled batch.
pub(super) fn spooled(setup: &Setup, position: Position, bytes: &Bytes) {
    let stored = entry::decode(position, bytes);
    let opened = stored.and_then(|stored| {
        let records = stored.batch.open().map_err(|error| error.to_string())?;
        Ok((stored, records))
    });
    match opened {
        Ok((stored, records)) => {
            for record in &records {
                setup.checker.spooled(&setup.vehicle, stored.batch.header().boot, record);
            }
        }
        Err(error) => setup.checker.problem(format!("{}'s own spool does not read: {error}", setup.vehicle)),
    }
}
