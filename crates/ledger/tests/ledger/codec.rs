//! Encodings: one per value, and nothing but it is read.

use commonware_codec::{Copying, DecodeExt, Encode};
use proptest::prelude::*;
use voltmesh_ledger::{
    Action, Anchor, AnchorProof, Block, Certificate, EventList, EvidenceParts, Genesis, Handover, Lane,
    LogProof, Policy, PolicyAct, RegistryTx, RootReceipt, Timestamp, Transaction, Trust,
    testing::{Chain, Network, Vehicle, key},
};
use voltmesh_telemetry::{BatchId, Digest};

fn arbitrary_digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::new)
}

fn public_key() -> impl Strategy<Value = voltmesh_ledger::PublicKey> {
    (0..50u64).prop_map(|n| commonware_cryptography::Signer::public_key(&key(n)))
}

fn arbitrary_policy() -> impl Strategy<Value = Transaction> {
    let act = prop_oneof![
        Just(PolicyAct::TakeTerm),
        Just(PolicyAct::Renew),
        arbitrary_digest().prop_map(|decision| PolicyAct::Decide { decision }),
        public_key().prop_map(|to| PolicyAct::HandOver { to }),
    ];
    (any::<(u32, u64)>(), any::<u64>(), any::<u64>(), act).prop_map(|(place, expires, until, act)| {
        let chain = Network::new(4).genesis().digest();
        let [expires, until] = [expires, until].map(Timestamp::from_millis);
        Transaction::Policy(Policy::sign(&chain, &key(place.1 % 50), place, expires, until, act))
    })
}

fn arbitrary_action() -> impl Strategy<Value = Action> {
    let public = (0..50u64).prop_map(|n| commonware_cryptography::Signer::public_key(&key(n)));
    prop_oneof![
        arbitrary_digest().prop_map(|commitment| Action::EnrolVehicle { commitment }),
        arbitrary_digest().prop_map(|commitment| Action::RevokeVehicle { commitment }),
        (arbitrary_digest(), arbitrary_digest()).prop_map(|(old, new)| Action::RotateVehicle { old, new }),
        public.clone().prop_map(|key| Action::AdmitAuthority { key }),
        public.clone().prop_map(|key| Action::RemoveAuthority { key }),
        (public.clone(), public.clone()).prop_map(|(old, new)| Action::RotateAuthority { old, new }),
        (prop::collection::vec(public.clone(), 1..5), any::<u8>())
            .prop_map(|(keys, threshold)| Action::SetOperators { keys, threshold }),
        public_key().prop_map(|key| Action::AdmitController { key }),
        public_key().prop_map(|key| Action::RemoveController { key }),
        (arbitrary_digest(), public_key())
            .prop_map(|(component, publisher)| Action::PublishFunction { component, publisher }),
        arbitrary_digest().prop_map(|component| Action::WithdrawFunction { component }),
    ]
}

fn arbitrary_transaction() -> impl Strategy<Value = Transaction> {
    let anchor = (any::<u64>(), any::<u64>(), prop::collection::vec(arbitrary_digest(), 1..20)).prop_map(
        |(sequence, records, batches)| {
            let chain = Network::new(4).genesis().digest();
            let batches = batches.into_iter().map(BatchId::new).collect();
            Transaction::Anchor(Anchor::sign(&chain, &key(sequence % 50), sequence, records, batches))
        },
    );
    let registry = (any::<u64>(), prop::collection::vec(arbitrary_action(), 1..5), 0..4u64).prop_map(
        |(nonce, actions, signers)| {
            let tx = RegistryTx::new(Network::new(4).genesis().digest(), nonce, actions);
            Transaction::Registry((0..signers).fold(tx, |tx, n| tx.sign(&key(n))))
        },
    );
    let events =
        (any::<u64>(), prop::collection::vec(arbitrary_digest(), 1..20)).prop_map(|(sequence, events)| {
            let chain = Network::new(4).genesis().digest();
            Transaction::Events(EventList::sign(
                &chain,
                &key(sequence % 50),
                Lane::Functions,
                sequence,
                events,
            ))
        });
    prop_oneof![anchor, registry, events, arbitrary_policy()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn transactions_round_trip(transaction in arbitrary_transaction(), extra in any::<u8>()) {
        let bytes = transaction.encode();
        prop_assert_eq!(Transaction::decode(bytes.clone()).expect("it was encoded"), transaction);
        let mut longer = bytes.to_vec();
        longer.push(extra);
        prop_assert!(Transaction::decode(Copying(&longer)).is_err());
        prop_assert!(Transaction::decode(Copying(&bytes[..bytes.len() - 1])).is_err());
    }

    #[test]
    fn what_decodes_has_one_encoding(transaction in arbitrary_transaction(), at in any::<prop::sample::Index>(), to: u8) {
        let mut bytes = transaction.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(other) = Transaction::decode(Copying(&bytes)) {
            prop_assert_eq!(other.encode().to_vec(), bytes);
        }
    }
}

fn sample_chain() -> (Chain, AnchorProof) {
    let (mut chain, ev) = (Chain::new(4), Vehicle::new("ev-1"));
    chain.enrol(&[ev.commitment()]);
    let batch = ev.batch(1, 0, 4, None).id();
    let evidence = chain.anchor(&[batch]).evidence(&batch, &ev.commitment()).expect("anchored");
    chain.advance_to(9);
    (chain, evidence)
}

#[test]
fn blocks_certificates_evidence_and_hand_overs_round_trip() {
    let (chain, evidence) = sample_chain();
    for block in &chain.blocks {
        let bytes = block.block.encode();
        assert_eq!(Block::decode_bounded(&bytes).expect("encoded"), block.block);
        let bytes = block.certificate.encode();
        assert_eq!(Certificate::decode_bounded(&bytes).expect("encoded"), block.certificate);
        let receipt = &block.root_receipts[0];
        assert_eq!(RootReceipt::decode(receipt.encode()).expect("encoded"), *receipt);
    }
    assert_eq!(AnchorProof::from_bytes(&evidence.to_bytes()).expect("encoded"), evidence);
    let handover = &chain.handovers()[0];
    assert_eq!(Handover::from_bytes(&handover.to_bytes()).expect("encoded"), *handover);
}

#[test]
fn evidence_is_its_parts_in_a_row() {
    let (chain, evidence) = sample_chain();
    let bytes = evidence.to_bytes();
    let parts = EvidenceParts::of(&bytes).expect("encoded");
    assert_eq!(EvidenceParts::join(&parts.block, &parts.place, &parts.signer), bytes);
    let head = LogProof::from_bytes(&parts.block).expect("a part").verify(&chain.trust()).expect("final");
    assert_eq!((head.height, head.size), (evidence.header.height, 1));
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert!(EvidenceParts::of(&bytes[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn a_block_names_its_transactions() {
    let (chain, _) = sample_chain();
    let with = &chain.blocks[0].block;
    let mut bytes = with.encode().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1; // in an operator's signature
    assert!(Block::decode_bounded(&bytes).is_err());
}

#[test]
fn genesis_and_trust_round_trip_as_text() {
    let (chain, _) = sample_chain();
    let genesis = chain.network.genesis();
    assert_eq!(Genesis::from_toml(&genesis.to_toml()).expect("written"), *genesis);
    let mut trust = chain.trust();
    trust.add_cloud(commonware_cryptography::Signer::public_key(&key(9)));
    let read = Trust::from_toml(&trust.to_toml()).expect("written");
    assert_eq!(format!("{read:?}"), format!("{trust:?}"));
}

#[test]
fn wrong_genesis_texts_say_what_is_wrong() {
    let good = Network::new(4).genesis().to_toml();
    let check = |text: String, expected: &str| {
        let why = Genesis::from_toml(&text).expect_err("wrong").to_string();
        assert!(why.contains(expected), "{why}");
    };
    check(good.replace("threshold = 2", "threshold = 4"), "4 signatures of operators, want 1 to 3");
    check(good.replace("epoch_length = 10", "epoch_length = 0"), "epoch_length is 0");
    check(good.replace("chain = \"testing\"", "chain = \"\""), "0 bytes in the chain's name");
    check(good.replace("time_ms", "time"), "unknown field");
    check(good.replacen("[\"", "[\"zz", 1), "not an Ed25519 public key");
    check("x".repeat(100_000), "more than 65536");
}

#[test]
fn every_field_of_genesis_is_in_its_digest() {
    let good = Network::new(4).genesis().to_toml();
    let digest = |text: &str| Genesis::from_toml(text).expect("valid").digest();
    let mut seen = vec![digest(&good)];
    for (from, to) in [
        ("testing", "another"),
        ("time_ms = 1000", "time_ms = 1001"),
        ("threshold = 2", "threshold = 3"),
        ("epoch_length = 10", "epoch_length = 11"),
    ] {
        seen.push(digest(&good.replace(from, to)));
    }
    seen.push(Network::new(5).genesis().digest());
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len());
}
