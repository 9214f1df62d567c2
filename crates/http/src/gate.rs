//! [`Places`] shared by tasks: who loses a place is told so, and leaves it when its task ends in any way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::places::{Activity, Entry, PlaceId, Places};

struct Inner<K, V> {
    places: Places<K>,
    held: BTreeMap<PlaceId, (V, Arc<Notify>)>,
}

/// Bounded places for owners `K`; a value `V` is kept with each.
pub(crate) struct Gate<K, V>(Mutex<Inner<K, V>>);

/// Whoever came in, and whether another one had to leave.
pub(crate) struct Admitted<K: Ord + Clone, V> {
    pub(crate) seat: Seat<K, V>,
    pub(crate) in_place_of: Option<V>,
}

/// One place, given back when dropped.
pub(crate) struct Seat<K: Ord + Clone, V> {
    gate: Arc<Gate<K, V>>,
    id: PlaceId,
    lost: Arc<Notify>,
}

impl<K: Ord + Clone, V> Gate<K, V> {
    pub(crate) fn new(total: usize, share: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner { places: Places::new(total, share), held: BTreeMap::new() })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None if every connection that could give way is at work.
    pub(crate) fn enter(self: &Arc<Self>, owner: K, value: V) -> Option<Admitted<K, V>> {
        let mut inner = self.lock();
        let Entry::Admitted(id, gone) = inner.places.enter(owner) else { return None };
        let in_place_of = gone.and_then(|id| inner.send_away(id));
        let lost = Arc::new(Notify::new());
        inner.held.insert(id, (value, lost.clone()));
        drop(inner);
        Some(Admitted { seat: Seat { gate: self.clone(), id, lost }, in_place_of })
    }

    /// Sends away the one that has let the server wait longest, if any does.
    pub(crate) fn yield_one(&self) -> Option<V> {
        let mut inner = self.lock();
        let id = inner.places.yield_one()?;
        inner.send_away(id)
    }

    /// Sends away all whose value is so.
    pub(crate) fn send_away_if(&self, is_so: impl Fn(&V) -> bool) -> Vec<V> {
        let mut inner = self.lock();
        let ids: Vec<_> =
            inner.held.iter().filter(|(_, (value, _))| is_so(value)).map(|(id, _)| *id).collect();
        ids.into_iter()
            .filter_map(|id| {
                inner.places.leave(id);
                inner.send_away(id)
            })
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().places.len()
    }
}

impl<K, V> Inner<K, V> {
    fn send_away(&mut self, id: PlaceId) -> Option<V> {
        let (value, lost) = self.held.remove(&id)?;
        lost.notify_one();
        Some(value)
    }
}

/// Source of reports on a connection's activity, wherever it is parked.
pub(crate) trait Report: Send + Sync {
    fn update(&self, change: &dyn Fn(&mut Activity));
}

impl<K: Ord + Clone + Send, V: Send> Report for Seat<K, V> {
    fn update(&self, change: &dyn Fn(&mut Activity)) {
        self.gate.lock().places.update(self.id, change);
    }
}

impl<K: Ord + Clone, V> Seat<K, V> {
    /// Once the place is another's, or the connection has to end.
    pub(crate) async fn lost(&self) {
        self.lost.notified().await;
    }
}

impl<K: Ord + Clone, V> Drop for Seat<K, V> {
    fn drop(&mut self) {
        let mut inner = self.gate.lock();
        inner.places.leave(self.id);
        inner.held.remove(&self.id);
    }
}
