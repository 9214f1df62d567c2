//! Receiving on one channel of the authorities' connections.

use commonware_p2p::Receiver;
use commonware_runtime::{Clock as _, IoBuf, deterministic};
use commonware_utils::{NZUsize, sync::Mutex};
use futures::{FutureExt as _, future::BoxFuture, task::AtomicWaker};
use std::{
    collections::BTreeMap, convert::Infallible, fmt, future::poll_fn, num::NonZeroUsize, sync::Arc,
    task::Poll, time::SystemTime,
};
use voltmesh_ledger::PublicKey;

/// Messages that may wait at one receiver; more are dropped, as on a full queue.
pub(super) const MAILBOX: usize = 8_192;

/// Messages of one channel on their way to one node.
#[derive(Default)]
pub(super) struct Mailbox {
    /// By arrival; the number keeps equals in order.
    pub queue: Mutex<BTreeMap<(SystemTime, u64), (PublicKey, IoBuf)>>,
    /// Arrival of the last message from each sender, to keep order.
    pub last: Mutex<BTreeMap<PublicKey, SystemTime>>,
    pub waker: AtomicWaker,
}

/// Receives on one channel.
pub struct MeshReceiver {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) context: Arc<deterministic::Context>,
    pub(super) timer: Option<(SystemTime, BoxFuture<'static, ()>)>,
}

impl fmt::Debug for MeshReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshReceiver").finish_non_exhaustive()
    }
}

impl Receiver for MeshReceiver {
    type Error = Infallible;
    type PublicKey = PublicKey;

    async fn recv(&mut self) -> Result<(PublicKey, IoBuf), Infallible> {
        poll_fn(|cx| {
            self.mailbox.waker.register(cx.waker());
            let now = self.context.current();
            let mut queue = self.mailbox.queue.lock();
            let Some(first) = queue.first_entry() else { return Poll::Pending };
            let at = first.key().0;
            if at <= now {
                return Poll::Ready(Ok(first.remove()));
            }
            drop(queue);
            if self.timer.as_ref().is_none_or(|(set, _)| *set != at) {
                self.timer = Some((at, self.context.sleep_until(at).boxed()));
            }
            if let Some((_, timer)) = &mut self.timer
                && timer.poll_unpin(cx).is_ready()
            {
                self.timer = None;
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await
    }

    fn capacity(&self) -> NonZeroUsize {
        NZUsize!(MAILBOX)
    }
}
