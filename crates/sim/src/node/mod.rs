//! One node's process: the deterministic runtime with the node's own disk, clock and fate.
//!
//! [`NodeContext`] is a runtime like any other to the code that runs on it (consensus, marshal,
//! spool). It passes everything on to the deterministic runtime except storage, which is the
//! node's [`Disk`], and time, which may be off by the node's clock error. A [`Machine`] starts and
//! kills processes: killing aborts the task tree; a panic in any task kills the process as it
//! would outside, and nothing else in the simulation.

use crate::disk::{Disk, FileBlob, Mount};
use commonware_parallel::Rayon;
use commonware_runtime::{
    BlobVersion, Clock, Error, Handle, Metrics, Name, Network, Resolver, SinkOf, Spawner, Storage,
    Strategizer, StreamOf, Supervisor, deterministic, signal,
    telemetry::metrics::{Metric, Registered},
};
use commonware_utils::sync::Mutex;
use futures::FutureExt as _;
use rand::{TryCryptoRng, TryRng};
use std::{
    convert::Infallible,
    future::Future,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    ops::RangeInclusive,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, SystemTime},
};
use voltmesh_telemetry::Timestamp;

/// A node's hardware: its disk and clock stay, its processes come and go.
pub struct Machine {
    disk: Disk,
    process: Option<Process>,
    /// What the clock is ahead (or behind) of true time, in milliseconds.
    clock_error_ms: i64,
    starts: u64,
}

/// A running process.
struct Process(Arc<Fate>);

/// State of a process: running, or the reason why not.
struct Fate {
    panic: Mutex<Option<String>>,
    task: Mutex<Option<Handle<()>>>,
    disk: Disk,
}

impl Fate {
    /// Ends the process, once: what is left of an ended one may still panic, and its disk may be another's by then.
    fn end(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
            self.disk.detach();
        }
    }
}

impl Machine {
    /// A machine that is off, with an empty disk.
    pub fn new(seed: u64) -> Self {
        Self { disk: Disk::new(seed), process: None, clock_error_ms: 0, starts: 0 }
    }

    /// Its disk.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Sets the clock error of processes started from now on.
    pub fn set_clock_error_ms(&mut self, error: i64) {
        self.clock_error_ms = error;
    }

    /// How often a process was started.
    pub fn starts(&self) -> u64 {
        self.starts
    }

    /// Whether a process runs (a panicked one does not).
    pub fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.0.panic.lock().is_none())
    }

    /// What the process panicked with, if it did.
    pub fn panic(&self) -> Option<String> {
        self.process.as_ref()?.0.panic.lock().clone()
    }

    /// Starts the node's process.
    ///
    /// # Panics
    /// If one is running.
    pub fn start<F, Fut>(&mut self, context: deterministic::Context, main: F)
    where
        F: FnOnce(NodeContext) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        assert!(self.process.is_none(), "a process is running on this machine");
        self.starts += 1;
        let (disk, clock_error_ms) = (self.disk.clone(), self.clock_error_ms);
        let fate = Arc::new(Fate { panic: Mutex::default(), task: Mutex::default(), disk: disk.clone() });
        let shared = fate.clone();
        // The task is the root of the process: aborting it aborts everything it started.
        let task = context.spawn(move |inner| {
            let mount = disk.mount(inner.child("disk"));
            let context = NodeContext { inner, mount, fate: shared.clone(), clock_error_ms };
            let main = main(context);
            async move { guard(&shared, main).await }
        });
        *fate.task.lock() = Some(task);
        self.process = Some(Process(fate));
    }

    /// Ends the process as `kill -9` does: the kernel keeps what was written.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.0.end();
        }
    }

    /// Takes the power: the process ends and unsynced writes are lost or torn.
    pub fn power_cut(&mut self) {
        if let Some(process) = self.process.take() {
            process.0.end();
        }
        self.disk.power_cut();
    }

    /// Ends the process and replaces the disk by an empty one.
    pub fn wipe(&mut self) {
        self.kill();
        self.disk.wipe();
    }
}

/// Runs a task of the process; a panic ends the process instead of the simulation.
async fn guard<T>(fate: &Fate, task: impl Future<Output = T>) -> T {
    match AssertUnwindSafe(task).catch_unwind().await {
        Ok(value) => value,
        Err(panic) => {
            fate.panic.lock().get_or_insert_with(|| message(&*panic));
            fate.end();
            // The process is dead: nobody may see this task end.
            futures::future::pending().await
        }
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".into())
}

/// The runtime as a process of a node sees it.
pub struct NodeContext {
    inner: deterministic::Context,
    mount: Mount,
    fate: Arc<Fate>,
    clock_error_ms: i64,
}

impl NodeContext {
    /// The disk as this process uses it.
    pub fn mount(&self) -> &Mount {
        &self.mount
    }

    fn with(&self, inner: deterministic::Context) -> Self {
        Self {
            inner,
            mount: self.mount.clone(),
            fate: self.fate.clone(),
            clock_error_ms: self.clock_error_ms,
        }
    }

    /// True time to this node's.
    fn local(&self, time: SystemTime) -> SystemTime {
        shift(time, self.clock_error_ms)
    }
}

fn shift(time: SystemTime, by_ms: i64) -> SystemTime {
    let by = Duration::from_millis(by_ms.unsigned_abs());
    let shifted = if by_ms < 0 { time.checked_sub(by) } else { time.checked_add(by) };
    shifted.unwrap_or(time).max(SystemTime::UNIX_EPOCH)
}

/// A node's clock as the roles use it.
pub fn timestamp(clock: &impl Clock) -> Timestamp {
    let since = clock.current().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as u64)
}

impl Supervisor for NodeContext {
    fn name(&self) -> Name {
        self.inner.name()
    }

    fn child(&self, label: &'static str) -> Self {
        self.with(self.inner.child(label))
    }

    fn with_attribute(self, key: &'static str, value: impl std::fmt::Display) -> Self {
        Self { inner: self.inner.with_attribute(key, value), ..self }
    }
}

impl Spawner for NodeContext {
    fn shared(self, blocking: bool) -> Self {
        Self { inner: self.inner.shared(blocking), ..self }
    }

    fn dedicated(self) -> Self {
        Self { inner: self.inner.dedicated(), ..self }
    }

    fn spawn<F, Fut, T>(self, f: F) -> Handle<T>
    where
        F: FnOnce(Self) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let Self { inner, mount, fate, clock_error_ms } = self;
        inner.spawn(move |inner| {
            let task = f(Self { inner, mount, fate: fate.clone(), clock_error_ms });
            async move { guard(&fate, task).await }
        })
    }

    async fn stop(self, _: i32, _: Option<Duration>) -> Result<(), Error> {
        // Stopping is the whole runtime's; a process here ends by being killed.
        Err(Error::Closed)
    }

    fn stopped(&self) -> signal::Signal {
        self.inner.stopped()
    }
}

impl Strategizer for NodeContext {
    fn strategy(&self, parallelism: NonZeroUsize) -> Rayon {
        self.inner.strategy(parallelism)
    }
}

impl Metrics for NodeContext {
    fn register<N: Into<String>, H: Into<String>, M: Metric>(
        &self,
        name: N,
        help: H,
        metric: M,
    ) -> Registered<M> {
        self.inner.register(name, help, metric)
    }

    fn encode(&self) -> String {
        self.inner.encode()
    }
}

impl governor::clock::Clock for NodeContext {
    type Instant = SystemTime;

    fn now(&self) -> SystemTime {
        self.current()
    }
}

impl governor::clock::ReasonablyRealtime for NodeContext {}

impl Clock for NodeContext {
    fn current(&self) -> SystemTime {
        self.local(self.inner.current())
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.inner.sleep(duration)
    }

    fn sleep_until(&self, deadline: SystemTime) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.inner.sleep_until(shift(deadline, -self.clock_error_ms))
    }
}

impl Network for NodeContext {
    type Listener = <deterministic::Context as Network>::Listener;

    async fn bind(&self, socket: SocketAddr) -> Result<Self::Listener, Error> {
        self.inner.bind(socket).await
    }

    async fn dial(&self, socket: SocketAddr) -> Result<(SinkOf<Self>, StreamOf<Self>), Error> {
        self.inner.dial(socket).await
    }
}

impl Resolver for NodeContext {
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        self.inner.resolve(host).await
    }
}

impl Storage for NodeContext {
    type Blob = FileBlob;

    async fn open_versioned(
        &self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<BlobVersion>,
    ) -> Result<(FileBlob, u64, BlobVersion), Error> {
        self.mount.open_versioned(partition, name, versions).await
    }

    async fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), Error> {
        self.mount.remove(partition, name).await
    }

    async fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, Error> {
        self.mount.scan(partition).await
    }
}

impl TryRng for NodeContext {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.inner.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.inner.try_next_u64()
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Infallible> {
        self.inner.try_fill_bytes(dest)
    }
}

impl TryCryptoRng for NodeContext {}

#[cfg(test)]
mod tests;
