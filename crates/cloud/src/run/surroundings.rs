//! This process's clock and executor.

use crate::{archivist::Commit, http::board::Board, writer::Surroundings};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use voltmesh_telemetry::Timestamp;

/// Sleeps until then; for ever if there is no time.
pub(super) async fn sleep_until(deadline: Option<Timestamp>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(Duration::from_millis(deadline.millis_since(now()))).await,
        None => std::future::pending().await,
    }
}

/// The time of the system clock.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// This process's clock and executor, and its board.
pub(super) struct Process {
    pub board: Arc<Board>,
    pub started: Instant,
}

impl Surroundings for Process {
    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        work.await
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn committed(&self, commit: &Commit, took: Duration) {
        self.board.committed(commit, took);
    }
}
