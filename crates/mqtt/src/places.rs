//! Places for sessions, by identity, once it is known. No clock, no socket.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use voltmesh_identity::Identity;

use crate::account::Account;
use crate::session::SessionId;
use crate::{Bounds, Reason};

/// The bound that kept a session out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Crowded {
    /// `sessions_per_identity`.
    Identity,
    /// What is left of `max_sessions` is reserved for identities that were here before.
    Reserved,
    /// `max_sessions`.
    Total,
}

impl Crowded {
    /// What CONNACK says.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Crowded::Identity => Reason::QUOTA_EXCEEDED,
            // Another server may have room.
            Crowded::Reserved | Crowded::Total => Reason::SERVER_BUSY,
        }
    }
}

/// The places of all sessions.
///
/// An identity that had a session before and has none now gets one while any place is free. All others leave as many
/// places free as there are such identities, up to `reserved_sessions`.
#[derive(Debug)]
pub(crate) struct Places {
    bounds: Bounds,
    taken: BTreeMap<(Identity, String), SessionId>,
    present: HashMap<Identity, (usize, Arc<Account>)>,
    /// Identities without a session that had one, by when the last one ended; the oldest is forgotten first.
    absent: BTreeMap<u64, Identity>,
    absent_since: HashMap<Identity, u64>,
    /// Counts absences, in place of a clock.
    next: u64,
}

impl Places {
    pub(crate) fn new(bounds: Bounds) -> Places {
        Places {
            bounds,
            taken: BTreeMap::new(),
            present: HashMap::new(),
            absent: BTreeMap::new(),
            absent_since: HashMap::new(),
            next: 0,
        }
    }

    /// Gives a session its place; the same client id of the same identity hands its place over.
    pub(crate) fn admit(
        &mut self,
        id: SessionId,
        identity: &Identity,
        client_id: &str,
    ) -> Result<Arc<Account>, Crowded> {
        let key = (identity.clone(), client_id.to_owned());
        if let (Some(place), Some((_, account))) = (self.taken.get_mut(&key), self.present.get(identity)) {
            *place = id;
            return Ok(account.clone());
        }
        let own = self.present.get(identity).map_or(0, |(sessions, _)| *sessions);
        if own >= self.bounds.sessions_per_identity {
            return Err(Crowded::Identity);
        }
        if self.taken.len() >= self.bounds.max_sessions {
            return Err(Crowded::Total);
        }
        let kept = match self.absent_since.contains_key(identity) {
            true => 0,
            false => self.absent.len().min(self.bounds.reserved_sessions),
        };
        if self.taken.len() + kept >= self.bounds.max_sessions {
            return Err(Crowded::Reserved);
        }
        if let Some(since) = self.absent_since.remove(identity) {
            self.absent.remove(&since);
        }
        self.taken.insert(key, id);
        let (sessions, account) = self.present.entry(identity.clone()).or_default();
        *sessions += 1;
        Ok(account.clone())
    }

    /// The session is over; one that handed its place over has none to give back.
    pub(crate) fn leave(&mut self, id: SessionId, identity: &Identity, client_id: &str) {
        let key = (identity.clone(), client_id.to_owned());
        if self.taken.get(&key) != Some(&id) {
            return;
        }
        self.taken.remove(&key);
        let Some((sessions, _)) = self.present.get_mut(identity) else { return };
        *sessions -= 1;
        if *sessions > 0 {
            return;
        }
        self.present.remove(identity);
        self.absent.insert(self.next, identity.clone());
        self.absent_since.insert(identity.clone(), self.next);
        self.next += 1;
        while self.absent.len() > self.bounds.remembered_identities {
            let Some((_, forgotten)) = self.absent.pop_first() else { return };
            self.absent_since.remove(&forgotten);
        }
    }

    /// Sessions, and identities that are remembered without one.
    pub(crate) fn figures(&self) -> (usize, usize) {
        (self.taken.len(), self.absent.len())
    }
}

#[cfg(test)]
mod tests;
