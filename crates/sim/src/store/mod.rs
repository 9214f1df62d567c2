//! The archive's object store: what a bucket does to its users, on the simulation's clock and from the seed.
//!
//! Requests take milliseconds to minutes. They fail before their effect or lose their answer after it; a conditional
//! put whose answer is lost may come back as "exists already", as it does when a client library tries again. Listings
//! leave out new objects for a while; reads do not. A process that dies leaves its put on the way: it takes effect
//! later, or never. The objects outlive all processes.
//!
//! [`object::SimulatedStore`] is what the product's code is given; [`lane::Lane`] runs that code; [`Store::serve`] is
//! what happens to one request.

pub mod lane;
pub mod object;
pub mod request;

use crate::audit::Audit;
use bytes::Bytes;
use commonware_runtime::{Clock, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::sync::Mutex;
use futures::{FutureExt as _, TryStreamExt as _};
use lane::{Lanes, Lease};
use object_store::{
    Error, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, Result, memory::InMemory,
    path::Path,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use request::{Request, Response, failed};
use std::{
    collections::BTreeMap,
    fmt,
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, SystemTime},
};
use url::Url;
use voltmesh_cloud::Location;

/// Location of the archive in the store.
const ROOT: &str = "memory:///archive/";

/// Behaviour of the store towards requests from now on.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// A request's time in milliseconds, drawn evenly over the orders of magnitude. Default 1..=20.
    pub latency_ms: RangeInclusive<u64>,
    /// Of 1,000 requests, how many fail and have no effect: errors and throttling. Default 0.
    pub refused_per_mille: u32,
    /// Of 1,000 requests, how many take effect and are reported as failed. Default 0.
    pub unanswered_per_mille: u32,
    /// Listings leave out a new object for up to so long, in milliseconds. Default 0.
    pub list_lag_ms: u64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { latency_ms: 1..=20, refused_per_mille: 0, unanswered_per_mille: 0, list_lag_ms: 0 }
    }
}

/// Counters of what happened to requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// All.
    pub requests: u64,
    /// Failed without effect.
    pub refused: u64,
    /// Took effect and were reported as failed.
    pub unanswered: u64,
    /// Puts that took effect after their process had died.
    pub late: u64,
    /// Conditional puts that met an object.
    pub conflicts: u64,
    /// Listings that left out an object.
    pub behind: u64,
}

/// The store as the simulation sees it. Clones are the same one.
#[derive(Clone)]
pub struct Store {
    state: Arc<Mutex<State>>,
    context: Arc<deterministic::Context>,
    lanes: Lanes,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

struct State {
    objects: Arc<InMemory>,
    /// When an object is first listed; those that always were are not here.
    listed_from: BTreeMap<Path, SystemTime>,
    rng: StdRng,
    behaviour: Behaviour,
    counters: Counters,
    audit: Audit,
    /// The simulation has ended: nothing lands any more.
    closed: bool,
}

/// Fate drawn for one request when it is sent.
struct Fate {
    /// Until it takes effect.
    out: Duration,
    /// From then until its answer.
    back: Duration,
    refused: bool,
    unanswered: bool,
    /// If a conditional put's answer is lost: it comes as "exists already".
    repeated: bool,
    /// It takes effect although its process has died on the way.
    lands: bool,
    list_lag: Duration,
}

impl Store {
    /// An empty store on `context`'s clock; `audit` sees every commit to its tables.
    pub fn new(context: deterministic::Context, seed: u64, audit: Audit) -> Self {
        let state = State {
            objects: Arc::new(InMemory::new()),
            listed_from: BTreeMap::new(),
            rng: StdRng::seed_from_u64(seed),
            behaviour: Behaviour::default(),
            counters: Counters::default(),
            audit,
            closed: false,
        };
        Self { state: Arc::new(Mutex::new(state)), context: Arc::new(context), lanes: Lanes::default() }
    }

    /// The archive as the product's code opens it.
    pub fn location(&self) -> Location {
        let url = Url::parse(ROOT).unwrap_or_else(|_| unreachable!("a valid URL"));
        Location { store: Arc::new(object::SimulatedStore), url }
    }

    /// A lane for work on the archive.
    pub fn lane(&self) -> Lease {
        self.lanes.lease()
    }

    /// Runs work on the archive to its end; its requests are served on `clock`.
    pub fn run<T: Send + 'static>(
        &self,
        lane: &Lease,
        clock: &impl Clock,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> {
        // On the heap: a commit's future is large, and each async function that passes one on would hold it twice.
        let work = Box::pin(work);
        lane.run(move |request| self.serve(clock, request), work)
    }

    /// How requests are treated from now on. Listings that are no longer late show all at once.
    pub fn set(&self, behaviour: Behaviour) {
        let mut state = self.state.lock();
        if behaviour.list_lag_ms == 0 {
            state.listed_from.clear();
        }
        state.behaviour = behaviour;
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.state.lock().counters
    }

    /// What the tables hold, read by the audit.
    pub fn audit<T>(&self, read: impl FnOnce(&Audit) -> T) -> T {
        read(&self.state.lock().audit)
    }

    /// The simulation has ended: what is on the way never lands.
    pub fn close(&self) {
        self.state.lock().closed = true;
    }

    /// One request from its sending to its answer. Dropping the future is the death of its process.
    pub async fn serve(&self, clock: &impl Clock, request: Request) -> Result<Response> {
        let fate = self.state.lock().fate();
        if fate.refused {
            clock.sleep(fate.out).await;
            return Err(failed("the store refused the request (simulated)"));
        }
        let created = match &request {
            Request::Put { path, create: true, .. } => Some(path.clone()),
            _ => None,
        };
        let flight = Flight {
            store: self.clone(),
            arrives: self.context.current() + fate.out,
            lag: fate.list_lag,
            request: Some(request),
            lands: fate.lands,
        };
        clock.sleep(fate.out).await;
        let answer = flight.land();
        clock.sleep(fate.back).await;
        match (fate.unanswered, created) {
            (false, _) => answer,
            (true, Some(path)) if fate.repeated && answer.is_ok() => Err(Error::AlreadyExists {
                path: path.to_string(),
                source: "the client library tried again (simulated)".into(),
            }),
            (true, _) => Err(failed("the answer was lost (simulated)")),
        }
    }

    fn apply(&self, request: Request, lag: Duration) -> Result<Response> {
        let now = self.context.current();
        self.state.lock().apply(now, request, lag)
    }
}

/// A request between its sending and its effect.
struct Flight {
    store: Store,
    arrives: SystemTime,
    lag: Duration,
    request: Option<Request>,
    lands: bool,
}

impl Flight {
    fn land(mut self) -> Result<Response> {
        match self.request.take() {
            Some(request) => self.store.apply(request, self.lag),
            None => unreachable!("a request takes effect once"),
        }
    }
}

impl Drop for Flight {
    /// The process has died with its request on the way.
    fn drop(&mut self) {
        let Some(request) = self.request.take().filter(|request| self.lands && request.writes()) else {
            return;
        };
        let (store, arrives, lag) = (self.store.clone(), self.arrives, self.lag);
        {
            let mut state = self.store.state.lock();
            if state.closed {
                return;
            }
            state.counters.late += 1;
        }
        self.store.context.child("late").spawn(move |context| async move {
            context.sleep_until(arrives).await;
            let _ = store.apply(request, lag);
        });
    }
}

impl State {
    fn fate(&mut self) -> Fate {
        let Behaviour { latency_ms, refused_per_mille, unanswered_per_mille, list_lag_ms } = &self.behaviour;
        let rng = &mut self.rng;
        let (least, most) = (*latency_ms.start().max(&1) as f64, *latency_ms.end().max(&1) as f64);
        let millis = least * (most / least).max(1.0).powf(rng.random::<f64>());
        let latency = Duration::from_micros((millis * 1000.0) as u64);
        let out = latency.mul_f64(rng.random());
        let roll = rng.random_range(0..1000);
        let refused = roll < *refused_per_mille;
        let unanswered = !refused && roll < refused_per_mille + unanswered_per_mille;
        let fate = Fate {
            out,
            back: latency.saturating_sub(out),
            refused,
            unanswered,
            repeated: rng.random(),
            lands: rng.random(),
            list_lag: Duration::from_millis(rng.random_range(0..=*list_lag_ms)),
        };
        self.counters.requests += 1;
        self.counters.refused += u64::from(refused);
        self.counters.unanswered += u64::from(unanswered);
        fate
    }

    fn apply(&mut self, now: SystemTime, request: Request, lag: Duration) -> Result<Response> {
        match request {
            Request::Put { path, payload, create } => {
                let mode = if create { PutMode::Create } else { PutMode::Overwrite };
                let options = PutOptions { mode, ..PutOptions::default() };
                let is_new = at_once(self.objects.head(&path)).is_err();
                if !is_new && create {
                    self.counters.conflicts += 1;
                }
                at_once(self.objects.put_opts(&path, payload.clone(), options))?;
                // A put that was sent under a fault may land after it.
                if is_new && !lag.is_zero() && self.behaviour.list_lag_ms > 0 {
                    self.listed_from.insert(path.clone(), now + lag);
                }
                let objects = self.objects.clone();
                let read = |path: &Path| {
                    let object = at_once(objects.get(path)).ok()?;
                    at_once(object.bytes()).ok()
                };
                self.audit.put(&path, &Bytes::from(payload), read);
                Ok(Response::Done)
            }
            Request::Get { path, options } => {
                at_once(self.objects.get_opts(&path, options)).map(Response::Object)
            }
            Request::Parts { path, ranges } => {
                at_once(self.objects.get_ranges(&path, &ranges)).map(Response::Parts)
            }
            Request::List { prefix, offset } => {
                let mut found: Vec<ObjectMeta> =
                    at_once(self.objects.list(prefix.as_ref()).try_collect::<Vec<_>>())?;
                let all = found.len();
                self.listed_from.retain(|_, from| *from > now);
                found.retain(|meta| !self.listed_from.contains_key(&meta.location));
                self.counters.behind += u64::from(found.len() < all);
                found.retain(|meta| offset.as_ref().is_none_or(|offset| meta.location > *offset));
                found.sort_by(|a, b| a.location.cmp(&b.location));
                Ok(Response::Listed(found))
            }
            Request::Delete { path } => at_once(self.objects.delete(&path)).map(|()| Response::Done),
            Request::Copy { from, to, options } => {
                at_once(self.objects.copy_opts(&from, &to, options)).map(|()| Response::Done)
            }
        }
    }
}

/// The objects are in memory: their futures are ready.
fn at_once<T>(ready: impl Future<Output = T>) -> T {
    match ready.now_or_never() {
        Some(done) => done,
        None => unreachable!("objects in memory are there at once"),
    }
}

#[cfg(test)]
mod tests;
