//! Deliveries that fail a check: what the core does with them, by the check.

use super::*;
use crate::testing::*;
use voltmesh_control::Envelope;
use voltmesh_ledger::Action;
use voltmesh_telemetry::SealedBatch;

/// Delivers something wrong; says at which stage it went to quarantine, and that it is rejected only afterwards.
fn refused_at(fleet: &Fleet, earlier: &[Bytes], fog: u8, delivery: Bytes) -> String {
    let mut core = new_core(fleet);
    for (n, earlier) in earlier.iter().enumerate() {
        core.handle(at(0), envelope(fog, n as u64, earlier.clone()));
    }
    assert!(core.handle(at(0), envelope(fog, 77, delivery.clone())).is_empty());
    let out = core.handle(at(1000), Input::Tick);
    let commit = commits(&out)[0];
    assert_eq!((commit.entries.len(), commit.quarantine.len()), (earlier.len(), 1));
    assert_eq!(commit.quarantine[0].bytes, delivery);
    let out = core.handle(at(1001), Input::Committed { ticket: 0 });
    let rejected = out.iter().filter(|o| matches!(o, Output::Reject(Token(77), _))).count();
    assert_eq!(rejected, 1);
    commit.quarantine[0].rejection.stage.to_string()
}

fn altered(delivery: &Bytes, alter: impl FnOnce(&mut Envelope)) -> Bytes {
    let mut envelope = Envelope::decode(delivery).unwrap();
    alter(&mut envelope);
    envelope.encode().into()
}

fn flipped(bytes: &Bytes, at: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes.into()
}

#[test]
fn what_fails_a_check_is_kept_with_its_stage() {
    let mut fleet = Fleet::new(2);
    let batches = fleet.boot(0, 1, &[4, 4, 4]);
    let good: Vec<_> = batches.iter().map(|batch| fleet.envelope(0, batch)).collect();
    let check = |stage: &str, earlier: &[Bytes], delivery: Bytes| {
        assert_eq!(refused_at(&fleet, earlier, 0, delivery), stage);
    };
    check("envelope", &[], Bytes::from_static(b"no envelope"));
    check("envelope", &[], altered(&good[0], |e| e.fog = "fog-1".into()));
    check("batch", &[], altered(&good[0], |e| e.batch = Bytes::from_static(b"\x83")));
    check("evidence", &[], altered(&good[0], |e| e.evidence = Bytes::from_static(b"none")));
    let other = Envelope::decode(&good[1]).unwrap();
    check("log", &[], altered(&good[0], |e| e.evidence = other.evidence));
    check("registry", &[], altered(&good[0], |e| e.opening.salt[0] ^= 1));
    check("registry", &[], altered(&good[0], |e| e.opening = opening_of("ev-1")));
    // The end of the wire bytes is compressed content, which the statement binds.
    check("content", &[], altered(&good[0], |e| e.batch = flipped(&e.batch, e.batch.len() - 1)));

    // Evidence of a ledger that is not ours: what no trusted set has finalised is never archived.
    let mut stranger = Fleet::new(0);
    stranger.chain = voltmesh_ledger::testing::Chain::new(5);
    let commitment = voltmesh_ledger::commitment("ev-0", &[7; 32], &opening_of("ev-0").key);
    stranger.chain.enrol(&[commitment]);
    let forged = stranger.envelope(0, &batches[0]);
    assert!(["log", "finality"].contains(&refused_at(&fleet, &[], 0, forged).as_str()));

    // Same numbers, other content; and a history that does not continue.
    let fork = sealed_fork(&fleet, &batches);
    let delivery = fleet.envelope(0, &fork);
    assert_eq!(refused_at(&fleet, &good[..2], 0, delivery), "fork");
    let broken = fleet.batch(0, 1, 8, 4, Some(batches[0].id()));
    let delivery = fleet.envelope(0, &broken);
    assert_eq!(refused_at(&fleet, &good[..2], 0, delivery), "chain");
}

fn sealed_fork(fleet: &Fleet, batches: &[SealedBatch]) -> SealedBatch {
    fleet.batch(0, 1, 4, 3, Some(batches[0].id()))
}

#[test]
fn a_revoked_key_counts_only_below_its_revocation() {
    let mut fleet = Fleet::new(1);
    let batches = fleet.boot(0, 1, &[4, 4]);
    let before = fleet.envelope(0, &batches[0]);
    let commitment = voltmesh_ledger::commitment("ev-0", &[7; 32], &opening_of("ev-0").key);
    fleet.chain.act(vec![Action::RevokeVehicle { commitment }]);
    let after = fleet.envelope(0, &batches[1]);
    assert_eq!(refused_at(&fleet, &[before], 0, after), "registry");
}

#[test]
fn unknown_authorities_are_waited_for_a_while() {
    let mut fleet = Fleet::new(1);
    let batch = &fleet.boot(0, 1, &[4])[0];
    let stale = fleet.trust();
    let newcomer = voltmesh_ledger::testing::key(50);
    use commonware_cryptography::Signer as _;
    let key = newcomer.public_key();
    fleet.chain.network.add_key(newcomer);
    fleet.chain.act(vec![Action::AdmitAuthority { key }]);
    fleet.chain.advance_to(40);
    let delivery = fleet.envelope(0, batch);
    let mut core = Archivist::new(stale.clone(), cloud_key(), Grouping::default(), &Marks::default());
    let out = core.handle(at(0), envelope(0, 1, delivery.clone()));
    assert!(matches!(&out[..], [Output::Defer(Token(1), _)]));
    let items = fleet.chain.handovers().iter().map(|handover| handover.to_bytes()).collect();
    let handovers = voltmesh_control::Handovers { items }.encode();
    core.handle(at(1), Input::Handovers(handovers.into()));
    assert!(core.handle(at(2), envelope(0, 2, delivery.clone())).is_empty());
    assert_eq!(commits(&core.handle(at(2000), Input::Tick))[0].entries.len(), 1);
    // Without hand-overs it ends in quarantine, so that it does not block what is behind it.
    let mut core = Archivist::new(stale, cloud_key(), Grouping::default(), &Marks::default());
    let refused =
        (0..9).filter(|n| !core.handle(at(3), envelope(0, *n, delivery.clone())).is_empty()).count();
    assert_eq!((refused, core.counters().quarantined), (5, 4));
}
