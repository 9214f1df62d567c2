//! A spool that many producers share: one task syncs for all of them.

use crate::view::View;
use crate::{Acks, Config, Error, Position, Spool, Verified};
use bytes::Bytes;
use commonware_runtime::{Handle, Spawner};
use commonware_storage::Context;
use commonware_utils::channel::{mpsc, oneshot, watch};
use futures::FutureExt as _;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

/// A sync or checkpoint that is worth a line in the log at level debug: appends wait for it.
const SLOW: Duration = Duration::from_millis(10);
/// How often the log is told that the disk fails, however often it is tried.
const SAY_FAILURE: Duration = Duration::from_secs(10);

/// Progress of the spool; watch it with [`Writer::progress`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The first position that is not durable. Everything below it survives a crash.
    pub durable: Position,
    /// Payload bytes that are not released, as of the last sync or checkpoint.
    pub bytes: u64,
    /// Number of syncs that have ended well.
    pub syncs: u64,
    /// Number of attempts that failed. It grows with each: what waits should be refused, not confirmed.
    pub failures: u64,
    /// Why the last attempt failed, while it does.
    pub error: Option<Error>,
}

/// A handle to a spool that runs in its own task. Cheap to clone.
///
/// While one sync runs, all appends gather for the next: the more producers, the larger the group.
pub struct Writer<E: Context> {
    shared: Arc<Shared<E>>,
    wake: mpsc::Sender<()>,
    progress: watch::Receiver<Progress>,
}

impl<E: Context> Clone for Writer<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), wake: self.wake.clone(), progress: self.progress.clone() }
    }
}

struct Shared<E: Context> {
    config: Config,
    acks: Arc<Mutex<Acks>>,
    queue: Mutex<Queue>,
    view: Mutex<View<E>>,
}

#[derive(Default)]
struct Queue {
    /// Next position to give.
    end: u64,
    entries: Vec<Bytes>,
    /// Bytes that are appended and not confirmed, those with the task included.
    unsynced: usize,
    /// Bytes that are durable and not released.
    durable_bytes: u64,
    commands: Vec<Command>,
}

enum Command {
    Checkpoint(oneshot::Sender<Result<(), Error>>),
    Verify(oneshot::Sender<Result<Verified, Error>>),
    Close(oneshot::Sender<Result<(), Error>>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<E: Context + Spawner> Spool<E> {
    /// Starts the task. It ends when all writers are dropped (after a last sync and checkpoint) or on
    /// [`Writer::close`].
    pub fn start(self, context: E) -> (Writer<E>, Handle<()>) {
        let (wake, woken) = mpsc::channel(1);
        let first = Progress { durable: self.durable(), bytes: self.bytes(), ..Progress::default() };
        let (publish, progress) = watch::channel(first);
        let shared = Arc::new(Shared {
            config: self.config().clone(),
            acks: self.acks(),
            queue: Mutex::new(Queue { end: self.end().0, durable_bytes: self.bytes(), ..Queue::default() }),
            view: Mutex::new(self.view()),
        });
        let task =
            Task { spool: self, shared: shared.clone(), publish, saved_acks: None, failure_said: None };
        let handle = context.spawn(move |context| task.run(context, woken));
        (Writer { shared, wake, progress }, handle)
    }
}

impl<E: Context> Writer<E> {
    /// Appends and returns at once; wait with [`Self::durable`], or watch [`Self::progress`].
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Busy`], [`Error::TooLarge`] or [`Error::Closed`]: nothing was appended.
    pub fn append(&self, payload: Bytes) -> Result<Position, Error> {
        if self.wake.is_closed() {
            return Err(Error::Closed);
        }
        let config = &self.shared.config;
        let size = payload.len();
        if size > config.max_entry {
            return Err(Error::TooLarge { size, max: config.max_entry });
        }
        let mut queue = lock(&self.shared.queue);
        let used = queue.durable_bytes + queue.unsynced as u64;
        if used + size as u64 > config.max_bytes {
            return Err(Error::Full { used, max: config.max_bytes });
        }
        if queue.unsynced + size > config.max_unsynced && queue.unsynced > 0 {
            return Err(Error::Busy { unsynced: queue.unsynced, max: config.max_unsynced });
        }
        let position = Position(queue.end);
        queue.end += 1;
        queue.unsynced += size;
        queue.entries.push(payload);
        drop(queue);
        let _ = self.wake.try_send(()); // full: the task is woken already
        Ok(position)
    }

    /// Waits until the entry at `position` is durable.
    ///
    /// # Errors
    /// The error of a sync that failed meanwhile. The entry may still become durable later: tell the producer to
    /// send it again.
    pub async fn durable(&self, position: Position) -> Result<(), Error> {
        let mut progress = self.progress.clone();
        let failures = progress.borrow().failures;
        loop {
            {
                let now = progress.borrow_and_update();
                if position < now.durable {
                    return Ok(());
                }
                if let Some(error) = now.error.as_ref().filter(|_| now.failures > failures) {
                    return Err(error.clone());
                }
            }
            progress.changed().await.map_err(|_| Error::Closed)?;
        }
    }

    /// A watch on the spool's progress: the cheap way to wait for many positions.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Acknowledges a durable entry, in any order. The task makes it durable within
    /// [`Config::checkpoint_every`].
    ///
    /// # Errors
    /// [`Error::NotDurable`] for a position that is not durable yet.
    pub fn ack(&self, position: Position) -> Result<(), Error> {
        let durable = self.progress.borrow().durable;
        if position >= durable {
            return Err(Error::NotDurable { position, durable });
        }
        lock(&self.shared.acks).insert(position);
        Ok(())
    }

    /// The payload of a durable entry; `None` if it is removed or not durable yet.
    ///
    /// # Errors
    /// [`Error::Storage`] or [`Error::Corrupt`].
    pub async fn read(&self, position: Position) -> Result<Option<Bytes>, Error> {
        let view = lock(&self.shared.view).clone();
        let name = &self.shared.config.name;
        view.payload(position.0).await.map_err(|e| crate::view::read_error(name, position.0, e))
    }

    /// Durable, unacknowledged entries in order from `from` on: at most `limit`, and no more after `max_bytes`
    /// of payload are reached.
    ///
    /// # Errors
    /// [`Error::Storage`] or [`Error::Corrupt`].
    pub async fn read_from(
        &self,
        from: Position,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Position, Bytes)>, Error> {
        let view = lock(&self.shared.view).clone();
        let acks = lock(&self.shared.acks).clone();
        view.read_from(&self.shared.config.name, &acks, from, limit, max_bytes).await
    }

    /// The position that the next append gets.
    #[must_use]
    pub fn end(&self) -> Position {
        Position(lock(&self.shared.queue).end)
    }

    /// The first position that is not acknowledged.
    #[must_use]
    pub fn floor(&self) -> Position {
        lock(&self.shared.acks).floor()
    }

    /// Payload bytes that are not released, appended ones included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let queue = lock(&self.shared.queue);
        queue.durable_bytes + queue.unsynced as u64
    }

    /// Whether an entry of the largest size might be refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let queue = lock(&self.shared.queue);
        let (config, unsynced) = (&self.shared.config, queue.unsynced);
        queue.durable_bytes + (unsynced + config.max_entry) as u64 > config.max_bytes
            || unsynced + config.max_entry > config.max_unsynced
    }

    /// Makes acknowledgements durable now and frees what they release.
    ///
    /// # Errors
    /// See [`Spool::checkpoint`].
    pub async fn checkpoint(&self) -> Result<(), Error> {
        self.command(Command::Checkpoint).await
    }

    /// See [`Spool::verify`]. Appends wait meanwhile.
    ///
    /// # Errors
    /// See [`Spool::verify`].
    pub async fn verify(&self) -> Result<Verified, Error> {
        self.command(Command::Verify).await
    }

    /// Syncs, makes acknowledgements durable, and ends the task.
    ///
    /// # Errors
    /// What failed meanwhile. The task has ended anyway.
    pub async fn close(&self) -> Result<(), Error> {
        self.command(Command::Close).await
    }

    async fn command<T>(&self, make: fn(oneshot::Sender<Result<T, Error>>) -> Command) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        lock(&self.shared.queue).commands.push(make(answer));
        if self.wake.is_closed() {
            lock(&self.shared.queue).commands.clear();
            return Err(Error::Closed);
        }
        let _ = self.wake.try_send(());
        answered.await.map_err(|_| Error::Closed)?
    }
}

struct Task<E: Context> {
    spool: Spool<E>,
    shared: Arc<Shared<E>>,
    publish: watch::Sender<Progress>,
    saved_acks: Option<Acks>,
    failure_said: Option<SystemTime>,
}

impl<E: Context> Task<E> {
    async fn run(mut self, context: E, mut woken: mpsc::Receiver<()>) {
        let mut checkpoint_at = context.current() + self.shared.config.checkpoint_every;
        let mut synced = true;
        loop {
            let open = {
                // What failed is tried again without waiting for anything.
                let next = if synced { checkpoint_at } else { context.current() };
                let wait = std::pin::pin!(woken.recv().fuse());
                let tick = std::pin::pin!(context.sleep_until(next).fuse());
                match futures::future::select(wait, tick).await {
                    futures::future::Either::Left((received, _)) => received.is_some(),
                    futures::future::Either::Right(_) => true,
                }
            };
            synced = self.sync(&context).await;
            if context.current() >= checkpoint_at {
                if self.saved_acks.as_ref() != Some(&*lock(&self.shared.acks)) {
                    let started = context.current();
                    let _ = self.checkpoint().await;
                    self.note_slow(&context, started, "checkpoint");
                }
                checkpoint_at = context.current() + self.shared.config.checkpoint_every;
            }
            let commands = std::mem::take(&mut lock(&self.shared.queue).commands);
            for command in commands {
                match command {
                    Command::Checkpoint(answer) => drop(answer.send(self.checkpoint().await)),
                    Command::Verify(answer) => drop(answer.send(self.spool.verify().await)),
                    Command::Close(answer) => {
                        let synced = self.spool.sync().await.map(drop);
                        let saved = self.checkpoint().await;
                        woken.close();
                        let _ = answer.send(synced.and(saved));
                        return;
                    }
                }
            }
            if !open {
                self.sync(&context).await;
                let _ = self.checkpoint().await;
                return;
            }
        }
    }

    /// Writes what is queued, until nothing is left (true) or the disk fails (false, after a pause).
    async fn sync(&mut self, context: &E) -> bool {
        loop {
            let (entries, end) = {
                let mut queue = lock(&self.shared.queue);
                (std::mem::take(&mut queue.entries), queue.end)
            };
            if entries.is_empty() && self.spool.end() == self.spool.durable() {
                return true;
            }
            for payload in entries {
                // The writer has checked the same bounds with the same numbers, and the spool's are not lower.
                let appended = self.spool.append_checked(payload);
                debug_assert!(appended.0 < end);
            }
            assert_eq!(self.spool.end().0, end, "the writer and the spool count the same positions");
            let started = context.current();
            let synced = self.spool.sync().await;
            self.note_slow(context, started, "sync");
            match synced {
                Ok(durable) => self.synced(durable),
                Err(error) => {
                    let now = context.current();
                    let age = self.failure_said.map(|said| now.duration_since(said).unwrap_or_default());
                    if age.is_none_or(|age| age >= SAY_FAILURE) {
                        self.failure_said = Some(now);
                        tracing::error!(%error, "the spool cannot write; nothing is confirmed");
                    }
                    self.publish.send_modify(|p| {
                        p.failures += 1;
                        p.error = Some(error);
                    });
                    context.sleep(self.shared.config.retry_after).await;
                    return false;
                }
            }
        }
    }

    fn note_slow(&self, context: &E, started: SystemTime, what: &str) {
        let took = context.current().duration_since(started).unwrap_or_default();
        if took > SLOW {
            tracing::debug!(spool = %self.shared.config.name, what, ?took, "a slow disk");
        }
    }

    fn synced(&mut self, durable: Position) {
        *lock(&self.shared.view) = self.spool.view();
        {
            let mut queue = lock(&self.shared.queue);
            queue.unsynced = queue.entries.iter().map(Bytes::len).sum();
            queue.durable_bytes = self.spool.bytes();
        }
        let bytes = self.spool.bytes();
        self.publish.send_modify(|p| {
            p.durable = durable;
            p.bytes = bytes;
            p.syncs += 1;
            p.error = None;
        });
    }

    async fn checkpoint(&mut self) -> Result<(), Error> {
        let acks = lock(&self.shared.acks).clone();
        let done = self.spool.checkpoint().await;
        if let Err(error) = &done {
            tracing::error!(%error, "acknowledgements are not durable");
        } else {
            self.saved_acks = Some(acks);
        }
        *lock(&self.shared.view) = self.spool.view();
        let bytes = self.spool.bytes() - self.spool.unsynced() as u64;
        lock(&self.shared.queue).durable_bytes = bytes;
        self.publish.send_modify(|p| p.bytes = bytes);
        done
    }
}
