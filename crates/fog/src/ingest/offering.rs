//! Second copies of foreign records, the offering side: what this node attested is offered to another one, and the
//! publishes in it are answered when both hold it durably. The holding side is in `holding.rs`, the messages in `copies.rs`.

use std::collections::BTreeSet;

use bytes::Bytes;
use voltmesh_ledger::PublicKey;
use voltmesh_mqtt::SessionId;
use voltmesh_telemetry::{BatchId, Digest, SealedBatch};

use super::{
    copies::{MAX_DIGESTS, Message},
    core::Ingest,
    io::Output,
    refusal::Delay,
    state::offers::{Claims, Offer, PACE_MS, Settling},
};

/// Settled offers that are remembered, to answer those who ask late: 2 MiB. Past it the answer is "unknown" and the holder
/// anchors the batches once more, which the archive recognises.
const SETTLED: usize = 65_536;

impl Ingest {
    /// Batches that this node attests and holds want a second copy; the publishes in them wait for it.
    pub(super) fn offer(&mut self, batches: &[SealedBatch], claims: Claims) {
        let since = self.now;
        let opening = self.settings.opening;
        for batch in batches {
            if !self.copies.gathering.block.fits(batch) {
                self.send_offer();
            }
            let at = self.held.get(&batch.id()).map(|held| held.entry.0).unwrap_or_default();
            let gathering = &mut self.copies.gathering;
            gathering.block.push(&opening, batch);
            gathering.batches.push(batch.id());
            gathering.last = gathering.last.max(at);
            gathering.since.get_or_insert(since);
        }
        // With the last batch: those before it are offered by then, and held at the latest when this one is.
        self.copies.gathering.claims.extend(claims);
        self.copies.gathering.since.get_or_insert(since);
    }

    /// Sends what was gathered unless an offer left a moment ago, and offers again what no one confirmed.
    pub(super) fn offer_copies(&mut self) {
        let copies = &self.copies;
        let free = copies.offers.is_empty() || copies.last_offer.plus_millis(PACE_MS) <= self.now;
        if copies.gathering.since.is_some() && free && !copies.peers.is_empty() {
            self.send_offer();
        }
        let (now, settings) = (self.now, &self.settings.foreign);
        let (offer_ms, copy_ms) = (settings.offer_ms, settings.copy_ms);
        let unheld = self.copies.offers.iter().filter(|(_, offer)| offer.holders.is_empty());
        let (mut late, mut again) = (Vec::new(), Vec::new());
        for (digest, offer) in unheld {
            if offer.since.plus_millis(copy_ms) <= now {
                late.push(*digest);
            } else if offer.sent.plus_millis(offer_ms) <= now {
                again.push(*digest);
            }
        }
        let mut given_up = Claims::default();
        for digest in late {
            if let Some(offer) = self.copies.offers.remove(&digest) {
                given_up.extend(self.stop_offer(digest, offer));
            }
        }
        if self.copies.gathering.since.is_some_and(|since| since.plus_millis(copy_ms) <= now) {
            given_up.extend(std::mem::take(&mut self.copies.gathering).claims);
        }
        self.give_up(given_up);
        for digest in again {
            let Some(mut offer) = self.copies.offers.remove(&digest) else { continue };
            self.send_to_next(&mut offer);
            self.copies.offers.insert(digest, offer);
        }
        self.tell_settled();
    }

    /// Ends the sessions of publishes that get no second copy in time. Their records are archived all the same.
    pub(super) fn give_up(&mut self, claims: Claims) {
        if claims.is_empty() {
            return;
        }
        let sessions = claims.sessions();
        self.disk.leave(claims.bytes);
        self.foreign.marks.given_up(claims.marks, self.settings.foreign.remembered);
        self.end_sessions(sessions, &Delay::NoSecondCopy { waited_ms: self.settings.foreign.copy_ms });
    }

    fn send_offer(&mut self) {
        let gathering = std::mem::take(&mut self.copies.gathering);
        let Some(since) = gathering.since else { return };
        let block = gathering.block.take();
        let digest = Digest::of(&block);
        self.copies.last_offer = self.now;
        let mut offer = Offer {
            block,
            claims: gathering.claims,
            batches: gathering.batches,
            last: gathering.last,
            since,
            sent: self.now,
            asked: Vec::new(),
            holders: Vec::new(),
        };
        if let Some(same) = self.copies.offers.remove(&digest) {
            // The same batches again, byte for byte: one offer answers both.
            offer.claims.extend(same.claims);
            offer.holders = same.holders;
        } else {
            for batch in &offer.batches {
                self.copies.of_batch.entry(*batch).or_default().push(digest);
            }
        }
        self.send_to_next(&mut offer);
        self.copies.offers.insert(digest, offer);
    }

    fn send_to_next(&mut self, offer: &mut Offer) {
        offer.sent = self.now;
        let Some(to) = self.copies.next_peer(&offer.asked) else { return };
        offer.asked.push(to.clone());
        self.outputs.push(Output::Copy { to, message: Message::OfferSealed(offer.block.clone()).encode() });
    }

    /// Answers the offers that are durable here and there.
    pub(super) fn offers_durable(&mut self) {
        let durable = self.durable_below();
        let done = self.copies.offers.iter().filter(|(_, o)| !o.holders.is_empty() && o.last < durable);
        let done: Vec<_> = done.map(|(digest, _)| *digest).collect();
        let mut answers = Vec::new();
        for digest in done {
            let Some(offer) = self.copies.offers.remove(&digest) else { continue };
            let claims = self.stop_offer(digest, offer);
            answers.extend(claims.answers);
            self.disk.leave(claims.bytes);
            self.foreign.marks.acknowledged(claims.marks, self.settings.foreign.remembered);
        }
        if !answers.is_empty() {
            self.outputs.push(Output::Answer(answers));
        }
    }

    /// An offer is answered or given up: from now on it settles when its batches are archived.
    fn stop_offer(&mut self, digest: Digest, offer: Offer) -> Claims {
        let of_batch = &self.copies.of_batch;
        let open =
            offer.batches.iter().filter(|batch| of_batch.get(*batch).is_some_and(|d| d.contains(&digest)));
        let open = open.collect::<BTreeSet<_>>().len();
        self.copies.settling.insert(digest, Settling { holders: offer.holders, open });
        if open == 0 {
            self.settle(digest);
        }
        offer.claims
    }

    /// Gives up all offers and what waits for one; the sessions in them.
    pub(super) fn drop_offers(&mut self) -> Vec<SessionId> {
        let mut claims = self.foreign.take_claims(None);
        for (digest, offer) in std::mem::take(&mut self.copies.offers) {
            claims.extend(self.stop_offer(digest, offer));
        }
        claims.extend(std::mem::take(&mut self.copies.gathering).claims);
        self.disk.leave(claims.bytes);
        let sessions = claims.sessions();
        self.foreign.marks.given_up(claims.marks, self.settings.foreign.remembered);
        sessions
    }

    /// A batch is not held any more: it is archived, or kept in a quarantine.
    pub(super) fn batch_settled(&mut self, batch: &BatchId) {
        for digest in self.copies.of_batch.remove(batch).unwrap_or_default() {
            let Some(settling) = self.copies.settling.get_mut(&digest) else { continue };
            settling.open = settling.open.saturating_sub(1);
            if settling.open == 0 {
                self.settle(digest);
            }
        }
    }

    fn settle(&mut self, digest: Digest) {
        let holders = self.copies.settling.remove(&digest).map(|settling| settling.holders);
        for holder in holders.unwrap_or_default() {
            self.copies.news.entry(holder).or_default().push(digest);
        }
        if self.copies.settled.insert(digest) {
            self.copies.settled_order.push_back(digest);
        }
        while self.copies.settled_order.len() > SETTLED {
            if let Some(oldest) = self.copies.settled_order.pop_front() {
                self.copies.settled.remove(&oldest);
            }
        }
    }

    fn tell_settled(&mut self) {
        for (to, digests) in std::mem::take(&mut self.copies.news) {
            for part in digests.chunks(MAX_DIGESTS) {
                let message = Message::Settled(part.to_vec()).encode();
                self.outputs.push(Output::Copy { to: to.clone(), message });
            }
        }
    }

    pub(super) fn copy_message(&mut self, from: PublicKey, message: &Bytes) {
        match Message::decode(message) {
            None => self.counters.copies_refused += 1,
            Some(Message::Offer(block)) => self.copy_offered(from, block, false),
            Some(Message::OfferSealed(block)) => self.copy_offered(from, block, true),
            Some(Message::Held(digests)) => {
                for digest in digests {
                    if let Some(offer) = self.copies.offers.get_mut(&digest) {
                        add(&mut offer.holders, &from);
                    } else if let Some(settling) = self.copies.settling.get_mut(&digest) {
                        add(&mut settling.holders, &from);
                    } else if self.copies.settled.contains(&digest) {
                        self.copies.news.entry(from.clone()).or_default().push(digest);
                    }
                }
                self.offers_durable();
            }
            Some(Message::Settled(digests)) => {
                for digest in digests {
                    self.forget_copy(&from, digest);
                }
            }
            Some(Message::Ask(digests)) => self.answer_ask(from, digests),
            Some(Message::Mine(digests)) => {
                for digest in digests {
                    self.taken_care_of(&from, digest);
                }
            }
            Some(Message::Unknown(digests)) => {
                for digest in digests {
                    self.disowned(&from, digest);
                }
            }
        }
    }

    fn answer_ask(&mut self, from: PublicKey, digests: Vec<Digest>) {
        let (mut mine, mut settled, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for digest in digests {
            if self.copies.offers.contains_key(&digest) || self.copies.settling.contains_key(&digest) {
                mine.push(digest);
            } else if self.copies.settled.contains(&digest) {
                settled.push(digest);
            } else {
                unknown.push(digest);
            }
        }
        for (digests, make) in [
            (mine, Message::Mine as fn(Vec<Digest>) -> Message),
            (settled, Message::Settled),
            (unknown, Message::Unknown),
        ] {
            if !digests.is_empty() {
                self.outputs.push(Output::Copy { to: from.clone(), message: make(digests).encode() });
            }
        }
    }
}

fn add(holders: &mut Vec<PublicKey>, holder: &PublicKey) {
    if !holders.contains(holder) {
        holders.push(holder.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settled_offers_are_remembered_up_to_a_bound_and_unknown_past_it() {
        let mut world = super::super::tests::World::new();
        let core = &mut world.core;
        let digest = |n: usize| Digest::of(&n.to_le_bytes());
        for n in 0..=SETTLED {
            core.settle(digest(n));
        }
        assert_eq!(core.copies.settled(), SETTLED);
        core.answer_ask(core.authority.clone(), vec![digest(0), digest(1)]);
        let said = core.outputs.iter().filter_map(|output| match output {
            Output::Copy { message, .. } => Message::decode(message),
            _ => None,
        });
        let said: Vec<_> = said.collect();
        assert_eq!(said, [Message::Settled(vec![digest(1)]), Message::Unknown(vec![digest(0)])]);
    }
}
