//! Laws of the pool, and what it refuses.

use super::*;
use crate::harness::load::batch;
use commonware_cryptography::Signer as _;
use proptest::prelude::*;
use voltmesh_ledger::{
    Action, Anchor, Error, EventList, Lane, Policy, PolicyAct, Timestamp, salted_digest,
    testing::{Network, controller},
};

fn anchor(network: &Network, authority: usize, sequence: u64, tag: u64) -> Transaction {
    let chain = network.genesis().digest();
    Transaction::Anchor(Anchor::sign(&chain, network.authority(authority), sequence, 1, vec![batch(tag)]))
}

#[test]
fn one_waits_once_and_is_repeated_until_it_is_final() {
    let network = Network::new(4);
    let state = State::new(network.genesis());
    let mut pool = Mempool::default();
    let first = anchor(&network, 0, 0, 1);
    assert!(pool.insert(first.clone(), &state, 0, false).unwrap());
    assert!(pool.due(0).is_empty(), "a peer's transaction is the peer's to repeat");
    assert!(!pool.insert(first.clone(), &state, 10, true).unwrap());
    let due = |repeated| vec![Due { transaction: first.clone(), repeated }];
    assert_eq!(pool.due(10), due(false));
    assert!(pool.due(1_009).is_empty());
    assert_eq!(pool.due(1_010), due(true));
    assert!(pool.due(2_000).is_empty(), "repetitions become rarer");
    let next =
        state.build(pool.candidates(usize::MAX, &state, &BTreeSet::new()), Timestamp::from_millis(2_000));
    assert_eq!(pool.settle(&next.state, next.block.transactions(), 2_010), vec![2_000]);
    assert_eq!(pool.len(), 0);
    assert!(matches!(
        pool.insert(first, &next.state, 3_000, true),
        Err(SubmitError::Invalid(why)) if matches!(*why, Error::Replayed { .. })
    ));
}

#[test]
fn what_no_block_can_hold_is_refused() {
    let network = Network::new(4);
    let state = State::new(network.genesis());
    let mut pool = Mempool::default();
    let Transaction::Anchor(mut forged) = anchor(&network, 0, 0, 1) else { unreachable!("an anchor") };
    forged.sequence = 1;
    let refused =
        |result| matches!(result, Err(SubmitError::Invalid(why)) if matches!(*why, Error::Signature { .. }));
    assert!(refused(pool.insert(Transaction::Anchor(forged), &state, 0, true)));
    pool.insert(anchor(&network, 0, 0, 1), &state, 0, true).unwrap();
    assert!(matches!(
        pool.insert(anchor(&network, 0, 0, 2), &state, 0, true),
        Err(SubmitError::Conflict { sequence: 0 })
    ));
    let vehicle = voltmesh_ledger::commitment("ev-1", &[1; 32], &[2; 32]);
    let far = network.registry(MAX_REGISTRY as u64, vec![Action::EnrolVehicle { commitment: vehicle }]);
    assert!(matches!(
        pool.insert(far, &state, 0, true),
        Err(SubmitError::Invalid(why)) if matches!(*why, Error::Nonce { .. })
    ));
}

#[test]
fn decisions_wait_for_those_before_them() {
    let network = Network::new(4);
    let mut state = State::new(network.genesis());
    let mut pool = Mempool::default();
    for nonce in [2, 0, 1] {
        let vehicle = voltmesh_ledger::commitment("ev", &[nonce as u8; 32], &[2; 32]);
        let decision = network.registry(nonce, vec![Action::EnrolVehicle { commitment: vehicle }]);
        pool.insert(decision, &state, 0, true).unwrap();
    }
    let built =
        state.build(pool.candidates(usize::MAX, &state, &BTreeSet::new()), Timestamp::from_millis(2_000));
    assert_eq!(built.block.transactions().len(), 3);
    state = built.state;
    pool.settle(&state, built.block.transactions(), 0);
    assert_eq!(pool.len(), 0);
}

#[test]
fn nobody_takes_anothers_place() {
    let network = Network::new(4);
    let state = State::new(network.genesis());
    let mut pool = Mempool::default();
    for sequence in 0..MAX_ANCHORS as u64 {
        pool.insert(anchor(&network, 0, sequence, sequence), &state, 0, false).unwrap();
    }
    let more = anchor(&network, 0, 1_000, 0);
    assert!(matches!(pool.insert(more, &state, 0, false), Err(SubmitError::Full { waiting: MAX_ANCHORS })));
    pool.insert(anchor(&network, 1, 0, 0), &state, 0, true).unwrap();
    // Turns are taken, so the one anchor of authority 1 is among the first four.
    let head: Vec<_> = pool.candidates(usize::MAX, &state, &BTreeSet::new()).into_iter().take(4).collect();
    assert!(head.contains(&anchor(&network, 1, 0, 0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn each_anchor_enters_the_log_once(order in prop::collection::vec((0usize..3, 0u64..6), 1..40), per_block in 1usize..10) {
        let network = Network::new(4);
        let mut state = State::new(network.genesis());
        let mut pool = Mempool::default();
        let mut logged = Vec::new();
        let mut want = BTreeSet::new();
        for chunk in order.chunks(per_block) {
            for (authority, sequence) in chunk {
                let tag = *authority as u64 * 100 + sequence;
                want.insert(batch(tag));
                let _ = pool.insert(anchor(&network, *authority, *sequence, tag), &state, 0, true);
            }
            let built = state.build(pool.candidates(usize::MAX, &state, &BTreeSet::new()), Timestamp::from_millis(2_000));
            state = built.state;
            logged.extend(built.entries.into_iter().map(|entry| entry.batch));
            pool.settle(&state, built.block.transactions(), 0);
            prop_assert_eq!(pool.len(), 0);
        }
        logged.sort();
        prop_assert_eq!(logged, want.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn event_lists_and_policies_wait_apart_from_anchors() {
    let network = Network::new(4);
    let mut state = State::new(network.genesis());
    let admit = Action::AdmitController { key: controller(0).public_key() };
    state = state.build([network.registry(0, vec![admit])], Timestamp::from_millis(2_000)).state;
    let list = |sequence: u64, tag: u64| {
        let (chain, key) = (network.genesis().digest(), network.authority(0));
        let event = salted_digest(&[1; 16], &tag.to_be_bytes());
        Transaction::Events(EventList::sign(&chain, key, Lane::Functions, sequence, vec![event]))
    };
    let policy = |term: u32, number: u64, at_ms: u64, act| {
        let until = Timestamp::from_millis(at_ms + 20_000);
        let chain = network.genesis().digest();
        Transaction::Policy(Policy::sign(&chain, &controller(0), (term, number), until, until, act))
    };
    let mut pool = Mempool::default();
    for sequence in 0..MAX_EVENT_LISTS as u64 {
        pool.insert(list(sequence, sequence), &state, 2_000, true).unwrap();
    }
    assert!(matches!(
        pool.insert(list(900, 900), &state, 2_000, true),
        Err(SubmitError::Full { waiting: MAX_EVENT_LISTS })
    ));
    assert!(matches!(
        pool.insert(list(0, 77), &state, 2_000, true),
        Err(SubmitError::Conflict { sequence: 0 })
    ));
    pool.insert(anchor(&network, 0, 0, 1), &state, 2_000, true).unwrap();
    let take = policy(1, 0, 2_000, PolicyAct::TakeTerm);
    assert!(pool.insert(take.clone(), &state, 2_000, true).unwrap());
    assert!(!pool.insert(take.clone(), &state, 2_000, true).unwrap());
    // Of no term that is held, and expired by the node's clock although no block says so.
    let refused = |result| matches!(result, Err(SubmitError::Invalid(_)));
    assert!(refused(pool.insert(policy(1, 1, 2_000, PolicyAct::Renew), &state, 2_000, true)));
    assert!(refused(pool.insert(policy(1, 9, 2_000, PolicyAct::TakeTerm), &state, 22_001, true)));
    let candidates = pool.candidates(usize::MAX, &state, &BTreeSet::new());
    assert_eq!(candidates.len(), MAX_EVENT_LISTS + 2);
    assert_eq!(candidates[0], take);
    let built = state.build(candidates, Timestamp::from_millis(3_000));
    let lists = voltmesh_ledger::MAX_LISTS_PER_AUTHORITY;
    assert_eq!(built.block.transactions().len(), lists + 2, "what is over the quota waits");
    pool.settle(&built.state, built.block.transactions(), 3_000);
    assert_eq!(pool.len(), MAX_EVENT_LISTS - lists);
    pool.insert(list(64, 64), &built.state, 3_000, true).unwrap();
}
