//! Turns of requests that cost much: some at a time of one source, some in all, each in the order of its coming.
//!
//! Work on an archive does not pause for others. Without turns, as many of them as there are connections share the processors,
//! and whoever asks for little waits for a round of them all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns of requests that cost much, for owners `K`.
pub(crate) struct Turns<K> {
    all: Arc<Semaphore>,
    /// Of each owner with a request at work or waiting: as many as there are connections at most.
    owners: Mutex<BTreeMap<K, Weak<Semaphore>>>,
    share: usize,
}

/// One turn, given back when dropped.
pub(crate) struct Turn {
    _own: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl<K: Ord> Turns<K> {
    /// So many at a time; of one owner half of them.
    pub(crate) fn new(at_once: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(at_once.max(1))),
            owners: Mutex::default(),
            share: (at_once / 2).max(1),
        }
    }

    /// Waits for a turn: first among the owner's own requests, so that an owner with many of them is no more in others' way
    /// than one with few. `waits` is told, once, if there is none at once.
    pub(crate) async fn wait(&self, owner: K, waits: impl Fn()) -> Turn {
        let own = self.of(owner);
        let (own, waited) = match own.clone().try_acquire_owned() {
            Ok(turn) => (Some(turn), false),
            Err(_) => {
                waits();
                (own.acquire_owned().await.ok(), true)
            }
        };
        let all = match self.all.clone().try_acquire_owned() {
            Ok(turn) => Some(turn),
            Err(_) => {
                if !waited {
                    waits();
                }
                self.all.clone().acquire_owned().await.ok()
            }
        };
        Turn { _own: own, _all: all }
    }

    fn of(&self, owner: K) -> Arc<Semaphore> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.retain(|_, turns| turns.strong_count() > 0);
        if let Some(turns) = owners.get(&owner).and_then(Weak::upgrade) {
            return turns;
        }
        let turns = Arc::new(Semaphore::new(self.share));
        owners.insert(owner, Arc::downgrade(&turns));
        turns
    }
}
