//! Moves bytes between a TLS stream and a state machine, in batches.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use crate::Moment;

/// First read buffer of a session; doubles while reads fill it. An idle session keeps this much.
const MIN_READ: usize = 8 << 10;
/// Largest read handed to a machine at once: 16 TLS records.
const MAX_READ: usize = 256 << 10;
/// A peer that does not read its acknowledgements is not read from beyond this many bytes of output.
const MAX_OUTPUT: usize = 1 << 20;
/// For the last bytes, such as a DISCONNECT, to a peer that may not read any more.
const LINGER: Duration = Duration::from_secs(1);
/// Wait before another try when only the server's common budget is used up.
const RETRY: Duration = Duration::from_millis(10);

/// Whether more may be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appetite {
    Read,
    /// Until commands come.
    Wait,
    /// Until others have let go of something.
    Retry,
}

/// Interface that the state machines of both sides have in common.
pub(crate) trait Machine {
    type Command;
    type Event;

    fn received(&mut self, now: Moment, bytes: &[u8]);
    fn closed(&mut self, now: Moment, cause: &str);
    fn tick(&mut self, now: Moment);
    fn commands(&mut self, now: Moment, commands: Vec<Self::Command>);
    /// The peer is not being read from, so that it cannot give a sign of life.
    fn excuse(&mut self, now: Moment);
    /// Nobody listens to events any more.
    fn orphaned(&mut self, now: Moment);
    fn deadline(&self) -> Option<Moment>;
    fn output(&mut self) -> &mut BytesMut;
    fn appetite(&self) -> Appetite;
    fn events(&mut self) -> &mut VecDeque<Self::Event>;
    fn ended(&self) -> bool;
}

/// Commands to a connection's task from any thread; taken all at once.
pub(crate) struct Mailbox<C> {
    queue: Mutex<Vec<C>>,
    filled: Notify,
    closed: AtomicBool,
}

impl<C> Mailbox<C> {
    pub(crate) fn new() -> Mailbox<C> {
        Mailbox { queue: Mutex::new(Vec::new()), filled: Notify::new(), closed: AtomicBool::new(false) }
    }

    /// False when the connection is gone.
    pub(crate) fn push(&self, commands: impl IntoIterator<Item = C>) -> bool {
        if self.is_closed() {
            return false;
        }
        let mut queue = self.lock();
        let was_empty = queue.is_empty();
        queue.extend(commands);
        let wake = was_empty && !queue.is_empty();
        drop(queue);
        if wake {
            self.filled.notify_one();
        }
        true
    }

    pub(crate) fn take(&self) -> Vec<C> {
        std::mem::take(&mut *self.lock())
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<C>> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The origin of a process's moments.
#[derive(Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock(Instant::now())
    }

    pub(crate) fn now(self) -> Moment {
        Moment::from_origin(self.0.elapsed())
    }

    fn instant(self, moment: Moment) -> Instant {
        self.0 + moment.since_origin()
    }
}

/// Runs a machine until its connection has ended and its last event is delivered.
pub(crate) async fn drive<M: Machine, S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    machine: &mut M,
    mailbox: &Mailbox<M::Command>,
    events: &mpsc::Sender<M::Event>,
    clock: Clock,
) {
    let mut pipe = Pipe { stream, buffer: vec![0; MIN_READ], filled: 0, unflushed: false };
    let mut timer = pin!(sleep_until(clock.instant(clock.now())));
    loop {
        let commands = mailbox.take();
        if !commands.is_empty() {
            machine.commands(clock.now(), commands);
        }
        while let Some(event) = machine.events().pop_front() {
            match events.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event)) => {
                    machine.events().push_front(event);
                    break;
                }
                Err(mpsc::error::TrySendError::Closed(_)) => {
                    machine.events().clear();
                    machine.orphaned(clock.now());
                    break;
                }
            }
        }
        if machine.ended() {
            break;
        }
        let stuck = !machine.events().is_empty();
        let appetite = machine.appetite();
        let paused = stuck || appetite != Appetite::Read;
        if paused {
            machine.excuse(clock.now());
        }
        let read = !paused && machine.output().len() < MAX_OUTPUT;
        let mut due = machine.deadline().map(|moment| clock.instant(moment));
        if appetite == Appetite::Retry {
            let soon = Instant::now() + RETRY;
            due = Some(due.map_or(soon, |due| due.min(soon)));
        }
        // Deadlines move on with every packet: the timer is only moved forward once it has fired.
        if due.is_some_and(|due| due < timer.deadline() || timer.is_elapsed()) {
            timer.as_mut().reset(due.unwrap_or_else(Instant::now));
        }
        tokio::select! {
            step = pipe.step(machine.output(), read) => match step {
                Ok(Step::Read) => {
                    machine.received(clock.now(), pipe.bytes());
                    pipe.consumed();
                }
                Ok(Step::Wrote) => {}
                Ok(Step::Closed) => machine.closed(clock.now(), "the peer closed it"),
                Err(error) => machine.closed(clock.now(), &error.to_string()),
            },
            () = mailbox.filled.notified() => {}
            () = timer.as_mut(), if due.is_some() => {
                if !paused && machine.deadline().is_some_and(|deadline| deadline <= clock.now()) {
                    machine.tick(clock.now());
                }
            }
            permit = events.reserve(), if stuck => match (permit, machine.events().pop_front()) {
                (Ok(permit), Some(event)) => permit.send(event),
                (Ok(_), None) => {}
                (Err(_), _) => {
                    machine.events().clear();
                    machine.orphaned(clock.now());
                }
            },
        }
    }
    mailbox.close();
    let _ = timeout(LINGER, pipe.finish(machine.output())).await;
    while let Some(event) = machine.events().pop_front() {
        if events.send(event).await.is_err() {
            break;
        }
    }
}

enum Step {
    Read,
    Wrote,
    Closed,
}

struct Pipe<S> {
    stream: S,
    buffer: Vec<u8>,
    filled: usize,
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pipe<S> {
    /// Writes what there is and reads what there is. May be dropped at any time: what was done is kept.
    async fn step(&mut self, output: &mut BytesMut, read: bool) -> io::Result<Step> {
        poll_fn(|context| {
            let wrote = self.poll_write(context, output)?;
            if read && let Poll::Ready(step) = self.poll_read(context)? {
                return Poll::Ready(Ok(step));
            }
            if wrote { Poll::Ready(Ok(Step::Wrote)) } else { Poll::Pending }
        })
        .await
    }

    /// True when the last byte has just left.
    fn poll_write(&mut self, context: &mut Context<'_>, output: &mut BytesMut) -> io::Result<bool> {
        while !output.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, output) {
                Poll::Ready(count) => {
                    let count = count?;
                    if count == 0 {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                    output.advance(count);
                    self.unflushed = true;
                }
                Poll::Pending => return Ok(false),
            }
        }
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Ready(flushed) => {
                    flushed?;
                    self.unflushed = false;
                    return Ok(true);
                }
                Poll::Pending => return Ok(false),
            }
        }
        Ok(false)
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Step>> {
        loop {
            if self.filled == self.buffer.len() {
                if self.filled >= MAX_READ {
                    return Poll::Ready(Ok(Step::Read));
                }
                self.buffer.resize(self.filled * 2, 0);
            }
            let mut space = ReadBuf::new(&mut self.buffer[self.filled..]);
            match Pin::new(&mut self.stream).poll_read(context, &mut space) {
                Poll::Ready(Ok(())) => {
                    let count = space.filled().len();
                    if count == 0 {
                        // What was read before the end comes first; the end is found again.
                        return Poll::Ready(Ok(if self.filled > 0 { Step::Read } else { Step::Closed }));
                    }
                    self.filled += count;
                }
                Poll::Ready(Err(_)) if self.filled > 0 => return Poll::Ready(Ok(Step::Read)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if self.filled > 0 => return Poll::Ready(Ok(Step::Read)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    fn consumed(&mut self) {
        self.filled = 0;
    }

    async fn finish(&mut self, output: &mut BytesMut) -> io::Result<()> {
        self.stream.write_all_buf(output).await?;
        self.stream.flush().await?;
        self.stream.shutdown().await
    }
}

#[cfg(test)]
mod tests;
