//! Chains whose committee votes for the others: seals, and what they are needed for.

use commonware_codec::Encode as _;
use voltmesh_ledger::{
    Block, Epoch, Error, Handover, Header, Mandate, Seal, SealSignature, Stage, State, Transaction, Trust,
    testing::{Chain, Network, Vehicle, key},
};

/// Seven authorities of whom four vote, in epochs of five blocks.
fn network() -> Network {
    let network = Network::with_epochs(7, 5);
    let genesis = network.genesis().clone().with_committee(Some(4)).expect("3 f + 1");
    network.with_genesis(genesis)
}

/// Its chain, with four final blocks: the fifth is the first of epoch 1.
fn at_boundary() -> Chain {
    let mut chain = Chain::of(network());
    chain.advance_to(4);
    chain
}

/// The next block with this seal instead of a good one.
fn with_seal(chain: &Chain, seal: Option<Seal>) -> Block {
    let good = chain.build(Vec::new()).block;
    Block::opening(good.header().clone(), seal.map(Mandate::Seal), None, Vec::new())
}

fn refused(chain: &Chain, seal: Option<Seal>) -> String {
    let block = with_seal(chain, seal);
    let error = chain.state.execute(&block).map(drop).expect_err("refused");
    let caught_up =
        chain.state.execute_final(&block).map(drop).expect_err("refused also by those who catch up");
    assert_eq!(error.to_string(), caught_up.to_string());
    error.to_string()
}

#[test]
fn an_epoch_begins_with_the_seal_of_the_one_before() {
    let mut chain = at_boundary();
    assert!(chain.state.needs_mandate());
    let first = chain.push(Vec::new()).block.clone();
    assert_eq!(first.header().epoch, Epoch::new(1));
    let Some(Mandate::Seal(seal)) = first.mandate() else { panic!("no seal") };
    assert_eq!(seal.signatures().len(), 5);
    assert!(chain.push(Vec::new()).block.mandate().is_none());
    // Bytes lead to the same block, and a follower to the same state.
    assert_eq!(Block::decode_bounded(&first.encode()).expect("it was encoded"), first);
    let mut state = State::new(chain.network.genesis());
    for block in &chain.blocks {
        state = state.execute_final(&block.block).expect("follows").0;
    }
    assert_eq!(state.header(), chain.state.header());
}

#[test]
fn seals_that_do_not_hold_are_refused() {
    let chain = at_boundary();
    let (network, header) = (&chain.network, chain.state.header());
    let all = chain.state.authorities_for(Epoch::zero()).expect("its own").clone();
    let by = |header: &Header, signers: &[usize]| Some(network.seal_by(header, &all, signers));
    let check = |seal, expected: &str| {
        let why = refused(&chain, seal);
        assert!(why.contains(expected), "{why}");
    };
    check(None, "not sealed");
    // All of the committee are too few of the authorities.
    check(by(header, &[0, 1, 2, 3]), "4 authorities signed, 5 must");
    let another = chain.blocks[2].block.header();
    check(by(another, &[0, 1, 2, 3, 4]), "does not verify");
    let mut same_height = header.clone();
    same_height.view += 1;
    check(by(&same_height, &[0, 1, 2, 3, 4]), "does not verify");
    let stranger = SealSignature::sign(&chain.state.chain(), &key(99), header);
    let four = network.seal_by(header, &all, &[0, 1, 2, 3]).split(header);
    check(Some(Seal::new(four.clone().into_iter().chain([stranger]))), "is not an authority");
    let other_chain = Network::new(7).genesis().digest();
    let foreign = SealSignature::sign(&other_chain, network.authority(4), header);
    assert!(!foreign.verify(&chain.state.chain()) && foreign.verify(&other_chain));
    check(Some(Seal::new(four.into_iter().chain([foreign]))), "does not verify");
    assert!(chain.state.execute(&with_seal(&chain, by(header, &[0, 2, 3, 5, 6]))).is_ok());
}

#[test]
fn a_seal_belongs_only_where_an_epoch_begins() {
    let mut chain = at_boundary();
    chain.push(Vec::new());
    let all = chain.state.authorities_for(Epoch::new(1)).expect("its own").clone();
    let seal = chain.network.seal_by(chain.state.header(), &all, &[0, 1, 2, 3, 4]);
    assert!(refused(&chain, Some(seal)).contains("does not begin"));
    // Nor anywhere in a chain where all vote.
    let mut chain = Chain::of(Network::with_epochs(7, 5));
    chain.advance_to(4);
    let seal = chain.network.seal_by(chain.state.header(), &all, &[0, 1, 2, 3, 4]);
    assert!(refused(&chain, Some(seal)).contains("does not begin"));
}

#[test]
fn receipts_need_more_than_two_thirds_of_all() {
    let (mut chain, ev) = (Chain::of(network()), Vehicle::new("ev-1"));
    chain.enrol(&[ev.commitment()]);
    let batch = ev.batch(1, 0, 3, None);
    let block = chain.anchor(&[batch.id()]).clone();
    let trust = chain.trust();
    assert_eq!(block.root_receipts.len(), 5);
    let evidence = block.evidence(&batch.id(), &ev.commitment()).expect("anchored");
    assert!(evidence.verify(&trust, &batch.id(), &ev.commitment()).is_ok());
    for receipts in [3, 4] {
        let mut fewer = evidence.clone();
        fewer.receipts.truncate(receipts);
        let error = fewer.verify(&trust, &batch.id(), &ev.commitment()).expect_err("too few");
        assert_eq!(error.stage, Stage::Log);
    }
}

#[test]
fn a_hand_over_carries_the_seal() {
    let mut chain = at_boundary();
    chain.push(Vec::<Transaction>::new());
    let good = chain.handovers()[0].clone();
    assert_eq!(Handover::from_bytes(&good.to_bytes()).expect("it was encoded"), good);
    let trust = Trust::from_genesis(chain.network.genesis().clone());
    trust.clone().extend(&good).expect("holds");
    let check = |seal: Option<Seal>, expected: &str| {
        let why = trust.clone().extend(&Handover { seal, ..good.clone() }).expect_err("refused").to_string();
        assert!(why.contains(expected), "{why}");
    };
    check(None, "without a seal");
    let all = trust.authorities_for(Epoch::zero()).expect("genesis").clone();
    check(Some(chain.network.seal_by(&good.header, &all, &[0, 1, 2, 3])), "5 must");
    let other = chain.blocks[1].block.header();
    check(Some(chain.network.seal_by(other, &all, &[0, 1, 2, 3, 4])), "does not verify");
    // Where all vote there is none.
    let mut open = Chain::of(Network::with_epochs(7, 5));
    open.advance_to(4);
    let mut handover = open.handovers()[0].clone();
    let trust = Trust::from_genesis(open.network.genesis().clone());
    handover.seal = good.seal.clone();
    assert!(matches!(trust.clone().extend(&handover), Err(Error::Handover { .. })));
}
