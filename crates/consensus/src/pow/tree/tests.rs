//! The tree without a network: blocks of real states in any order.

use super::*;
use crate::pow::puzzle::{Rules, Target};
use crate::pow::wire::{MAX_BLOCKS, MAX_HAVE};
use commonware_cryptography::Digestible as _;
use proptest::prelude::*;
use voltmesh_ledger::{Timestamp, testing::Network};

/// Blocks and the states after them, built one upon another.
struct Forest {
    network: Network,
    rules: Rules,
    states: BTreeMap<Digest, State>,
    count: u64,
}

impl Forest {
    fn new() -> Self {
        let network = Network::with_epochs(4, 1_000);
        let rules = Rules::new(&network.genesis().digest(), Target::of_hashes(100), false);
        let genesis = State::new(network.genesis());
        Self { network, rules, states: BTreeMap::from([(genesis.block(), genesis)]), count: 0 }
    }

    fn genesis(&self) -> State {
        State::new(self.network.genesis())
    }

    fn tree(&self, confirmations: u64) -> Tree {
        Tree::new(self.genesis(), confirmations)
    }

    /// Another block on `parent`, never the same twice.
    fn on(&mut self, parent: Digest) -> Sealed {
        self.count += 1;
        let built = self.states[&parent].build([], Timestamp::from_millis(2_000_000_000_000 + self.count));
        let digest = built.block.digest();
        self.states.insert(digest, built.state);
        let miner = self.network.authority(self.count as usize % 4);
        let seal = self.rules.seal(miner, &digest, 0);
        Sealed::new(built.block, seal)
    }

    /// So many blocks, each on the one before.
    fn branch(&mut self, parent: Digest, length: usize) -> Vec<Sealed> {
        let mut out: Vec<Sealed> = Vec::new();
        for _ in 0..length {
            let parent = out.last().map_or(parent, |last| last.digest);
            out.push(self.on(parent));
        }
        out
    }
}

fn heights(blocks: &[Arc<Block>]) -> Vec<u64> {
    blocks.iter().map(|block| block.header().height.get()).collect()
}

/// Inserts all and returns what became final.
fn grow(tree: &mut Tree, blocks: &[Sealed]) -> Vec<Digest> {
    let mut finals = Vec::new();
    for block in blocks {
        let change = tree.insert(block.clone()).expect("valid");
        finals.extend(change.finals.into_iter().map(|settled| settled.digest));
    }
    finals
}

#[test]
fn six_blocks_make_one_final() {
    let mut forest = Forest::new();
    let mut tree = forest.tree(6);
    let chain = forest.branch(forest.genesis().block(), 10);
    let finals = grow(&mut tree, &chain);
    assert_eq!(finals, chain[..4].iter().map(|sealed| sealed.digest).collect::<Vec<_>>());
    assert_eq!(tree.head().block(), chain[9].digest);
    assert_eq!(tree.forks(), 0);
}

#[test]
fn the_longer_branch_wins_and_its_state_with_it() {
    let mut forest = Forest::new();
    let mut tree = forest.tree(6);
    let trunk = forest.branch(forest.genesis().block(), 3);
    grow(&mut tree, &trunk);
    let ours = forest.branch(trunk[2].digest, 2);
    let theirs = forest.branch(trunk[2].digest, 3);
    grow(&mut tree, &ours);
    grow(&mut tree, &theirs[..1]);
    assert_eq!(tree.head().block(), ours[1].digest, "shorter");
    grow(&mut tree, &theirs[1..2]);
    let change = tree.insert(theirs[2].clone()).unwrap();
    assert_eq!(tree.head().block(), theirs[2].digest);
    assert_eq!(tree.head().header(), theirs[2].block.header());
    // Between equals the digest has decided before, so one or three blocks are new to the chain.
    let before: Vec<u64> = if theirs[1].digest < ours[1].digest { vec![] } else { vec![5, 4] };
    assert_eq!(heights(&change.abandoned), before);
    assert_eq!(change.adopted.len(), before.len() + 1);
    assert!(change.undone.is_none());
    assert_eq!(tree.forks(), 2);
}

#[test]
fn what_is_undone_after_it_was_final_is_told() {
    let mut forest = Forest::new();
    let mut tree = forest.tree(2);
    let genesis = forest.genesis().block();
    let ours = forest.branch(genesis, 5);
    let theirs = forest.branch(genesis, 6);
    assert_eq!(grow(&mut tree, &ours).len(), 3);
    grow(&mut tree, &theirs[..4]);
    assert_eq!(tree.head().block(), ours[4].digest);
    let mut undone = 0;
    let mut finals = Vec::new();
    for block in &theirs[4..] {
        let change = tree.insert(block.clone()).unwrap();
        if let Some((count, state)) = change.undone {
            undone += count;
            assert_eq!(state.block(), genesis);
        }
        finals.extend(change.finals.iter().map(|settled| settled.block.digest()));
    }
    assert_eq!(undone, 3);
    assert_eq!(finals, theirs[..4].iter().map(|sealed| sealed.digest).collect::<Vec<_>>());
}

#[test]
fn nothing_but_valid_blocks_of_authorities_is_taken() {
    let mut forest = Forest::new();
    let mut tree = forest.tree(6);
    let genesis = forest.genesis();
    let stranger = voltmesh_ledger::testing::key(4_711);
    let block = genesis.build([], Timestamp::from_millis(2_000_000_000_000)).block;
    let sealed = Sealed::new(block.clone(), forest.rules.seal(&stranger, &block.digest(), 0));
    assert!(matches!(tree.insert(sealed), Err(Refusal::Miner(_))));

    let mut header = block.header().clone();
    header.log_size += 1;
    let wrong = Block::new(header, None, Vec::new());
    let seal = forest.rules.seal(forest.network.authority(0), &wrong.digest(), 0);
    assert!(matches!(tree.insert(Sealed::new(wrong.clone(), seal.clone())), Err(Refusal::Ledger(_))));

    // As an orphan it is found out when its parent comes, and what builds on it never counts.
    let parent = forest.on(genesis.block());
    let mut header = forest.on(parent.digest).block.header().clone();
    header.log_size += 1;
    let wrong = Block::new(header, None, Vec::new());
    let orphan =
        Sealed::new(wrong.clone(), forest.rules.seal(forest.network.authority(0), &wrong.digest(), 0));
    assert_eq!(tree.insert(orphan).unwrap().missing, Some(parent.digest));
    assert_eq!(tree.insert(parent.clone()).unwrap().connected, 1);
    assert_eq!(tree.head().block(), parent.digest);
}

#[test]
fn a_branch_from_below_the_oldest_state_is_refused() {
    let mut forest = Forest::new();
    let mut tree = forest.tree(6);
    let genesis = forest.genesis().block();
    let length = (6 + MAX_UNDONE + 2 * PRUNE) as usize;
    let chain = forest.branch(genesis, length);
    grow(&mut tree, &chain);
    assert!(tree.is_connected(&chain[0].digest), "what was in the chain is known");
    assert_eq!(tree.insert(chain[0].clone()).unwrap().connected, 0);
    let foreign = forest.branch(genesis, 2);
    assert!(matches!(tree.insert(foreign[0].clone()), Err(Refusal::TooDeep { height: 1, .. })));
    assert!(tree.nodes.len() as u64 <= 6 + MAX_UNDONE + PRUNE + 1, "{} states", tree.nodes.len());
}

#[test]
fn branches_beside_the_chain_are_bounded() {
    let mut forest = Forest::new();
    let mut tree = forest.tree(6);
    let trunk = forest.branch(forest.genesis().block(), 3);
    grow(&mut tree, &trunk);
    for _ in 0..MAX_BESIDE + 50 {
        let side = forest.on(trunk[0].digest);
        tree.insert(side).unwrap();
    }
    assert_eq!(tree.nodes.len(), 4 + MAX_BESIDE);
    assert_eq!(tree.head().block(), trunk[2].digest);
}

#[test]
fn orphans_are_bounded() {
    let mut forest = Forest::new();
    let mut tree = forest.tree(6);
    let chain = forest.branch(forest.genesis().block(), 80);
    for block in chain.iter().skip(1) {
        assert!(tree.insert(block.clone()).unwrap().missing.is_some());
    }
    // The first fifteen made room for later ones and come again.
    assert_eq!(tree.insert(chain[0].clone()).unwrap().connected, 1);
    let missing = tree.insert(chain[79].clone()).unwrap().missing;
    assert_eq!(missing, Some(chain[15].digest));
    grow(&mut tree, &chain[1..16]);
    assert_eq!(tree.head().block(), chain[79].digest);
}

/// Lets a tree that has `start` of `chain` fetch the rest from one that has all.
fn catch_up(forest: &Forest, full: &Tree, have: &[Sealed], last: Digest) -> Tree {
    let mut late = forest.tree(6);
    grow(&mut late, have);
    for _ in 0..100 {
        if late.is_connected(&last) {
            return late;
        }
        for bytes in full.blocks_to(&last, &late.locator()) {
            late.insert(Sealed::decode(bytes).unwrap()).unwrap();
        }
    }
    panic!("never there");
}

#[test]
fn who_is_behind_or_astray_catches_up() {
    let mut forest = Forest::new();
    let genesis = forest.genesis().block();
    let chain = forest.branch(genesis, 300);
    let mut full = forest.tree(6);
    grow(&mut full, &chain);
    let last = chain[299].digest;
    for start in [0, 1, 50, 200, 215, 260, 299] {
        let late = catch_up(&forest, &full, &chain[..start], last);
        assert_eq!(late.head().block(), last);
    }
    let astray: Vec<Sealed> = [&chain[..200], &forest.branch(chain[199].digest, 30)].concat();
    let late = catch_up(&forest, &full, &astray, last);
    assert_eq!(late.head().block(), last);
    // Not more than an answer holds, and nothing to those who ask about unknown blocks.
    assert_eq!(full.blocks_to(&last, &[genesis]).len(), MAX_BLOCKS);
    assert!(full.blocks_to(&forest.on(last).digest, &[genesis]).is_empty());
    assert!(full.blocks_to(&last, &[]).is_empty());
    assert!(full.locator().len() <= MAX_HAVE);
    // A block of long ago, too.
    let old = full.blocks_to(&chain[9].digest, &[chain[4].digest, genesis]);
    assert_eq!(old, chain[5..10].iter().map(|sealed| sealed.bytes.clone()).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever the order in which blocks come, the same chain counts, with the same forks.
    #[test]
    fn fork_choice_is_independent_of_arrival_order(
        parents in prop::collection::vec(any::<prop::sample::Index>(), 1..28),
        keys in prop::collection::vec(any::<u64>(), 28),
    ) {
        let mut forest = Forest::new();
        let mut all = vec![forest.genesis().block()];
        let mut blocks = Vec::new();
        for parent in parents {
            // Rather on a late block than on an early one, so that branches get long.
            let from = all.len().saturating_sub(4);
            let sealed = forest.on(all[from + parent.index(all.len() - from)]);
            all.push(sealed.digest);
            blocks.push(sealed);
        }
        let mut straight = forest.tree(3);
        grow(&mut straight, &blocks);
        let mut order: Vec<usize> = (0..blocks.len()).collect();
        order.sort_by_key(|index| keys[*index]);
        let mut shuffled = forest.tree(3);
        let mut finals = Vec::new();
        for index in order {
            let change = shuffled.insert(blocks[index].clone()).unwrap();
            if let Some((count, state)) = change.undone {
                finals.truncate(finals.len() - count as usize);
                prop_assert_eq!(state.height().get(), finals.len() as u64);
            }
            for settled in change.finals {
                finals.push(settled.digest);
                prop_assert_eq!(settled.state.height().get(), finals.len() as u64);
                prop_assert_eq!(settled.state.block(), settled.digest);
            }
        }
        prop_assert_eq!(shuffled.head().block(), straight.head().block());
        prop_assert_eq!(shuffled.forks(), straight.forks());
        // What is final in the end are the blocks of the winning chain that have three above them.
        let mut chain = Vec::new();
        let mut cursor = straight.head().block();
        while cursor != all[0] {
            chain.push(cursor);
            cursor = forest.states[&cursor].header().parent;
        }
        chain.reverse();
        chain.truncate(chain.len().saturating_sub(3));
        prop_assert_eq!(finals, chain);
    }
}
