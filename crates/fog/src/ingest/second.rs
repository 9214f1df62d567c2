//! Second copies of foreign records, both sides: offering ours, holding others'. The messages and what they mean are in
//! `copies.rs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use voltmesh_ledger::PublicKey;
use voltmesh_mqtt::SessionId;
use voltmesh_spool::Position;
use voltmesh_telemetry::{Digest, Timestamp, VehicleId};

use super::{
    Answer, Ingest, Output,
    anchors::after,
    copies::{MAX_BLOCK, MAX_DIGESTS, Message},
    durable::Then,
    entry::{Block, CopyEntry, Entry},
    marks::Mark,
    refusal::Delay,
};
use crate::config::Foreign;

/// Least time between two offers while one is under way: 250 messages a second, half of the channel's quota.
const PACE_MS: u64 = 4;

/// Settled offers that are remembered, to answer those who ask late: 2 MiB.
const SETTLED: usize = 65_536;

/// Samples that wait for their second copy, in one offer.
#[derive(Debug)]
struct Offer {
    block: Bytes,
    answers: Vec<Answer>,
    marks: Vec<Mark>,
    bytes: u64,
    /// The last of the entries that hold these records here.
    last: Position,
    sources: Vec<Position>,
    since: Timestamp,
    sent: Timestamp,
    asked: Vec<PublicKey>,
    holders: Vec<PublicKey>,
}

/// Samples for the next offer.
#[derive(Debug, Default)]
struct Gathering {
    block: Vec<u8>,
    answers: Vec<Answer>,
    marks: Vec<Mark>,
    bytes: u64,
    last: Position,
    sources: Vec<Position>,
    since: Option<Timestamp>,
}

/// An acknowledged offer whose records are not all archived.
#[derive(Debug)]
struct Settling {
    holders: Vec<PublicKey>,
    open: usize,
}

/// A block that this node holds for another.
#[derive(Debug)]
struct Holding {
    origin: PublicKey,
    entry: (Position, u32),
    due: Timestamp,
    asked: bool,
}

/// Both sides' state.
#[derive(Debug, Default)]
pub struct Copies {
    peers: Vec<PublicKey>,
    turn: usize,
    gathering: Gathering,
    last_offer: Timestamp,
    offers: BTreeMap<Digest, Offer>,
    settling: BTreeMap<Digest, Settling>,
    settled: BTreeSet<Digest>,
    settled_order: VecDeque<Digest>,
    /// Settled, not yet said to the holders.
    news: BTreeMap<PublicKey, Vec<Digest>>,
    holding: BTreeMap<Digest, Holding>,
    due: BTreeSet<(Timestamp, Digest)>,
    held_bytes: BTreeMap<PublicKey, u64>,
    /// Being read for a take-over.
    loading: BTreeMap<Position, Digest>,
}

impl Copies {
    pub fn set_peers(&mut self, peers: Vec<PublicKey>) {
        self.peers = peers;
    }

    pub fn deadline(&self, settings: &Foreign) -> Option<Timestamp> {
        let gathered = self.gathering.since.map(|since| match self.peers.is_empty() {
            true => after(since, settings.copy_ms),
            false => after(self.last_offer, PACE_MS),
        });
        let waiting = self.offers.values().filter(|offer| offer.holders.is_empty());
        let offers = waiting
            .map(|offer| after(offer.sent, settings.offer_ms).min(after(offer.since, settings.copy_ms)));
        let held = self.due.first().map(|(due, _)| *due);
        gathered.into_iter().chain(offers).chain(held).min()
    }

    /// The next peer, one that was not asked yet if there is one.
    fn next_peer(&mut self, asked: &[PublicKey]) -> Option<PublicKey> {
        let count = self.peers.len();
        let order = (0..count).map(|step| (self.turn + step) % count);
        let at =
            order.clone().find(|at| !asked.contains(&self.peers[*at])).or_else(|| order.clone().next())?;
        self.turn = at + 1;
        Some(self.peers[at].clone())
    }
}

impl Ingest {
    /// Samples that are in the spool at `position` want a second copy.
    pub(super) fn offer(
        &mut self,
        block: Bytes,
        answers: Vec<Answer>,
        marks: Vec<Mark>,
        bytes: usize,
        position: Position,
    ) {
        if self.copies.gathering.block.len() + block.len() > MAX_BLOCK {
            self.send_offer();
        }
        let gathering = &mut self.copies.gathering;
        gathering.block.extend_from_slice(&block);
        gathering.answers.extend(answers);
        gathering.marks.extend(marks);
        gathering.bytes += bytes as u64;
        gathering.last = position;
        gathering.sources.push(position);
        gathering.since.get_or_insert(self.now);
    }

    /// Sends what was gathered unless an offer left a moment ago, and offers again what no one confirmed.
    pub(super) fn offer_copies(&mut self) {
        let copies = &self.copies;
        let free = copies.offers.is_empty() || after(copies.last_offer, PACE_MS) <= self.now;
        if copies.gathering.since.is_some() && free && !copies.peers.is_empty() {
            self.send_offer();
        }
        let (now, settings) = (self.now, &self.settings.foreign);
        let (offer_ms, copy_ms) = (settings.offer_ms, settings.copy_ms);
        let unheld = self.copies.offers.iter().filter(|(_, offer)| offer.holders.is_empty());
        let (mut late, mut again) = (Vec::new(), Vec::new());
        for (digest, offer) in unheld {
            if after(offer.since, copy_ms) <= now {
                late.push(*digest);
            } else if after(offer.sent, offer_ms) <= now {
                again.push(*digest);
            }
        }
        let mut sessions = Vec::new();
        for digest in late {
            if let Some(offer) = self.copies.offers.remove(&digest) {
                self.disk.leave(offer.bytes);
                sessions.extend(offer.answers.iter().map(|answer| answer.claim.session));
                self.foreign.marks.given_up(offer.marks, self.settings.foreign.remembered);
            }
        }
        if self.copies.gathering.since.is_some_and(|since| after(since, copy_ms) <= now) {
            let gathering = std::mem::take(&mut self.copies.gathering);
            self.disk.leave(gathering.bytes);
            sessions.extend(gathering.answers.iter().map(|answer| answer.claim.session));
            self.foreign.marks.given_up(gathering.marks, self.settings.foreign.remembered);
        }
        self.end_sessions(sessions, &Delay::NoSecondCopy { waited_ms: copy_ms });
        for digest in again {
            let Some(mut offer) = self.copies.offers.remove(&digest) else { continue };
            self.send_to_next(&mut offer);
            self.copies.offers.insert(digest, offer);
        }
        self.tell_settled();
    }

    fn send_offer(&mut self) {
        let gathering = std::mem::take(&mut self.copies.gathering);
        let Some(since) = gathering.since else { return };
        let block = Bytes::from(gathering.block);
        let digest = Digest::of(&block);
        self.copies.last_offer = self.now;
        let mut offer = Offer {
            block,
            answers: gathering.answers,
            marks: gathering.marks,
            bytes: gathering.bytes,
            last: gathering.last,
            sources: gathering.sources,
            since,
            sent: self.now,
            asked: Vec::new(),
            holders: Vec::new(),
        };
        if let Some(same) = self.copies.offers.remove(&digest) {
            // The same records again, byte for byte: one offer answers both.
            offer.answers.extend(same.answers);
            offer.sources.extend(same.sources);
            offer.bytes += same.bytes;
        }
        self.send_to_next(&mut offer);
        self.copies.offers.insert(digest, offer);
    }

    fn send_to_next(&mut self, offer: &mut Offer) {
        offer.sent = self.now;
        let Some(to) = self.copies.next_peer(&offer.asked) else { return };
        offer.asked.push(to.clone());
        self.outputs.push(Output::Copy { to, message: Message::Offer(offer.block.clone()).encode() });
    }

    /// Answers the offers that are durable here and there.
    pub(super) fn offers_durable(&mut self) {
        let durable = self.durable_below();
        let done = self.copies.offers.iter().filter(|(_, o)| !o.holders.is_empty() && o.last < durable);
        let done: Vec<_> = done.map(|(digest, _)| *digest).collect();
        let mut answers = Vec::new();
        for digest in done {
            let Some(offer) = self.copies.offers.remove(&digest) else { continue };
            answers.extend(offer.answers);
            self.disk.leave(offer.bytes);
            self.foreign.marks.acknowledged(offer.marks, self.settings.foreign.remembered);
            let mut open = 0;
            for position in offer.sources {
                if let Some(source) = self.foreign.source_mut(position) {
                    source.offer = Some(digest);
                    open += 1;
                }
            }
            self.copies.settling.insert(digest, Settling { holders: offer.holders, open: open.max(1) });
            if open == 0 {
                self.offer_settled(digest);
            }
        }
        if !answers.is_empty() {
            self.outputs.push(Output::Answer(answers));
        }
    }

    /// Gives up all offers; the sessions that wait for them.
    pub(super) fn drop_offers(&mut self) -> Vec<SessionId> {
        let offers = std::mem::take(&mut self.copies.offers);
        let gathering = std::mem::take(&mut self.copies.gathering);
        self.disk.leave(gathering.bytes + offers.values().map(|offer| offer.bytes).sum::<u64>());
        let answers = offers.values().flat_map(|offer| &offer.answers).chain(&gathering.answers);
        let sessions = answers.map(|answer| answer.claim.session).collect();
        let marks = offers.into_values().flat_map(|offer| offer.marks).chain(gathering.marks);
        self.foreign.marks.given_up(marks, self.settings.foreign.remembered);
        sessions
    }

    /// One more of an offer's entries is archived.
    pub(super) fn offer_settled(&mut self, digest: Digest) {
        let Some(settling) = self.copies.settling.get_mut(&digest) else { return };
        settling.open -= 1;
        if settling.open > 0 {
            return;
        }
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
            Some(Message::Offer(block)) => self.copy_offered(from, block),
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
                let due = after(self.now, self.settings.foreign.takeover_ms);
                for digest in digests {
                    self.reschedule(&from, digest, due, false);
                }
            }
            Some(Message::Unknown(digests)) => {
                for digest in digests {
                    self.reschedule(&from, digest, self.now, true);
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

    fn copy_offered(&mut self, from: PublicKey, block: Bytes) {
        let digest = Digest::of(&block);
        if let Some(holding) = self.copies.holding.get(&digest) {
            if holding.entry.0 < self.durable_below() {
                let message = Message::Held(vec![digest]).encode();
                self.outputs.push(Output::Copy { to: from, message });
            }
            return;
        }
        let held = self.copies.held_bytes.get(&from).copied().unwrap_or_default();
        let fits = held + block.len() as u64 <= self.settings.foreign.copy_bytes;
        if !fits || self.room(block.len()).is_err() || Block::read(&block).is_none() {
            self.counters.copies_refused += 1;
            return;
        }
        let mut origin = [0; 32];
        origin.copy_from_slice(from.as_ref());
        let entry = Entry::Copy(CopyEntry { received: self.now, origin, block });
        let entry = self.append(entry.encode());
        self.hold_copy(digest, from, entry);
        self.disk.then(Then::Held(digest));
        self.counters.copies_held += 1;
    }

    /// Holds a copy until it is settled or due.
    pub(super) fn hold_copy(&mut self, digest: Digest, origin: PublicKey, entry: (Position, u32)) {
        let due = after(self.now, self.settings.foreign.takeover_ms);
        *self.copies.held_bytes.entry(origin.clone()).or_default() += u64::from(entry.1);
        self.copies.holding.insert(digest, Holding { origin, entry, due, asked: false });
        self.copies.due.insert((due, digest));
    }

    pub(super) fn copy_durable(&mut self, digest: Digest) {
        if let Some(holding) = self.copies.holding.get(&digest) {
            let (to, message) = (holding.origin.clone(), Message::Held(vec![digest]).encode());
            self.outputs.push(Output::Copy { to, message });
        }
    }

    fn reschedule(&mut self, from: &PublicKey, digest: Digest, due: Timestamp, asked: bool) {
        let Some(holding) = self.copies.holding.get_mut(&digest) else { return };
        if holding.origin == *from {
            self.copies.due.remove(&(holding.due, digest));
            (holding.due, holding.asked) = (due, asked);
            self.copies.due.insert((due, digest));
        }
    }

    /// Removes a copy from what is held for others; its entry in the spool.
    fn remove_copy(&mut self, digest: &Digest) -> Option<(Position, u32)> {
        let holding = self.copies.holding.remove(digest)?;
        self.copies.due.remove(&(holding.due, *digest));
        if let Some(bytes) = self.copies.held_bytes.get_mut(&holding.origin) {
            *bytes = bytes.saturating_sub(holding.entry.1.into());
        }
        Some(holding.entry)
    }

    fn forget_copy(&mut self, from: &PublicKey, digest: Digest) {
        if self.copies.holding.get(&digest).is_some_and(|holding| holding.origin == *from)
            && let Some(entry) = self.remove_copy(&digest)
        {
            self.disk.release(entry);
        }
    }

    /// Asks about copies that nothing was heard of, and takes over those that were asked about in vain.
    pub(super) fn copies_due(&mut self) {
        let mut ask: BTreeMap<PublicKey, Vec<Digest>> = BTreeMap::new();
        let answer_by = after(self.now, (self.settings.foreign.takeover_ms / 4).max(1));
        while let Some((due, digest)) = self.copies.due.first().copied().filter(|(due, _)| *due <= self.now) {
            self.copies.due.remove(&(due, digest));
            let Some(holding) = self.copies.holding.get_mut(&digest) else { continue };
            if holding.asked {
                let position = holding.entry.0;
                if self.copies.loading.insert(position, digest).is_none() {
                    self.outputs.push(Output::Load(position));
                }
                continue;
            }
            (holding.asked, holding.due) = (true, answer_by);
            self.copies.due.insert((answer_by, digest));
            ask.entry(holding.origin.clone()).or_default().push(digest);
        }
        for (to, digests) in ask {
            for part in digests.chunks(MAX_DIGESTS) {
                let message = Message::Ask(part.to_vec()).encode();
                self.outputs.push(Output::Copy { to: to.clone(), message });
            }
        }
    }

    /// A copy was read from the spool: from now on its records are this node's own.
    pub(super) fn loaded(&mut self, position: Position, entry: Option<Bytes>) {
        let Some(digest) = self.copies.loading.remove(&position) else { return };
        let Some(entry_at) = self.remove_copy(&digest) else { return };
        let records = match entry.as_ref().and_then(Entry::decode) {
            Some(Entry::Copy(copy)) => Block::read(&copy.block),
            _ => None,
        };
        match records {
            Some((records, unreadable)) => {
                self.foreign.unreadable.extend(unreadable);
                self.take_over(entry_at, records);
            }
            None => self.log(format!(
                "the copy at position {position} of the spool cannot be read: it is kept there"
            )),
        }
    }

    fn take_over(&mut self, entry: (Position, u32), records: Vec<(VehicleId, voltmesh_telemetry::Record)>) {
        self.counters.copies_taken_over += 1;
        self.remember_restored(&records);
        self.adopt(entry.0, entry.1, records);
    }
}

fn add(holders: &mut Vec<PublicKey>, holder: &PublicKey) {
    if !holders.contains(holder) {
        holders.push(holder.clone());
    }
}
