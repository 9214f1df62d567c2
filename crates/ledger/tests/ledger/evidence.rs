//! Certificates and evidence: who must have signed, and when the signer must have counted.

use commonware_codec::{Copying, DecodeExt, Encode};
use voltmesh_ledger::{
    Action, AnchorProof, Certificate, RootReceipt, Stage, Trust,
    testing::{Chain, Network, Vehicle, key},
};
use voltmesh_telemetry::SealedBatch;

struct Case {
    chain: Chain,
    ev: Vehicle,
    batch: SealedBatch,
    evidence: AnchorProof,
}

fn case(authorities: u64) -> Case {
    let (mut chain, ev) = (Chain::new(authorities), Vehicle::new("ev-1"));
    chain.enrol(&[ev.commitment(), Vehicle::new("ev-2").commitment()]);
    let batch = ev.batch(1, 0, 4, None);
    let others = (2..5).map(|boot| ev.batch(boot, 0, 2, None).id());
    let ids: Vec<_> = [batch.id()].into_iter().chain(others).collect();
    let evidence = chain.anchor(&ids).evidence(&batch.id(), &ev.commitment()).expect("anchored");
    Case { chain, ev, batch, evidence }
}

impl Case {
    fn check(&self, evidence: &AnchorProof, trust: &Trust, expected: Result<u64, Stage>) {
        let found = evidence.verify(trust, &self.batch.id(), &self.ev.commitment());
        assert_eq!(found.map(|anchored| anchored.height.get()).map_err(|e| e.stage), expected);
    }
}

#[test]
fn evidence_holds_and_says_when_and_by_whom() {
    let case = case(7);
    let trust = case.chain.trust();
    let anchored = case.evidence.verify(&trust, &case.batch.id(), &case.ev.commitment()).expect("true");
    assert_eq!(
        (anchored.height.get(), anchored.authorities, anchored.signers.len(), anchored.index),
        (2, 7, 7, 0)
    );
    assert_eq!(anchored.time, case.evidence.header.time);
}

#[test]
fn wrong_parts_fail_at_their_stage() {
    let case = case(4);
    let trust = case.chain.trust();
    let change = |f: &dyn Fn(&mut AnchorProof)| {
        let mut changed = case.evidence.clone();
        f(&mut changed);
        changed
    };
    case.check(&case.evidence, &trust, Ok(2));
    case.check(&change(&|e| e.inclusion.index = 1), &trust, Err(Stage::Log));
    case.check(&change(&|e| e.inclusion.size += 1), &trust, Err(Stage::Log));
    case.check(&change(&|e| e.receipts.truncate(e.receipts.len() - 1)), &trust, Err(Stage::Log));
    case.check(&change(&|e| e.receipts[1] = e.receipts[0].clone()), &trust, Err(Stage::Log));
    case.check(&change(&|e| e.receipts.swap(0, 1)), &trust, Err(Stage::Log));
    case.check(&change(&|e| e.header.time = e.header.time.plus_millis(1)), &trust, Err(Stage::Finality));
    case.check(&change(&|e| e.header.log_root = e.header.registry_root), &trust, Err(Stage::Log));
    case.check(
        &change(&|e| e.certificate = case.chain.blocks[0].certificate.clone()),
        &trust,
        Err(Stage::Finality),
    );
    let other = case.chain.state.prove(&Vehicle::new("ev-2").commitment()).expect("enrolled");
    case.check(&change(&|e| e.signer = other.clone()), &trust, Err(Stage::Registry));
    case.check(
        &change(&|e| e.signer.entry.enrolled_at = voltmesh_ledger::Height::new(0)),
        &trust,
        Err(Stage::Registry),
    );

    // A stranger's signature over the right root.
    let chain = trust.chain();
    let stranger = RootReceipt::sign(&chain, &key(77), &case.evidence.header);
    let receipts = vec![case.evidence.receipts[0].clone(), stranger];
    let AnchorProof { header, certificate, inclusion, signer, .. } = case.evidence.clone();
    let evidence = AnchorProof::new(header, certificate, receipts, inclusion, signer);
    case.check(&evidence, &trust, Err(Stage::Log));
}

#[test]
fn another_chain_does_not_believe_it() {
    let case = case(4);
    let other = Trust::from_genesis(Network::new(5).genesis().clone());
    assert!(case.evidence.verify(&other, &case.batch.id(), &case.ev.commitment()).is_err());
    // The same keys on a chain of another name.
    let same_keys = Network::new(4).genesis().to_toml().replace("testing", "another");
    let other = Trust::from_genesis(voltmesh_ledger::Genesis::from_toml(&same_keys).expect("valid"));
    case.check(&case.evidence, &other, Err(Stage::Log));
}

#[test]
fn a_revoked_key_counts_below_its_revocation_only() {
    let mut case = case(4);
    let trust = case.chain.trust();
    case.chain.act(vec![Action::RevokeVehicle { commitment: case.ev.commitment() }]);
    // Anchored before: still holds, and forever.
    case.check(&case.evidence, &trust, Ok(2));
    // Anchored after, with the stolen key.
    let late = case.ev.batch(1, 4, 4, Some(case.batch.id()));
    let block = case.chain.anchor(&[late.id()]);
    let evidence = block.evidence(&late.id(), &case.ev.commitment()).expect("anchored");
    let why = evidence.verify(&trust, &late.id(), &case.ev.commitment()).expect_err("revoked");
    assert_eq!(why.stage, Stage::Registry);
    assert!(why.to_string().contains("revoked at height 3"), "{why}");
}

#[test]
fn a_key_revoked_in_the_same_block_does_not_count() {
    let (mut chain, ev) = (Chain::new(4), Vehicle::new("ev-1"));
    chain.enrol(&[ev.commitment()]);
    let batch = ev.batch(1, 0, 1, None).id();
    let revoke = chain.network.registry(1, vec![Action::RevokeVehicle { commitment: ev.commitment() }]);
    let network = chain.network.clone();
    let anchor = voltmesh_ledger::Anchor::sign(&chain.state.chain(), network.authority(0), 0, 1, vec![batch]);
    let block = chain.push(vec![voltmesh_ledger::Transaction::Anchor(anchor), revoke]);
    let evidence = block.evidence(&batch, &ev.commitment()).expect("anchored");
    let found = evidence.verify(&chain.trust(), &batch, &ev.commitment());
    assert_eq!(found.expect_err("revoked").stage, Stage::Registry);
}

#[test]
fn a_certificate_needs_a_quorum_of_different_authorities() {
    let network = Network::new(7);
    let mut chain = Chain::of(network.clone());
    let header = chain.push(Vec::new()).block.header().clone();
    let (id, set) = (network.genesis().digest(), &network.genesis().authorities);
    let verify = |certificate: &Certificate| certificate.verify(&id, set, &header);
    let five = network.finalize_by(&header, set, &[0, 2, 3, 5, 6]);
    assert_eq!(verify(&five).expect("a quorum").len(), 5);

    // Four votes of seven: assembled by a set that asks for fewer, its bitmap moved to the large set's size.
    let bytes = five.encode().to_vec();
    let signatures = 5 * 64;
    let (head, tail) = bytes.split_at(bytes.len() - signatures);
    let bitmap = head.len() - 2; // the bitmap's byte, then the number of signatures
    assert_eq!((head[bitmap], head[bitmap + 1]), (0b110_1101, 5));
    let forge = |bits: u8, votes: &[&[u8]]| {
        let mut forged = head.to_vec();
        (forged[bitmap], forged[bitmap + 1]) = (bits, votes.len() as u8);
        votes.iter().for_each(|vote| forged.extend_from_slice(vote));
        Certificate::decode(Copying(&forged))
    };
    let votes: Vec<&[u8]> = tail.chunks(64).collect();
    assert_eq!(forge(0b110_1101, &votes).expect("the same"), five);
    let few = forge(0b010_1101, &votes[..4]).expect("well-formed");
    assert!(verify(&few).is_err());
    // A signer twice: once under its own bit, once under a neighbour's.
    let twice = [votes[0], votes[0], votes[1], votes[2], votes[3]];
    assert!(verify(&forge(0b010_1111, &twice).expect("well-formed")).is_err());
    // More votes than bits, fewer votes than bits, bits beyond the set.
    assert!(forge(0b110_1101, &[votes[0]; 6]).is_err());
    assert!(forge(0b110_1101, &votes[..4]).is_err());
    assert!(forge(0b1110_1101, &votes).is_err());
    // Another set, another block.
    assert!(five.verify(&id, &Network::new(8).genesis().authorities, &header).is_err());
    let next = chain.push(Vec::new()).block.header().clone();
    assert!(five.verify(&id, set, &next).is_err());
}
