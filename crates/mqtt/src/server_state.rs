//! State that all sessions of a server share: who is in, their places, and what is undecided in all of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use voltmesh_audit::Recorder;
use voltmesh_identity::Identity;

use crate::account::{self, Account};
use crate::counters::Counters;
use crate::doors::Doors;
use crate::places::{Crowded, Places};
use crate::pump::Clock;
use crate::session::{Session, SessionId};
use crate::{Bounds, Reason, ServerSettings};

/// State that all sessions of a server share.
pub(crate) struct ServerState {
    pub(crate) counters: Counters,
    pub(crate) doors: Arc<Doors>,
    pub(crate) bounds: Bounds,
    pub(crate) audit: Recorder,
    sessions: Mutex<BTreeMap<(Identity, String), Session>>,
    places: Mutex<Places>,
    undecided: AtomicUsize,
    max_undecided: usize,
}

/// A session's place; given back when it is dropped.
pub(crate) struct Placed {
    state: Arc<ServerState>,
    id: SessionId,
    identity: Identity,
    client_id: String,
    pub(crate) account: Arc<Account>,
}

impl Drop for Placed {
    fn drop(&mut self) {
        lock(&self.state.places).leave(self.id, &self.identity, &self.client_id);
    }
}

impl ServerState {
    pub(crate) fn new(settings: &ServerSettings, clock: Clock) -> ServerState {
        ServerState {
            counters: Counters::default(),
            doors: Arc::new(Doors::new(settings.bounds.clone(), clock)),
            sessions: Mutex::default(),
            places: Mutex::new(Places::new(settings.bounds.clone())),
            bounds: settings.bounds.clone(),
            audit: settings.audit.clone(),
            undecided: AtomicUsize::new(0),
            max_undecided: settings.max_undecided_bytes,
        }
    }

    /// Gives a session its place, or says which bound is reached.
    pub(crate) fn admit(
        self: &Arc<Self>,
        id: SessionId,
        identity: &Identity,
        client_id: &str,
    ) -> Result<Placed, Crowded> {
        let account = lock(&self.places).admit(id, identity, client_id)?;
        let (identity, client_id) = (identity.clone(), client_id.to_owned());
        Ok(Placed { state: self.clone(), id, identity, client_id, account })
    }

    /// The same identity with the same client id replaces its former session (MQTT 5 3.1.4).
    pub(crate) fn register(&self, session: &Session) {
        let key = (session.peer().identity.clone(), session.client_id().to_owned());
        let former = lock(&self.sessions).insert(key, session.clone());
        self.counters.sessions.add(1);
        if let Some(former) = former {
            self.counters.taken_over.add(1);
            former.disconnect(Reason::SESSION_TAKEN_OVER);
        }
    }

    pub(crate) fn unregister(&self, session: &Session) {
        let key = (session.peer().identity.clone(), session.client_id().to_owned());
        let mut sessions = lock(&self.sessions);
        if sessions.get(&key).is_some_and(|known| known.id() == session.id()) {
            sessions.remove(&key);
        }
    }

    pub(crate) fn charge(&self, before: usize, now: usize) {
        if now >= before {
            self.undecided.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.undecided.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    /// Whether an identity that has so many bytes undecided may have more.
    pub(crate) fn has_room(&self, own: usize) -> bool {
        account::has_room(own, self.undecided.load(Ordering::Relaxed), self.max_undecided)
    }

    /// Brings the figures that are read with the counters up to date.
    pub(crate) fn note_figures(&self) {
        let [connections, silent, speaking, handshakes] = self.doors.figures();
        let (sessions, away) = lock(&self.places).figures();
        let undecided = self.undecided.load(Ordering::Relaxed);
        let now = [
            ("open_connections", connections),
            ("open_silent", silent),
            ("open_speaking", speaking),
            ("open_handshakes", handshakes),
            ("open_sessions", sessions),
            ("identities_away", away),
            ("undecided_bytes", undecided),
            ("bound_undecided_bytes", self.max_undecided),
        ];
        let now = now.map(|(name, value)| (name, value as u64));
        *lock(&self.counters.figures) = now.into_iter().chain(self.bounds.figures()).collect();
    }

    pub(crate) fn sessions(&self) -> Vec<Session> {
        lock(&self.sessions).values().cloned().collect()
    }

    pub(crate) fn sessions_of(&self, identity: &Identity) -> Vec<Session> {
        let first = (identity.clone(), String::new());
        let sessions = lock(&self.sessions);
        let own = sessions.range(first..).take_while(|((owner, _), _)| owner == identity);
        own.map(|(_, session)| session.clone()).collect()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
