//! Slots of time: which one a status falls into, when one is complete, and the snapshot of each.

use std::sync::Arc;

use super::{Feed, MAX_EVSES, Reading, Snapshot, Validity};

/// Most different statuses that are remembered, 100 bytes each; a network has ten.
const MAX_STATUSES: usize = 256;

impl Feed {
    /// The slot of this node's clock, where a feed of changes has been silent since an earlier one: its statuses hold.
    pub fn hold(&mut self, now: i64) -> Option<Snapshot> {
        let (slot, silent_s) = (self.grid.slot(now), now.saturating_sub(self.newest));
        if !self.changes_only()
            || self.slot.is_none_or(|before| slot <= before)
            || silent_s > self.validity.changes_silence_s
        {
            return None;
        }
        self.slot = Some(slot);
        self.snapshot().map(|snapshot| Snapshot { newest: now, ..snapshot })
    }

    /// Whether rows hardly ever repeat a status, or are said not to.
    pub(super) fn changes_only(&self) -> bool {
        self.repetitions.are_changes(self.validity.kind)
    }

    /// How long a reading counts, in seconds.
    pub(super) fn counts_s(&self) -> i64 {
        let Validity { max_age_s, changes_hold_s, .. } = self.validity;
        if self.changes_only() { max_age_s.max(changes_hold_s) } else { max_age_s }
    }

    /// Takes a status that is so at a time and has been said at another; `is_now` if the time is this node's.
    pub(super) fn row(
        &mut self,
        (at, said): (i64, i64),
        id: &str,
        status: &str,
        is_now: bool,
    ) -> Option<Snapshot> {
        if self.slot.is_some() && self.newest.saturating_sub(at) > self.counts_s() {
            self.rows.late += 1;
            return None;
        }
        let known = self.readings.get(id);
        if known.is_some_and(|known| known.at > at) {
            self.rows.late += 1;
            return None;
        }
        if known.is_none() && self.readings.len() >= MAX_EVSES {
            self.rows.too_many += 1;
            return None;
        }
        self.rows.duplicates += u64::from(known.is_some_and(|known| known.at == at));
        let complete = self.reach(at);
        let page = self.page.filter(|_| is_now);
        let status = self.status(status);
        match self.readings.get_mut(id) {
            Some(known) => {
                if known.at < at && !is_now {
                    self.repetitions.see(known.status == status);
                }
                *known = Reading { at, said, status, page };
            }
            None => {
                self.readings.insert(id.into(), Reading { at, said, status, page });
            }
        }
        complete
    }

    /// Something is so at this time. Returns the slot before, if a later one has begun: it is complete.
    pub(super) fn reach(&mut self, at: i64) -> Option<Snapshot> {
        let slot = self.grid.slot(at);
        let is_later = self.slot.is_some_and(|before| slot > before);
        let complete =
            if is_later { std::mem::take(&mut self.fresh).then(|| self.snapshot()).flatten() } else { None };
        self.slot = self.slot.max(Some(slot));
        self.newest = self.newest.max(at);
        self.fresh = true;
        complete
    }

    /// The status, if anything here knows it.
    pub(super) fn status(&mut self, status: &str) -> Option<Arc<str>> {
        if let Some((name, known)) = self.statuses.get_key_value(status) {
            self.rows.unknown_status += u64::from(!known);
            return known.then(|| name.clone());
        }
        let (name, known) =
            (Arc::<str>::from(status), self.labels.understand(status, &self.mapping).is_some());
        if self.statuses.len() < MAX_STATUSES {
            self.statuses.insert(name.clone(), known);
        }
        self.rows.unknown_status += u64::from(!known);
        known.then_some(name)
    }

    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        let at = self.slot?;
        let newest = self.newest.max(at);
        let mut snapshot = Snapshot { at, newest, readings: Vec::new(), said: Vec::new() };
        for (id, Reading { at, said, status, .. }) in &self.readings {
            if let Some(status) = status
                && self.newest.saturating_sub(*at) <= self.counts_s()
            {
                snapshot.readings.push((id.to_string(), status.to_string()));
                snapshot.said.push(*said);
            }
        }
        Some(snapshot)
    }
}
