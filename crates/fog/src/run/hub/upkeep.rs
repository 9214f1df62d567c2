//! What the loop does from time to time: the disk's free space, blocks that may be pruned, the status for others to read.

use std::time::{Duration, Instant};

use voltmesh_control::Latency;
use voltmesh_ledger::Height;

use super::Hub;
use crate::{ingest::Input, run::finality};

/// Between two writings of the status.
const REFRESH: Duration = Duration::from_millis(100);

/// Between two looks at the disk's free space.
const SPACE: Duration = Duration::from_secs(1);

/// Between two looks at what the ledger may prune: some 30 ms with a million batches held, and far more often than the
/// ledger prunes.
const HOLD: Duration = Duration::from_secs(10);

impl Hub {
    /// Looks at the disk, lets go of blocks, and writes the status for others to read.
    pub(super) async fn look(&mut self) {
        if self.looked.is_none_or(|at| at.elapsed() >= SPACE) {
            self.looked = Some(Instant::now());
            if let Some(free) = free_bytes(&self.parts.data) {
                self.free = free;
                self.give(Input::Space(free)).await;
            }
        }
        if self.advanced.is_none_or(|at| at.elapsed() >= HOLD) {
            self.advanced = Some(Instant::now());
            if let Some(height) = self.parts.ingest.needs_from() {
                self.parts.hold.advance(Height::new(height));
            }
        }
        if self.refreshed.is_none_or(|at| at.elapsed() >= REFRESH) {
            self.refreshed = Some(Instant::now());
            self.refresh();
        }
    }

    fn refresh(&mut self) {
        self.log.due().iter().for_each(|unwritten| tracing::warn!("{unwritten}"));
        let mut counters = self.parts.ingest.counters().all();
        counters.extend(self.parts.ingest.gauges().into_iter().map(|(name, value)| (name.to_owned(), value)));
        counters.extend(
            self.parts.server.counters().snapshot().into_iter().map(|(k, v)| (format!("mqtt_{k}"), v)),
        );
        let ledger = &self.parts.ledger;
        let finality = ledger.finality();
        counters.extend(finality::figures(ledger).map(|(name, value)| (name.to_owned(), value)));
        counters.extend([
            ("disk_free_bytes".to_owned(), self.free),
            ("answers_dropped".to_owned(), self.parts.desk.dropped()),
            ("quarantine_dropped".to_owned(), self.parts.quarantine.dropped()),
        ]);
        let commit =
            Latency { p50_us: finality.p50_ms * 1000, p99_us: finality.p99_ms * 1000, count: finality.count };
        self.parts.board.send_modify(|board| {
            board.ready = self.caught_up;
            board.counters = counters;
            board.latencies.insert("puback".into(), self.puback.latency());
            board.latencies.insert("commit".into(), commit);
            board.latencies.insert("finality".into(), self.parts.finality.latency());
        });
    }
}

/// Bytes that this process may still write on the disk of `path`.
fn free_bytes(path: &std::path::Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}
