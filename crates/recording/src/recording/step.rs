//! Steps of reading on, and what files of either kind have in common: their clock and their remarks.

use crate::clock::{Clock, ClockConfig};
use crate::report::Said;
use crate::{Error, Options};
use std::collections::BTreeSet;

/// Result of reading on.
pub(super) enum Step {
    /// The row that comes next: it was read in place.
    Row,
    /// Perhaps rows in the queue.
    More,
    /// Nothing: the file has ended.
    End,
}

/// An error of the clock, with the file at which it came.
pub(super) fn at(file: &str, error: Error) -> Error {
    match error {
        Error::Format { problem, .. } => Error::Format { place: file.to_owned(), problem },
        other => other,
    }
}

pub(super) fn clock<T>(options: &Options) -> Clock<T> {
    let ns = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    Clock::new(ClockConfig {
        now_ns: ns(options.now_ms),
        start_ns: options.start_ms.map(ns),
        needs_date: options.needs_date,
    })
}

/// Adds what a file said, with its name where there are several.
pub(super) fn merge(whole: &mut Said, file: Said, name: Option<&str>) {
    let named = |text: String| match name {
        Some(name) => format!("{name}: {text}"),
        None => text,
    };
    if whole.format.is_empty() {
        whole.format = file.format;
    } else if whole.format != file.format {
        whole.warnings.push(format!("the files are of several forms: {}, {}", whole.format, file.format));
    }
    whole.clock.extend(file.clock.into_iter().map(named));
    for source in file.sources {
        if !whole.sources.contains(&source) {
            whole.sources.push(source);
        }
    }
    whole.skipped.merge(&file.skipped);
    whole.warnings.extend(file.warnings.into_iter().map(named));
    whole.doubts.extend(file.doubts.into_iter().map(named));
    let known: BTreeSet<String> = whole.unused.iter().cloned().collect();
    whole.unused.extend(file.unused.into_iter().filter(|name| !known.contains(name)));
}
