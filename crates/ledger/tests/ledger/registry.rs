//! Operators' decisions: m of n, once, all or nothing, and who serves when.

use commonware_cryptography::Signer as _;
use voltmesh_ledger::{
    Action, AuthoritySet, Epoch, Error, PublicKey, RegistryTx, State, Timestamp, Transaction, commitment,
    testing::{Chain, Network, key},
};
use voltmesh_telemetry::Digest;

fn vehicle(n: u8) -> Digest {
    commitment(&format!("ev-{n}"), &[n; 32], &[n; 32])
}

fn enrol(n: u8) -> Action {
    Action::EnrolVehicle { commitment: vehicle(n) }
}

fn check(state: &State, tx: RegistryTx, expected: Result<(), &str>) {
    let built = state.build([Transaction::Registry(tx)], Timestamp::from_millis(5_000));
    let found = built.rejected.first().map_or(Ok(()), |(_, why)| Err(why.to_string()));
    match (found, expected) {
        (Ok(()), Ok(())) => {}
        (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
        (found, expected) => panic!("{found:?}, want {expected:?}"),
    }
}

#[test]
fn m_of_n_operators_sign_for_one_chain_and_nonce() {
    let network = Network::new(4);
    let state = State::new(network.genesis());
    let (a, b, c) = (network.operator(0), network.operator(1), network.operator(2));
    let tx = |nonce| RegistryTx::new(state.chain(), nonce, vec![enrol(1)]);
    check(&state, tx(0).sign(a).sign(b), Ok(()));
    check(&state, tx(0).sign(c).sign(b).sign(a), Ok(()));
    check(&state, tx(0).sign(a), Err("1 operators signed, 2 must"));
    check(&state, tx(0).sign(a).sign(a), Err("1 operators signed, 2 must"));
    check(&state, tx(0).sign(a).sign(network.authority(0)), Err("is not an operator"));
    check(&state, tx(1).sign(a).sign(b), Err("nonce 1, next is 0"));
    check(&state, tx(1), Err("0 operators signed"));

    let mut twice = tx(0).sign(a);
    twice.signatures.push(twice.signatures[0].clone());
    check(&state, twice, Err("named twice"));
    let mut altered = tx(0).sign(a).sign(b);
    altered.actions = vec![enrol(2)];
    check(&state, altered, Err("does not verify"));
    let elsewhere = RegistryTx::new(Network::new(5).genesis().digest(), 0, vec![enrol(1)]).sign(a).sign(b);
    check(&state, elsewhere.clone(), Err("transaction for chain"));
    let mut moved = elsewhere;
    moved.chain = state.chain();
    check(&state, moved, Err("does not verify"));
    check(&state, RegistryTx::new(state.chain(), 0, vec![]).sign(a).sign(b), Err("0 actions"));
}

#[test]
fn a_replayed_decision_is_refused_for_good() {
    let network = Network::new(4);
    let state = State::new(network.genesis());
    let tx = network.registry(0, vec![enrol(1)]);
    let state = state.build([tx.clone()], Timestamp::from_millis(5_000)).state;
    let built = state.build([tx], Timestamp::from_millis(6_000));
    assert!(matches!(built.rejected[0].1, Error::Nonce { found: 0, want: 1 }));
    assert!(!built.rejected[0].1.is_transient());
}

#[test]
fn decisions_are_sorted_by_nonce_and_happen_together_or_not_at_all() {
    let mut chain = Chain::new(4);
    let network = chain.network.clone();
    chain.push(vec![network.registry(1, vec![enrol(2)]), network.registry(0, vec![enrol(1)])]);
    assert_eq!(chain.state.nonce(), 2);
    let half = network.registry(2, vec![enrol(3), enrol(1)]);
    let built = chain.state.build([half], chain.state.time());
    assert!(built.rejected[0].1.to_string().contains("registered already"));
    assert!(built.state.registry().get(&vehicle(3)).is_none());
    assert_eq!(built.state.nonce(), 2);
}

#[test]
fn signers_count_from_enrolment_until_below_revocation() {
    let mut chain = Chain::new(4);
    chain.enrol(&[vehicle(1)]);
    chain.advance_to(4);
    chain.act(vec![Action::RotateVehicle { old: vehicle(1), new: vehicle(2) }]);
    let counts = |n, height| {
        chain
            .state
            .registry()
            .get(&vehicle(n))
            .expect("known")
            .counts_at(voltmesh_ledger::Height::new(height))
    };
    assert_eq!(
        (0..7).map(|h| counts(1, h)).collect::<Vec<_>>(),
        [false, true, true, true, true, false, false]
    );
    assert_eq!(
        (0..7).map(|h| counts(2, h)).collect::<Vec<_>>(),
        [false, false, false, false, false, true, true]
    );
    let refused = |action| {
        let built = chain.state.build([chain.network.registry(2, vec![action])], chain.state.time());
        built.rejected[0].1.to_string()
    };
    assert!(refused(enrol(1)).contains("registered already"));
    assert!(refused(Action::RevokeVehicle { commitment: vehicle(1) }).contains("not enrolled"));
    assert!(refused(Action::RevokeVehicle { commitment: vehicle(9) }).contains("not enrolled"));
    assert!(refused(Action::RotateVehicle { old: vehicle(9), new: vehicle(8) }).contains("not enrolled"));
}

#[test]
fn operators_are_replaced_at_once() {
    let mut chain = Chain::new(4);
    let new = [key(100), key(101)];
    let keys = new.iter().map(|key| key.public_key()).collect();
    chain.act(vec![Action::SetOperators { keys, threshold: 2 }]);
    let old = RegistryTx::new(chain.state.chain(), 1, vec![enrol(1)]);
    check(
        &chain.state,
        old.clone().sign(chain.network.operator(0)).sign(chain.network.operator(1)),
        Err("not an operator"),
    );
    check(&chain.state, old.sign(&new[0]).sign(&new[1]), Ok(()));
    for (keys, threshold) in [(vec![], 1), (vec![key(1).public_key()], 2), (vec![key(1).public_key()], 0)] {
        let tx = RegistryTx::new(chain.state.chain(), 1, vec![Action::SetOperators { keys, threshold }]);
        check(&chain.state, tx.sign(&new[0]).sign(&new[1]), Err("want 1"));
    }
}

fn serves(state: &State, epoch: u64, key: &PublicKey) -> Option<bool> {
    state.authorities_for(Epoch::new(epoch)).map(|set| set.contains(key))
}

#[test]
fn authorities_change_in_the_next_but_one_epoch() {
    let mut chain = Chain::new(4);
    let (old, new) = (chain.network.authority(2).public_key(), key(50).public_key());
    chain.network.add_key(key(50));
    chain.advance_to(13); // epoch 1: heights 10 to 19
    chain.act(vec![Action::RotateAuthority { old: old.clone(), new: new.clone() }]);
    let seen = |chain: &Chain, key| (0..6).map(|epoch| serves(&chain.state, epoch, key)).collect::<Vec<_>>();
    assert_eq!(seen(&chain, &old), [Some(true), Some(true), Some(true), None, None, None]);
    assert_eq!(seen(&chain, &new), [Some(false), Some(false), Some(false), None, None, None]);
    chain.advance_to(19); // the last block of epoch 1 settles epoch 3
    assert_eq!(seen(&chain, &new), [Some(false), Some(false), Some(false), Some(true), None, None]);
    chain.advance_to(30);
    assert_eq!(seen(&chain, &old), [None, None, Some(true), Some(false), Some(false), None]);
    // The new one anchors, the old one no longer does, and its memory is given up.
    let sign = |key: &voltmesh_ledger::PrivateKey| {
        let anchor = voltmesh_ledger::Anchor::sign(
            &chain.state.chain(),
            key,
            0,
            1,
            vec![Digest::of(b"x").to_bytes().into()],
        );
        chain.state.check(&Transaction::Anchor(anchor))
    };
    assert!(sign(&key(50)).is_ok());
    assert!(matches!(sign(chain.network.clone().authority(2)), Err(Error::NotAuthority(_))));
}

#[test]
fn changes_of_authorities_that_would_harm_are_refused() {
    let mut chain = Chain::new(5);
    let authority = |n| chain.network.authority(n).public_key();
    let (a, b, fresh) = (authority(0), authority(1), |n: u64| key(200 + n).public_key());
    let refused = |chain: &Chain, actions| {
        let tx = chain.network.registry(chain.state.nonce(), actions);
        let built = chain.state.build([tx], chain.state.time());
        built.rejected.first().map(|(_, why)| why.to_string()).unwrap_or_default()
    };
    let rotate = |old: &PublicKey, new: PublicKey| Action::RotateAuthority { old: old.clone(), new };
    let remove = |key: &PublicKey| Action::RemoveAuthority { key: key.clone() };
    // Replaced twice, by an authority, by a stranger's.
    assert!(refused(&chain, vec![rotate(&a, fresh(0)), rotate(&a, fresh(1))]).contains("not an authority"));
    assert!(refused(&chain, vec![rotate(&a, b.clone())]).contains("named twice"));
    assert!(refused(&chain, vec![rotate(&fresh(0), fresh(1))]).contains("not an authority"));
    // Too few.
    assert!(refused(&chain, vec![remove(&a), remove(&b)]).contains("3 authorities"));
    // Too many.
    let many: Vec<_> = (0..124).map(|n| Action::AdmitAuthority { key: fresh(n) }).collect();
    assert!(refused(&chain, many).contains("129 authorities"));
    assert!(refused(&chain, vec![Action::AdmitAuthority { key: a.clone() }]).contains("named twice"));
    // Nobody returns under an old key, neither at once nor later.
    chain.act(vec![remove(&a)]);
    assert!(refused(&chain, vec![Action::AdmitAuthority { key: a.clone() }]).contains("retired"));
    assert!(refused(&chain, vec![rotate(&b, a.clone())]).contains("retired"));
    chain.advance_to(35);
    assert!(refused(&chain, vec![Action::AdmitAuthority { key: a }]).contains("retired"));
}

#[test]
fn quorums() {
    let check = |n: u64, expected| {
        let set = AuthoritySet::new((0..n).map(|i| key(i).public_key())).expect("enough");
        assert_eq!((set.quorum(), set.faults(), set.honest()), expected);
    };
    check(4, (3, 1, 2));
    check(6, (5, 1, 2));
    check(7, (5, 2, 3));
    check(20, (14, 6, 7));
    assert!(AuthoritySet::new((0..3).map(|i| key(i).public_key())).is_err());
    assert!(AuthoritySet::new((0..129).map(|i| key(i).public_key())).is_err());
    assert!(AuthoritySet::new([0, 1, 2, 3, 3].map(|i| key(i).public_key())).is_err());
}
