//! A value that many watch. They are woken in the order in which they subscribed: tokio's watch wakes in a random
//! order, so that a simulation could not be repeated.

use commonware_utils::sync::Mutex;
use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
};

/// The sender is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

struct State<T> {
    value: T,
    version: u64,
    closed: bool,
    subscribed: u64,
    waiting: BTreeMap<u64, Waker>,
}

/// Changes the value.
pub(crate) struct Sender<T>(Arc<Mutex<State<T>>>);

impl<T: Copy> Sender<T> {
    pub fn new(value: T) -> Self {
        let state = State { value, version: 0, closed: false, subscribed: 0, waiting: BTreeMap::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    pub fn borrow(&self) -> T {
        self.0.lock().value
    }

    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        let mut state = self.0.lock();
        change(&mut state.value);
        state.version += 1;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_values().for_each(Waker::wake);
    }

    /// A receiver that has seen the present value.
    pub fn subscribe(&self) -> Receiver<T> {
        let mut state = self.0.lock();
        state.subscribed += 1;
        Receiver { id: state.subscribed, seen: state.version, state: self.0.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_values().for_each(Waker::wake);
    }
}

/// Waits for changes.
pub(crate) struct Receiver<T> {
    id: u64,
    seen: u64,
    state: Arc<Mutex<State<T>>>,
}

impl<T: Copy> Receiver<T> {
    pub fn borrow_and_update(&mut self) -> T {
        let state = self.state.lock();
        self.seen = state.version;
        state.value
    }

    /// Waits for a value that this receiver has not seen.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        poll_fn(|cx| {
            let mut state = self.state.lock();
            if state.version != self.seen {
                self.seen = state.version;
                return Poll::Ready(Ok(()));
            }
            if state.closed {
                return Poll::Ready(Err(Closed));
            }
            state.waiting.insert(self.id, cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Waits for a value that passes, the present one included.
    pub async fn wait_for(&mut self, passes: impl Fn(&T) -> bool) -> Result<T, Closed> {
        loop {
            let value = self.borrow_and_update();
            if passes(&value) {
                return Ok(value);
            }
            self.changed().await?;
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.state.lock().waiting.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt as _, executor::block_on, task::noop_waker_ref};
    use std::{pin::pin, task::Context};

    #[test]
    fn changes_are_seen_once_and_the_end_is_told() {
        let sender = Sender::new(1u64);
        let mut receiver = sender.subscribe();
        assert!(receiver.changed().now_or_never().is_none());
        sender.send_modify(|value| *value = 2);
        assert_eq!(block_on(receiver.changed()), Ok(()));
        assert!(receiver.changed().now_or_never().is_none());
        assert_eq!(block_on(receiver.wait_for(|value| *value == 2)), Ok(2));
        drop(sender);
        assert_eq!(block_on(receiver.changed()), Err(Closed));
        assert_eq!(block_on(receiver.wait_for(|value| *value == 3)), Err(Closed));
    }

    #[test]
    fn who_no_longer_waits_leaves_nothing_behind() {
        let sender = Sender::new(1u64);
        let mut receiver = sender.subscribe();
        let mut cx = Context::from_waker(noop_waker_ref());
        assert!(pin!(receiver.changed()).poll(&mut cx).is_pending());
        assert_eq!(sender.0.lock().waiting.len(), 1);
        drop(receiver);
        assert_eq!(sender.0.lock().waiting.len(), 0);
    }
}
