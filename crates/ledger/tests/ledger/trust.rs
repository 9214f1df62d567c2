//! Hand-overs: from genesis to any later set of authorities, and no other way.

use commonware_cryptography::Signer as _;
use voltmesh_ledger::{
    Action, AnchoredStatement, BatchId, Epoch, EpochEnd, Error, Handover, LogProof, Stage, Trust,
    testing::{Chain, Network, Vehicle, key},
};

/// Two authorities change their keys in epoch 0, a third in epoch 2; the chain is in epoch 5 at its end.
fn rotated() -> Chain {
    let mut chain = Chain::new(4);
    let old: Vec<_> = (0..4).map(|n| chain.network.authority(n).public_key()).collect();
    (50..53).for_each(|n| chain.network.add_key(key(n)));
    let rotate =
        |n: usize| Action::RotateAuthority { old: old[n].clone(), new: key(50 + n as u64).public_key() };
    chain.act(vec![rotate(0), rotate(1)]);
    chain.advance_to(20);
    chain.act(vec![rotate(2)]);
    chain.enrol(&[Vehicle::new("ev-1").commitment()]);
    chain.advance_to(50);
    chain
}

#[test]
fn trust_follows_changes_and_skips_epochs_without() {
    let chain = rotated();
    let handovers = chain.handovers();
    assert_eq!(handovers.len(), 5);
    let mut trust = Trust::from_genesis(chain.network.genesis().clone());
    let new: Vec<bool> = handovers.iter().map(|handover| trust.extend(handover).expect("valid")).collect();
    assert_eq!(new, [true, false, true, false, false]);
    assert_eq!(trust.handovers().len(), 2);
    for epoch in 0..6 {
        if let Some(set) = chain.state.authorities_for(Epoch::new(epoch)) {
            assert_eq!(trust.authorities_for(Epoch::new(epoch)), Some(set));
        }
    }
    let has = |epoch, n| {
        trust.authorities_for(Epoch::new(epoch)).is_some_and(|set| set.contains(&key(n).public_key()))
    };
    assert_eq!([1, 2, 3, 4].map(|epoch| has(epoch, 50)), [false, true, true, true]);
    assert_eq!([1, 2, 3, 4].map(|epoch| has(epoch, 52)), [false, false, false, true]);
    // Once more changes nothing, and the text form leads to the same.
    assert!(handovers.iter().all(|handover| !trust.extend(handover).expect("valid")));
    let read = Trust::from_toml(&trust.to_toml()).expect("written");
    assert_eq!(format!("{read:?}"), format!("{trust:?}"));
}

#[test]
fn evidence_of_each_epoch_needs_that_epochs_authorities() {
    let mut chain = rotated();
    let ev = Vehicle::new("ev-1");
    let batch = ev.batch(1, 0, 3, None);
    // In epoch 5, by three new keys and one old.
    let set = chain.state.authorities_for(Epoch::new(5)).expect("known").clone();
    let author = (50..53).map(key).find(|key| set.contains(&key.public_key())).expect("rotated");
    let anchor = voltmesh_ledger::Anchor::sign(&chain.state.chain(), &author, 0, 1, vec![batch.id()]);
    let evidence = chain
        .push(vec![voltmesh_ledger::Transaction::Anchor(anchor)])
        .evidence(&batch.id(), &ev.commitment())
        .expect("anchored");
    let check = |trust: &Trust, expected: Result<(), Stage>| {
        let found = evidence.verify(trust, &batch.id(), &ev.commitment()).map(drop).map_err(|e| e.stage);
        assert_eq!(found, expected);
    };
    check(&chain.trust(), Ok(()));
    // A hand-over is missing, which is no fault of the evidence.
    let genesis = Trust::from_genesis(chain.network.genesis().clone());
    check(&genesis, Err(Stage::Authorities));
    let mut halfway = genesis;
    halfway.extend(&chain.handovers()[0]).expect("valid");
    check(&halfway, Err(Stage::Authorities));
    halfway.extend(&chain.handovers()[2]).expect("valid");
    check(&halfway, Ok(()));
    assert_eq!([&halfway, &chain.trust()].map(|trust| trust.known_until().get()), [4, 4]);
}

#[test]
fn a_trust_file_says_how_far_it_knows_the_authorities() {
    let until = |trust: &Trust| trust.known_until().get();
    let mut trust = anchored().trust();
    assert_eq!(until(&trust), 1, "genesis names those of epochs 0 and 1");
    let mut chain = Chain::new(4);
    chain.advance_to(35);
    trust.set_log(log_proof(&chain, 34)).expect("the same authorities as ever");
    assert_eq!(until(&trust), 3, "those who signed the log in epoch 3");
    let text = trust.to_toml();
    assert_eq!(until(&Trust::from_toml(&text).expect("written")), 3);
}

/// Proof of one record from epoch 5, whose authorities are others than those of genesis.
fn late_proof() -> (Chain, voltmesh_ledger::Proof) {
    let mut chain = rotated();
    let ev = Vehicle::new("ev-1");
    let batch = ev.batch(1, 0, 3, None);
    let set = chain.state.authorities_for(Epoch::new(5)).expect("known").clone();
    let author = (50..53).map(key).find(|key| set.contains(&key.public_key())).expect("rotated");
    let anchor = voltmesh_ledger::Anchor::sign(&chain.state.chain(), &author, 0, 1, vec![batch.id()]);
    chain.push(vec![voltmesh_ledger::Transaction::Anchor(anchor)]);
    let height = chain.state.height().get();
    let proof = chain.prove(height, &ev, &batch, 1);
    (chain, proof)
}

#[test]
fn an_old_trust_file_is_told_from_tampering_by_its_cause() {
    let (chain, proof) = late_proof();
    let old = Trust::from_genesis(chain.network.genesis().clone());
    // As `voltmesh chain trust` refreshes it: with the log's size at a block of that epoch.
    let mut new = chain.trust();
    new.set_log(log_proof(&chain, chain.blocks.len())).expect("it holds");
    let check = |bytes: &[u8], trust: &Trust| {
        let proof = voltmesh_ledger::Proof::decode(bytes);
        proof.and_then(|proof| proof.verify(trust)).map(drop).map_err(|error| error.stage)
    };
    let bytes = proof.encode();
    let why = proof.verify(&old).expect_err("too old").to_string();
    assert!(why.contains("epoch 5") && why.contains("until epoch 1"), "{why}");
    assert!(why.contains("refresh it with `voltmesh chain trust`"), "{why}");
    assert_eq!(check(&bytes, &old), Err(Stage::Authorities));
    assert_eq!(check(&bytes, &new), Ok(()));
    // Whatever bit is flipped, neither takes it. The old file finds whatever does not ask for the authorities; only votes and
    // their signatures, which fail for want of a hand-over as well, are left to the newer one.
    let mut left = 0;
    for bit in (0..8 * bytes.len()).step_by(5) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (by_old, by_new) = (check(&flipped, &old), check(&flipped, &new));
        assert!(by_old.is_err() && !matches!(by_new, Ok(()) | Err(Stage::Authorities)), "bit {bit}");
        if by_old == Err(Stage::Authorities) {
            left += 1;
            assert!(matches!(by_new, Err(Stage::Finality | Stage::Log)), "bit {bit}: {by_new:?}");
        }
    }
    // Four votes and four receipts, 64 bytes and a key id of 32 each, one bit in five.
    assert!(left <= 8 * (8 * 64 + 4 * 32 + 64) / 5, "{left} bits");
}

fn end(handover: &Handover) -> EpochEnd {
    match handover {
        Handover::Epoch(end) => EpochEnd::clone(end),
        Handover::Decree(_) => panic!("a decree where all vote"),
    }
}

#[test]
fn hand_overs_that_do_not_fit_are_refused() {
    let chain = rotated();
    let handovers = chain.handovers();
    let genesis = Trust::from_genesis(chain.network.genesis().clone());
    let check = |trust: &Trust, handover: &Handover, expected: &str| {
        let why = trust.clone().extend(handover).expect_err("does not fit").to_string();
        assert!(why.contains(expected), "{why}");
    };
    // The second change without the first: its certificate is not by a quorum that genesis knows.
    check(&genesis, &handovers[2], "is not final");
    // Another set than the header's.
    let mut other = end(&handovers[0]);
    other.authorities = chain.network.genesis().authorities.clone();
    check(&genesis, &other.into(), "names other authorities");
    // A header in the middle of an epoch.
    let block = &chain.blocks[4];
    let middle = EpochEnd {
        header: block.block.header().clone(),
        certificate: block.certificate.clone(),
        authorities: (**block.state.planned_authorities()).clone(),
        committee: None,
        seal: None,
    };
    check(&genesis, &middle.into(), "not the last block");
    // The certificate of another block.
    let mut forged = end(&handovers[0]);
    forged.certificate = chain.blocks[7].certificate.clone();
    check(&genesis, &forged.into(), "is not final");
}

#[test]
fn a_certificate_from_another_epochs_set_does_not_count() {
    let chain = rotated();
    let (genesis, trust) = (chain.network.genesis(), chain.trust());
    let block = chain.blocks.last().expect("blocks").block.header();
    // The authorities of genesis, who have left, sign a block of epoch 5 together.
    let certificate = chain.network.finalize(block, &genesis.authorities);
    assert!(certificate.verify(&trust.chain(), &genesis.authorities, block).is_ok());
    let now = trust.authorities_for(block.epoch).expect("known");
    assert!(matches!(certificate.verify(&trust.chain(), now, block), Err(Error::NotFinal { .. })));
    // A vote of the right set in another epoch.
    let mut moved = block.clone();
    moved.epoch = Epoch::new(4);
    let other = chain.network.finalize(&moved, now);
    assert!(other.verify(&trust.chain(), now, block).is_err());
}

#[test]
fn wrong_trust_texts_say_what_is_wrong() {
    let chain = rotated();
    let good = chain.trust().to_toml();
    let check = |text: String, expected: &str| {
        let why = Trust::from_toml(&text).expect_err("wrong").to_string();
        assert!(why.contains(expected), "{why}");
    };
    check(good.replace("testing", "another"), "but the genesis below");
    check(good.replace("handovers = [\"", "handovers = [\"x"), "not hex");
    check(good.replace("handovers = [\"02", "handovers = [\"03"), "malformed hand-over");
    check("a = ".into(), "trust file");
}

/// Proof of the log's extent at a block.
fn log_proof(chain: &Chain, height: usize) -> LogProof {
    let block = &chain.blocks[height - 1];
    LogProof::new(block.block.header().clone(), block.certificate.clone(), block.root_receipts.clone())
}

/// A chain of nine batches, one a block, from height 2 on.
fn anchored() -> Chain {
    let mut chain = Chain::new(4);
    chain.enrol(&[Vehicle::new("fog-1").commitment()]);
    (0..9u8).for_each(|n| drop(chain.anchor(&[BatchId::from([n; 32])]).clone()));
    chain
}

#[test]
fn the_logs_extent_is_proven_and_only_grows() {
    let chain = anchored();
    let mut trust = chain.trust();
    assert_eq!(trust.log(), None);
    assert!(trust.set_log(log_proof(&chain, 5)).expect("it holds"));
    assert!(trust.set_log(log_proof(&chain, 9)).expect("it holds"));
    assert!(!trust.set_log(log_proof(&chain, 9)).expect("known"));
    assert!(!trust.set_log(log_proof(&chain, 4)).expect("older"));
    let head = trust.log().expect("set");
    assert_eq!((head.size, head.height.get()), (8, 9));
    assert_eq!(head.root, chain.blocks[8].state.header().log_root);
    // The text form keeps it, and the proof is checked again when it is read.
    let text = trust.to_toml();
    let read = Trust::from_toml(&text).expect("written");
    assert_eq!(format!("{read:?}"), format!("{trust:?}"));
    // One that was written before there was such a thing still reads.
    let old = chain.trust().to_toml();
    assert!(!old.contains("[log]") && Trust::from_toml(&old).expect("old").log().is_none());
    let refused = |text: &str, why: &str| {
        let error = Trust::from_toml(text).expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(&text.replace("\nsize = 8\n", "\nsize = 7\n"), "something else than its proof");
    let proof = hex::encode(log_proof(&chain, 9).to_bytes());
    let other = hex::encode(log_proof(&chain, 8).to_bytes());
    refused(&text.replace(&proof, &other), "something else than its proof");
    refused(&text.replace(&proof, &proof[2..]), "malformed");
}

#[test]
fn proofs_of_the_logs_extent_that_do_not_hold_are_refused() {
    let chain = anchored();
    let check = |change: &dyn Fn(&mut LogProof), why: &str| {
        let mut proof = log_proof(&chain, 5);
        change(&mut proof);
        let error = chain.trust().set_log(proof).expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    };
    check(&|proof| proof.header.log_size += 1, "does not hold");
    check(
        &|proof| proof.receipts.truncate(proof.receipts.len() - 1),
        "1 authorities signed the root, 2 must",
    );
    check(&|proof| proof.receipts.push(proof.receipts[0].clone()), "twice or out of order");
    check(&|proof| proof.certificate = log_proof(&chain, 6).certificate, "is not final");
    let other = Chain::of(Network::new(5)).trust();
    assert!(other.clone().set_log(log_proof(&chain, 5)).is_err(), "another chain");
    // Every flipped bit is found, in the bytes or by the checks.
    let bytes = log_proof(&chain, 5).to_bytes();
    assert!(bytes.len() <= voltmesh_ledger::MAX_LOG_PROOF_BYTES);
    for bit in (0..8 * bytes.len()).step_by(7) {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let taken = LogProof::from_bytes(&flipped).is_ok_and(|proof| chain.trust().set_log(proof).is_ok());
        assert!(!taken, "bit {bit}");
    }
}

#[test]
fn statements_of_archives_are_kept_with_their_evidence() {
    let mut chain = anchored();
    let (fog, statement) = (Vehicle::new("fog-1"), b"what an archive holds".as_slice());
    let leaf = AnchoredStatement::leaf(statement);
    let evidence = chain.anchor(&[leaf]).evidence(&leaf, &fog.commitment()).expect("anchored");
    let anchored = AnchoredStatement { statement: statement.into(), evidence };
    let bytes = anchored.to_bytes();
    assert!(bytes.len() <= voltmesh_ledger::MAX_ANCHORED_STATEMENT_BYTES);
    assert_eq!(AnchoredStatement::from_bytes(&bytes).expect("own bytes"), anchored);
    let mut trust = chain.trust();
    trust.set_archives(vec![anchored.clone()]).expect("it holds");
    let read = Trust::from_toml(&trust.to_toml()).expect("written");
    assert_eq!(read.archives(), std::slice::from_ref(&anchored));
    let mut other = anchored.clone();
    other.statement = b"what an archive helds".as_slice().into();
    assert!(trust.set_archives(vec![other]).is_err(), "another statement");
    assert_eq!(trust.archives(), std::slice::from_ref(&anchored), "nothing was replaced");
    assert!(trust.set_archives(vec![anchored; voltmesh_ledger::MAX_ARCHIVES + 1]).is_err());
}
