//! Whole networks of miners under the deterministic runtime.

use super::*;
use crate::{
    common::replica::{Final, ProtocolStats, Replica, Running},
    harness::simulated_network::SimulatedNetwork,
    testing::{Cluster, good_link},
};
use bytes::Bytes;
use commonware_codec::Encode as _;
use commonware_cryptography::{Digestible as _, Signer as _};
use commonware_p2p::{Recipients, Sender as _, simulated::Link};
use commonware_runtime::{Clock as _, Runner as _, Supervisor as _, deterministic};
use commonware_utils::{channel::mpsc, probability};
use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};
use voltmesh_ledger::{BatchId, Digest, State, Timestamp, Transaction};

/// Runs `test` with this seed; a failure names it.
fn run<F, Fut>(seed: u64, test: F)
where
    F: FnOnce(deterministic::Context) -> Fut,
    Fut: Future<Output = ()>,
{
    let config = deterministic::Config::new().with_seed(seed).with_timeout(Some(Duration::from_secs(3_600)));
    deterministic::Runner::new(config).start(test);
}

fn link(latency_ms: u64, jitter_ms: u64) -> Link {
    Link {
        latency: Duration::from_millis(latency_ms),
        jitter: Duration::from_millis(jitter_ms),
        success_rate: probability!(1.0),
    }
}

fn every(interval_ms: u64) -> Settings {
    Settings { interval: Duration::from_millis(interval_ms), ..Settings::default() }
}

/// A miner and what it has told so far.
struct Member {
    running: Running,
    receiver: mpsc::UnboundedReceiver<Final>,
    /// Everything that was final, in the order in which it was told.
    told: Vec<Final>,
}

struct Miners {
    context: deterministic::Context,
    cluster: Cluster,
    settings: Settings,
    members: BTreeMap<usize, Member>,
}

impl Miners {
    async fn new(context: &deterministic::Context, n: usize, settings: Settings, link: Link) -> Self {
        let cluster = Cluster::with_link(context, n, 1_000, link).await;
        Self { context: context.child("miners"), cluster, settings, members: BTreeMap::new() }
    }

    async fn started(context: &deterministic::Context, n: usize, settings: Settings, link: Link) -> Self {
        let mut this = Self::new(context, n, settings, link).await;
        for index in 0..n {
            this.start(index).await;
        }
        this
    }

    async fn start(&mut self, index: usize) {
        let network = self.cluster.network(index).await;
        let context = self.context.child("miner").with_attribute("index", index);
        let running = start(context, self.cluster.config(index), self.settings, network).await;
        let receiver = running.replica.finals();
        self.members.insert(index, Member { running, receiver, told: Vec::new() });
    }

    fn replica(&self, index: usize) -> &Arc<dyn Replica> {
        &self.members[&index].running.replica
    }

    fn detours(&self, index: usize) -> ProtocolStats {
        self.replica(index).detours()
    }

    fn submit(&mut self, index: usize, tag: u64) -> BatchId {
        let (batch, transaction) = self.cluster.anchor(index, tag);
        self.replica(index).submit(transaction).expect("taken");
        batch
    }

    /// Waits until this height is final at a node.
    async fn reached(&mut self, index: usize, height: u64) {
        let member = self.members.get_mut(&index).expect("runs");
        while member.running.replica.state().height().get() < height {
            member.told.push(member.receiver.recv().await.expect("runs"));
        }
        while let Ok(told) = member.receiver.try_recv() {
            member.told.push(told);
        }
    }

    /// What is final at a node by height; what was undone is replaced.
    fn chain(&self, index: usize) -> BTreeMap<u64, Final> {
        let mut chain = BTreeMap::new();
        for told in &self.members[&index].told {
            chain.insert(told.block.header().height.get(), told.clone());
        }
        chain
    }

    /// Waits until all are at `height` and checks that they hold the same blocks up to there, without a gap.
    async fn agree(&mut self, height: u64) {
        let indices: Vec<usize> = self.members.keys().copied().collect();
        for index in &indices {
            self.reached(*index, height).await;
        }
        let mut digests: BTreeMap<u64, Digest> = BTreeMap::new();
        for index in indices {
            let chain = self.chain(index);
            for height in 1..=height {
                let digest = chain[&height].digest;
                assert_eq!(*digests.entry(height).or_insert(digest), digest, "node {index}, height {height}");
            }
        }
    }

    /// Waits until `batches` are final at a node and checks that each is in its chain once.
    async fn logged(&mut self, index: usize, batches: &[BatchId]) -> u64 {
        loop {
            let mut found: BTreeMap<BatchId, usize> = BTreeMap::new();
            let chain = self.chain(index);
            for told in chain.values() {
                for transaction in told.block.transactions() {
                    let Transaction::Anchor(anchor) = transaction else { continue };
                    anchor.batches.iter().for_each(|batch| *found.entry(*batch).or_default() += 1);
                }
            }
            assert!(found.values().all(|count| *count == 1), "a batch is in the log twice");
            if batches.iter().all(|batch| found.contains_key(batch)) {
                return chain.len() as u64;
            }
            let next = self.replica(index).state().height().get() + 1;
            self.reached(index, next).await;
        }
    }
}

fn agreement(seed: u64, n: usize) {
    run(seed, |context| async move {
        let mut miners = Miners::started(&context, n, every(1_000), good_link()).await;
        let mut batches = Vec::new();
        for tag in 0..10 {
            for index in 0..n {
                batches.push(miners.submit(index, tag * 100 + index as u64));
            }
            context.sleep(Duration::from_millis(700)).await;
        }
        miners.agree(60).await;
        for index in 0..n {
            miners.logged(index, &batches).await;
            assert_eq!(miners.detours(index).conflicting_finals, 0);
            assert_eq!(miners.detours(index).view_changes, 0);
        }
        // 60 blocks take 60 s, give or take three times their standard deviation; six more stand on the last.
        let seconds = miners.chain(0)[&60].at.duration_since(miners.chain(0)[&1].at).unwrap().as_secs_f64();
        assert!((35.0..85.0).contains(&seconds), "59 blocks in {seconds} s");
        // In virtual time all hash all the time.
        let hashes = miners.detours(0).hashes;
        assert!(hashes >= 40 * miners.settings.hash_rate, "{hashes}");
    });
}

#[test]
fn four_miners_agree_and_anchor_each_batch_once() {
    agreement(1, 4);
}

#[test]
fn seven_miners_agree_and_anchor_each_batch_once() {
    agreement(2, 7);
}

#[test]
fn slow_links_fork_and_the_forks_end() {
    run(3, |context| async move {
        let mut miners = Miners::started(&context, 7, every(1_000), link(300, 100)).await;
        let mut batches = Vec::new();
        for tag in 0..20 {
            batches.push(miners.submit(tag as usize % 7, tag));
            context.sleep(Duration::from_millis(900)).await;
        }
        miners.agree(80).await;
        for index in 0..7 {
            miners.logged(index, &batches).await;
            assert!(miners.detours(index).forks > 0, "no forks at node {index}");
            assert_eq!(miners.detours(index).conflicting_finals, 0);
        }
    });
}

#[test]
fn lossy_links_delay_but_do_not_stop() {
    run(4, |context| async move {
        let lossy = Link { success_rate: probability!(0.8), ..link(40, 20) };
        let mut miners = Miners::started(&context, 4, every(1_000), lossy).await;
        let batches: Vec<_> = (0..8).map(|tag| miners.submit(tag as usize % 4, tag)).collect();
        miners.agree(50).await;
        for index in 0..4 {
            miners.logged(index, &batches).await;
        }
    });
}

#[test]
fn a_partition_is_reorganised_away_and_its_transactions_come_back() {
    run(5, |context| async move {
        let mut miners = Miners::started(&context, 4, every(1_000), good_link()).await;
        miners.agree(3).await;
        miners.cluster.partition(&[0]).await;
        // Three miners outrun one; what it mined for itself is lost, what it was asked for is not.
        let alone: Vec<_> = (0..5).map(|tag| miners.submit(0, tag)).collect();
        let others: Vec<_> = (1..4).map(|index| miners.submit(index, 100 + index as u64)).collect();
        context.sleep(Duration::from_secs(20)).await;
        miners.cluster.heal(good_link()).await;
        let batches = [alone, others].concat();
        for index in 0..4 {
            miners.logged(index, &batches).await;
        }
        let height = miners.replica(0).state().height().get();
        miners.agree(height).await;
        assert!(miners.detours(0).forks > 0);
        for index in 1..4 {
            assert_eq!(miners.detours(index).conflicting_finals, 0, "the majority's blocks stay");
        }
    });
}

#[test]
fn two_halves_make_final_what_one_of_them_must_take_back() {
    run(6, |context| async move {
        let mut miners = Miners::started(&context, 4, every(1_000), good_link()).await;
        miners.agree(3).await;
        miners.cluster.partition(&[0, 1]).await;
        let batches: Vec<_> = (0..4).map(|index| miners.submit(index, 7 + index as u64)).collect();
        // Each half finds a block in 2 s, so some twenty, and takes most of them for final.
        context.sleep(Duration::from_secs(40)).await;
        miners.cluster.heal(good_link()).await;
        context.sleep(Duration::from_secs(10)).await;
        let height = miners.replica(0).state().height().get() + 5;
        miners.agree(height).await;
        for index in 0..4 {
            miners.logged(index, &batches).await;
        }
        let undone: Vec<u64> = (0..4).map(|index| miners.detours(index).conflicting_finals).collect();
        // How many may differ within a half: the newest may not have got about yet.
        let takes_back = |index: usize| undone[index] > 0;
        assert_eq!((takes_back(0), takes_back(2)), (takes_back(1), takes_back(3)), "{undone:?}");
        assert_ne!(takes_back(0), takes_back(2), "one half, and only one, takes back: {undone:?}");
        // What was told twice at a height is what was undone.
        for (index, undone) in undone.into_iter().enumerate() {
            let twice = miners.members[&index].told.len() - miners.chain(index).len();
            assert_eq!(twice as u64, undone, "node {index}");
        }
    });
}

#[test]
fn a_late_node_catches_up() {
    run(7, |context| async move {
        let mut miners = Miners::new(&context, 4, every(250), good_link()).await;
        for index in 0..3 {
            miners.start(index).await;
        }
        let mut batches: Vec<_> = (0..3).map(|index| miners.submit(index, index as u64)).collect();
        // More than the tree holds: the older part comes from the history.
        miners.agree(300).await;
        miners.start(3).await;
        miners.reached(3, 300).await;
        batches.push(miners.submit(3, 3));
        for index in 0..4 {
            miners.logged(index, &batches).await;
        }
        let height = miners.replica(3).state().height().get();
        miners.agree(height).await;
        assert_eq!(miners.detours(3).conflicting_finals, 0);
    });
}

#[test]
fn who_was_away_too_long_is_told_so() {
    run(8, |context| async move {
        let mut miners = Miners::started(&context, 4, every(250), good_link()).await;
        miners.agree(3).await;
        miners.cluster.partition(&[0, 1]).await;
        // Some 200 blocks in each half: more than can be undone.
        context.sleep(Duration::from_secs(100)).await;
        miners.cluster.heal(good_link()).await;
        context.sleep(Duration::from_secs(20)).await;
        for index in 0..4 {
            assert!(miners.detours(index).conflicting_finals > 0, "node {index} noticed nothing");
        }
    });
}

#[test]
fn miners_that_hash_agree() {
    run(9, |context| async move {
        // The runtime's clock moves 1 ms while each miner makes a slice of 2,048 attempts.
        let settings = Settings { work: Work::Puzzle, hash_rate: 2_048_000, ..every(8) };
        let mut miners = Miners::started(&context, 4, settings, link(1, 0)).await;
        let batches: Vec<_> = (0..4).map(|index| miners.submit(index, index as u64)).collect();
        miners.agree(20).await;
        for index in 0..4 {
            miners.logged(index, &batches).await;
        }
        // 26 blocks of 4 × 8 × 2,048 hashes among four miners, within a factor of two.
        let hashes: u64 = (0..4).map(|index| miners.detours(index).hashes).sum();
        let expected = 26 * 4 * 8 * 2_048;
        assert!((expected / 2..expected * 4).contains(&hashes), "{hashes} hashes, expected {expected}");
    });
}

#[test]
fn a_transaction_takes_seven_intervals() {
    run(11, |context| async move {
        let mut miners = Miners::started(&context, 4, every(1_000), good_link()).await;
        let mut submitted = BTreeMap::new();
        for tag in 0..800 {
            submitted.insert(miners.submit(0, tag), context.current());
            context.sleep(Duration::from_millis(500)).await;
        }
        let batches: Vec<_> = submitted.keys().copied().collect();
        miners.logged(0, &batches).await;
        let mut waited = Duration::ZERO;
        for told in miners.chain(0).values() {
            for transaction in told.block.transactions() {
                let Transaction::Anchor(anchor) = transaction else { continue };
                waited += told.at.duration_since(submitted[&anchor.batches[0]]).unwrap();
            }
        }
        // One until the next block, which has no memory of when the last one was, and six for those that stand on it.
        let mean = waited.as_secs_f64() / submitted.len() as f64;
        assert!((6.5..7.5).contains(&mean), "{mean} s");
    });
}

/// Three miners beside one whose network `act` uses instead.
async fn beside(
    context: &deterministic::Context,
    act: impl AsyncFnOnce(&Cluster, SimulatedNetwork),
) -> Miners {
    let mut miners = Miners::new(context, 4, every(1_000), good_link()).await;
    for index in 0..3 {
        miners.start(index).await;
    }
    let network = miners.cluster.network(3).await;
    act(&miners.cluster, network).await;
    let batches: Vec<_> = (0..3).map(|index| miners.submit(index, index as u64)).collect();
    miners.agree(12).await;
    for index in 0..3 {
        miners.logged(index, &batches).await;
        assert_eq!(miners.detours(index).conflicting_finals, 0);
    }
    miners
}

/// A block on genesis, sealed by authority `miner` for `target`.
fn sealed(cluster: &Cluster, miner: usize, target: Target) -> Sealed {
    let genesis = cluster.keys().genesis();
    let state = State::new(genesis);
    let block = state.build([], Timestamp::from_millis(state.time().as_millis())).block;
    let seal = puzzle::Rules::new(&state.chain(), target, false).seal(cluster.key(miner), &block.digest(), 0);
    Sealed::new(block, seal)
}

#[test]
fn what_does_not_hold_is_refused() {
    for what in ["target", "miner", "signature", "malformed", "oversized", "answer", "request"] {
        run(10, |context| async move {
            let mut forged = Digest::from([0; 32]);
            let digest = &mut forged;
            let miners = beside(&context, async |cluster, mut network| {
                let right = every(1_000).target(4);
                let good = sealed(cluster, 3, right);
                *digest = good.digest;
                let everyone = Recipients::All;
                let bytes: Bytes = match what {
                    "target" => sealed(cluster, 3, Target::of_hashes(1)).bytes,
                    "miner" => {
                        let seal = Seal { miner: cluster.key(2).public_key(), ..good.seal.clone() };
                        Sealed::new((*good.block).clone(), seal).bytes
                    }
                    "signature" => {
                        let other = sealed(cluster, 2, right).seal.signature;
                        Sealed::new((*good.block).clone(), Seal { signature: other, ..good.seal.clone() })
                            .bytes
                    }
                    "malformed" => good.bytes.slice(..good.bytes.len() - 1),
                    "oversized" => vec![0; MAX_SEALED_BYTES + 1].into(),
                    "answer" => {
                        // Nobody asked, so not even a good block is taken.
                        let answer = wire::Message::Answer(vec![good.bytes]).encode();
                        network.channels.backfill.0.send(everyone.clone(), answer, true);
                        return;
                    }
                    _ => {
                        network.channels.backfill.0.send(everyone.clone(), vec![9, 9, 9], true);
                        return;
                    }
                };
                network.channels.blocks.0.send(everyone, bytes, true);
            })
            .await;
            for index in 0..3 {
                assert!(miners.chain(index).values().all(|told| told.digest != forged), "{what}");
                assert_eq!(miners.detours(index).forks, 0, "{what}: taken beside the others' first block");
            }
        });
    }
}

#[test]
fn the_same_block_with_a_seal_that_holds_is_taken() {
    run(10, |context| async move {
        let mut good = Digest::from([0; 32]);
        let digest = &mut good;
        let miners = beside(&context, async |cluster, mut network| {
            let sealed = sealed(cluster, 3, every(1_000).target(4));
            *digest = sealed.digest;
            network.channels.blocks.0.send(Recipients::All, sealed.bytes, true);
        })
        .await;
        assert_eq!(miners.chain(0)[&1].digest, good);
    });
}

#[test]
fn the_same_seed_leads_to_the_same_chain() {
    fn once(seed: u64, work: Work) -> (String, Digest) {
        let mut out = (String::new(), Digest::from([0; 32]));
        let result = &mut out;
        run(seed, |context| async move {
            let settings = Settings { work, ..every(1_000) };
            let mut miners = Miners::started(&context, 4, settings, link(100, 50)).await;
            miners.submit(0, 1);
            miners.agree(20).await;
            *result = (context.auditor().state(), miners.chain(0)[&20].digest);
        });
        out
    }
    let work = Work::Virtual { seed: None };
    assert_eq!(once(20, work), once(20, work));
    assert_ne!(once(20, work), once(21, work));
    let seeded = |seed| once(20, Work::Virtual { seed: Some(seed) });
    assert_eq!(seeded(1), seeded(1));
    assert_ne!(seeded(1).1, seeded(2).1);
}

/// Longer: `cargo test -p voltmesh-consensus --features slow`.
#[cfg(feature = "slow")]
#[test]
fn miners_are_cut_off_at_random_slow() {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
    for seed in 100..160 {
        run(seed, |context| async move {
            let mut rng = StdRng::seed_from_u64(seed);
            let lossy = Link { success_rate: probability!(0.95), ..link(50, 30) };
            let mut miners = Miners::started(&context, 7, every(500), lossy.clone()).await;
            let mut batches = Vec::new();
            for round in 0..12 {
                let size = rng.random_range(1..=3);
                let group: Vec<usize> = (0..size).map(|_| rng.random_range(0..7)).collect();
                miners.cluster.partition(&group).await;
                for index in 0..7 {
                    batches.push(miners.submit(index, round * 100 + index as u64));
                }
                context.sleep(Duration::from_millis(rng.random_range(500..10_000))).await;
                miners.cluster.heal(lossy.clone()).await;
                context.sleep(Duration::from_millis(rng.random_range(500..5_000))).await;
            }
            for index in 0..7 {
                miners.logged(index, &batches).await;
            }
            let height = (0..7).map(|index| miners.replica(index).state().height().get()).max().unwrap_or(0);
            miners.agree(height).await;
            for index in 0..7 {
                let member = &miners.members[&index];
                let twice = member.told.len() - miners.chain(index).len();
                assert_eq!(
                    twice as u64,
                    miners.detours(index).conflicting_finals,
                    "seed {seed}, node {index}"
                );
            }
        });
    }
}
