//! Places of connections: how many there may be, and which one gives way.

use std::collections::BTreeMap;

/// Names one place, never a second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlaceId(u64);

/// Activity of a connection. It waits for its peer unless the server works on a request whose body has come and whose answer
/// is taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Activity {
    /// A request's header has come, and its answer is not yet all handed to the socket.
    pub(crate) in_request: bool,
    /// More of the request's body has to come.
    pub(crate) awaits_body: bool,
    /// The socket takes nothing.
    pub(crate) stalled: bool,
}

impl Activity {
    fn awaits_peer(self) -> bool {
        !self.in_request || self.awaits_body || self.stalled
    }
}

struct Place<K> {
    owner: K,
    activity: Activity,
    /// Order in which requests and waits began. Bytes that trickle in between change nothing.
    since: u64,
}

/// Whether a connection may come in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It has a place; the other one has lost its.
    Admitted(PlaceId, Option<PlaceId>),
    /// All places that it could have are at work.
    Full,
}

/// Bounded places, and a bounded share of them for each owner. At the owner's share, only its own connections give way; at the total,
/// the largest owner's. Of those that wait for their peer, the one that has waited longest does.
pub(crate) struct Places<K> {
    total: usize,
    share: usize,
    next: u64,
    held: BTreeMap<PlaceId, Place<K>>,
}

impl<K: Ord + Clone> Places<K> {
    pub(crate) fn new(total: usize, share: usize) -> Self {
        Self { total: total.max(1), share: share.max(1), next: 0, held: BTreeMap::new() }
    }

    pub(crate) fn enter(&mut self, owner: K) -> Entry {
        let own = self.held.values().filter(|place| place.owner == owner).count();
        let gives_way = if own >= self.share {
            Some(self.longest_waiting(Some(&owner)))
        } else if self.held.len() >= self.total {
            Some(self.longest_waiting_of_largest(&owner))
        } else {
            None
        };
        let gone = match gives_way {
            None => None,
            Some(Some(id)) => Some(id),
            Some(None) => return Entry::Full,
        };
        if let Some(id) = gone {
            self.held.remove(&id);
        }
        let since = self.tick();
        let id = PlaceId(since);
        self.held.insert(id, Place { owner, activity: Activity::default(), since });
        Entry::Admitted(id, gone)
    }

    /// Makes room without anybody coming in, such as when descriptors run out.
    pub(crate) fn yield_one(&mut self) -> Option<PlaceId> {
        let id = self.longest_waiting(None)?;
        self.held.remove(&id);
        Some(id)
    }

    /// Changes what a connection does. A request that begins or ends begins its waiting anew.
    pub(crate) fn update(&mut self, id: PlaceId, change: impl FnOnce(&mut Activity)) {
        let next = self.next;
        let Some(place) = self.held.get_mut(&id) else { return };
        let was = place.activity.in_request;
        change(&mut place.activity);
        if was != place.activity.in_request {
            place.since = next;
            self.next += 1;
        }
    }

    pub(crate) fn leave(&mut self, id: PlaceId) {
        self.held.remove(&id);
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    fn tick(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    fn longest_waiting(&self, owner: Option<&K>) -> Option<PlaceId> {
        let candidates = self.held.iter().filter(|(_, place)| {
            place.activity.awaits_peer() && owner.is_none_or(|owner| place.owner == *owner)
        });
        candidates.min_by_key(|(_, place)| place.since).map(|(id, _)| *id)
    }

    /// Owners with more places first. Who comes in takes no place from an owner that would then have fewer than itself.
    fn longest_waiting_of_largest(&self, comer: &K) -> Option<PlaceId> {
        let mut sizes: BTreeMap<&K, usize> = BTreeMap::new();
        for place in self.held.values() {
            *sizes.entry(&place.owner).or_default() += 1;
        }
        let own = sizes.get(comer).copied().unwrap_or(0);
        let mut owners: Vec<(&K, usize)> = sizes.into_iter().filter(|(_, size)| *size >= own).collect();
        owners.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        let mut rest = owners.into_iter().peekable();
        while let Some((owner, size)) = rest.next() {
            let mut found = self.longest_waiting(Some(owner));
            // Among owners of one size, too, the longest waiting one.
            while let Some((other, _)) = rest.next_if(|(_, next)| *next == size) {
                let oldest =
                    |id: Option<PlaceId>| id.and_then(|id| self.held.get(&id)).map(|place| place.since);
                let candidate = self.longest_waiting(Some(other));
                if candidate.is_some() && (found.is_none() || oldest(candidate) < oldest(found)) {
                    found = candidate;
                }
            }
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn admitted(entry: Entry) -> (PlaceId, Option<PlaceId>) {
        match entry {
            Entry::Admitted(id, gone) => (id, gone),
            Entry::Full => panic!("there is room"),
        }
    }

    fn works(places: &mut Places<u8>, id: PlaceId) {
        places.update(id, |activity| activity.in_request = true);
    }

    #[test]
    fn the_longest_silent_one_gives_way_and_never_one_at_work() {
        let mut places = Places::new(3, 3);
        let [a, b, c] = [(); 3].map(|()| admitted(places.enter(1)).0);
        works(&mut places, a);
        assert_eq!(admitted(places.enter(1)).1, Some(b));
        works(&mut places, c);
        let (e, gone) = admitted(places.enter(1));
        assert!(gone.is_some_and(|gone| gone != a && gone != c));
        works(&mut places, e);
        assert_eq!(places.enter(1), Entry::Full);
        // Whoever waits for the rest of a body, or takes nothing of its answer, is as silent as others.
        places.update(c, |activity| activity.awaits_body = true);
        places.update(e, |activity| activity.stalled = true);
        assert_eq!(admitted(places.enter(1)).1, Some(c));
    }

    #[test]
    fn a_finished_request_makes_a_connection_young_again() {
        let mut places = Places::new(2, 2);
        let (a, _) = admitted(places.enter(1));
        let (b, _) = admitted(places.enter(1));
        works(&mut places, a);
        places.update(a, |activity| activity.in_request = false);
        assert_eq!(admitted(places.enter(1)).1, Some(b));
    }

    #[test]
    fn one_owner_takes_no_place_of_another() {
        let mut places = Places::new(8, 4);
        let honest: Vec<_> = (0..2).map(|_| admitted(places.enter(9)).0).collect();
        for _ in 0..1_000 {
            let (_, gone) = admitted(places.enter(1));
            assert!(gone.is_none_or(|gone| !honest.contains(&gone)));
        }
        // Several owners together fill it; the largest loses.
        for owner in 2..200 {
            let (_, gone) = admitted(places.enter(owner));
            assert!(places.len() <= 8);
            if owner < 4 {
                assert!(gone.is_none_or(|gone| !honest.contains(&gone)), "{owner}");
            }
        }
    }

    proptest! {
        #[test]
        fn bounds_hold_and_whoever_works_stays(steps in prop::collection::vec((0..6u8, 0..4u8, any::<prop::sample::Index>()), 1..200)) {
            let mut places = Places::new(7, 3);
            let mut held: BTreeMap<PlaceId, (u8, bool)> = BTreeMap::new();
            for (step, owner, index) in steps {
                let chosen = (!held.is_empty()).then(|| *held.keys().nth(index.index(held.len())).unwrap());
                match (step, chosen) {
                    (0..=2, _) => match places.enter(owner) {
                        Entry::Admitted(id, gone) => {
                            if let Some(gone) = gone {
                                prop_assert_eq!(held.remove(&gone).map(|(_, busy)| busy), Some(false));
                            }
                            held.insert(id, (owner, false));
                        }
                        Entry::Full => {
                            let own = held.values().filter(|(of, _)| *of == owner);
                            let busy = |count: usize, all: bool| all && count > 0;
                            let own_busy = busy(own.clone().count(), own.clone().all(|(_, busy)| *busy));
                            let owns = own.count();
                            let larger_busy = held.values().filter(|(of, _)| held.values().filter(|(o, _)| o == of).count() >= owns).all(|(_, busy)| *busy);
                            prop_assert!(own_busy || larger_busy);
                        }
                    },
                    (3, Some(id)) => { places.update(id, |a| a.in_request = true); held.get_mut(&id).unwrap().1 = true; }
                    (4, Some(id)) => { places.update(id, |a| a.in_request = false); held.get_mut(&id).unwrap().1 = false; }
                    (_, Some(id)) => { places.leave(id); held.remove(&id); }
                    (_, None) => {}
                }
                prop_assert_eq!(places.len(), held.len());
                prop_assert!(held.len() <= 7);
                for owner in 0..4 {
                    prop_assert!(held.values().filter(|(of, _)| *of == owner).count() <= 3);
                }
            }
        }
    }
}
