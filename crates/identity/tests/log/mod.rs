//! Lines that the crate writes to its log, of all tests of a file together.

use std::fmt::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static MORE: Condvar = Condvar::new();
/// A test that waits longer for a line has failed.
const LONGEST: Duration = Duration::from_secs(20);

/// Begins to listen.
pub fn start() {
    static START: Once = Once::new();
    START.call_once(|| tracing::subscriber::set_global_default(Log).expect("no other subscriber"));
}

/// The lines that hold all of these words: one test's, if a word is its folder.
pub fn lines(words: &[&str]) -> Vec<String> {
    lock().iter().filter(|line| holds(line, words)).cloned().collect()
}

/// Waits for such a line.
pub fn wait_for(words: &[&str]) {
    let deadline = Instant::now() + LONGEST;
    let mut lines = lock();
    while !lines.iter().any(|line| holds(line, words)) {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "no line with {words:?} in {lines:#?}");
        lines = MORE.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

fn holds(line: &str, words: &[&str]) -> bool {
    words.iter().all(|word| line.contains(word))
}

fn lock() -> MutexGuard<'static, Vec<String>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Log;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").expect("text has room");
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("voltmesh_identity")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        lock().push(line.0);
        MORE.notify_all();
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}
