//! End of a query that heeds its limits no more.
//!
//! The engine looks at the clock where it pauses, and counts what joins, sorts and groups hold. A function over one long text
//! or list does neither: it may compute for hours, or take all memory, before it comes back. So a thread watches the process.

use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{output, usage::Usage};

/// Time beyond the query's own limit in which it may end by itself.
const GRACE: Duration = Duration::from_secs(1);
/// Bytes of the process beside what operators and answer hold: its code, the tables' logs, pages of files.
const BESIDE: u64 = 256 << 20;
/// Time between two looks: at 4 GB/s, 80 MB are taken meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// Watch over this process, until it is dropped.
pub(super) struct Guard(Arc<AtomicBool>);

impl Guard {
    /// Ends the process, with exit code 1, once the query has lasted longer than `time`, or holds more than `memory` bytes
    /// for its operators and as many for its answer.
    pub(super) fn start(time: Duration, memory: u64) -> Self {
        let (done, begun) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let watched = done.clone();
        let most = memory.saturating_mul(2).saturating_add(BESIDE);
        thread::spawn(move || {
            while !watched.load(Ordering::Relaxed) {
                let held = Usage::own().map(|own| (own.rss_mb * 1e6) as u64);
                if let Some(why) = beyond(begun.elapsed(), time, held, most) {
                    output::note(&format!("error: {why}"));
                    process::exit(1);
                }
                thread::sleep(PAUSE);
            }
        });
        Self(done)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Which limit is passed, if one is.
fn beyond(lasted: Duration, time: Duration, held: Option<u64>, most: u64) -> Option<String> {
    if lasted > time.saturating_add(GRACE) {
        let seconds = time.as_secs();
        return Some(format!(
            "the query took longer than {seconds} s and did not pause: narrow it, or allow more with --timeout"
        ));
    }
    held.filter(|held| *held > most).map(|held| {
        let (held, most) = (held >> 20, most >> 20);
        format!(
            "the query holds {held} MiB, at most {most} are allowed for all of it: narrow it, or allow more with --memory"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_that_does_not_pause_or_takes_all_memory_is_ended() {
        let (time, most) = (Duration::from_secs(5), 1 << 30);
        assert_eq!(beyond(Duration::from_secs(6), time, Some(most), most), None);
        assert_eq!(beyond(Duration::from_secs(6), time, None, most), None);
        let late = beyond(Duration::from_millis(6001), time, Some(0), most);
        assert!(late.is_some_and(|why| why.contains("longer than 5 s")));
        let large = beyond(Duration::ZERO, time, Some(most + (1 << 20)), most);
        assert!(large.is_some_and(|why| why.contains("holds 1025 MiB, at most 1024")));
    }
}
