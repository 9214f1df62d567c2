//! Threads that run the core's jobs: signatures and roots, off the loop that talks to everyone.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
};

use tokio::sync::mpsc;

use crate::ingest::{Done, Job};

/// By how much these threads yield to the loop and its sessions, 0..=19: attested batches are sealed in bursts of tens of
/// milliseconds, and a PUBACK that waits for a processor meanwhile waits for nothing that it needs.
const NICENESS: i32 = 10;

/// A pool with one queue. The core bounds what is in it by the bytes that are under way.
pub struct Workers {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Workers {
    /// Starts `count` threads that answer on `done`.
    pub fn start(count: usize, done: &mpsc::UnboundedSender<Done>) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        for index in 0..count {
            let (queue, done) = (queue.clone(), done.clone());
            thread::Builder::new().name(format!("verify-{index}")).spawn(move || {
                // On Linux this is the calling thread's alone. Without it everything works, only later.
                if let Err(error) = rustix::process::nice(NICENESS) {
                    tracing::warn!(%error, "jobs run at the priority of sessions");
                }
                while let Some(job) = queue.next() {
                    if done.send(job.run()).is_err() {
                        return;
                    }
                }
            })?;
        }
        Ok(Self { queue })
    }

    /// Queues a job.
    pub fn push(&self, job: Job) {
        self.queue.state.lock().unwrap_or_else(PoisonError::into_inner).jobs.push_back(job);
        self.queue.wake.notify_one();
    }
}

impl Queue {
    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        state.jobs.clear();
        self.queue.wake.notify_all();
    }
}
