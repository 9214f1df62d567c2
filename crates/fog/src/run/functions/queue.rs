//! What waits for the thread of functions. Records are bounded and the oldest leave first, so that nobody ever waits for functions;
//! all else is little and comes first.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use voltmesh_control::CommandAnswer;
use voltmesh_function::Compiled;
use voltmesh_mqtt::SessionId;
use voltmesh_telemetry::VehicleId;

use super::command::Sent;
use crate::ingest::FeedContent;

/// What happens besides records.
#[derive(Debug)]
pub enum Told {
    /// A vehicle or client has a session.
    Connected { session: SessionId, vehicle: VehicleId },
    /// A session has ended.
    Ended { session: SessionId },
    /// The round trip to a vehicle was measured.
    RoundTrip { vehicle: VehicleId, us: u64 },
    /// Entries of the journal below this position are durable.
    Durable(u64),
    /// Events below this position are known to those who must know them.
    Known(u64),
    /// Events below this position are on the ledger.
    Listed(u64),
    /// Who may give orders, the term that has begun, and the term of the ledger where it admits controllers.
    Controllers { keys: Vec<VerifyingKey>, term: u32, ledger: Option<u32> },
    /// A vehicle answered a command over its own session.
    Answer { vehicle: VehicleId, answer: Box<CommandAnswer> },
    /// It is known what became of a command that was sent.
    Sent(Box<Sent>),
    /// The session with a controller has begun.
    ControllerUp { link: usize },
    /// A controller sent an order.
    Order { link: usize, payload: Bytes },
    /// A controller sent a release.
    Release { payload: Bytes },
    /// A release was compiled, or refused.
    Compiled { payload: Bytes, compiled: Compiled },
}

/// Records to look into.
#[derive(Debug)]
pub struct Fed {
    pub arrived: Instant,
    pub content: FeedContent,
}

impl Fed {
    fn size(&self) -> u64 {
        match &self.content {
            FeedContent::Batch(bytes) | FeedContent::Samples(bytes) => bytes.len() as u64,
        }
    }
}

/// Records of which so many wait at most, whatever their size: a second of 10,000 vehicles, twice.
const MAX_FED: usize = 20_000;

/// Other things that wait at most: sessions of a whole place that come back at once, many times over. Beyond it the newest is
/// left out, which is an error in the log: the thread stands still.
const MAX_TOLD: usize = 65_536;

/// The queue.
#[derive(Debug, Clone)]
pub struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    bound: u64,
}

#[derive(Debug, Default)]
struct State {
    told: VecDeque<Told>,
    fed: VecDeque<Fed>,
    fed_bytes: u64,
    dropped: u64,
    closed: bool,
}

/// What the thread has to do next.
#[derive(Debug)]
pub enum Next {
    Told(Told),
    Fed(Fed),
    /// Nothing came in time.
    Idle,
    /// The node stops.
    Closed,
}

impl Queue {
    /// An empty one for so many bytes of records.
    pub fn new(bound: u64) -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), wake: Condvar::new(), bound }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands records over.
    pub fn feed(&self, fed: Fed) {
        let mut state = self.lock();
        state.fed_bytes += fed.size();
        state.fed.push_back(fed);
        while (state.fed_bytes > self.0.bound || state.fed.len() > MAX_FED)
            && let Some(oldest) = state.fed.pop_front()
        {
            state.fed_bytes -= oldest.size();
            state.dropped += 1;
        }
        drop(state);
        self.0.wake.notify_one();
    }

    /// Hands anything else over.
    pub fn tell(&self, told: Told) {
        let mut state = self.lock();
        if state.told.len() >= MAX_TOLD {
            tracing::error!(?told, "functions stand still: what happens is left out");
            return;
        }
        state.told.push_back(told);
        drop(state);
        self.0.wake.notify_one();
    }

    /// Groups of records that were left out.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Whether the node stops.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Ends the thread that waits.
    pub fn close(&self) {
        self.lock().closed = true;
        self.0.wake.notify_all();
    }

    /// Waits so long at most.
    pub fn next(&self, patience: Duration) -> Next {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            if state.closed {
                return Next::Closed;
            }
            if let Some(told) = state.told.pop_front() {
                return Next::Told(told);
            }
            if let Some(fed) = state.fed.pop_front() {
                state.fed_bytes -= fed.size();
                return Next::Fed(fed);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Next::Idle;
            }
            state = self.0.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(size: usize) -> Fed {
        Fed { arrived: Instant::now(), content: FeedContent::Batch(Bytes::from(vec![0; size])) }
    }

    #[test]
    fn the_oldest_records_leave_and_all_else_comes_first() {
        let queue = Queue::new(100);
        (1..=5).for_each(|n| queue.feed(fed(10 * n)));
        queue.tell(Told::Durable(7));
        // 10, 20 and 30 had to go: 40 and 50 are within the bound.
        assert_eq!(queue.dropped(), 3);
        assert!(matches!(queue.next(Duration::ZERO), Next::Told(Told::Durable(7))));
        for size in [40, 50] {
            let Next::Fed(fed) = queue.next(Duration::ZERO) else { panic!("{size}") };
            assert_eq!(fed.size(), size);
        }
        assert!(matches!(queue.next(Duration::ZERO), Next::Idle));
        queue.feed(fed(101));
        assert!(matches!(queue.next(Duration::ZERO), Next::Idle), "more than all room");
        (0..=MAX_FED).for_each(|_| queue.feed(fed(0)));
        assert_eq!(queue.dropped(), 5);
        queue.close();
        assert!(matches!(queue.next(Duration::from_secs(60)), Next::Closed));
    }
}
