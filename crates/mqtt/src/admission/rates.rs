use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::source::Source;
use crate::Moment;

/// A token bucket for each source, filled at a rate, which holds one second's worth.
///
/// A bucket is kept as the moment at which it will be full again; a full one is not kept at all. One more source than may
/// be remembered makes the fullest bucket full.
#[derive(Debug)]
pub(super) struct Rates {
    per_token: Duration,
    most: usize,
    full_at: HashMap<Source, Moment>,
    order: BTreeSet<(Moment, Source)>,
}

/// Capacity of a bucket: one second's worth.
const DEPTH: Duration = Duration::from_secs(1);

impl Rates {
    pub(super) fn new(per_second: u32, most: usize) -> Rates {
        Rates {
            per_token: DEPTH / per_second.max(1),
            most: most.max(1),
            full_at: HashMap::new(),
            order: BTreeSet::new(),
        }
    }

    /// Takes a token if there is one.
    pub(super) fn take(&mut self, now: Moment, source: Source) -> bool {
        while let Some((full_at, known)) = self.order.first().copied()
            && (full_at <= now || (self.full_at.len() >= self.most && !self.full_at.contains_key(&source)))
        {
            self.order.remove(&(full_at, known));
            self.full_at.remove(&known);
        }
        let before = self.full_at.get(&source).copied();
        let after = before.unwrap_or(now).after(self.per_token);
        if after > now.after(DEPTH) {
            return false;
        }
        if let Some(before) = before {
            self.order.remove(&(before, source));
        }
        self.full_at.insert(source, after);
        self.order.insert((after, source));
        true
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.full_at.len(), self.order.len());
        self.order.len()
    }
}
