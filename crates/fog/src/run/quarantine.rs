//! The quarantine's way to the disk: a task of its own, so that whoever sends rubbish is alone in waiting for it.
//!
//! Entries keep their order. What waits here is bounded by the connections: a rejected publish counts as undecided until its
//! entry is durable.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use commonware_runtime::{Clock as _, tokio::Context};
use tokio::sync::mpsc;
use voltmesh_mqtt::LogLimiter;
use voltmesh_spool::{Error as SpoolError, Position, Writer};

/// Between two groups of entries: rubbish without end costs ten syncs a second of the disk that PUBACKs wait for.
const PACE: Duration = Duration::from_millis(100);

/// Oldest entries that leave a full quarantine at once.
const STEP: u64 = 64;

/// Pause before a quarantine that takes nothing is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// The task's other end.
pub struct Quarantine {
    entries: mpsc::UnboundedSender<Bytes>,
    writer: Writer<Context>,
    dropped: Arc<AtomicU64>,
}

impl Quarantine {
    /// Starts the task.
    pub fn start(context: Context, writer: Writer<Context>) -> Self {
        let (entries, waiting) = mpsc::unbounded_channel();
        let dropped = Arc::new(AtomicU64::new(0));
        let log = LogLimiter::default();
        let task = Task { context, writer: writer.clone(), dropped: dropped.clone(), log };
        tokio::spawn(task.run(waiting));
        Self { entries, writer, dropped }
    }

    /// Appends an entry in its turn.
    pub fn append(&self, entry: Bytes) {
        // The task ends with the process only.
        let _ = self.entries.send(entry);
    }

    /// The spool that it writes to.
    pub fn writer(&self) -> &Writer<Context> {
        &self.writer
    }

    /// Entries that made room for others.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

struct Task {
    context: Context,
    writer: Writer<Context>,
    dropped: Arc<AtomicU64>,
    log: LogLimiter<&'static str>,
}

impl Task {
    async fn run(self, mut waiting: mpsc::UnboundedReceiver<Bytes>) {
        while let Some(first) = waiting.recv().await {
            let mut next = Some(first);
            while let Some(entry) = next {
                if !self.append(entry).await {
                    return;
                }
                next = waiting.try_recv().ok();
            }
            self.context.sleep(PACE).await;
        }
    }

    /// False if the spool is closed.
    async fn append(&self, entry: Bytes) -> bool {
        loop {
            match self.writer.append(entry.clone()) {
                Ok(_) => return true,
                Err(SpoolError::Closed) => return false,
                Err(SpoolError::Full { .. }) => self.make_room().await,
                Err(SpoolError::Busy { .. }) => self.context.sleep(AGAIN).await,
                Err(error) => {
                    tracing::warn!(%error, "the quarantine takes nothing now; waiting");
                    self.context.sleep(AGAIN).await;
                }
            }
        }
    }

    /// The oldest entries go.
    async fn make_room(&self) {
        let floor = self.writer.floor();
        let gone = (0..STEP).filter(|step| self.writer.ack(Position(floor.0 + step)).is_ok()).count();
        self.dropped.fetch_add(gone as u64, Ordering::Relaxed);
        if self.log.may_write("the quarantine is full: its oldest entries go") {
            tracing::warn!("the quarantine is full: its oldest entries go");
        }
        let _ = self.writer.checkpoint().await;
        if gone == 0 {
            self.context.sleep(AGAIN).await;
        }
    }
}
