//! The newest of what is in force, handed to an outlet's thread.

use crate::commands::own::OwnLimits;
use crate::commands::setpoints::Setpoints;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is in force, and until when unless something newer comes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InForce {
    pub setpoints: Setpoints,
    pub own: OwnLimits,
    /// When the first of its commands ends.
    pub until: Option<Instant>,
}

impl InForce {
    /// What is in force at that moment: past its end, the vehicle's own limits.
    pub fn at(&self, now: Instant) -> Self {
        if self.until.is_some_and(|until| now >= until) {
            return Self { setpoints: Setpoints::default(), own: self.own, until: None };
        }
        self.clone()
    }

    /// Most charging and discharging current in mA: of commands, else the vehicle's own.
    pub fn limits_ma(&self) -> (u32, u32) {
        let Self { setpoints, own, .. } = self;
        (
            setpoints.charge_ma.unwrap_or(own.charge_ma).min(own.charge_ma),
            setpoints.discharge_ma.unwrap_or(own.discharge_ma).min(own.discharge_ma),
        )
    }
}

/// A place for one value that is replaced by newer ones.
#[derive(Default)]
pub(super) struct Latest {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    newest: Option<InForce>,
    version: u64,
    closed: bool,
}

impl Latest {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put(&self, value: InForce) {
        let mut state = self.lock();
        state.newest = Some(value);
        state.version += 1;
        self.changed.notify_all();
    }

    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits for something newer than `seen`, or until `due`, or until what is there ends. Returns what is in force now and
    /// its version; `None` once closed.
    pub fn wait(&self, seen: u64, due: Option<Instant>) -> Option<(Option<InForce>, u64)> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let now = Instant::now();
            let ends = state.newest.as_ref().and_then(|newest| newest.until).filter(|until| *until > now);
            let wake = [due, ends].into_iter().flatten().min();
            if state.version > seen || due.is_some_and(|due| now >= due) {
                return Some((state.newest.as_ref().map(|newest| newest.at(now)), state.version));
            }
            let left = wake.map_or(Duration::from_secs(3600), |wake| wake.saturating_duration_since(now));
            let (woken, timeout) =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            // What is there may just have ended.
            if timeout.timed_out() && !state.closed {
                let now = Instant::now();
                return Some((state.newest.as_ref().map(|newest| newest.at(now)), state.version));
            }
        }
    }
}
