//! Tasks that send and receive transactions and root signatures.

use crate::{
    PublicKey,
    decrees::Offered,
    message::Message,
    overdue::{MAX_OVERDUE, Overdue, PATIENCE_MS},
    roots::MAX_ASKED,
    round_trips::PING_INTERVAL,
    shared::{Heard, Marshal, Shared, bump},
};
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_macros::select_loop;
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_runtime::{Clock, Spawner};
use commonware_utils::{channel::mpsc, vec::NonEmptyVec};
use rand::rand_core::CryptoRng;
use std::{sync::Arc, time::Duration};
use tracing::{debug, warn};
use voltmesh_ledger::{
    AuthoritySet, Certificate, Height, PrivateKey, Replacement, RootReceipt, SealSignature, Transaction,
};

/// How often offers that were not made final are looked for.
const OFFER_INTERVAL: Duration = Duration::from_millis(250);

/// How often missing signatures are looked for.
const ROOT_INTERVAL: Duration = Duration::from_millis(200);

/// Rounds of [`ROOT_INTERVAL`] between two [`Message::Status`]: 1 s.
const STATUS_ROUNDS: u64 = 5;

/// Rounds of [`ROOT_INTERVAL`] between two questions for round trips.
const PING_ROUNDS: u64 = (PING_INTERVAL.as_millis() / ROOT_INTERVAL.as_millis()) as u64;

/// Time after which a missing signature is asked for again, of another peer.
const ASK_AGAIN_MS: u64 = 1_000;

/// Peers that a question goes to at a time.
const ASKED: usize = 3;

/// Age at which a peer that says nothing counts as gone.
pub(crate) const SILENT_MS: u64 = 5_000;

/// Peers remembered by what they last said; the network has fewer connections.
const MAX_HEARD: usize = 256;

/// Offers this node's transactions until they are final, first to those that propose blocks, then to all; takes others'.
pub(crate) async fn transactions<E, S, R>(context: E, shared: Arc<Shared>, mut sender: S, mut receiver: R)
where
    E: Clock + Spawner,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    let mut pooled = shared.pooled.subscribe();
    let mut tip = shared.tip.subscribe();
    let mut offers = Offers { shared: shared.clone(), voters: None };
    let mut next = context.current() + OFFER_INTERVAL;
    select_loop! {
        context,
        on_stopped => {},
        Ok((from, bytes)) = receiver.recv() else break => {
            let Ok(transaction) = Transaction::decode(bytes) else {
                debug!(%from, "malformed transaction");
                continue;
            };
            let state = shared.finalised();
            let result = shared.pool.lock().insert(transaction, &state, shared.now_ms(), false);
            match result {
                Ok(true) => bump(&shared.pooled),
                Ok(false) => {}
                Err(error) => debug!(%from, %error, "transaction of a peer not taken"),
            }
        },
        Ok(()) = pooled.changed() else break => offers.send(&mut sender),
        Ok(()) = tip.changed() else break => offers.send(&mut sender),
        _ = context.sleep_until(next) => {
            next = context.current() + OFFER_INTERVAL;
            offers.send(&mut sender);
        },
    }
}

/// This node's offers, and whom they went to.
struct Offers {
    shared: Arc<Shared>,
    voters: Option<Arc<AuthoritySet>>,
}

impl Offers {
    /// Sends what is due. Only voters propose, so they are enough at first; whatever is not final after a second goes to
    /// all, so that f + 1 authorities can call it overdue.
    fn send<S: Sender<PublicKey = PublicKey>>(&mut self, sender: &mut S) {
        let now_ms = self.shared.now_ms();
        let voters = self.shared.voters_of(self.shared.finalised().next_epoch().get());
        let mut pool = self.shared.pool.lock();
        if self.voters.is_some() && self.voters != voters {
            pool.offer_anew(now_ms);
        }
        let due = pool.due(now_ms);
        drop(pool);
        for offer in due {
            let to = match &voters {
                Some(voters) if !offer.repeated => Recipients::Some(voters.keys().cloned().collect()),
                _ => Recipients::All,
            };
            let _ = sender.send(to, offer.transaction.encode(), false);
        }
        self.voters = voters;
    }
}

/// What [`roots`] is told by the node.
pub(crate) enum Event {
    /// This node signed a root.
    Signed(RootReceipt),
    /// This node signed the last block of an epoch.
    Sealed(SealSignature),
    /// This node follows a decree.
    Followed(Box<Replacement>),
}

/// Sends this node's root signatures, asks for missing ones, and answers others.
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
                    // First: whoever asks this node for blocks must know which epochs they are of.
                    let cuts: Vec<_> = self.shared.finalised().calendar().cuts().map(|(h, e)| (h.get(), e.get())).collect();
                    if !cuts.is_empty() {
                        self.send(Recipients::All, Message::Cuts(cuts));
                    }
                    self.tell_decree();
                    // Where a committee votes, what the driver may do depends on the time.
                    if self.shared.finalised().genesis().has_committee() {
                        bump(&self.shared.sealed);
                    }
                    let tip = self.shared.tip.borrow();
                    self.send(Recipients::All, Message::Status { height: tip.height, epoch: tip.epoch });
                    let oldest = self.shared.oldest();
                    if oldest > 1 {
                        self.send(Recipients::All, Message::Oldest(oldest));
                    }
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

    fn send(&mut self, to: Recipients<PublicKey>, message: Message) {
        let _ = self.sender.send(to, message.encode(), false);
    }

    /// Names what has waited in this node's pool for too long, if this node is an authority.
    fn complain(&mut self) {
        let state = self.shared.finalised();
        let Some(authorities) =
            state.authorities_for(state.epoch()).filter(|set| set.contains(&self.shared.me))
        else {
            return;
        };
        let now_ms = self.shared.now_ms();
        let waiting = self.shared.pool.lock().overdue(now_ms.saturating_sub(PATIENCE_MS), now_ms);
        let mut list = self.shared.overdue.lock();
        let fresh: Vec<Overdue> = waiting
            .into_iter()
            .filter(|digest| !list.has_signed(digest, &self.shared.me))
            .take(MAX_OVERDUE)
            .map(|digest| Overdue::sign(&self.shared.chain_id, &self.key, digest))
            .collect();
        fresh.iter().for_each(|overdue| list.add(overdue, authorities, now_ms));
        drop(list);
        if !fresh.is_empty() {
            debug!(count = fresh.len(), "transactions wait for too long");
            self.send(Recipients::All, Message::Overdue(fresh));
        }
    }

    /// Asks one peer after the other for what is missing.
    fn ask(&mut self) {
        let now_ms = self.shared.now_ms();
        let peers: Vec<PublicKey> = self
            .shared
            .peers
            .lock()
            .iter()
            .filter(|(_, heard)| now_ms.saturating_sub(heard.at_ms) < SILENT_MS)
            .map(|(key, _)| key.clone())
            .collect();
        let mut heights = self.shared.roots.lock().ask(now_ms, ASK_AGAIN_MS);
        let mut added = false;
        heights.retain(|height| {
            let mut roots = self.shared.roots.lock();
            added |= roots.sign(*height, &self.key).is_some();
            roots.enough(*height).is_none()
        });
        if added {
            bump(&self.shared.signed);
        }
        if peers.is_empty() {
            return;
        }
        if !heights.is_empty() {
            let to = self.some_of(&peers);
            self.send(to, Message::WantReceipts(heights));
        }
        let unsealed = self.shared.seals.lock().ask(now_ms, ASK_AGAIN_MS);
        if let Some(height) = unsealed {
            let to = self.some_of(&peers);
            self.send(to, Message::WantSeals(height));
        }
        let wanted: Vec<u64> =
            self.shared.certificates.lock().wanted.iter().take(MAX_ASKED).copied().collect();
        if !wanted.is_empty() && self.round.is_multiple_of(STATUS_ROUNDS) {
            let to = self.some_of(&peers);
            self.send(to, Message::WantCertificates(wanted));
        }
    }

    /// The next few of `peers`.
    fn some_of(&mut self, peers: &[PublicKey]) -> Recipients<PublicKey> {
        self.turn = self.turn.wrapping_add(ASKED);
        Recipients::Some(
            peers
                .iter()
                .cycle()
                .skip(self.turn % peers.len())
                .take(ASKED.min(peers.len()))
                .cloned()
                .collect(),
        )
    }

    async fn receive(&mut self, from: PublicKey, message: Message) {
        match message {
            Message::Status { height, epoch } => {
                let mut heard = Heard { height, at_ms: self.shared.now_ms(), oldest: 1 };
                {
                    let mut peers = self.shared.peers.lock();
                    heard.oldest = peers.get(&from).map_or(1, |before| before.oldest);
                    if peers.len() >= MAX_HEARD && !peers.contains_key(&from) {
                        peers.retain(|_, other| heard.at_ms.saturating_sub(other.at_ms) < SILENT_MS);
                    }
                    if peers.len() < MAX_HEARD || peers.contains_key(&from) {
                        peers.insert(from.clone(), heard);
                    }
                }
                if epoch > self.epoch() {
                    let _ = self.ahead.send((epoch, from));
                } else if self.is_stuck_below(height) {
                    // Before a decree may make it count for nothing.
                    self.marshal.hint_finalized(Height::new(height), NonEmptyVec::new(from));
                } else if self.ends_our_epoch(height) {
                    // It waits for the seal, for which this node may be needed.
                    let _ = self.ahead.send((epoch.saturating_add(1), from));
                }
            }
            Message::Receipts(receipts) => {
                let tip = self.shared.height();
                let mut added = false;
                {
                    let mut roots = self.shared.roots.lock();
                    for receipt in receipts {
                        added |= roots.add(receipt, tip);
                    }
                }
                if added {
                    bump(&self.shared.signed);
                }
            }
            Message::WantReceipts(heights) => {
                let mut receipts = Vec::new();
                for height in heights.into_iter().take(MAX_ASKED) {
                    receipts.extend(self.receipts(height).await);
                }
                if !receipts.is_empty() {
                    self.send(Recipients::One(from), Message::Receipts(receipts));
                }
            }
            Message::WantCertificates(heights) => {
                for height in heights.into_iter().take(MAX_ASKED) {
                    if let Some(certificate) = self.shared.certificate(&self.marshal, height).await {
                        self.send(Recipients::One(from.clone()), Message::Certificate(height, certificate));
                    }
                }
            }
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Seals(signatures) => self.seals(signatures),
            Message::Decree(replacement) => self.decree(from, *replacement),
            Message::WantDecree(height) => {
                if let Some(replacement) = self.shared.replacement(&self.marshal, height).await {
                    self.send(Recipients::One(from), Message::Decree(Box::new(replacement)));
                }
            }
            Message::Cuts(cuts) => self.cuts(from, cuts),
            Message::WantSeals(height) => {
                let signatures = self.seal_signatures(height).await;
                if !signatures.is_empty() {
                    self.send(Recipients::One(from), Message::Seals(signatures));
                }
            }
            Message::Oldest(oldest) => {
                if let Some(heard) = self.shared.peers.lock().get_mut(&from) {
                    heard.oldest = oldest;
                }
            }
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
            Message::Overdue(fresh) => {
                let state = self.shared.finalised();
                let Some(authorities) = state.authorities_for(state.epoch()) else { return };
                let now_ms = self.shared.now_ms();
                let mut list = self.shared.overdue.lock();
                fresh.iter().for_each(|overdue| list.add(overdue, authorities, now_ms));
            }
            Message::Certificate(height, certificate) => self.certificate(&from, height, certificate).await,
        }
    }

    /// Whether `height` is the last of the epoch that this node is in, has not reached the end of, and needs a seal for.
    fn ends_our_epoch(&self, height: u64) -> bool {
        let state = self.shared.finalised();
        let (calendar, height) = (state.calendar(), Height::new(height));
        state.genesis().has_committee()
            && height > state.height()
            && calendar.last(state.next_epoch()) == Some(height)
    }

    /// The epoch that others' are compared with: of the newest final block, or where epochs wait for seals and decrees, of
    /// the next one.
    fn epoch(&self) -> u64 {
        let state = self.shared.finalised();
        if state.genesis().has_committee() { state.next_epoch().get() } else { state.epoch().get() }
    }

    /// Whether nothing has become final here for a while, and a peer says that `height` has, in the epoch that runs here.
    fn is_stuck_below(&self, height: u64) -> bool {
        let state = self.shared.finalised();
        let decrees = self.shared.decrees.lock();
        state.genesis().has_committee()
            && height > state.height().get()
            && state.calendar().epoch_of(Height::new(height)) == state.next_epoch()
            && decrees.is_still(self.shared.now_ms())
            && !decrees.has_left(&state)
    }

    /// Tells others of the decree that is to be in force, with those who follow it.
    fn tell_decree(&mut self) {
        let known = self.shared.decrees.lock().to_tell().cloned();
        if let Some(replacement) = known {
            self.send(Recipients::All, Message::Decree(Box::new(replacement)));
        }
    }

    fn decree(&mut self, from: PublicKey, replacement: Replacement) {
        let state = self.shared.finalised();
        if !state.genesis().has_committee() {
            return;
        }
        let after = replacement.decree.after;
        let offered = self.shared.decrees.lock().offer(replacement.clone(), &state);
        match offered {
            Offered::News => bump(&self.shared.sealed),
            Offered::Known => {}
            // Of a block in this node's epoch; others come with it.
            Offered::Behind if state.calendar().epoch_of(after) == state.next_epoch() => {
                self.marshal.hint_finalized(after, NonEmptyVec::new(from));
            }
            Offered::Behind => {}
            Offered::Past => {
                let around = self.shared.chain.lock().around(after.get());
                if let Some([at, next]) = around
                    && self.shared.decrees.lock().overtaken(&replacement, &at, next.epoch().get())
                {
                    bump(&self.shared.sealed);
                }
            }
            Offered::Refused(error) => debug!(%from, %error, "decree refused"),
        }
    }

    /// What a peer says of decrees: one that this node has not followed is asked for.
    fn cuts(&mut self, from: PublicKey, cuts: Vec<(u64, u64)>) {
        let state = self.shared.finalised();
        let (calendar, height) = (state.calendar(), state.height().get());
        let unknown = cuts.iter().find(|(first, epoch)| {
            *first <= height + 1
                && !calendar.cuts().any(|(height, known)| (height.get(), known.get()) == (*first, *epoch))
        });
        if let Some(after) = unknown.and_then(|(first, _)| first.checked_sub(1)) {
            self.send(Recipients::One(from.clone()), Message::WantDecree(after));
        }
        self.shared.decrees.lock().note(from, cuts);
    }

    fn seals(&self, signatures: Vec<SealSignature>) {
        let mut added = false;
        for signature in signatures {
            if self.ends_our_epoch(signature.height.get()) {
                let state = self.shared.finalised();
                if let Some(authorities) = state.authorities_for(signature.epoch) {
                    let end = signature.height.get();
                    self.shared.seals.lock().keep_early(signature, end, authorities);
                }
            } else {
                added |= self.shared.seals.lock().add(signature);
            }
        }
        if added {
            bump(&self.shared.sealed);
        }
    }

    /// Signatures that seal the final block at `height`, as far as this node knows them.
    async fn seal_signatures(&self, height: u64) -> Vec<SealSignature> {
        let known = self.shared.seals.lock().signatures(height);
        if !known.is_empty() || height >= self.shared.height() {
            return known;
        }
        let Some(block) = self.marshal.get_block(Height::new(height)).await else { return known };
        let seal = self.shared.seal(&self.marshal, height).await;
        seal.map_or(known, |seal| seal.split(block.inner().header()))
    }

    /// Signatures of the root at `height` that this node has or can make.
    async fn receipts(&self, height: u64) -> Vec<RootReceipt> {
        let known = self.shared.roots.lock().known(height);
        if known.iter().any(|receipt| receipt.authority == self.shared.me) || height > self.shared.height() {
            return known;
        }
        let Some(block) = self.marshal.get_block(Height::new(height)).await else { return known };
        let header = block.inner().header();
        let serves = self
            .shared
            .authorities_of(header.epoch.get())
            .is_some_and(|authorities| authorities.contains(&self.shared.me));
        let mut receipts = known;
        if serves {
            receipts.push(RootReceipt::sign(&self.shared.chain_id, &self.key, header));
        }
        receipts
    }

    async fn certificate(&self, from: &PublicKey, height: u64, certificate: Certificate) {
        if !self.shared.certificates.lock().wanted.contains(&height) {
            return;
        }
        let Some(block) = self.marshal.get_block(Height::new(height)).await else { return };
        let header = block.inner().header();
        let Some(voters) = self.shared.voters_of(header.epoch.get()) else { return };
        match certificate.verify(&self.shared.chain_id, &voters, header) {
            Ok(_) => {
                self.shared.keep_certificate(height, certificate);
                bump(&self.shared.signed);
            }
            Err(error) => warn!(%from, height, %error, "peer sent a certificate that does not hold"),
        }
    }
}
