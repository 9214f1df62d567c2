//! Many seeds on many threads, whatever a seed runs.

use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Report on one seed.
pub trait SeedReport {
    /// The seed.
    fn seed(&self) -> u64;

    /// Broken invariants; empty if it passed.
    fn problems(&self) -> &[String];

    /// The command that runs the same again.
    fn replay(&self) -> String;

    /// Whether all invariants hold.
    fn passed(&self) -> bool {
        self.problems().is_empty()
    }
}

/// Sum of the reports on many seeds.
pub trait SeedSum: Default + Send {
    /// Report on one of them.
    type Report: SeedReport;

    /// Adds what was counted in one seed.
    fn add(&mut self, report: &Self::Report);

    /// The failed seed with the least number, if any.
    fn failed(&mut self) -> &mut Option<Self::Report>;
}

/// Runs the seeds of a range on so many threads; `tell` gets every report as it comes. After a failure no further
/// seeds are begun.
pub(crate) fn run_range<S: SeedSum>(
    seeds: Range<u64>,
    threads: usize,
    run: impl Fn(u64) -> S::Report + Sync,
    tell: impl Fn(&S::Report) + Sync,
) -> S {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let sum = Mutex::new(S::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let report = run(seed);
                    tell(&report);
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    sum.add(&report);
                    if !report.passed() {
                        stop.store(true, Ordering::Relaxed);
                        let failed = sum.failed();
                        if failed.as_ref().is_none_or(|failed| seed < failed.seed()) {
                            *failed = Some(report);
                        }
                    }
                }
            });
        }
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}
