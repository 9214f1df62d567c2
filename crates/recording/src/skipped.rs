//! Counts of what was not read, by reason.

use std::collections::BTreeMap;

/// Most reasons that are kept apart; further ones are counted together.
const MAX_REASONS: usize = 64;
/// The reason under which all further ones are counted.
const OTHER: &str = "other";

/// Lines, frames or rows that were not read, counted by reason, each with the place of its first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    reasons: BTreeMap<String, (u64, String)>,
}

impl Skipped {
    /// Counts one: `reason` says why and is the same for all of its kind, `place` where (file and line).
    pub fn count(&mut self, reason: &str, place: impl FnOnce() -> String) {
        let known = self.reasons.contains_key(reason) || self.reasons.len() < MAX_REASONS;
        let key = if known { reason } else { OTHER };
        if let Some((count, _)) = self.reasons.get_mut(key) {
            *count += 1;
        } else {
            self.reasons.insert(key.to_owned(), (1, place()));
        }
    }

    /// Reason, count and place of the first, by reason.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64, &str)> {
        self.reasons.iter().map(|(reason, (count, place))| (reason.as_str(), *count, place.as_str()))
    }

    /// All together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.reasons.values().map(|(count, _)| count).sum()
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Self) {
        for (reason, (count, place)) in &other.reasons {
            self.reasons.entry(reason.clone()).or_insert_with(|| (0, place.clone())).0 += count;
        }
    }
}
