//! What an agent counts and measures in one process.

use hdrhistogram::Histogram;

/// Counts of records, by name in [`Counters::all`]; `batches` counts batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub sampled: u64,
    pub refused: u64,
    pub invalid: u64,
    pub spooled: u64,
    pub received: u64,
    pub anchored: u64,
    pub archived: u64,
    pub forgotten: u64,
    pub batches: u64,
    pub offered_again: u64,
    pub rejected: u64,
    pub receipts_refused: u64,
    pub notices_refused: u64,
    pub notices_unmatched: u64,
    pub trust_refused: u64,
    pub sync_failures: u64,
    pub clock_off: u64,
    pub answers_dropped: u64,
}

impl Counters {
    pub fn all(&self) -> [(&'static str, u64); 18] {
        [
            ("sampled", self.sampled),
            ("refused", self.refused),
            ("invalid", self.invalid),
            ("spooled", self.spooled),
            ("received", self.received),
            ("anchored", self.anchored),
            ("archived", self.archived),
            ("forgotten", self.forgotten),
            ("batches", self.batches),
            ("offered_again", self.offered_again),
            ("rejected", self.rejected),
            ("receipts_refused", self.receipts_refused),
            ("notices_refused", self.notices_refused),
            ("notices_unmatched", self.notices_unmatched),
            ("trust_refused", self.trust_refused),
            ("sync_failures", self.sync_failures),
            ("clock_off", self.clock_off),
            ("answers_dropped", self.answers_dropped),
        ]
    }
}

/// From a batch's sealing to what became of it, in microseconds.
pub(super) struct Latencies {
    /// To its valid receipt.
    pub anchor_us: Histogram<u64>,
    /// To its notice.
    pub archive_us: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        // 1 µs to an hour, two significant digits: about 40 KiB each.
        let histogram = || Histogram::new_with_max(3_600_000_000, 2).expect("constant bounds are valid");
        Self { anchor_us: histogram(), archive_us: histogram() }
    }
}
