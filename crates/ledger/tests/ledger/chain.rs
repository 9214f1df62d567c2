//! Blocks: the same everywhere, applied once, bounded.

use proptest::prelude::*;
use voltmesh_ledger::{
    Action, Anchor, Block, Error, Header, Height, MAX_ANCHORS_PER_AUTHORITY, State, Timestamp, Transaction,
    commitment,
    testing::{Chain, Network},
};
use voltmesh_telemetry::{BatchId, Digest, merkle::leaf_hash};

fn batch(n: u64) -> BatchId {
    BatchId::new(Digest::of(&n.to_be_bytes()))
}

fn anchor(
    network: &Network,
    authority: usize,
    sequence: u64,
    batches: impl IntoIterator<Item = u64>,
) -> Transaction {
    let batches: Vec<_> = batches.into_iter().map(batch).collect();
    let key = network.authority(authority);
    Transaction::Anchor(Anchor::sign(
        &network.genesis().digest(),
        key,
        sequence,
        batches.len() as u64,
        batches,
    ))
}

fn now() -> Timestamp {
    Timestamp::from_millis(5_000)
}

/// Why the only transaction of a block is refused.
fn refusal(state: &State, transaction: Transaction) -> String {
    let built = state.build([transaction], now());
    assert!(built.block.transactions().is_empty());
    built.rejected[0].1.to_string()
}

#[derive(Clone, Debug)]
enum Step {
    Anchor { authority: usize, sequence: u64, first: u64, count: u64 },
    Enrol(u8),
    Revoke(u8),
    Rotate(u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4usize, 0..6u64, 0..50u64, 1..6u64).prop_map(|(authority, sequence, first, count)| {
            Step::Anchor { authority, sequence, first, count }
        }),
        (0..8u8).prop_map(Step::Enrol),
        (0..8u8).prop_map(Step::Revoke),
        (0..8u8, 0..8u8).prop_map(|(old, new)| Step::Rotate(old, new)),
    ]
}

fn vehicle(n: u8) -> Digest {
    commitment(&format!("ev-{n}"), &[n; 32], &[n; 32])
}

fn transaction(network: &Network, nonce: u64, step: &Step) -> Transaction {
    match *step {
        Step::Anchor { authority, sequence, first, count } => {
            anchor(network, authority, sequence, first..first + count)
        }
        Step::Enrol(n) => network.registry(nonce, vec![Action::EnrolVehicle { commitment: vehicle(n) }]),
        Step::Revoke(n) => network.registry(nonce, vec![Action::RevokeVehicle { commitment: vehicle(n) }]),
        Step::Rotate(old, new) => {
            network.registry(nonce, vec![Action::RotateVehicle { old: vehicle(old), new: vehicle(new) }])
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn same_commands_same_roots_and_built_blocks_are_valid(
        blocks in prop::collection::vec(prop::collection::vec(step(), 0..6), 1..8),
    ) {
        let network = Network::with_epochs(4, 3);
        let (mut builder, mut follower, mut replayer) =
            (State::new(network.genesis()), State::new(network.genesis()), State::new(network.genesis()));
        let mut leaves = Vec::new();
        for (steps, t) in blocks.iter().zip(1u64..) {
            let transactions = steps.iter().map(|step| transaction(&network, builder.nonce(), step));
            let built = builder.build(transactions, Timestamp::from_millis(1_000 * t));
            let (followed, entries) = follower.execute(&built.block).expect("a built block is valid");
            let (replayed, _) = replayer.execute_final(&built.block).expect("a built block is valid");
            prop_assert_eq!(&entries, &built.entries);
            prop_assert_eq!(followed.header(), built.block.header());
            prop_assert_eq!(followed.block(), built.state.block());
            prop_assert_eq!(format!("{followed:?}"), format!("{:?}", built.state));
            prop_assert_eq!(format!("{replayed:?}"), format!("{:?}", built.state));
            // Inclusion proofs verify against the header, and only for their own leaf.
            let header = built.block.header();
            for entry in &entries {
                let leaf = leaf_hash(entry.batch.as_bytes());
                prop_assert_eq!(entry.inclusion.index, leaves.len() as u64);
                prop_assert_eq!(entry.inclusion.size, header.log_size);
                prop_assert!(entry.inclusion.verify(&leaf, &header.log_root));
                prop_assert!(!entry.inclusion.verify(&leaf_hash(b"another"), &header.log_root));
                leaves.push(leaf);
            }
            prop_assert_eq!(header.log_root, voltmesh_telemetry::merkle::root(&leaves));
            for entry in built.state.registry().entries() {
                let proof = built.state.prove(&entry.commitment).expect("the entry exists");
                prop_assert!(proof.verify(&header.registry_root));
            }
            // Nothing of this block is valid again.
            let again = built.state.build(built.block.transactions().to_vec(), now());
            prop_assert!(again.block.transactions().is_empty());
            (builder, follower, replayer) = (built.state, followed, replayed);
        }
    }

    #[test]
    fn any_other_header_is_refused(field in 0..8usize, bit in 0..64u32) {
        let network = Network::new(4);
        let state = State::new(network.genesis());
        let built = state.build([anchor(&network, 0, 0, 0..3)], now());
        let mut header = built.block.header().clone();
        let flip = |digest: &Digest| {
            let mut bytes = digest.to_bytes();
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
            Digest::new(bytes)
        };
        match field {
            0 => header.height = Height::new(header.height.get() ^ (1 << bit)),
            1 => header.epoch = voltmesh_ledger::Epoch::new(header.epoch.get() ^ (1 << bit)),
            2 => header.log_size ^= 1 << bit,
            3 => header.log_root = flip(&header.log_root),
            4 => header.registry_root = flip(&header.registry_root),
            5 => header.authorities = header.parent,
            6 => header.parent = header.authorities,
            _ => header.time = Timestamp::from_millis(999),
        }
        let forged = Block::new(header, None, built.block.transactions().to_vec());
        prop_assert!(state.execute(&forged).is_err());
    }
}

#[test]
fn an_anchor_is_applied_once_and_gaps_are_fine() {
    let network = Network::new(4);
    let mut state = State::new(network.genesis());
    for sequence in [7, 3, 4000, 3999] {
        state = state.build([anchor(&network, 1, sequence, [sequence])], now()).state;
        assert!(refusal(&state, anchor(&network, 1, sequence, [99])).contains("applied already"));
    }
    assert_eq!(state.log_size(), 4);
    assert!(refusal(&state, anchor(&network, 1, 8, [99])).contains("older than the last"));
    assert!(refusal(&state, anchor(&network, 1, u64::MAX, [99])).contains("applied already"));
    assert_eq!(state.next_sequence(&network.genesis().authorities.get(1).cloned().expect("four")), 4001);
    // Another authority counts for itself.
    assert!(state.build([anchor(&network, 2, 7, [7])], now()).rejected.is_empty());
}

#[test]
fn the_same_batch_through_two_fog_nodes_is_in_the_log_twice() {
    let mut chain = Chain::new(4);
    let network = chain.network.clone();
    let block = chain.push(vec![anchor(&network, 0, 0, [1]), anchor(&network, 1, 0, [1])]);
    let [first, second] = &block.entries[..] else { panic!("two entries") };
    assert_eq!((first.batch, first.inclusion.index, second.inclusion.index), (second.batch, 0, 1));
}

#[test]
fn refusals_name_their_reason() {
    let network = Network::new(4);
    let state = State::new(network.genesis());
    let chain = state.chain();
    let stranger = Anchor::sign(&chain, network.operator(0), 0, 1, vec![batch(1)]);
    assert!(refusal(&state, Transaction::Anchor(stranger)).contains("not an authority"));
    let other_chain = Anchor::sign(&chain_of(5), network.authority(0), 0, 1, vec![batch(1)]);
    assert!(refusal(&state, Transaction::Anchor(other_chain.clone())).contains("does not verify"));
    assert!(refusal(&state, anchor(&network, 0, 0, [1, 1])).contains("twice"));
    assert!(refusal(&state, anchor(&network, 0, 0, [])).contains("0 batches"));
    assert!(refusal(&state, anchor(&network, 0, 0, 0..513)).contains("513 batches"));

    // One forged anchor among good ones: builders drop it, executors refuse the block.
    let good = anchor(&network, 1, 0, [2]);
    let built = state.build([Transaction::Anchor(other_chain.clone()), good.clone()], now());
    assert_eq!(built.block.transactions(), std::slice::from_ref(&good));
    let forged = Block::new(built.block.header().clone(), None, vec![Transaction::Anchor(other_chain), good]);
    assert!(matches!(state.execute(&forged), Err(Error::Signature { .. })));
}

fn chain_of(n: u64) -> voltmesh_ledger::Digest {
    Network::new(n).genesis().digest()
}

#[test]
fn quotas_hold_back_one_authority_and_no_other() {
    let network = Network::new(4);
    let state = State::new(network.genesis());
    let greedy = (0..MAX_ANCHORS_PER_AUTHORITY as u64 + 2).map(|n| anchor(&network, 0, n, [n]));
    let modest = [anchor(&network, 1, 0, [1])];
    let built = state.build(greedy.chain(modest), now());
    assert_eq!(built.block.transactions().len(), MAX_ANCHORS_PER_AUTHORITY + 1);
    assert_eq!(built.rejected.len(), 2);
    assert!(built.rejected.iter().all(|(_, why)| matches!(why, Error::Quota(_)) && why.is_transient()));
    // By batches, too.
    let large = (0..5).map(|n| anchor(&network, 0, n, 1_000 * n..1_000 * n + 512));
    assert_eq!(state.build(large, now()).rejected.len(), 1);
}

#[test]
fn blocks_stay_below_their_size() {
    let network = Network::with_epochs(32, 100);
    let state = State::new(network.genesis());
    let full = (0..32).flat_map(|a| (0..4).map(move |n| (a, n)));
    let built = state.build(full.map(|(a, n)| anchor(&network, a, n, 1_000 * n..1_000 * n + 512)), now());
    assert!(built.rejected.iter().all(|(_, why)| matches!(why, Error::Full)));
    assert!(!built.rejected.is_empty());
    let bytes = commonware_codec::Encode::encode(&built.block);
    assert!(bytes.len() <= voltmesh_ledger::MAX_BLOCK_BYTES && bytes.len() > 1_000_000, "{}", bytes.len());
    assert_eq!(Block::decode_bounded(&bytes).expect("it is within bounds"), built.block);
}

#[test]
fn time_never_goes_back_and_is_checked_against_the_clock_with_a_bound() {
    let network = Network::new(4);
    let state = State::new(network.genesis()).build([], Timestamp::from_millis(9_000)).state;
    let built = state.build([], Timestamp::from_millis(4_000));
    assert_eq!(built.block.header().time, Timestamp::from_millis(9_000));
    let early = Header { time: Timestamp::from_millis(8_999), ..built.block.header().clone() };
    assert!(matches!(state.execute(&Block::new(early, None, Vec::new())), Err(Error::TimeBackwards { .. })));

    let check = |now, bound| built.block.header().check_clock(Timestamp::from_millis(now), bound).is_ok();
    assert!(check(9_000, 0) && check(8_500, 500) && check(u64::MAX, 0));
    assert!(!check(8_499, 500));
}

#[test]
fn large_blocks_execute_quickly_slow() {
    let network = Network::with_epochs(20, 1_000);
    let mut state = State::new(network.genesis());
    // A log of some size first, so that paths have a real length.
    for round in 0..4 {
        state = state.build((0..20).map(|a| anchor(&network, a, round, 0..512)), now()).state;
    }
    let block =
        |size: u64| (0..20).flat_map(move |a| (0..10u64).map(move |n| (a, 10 + n, n * size..(n + 1) * size)));
    for size in [1, 50] {
        let offered: Vec<_> = block(size).map(|(a, n, batches)| anchor(&network, a, n, batches)).collect();
        let built = state.build(offered, now());
        assert!(built.rejected.is_empty());
        let measure = |what: &str, run: &dyn Fn()| {
            let started = std::time::Instant::now();
            run();
            println!("{what}, 200 anchors x {size} batches: {:?}", started.elapsed());
        };
        measure("execute", &|| drop(state.execute(&built.block).expect("valid")));
        measure("execute_final", &|| drop(state.execute_final(&built.block).expect("valid")));
    }
}
