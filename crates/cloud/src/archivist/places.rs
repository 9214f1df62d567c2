//! Entries of the ledger's log that the archive has evidence of: a batch that comes again under another entry was anchored
//! twice, and the second entry's evidence is kept as well.

use std::collections::BTreeMap;

/// Ranges in memory: 1,024 × 32 B. Entries are anchored by number, so that each gap is one on its way, or no batch. Beyond,
/// the lowest is forgotten: a copy under one of its entries would be kept once more, which harms nothing.
const MAX_RANGES: usize = 1024;
/// Ranges that a commit's metadata say: the newest, which repeats after a restart come from; some 300 bytes.
pub const SAVED_RANGES: usize = 16;

/// Entries of the log, as ranges: first, and the one after the last.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<u64, u64>);

impl Places {
    /// What the metadata of one or more commits said.
    pub fn new(saved: &[(u64, u64)]) -> Self {
        let mut sorted: Vec<_> = saved.iter().copied().filter(|(first, next)| first < next).collect();
        sorted.sort_unstable();
        let mut ranges: BTreeMap<u64, u64> = BTreeMap::new();
        for (first, next) in sorted {
            match ranges.last_entry() {
                Some(mut last) if *last.get() >= first => {
                    let end = next.max(*last.get());
                    last.insert(end);
                }
                _ => drop(ranges.insert(first, next)),
            }
        }
        Self(ranges)
    }

    /// Notes an entry; false if it was known.
    pub fn insert(&mut self, index: u64) -> bool {
        let after = index.saturating_add(1);
        let below = self.0.range(..=index).next_back().map(|(first, next)| (*first, *next));
        if below.is_some_and(|(_, next)| next > index) {
            return false;
        }
        let first = below.filter(|(_, next)| *next == index).map_or(index, |(first, _)| first);
        let next = self.0.remove(&after).unwrap_or(after);
        self.0.insert(first, next);
        if self.0.len() > MAX_RANGES {
            self.0.pop_first();
        }
        true
    }

    /// The newest ranges.
    pub fn saved(&self) -> Vec<(u64, u64)> {
        let skipped = self.0.len().saturating_sub(SAVED_RANGES);
        self.0.iter().skip(skipped).map(|(first, next)| (*first, *next)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_entry_is_new_once_in_any_order() {
        let (mut places, mut known) = (Places::default(), BTreeSet::new());
        for step in 0..2000u64 {
            let index = step * 7919 % 503;
            assert_eq!(places.insert(index), known.insert(index), "{index}");
        }
        assert_eq!(places.saved(), [(0, 503)]);
        assert!(!places.insert(5) && places.insert(600));
        assert_eq!(Places::new(&places.saved()).saved(), [(0, 503), (600, 601)]);
        let several = [(3, 5), (0, 2), (7, 7), (4, 6), (1, 2), (6, 8)];
        assert_eq!(Places::new(&several).saved(), [(0, 2), (3, 8)]);
    }

    /// One past the bound the lowest range is forgotten, and only that.
    #[test]
    fn beyond_the_bound_the_oldest_is_forgotten() {
        let mut places = Places::default();
        for n in 0..=MAX_RANGES as u64 {
            assert!(places.insert(2 * n));
        }
        assert!(!places.insert(2) && places.insert(0), "0 was forgotten, 2 is known");
        assert_eq!(places.saved().len(), SAVED_RANGES);
    }
}
