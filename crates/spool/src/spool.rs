//! The spool of one owner: everything that touches the disk.

mod journals;
mod reading;
mod recovery;

pub use reading::Verified;

use crate::entry::Entry;
use crate::state::{Contents, MAX_SPANS, Span, State};
use crate::view::{Recent, Segment, View, read_error};
use crate::{Acks, Config, Error, Position};
use bytes::Bytes;
use commonware_runtime::buffer::paged::CacheRef;
use commonware_storage::Context;
use commonware_storage::journal::contiguous::{Contiguous as _, Many, variable};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Journal<E> = variable::Journal<E, Entry>;

/// A crash-safe queue; see the crate's documentation for what it guarantees.
pub struct Spool<E: Context> {
    context: E,
    config: Config,
    cache: CacheRef,
    state: State<E>,
    contents: Contents,
    /// The journal that is written to; `None` after a failure, until it is replaced.
    live: Option<Journal<E>>,
    view: View<E>,
    /// Appended and not confirmed, in order from `durable` on.
    pending: Vec<Entry>,
    pending_bytes: usize,
    durable: u64,
    /// Payload bytes of all entries ever, and of those below the floor at the last checkpoint.
    total: u64,
    released: u64,
    acks: Arc<Mutex<Acks>>,
    rotations: u64,
    /// Entries since the journal's recovery mark was last moved.
    unmarked: u64,
}

impl<E: Context> Spool<E> {
    /// Opens the spool of that name, or creates it. After a crash a torn tail is dropped.
    ///
    /// # Errors
    /// [`Error::Storage`] if the disk cannot be read or written; [`Error::Corrupt`] if confirmed entries of a
    /// closed file are missing.
    pub async fn open(context: E, config: Config) -> Result<Self, Error> {
        let failed = |action| {
            let name = config.name.clone();
            move |cause| Error::Storage { name, action, cause }
        };
        let (state, contents) =
            State::open(context.child("spool"), &config.name).await.map_err(failed("opening the state"))?;
        let cache = CacheRef::new(crate::config::PAGE, config.cache_pages);
        let mut spool = Self {
            context,
            cache,
            state,
            contents: contents.unwrap_or_default(),
            live: None,
            view: View {
                segments: Vec::new(),
                recent: Arc::new(Mutex::new(Recent::new(config.recent_bytes))),
            },
            pending: Vec::new(),
            pending_bytes: 0,
            durable: 0,
            total: 0,
            released: 0,
            acks: Arc::default(),
            rotations: 0,
            unmarked: 0,
            config,
        };
        spool.recover().await?;
        Ok(spool)
    }

    /// Appends in memory; durable after the next [`Self::sync`].
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Busy`] or [`Error::TooLarge`]: nothing was appended.
    pub fn append(&mut self, payload: Bytes) -> Result<Position, Error> {
        let size = payload.len();
        if size > self.config.max_entry {
            return Err(Error::TooLarge { size, max: self.config.max_entry });
        }
        if self.bytes() + size as u64 > self.config.max_bytes {
            return Err(Error::Full { used: self.bytes(), max: self.config.max_bytes });
        }
        if self.pending_bytes + size > self.config.max_unsynced && !self.pending.is_empty() {
            return Err(Error::Busy { unsynced: self.pending_bytes, max: self.config.max_unsynced });
        }
        Ok(self.append_checked(payload))
    }

    /// Appends what is known to fit.
    pub(crate) fn append_checked(&mut self, payload: Bytes) -> Position {
        let position = self.end();
        self.pending_bytes += payload.len();
        let before = self.total;
        self.total += payload.len() as u64;
        self.pending.push(Entry { before, payload });
        position
    }

    /// Bytes that are appended and not confirmed.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.pending_bytes
    }

    /// Makes all that was appended durable, by one fdatasync. Returns the first position that is not durable.
    ///
    /// # Errors
    /// [`Error::Storage`] if writing failed twice, the second time to a new file. Nothing is confirmed and
    /// nothing is lost: the entries stay in memory for the next call.
    pub async fn sync(&mut self) -> Result<Position, Error> {
        if self.pending.is_empty() {
            return Ok(Position(self.durable));
        }
        if self.live.is_some() {
            match self.write().await {
                Ok(()) => return Ok(Position(self.durable)),
                Err(e) => {
                    tracing::warn!(spool = self.config.name, error = %e, "not synced, changing to a new file")
                }
            }
        }
        self.rotate().await?;
        self.write().await?;
        Ok(Position(self.durable))
    }

    async fn write(&mut self) -> Result<(), Error> {
        // An error, or dropping this future, destroys the journal: then it is not trusted again.
        let Some(journal) = self.live.take() else { return Err(self.failed("writing", "no journal")) };
        let written = async {
            let (journal, _) = journal.append_many(Many::Flat(&self.pending)).await?;
            journal.commit().await
        };
        let journal = written.await.map_err(|e| self.failed("writing", e))?;
        let span = self.contents.spans.last().copied().ok_or_else(|| self.failed("writing", "no span"))?;
        let durable = span.base + journal.size();
        self.publish(span, journal).await?;
        self.durable = durable;
        self.unmarked += self.pending.len() as u64;
        self.pending_bytes = 0;
        let first = durable - self.pending.len() as u64;
        let mut recent = self.view.recent();
        for (position, entry) in (first..).zip(self.pending.drain(..)) {
            recent.push(position, entry.payload);
        }
        Ok(())
    }

    /// Makes the journal's present contents readable.
    async fn publish(&mut self, span: Span, journal: Journal<E>) -> Result<(), Error> {
        let (journal, reader) = journal.snapshot().await.map_err(|e| self.failed("reading", e))?;
        self.view.segments.retain(|s| s.base != span.base);
        let segment = Segment { base: span.base, end: span.base + journal.size(), reader: Arc::new(reader) };
        self.view.segments.push(segment);
        self.live = Some(journal);
        Ok(())
    }

    /// Starts a new journal at the first position that is not durable.
    async fn rotate(&mut self) -> Result<(), Error> {
        if self.contents.spans.len() >= MAX_SPANS {
            return Err(self.failed("changing to a new file", "too many files failed; check the disk"));
        }
        self.live = None;
        let before = self.contents.clone();
        let empty = self.cap_last();
        let id = self.contents.next_id;
        self.contents.next_id += 1;
        let span = Span { id, base: self.durable, end: None };
        self.contents.spans.push(span);
        let started = async {
            self.remove_journal(id).await?; // may be left by an attempt that a crash ended
            let journal = self.open_journal(id, None).await?;
            self.contents.acks = self.durable_acks();
            let contents = self.contents.clone();
            self.state.save(&contents).await.map_err(|cause| self.failed("writing the state", cause))?;
            Ok(journal)
        };
        match started.await {
            Ok(journal) => {
                self.rotations += 1;
                if let Some(empty) = empty {
                    let _ = self.remove_journal(empty.id).await; // what stays is only space
                }
                self.publish(span, journal).await
            }
            Err(e) => {
                // Keep `next_id`: the state may have reached the disk although its sync failed.
                let next_id = self.contents.next_id;
                self.contents = Contents { next_id, ..before };
                let _ = self.remove_journal(id).await;
                Err(e)
            }
        }
    }

    /// Closes the last span at what is durable, or forgets it if it holds nothing and returns it.
    fn cap_last(&mut self) -> Option<Span> {
        let last = self.contents.spans.last_mut()?;
        let end = *last.end.get_or_insert(self.durable);
        self.contents.spans.pop_if(|last| end == last.base)
    }

    /// Acknowledges an entry, in any order. Durable after the next [`Self::checkpoint`].
    ///
    /// # Errors
    /// [`Error::NotDurable`] for a position that is not durable yet.
    pub fn ack(&mut self, position: Position) -> Result<(), Error> {
        if position.0 >= self.durable {
            return Err(Error::NotDurable { position, durable: Position(self.durable) });
        }
        self.lock_acks().insert(position);
        Ok(())
    }

    /// Makes acknowledgements durable and removes files that are acknowledged as a whole.
    ///
    /// # Errors
    /// [`Error::Storage`]: acknowledgements may be forgotten by a crash. Call again.
    pub async fn checkpoint(&mut self) -> Result<(), Error> {
        let acks = self.durable_acks();
        let floor = acks.floor().0;
        let gone: Vec<Span> =
            self.contents.spans.iter().copied().filter(|s| self.is_done(*s, floor)).collect();
        if acks != self.contents.acks || !gone.is_empty() {
            let mut contents = self.contents.clone();
            contents.acks = acks;
            contents.spans.retain(|s| !gone.contains(s));
            self.state.save(&contents).await.map_err(|cause| self.failed("writing the state", cause))?;
            self.contents = contents;
        }
        for span in gone {
            self.view.segments.retain(|s| s.base != span.base);
            self.remove_journal(span.id).await?;
        }
        self.prune(floor).await?;
        self.measure().await
    }

    /// Drops whole files below the floor of the live journal. The newest entry always stays.
    async fn prune(&mut self, floor: u64) -> Result<(), Error> {
        let Some(span) = self.contents.spans.last().copied() else { return Ok(()) };
        let Some(journal) = self.live.take() else { return Ok(()) };
        let keep = floor.min(self.durable.saturating_sub(1)).saturating_sub(span.base);
        let per_file = self.config.entries_per_file.get();
        if keep / per_file * per_file <= journal.bounds().start && self.unmarked < per_file {
            self.live = Some(journal);
            return Ok(());
        }
        // Moving the recovery mark bounds what has to be read again when the spool is opened.
        self.unmarked = 0;
        let pruned = async { journal.sync().await?.prune(keep).await };
        let (journal, _) = pruned.await.map_err(|e| self.failed("removing acknowledged files", e))?;
        self.publish(span, journal).await
    }

    /// The first position that is not durable.
    #[must_use]
    pub fn durable(&self) -> Position {
        Position(self.durable)
    }

    /// The position that the next append gets.
    #[must_use]
    pub fn end(&self) -> Position {
        Position(self.durable + self.pending.len() as u64)
    }

    /// The first position that is not acknowledged.
    #[must_use]
    pub fn floor(&self) -> Position {
        self.lock_acks().floor()
    }

    /// Whether a position is acknowledged.
    #[must_use]
    pub fn is_acked(&self, position: Position) -> bool {
        self.lock_acks().contains(position)
    }

    /// Payload bytes from the floor of the last checkpoint on.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.total - self.released
    }

    /// Whether an entry of the largest size might be refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes() + self.config.max_entry as u64 > self.config.max_bytes
    }

    /// How often a file was given up after a failure (and once for the first file).
    #[must_use]
    pub fn rotations(&self) -> u64 {
        self.rotations
    }

    /// The configuration it was opened with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn view(&self) -> View<E> {
        self.view.clone()
    }

    pub(crate) fn acks(&self) -> Arc<Mutex<Acks>> {
        self.acks.clone()
    }

    /// Acknowledgements as they may be made durable: only of durable entries, so that no position is used again.
    fn durable_acks(&self) -> Acks {
        let acks = self.lock_acks().clone();
        debug_assert!(acks.end().0 <= self.durable, "an entry was acknowledged before it was durable");
        acks
    }

    fn lock_acks(&self) -> MutexGuard<'_, Acks> {
        self.acks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A closed span whose entries are all acknowledged, and which does not hold the newest entry.
    fn is_done(&self, span: Span, floor: u64) -> bool {
        span.end.is_some_and(|end| floor >= end) && self.last_position() >= span.end.unwrap_or(u64::MAX)
    }

    fn last_position(&self) -> u64 {
        self.view.segments.iter().rev().find(|s| s.start() < s.end).map_or(0, |s| s.end - 1)
    }

    async fn last_entry(&self) -> Result<Option<Entry>, Error> {
        let last = self.last_position();
        self.view.entry(last).await.map_err(|e| self.read_failed(last, e))
    }

    /// Finds out how many bytes lie below the floor.
    async fn measure(&mut self) -> Result<(), Error> {
        let floor = self.lock_acks().floor().0;
        if floor >= self.end().0 {
            self.released = self.total;
        } else if floor >= self.durable {
            self.released = self.pending.first().map_or(self.total, |e| e.before);
        } else {
            let first = self.view.segments.iter().find(|s| floor < s.end && s.start() < s.end);
            let position = first.map_or(floor, |s| s.start().max(floor));
            let entry = self.view.entry(position).await.map_err(|e| self.read_failed(position, e))?;
            self.released = entry.map_or(self.released, |e| e.before);
        }
        Ok(())
    }

    fn failed(&self, action: &'static str, cause: impl ToString) -> Error {
        Error::Storage { name: self.config.name.clone(), action, cause: cause.to_string() }
    }

    fn corrupt(&self, position: u64, cause: String) -> Error {
        Error::Corrupt { name: self.config.name.clone(), position: Position(position), cause }
    }

    fn read_failed(&self, position: u64, error: commonware_storage::journal::Error) -> Error {
        read_error(&self.config.name, position, error)
    }
}
