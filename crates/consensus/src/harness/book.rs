//! What is noted while a measurement runs: what was submitted when, and what became final where and when.

use crate::{
    PublicKey,
    common::replica::Final,
    harness::report::{Percentiles, Recovery},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    time::{Duration, SystemTime},
};
use voltmesh_ledger::{Digest, Transaction};

/// A height at which a block became final somewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Height {
    digest: Digest,
    /// When it was final at the first node.
    pub first: SystemTime,
    pub transactions: u64,
    pub records: u64,
}

/// Transaction that became final at the node where it was submitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub since: SystemTime,
    pub at: SystemTime,
}

impl Done {
    pub fn latency(&self) -> Duration {
        self.at.duration_since(self.since).unwrap_or_default()
    }
}

/// Transactions that one node waits for.
#[derive(Debug)]
struct Desk {
    key: PublicKey,
    /// Its next anchor's number.
    sequence: u64,
    /// When each anchor was submitted, by number.
    pending: BTreeMap<u64, SystemTime>,
    /// When something first became final after the partition healed.
    after_heal: Option<SystemTime>,
    any: bool,
    /// From a block's time to its finality here, of the window's blocks.
    finality: Vec<Duration>,
}

/// Record of a measurement: what was submitted where, and when it became final.
#[derive(Debug)]
pub(crate) struct Book {
    desks: Vec<Desk>,
    /// By height. A run has some thousands.
    pub heights: BTreeMap<u64, Height>,
    conflicts: BTreeSet<u64>,
    /// From the first to the last: load × time, some tens of thousands.
    pub done: Vec<Done>,
    window: Option<Range<SystemTime>>,
    healed: Option<SystemTime>,
    pub submitted: u64,
    pub refused: u64,
}

impl Book {
    /// For nodes with these keys.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        let desk = |key| Desk {
            key,
            sequence: 0,
            pending: BTreeMap::new(),
            after_heal: None,
            any: false,
            finality: Vec::new(),
        };
        Self {
            desks: keys.into_iter().map(desk).collect(),
            heights: BTreeMap::new(),
            conflicts: BTreeSet::new(),
            done: Vec::new(),
            window: None,
            healed: None,
            submitted: 0,
            refused: 0,
        }
    }

    /// What is submitted from now on until the end of this time is measured.
    pub fn open(&mut self, window: Range<SystemTime>) {
        self.window = Some(window);
    }

    fn counts(&self, at: SystemTime) -> bool {
        self.window.as_ref().is_some_and(|window| window.contains(&at))
    }

    /// The number of a node's next anchor.
    pub fn sequence(&self, node: usize) -> u64 {
        self.desks[node].sequence
    }

    /// Anchors of a node that are not final.
    pub fn pending(&self, node: usize) -> usize {
        self.desks[node].pending.len()
    }

    /// A node's next anchor was offered to it.
    pub fn submit(&mut self, node: usize, at: SystemTime, taken: bool) {
        let counts = self.counts(at);
        if counts {
            self.submitted += 1;
        }
        if taken {
            let desk = &mut self.desks[node];
            desk.pending.insert(desk.sequence, at);
            desk.sequence += 1;
        } else if counts {
            self.refused += 1;
        }
    }

    /// A block became final at a node.
    pub fn note(&mut self, node: usize, new: &Final) {
        let mut records = 0;
        let desk = &mut self.desks[node];
        desk.any = true;
        if self.healed.is_some_and(|healed| new.at >= healed) {
            desk.after_heal.get_or_insert(new.at);
        }
        let made = SystemTime::UNIX_EPOCH + Duration::from_millis(new.block.header().time.as_millis());
        if self.window.as_ref().is_some_and(|window| window.contains(&made)) {
            desk.finality.push(new.at.duration_since(made).unwrap_or_default());
        }
        for transaction in new.block.transactions() {
            let Transaction::Anchor(anchor) = transaction else { continue };
            records += anchor.records;
            if anchor.authority == desk.key
                && let Some(since) = desk.pending.remove(&anchor.sequence)
            {
                self.done.push(Done { since, at: new.at });
            }
        }
        let height = new.block.header().height.get();
        let known = self.heights.entry(height).or_insert(Height {
            digest: new.digest,
            first: new.at,
            transactions: new.block.transactions().len() as u64,
            records,
        });
        known.first = known.first.min(new.at);
        if known.digest != new.digest {
            self.conflicts.insert(height);
        }
    }

    /// Whether something became final at a node.
    pub fn any(&self, node: usize) -> bool {
        self.desks[node].any
    }

    /// The partition healed now.
    pub fn heal(&mut self, now: SystemTime) {
        self.healed = Some(now);
    }

    /// How long the nodes needed after the partition; `None` if there was none.
    pub fn recovery(&self, live: &[usize]) -> Option<Recovery> {
        let healed = self.healed?;
        let after = |node: &usize| {
            self.desks[*node].after_heal.map(|at| at.duration_since(healed).unwrap_or_default())
        };
        Some(Recovery {
            first: live.iter().filter_map(after).min(),
            all: live.iter().map(after).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max()),
        })
    }

    /// Heights at which two nodes hold different final blocks.
    pub fn conflicts(&self) -> u64 {
        self.conflicts.len() as u64
    }

    /// Transactions of the window that are not final where they were submitted.
    pub fn unfinished(&self, live: &[usize]) -> u64 {
        let Some(window) = &self.window else { return 0 };
        let open = live.iter().flat_map(|node| self.desks[*node].pending.values());
        open.filter(|since| window.contains(*since)).count() as u64
    }

    /// From a block's time to finality, of the window's blocks at these nodes.
    pub fn finality(&self, live: &[usize]) -> Percentiles {
        Percentiles::of(live.iter().flat_map(|node| self.desks[*node].finality.iter().copied()))
    }

    /// Latencies of the window.
    pub fn latency(&self) -> Percentiles {
        Percentiles::of(self.done.iter().filter(|done| self.counts(done.since)).map(Done::latency))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::load::batch;
    use commonware_cryptography::{Digestible as _, Signer as _};
    use std::sync::Arc;
    use voltmesh_ledger::{Anchor, State, Timestamp, testing::Network};

    fn at(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    /// A block at height 1 with an anchor of authority 0.
    fn block(network: &Network, sequence: u64, time_ms: u64, at_ms: u64) -> Final {
        let chain = network.genesis().digest();
        let anchor = Anchor::sign(&chain, network.authority(0), sequence, 7, vec![batch(sequence)]);
        let state = State::new(network.genesis());
        let built = state.build([Transaction::Anchor(anchor)], Timestamp::from_millis(time_ms));
        Final { digest: built.block.digest(), block: Arc::new(built.block), at: at(at_ms) }
    }

    #[test]
    fn latency_is_from_submission_to_finality_at_that_node_within_the_window() {
        let network = Network::new(4);
        let mut book = Book::new((0..4).map(|node| network.authority(node).public_key()));
        book.submit(0, at(50), true);
        book.open(at(100)..at(200));
        assert_eq!(book.sequence(0), 1);
        book.submit(0, at(150), true);
        book.submit(1, at(150), false);
        let second = block(&network, 1, 2_000, 190);
        book.note(1, &second);
        assert_eq!(
            (book.done.len(), book.unfinished(&[0, 1])),
            (0, 1),
            "final elsewhere, not where it was submitted"
        );
        book.note(0, &Final { at: at(230), ..second.clone() });
        assert_eq!(book.latency().p50, Duration::from_millis(80));
        assert_eq!((book.submitted, book.refused, book.unfinished(&[0, 1])), (2, 1, 0));
        assert_eq!(book.pending(0), 1, "the one before the window waits on");
        assert_eq!(book.heights[&1].first, at(190));
        assert_eq!(book.heights[&1].records, 7);
        assert_eq!(book.conflicts(), 0);
        book.note(2, &block(&network, 1, 2_001, 240));
        assert_eq!(book.conflicts(), 1, "two final blocks at one height");
    }

    #[test]
    fn finality_is_from_the_blocks_own_time() {
        let network = Network::new(4);
        let mut book = Book::new((0..4).map(|node| network.authority(node).public_key()));
        book.open(at(2_000)..at(3_000));
        book.note(0, &block(&network, 0, 2_100, 2_160));
        book.note(1, &block(&network, 0, 2_100, 2_190));
        book.note(1, &block(&network, 0, 1_900, 2_190));
        let finality = book.finality(&[0, 1]);
        assert_eq!((finality.count, finality.max), (2, Duration::from_millis(90)));
    }

    #[test]
    fn recovery_is_when_the_last_one_goes_on() {
        let network = Network::new(4);
        let mut book = Book::new((0..4).map(|node| network.authority(node).public_key()));
        assert!(book.recovery(&[0, 1]).is_none());
        book.heal(at(1_000));
        book.note(0, &block(&network, 0, 2_000, 990));
        book.note(0, &block(&network, 0, 2_000, 1_200));
        let recovery = book.recovery(&[0, 1]).unwrap();
        assert_eq!((recovery.first, recovery.all), (Some(Duration::from_millis(200)), None));
        book.note(1, &block(&network, 0, 2_000, 1_500));
        assert_eq!(book.recovery(&[0, 1]).unwrap().all, Some(Duration::from_millis(500)));
    }
}
