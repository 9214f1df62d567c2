//! Lists against a disk that forgets what is not durable and a ledger that takes each number once.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const ME: [u8; 32] = [1; 32];

fn listed(position: u64) -> Listed {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&position.to_be_bytes());
    Listed { position, salt: [7; 16], digest: Hash::new(digest) }
}

/// Whether a position of the journal holds an event; the others hold snapshots.
fn is_event(position: u64) -> bool {
    position % 5 != 3
}

/// A node with its disk, and the ledger.
struct World {
    lists: Lists,
    now: u64,
    /// Durable entries of the journal.
    journal: u64,
    /// The durable record, and one that is being written.
    record: Option<Record>,
    writing: Option<Record>,
    /// Durable receipts, and one that is being written.
    receipts: Vec<Record>,
    keeping: Option<Record>,
    /// What the journal was told.
    told: u64,
    /// Lists that wait for a block, what each number was ever submitted with, and what blocks hold.
    pool: BTreeMap<u64, Vec<SaltedDigest>>,
    submitted: BTreeMap<u64, Vec<SaltedDigest>>,
    blocks: Vec<(u64, Vec<SaltedDigest>)>,
    /// Blocks that were looked at.
    seen: usize,
}

impl World {
    fn new() -> Self {
        Self {
            lists: Lists::new(0, 0, None),
            now: 1,
            journal: 0,
            record: None,
            writing: None,
            receipts: Vec::new(),
            keeping: None,
            told: 0,
            pool: BTreeMap::new(),
            submitted: BTreeMap::new(),
            blocks: Vec::new(),
            seen: 0,
        }
    }

    fn chain(&self) -> Chain {
        let next = self.blocks.iter().map(|(sequence, _)| sequence + 1).max().unwrap_or_default();
        Chain { authority: ME, next, height: self.blocks.len() as u64 }
    }

    fn give(&mut self, input: Input) {
        let now = Timestamp::from_millis(self.now);
        for output in self.lists.handle(now, self.chain(), input) {
            match output {
                Output::Write(record) => {
                    assert!(self.writing.is_none(), "one at a time");
                    assert!(record.events.len() <= MAX_EVENTS_PER_LIST);
                    self.writing = Some(record);
                }
                Output::Submit(record) => self.submit(&record),
                Output::Keep { record, .. } => self.keeping = Some(record),
                Output::Listed(below) => {
                    assert!(below > self.told, "{below} after {}", self.told);
                    self.told = below;
                }
            }
        }
    }

    /// As the ledger does: what is on it is refused, the same again is no change.
    fn submit(&mut self, record: &Record) {
        assert_eq!(self.record.as_ref(), Some(record), "submitted before it was durable");
        let digests = record.digests();
        let before = self.submitted.entry(record.sequence).or_insert_with(|| digests.clone());
        assert_eq!(*before, digests, "one number with two contents");
        if !self.blocks.iter().any(|(sequence, _)| *sequence == record.sequence) {
            self.pool.insert(record.sequence, digests);
        }
    }

    fn read(&mut self, most: usize) {
        let (from, room) = self.lists.wants();
        let mut left = most.min(room);
        for position in from..self.journal {
            if left == 0 {
                return;
            }
            left -= 1;
            match is_event(position) {
                true => self.give(Input::Event(listed(position))),
                false => self.give(Input::Passed(position + 1)),
            }
        }
    }

    fn write(&mut self) {
        if let Some(record) = self.writing.take() {
            self.record = Some(record);
            self.give(Input::Written);
        }
    }

    fn keep(&mut self) {
        if let Some(record) = self.keeping.take() {
            self.receipts.push(record);
            self.record = None;
            self.give(Input::Kept);
        }
    }

    /// A block takes what waits.
    fn block(&mut self) {
        let waiting = std::mem::take(&mut self.pool);
        self.blocks.extend(waiting);
    }

    fn look(&mut self) {
        while let Some((sequence, digests)) = self.blocks.get(self.seen).cloned() {
            self.seen += 1;
            self.give(Input::Final { authority: ME, sequence, digests });
        }
    }

    /// The process dies; what was not durable is gone, of the disk and of the ledger's node, which forgets what waits if told so.
    fn crash(&mut self, pool_lost: bool) {
        (self.writing, self.keeping) = (None, None);
        if pool_lost {
            self.pool.clear();
        }
        let listed = self.receipts.last().map_or(0, Record::end);
        let next = self.receipts.iter().map(|record| record.sequence + 1).max().unwrap_or_default();
        let pending = self.record.clone();
        self.seen = pending.as_ref().map_or(self.blocks.len(), |record| record.above as usize);
        self.lists = Lists::new(listed, next, pending);
        self.told = listed;
    }

    fn finish(&mut self) {
        for _ in 0..1_000 {
            if self.lists.waiting() == 0 && self.lists.wants().0 >= self.journal {
                return;
            }
            self.now += LATENCY_MS;
            self.read(usize::MAX);
            self.give(Input::Tick);
            self.write();
            self.block();
            self.look();
            self.keep();
        }
        panic!("events wait for ever: {:?}", self.lists);
    }

    /// Every durable event is in blocks once, in order.
    fn on_ledger(&self) -> Vec<SaltedDigest> {
        self.blocks.iter().flat_map(|(_, digests)| digests.clone()).collect()
    }

    fn all(&self) -> Vec<SaltedDigest> {
        (0..self.journal).filter(|position| is_event(*position)).map(|at| listed(at).digest).collect()
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Durable(u64),
    Read(usize),
    Wait(u64),
    Write,
    Block,
    Look,
    Keep,
    Crash(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..200u64).prop_map(Step::Durable),
        3 => (1..300usize).prop_map(Step::Read),
        3 => (1..3_000u64).prop_map(Step::Wait),
        4 => Just(Step::Write),
        3 => Just(Step::Block),
        3 => Just(Step::Look),
        3 => Just(Step::Keep),
        2 => any::<bool>().prop_map(Step::Crash),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    /// Wherever the process dies, and whatever the ledger's node forgets: no event is on the ledger twice, none is missing, they are
    /// in their order, and the journal is told of none too early.
    #[test]
    fn each_event_is_on_the_ledger_once_and_in_order(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Durable(more) => world.journal += more,
                Step::Read(most) => world.read(most),
                Step::Wait(ms) => {
                    world.now += ms;
                    world.give(Input::Tick);
                }
                Step::Write => world.write(),
                Step::Block => world.block(),
                Step::Look => world.look(),
                Step::Keep => world.keep(),
                Step::Crash(pool_lost) => world.crash(pool_lost),
            }
            let on_ledger = world.on_ledger();
            let all = world.all();
            prop_assert_eq!(&on_ledger[..], &all[..on_ledger.len().min(all.len())]);
            let told = (0..world.told).filter(|position| is_event(*position)).count();
            prop_assert!(told <= on_ledger.len(), "told of {} events, {} are there", told, on_ledger.len());
        }
        world.finish();
        prop_assert_eq!(world.on_ledger(), world.all());
        prop_assert_eq!(world.lists.waiting(), 0);
        let kept: usize = world.receipts.iter().map(|record| record.events.len()).sum();
        prop_assert_eq!(kept, world.all().len());
    }

    #[test]
    fn a_record_is_read_back(sequence: u64, above: u64, positions in proptest::collection::btree_set(any::<u64>(), 1..256)) {
        let events = positions.into_iter().map(listed).collect();
        let record = Record { authority: ME, sequence, above, events };
        let mut bytes = BytesMut::new();
        record.write(&mut bytes);
        bytes.put_slice(b"rest");
        let mut bytes = bytes.freeze();
        let cut = bytes.slice(..bytes.len() - 5);
        prop_assert_eq!(Record::read(&mut bytes), Some(record));
        prop_assert_eq!(&bytes[..], b"rest");
        prop_assert_eq!(Record::read(&mut cut.clone()), None);
    }
}

#[test]
fn a_list_waits_a_second_for_others_or_is_full_at_once() {
    let mut world = World::new();
    world.journal = 2;
    world.read(2);
    assert_eq!(world.writing, None);
    world.now += LATENCY_MS;
    world.give(Input::Tick);
    assert_eq!(world.writing.as_ref().map(|record| record.events.len()), Some(2));
    world.write();
    // While it is under way the next ones gather, and no more than one list of them.
    world.journal = 1_000;
    while world.lists.wants().1 > 0 {
        world.read(1_000);
    }
    assert_eq!((world.lists.wants().1, world.lists.waiting()), (0, MAX_EVENTS_PER_LIST + 2));
    world.block();
    world.look();
    world.keep();
    assert_eq!(world.writing.as_ref().map(|record| record.events.len()), Some(MAX_EVENTS_PER_LIST));
}

#[test]
fn a_number_that_another_list_has_used_is_not_ours() {
    let mut world = World::new();
    world.journal = 2;
    world.read(2);
    world.now += LATENCY_MS;
    world.give(Input::Tick);
    // One of a process whose disk was lost comes first.
    world.blocks.push((0, vec![listed(99).digest]));
    world.write();
    world.look();
    assert_eq!(world.writing.as_ref().map(|record| (record.sequence, record.above)), Some((1, 1)));
    world.finish();
    assert_eq!(world.on_ledger()[1..], world.all());
}

#[test]
fn what_the_ledger_has_already_leaves_its_list() {
    let mut world = World::new();
    world.journal = 2;
    world.read(2);
    world.now += LATENCY_MS;
    world.give(Input::Tick);
    world.write();
    world.pool.clear();
    world.give(Input::Refused(Some(listed(0).digest)));
    assert_eq!(world.writing.as_ref().map(|record| (record.sequence, record.events.len())), Some((1, 1)));
    world.write();
    world.pool.clear();
    world.give(Input::Refused(Some(listed(1).digest)));
    assert_eq!((world.told, world.lists.waiting()), (2, 0));
}
