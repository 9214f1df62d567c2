//! What nodes send, counted where they hand it to the network: measured, not modelled.
//!
//! A message to seven peers counts seven times, with its bytes. Bytes are payload: what a transport adds (frames, tags,
//! acknowledgements) is not in them. A message that the quota holds back is not sent and not counted; one that a link
//! loses is.

use crate::{PublicKey, network};
use commonware_actor::{Feedback, Unreliable};
use commonware_p2p::{CheckedSender, LimitedSender, Recipients};
use commonware_runtime::IoBufs;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

/// The node's channels by number, as in [`network`].
pub const CHANNELS: [&str; 7] =
    ["votes", "certificates", "resolver", "blocks", "backfill", "transactions", "roots"];

/// How many of [`CHANNELS`], from the first, carry the agreement itself. The others spread transactions and signatures
/// of log roots, the same under every agreement.
pub const AGREEMENT: usize = network::BACKFILL as usize + 1;

/// Messages (each times its recipients) and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Messages times recipients.
    pub messages: u64,
    /// Payload bytes times recipients.
    pub bytes: u64,
}

impl Sent {
    /// What was sent since `before`.
    pub fn since(self, before: Self) -> Self {
        Self { messages: self.messages - before.messages, bytes: self.bytes - before.bytes }
    }
}

impl std::ops::Add for Sent {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { messages: self.messages + other.messages, bytes: self.bytes + other.bytes }
    }
}

impl std::iter::Sum for Sent {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), std::ops::Add::add)
    }
}

#[derive(Debug, Default)]
struct Cell {
    messages: AtomicU64,
    bytes: AtomicU64,
}

/// Counters by channel, shared by all nodes that are to be counted together.
#[derive(Debug, Default)]
pub struct Traffic([Cell; CHANNELS.len()]);

impl Traffic {
    /// What has been sent on each of [`CHANNELS`] so far.
    pub fn snapshot(&self) -> [Sent; CHANNELS.len()] {
        std::array::from_fn(|channel| Sent {
            messages: self.0[channel].messages.load(Ordering::Relaxed),
            bytes: self.0[channel].bytes.load(Ordering::Relaxed),
        })
    }
}

/// A sender whose messages are counted.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    me: PublicKey,
    channel: usize,
    traffic: Arc<Traffic>,
}

impl<S> Counted<S> {
    /// Counts what `me` sends through `inner` on `channel`, which is one of [`CHANNELS`].
    ///
    /// # Panics
    ///
    /// If there is no such channel.
    pub fn new(inner: S, me: PublicKey, channel: u64, traffic: Arc<Traffic>) -> Self {
        let channel = channel as usize;
        assert!(channel < CHANNELS.len(), "channel {channel} is not the node's");
        Self { inner, me, channel, traffic }
    }

    /// The sender, not counted any more.
    #[cfg(test)]
    pub(crate) fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: LimitedSender<PublicKey = PublicKey>> LimitedSender for Counted<S> {
    type PublicKey = PublicKey;
    type Checked<'a>
        = CountedOnce<'a, S::Checked<'a>>
    where
        Self: 'a;

    fn check(&mut self, recipients: Recipients<PublicKey>) -> Result<Self::Checked<'_>, SystemTime> {
        let inner = self.inner.check(recipients)?;
        Ok(CountedOnce { inner, me: &self.me, cell: &self.traffic.0[self.channel] })
    }
}

/// Message that has passed the quota.
#[derive(Debug)]
pub struct CountedOnce<'a, C> {
    inner: C,
    me: &'a PublicKey,
    cell: &'a Cell,
}

impl<C: CheckedSender<PublicKey = PublicKey>> CheckedSender for CountedOnce<'_, C> {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        self.inner.recipients()
    }

    fn send(self, message: impl Into<IoBufs> + Send, priority: bool) -> Unreliable<Feedback> {
        let message = message.into();
        let bytes = message.len() as u64;
        // Nobody sends to itself over the network, though it may be in the list.
        let to = self.inner.recipients().iter().filter(|key| *key != self.me).count() as u64;
        let feedback = self.inner.send(message, priority);
        if feedback.accepted() {
            self.cell.messages.fetch_add(to, Ordering::Relaxed);
            self.cell.bytes.fetch_add(to * bytes, Ordering::Relaxed);
        }
        feedback
    }
}
