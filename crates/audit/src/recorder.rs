//! Writes a log: entries come from any thread, and one thread chains, writes and fsyncs them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::tally::Counted;
use crate::{Entry, Error, Hash, Head, Kind, Tally, files, read};

/// Entries that wait for the writer, 1,024 × 700 B at most; more are counted as lost. An fsync of 100 ms lets pass 10,000 a
/// second of those that no [`Tally`] bounds, which only operators and starts cause.
const WAITING: usize = 1_024;

/// Between two looks at what is due.
const LOOK: Duration = Duration::from_secs(1);

/// Hand of a role on its log. Clones write the same log; one of [`Recorder::none`] writes nothing.
#[derive(Clone, Default)]
pub struct Recorder(Option<Arc<Shared>>);

struct Shared {
    to_writer: SyncSender<Message>,
    started: Instant,
    tallies: Mutex<[Tally; 2]>,
    lost: Mutex<u64>,
    writer: Mutex<Option<JoinHandle<()>>>,
    folder: PathBuf,
    /// The last entry that is durable.
    head: Mutex<Option<Head>>,
    /// What the last entry about the configuration said when the log was opened.
    configuration: Option<String>,
}

enum Message {
    Write(Counted),
    Close,
}

impl Recorder {
    /// A hand that writes nothing: for tests and tools.
    pub fn none() -> Self {
        Self::default()
    }

    /// Opens the log in a folder, made with mode 0700 if it is not there, and starts its writer. What a power cut left of a last
    /// line is cut off, and an entry says so; where the end of the log is damaged, a new file goes on. A log has one writer at a
    /// time: one that is closed gives way, for another this waits some seconds.
    ///
    /// # Errors
    /// [`Error::InUse`] if another writer keeps the log, [`Error::File`].
    pub fn open(folder: &Path) -> Result<Self, Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(Error::file("make", folder))?;
        let taken = files::take(folder, files::PATIENCE)?;
        let mut configuration = None;
        let mut log = Log::open(folder, |entry| {
            if entry.kind == Kind::Configuration && entry.who == "configuration" {
                configuration = Some(entry.what.clone());
            }
        })?;
        let (to_writer, from_all) = sync_channel(WAITING);
        let shared = Arc::new(Shared {
            to_writer,
            started: Instant::now(),
            tallies: Mutex::new([Tally::of_refusals(), Tally::of_reads()]),
            lost: Mutex::new(0),
            writer: Mutex::new(None),
            folder: folder.to_path_buf(),
            head: Mutex::new(log.head()),
            configuration,
        });
        let (weak, path) = (Arc::downgrade(&shared), folder.to_path_buf());
        let writer = std::thread::Builder::new().name("audit".to_owned()).spawn(move || {
            write(&mut log, &from_all, || weak.upgrade());
            drop(taken);
        });
        *lock(&shared.writer) = Some(writer.map_err(Error::file("start the writer of", &path))?);
        Ok(Self(Some(shared)))
    }

    /// The last entry that is durable; `None` before the first.
    pub fn head(&self) -> Option<Head> {
        self.0.as_ref().and_then(|shared| *lock(&shared.head))
    }

    /// The log's folder; `None` of [`Self::none`].
    pub fn folder(&self) -> Option<&Path> {
        self.0.as_ref().map(|shared| shared.folder.as_path())
    }

    /// Writes an entry.
    pub fn record(&self, kind: Kind, who: &str, what: &str) {
        if let Some(shared) = &self.0 {
            shared.send(Counted { kind, who: who.to_owned(), what: what.to_owned(), count: 1 });
        }
    }

    /// Writes what the process goes by: its version, and the digest of its configuration. If the log's last one is another, the
    /// entry says so.
    pub fn started(&self, version: &str, configuration: &str) {
        let Some(shared) = &self.0 else { return };
        self.record(Kind::Start, "process", version);
        if shared.configuration.as_deref() != Some(configuration) {
            self.record(Kind::Configuration, "configuration", configuration);
        }
    }

    /// Counts a refusal; see [`Tally`] for what is written.
    pub fn refusal(&self, who: &str, what: &str) {
        self.count(0, Kind::Refusal, who, what);
    }

    /// Counts a read of the archive; see [`Tally`] for what is written.
    pub fn read(&self, who: &str, what: &str) {
        self.count(1, Kind::Read, who, what);
    }

    fn count(&self, tally: usize, kind: Kind, who: &str, what: &str) {
        let Some(shared) = &self.0 else { return };
        let at_once = lock(&shared.tallies)[tally].count(shared.started.elapsed(), who, what);
        if at_once {
            shared.send(Counted { kind, who: who.to_owned(), what: what.to_owned(), count: 1 });
        }
    }

    /// Writes what was counted, and ends the writer; what comes later is not written.
    pub fn close(&self) {
        let Some(shared) = &self.0 else { return };
        let Some(writer) = lock(&shared.writer).take() else { return };
        // Waits for room: the writer takes what is there first.
        if shared.to_writer.send(Message::Close).is_ok() && writer.join().is_err() {
            tracing::warn!("the writer of the audit log has failed");
        }
    }
}

/// Of the same log.
impl PartialEq for Recorder {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl Eq for Recorder {}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Recorder").field(&self.0.is_some()).finish()
    }
}

impl Shared {
    fn send(&self, counted: Counted) {
        if let Err(TrySendError::Full(_)) = self.to_writer.try_send(Message::Write(counted)) {
            *lock(&self.lost) += 1;
        }
    }

    /// What is due of the tallies, and of what was lost.
    fn due(&self, all: bool) -> Vec<Counted> {
        let now = self.started.elapsed();
        let mut due: Vec<_> = lock(&self.tallies).iter_mut().flat_map(|tally| tally.due(now, all)).collect();
        let lost = std::mem::take(&mut *lock(&self.lost));
        if lost > 0 {
            due.push(gap("entries that came too fast for the disk", lost));
        }
        due
    }
}

fn gap(what: &str, count: u64) -> Counted {
    Counted { kind: Kind::Gap, who: "audit".to_owned(), what: what.to_owned(), count }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes what waits, writes it, fsyncs, and again; until it is closed or nobody holds the recorder any more.
fn write(log: &mut Log, messages: &Receiver<Message>, shared: impl Fn() -> Option<Arc<Shared>>) {
    let (mut open, mut unwritten) = (true, 0);
    while open {
        let mut batch = Vec::new();
        match messages.recv_timeout(LOOK) {
            Ok(Message::Write(counted)) => batch.push(counted),
            Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => open = false,
            Err(RecvTimeoutError::Timeout) => {}
        }
        batch.extend(messages.try_iter().filter_map(|message| match message {
            Message::Write(counted) => Some(counted),
            Message::Close => {
                open = false;
                None
            }
        }));
        batch.extend(shared().map(|shared| shared.due(!open)).unwrap_or_default());
        let more = batch.iter().fold(0_u64, |sum, counted| sum.saturating_add(counted.count));
        if unwritten > 0 {
            batch.push(gap("events that could not be written", unwritten));
        }
        if batch.is_empty() {
            continue;
        }
        match log.append(&batch) {
            Ok(()) => {
                unwritten = 0;
                if let Some(shared) = shared() {
                    *lock(&shared.head) = log.head();
                }
            }
            Err(error) => {
                if unwritten == 0 {
                    tracing::error!(%error, folder = %log.folder.display(), "the audit log cannot be written; what it misses is counted");
                }
                unwritten = unwritten.saturating_add(more);
            }
        }
    }
}

/// The end of a log.
struct Log {
    folder: PathBuf,
    file: File,
    bytes: u64,
    next: u64,
    last: Hash,
}

impl Log {
    fn open(folder: &Path, each: impl FnMut(&Entry)) -> Result<Self, Error> {
        let files = files::list(folder)?;
        let Some((first, newest)) = files.last() else {
            return Self::begin(folder, 0, Hash::default());
        };
        let report = read(folder, each)?;
        let (next, last) =
            report.head.map_or((*first, Hash::default()), |head| (head.seq.saturating_add(1), head.hash));
        let size = fs::metadata(newest).map_err(Error::file("look at", newest))?.len();
        let name = newest.file_name().unwrap_or_default().to_string_lossy();
        let damaged = report.problems.iter().any(|problem| problem.file == name);
        if damaged {
            // Its end is not to be trusted: the next file goes on, and the damage stays to be seen.
            let next = next.max(first.saturating_add(1));
            let mut log = Self::begin(folder, next, last)?;
            log.append(&[gap(&format!("{name} is damaged: see `voltmesh audit verify`"), 1)])
                .map_err(Error::file("write", folder))?;
            return Ok(log);
        }
        let file = OpenOptions::new().append(true).open(newest).map_err(Error::file("write", newest))?;
        let bytes = size.saturating_sub(report.torn_bytes);
        let mut log = Self { folder: folder.to_path_buf(), file, bytes, next, last };
        if report.torn_bytes > 0 {
            log.file.set_len(bytes).map_err(Error::file("write", newest))?;
            log.append(&[gap("an entry that was being written when the process ended", 1)])
                .map_err(Error::file("write", newest))?;
        }
        Ok(log)
    }

    fn head(&self) -> Option<Head> {
        self.next.checked_sub(1).map(|seq| Head { seq, hash: self.last })
    }

    fn begin(folder: &Path, first: u64, last: Hash) -> Result<Self, Error> {
        let path = files::path_of(folder, first);
        let file = make(folder, &path).map_err(Error::file("make", &path))?;
        Ok(Self { folder: folder.to_path_buf(), file, bytes: 0, next: first, last })
    }

    /// Appends entries, all durable or none: what a failed write has left is cut off.
    fn append(&mut self, batch: &[Counted]) -> io::Result<()> {
        if self.bytes >= files::FILE_BYTES {
            self.rotate()?;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let (mut text, mut next, mut last) = (String::new(), self.next, self.last);
        for Counted { kind, who, what, count } in batch {
            let (line, hash) = Entry::new(next, at_ms, *kind, who, what, *count, last).to_line();
            text.push_str(&line);
            text.push('\n');
            (next, last) = (next + 1, hash);
        }
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        if written.is_err() {
            self.file.set_len(self.bytes)?;
        } else {
            (self.bytes, self.next, self.last) = (self.bytes + text.len() as u64, next, last);
        }
        written
    }

    /// Goes on in the next file; the oldest one past the bound goes.
    fn rotate(&mut self) -> io::Result<()> {
        let path = files::path_of(&self.folder, self.next);
        (self.file, self.bytes) = (make(&self.folder, &path)?, 0);
        let files = files::list(&self.folder).map_err(io::Error::other)?;
        for (_, oldest) in files.iter().take(files.len().saturating_sub(files::FILES)) {
            fs::remove_file(oldest)?;
        }
        Ok(())
    }
}

fn make(folder: &Path, path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests;
