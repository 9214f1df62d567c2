use std::collections::{BTreeSet, HashMap};

use super::source::Source;
use crate::Moment;
use crate::session::SessionId;

/// Connections that may be ended to make room, by source and age.
#[derive(Debug, Default)]
pub(super) struct Pool {
    of: HashMap<Source, BTreeSet<(Moment, SessionId)>>,
    /// Sources by how many they have.
    sizes: BTreeSet<(usize, Source)>,
    len: usize,
}

impl Pool {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn len_of(&self, source: Source) -> usize {
        self.of.get(&source).map_or(0, BTreeSet::len)
    }

    pub(super) fn insert(&mut self, source: Source, since: Moment, id: SessionId) {
        let own = self.of.entry(source).or_default();
        let before = own.len();
        if own.insert((since, id)) {
            self.sizes.remove(&(before, source));
            self.sizes.insert((before + 1, source));
            self.len += 1;
        }
    }

    pub(super) fn remove(&mut self, source: Source, since: Moment, id: SessionId) {
        let Some(own) = self.of.get_mut(&source) else { return };
        let before = own.len();
        if own.remove(&(since, id)) {
            self.sizes.remove(&(before, source));
            if before > 1 {
                self.sizes.insert((before - 1, source));
            } else {
                self.of.remove(&source);
            }
            self.len -= 1;
        }
    }

    pub(super) fn oldest_of(&self, source: Source) -> Option<(Moment, SessionId)> {
        self.of.get(&source)?.first().copied()
    }

    /// The oldest of the source that has most.
    pub(super) fn oldest_of_most(&self) -> Option<(Moment, SessionId)> {
        self.sizes.last().and_then(|(_, source)| self.oldest_of(*source))
    }
}
