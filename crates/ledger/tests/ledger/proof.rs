//! The proof file: what it says, and that any flipped bit is found.

use proptest::prelude::*;
use std::collections::BTreeMap;
use voltmesh_ledger::{
    Action, Proof, Stage, Trust,
    testing::{Chain, Network, Vehicle},
};
use voltmesh_telemetry::{
    CentiPercent, Place, Record, RecordNumber, Sample, Secret, Signer, Timestamp, seal,
};

fn sample() -> (Chain, Proof) {
    let (mut chain, ev) = (Chain::new(4), Vehicle::new("ev-1"));
    chain.enrol(&[ev.commitment(), Vehicle::new("ev-2").commitment(), Vehicle::new("ev-3").commitment()]);
    let first = ev.batch(3, 0, 6, None);
    let batch = ev.batch(3, 6, 5, Some(first.id()));
    chain.anchor(&[first.id(), batch.id(), ev.batch(4, 0, 2, None).id()]);
    let proof = chain.prove(2, &ev, &batch, 2);
    (chain, proof)
}

fn stage(bytes: &[u8], trust: &Trust) -> Result<(), Stage> {
    Proof::decode(bytes).and_then(|proof| proof.verify(trust)).map(drop).map_err(|e| e.stage)
}

#[test]
fn a_proof_says_what_since_when_and_under_whose_keys() {
    let (chain, proof) = sample();
    let proven = Proof::decode(&proof.encode()).expect("encoded").verify(&chain.trust()).expect("true");
    assert_eq!(proven.id.to_string(), "ev-1/3/8");
    assert_eq!(proven.record.number, RecordNumber::new(8));
    let summary = proven.summary();
    println!("{} bytes: {summary}", proof.encode().len());
    for part in
        ["Record ev-1/3/8 of 2023-11-14T22:13:28.000Z", "vehicle's key", "\"testing\"", "block 2", "4 of 4"]
    {
        assert!(summary.contains(part), "{summary}");
    }
    assert_eq!(summary.matches(". ").count(), 0, "one sentence: {summary}");
}

#[test]
fn any_flipped_bit_is_found() {
    let (chain, proof) = sample();
    let (trust, bytes) = (chain.trust(), proof.encode());
    assert_eq!(stage(&bytes, &trust), Ok(()));
    let bits = bytes.len() * 8;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let found: Vec<(usize, Result<(), Stage>)> = std::thread::scope(|scope| {
        let flip = |part: usize| {
            let (mut bytes, trust) = (bytes.clone(), &trust);
            move || {
                (part..bits)
                    .step_by(threads)
                    .map(|bit| {
                        bytes[bit / 8] ^= 1 << (bit % 8);
                        let found = stage(&bytes, trust);
                        bytes[bit / 8] ^= 1 << (bit % 8);
                        (bit, found)
                    })
                    .collect::<Vec<_>>()
            }
        };
        let parts: Vec<_> = (0..threads).map(|part| scope.spawn(flip(part))).collect();
        parts.into_iter().flat_map(|part| part.join().expect("no panic")).collect()
    });
    let missed: Vec<_> = found.iter().filter(|(_, stage)| stage.is_ok()).map(|(bit, _)| bit).collect();
    assert!(missed.is_empty(), "flipped bits that were not found: {missed:?}");
    let mut stages: BTreeMap<Stage, usize> = BTreeMap::new();
    found.iter().for_each(|(_, stage)| *stages.entry(stage.expect_err("found")).or_default() += 1);
    println!("{bits} bits: {stages:?}");
    assert_eq!(stages.len(), 6, "each stage finds its own: {stages:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_change_is_found(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in 0..3usize) {
        let (chain, proof) = sample();
        let original = proof.encode();
        let mut bytes = original.clone();
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        bytes.truncate(bytes.len() - cut);
        prop_assume!(bytes != original);
        prop_assert!(stage(&bytes, &chain.trust()).is_err());
    }
}

#[test]
fn wrong_trust_is_told() {
    let (_, proof) = sample();
    let other = Trust::from_genesis(Network::new(5).genesis().clone());
    assert!(stage(&proof.encode(), &other).is_err());
}

#[test]
fn a_revoked_key_proves_what_it_signed_before() {
    let (mut chain, ev) = (Chain::new(4), Vehicle::new("ev-1"));
    chain.enrol(&[ev.commitment()]);
    let before = ev.batch(1, 0, 2, None);
    chain.anchor(&[before.id()]);
    chain.act(vec![Action::RevokeVehicle { commitment: ev.commitment() }]);
    let after = ev.batch(1, 2, 2, Some(before.id()));
    chain.anchor(&[after.id()]);
    let trust = chain.trust();
    assert_eq!(stage(&chain.prove(2, &ev, &before, 1).encode(), &trust), Ok(()));
    assert_eq!(stage(&chain.prove(4, &ev, &after, 1).encode(), &trust), Err(Stage::Registry));
}

#[test]
fn another_vehicles_opening_does_not_fit() {
    let (mut chain, ev, other) = (Chain::new(4), Vehicle::new("ev-1"), Vehicle::new("ev-2"));
    chain.enrol(&[ev.commitment(), other.commitment()]);
    let batch = ev.batch(1, 0, 2, None);
    chain.anchor(&[batch.id()]);
    let mut mixed = ev.clone();
    mixed.opening = other.opening.clone();
    // The registry has ev-2 under ev-2's name only, so take its entry as if it were ev-1's.
    let block = &chain.blocks[1];
    let evidence = block.evidence(&batch.id(), &other.commitment()).expect("both are enrolled");
    let record = batch.prove(0).expect("opens").expect("exists");
    let build =
        |opening| Proof::build(&chain.state.chain(), record.clone(), &evidence, opening).expect("fits");
    assert_eq!(stage(&build(other.opening.clone()).encode(), &chain.trust()), Err(Stage::Batch));
    assert_eq!(stage(&build(ev.opening.clone()).encode(), &chain.trust()), Err(Stage::Registry));
    // ev-1's key under another salt is another commitment.
    let mut salted = ev.opening;
    salted.salt[0] ^= 1;
    assert_eq!(stage(&build(salted).encode(), &chain.trust()), Err(Stage::Registry));
}

#[test]
fn a_fog_node_attests_for_foreign_clients() {
    let (mut chain, fog) = (Chain::new(4), Vehicle::new("fog-1"));
    chain.enrol(&[fog.commitment()]);
    let sample = Sample {
        time: Timestamp::from_millis(1_700_000_000_000),
        soc: CentiPercent::new(5_000),
        ..Sample::default()
    };
    let place = Place {
        vehicle: "scooter-9".parse().expect("a name"),
        boot: voltmesh_telemetry::Boot::FOREIGN,
        previous: None,
        signer: Signer::Fog("fog-1".into()),
    };
    let batch = seal(&place, &[Record::foreign(sample)], &Secret::new([1; 32]), &fog.key).expect("sealed");
    chain.anchor(&[batch.id()]);
    let proven = chain.prove(2, &fog, &batch, 0).verify(&chain.trust()).expect("true");
    assert!(proven.summary().contains("attested by fog node fog-1"), "{}", proven.summary());
}
