//! Bytes that are pinned: changing one is a decision about the format, with an ADR.

use commonware_codec::Encode;
use voltmesh_ledger::{
    Action, Anchor, AnchorProof, Epoch, EventProof, PolicyAct, Proof, RoundTrips, Transaction, UNREACHABLE,
    salted_digest,
    testing::{Chain, FinalBlock, Network, Vehicle, controller, key},
};
use voltmesh_telemetry::{Digest, SealedBatch};

/// Compares with `tests/golden/<name>.hex`; `UPDATE_GOLDEN=1` writes it.
fn check(name: &str, bytes: &[u8]) {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    let path = format!("{folder}/tests/golden/{name}.hex");
    let found: String =
        hex::encode(bytes).as_bytes().chunks(120).map(|line| String::from_utf8_lossy(line) + "\n").collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).expect("golden file is written");
        return;
    }
    let expected = std::fs::read_to_string(&path).expect("golden file is there");
    assert_eq!(found, expected, "{name} has other bytes than {path}");
}

fn anchor(network: &Network, batch: &SealedBatch) -> Anchor {
    Anchor::sign(&network.genesis().digest(), network.authority(1), 17, 4, vec![batch.id()])
}

/// A chain of two blocks, the second one, and the vehicle whose batch it holds.
fn sample() -> (Chain, FinalBlock, Vehicle, SealedBatch) {
    let (mut chain, ev) = (Chain::new(4), Vehicle::new("ev-1"));
    let actions = vec![
        Action::EnrolVehicle { commitment: ev.commitment() },
        Action::EnrolVehicle { commitment: Vehicle::new("ev-2").commitment() },
        Action::RotateVehicle {
            old: Vehicle::new("ev-2").commitment(),
            new: Vehicle::new("ev-3").commitment(),
        },
        Action::RevokeVehicle { commitment: Vehicle::new("ev-3").commitment() },
    ];
    chain.act(actions);
    let batch = ev.batch(1, 0, 4, None);
    let anchor = anchor(&chain.network, &batch);
    let block = chain.push(vec![Transaction::Anchor(anchor)]).clone();
    (chain, block, ev, batch)
}

#[test]
fn bytes_are_pinned() {
    let (mut chain, block, ev, batch) = sample();
    let network = chain.network.clone();
    let anchor = anchor(&network, &batch);

    check("genesis_digest", network.genesis().digest().as_ref());
    check("registry_transaction", &chain.blocks[0].block.transactions()[0].encode());
    check("anchor_transaction", &Transaction::Anchor(anchor).encode());
    check("block", &block.block.encode());
    check("block_digest", block.state.block().as_ref());
    check("certificate", &block.certificate.encode());
    let evidence = block.evidence(&batch.id(), &ev.commitment()).expect("anchored");
    check("evidence", &evidence.to_bytes());
    check("proof", &chain.prove(2, &ev, &batch, 2).encode());
    let set = network.genesis().authorities.clone();
    let report = RoundTrips::sign(
        &chain.state.chain(),
        network.authority(2),
        Epoch::zero(),
        vec![9_000, 8_000, 0, UNREACHABLE],
    );
    check("round_trips_transaction", &Transaction::RoundTrips(report.clone()).encode());
    let accusation = network.equivocation(block.block.header(), &set, 3);
    check("evidence_transaction", &Transaction::Evidence(accusation.clone()).encode());
    let votes = network.notarize_by(block.block.header(), &set, &[0, 1, 3]);
    let transactions = [Transaction::Evidence(accusation), Transaction::RoundTrips(report)];
    let now = chain.state.time().plus_millis(100);
    let built = chain.state.build_in(chain.state.header().view + 1, Some(votes), transactions, now);
    assert!(built.rejected.is_empty() && built.block.justification().is_some());
    check("block_with_votes", &built.block.encode());
    chain.network.add_key(key(50));
    chain.act(vec![Action::AdmitAuthority { key: commonware_cryptography::Signer::public_key(&key(50)) }]);
    chain.advance_to(9);
    check("handover", &chain.handovers()[0].to_bytes());
}

fn golden(name: &str) -> Vec<u8> {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    let text = std::fs::read_to_string(format!("{folder}/tests/golden/{name}.hex")).expect("it is there");
    hex::decode(text.replace('\n', "")).expect("hex")
}

/// Evidence and proofs of before the registry proof left out the size of its tree.
#[test]
fn older_forms_are_read_and_say_so() {
    let (chain, block, ev, batch) = sample();
    let trust = chain.trust();
    let older = AnchorProof::from_bytes(&golden("evidence_1")).expect("of before");
    assert_eq!(older.to_bytes(), golden("evidence_1"));
    let anchored = older.verify(&trust, &batch.id(), &ev.commitment()).expect("it holds");
    assert!(anchored.older_form);
    let today = block.evidence(&batch.id(), &ev.commitment()).expect("anchored");
    assert_eq!(AnchorProof { signer: older.signer.renewed(), ..older.clone() }, today);
    let proof = Proof::decode(&golden("proof_1")).expect("of before");
    assert_eq!(proof.encode(), golden("proof_1"));
    let proven = proof.verify(&trust).expect("it holds");
    assert!(proven.summary().ends_with("is not checked."), "{}", proven.summary());
    // A proof that is made today from evidence of before has the form of today.
    let record = batch.prove(2).expect("opens").expect("exists");
    let made = Proof::build(&chain.state.chain(), record, &older, ev.opening.clone()).expect("fits");
    assert_eq!(made, chain.prove(2, &ev, &batch, 2));
    assert!(made.verify(&trust).expect("it holds").summary().ends_with(")."));
}

#[test]
fn bytes_of_controllers_functions_and_events_are_pinned() {
    let mut chain = Chain::new(4);
    let component = Digest::of(b"component");
    let publisher = commonware_cryptography::Signer::public_key(&key(60));
    let key_of = |n| commonware_cryptography::Signer::public_key(&controller(n));
    chain.act(vec![
        Action::AdmitController { key: key_of(0) },
        Action::AdmitController { key: key_of(1) },
        Action::RemoveController { key: key_of(1) },
        Action::PublishFunction { component, publisher },
        Action::WithdrawFunction { component },
    ]);
    check("controllers_transaction", &chain.blocks[0].block.transactions()[0].encode());
    let (salt, event) = ([3; 16], b"{\"kind\":\"balancing-started\"}".as_slice());
    let digests = vec![salted_digest(&salt, b"another"), salted_digest(&salt, event)];
    let events = chain.events(1, digests.clone());
    check("events_transaction", &events.encode());
    let take = chain.policy(0, 1, 0, PolicyAct::TakeTerm);
    check("take_term_transaction", &take.encode());
    chain.push(vec![events, take]);
    let decide = chain.policy(0, 1, 4, PolicyAct::Decide { decision: salted_digest(&salt, b"decision") });
    check("policy_transaction", &decide.encode());
    chain.push(vec![decide]);
    check("block_with_acts_digest", chain.state.block().as_ref());
    let evidence = chain.act_evidence(2, 1).expect("two acts");
    let proof = EventProof::of_event(salt, event.into(), &digests, 1, evidence).expect("two events");
    check("event_proof", &proof.to_bytes());
}
