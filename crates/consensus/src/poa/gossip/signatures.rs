//! The task that sends and receives what nodes tell each other beside the engine. What it does with each family of messages
//! is in the files beside.

use crate::{
    PublicKey,
    poa::{
        gossip::{message::Message, round_trips::PING_INTERVAL},
        shared::{Marshal, Shared},
    },
};
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_macros::select_loop;
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_runtime::{Clock, Spawner};
use commonware_utils::channel::mpsc;
use rand::rand_core::CryptoRng;
use std::{sync::Arc, time::Duration};
use tracing::debug;
use voltmesh_ledger::{PrivateKey, Replacement, RootReceipt, SealSignature};

/// How often missing signatures are looked for.
const ROOT_INTERVAL: Duration = Duration::from_millis(200);

/// Rounds of [`ROOT_INTERVAL`] between two [`Message::Status`]: 1 s.
pub(super) const STATUS_ROUNDS: u64 = 5;

/// Rounds of [`ROOT_INTERVAL`] between two questions for round trips.
const PING_ROUNDS: u64 = (PING_INTERVAL.as_millis() / ROOT_INTERVAL.as_millis()) as u64;

/// News of this node for [`RootGossip`].
pub(crate) enum Event {
    /// This node signed a root.
    Signed(RootReceipt),
    /// This node signed the last block of an epoch.
    Sealed(SealSignature),
    /// This node follows a decree.
    Followed(Box<Replacement>),
}

/// Task that exchanges signatures, certificates and status with other nodes.
pub(crate) struct RootGossip<S> {
    pub shared: Arc<Shared>,
    pub marshal: Marshal,
    pub key: PrivateKey,
    pub sender: S,
    /// Peers that are in a later epoch than we.
    pub ahead: mpsc::UnboundedSender<(u64, PublicKey)>,
    /// Counts questions, so that each goes to the next peers.
    pub turn: usize,
    /// Counts rounds of [`ROOT_INTERVAL`].
    pub round: u64,
    /// Takes what is about snapshots.
    pub keeper: mpsc::Sender<(PublicKey, Message)>,
}

impl<S: Sender<PublicKey = PublicKey>> RootGossip<S> {
    pub async fn run<E, R>(
        mut self,
        mut context: E,
        mut events: mpsc::UnboundedReceiver<Event>,
        mut receiver: R,
    ) where
        E: Clock + Spawner + CryptoRng,
        R: Receiver<PublicKey = PublicKey>,
    {
        let mut next = context.current();
        select_loop! {
            context,
            on_stopped => {},
            Some(event) = events.recv() else break => {
                let message = match event {
                    Event::Signed(receipt) => Message::Receipts(vec![receipt]),
                    Event::Sealed(signature) => Message::Seals(vec![signature]),
                    Event::Followed(replacement) => Message::Decree(replacement),
                };
                self.send(Recipients::All, message);
            },
            Ok((from, bytes)) = receiver.recv() else break => {
                match Message::decode(bytes) {
                    // At once: what waits here counts as distance.
                    Ok(Message::Ping(nonce)) => self.send(Recipients::One(from), Message::Pong(nonce)),
                    Ok(Message::Pong(nonce)) => {
                        self.shared.round_trips.lock().answer(&from, nonce, context.current());
                    }
                    Ok(message) => self.receive(from, message).await,
                    Err(error) => debug!(%from, %error, "malformed message"),
                }
            },
            _ = context.sleep_until(next) => {
                next = context.current() + ROOT_INTERVAL;
                if self.round.is_multiple_of(STATUS_ROUNDS) {
                    self.tell_status();
                }
                if self.round.is_multiple_of(PING_ROUNDS) {
                    let nonce = context.next_u64();
                    self.shared.round_trips.lock().ask(nonce, context.current());
                    self.send(Recipients::All, Message::Ping(nonce));
                }
                if self.round.is_multiple_of(STATUS_ROUNDS) {
                    self.complain();
                }
                self.ask();
                self.round = self.round.wrapping_add(1);
            },
        }
    }

    pub(super) fn send(&mut self, to: Recipients<PublicKey>, message: Message) {
        let _ = self.sender.send(to, message.encode(), false);
    }

    /// Hands a message to its family.
    async fn receive(&mut self, from: PublicKey, message: Message) {
        match message {
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Status { height, epoch } => self.heard(from, height, epoch),
            Message::Oldest(oldest) => {
                if let Some(heard) = self.shared.peers.lock().get_mut(&from) {
                    heard.oldest = oldest;
                }
            }
            Message::Overdue(fresh) => self.add_overdue(&fresh),
            Message::Receipts(receipts) => self.add_receipts(receipts),
            Message::WantReceipts(heights) => self.answer_receipts(from, heights).await,
            Message::Certificate(height, certificate) => self.certificate(&from, height, certificate).await,
            Message::WantCertificates(heights) => self.answer_certificates(from, heights).await,
            Message::Seals(signatures) => self.seals(signatures),
            Message::WantSeals(height) => {
                let signatures = self.seal_signatures(height).await;
                if !signatures.is_empty() {
                    self.send(Recipients::One(from), Message::Seals(signatures));
                }
            }
            Message::Decree(replacement) => self.decree(from, *replacement),
            Message::WantDecree(height) => {
                if let Some(replacement) = self.shared.replacement(&self.marshal, height).await {
                    self.send(Recipients::One(from), Message::Decree(Box::new(replacement)));
                }
            }
            Message::Cuts(cuts) => self.cuts(from, cuts),
            Message::WantHandovers(_)
            | Message::Handovers(_)
            | Message::WantOffer
            | Message::Offer(_)
            | Message::WantChunk(..)
            | Message::Chunk(_) => {
                if self.keeper.try_send((from, message)).is_err() {
                    debug!("the keeper is busy, a message is dropped");
                }
            }
        }
    }
}
