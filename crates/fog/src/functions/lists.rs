//! Events on their way onto the ledger, in lists: each event in one list, each list once, all in their order.
//!
//! One list is under way at a time. Its [`Record`] is durable before it is submitted, so that after a crash the same list goes under
//! the same number, which the ledger takes once. An event is on the ledger when a final block holds its list, and done with when the
//! receipt is durable. What an earlier process had under way, under a number or a key that another list has used, gets a new number:
//! the ledger can never take it under the old one.
//!
//! **Provided**: order, once, bounded lists. **Not provided**: the ledger's word that a number is used, the disk, salts (the shell).

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use voltmesh_ledger::{EventSalt, Hash, MAX_EVENTS_PER_LIST, SaltedDigest};
use voltmesh_telemetry::Timestamp;

/// Longest time in ms that an event waits for others of its list, if no list is under way.
pub const LATENCY_MS: u64 = 1_000;

/// Time in ms after which a list that is not final is offered again. The ledger's node offers it to the others by itself.
const AGAIN_MS: u64 = 2_000;

/// Bytes of an event in a record: position, salt, digest.
const EVENT_BYTES: usize = 8 + 16 + 32;

/// An event of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Its place in the journal.
    pub position: u64,
    /// Opens the commitment, with the event's bytes.
    pub salt: EventSalt,
    /// The commitment.
    pub digest: SaltedDigest,
}

/// A list, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Key under which it is submitted.
    pub authority: [u8; 32],
    /// Number among the lists of that key.
    pub sequence: u64,
    /// Height of the ledger when the number was given: no block up to this one holds the list.
    pub above: u64,
    /// Its events, in their order; at least one.
    pub events: Vec<Listed>,
}

impl Record {
    /// Commitments of its events.
    pub fn digests(&self) -> Vec<SaltedDigest> {
        self.events.iter().map(|event| event.digest).collect()
    }

    /// Position after its last event.
    pub fn end(&self) -> u64 {
        self.events.last().map_or(0, |event| event.position + 1)
    }

    /// Its place in a list of events.
    pub fn index_of(&self, position: u64) -> Option<usize> {
        self.events.binary_search_by_key(&position, |event| event.position).ok()
    }

    /// Appends the encoding.
    pub fn write(&self, out: &mut BytesMut) {
        out.put_slice(&self.authority);
        out.put_u64(self.sequence);
        out.put_u64(self.above);
        out.put_u16(u16::try_from(self.events.len()).unwrap_or(u16::MAX));
        for Listed { position, salt, digest } in &self.events {
            out.put_u64(*position);
            out.put_slice(salt);
            out.put_slice(digest.as_bytes());
        }
    }

    /// Reads a record from the front of these bytes; nothing if they do not begin with one.
    pub fn read(bytes: &mut Bytes) -> Option<Self> {
        if bytes.remaining() < 32 + 8 + 8 + 2 {
            return None;
        }
        let mut authority = [0; 32];
        bytes.copy_to_slice(&mut authority);
        let (sequence, above, count) = (bytes.get_u64(), bytes.get_u64(), usize::from(bytes.get_u16()));
        if !(1..=MAX_EVENTS_PER_LIST).contains(&count) || bytes.remaining() < count * EVENT_BYTES {
            return None;
        }
        let events = (0..count).map(|_| {
            let (position, mut salt, mut digest) = (bytes.get_u64(), [0; 16], [0; 32]);
            bytes.copy_to_slice(&mut salt);
            bytes.copy_to_slice(&mut digest);
            Listed { position, salt, digest: Hash::new(digest) }
        });
        let events: Vec<Listed> = events.collect();
        let ascend = events.windows(2).all(|two| two[0].position < two[1].position);
        ascend.then_some(Self { authority, sequence, above, events })
    }
}

/// Where the ledger stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Key under which this node submits.
    pub authority: [u8; 32],
    /// Number that is free for a list, as far as the ledger knows.
    pub next: u64,
    /// Height of the newest final block.
    pub height: u64,
}

/// What happens.
#[derive(Debug, Clone)]
pub enum Input {
    /// The next durable event of the journal.
    Event(Listed),
    /// No event lies before this position that was not given.
    Passed(u64),
    /// The record that was to be written is durable.
    Written,
    /// A final block holds a list of this node with this number and these commitments.
    Final {
        /// Key of the list.
        authority: [u8; 32],
        /// Its number.
        sequence: u64,
        /// Its commitments.
        digests: Vec<SaltedDigest>,
    },
    /// The number of the list under way is used, and no block that is kept holds it: it is believed to be on the ledger.
    Unseen,
    /// The ledger will never take the list under way as it is; one of its events is there already, if one is named.
    Refused(Option<SaltedDigest>),
    /// The receipt is durable.
    Kept,
    /// Time passes.
    Tick,
}

/// What is asked, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Make the record durable.
    Write(Record),
    /// Submit the list.
    Submit(Record),
    /// Keep a receipt: with its evidence, where a block was found.
    Keep {
        /// The list.
        record: Record,
        /// Whether a final block was found.
        found: bool,
    },
    /// All events below this position are on the ledger.
    Listed(u64),
}

#[derive(Debug)]
struct UnderWay {
    record: Record,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Writing,
    /// Since when it was last submitted.
    Submitted(Timestamp),
    Keeping,
}

/// The lists of one node's events, on their way to the ledger.
#[derive(Debug)]
pub struct Lists {
    /// Where the next event lies, at least.
    position: u64,
    /// Numbers below this one were given.
    next: u64,
    gathered: Vec<Listed>,
    since: Timestamp,
    under_way: Option<UnderWay>,
}

impl Lists {
    /// What goes on from what an earlier process kept: all events below `listed` are on the ledger, numbers below `next` were
    /// given, and `pending` was under way.
    pub fn new(listed: u64, next: u64, pending: Option<Record>) -> Self {
        let position = pending.as_ref().map_or(listed, Record::end).max(listed);
        let next = pending.as_ref().map_or(next, |record| next.max(record.sequence + 1));
        let start = Timestamp::from_millis(0);
        let under_way = pending.map(|record| UnderWay { record, stage: Stage::Submitted(start) });
        Self { position, next, gathered: Vec::new(), since: start, under_way }
    }

    /// Where the next event is read, and how many are wanted.
    pub fn wants(&self) -> (u64, usize) {
        (self.position, MAX_EVENTS_PER_LIST.saturating_sub(self.gathered.len()))
    }

    /// The list under way.
    pub fn under_way(&self) -> Option<&Record> {
        self.under_way.as_ref().map(|one| &one.record)
    }

    /// Events that were given and are not on the ledger.
    pub fn waiting(&self) -> usize {
        self.gathered.len() + self.under_way.as_ref().map_or(0, |one| one.record.events.len())
    }

    /// What follows from an input.
    pub fn handle(&mut self, now: Timestamp, chain: Chain, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        match input {
            Input::Event(event) if event.position >= self.position => {
                if self.gathered.is_empty() {
                    self.since = now;
                }
                self.position = event.position + 1;
                self.gathered.push(event);
            }
            Input::Event(_) => {}
            Input::Passed(position) => self.position = self.position.max(position),
            Input::Written => self.written(now, &mut outputs),
            Input::Final { authority, sequence, digests } => {
                self.final_(chain, authority, sequence, &digests, &mut outputs);
            }
            Input::Unseen => self.keep(false, &mut outputs),
            Input::Refused(known) => self.renumber(chain, known, &mut outputs),
            Input::Kept => {
                if let Some(UnderWay { record, .. }) =
                    self.under_way.take_if(|one| one.stage == Stage::Keeping)
                {
                    outputs.push(Output::Listed(record.end()));
                }
            }
            Input::Tick => self.again(now, &mut outputs),
        }
        self.begin(now, chain, &mut outputs);
        outputs
    }

    /// Begins a list once enough wait, or wait long enough.
    fn begin(&mut self, now: Timestamp, chain: Chain, outputs: &mut Vec<Output>) {
        let waited = now.as_millis().saturating_sub(self.since.as_millis()) >= LATENCY_MS;
        let due = waited || self.gathered.len() >= MAX_EVENTS_PER_LIST;
        if self.under_way.is_some() || self.gathered.is_empty() || !due {
            return;
        }
        let events = std::mem::take(&mut self.gathered);
        let record = self.number(chain, events);
        outputs.push(Output::Write(record.clone()));
        self.under_way = Some(UnderWay { record, stage: Stage::Writing });
    }

    fn number(&mut self, chain: Chain, events: Vec<Listed>) -> Record {
        let sequence = self.next.max(chain.next);
        self.next = sequence + 1;
        Record { authority: chain.authority, sequence, above: chain.height, events }
    }

    fn written(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        if let Some(one) = self.under_way.as_mut().filter(|one| one.stage == Stage::Writing) {
            one.stage = Stage::Submitted(now);
            outputs.push(Output::Submit(one.record.clone()));
        }
    }

    fn again(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        if let Some(UnderWay { record, stage: Stage::Submitted(at) }) = &mut self.under_way
            && now.as_millis().saturating_sub(at.as_millis()) >= AGAIN_MS
        {
            *at = now;
            outputs.push(Output::Submit(record.clone()));
        }
    }

    fn final_(
        &mut self,
        chain: Chain,
        authority: [u8; 32],
        sequence: u64,
        digests: &[SaltedDigest],
        outputs: &mut Vec<Output>,
    ) {
        let Some(UnderWay { record, .. }) = &self.under_way else { return };
        if record.authority != authority || record.sequence != sequence {
            return;
        }
        if record.digests() == digests {
            self.keep(true, outputs);
        } else {
            // Of a process whose disk was lost.
            self.renumber(chain, None, outputs);
        }
    }

    fn keep(&mut self, found: bool, outputs: &mut Vec<Output>) {
        if let Some(one) = self.under_way.as_mut().filter(|one| matches!(one.stage, Stage::Submitted(_))) {
            one.stage = Stage::Keeping;
            outputs.push(Output::Keep { record: one.record.clone(), found });
        }
    }

    /// Gives the list another number; what is on the ledger leaves it.
    fn renumber(&mut self, chain: Chain, known: Option<SaltedDigest>, outputs: &mut Vec<Output>) {
        let Some(UnderWay { record, .. }) =
            self.under_way.take_if(|one| matches!(one.stage, Stage::Submitted(_)))
        else {
            return;
        };
        let end = record.end();
        let events: Vec<Listed> =
            record.events.into_iter().filter(|event| Some(event.digest) != known).collect();
        if events.is_empty() {
            return outputs.push(Output::Listed(end));
        }
        let record = self.number(chain, events);
        outputs.push(Output::Write(record.clone()));
        self.under_way = Some(UnderWay { record, stage: Stage::Writing });
    }
}

#[cfg(test)]
mod tests;
