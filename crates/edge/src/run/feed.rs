//! The source in its own thread.

use crate::Error;
use crate::commands::Setpoints;
use crate::sources::{Next, Pacer, Sampled, Source};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Samples between source and agent.
const SAMPLES: usize = 256;

/// Samples that a recording gives at once where none of them has to be waited for: a hand-over between threads costs as
/// much as five samples.
const AT_ONCE: usize = 64;

/// A vehicle whose samples are taken so much later than they are due is behind, until they are taken in the second time
/// again; with a live bus, while more than half of [`SAMPLES`] wait.
const BEHIND: Duration = Duration::from_millis(500);

const KEEPS_UP: Duration = Duration::from_millis(100);

/// What a source gives.
pub(super) enum Given {
    Samples(Vec<Sampled>),
    /// It cannot go on.
    Failed(Error),
}

/// The source in its own thread: it reads files and sleeps.
pub(super) struct Feed {
    pub(super) given: mpsc::Receiver<Given>,
    pub(super) ended: bool,
    pub(super) stopped: Arc<AtomicBool>,
    pub(super) refused: Arc<AtomicU64>,
    pub(super) skipped: Arc<AtomicU64>,
    /// Whether samples wait longer than they should.
    pub(super) behind: Arc<AtomicBool>,
    /// What is in force, and how often it has changed.
    pub(super) in_force: Arc<(Mutex<Setpoints>, AtomicU64)>,
    /// What the source said at its end.
    pub(super) said: Arc<Mutex<Vec<String>>>,
}

impl Feed {
    pub(super) fn start(mut source: Box<dyn Source>, mut pacer: Pacer) -> Result<Self, Error> {
        let live = source.is_live();
        // What comes live is handed over one by one.
        let (send, given) = mpsc::channel(if live { SAMPLES } else { SAMPLES / AT_ONCE });
        let feed = Self {
            given,
            ended: false,
            stopped: Arc::default(),
            refused: Arc::default(),
            skipped: Arc::default(),
            behind: Arc::default(),
            in_force: Arc::default(),
            said: Arc::default(),
        };
        let said = feed.said.clone();
        let (stopped, refused, skipped) = (feed.stopped.clone(), feed.refused.clone(), feed.skipped.clone());
        let behind = feed.behind.clone();
        let in_force = feed.in_force.clone();
        let work = move || {
            let mut ready = Vec::new();
            let mut obeyed = 0;
            let give = |ready: &mut Vec<Sampled>| {
                ready.is_empty() || send.blocking_send(Given::Samples(std::mem::take(ready))).is_ok()
            };
            while !stopped.load(Ordering::Relaxed) {
                let newest = in_force.1.load(Ordering::Acquire);
                if newest != obeyed {
                    obeyed = newest;
                    source.obey(&in_force.0.lock().unwrap_or_else(PoisonError::into_inner));
                }
                let next = source.poll();
                skipped.store(source.skipped(), Ordering::Relaxed);
                let sampled = match next {
                    Ok(Next::Sample(sampled)) => sampled,
                    Ok(Next::Nothing) => continue,
                    Ok(Next::End) => {
                        let lines = source.said();
                        tracing::info!(read = lines.join("; "), "the source has ended");
                        *said.lock().unwrap_or_else(PoisonError::into_inner) = lines;
                        give(&mut ready);
                        return;
                    }
                    Err(error) => {
                        if give(&mut ready) {
                            // Nobody is left to hear it if that fails.
                            let _ = send.blocking_send(Given::Failed(error));
                        }
                        return;
                    }
                };
                if live {
                    behind.store(send.capacity() < SAMPLES / 2, Ordering::Relaxed);
                    // What is not taken is lost: the bus does not wait.
                    if let Err(mpsc::error::TrySendError::Full(_)) =
                        send.try_send(Given::Samples(vec![sampled]))
                    {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    continue;
                }
                let due_in = pacer.wait(Instant::now(), sampled.sample.time.as_millis());
                if !due_in.is_zero() {
                    // What is due does not wait for what is not.
                    if !give(&mut ready) {
                        return;
                    }
                    wait(due_in, &stopped);
                }
                let limit = if behind.load(Ordering::Relaxed) { KEEPS_UP } else { BEHIND };
                behind.store(pacer.late() > limit, Ordering::Relaxed);
                if ready.capacity() == 0 {
                    ready.reserve_exact(AT_ONCE);
                }
                ready.push(sampled);
                if (ready.len() == AT_ONCE || !due_in.is_zero()) && !give(&mut ready) {
                    return;
                }
            }
        };
        let spawned = std::thread::Builder::new().name("source".into()).spawn(work);
        spawned.map_err(|e| Error::source("thread", e.to_string()))?;
        Ok(feed)
    }

    /// This is in force from the source's next sample on.
    pub(super) fn obey(&self, setpoints: &Setpoints) {
        let mut in_force = self.in_force.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *in_force != *setpoints {
            in_force.clone_from(setpoints);
            self.in_force.1.fetch_add(1, Ordering::Release);
        }
    }

    pub(super) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn stop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.given.close();
    }
}

/// Sleeps in pieces, so that a stop is noticed.
fn wait(mut time: Duration, stopped: &AtomicBool) {
    const PIECE: Duration = Duration::from_millis(50);
    while !time.is_zero() && !stopped.load(Ordering::Relaxed) {
        let piece = time.min(PIECE);
        std::thread::sleep(piece);
        time -= piece;
    }
}
