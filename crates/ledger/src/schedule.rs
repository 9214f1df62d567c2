//! Who is an authority in which epoch: what changes in epoch e serves from epoch e + 2.

use crate::{
    error::Error,
    keys::{AuthoritySet, Epoch, PublicKey},
};
use std::{collections::BTreeSet, sync::Arc};

/// Most keys that a chain retires: 2^16 × 32 B = 2 MiB.
pub const MAX_RETIRED: usize = 1 << 16;

/// Sets of the epochs around the current one, and the keys that never return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub epoch: Epoch,
    /// Served in `epoch` − 1.
    pub previous: Arc<AuthoritySet>,
    /// Serves in `epoch`.
    pub current: Arc<AuthoritySet>,
    /// Serves in `epoch` + 1; settled.
    pub next: Arc<AuthoritySet>,
    /// To serve in `epoch` + 2; changes until `epoch` ends.
    pub planned: Arc<AuthoritySet>,
    /// Were planned once and are not any more.
    pub retired: Arc<BTreeSet<PublicKey>>,
}

impl Schedule {
    pub fn new(first: AuthoritySet) -> Self {
        let set = Arc::new(first);
        Self {
            epoch: Epoch::zero(),
            previous: set.clone(),
            current: set.clone(),
            next: set.clone(),
            planned: set,
            retired: Arc::default(),
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

    /// Whether `key` serves in any epoch still kept or planned.
    pub fn knows(&self, key: &PublicKey) -> bool {
        [&self.current, &self.next, &self.planned].iter().any(|set| set.contains(key))
    }

    pub fn admit(&mut self, key: PublicKey) -> Result<(), Error> {
        self.not_retired(&key)?;
        self.planned = Arc::new(self.planned.with(key)?);
        Ok(())
    }

    pub fn remove(&mut self, key: &PublicKey) -> Result<(), Error> {
        let planned = self.planned.without(key)?;
        self.retire(key)?;
        self.planned = Arc::new(planned);
        Ok(())
    }

    pub fn rotate(&mut self, old: &PublicKey, new: PublicKey) -> Result<(), Error> {
        self.not_retired(&new)?;
        let planned = self.planned.replace(old, new)?;
        self.retire(old)?;
        self.planned = Arc::new(planned);
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
