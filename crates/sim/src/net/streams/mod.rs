//! The links between nodes: byte streams with latency, jitter, loss, partitions and resets.
//!
//! A stream behaves as TCP over a bad link: bytes arrive in order or not at all, cut into
//! arbitrary pieces; a lost segment costs a retransmission; a partition stalls the stream until it
//! heals or gives up. A killed peer is noticed at once (its kernel resets), one without power
//! only after a time. Nothing a dead connection still had under way arrives.

use super::{address::NodeAddress, connection::Connection};
use bytes::Bytes;
use commonware_runtime::{Clock as _, deterministic};
use commonware_utils::sync::Mutex;
use futures::{FutureExt as _, future::BoxFuture, task::AtomicWaker};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::poll_fn,
    ops::RangeInclusive,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

/// First retransmission delay of a lost segment; each further loss doubles it.
const RETRANSMIT: Duration = Duration::from_millis(200);
/// Connections waiting at one listener. More than nodes exist in any world.
const BACKLOG: usize = 256;

/// LinkQuality of the links; changes hold for what is sent from then on.
#[derive(Clone, Debug)]
pub struct LinkQuality {
    /// One-way delay in milliseconds.
    pub latency_ms: RangeInclusive<u64>,
    /// Of 1,000 segments, how many are lost and sent again. 0..=900.
    pub loss_per_mille: u32,
    /// Of 100,000 segments, how many reset their connection.
    pub resets_per_100_000: u32,
}

impl Default for LinkQuality {
    /// A good wireless link.
    fn default() -> Self {
        Self { latency_ms: 2..=20, loss_per_mille: 0, resets_per_100_000: 0 }
    }
}

/// All links. Clones are the same net.
#[derive(Clone)]
pub struct Net(Arc<Mutex<Links>>);

struct Links {
    context: Arc<deterministic::Context>,
    rng: StdRng,
    quality: LinkQuality,
    cuts: BTreeSet<(NodeAddress, NodeAddress)>,
    listeners: BTreeMap<NodeAddress, Arc<Listener>>,
    connections: Vec<Arc<Connection>>,
    resets: u64,
}

#[derive(Default)]
struct Listener {
    waiting: Mutex<VecDeque<(SystemTime, Stream)>>,
    waker: AtomicWaker,
}

/// The peer cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("connection refused or timed out: retry later or elsewhere")]
pub struct Unreachable;

impl Net {
    /// Good links between all places.
    pub fn new(context: deterministic::Context, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Links {
            context: Arc::new(context),
            rng: StdRng::seed_from_u64(seed),
            quality: LinkQuality::default(),
            cuts: BTreeSet::new(),
            listeners: BTreeMap::new(),
            connections: Vec::new(),
            resets: 0,
        })))
    }

    /// Changes how good the links are.
    pub fn set(&self, quality: LinkQuality) {
        self.0.lock().quality = quality;
    }

    /// Connections reset by loss so far.
    pub fn resets(&self) -> u64 {
        self.0.lock().resets
    }

    /// Accepts connections at a place; a former listener there is closed.
    pub fn listen(&self, place: NodeAddress) -> Incoming {
        let listener = Arc::new(Listener::default());
        self.0.lock().listeners.insert(place, listener.clone());
        Incoming { net: self.clone(), place, listener }
    }

    /// Opens a stream: one round trip, if the peer listens and the link is open.
    pub async fn connect(&self, from: NodeAddress, to: NodeAddress) -> Result<Stream, Unreachable> {
        let (context, delay) = {
            let mut links = self.0.lock();
            let delay = links.delay() + links.delay();
            (links.context.clone(), delay)
        };
        context.sleep(delay).await;
        if self.is_cut(from, to) {
            // A SYN without answer; the caller's patience is part of its own logic.
            context.sleep(Duration::from_secs(1)).await;
            return Err(Unreachable);
        }
        let mut links = self.0.lock();
        let listener = links.listeners.get(&to).cloned().ok_or(Unreachable)?;
        if listener.waiting.lock().len() >= BACKLOG {
            return Err(Unreachable);
        }
        let connection = Arc::new(Connection {
            ends: [from, to],
            state: Mutex::default(),
            wakers: [AtomicWaker::new(), AtomicWaker::new()],
        });
        links.connections.retain(|old| !old.is_over());
        links.connections.push(connection.clone());
        let stream = |end| Stream { net: self.clone(), connection: connection.clone(), end, timer: None };
        listener.waiting.lock().push_back((context.current(), stream(1)));
        listener.waker.wake();
        Ok(stream(0))
    }

    /// Whether the link between two places is cut.
    pub fn is_cut(&self, a: NodeAddress, b: NodeAddress) -> bool {
        self.0.lock().is_cut(a, b)
    }

    /// Cuts the link between two places, both ways.
    pub fn cut(&self, a: NodeAddress, b: NodeAddress) {
        let mut links = self.0.lock();
        links.cuts.insert(key(a, b));
        links.stall(|ends| key(ends[0], ends[1]) == key(a, b));
    }

    /// Opens it again; what was stalled arrives after a retransmission.
    pub fn heal(&self, a: NodeAddress, b: NodeAddress) {
        let mut links = self.0.lock();
        links.cuts.remove(&key(a, b));
        let now = links.context.current();
        let delay = links.delay() + RETRANSMIT;
        for connection in &links.connections {
            if key(connection.ends[0], connection.ends[1]) == key(a, b) {
                connection.resume(now + delay);
            }
        }
    }

    /// The process at a place has ended: peers are told at once.
    pub fn reset(&self, place: NodeAddress) {
        let mut links = self.0.lock();
        links.listeners.remove(&place);
        let at = links.context.current() + links.delay();
        for connection in links.connections.iter().filter(|c| c.ends.contains(&place)) {
            connection.end(at);
        }
    }

    /// The place has lost power: peers hear nothing until they give up.
    pub fn silence(&self, place: NodeAddress) {
        let mut links = self.0.lock();
        links.listeners.remove(&place);
        links.stall(|ends| ends.contains(&place));
    }
}

impl Links {
    fn delay(&mut self) -> Duration {
        Duration::from_millis(self.rng.random_range(self.quality.latency_ms.clone()))
    }

    /// Delay of one segment, retransmissions included; `None` resets the connection.
    fn segment(&mut self) -> Option<Duration> {
        let (loss, resets) = (self.quality.loss_per_mille, self.quality.resets_per_100_000);
        if resets > 0 && self.rng.random_range(0..100_000) < resets {
            self.resets += 1;
            return None;
        }
        let (mut delay, mut again) = (self.delay(), RETRANSMIT);
        while loss > 0 && again < RETRANSMIT * 32 && self.rng.random_range(0..1000) < loss {
            delay += again;
            again *= 2;
        }
        Some(delay)
    }

    fn is_cut(&self, a: NodeAddress, b: NodeAddress) -> bool {
        self.cuts.contains(&key(a, b))
    }

    fn stall(&mut self, which: impl Fn([NodeAddress; 2]) -> bool) {
        let gives_up = self.context.current() + Duration::from_millis(self.rng.random_range(3_000..10_000));
        for connection in self.connections.iter().filter(|connection| which(connection.ends)) {
            let mut state = connection.state.lock();
            state.stalled = true;
            state.gives_up_at.get_or_insert(gives_up);
            drop(state);
            connection.wake();
        }
    }
}

fn key(a: NodeAddress, b: NodeAddress) -> (NodeAddress, NodeAddress) {
    (a.min(b), a.max(b))
}

/// Connections arriving at a place.
pub struct Incoming {
    net: Net,
    place: NodeAddress,
    listener: Arc<Listener>,
}

impl Incoming {
    /// The next connection and where it comes from.
    pub async fn accept(&mut self) -> (NodeAddress, Stream) {
        let (_, stream) = poll_fn(|cx| {
            self.listener.waker.register(cx.waker());
            self.listener.waiting.lock().pop_front().map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        (stream.connection.ends[0], stream)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut links = self.net.0.lock();
        if links.listeners.get(&self.place).is_some_and(|current| Arc::ptr_eq(current, &self.listener)) {
            links.listeners.remove(&self.place);
        }
        drop(links);
        // Dropped outside the lock: each stream takes it to close.
        let waiting = std::mem::take(&mut *self.listener.waiting.lock());
        drop(waiting);
    }
}

/// One end of a connection.
pub struct Stream {
    net: Net,
    connection: Arc<Connection>,
    end: usize,
    timer: Option<(SystemTime, BoxFuture<'static, ()>)>,
}

impl Stream {
    /// Who is at the other end.
    pub fn peer(&self) -> NodeAddress {
        self.connection.ends[1 - self.end]
    }

    /// Puts bytes on their way. On an ended connection they are gone, as the next read tells.
    pub fn send(&self, bytes: impl Into<Bytes>) {
        let mut bytes = bytes.into();
        let mut links = self.net.0.lock();
        let now = links.context.current();
        while !bytes.is_empty() {
            // Segments end anywhere: parsers must not count on boundaries.
            let len = if links.rng.random_range(0..4) == 0 {
                links.rng.random_range(1..=bytes.len())
            } else {
                bytes.len()
            };
            let piece = bytes.split_to(len);
            let Some(delay) = links.segment() else {
                let at = now + links.delay();
                self.connection.end(at);
                return;
            };
            let mut state = self.connection.state.lock();
            if state.ended_at[self.end].is_some() {
                return;
            }
            let inbound = &mut state.inbound[1 - self.end];
            let earliest = inbound.back().map_or(now, |(arrives, _)| *arrives);
            inbound.push_back(((now + delay).max(earliest), piece));
        }
        drop(links);
        self.connection.wakers[1 - self.end].wake();
    }

    /// The next bytes, or `None` once the connection has ended.
    pub async fn recv(&mut self) -> Option<Bytes> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`Self::recv`], for callers that wait for several things.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.connection.wakers[self.end].register(cx.waker());
        let context = self.net.0.lock().context.clone();
        let now = context.current();
        let next = {
            let mut state = self.connection.state.lock();
            if state.gives_up_at.is_some_and(|at| at <= now) {
                state.inbound = Default::default();
                state.ended_at = [Some(now); 2];
                state.gives_up_at = None;
                self.connection.wakers[1 - self.end].wake();
            }
            if state.ended_at[self.end].is_some_and(|at| at <= now) {
                return Poll::Ready(None);
            }
            let arrives = state.inbound[self.end].front().map(|(at, _)| *at).filter(|_| !state.stalled);
            if arrives.is_some_and(|at| at <= now) {
                return Poll::Ready(state.inbound[self.end].pop_front().map(|(_, bytes)| bytes));
            }
            [arrives, state.ended_at[self.end], state.gives_up_at].into_iter().flatten().min()
        };
        let Some(at) = next else { return Poll::Pending };
        if self.timer.as_ref().is_none_or(|(set, _)| *set != at) {
            self.timer = Some((at, context.sleep_until(at).boxed()));
        }
        if let Some((_, timer)) = &mut self.timer
            && timer.poll_unpin(cx).is_ready()
        {
            self.timer = None;
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Closed in order: what was sent still arrives, then the end.
        let now = {
            let links = self.net.0.lock();
            links.context.current()
        };
        let mut state = self.connection.state.lock();
        state.ended_at[self.end].get_or_insert(now);
        if !state.stalled {
            let last = state.inbound[1 - self.end].back().map_or(now, |(arrives, _)| *arrives);
            state.ended_at[1 - self.end].get_or_insert(last + Duration::from_millis(1));
        }
        drop(state);
        self.connection.wakers[1 - self.end].wake();
    }
}

#[cfg(test)]
mod tests;
