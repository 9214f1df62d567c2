//! Where the load comes from: anchors, each signed by the authority at which it is submitted.

use crate::{
    common::replica::Replica,
    harness::{Load, Plan, book::Book},
};
use commonware_runtime::Clock;
use commonware_utils::sync::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{sync::Arc, time::Duration};
use voltmesh_ledger::{Anchor, BatchId, Digest, PrivateKey, Transaction};

/// How often a closed loop looks whether something became final.
const TOP_UP: Duration = Duration::from_millis(5);

/// Authority at which transactions are submitted.
pub(super) struct Counter {
    pub node: usize,
    pub key: PrivateKey,
    pub replica: Arc<dyn Replica>,
}

/// Source of the load, until the runtime ends.
pub(super) struct Source {
    counters: Vec<Counter>,
    chain: Digest,
    batches: usize,
    records: u64,
    load: Load,
    rng: StdRng,
    book: Arc<Mutex<Book>>,
    /// Numbers batches, so that none comes twice.
    next_batch: u64,
}

impl Source {
    pub fn new(plan: &Plan, chain: Digest, counters: Vec<Counter>, book: Arc<Mutex<Book>>) -> Self {
        Self {
            counters,
            chain,
            batches: plan.batches,
            records: plan.records(),
            load: plan.load,
            rng: StdRng::seed_from_u64(plan.seed ^ 0x6c6f_6164_0000_0000),
            book,
            next_batch: 0,
        }
    }

    pub async fn run(mut self, clock: impl Clock) {
        let mut next = clock.current();
        loop {
            match self.load {
                Load::Poisson(tps) => {
                    // The inverse of the exponential distribution; 1 − u is never 0.
                    let u: f64 = self.rng.random_range(0.0..1.0);
                    next += Duration::from_secs_f64(-(1.0 - u).ln() / tps);
                    clock.sleep_until(next).await;
                    self.submit_somewhere(&clock);
                }
                Load::Fixed(tps) => {
                    next += Duration::from_secs_f64(1.0 / tps);
                    clock.sleep_until(next).await;
                    self.submit_somewhere(&clock);
                }
                Load::Saturating(waiting) => {
                    for counter in 0..self.counters.len() {
                        let node = self.counters[counter].node;
                        let open = self.book.lock().pending(node);
                        for _ in open..waiting {
                            if !self.submit(counter, &clock) {
                                break;
                            }
                        }
                    }
                    clock.sleep(TOP_UP).await;
                }
            }
        }
    }

    fn submit_somewhere(&mut self, clock: &impl Clock) {
        let counter = self.rng.random_range(0..self.counters.len());
        self.submit(counter, clock);
    }

    /// Returns whether the pool has taken it.
    fn submit(&mut self, counter: usize, clock: &impl Clock) -> bool {
        let Counter { node, key, replica } = &self.counters[counter];
        let first = self.next_batch;
        self.next_batch += self.batches as u64;
        let batches = (first..self.next_batch).map(batch).collect();
        let sequence = self.book.lock().sequence(*node);
        let anchor = Anchor::sign(&self.chain, key, sequence, self.records, batches);
        let now = clock.current();
        let taken = replica.submit(Transaction::Anchor(anchor)).is_ok();
        self.book.lock().submit(*node, now, taken);
        taken
    }
}

/// A batch id made from a number.
pub fn batch(tag: u64) -> BatchId {
    let mut bytes = [0xb5; 32];
    bytes[..8].copy_from_slice(&tag.to_be_bytes());
    BatchId::new(voltmesh_ledger::Commitment::new(bytes))
}
