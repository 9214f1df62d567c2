//! Connections on their way in: admission with a clock, sockets to end and turns of the processor.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;
use voltmesh_identity::Identity;

use crate::admission::{Admission, Arrival, Refused, Source};
use crate::pump::Clock;
use crate::session::SessionId;
use crate::{Bounds, LogLimiter};

/// Cause of a line of the log: the kind of event and its originator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Source(Source, &'static str),
    Peer(Identity, &'static str),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Source(source, what) => write!(f, "{source}: {what}"),
            Subject::Peer(identity, what) => write!(f, "{identity}: {what}"),
        }
    }
}

/// State that all connections of a server share until they have a session.
pub(crate) struct Doors {
    state: Mutex<State>,
    /// Handshakes that compute at the same time: half of the processors, so that no number of handshakes takes the time
    /// of the sessions.
    turns: Semaphore,
    clock: Clock,
    pub(crate) log: LogLimiter<Subject>,
}

struct State {
    admission: Admission,
    /// How each connection without a session is told to end.
    ends: HashMap<SessionId, Arc<Notify>>,
}

impl Doors {
    pub(crate) fn new(bounds: Bounds, clock: Clock) -> Doors {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Doors {
            state: Mutex::new(State { admission: Admission::new(bounds), ends: HashMap::new() }),
            turns: Semaphore::new((processors / 2).max(1)),
            clock,
            log: LogLimiter::default(),
        }
    }

    /// A connection has come; also how many were ended for it.
    pub(crate) async fn arrive(
        self: &Arc<Self>,
        id: SessionId,
        source: Source,
    ) -> Result<(Visitor, usize), Refused> {
        loop {
            let at = match self.try_arrive(id, source) {
                (Arrival::In(ended), end) => {
                    return Ok((Visitor { doors: self.clone(), id, source, end }, ended.len()));
                }
                (Arrival::Refused(refused), _) => return Err(refused),
                (Arrival::Later(at), _) => at,
            };
            sleep(at.since(self.clock.now())).await;
        }
    }

    fn try_arrive(&self, id: SessionId, source: Source) -> (Arrival, Arc<Notify>) {
        let end = Arc::new(Notify::new());
        let mut state = self.lock();
        let arrival = state.admission.arrive(self.clock.now(), id, source);
        if let Arrival::In(ended) = &arrival {
            ended.iter().for_each(|ended| state.end(*ended));
            state.ends.insert(id, end.clone());
        }
        (arrival, end)
    }

    /// Lines of the log that were left out, as far as they are due.
    pub(crate) fn tell_unwritten(&self) {
        for unwritten in self.log.due() {
            tracing::warn!("{unwritten}");
        }
    }

    /// Connections, those that are silent, those that have said a part of their ClientHello, and handshakes.
    pub(crate) fn figures(&self) -> [usize; 4] {
        self.lock().admission.figures()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self, id: SessionId) {
        if let Some(end) = self.ends.remove(&id) {
            end.notify_one();
        }
    }
}

/// A connection, for as long as it lives.
pub(crate) struct Visitor {
    doors: Arc<Doors>,
    id: SessionId,
    pub(crate) source: Source,
    end: Arc<Notify>,
}

impl Visitor {
    /// Returns when its place is given to another.
    pub(crate) async fn ended(&self) {
        self.end.notified().await;
    }

    /// A part of its ClientHello has come; also how many were ended for it.
    pub(crate) fn speaks(&self) -> usize {
        let mut state = self.doors.lock();
        let ended = state.admission.speaks(self.doors.clock.now(), self.id);
        ended.iter().for_each(|ended| state.end(*ended));
        ended.iter().count()
    }

    /// Its ClientHello is complete; also how many were ended for it.
    pub(crate) fn hello(&self) -> Result<usize, Refused> {
        let mut state = self.doors.lock();
        let ended = state.admission.hello(self.doors.clock.now(), self.id)?;
        ended.iter().for_each(|ended| state.end(*ended));
        Ok(ended.iter().count())
    }

    /// It has a session from now on. False if its place was given to another meanwhile.
    pub(crate) fn connected(&self) -> bool {
        let mut state = self.doors.lock();
        state.ends.remove(&self.id);
        state.admission.connected(self.id)
    }

    /// Runs the handshake, computing only when it is its turn; while it waits for the client, it may be ended.
    pub(crate) async fn in_turns<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        loop {
            // The semaphore is never closed.
            let turn = self.doors.turns.acquire().await;
            let step = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
            drop(turn);
            self.waits(true);
            if let Poll::Ready(output) = step {
                // CONNECT is awaited now.
                return output;
            }
            let mut woken = false;
            poll_fn(|_| if std::mem::replace(&mut woken, true) { Poll::Ready(()) } else { Poll::Pending })
                .await;
            self.waits(false);
        }
    }

    fn waits(&self, waits: bool) {
        let since = waits.then(|| self.doors.clock.now());
        self.doors.lock().admission.waits(self.id, since);
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let mut state = self.doors.lock();
        state.ends.remove(&self.id);
        state.admission.leave(self.id);
    }
}
