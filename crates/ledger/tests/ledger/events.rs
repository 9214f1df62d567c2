//! Events: on the ledger once, provable offline, and apart from the log of batches.

use commonware_cryptography::Signer as _;
use proptest::prelude::*;
use std::collections::BTreeSet;
use voltmesh_ledger::{
    Act, Block, Error, EventList, EventProof, Fact, Lane, MAX_EVENTS_PER_AUTHORITY, MAX_EVENTS_PER_LIST,
    MAX_LISTS_PER_AUTHORITY, PolicyAct, Registry, Stage, State, Timestamp, Transaction, Trust, salted_digest,
    testing::{Chain, Network, Vehicle},
};
use voltmesh_telemetry::Digest;

fn event(n: u64) -> Digest {
    salted_digest(&[7; 16], &n.to_be_bytes())
}

fn list(
    network: &Network,
    authority: usize,
    sequence: u64,
    events: impl IntoIterator<Item = u64>,
) -> Transaction {
    let (chain, key) = (network.genesis().digest(), network.authority(authority));
    Transaction::Events(EventList::sign(
        &chain,
        key,
        Lane::Functions,
        sequence,
        events.into_iter().map(event).collect(),
    ))
}

fn now() -> Timestamp {
    Timestamp::from_millis(5_000)
}

fn refusal(state: &State, transaction: Transaction) -> Error {
    let mut built = state.build([transaction], now());
    assert!(built.block.transactions().is_empty());
    built.rejected.remove(0).1
}

#[test]
fn a_list_is_applied_once_and_an_event_is_on_the_ledger_once() {
    let network = Network::new(4);
    let mut state = State::new(network.genesis());
    for (sequence, first) in [(7, 0), (3, 10), (4_000, 20)] {
        state = state.build([list(&network, 1, sequence, first..first + 5)], now()).state;
        let again = refusal(&state, list(&network, 1, sequence, 90..91));
        assert!(matches!(again, Error::ReplayedEvents { .. }), "{again}");
        let renumbered = refusal(&state, list(&network, 1, sequence + 1, [80, first + 4]));
        assert!(matches!(renumbered, Error::EventTwice(twice) if twice == event(first + 4)), "{renumbered}");
    }
    assert!(matches!(refusal(&state, list(&network, 1, 8, [99])), Error::ReplayedEvents { .. }), "too old");
    assert!(matches!(refusal(&state, list(&network, 1, 4_001, [5, 6, 5])), Error::EventTwice(_)));
    assert!(matches!(refusal(&state, list(&network, 1, u64::MAX, [5])), Error::ReplayedEvents { .. }));
    assert_eq!(state.next_event_sequence(&network.authority(1).public_key(), Lane::Functions), 4_001);
    // Whoever copies another's list from the pool blocks nobody.
    assert!(state.build([list(&network, 2, 7, 0..5)], now()).rejected.is_empty());
    assert_eq!(state.acts_size(), 3);
    // Heads of the audit log are numbered by themselves.
    let key = network.authority(1);
    let chain = state.chain();
    let of_audit = |sequence| {
        let head = vec![event(500 + sequence)];
        Transaction::Events(EventList::sign(&chain, key, Lane::Audit, sequence, head))
    };
    assert_eq!(state.next_event_sequence(&key.public_key(), Lane::Audit), 0);
    state = state.build([of_audit(0), of_audit(7)], now()).state;
    assert_eq!(state.acts_size(), 5);
    assert!(matches!(refusal(&state, of_audit(7)), Error::ReplayedEvents { .. }));
    assert_eq!(state.next_event_sequence(&key.public_key(), Lane::Functions), 4_001);
}

#[test]
fn refusals_name_their_reason() {
    let network = Network::new(4);
    let state = State::new(network.genesis());
    let check = |transaction: Transaction, expected: &str| {
        let why = refusal(&state, transaction).to_string();
        assert!(why.contains(expected), "{why}");
    };
    let sign =
        |chain, key| Transaction::Events(EventList::sign(&chain, key, Lane::Functions, 0, vec![event(1)]));
    check(sign(state.chain(), network.operator(0)), "not an authority");
    check(sign(Network::new(5).genesis().digest(), network.authority(0)), "does not verify");
    check(list(&network, 0, 0, []), "0 events");
    check(list(&network, 0, 0, 0..MAX_EVENTS_PER_LIST as u64 + 1), "257 events");
    // An executor refuses the block that holds a forged one.
    let good = state.build([list(&network, 1, 0, [2])], now());
    let forged = vec![sign(Network::new(5).genesis().digest(), network.authority(0))];
    let forged = Block::new(good.block.header().clone(), None, forged);
    assert!(matches!(state.execute(&forged), Err(Error::Signature { .. })));
}

#[test]
fn quotas_hold_back_one_authority_and_no_other() {
    let network = Network::new(4);
    let state = State::new(network.genesis());
    let many = MAX_LISTS_PER_AUTHORITY as u64 + 2;
    let greedy = (0..many).map(|n| list(&network, 0, n, [n]));
    let built = state.build(greedy.chain([list(&network, 1, 0, [1])]), now());
    assert_eq!((built.block.transactions().len(), built.rejected.len()), (MAX_LISTS_PER_AUTHORITY + 1, 2));
    assert!(built.rejected.iter().all(|(_, why)| matches!(why, Error::Quota(_)) && why.is_transient()));
    let full = MAX_EVENTS_PER_LIST as u64;
    let large = (0..3).map(|n| list(&network, 0, n, full * n..full * (n + 1)));
    assert_eq!(state.build(large, now()).block.transactions().len(), MAX_EVENTS_PER_AUTHORITY / 256);
}

#[test]
fn events_leave_the_log_of_batches_and_the_signers_proofs_alone() {
    let (mut chain, ev) = (Chain::new(4), Vehicle::new("ev-1"));
    chain.enrol(&[ev.commitment(), Vehicle::new("ev-2").commitment(), Vehicle::new("ev-3").commitment()]);
    let batch = ev.batch(1, 0, 4, None);
    chain.anchor(&[batch.id()]);
    let (log, plain) = (chain.state.header().log_root, chain.state.header().registry_root);
    let events = chain.events(2, vec![event(1), event(2)]);
    chain.push(vec![events]);
    assert_eq!((chain.state.header().log_root, chain.state.log_size()), (log, 1));
    assert_ne!(chain.state.header().registry_root, plain);
    let extent = chain.state.prove_acts().expect("one act");
    assert!(matches!(extent.fact, Fact::Acts { size: 1, .. }));
    assert!(extent.verify(&chain.state.header().registry_root) && !extent.verify(&plain));
    // Signers are proven as before, also by who knows of no facts.
    let signer = chain.state.prove(&ev.commitment()).expect("enrolled");
    assert!(signer.verify(&chain.state.header().registry_root));
    let later = ev.batch(1, 4, 4, Some(batch.id()));
    let with_event = vec![chain.events(2, vec![event(3)])];
    chain.push(with_event);
    chain.anchor(&[later.id()]);
    assert!(chain.prove(5, &ev, &later, 1).verify(&chain.trust()).is_ok());
    assert_eq!(Registry::default().root(), Digest::of(&[]));
}

fn sample() -> (Chain, Vec<EventProof>) {
    let mut chain = Chain::new(4);
    chain.enrol(&[Vehicle::new("ev-1").commitment()]);
    chain.admit_controllers(2);
    let salt = |n: u8| [n; 16];
    let bytes = |n: u8| vec![n; 30];
    let digests: Vec<_> = (0..5).map(|n| salted_digest(&salt(n), &bytes(n))).collect();
    let acts = vec![chain.events(3, digests.clone()), chain.policy(0, 1, 0, PolicyAct::TakeTerm)];
    chain.push(acts);
    let decision = salted_digest(&salt(9), b"charge at 0.2 C");
    let decide = chain.policy(0, 1, 0, PolicyAct::Decide { decision });
    let more = chain.events(1, vec![event(50)]);
    chain.push(vec![more, decide]);
    // A block's policies come before its events.
    let of_events = chain.act_evidence(3, 1).expect("two acts");
    let of_decision = chain.act_evidence(4, 0).expect("two acts");
    let mut proofs: Vec<EventProof> = (0..5u8)
        .map(|n| {
            let n_th = usize::from(n);
            EventProof::of_event(salt(n), bytes(n).into(), &digests, n_th, of_events.clone()).expect("five")
        })
        .collect();
    proofs.push(EventProof::of_decision(salt(9), "charge at 0.2 C".into(), of_decision));
    (chain, proofs)
}

fn stage(bytes: &[u8], trust: &Trust) -> Result<(), Stage> {
    EventProof::from_bytes(bytes).and_then(|proof| proof.verify(trust)).map(drop).map_err(|e| e.stage)
}

#[test]
fn events_and_decisions_are_proven_with_the_trust_file_alone() {
    let (chain, proofs) = sample();
    let trust = chain.trust();
    for proof in &proofs {
        let read = EventProof::from_bytes(&proof.to_bytes()).expect("its own bytes");
        assert_eq!(&read, proof);
        let proven = read.verify(&trust).expect("true");
        assert_eq!((proven.signers.len(), proven.voters, proven.authorities), (4, 4, 4));
        println!("{} bytes: {}", proof.to_bytes().len(), proven.summary());
    }
    let proven = proofs[5].verify(&trust).expect("true");
    assert!(matches!(proven.act, Act::Decision { term: 1, number: 0, .. }), "{:?}", proven.act);
    assert!(proven.summary().contains("decision 0 of controller"), "{}", proven.summary());
    let other = Trust::from_genesis(Network::new(5).genesis().clone());
    assert_eq!(stage(&proofs[0].to_bytes(), &other), Err(Stage::Finality));
}

#[test]
fn what_was_not_committed_to_is_not_proven() {
    let (chain, proofs) = sample();
    let trust = chain.trust();
    let check = |change: &dyn Fn(&mut EventProof), expected| {
        let mut proof = proofs[1].clone();
        change(&mut proof);
        assert_eq!(stage(&proof.to_bytes(), &trust), Err(expected));
    };
    check(&|proof| proof.bytes = "another".into(), Stage::Event);
    check(&|proof| proof.salt[0] ^= 1, Stage::Event);
    check(&|proof| proof.place = None, Stage::Event);
    check(&|proof| proof.place = proofs[2].place.clone(), Stage::Event);
    check(&|proof| proof.evidence = proofs[5].evidence.clone(), Stage::Event);
    check(&|proof| proof.evidence.inclusion.index ^= 1, Stage::Log);
    check(&|proof| proof.evidence.extent.index ^= 1, Stage::Log);
    check(&|proof| proof.evidence.extent.size += 1, Stage::Log);
    check(&|proof| proof.evidence.header = proofs[5].evidence.header.clone(), Stage::Log);
    check(&|proof| proof.evidence.certificate = proofs[5].evidence.certificate.clone(), Stage::Finality);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is offered in whatever order: what was built is what everyone executes, each number counts once, and of
    /// one authority no event is on the ledger twice.
    #[test]
    fn each_event_of_an_authority_is_on_the_ledger_once(
        blocks in prop::collection::vec(
            prop::collection::vec((0..3usize, 0..8u64, 0..30u64, 1..5u64), 0..8),
            1..10,
        ),
    ) {
        let network = Network::with_epochs(4, 3);
        let mut state = State::new(network.genesis());
        let (mut numbers, mut events, mut acts) = (BTreeSet::new(), BTreeSet::new(), 0);
        for (offered, t) in blocks.iter().zip(1u64..) {
            let offered = offered.iter().map(|(by, sequence, first, count)| {
                list(&network, *by, *sequence, *first..first + count)
            });
            let built = state.build(offered, Timestamp::from_millis(1_000 * t));
            let (executed, entries) = state.execute(&built.block).expect("built");
            prop_assert!(entries.is_empty());
            prop_assert_eq!(format!("{executed:?}"), format!("{:?}", built.state));
            let placed = state.place_acts(built.block.acts());
            for (transaction, entry) in built.block.transactions().iter().zip(&placed) {
                let Transaction::Events(list) = transaction else { panic!("only events were offered") };
                prop_assert!(numbers.insert((list.authority.clone(), list.sequence)));
                for event in &list.events {
                    prop_assert!(events.insert((list.authority.clone(), *event)), "twice");
                }
                prop_assert_eq!(&entry.act, &Act::of_events(list));
                prop_assert_eq!(entry.inclusion.index, acts);
                acts += 1;
            }
            prop_assert_eq!(executed.acts_size(), acts);
            if let Some(last) = placed.last() {
                let extent = executed.prove_acts().expect("some");
                let root = last.inclusion.root(&last.act.leaf()).expect("fits");
                prop_assert_eq!(&extent.fact, &Fact::Acts { size: acts, root, leaves: 1 });
                prop_assert!(extent.verify(&executed.header().registry_root));
            }
            let again = executed.build(built.block.transactions().to_vec(), now());
            prop_assert!(again.block.transactions().is_empty());
            state = executed;
        }
    }
}
