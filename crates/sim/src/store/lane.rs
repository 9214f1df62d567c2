//! Threads for the archive's own code: real threads that move only while the simulation waits for them.
//!
//! Delta's code starts tasks and blocks threads, which the deterministic runtime cannot do. So each piece of work on
//! the archive runs on a small Tokio runtime of its own, and the simulated process blocks until that work asks the store
//! for something or is done. A request is answered on the simulation's clock before the work goes on. Between two
//! answers there is one thing only that the work can do, so the threads' timing decides nothing.

use super::request::{Request, Response, failed};
use commonware_utils::sync::Mutex;
use futures::FutureExt as _;
use object_store::{Error, Result};
use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Arc, mpsc},
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
};

/// Work that asks for nothing for so long, in real time, is stuck: the longest step takes well under a second.
const STUCK: Duration = Duration::from_secs(120);

enum Message {
    Request(Request, oneshot::Sender<Result<Response>>),
    Done,
}

/// Channel for requests of the work that a lane runs.
type Line = Arc<Mutex<Option<mpsc::Sender<Message>>>>;

thread_local! {
    /// The lane that this thread belongs to.
    static LINE: RefCell<Option<Line>> = const { RefCell::new(None) };
}

/// Lanes that wait for work. Clones share them.
#[derive(Clone, Default)]
pub struct Lanes(Arc<Mutex<Vec<Lane>>>);

/// A Tokio runtime whose threads know their line.
struct Lane {
    runtime: Runtime,
    line: Line,
}

/// A lane as long as it is used.
pub struct Lease {
    lanes: Lanes,
    lane: Option<Lane>,
    busy: Mutex<bool>,
}

impl Lanes {
    /// A lane that waits for work, or a new one.
    pub fn lease(&self) -> Lease {
        let lane = self.0.lock().pop().unwrap_or_else(Lane::new);
        Lease { lanes: self.clone(), lane: Some(lane), busy: Mutex::new(false) }
    }
}

impl Lane {
    fn new() -> Self {
        let line = Line::default();
        let own = line.clone();
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .on_thread_start(move || LINE.set(Some(own.clone())))
            .build();
        match runtime {
            Ok(runtime) => Self { runtime, line },
            Err(error) => panic!("no threads for the archive's code: {error}"),
        }
    }
}

impl Lease {
    /// Runs work to its end; its requests are answered by `serve`. A panic of the work is one of the caller.
    /// Dropping the future is the death of its process: what the work still asks for fails without effect.
    pub(super) async fn run<T: Send + 'static, A: Future<Output = Result<Response>>>(
        &self,
        serve: impl Fn(Request) -> A,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let Some(lane) = &self.lane else { unreachable!("a lease has its lane until it is dropped") };
        let (requests, inbox) = mpsc::channel();
        let (result, outcome) = mpsc::channel();
        *self.busy.lock() = true;
        *lane.line.lock() = Some(requests.clone());
        lane.runtime.spawn(async move {
            let _ = result.send(AssertUnwindSafe(work).catch_unwind().await);
            let _ = requests.send(Message::Done);
        });
        loop {
            match inbox.recv_timeout(STUCK) {
                Ok(Message::Request(request, reply)) => {
                    let _ = reply.send(serve(request).await);
                }
                Ok(Message::Done) => break,
                Err(error) => panic!("the archive's code neither goes on nor ends: {error}"),
            }
        }
        *lane.line.lock() = None;
        *self.busy.lock() = false;
        match outcome.try_recv() {
            Ok(Ok(value)) => value,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => unreachable!("the outcome is there before it is said to be"),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(lane) = self.lane.take() else { return };
        if *self.busy.lock() {
            // Its process has died: the rest of its work fails by itself, and nobody waits for that.
            lane.line.lock().take();
            lane.runtime.shutdown_background();
        } else {
            self.lanes.0.lock().push(lane);
        }
    }
}

/// Asks the simulation on behalf of the work that this thread does.
pub(super) async fn request(request: Request) -> Result<Response> {
    let line = LINE.with_borrow(|line| line.as_ref().and_then(|line| line.lock().clone()));
    let dead = || failed("the process is dead (simulated)");
    let (reply, answer) = oneshot::channel();
    line.ok_or_else(dead)?.send(Message::Request(request, reply)).map_err(|_| dead())?;
    answer.await.map_err(|_| dead())?
}

/// An answer to another question.
pub(super) fn mismatch(response: &Response) -> Error {
    let text = format!("the simulation answered another question: {response:?}");
    Error::Generic { store: "SimulatedStore", source: text.into() }
}

/// A kind of request that the archive's code does not use.
pub(super) fn unsupported(what: &'static str) -> Error {
    Error::NotSupported { source: what.into() }
}
