//! Who is an authority in which epoch: what changes in epoch e serves from epoch e + 2.

use crate::{
    authorities::AuthoritySet,
    error::Error,
    roster::Roster,
    types::{Epoch, PublicKey},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Most keys that a chain retires: 2^16 × 32 B = 2 MiB.
pub const MAX_RETIRED: usize = 1 << 16;

/// Rosters of the epochs around the current one, and the keys that never return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub epoch: Epoch,
    /// Served in `epoch` − 1.
    pub previous: Arc<Roster>,
    /// Serves in `epoch`.
    pub current: Arc<Roster>,
    /// Serves in `epoch` + 1; settled.
    pub next: Arc<Roster>,
    /// To serve in `epoch` + 2; changes until `epoch` ends.
    pub planned: Arc<Roster>,
    /// Admitted by the operators, in quarantine or not.
    pub admitted: Arc<AuthoritySet>,
    /// Were admitted once and are not any more.
    pub retired: Arc<BTreeSet<PublicKey>>,
    /// Of the retired, those that were rotated, and the keys that took their places.
    pub successors: Arc<BTreeMap<PublicKey, PublicKey>>,
}

impl Schedule {
    pub fn new(admitted: Arc<AuthoritySet>, first: Roster) -> Self {
        let first = Arc::new(first);
        Self {
            epoch: Epoch::zero(),
            previous: first.clone(),
            current: first.clone(),
            next: first.clone(),
            planned: first,
            admitted,
            retired: Arc::default(),
            successors: Arc::default(),
        }
    }

    /// Moves on to `epoch`, the current one or the one after.
    pub fn enter(&mut self, epoch: Epoch) {
        assert!(epoch == self.epoch || epoch == self.epoch.next(), "epochs follow each other");
        if epoch != self.epoch {
            self.epoch = epoch;
            self.previous = std::mem::replace(&mut self.current, self.next.clone());
            self.next = self.planned.clone();
        }
    }

    /// Moves on to the epochs that a decree begins: its voters serve in two of them, since what is planned for the second
    /// was planned before anyone knew who is gone.
    pub fn replace(&mut self, epoch: Epoch, stalled: Arc<Roster>, current: Roster, next: Roster) {
        assert!(epoch > self.epoch, "epochs go up");
        self.epoch = epoch;
        self.previous = stalled;
        self.current = Arc::new(current);
        self.next = Arc::new(next);
        self.planned = self.next.clone();
    }

    /// The roster of an epoch that can no longer change: the previous, the current or the next one.
    pub fn roster(&self, epoch: Epoch) -> Option<&Arc<Roster>> {
        let now = self.epoch.get();
        match epoch.get() {
            e if e.checked_add(1) == Some(now) => Some(&self.previous),
            e if e == now => Some(&self.current),
            e if e == now + 1 => Some(&self.next),
            _ => None,
        }
    }

    /// Whether `key` serves in any epoch still kept, or may serve again.
    pub fn knows(&self, key: &PublicKey) -> bool {
        self.admitted.contains(key)
            || [&self.current, &self.next].iter().any(|roster| roster.authorities.contains(key))
    }

    pub fn admit(&mut self, key: PublicKey) -> Result<(), Error> {
        self.not_retired(&key)?;
        self.admitted = Arc::new(self.admitted.with(key)?);
        Ok(())
    }

    pub fn remove(&mut self, key: &PublicKey) -> Result<(), Error> {
        let admitted = self.admitted.without(key)?;
        self.retire(key)?;
        self.admitted = Arc::new(admitted);
        Ok(())
    }

    pub fn rotate(&mut self, old: &PublicKey, new: PublicKey) -> Result<(), Error> {
        self.not_retired(&new)?;
        let admitted = self.admitted.replace(old, new.clone())?;
        self.retire(old)?;
        Arc::make_mut(&mut self.successors).insert(old.clone(), new);
        self.admitted = Arc::new(admitted);
        Ok(())
    }

    fn not_retired(&self, key: &PublicKey) -> Result<(), Error> {
        if self.retired.contains(key) { Err(Error::Retired(key.clone())) } else { Ok(()) }
    }

    fn retire(&mut self, key: &PublicKey) -> Result<(), Error> {
        if self.retired.len() >= MAX_RETIRED {
            return Err(Error::RetiredCount(self.retired.len()));
        }
        Arc::make_mut(&mut self.retired).insert(key.clone());
        Ok(())
    }
}
