//! This process's clock and executor.

use crate::{archivist::Commit, delta::ArchiveError, http::board::Board, writer::Surroundings};
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
    /// Folder or bucket of the archive, as configured.
    pub archive: String,
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
        self.board.set_ready(true);
    }

    fn failed(&self, what: &'static str, error: &ArchiveError) {
        // Another writer's commit is met by judging again: nothing is wrong with the store.
        if !matches!(error, ArchiveError::Conflict) {
            self.board.set_ready(false);
        }
        let error = voltmesh_telemetry::error_chain(error);
        tracing::warn!(archive = self.archive, error, "{what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archivist::Marks;

    #[test]
    fn a_cloud_whose_disk_fails_is_not_ready_until_a_commit_is_made() {
        let board = Arc::new(Board::new("cloud-1"));
        board.set_ready(true);
        let process = Process { board: board.clone(), started: Instant::now(), archive: "archive".into() };
        let ready = || board.status_with(Vec::new()).ready;
        process.failed("a commit failed", &ArchiveError::Conflict);
        assert!(ready(), "another writer's commit says nothing of the disk");
        process.failed("a commit failed", &ArchiveError::store("no space left on device"));
        assert!(!ready());
        let commit = Commit {
            ticket: 0,
            time: now(),
            entries: Vec::new(),
            copies: Vec::new(),
            quarantine: Vec::new(),
            marks: Marks::default(),
        };
        process.committed(&commit, Duration::from_millis(5));
        assert!(ready());
    }
}
