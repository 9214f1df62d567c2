//! Chains whose committee votes for the others: seals, and what they are needed for.

use commonware_codec::Encode as _;
use voltmesh_ledger::{
    Action, AuthoritySet, Block, Decree, Epoch, EpochEnd, EpochOpening, Error, Handover, Header, Height,
    Replacement, Seal, SealSignature, Signatures, Stage, State, Transaction, Trust,
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
    Block::opening(good.header().clone(), seal.map(EpochOpening::Seal), None, Vec::new())
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
    let Some(EpochOpening::Seal(seal)) = first.mandate() else { panic!("no seal") };
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

fn end(handover: &Handover) -> EpochEnd {
    match handover {
        Handover::Epoch(end) => EpochEnd::clone(end),
        Handover::Decree(_) => panic!("a decree, not an epoch's end"),
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
    let good = end(&good);
    let check = |seal: Option<Seal>, expected: &str| {
        let why =
            trust.clone().extend(&EpochEnd { seal, ..good.clone() }.into()).expect_err("refused").to_string();
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
    let mut handover = end(&open.handovers()[0]);
    let trust = Trust::from_genesis(open.network.genesis().clone());
    handover.seal = good.seal.clone();
    assert!(matches!(trust.clone().extend(&handover.into()), Err(Error::Handover { .. })));
}

/// The next block with this replacement.
fn with(chain: &Chain, replacement: Replacement) -> Result<State, Error> {
    let mandate = Some(EpochOpening::Decree(Box::new(replacement)));
    chain.state.check_mandate(mandate.as_ref())?;
    let block = chain.build_opening(mandate, Vec::new()).block;
    chain.state.execute(&block).map(|(state, _)| state)
}

fn signed_by_all(chain: &Chain, decree: Decree) -> Replacement {
    chain.network.replacement(decree, &chain.state.stalled().authorities, &[0, 1, 2, 3, 4, 5, 6])
}

#[test]
fn operators_replace_a_committee_that_has_stalled() {
    let mut chain = Chain::of(network());
    chain.advance_to(7);
    let before = chain.state.clone();
    let block = chain.replace(&[3, 4, 5, 6]).block.clone();
    let epoch = Epoch::new(2);
    assert_eq!(
        (block.header().height, block.header().epoch, block.header().view),
        (Height::new(8), epoch, 1)
    );
    assert_eq!(Block::decode_bounded(&block.encode()).expect("it was encoded"), block);
    assert_eq!(chain.state.nonce(), before.nonce() + 1);
    let voters = |chain: &Chain, epoch| chain.state.roster_for(epoch).expect("known").voters.clone();
    let expected = AuthoritySet::new(
        (3..7).map(|i| commonware_cryptography::Signer::public_key(chain.network.authority(i))),
    );
    let expected = expected.expect("four");
    // Two epochs are theirs; the election decides again when it can know who is gone.
    for epoch in [epoch, epoch.next()] {
        assert_eq!(*voters(&chain, epoch), expected);
    }
    // The epoch has its full length, is sealed at its end, and the chain goes on.
    chain.advance_to(12);
    assert!(chain.state.needs_mandate() && chain.state.next_epoch() == Epoch::new(3));
    chain.advance_to(30);
    assert_eq!(chain.state.epoch(), Epoch::new(6));
    let mut state = State::new(chain.network.genesis());
    for block in &chain.blocks {
        state = state.execute_final(&block.block).expect("follows").0;
    }
    assert_eq!(state.header(), chain.state.header());
    // Trust files follow, by what nodes hand out and by text.
    let trust = chain.trust();
    assert_eq!(*trust.voters_for(Epoch::new(3)).expect("known"), voters_at(&chain, 13));
    assert_eq!(trust.calendar(), chain.state.calendar());
    let read = Trust::from_toml(&trust.to_toml()).expect("written");
    assert_eq!(format!("{read:?}"), format!("{trust:?}"));
    let mut again = trust.clone();
    assert!(chain.handovers().iter().all(|handover| !again.extend(handover).expect("known")));
}

fn voters_at(chain: &Chain, height: usize) -> std::sync::Arc<AuthoritySet> {
    let state = &chain.blocks[height - 1].state;
    state.roster_for(state.epoch()).expect("its own").voters.clone()
}

#[test]
fn a_committee_that_never_began_can_be_replaced_and_its_epoch_stays_empty() {
    let mut chain = at_boundary();
    let block = chain.replace(&[3, 4, 5, 6]).block.clone();
    assert_eq!((block.header().height, block.header().epoch), (Height::new(5), Epoch::new(2)));
    assert_eq!(chain.state.calendar().bounds(Epoch::new(1)), None);
    // The next one stalls as well, at once: a decree with a later epoch.
    chain.replace(&[2, 3, 4, 6]);
    assert_eq!(chain.state.epoch(), Epoch::new(3));
    chain.advance_to(20);
    assert_eq!(chain.trust().calendar(), chain.state.calendar());
}

#[test]
fn decrees_that_do_not_hold_are_refused() {
    let mut chain = Chain::of(network());
    chain.advance_to(7);
    let good = chain.network.decree(&chain.state, &[3, 4, 5, 6]);
    let check = |decree: Decree, expected: &str| {
        let why = with(&chain, signed_by_all(&chain, decree)).expect_err("refused").to_string();
        assert!(why.contains(expected), "{why}");
    };
    let again = |change: &dyn Fn(&mut Decree)| {
        let mut decree = good.clone();
        change(&mut decree);
        decree.signatures = Signatures::default();
        decree.sign(chain.network.operator(0)).sign(chain.network.operator(1))
    };
    assert!(with(&chain, signed_by_all(&chain, again(&|_| {}))).is_ok());
    check(again(&|decree| decree.nonce += 1), "nonce");
    check(again(&|decree| decree.epoch = Epoch::new(1)), "its epoch is not after");
    check(again(&|decree| decree.epoch = Epoch::new(5_000)), "too far after");
    check(again(&|decree| decree.after = Height::new(6)), "another block");
    check(again(&|decree| decree.block = chain.blocks[3].state.block()), "another block");
    check(again(&|decree| decree.chain = Network::new(7).genesis().digest()), "for chain");
    let five = AuthoritySet::new(chain.network.genesis().authorities.keys().take(5).cloned()).expect("five");
    check(again(&|decree| decree.voters = five.clone()), "3 f + 1");
    let strangers = Network::new(9).genesis().authorities.clone();
    let stranger =
        strangers.keys().find(|key| !chain.network.genesis().authorities.contains(key)).expect("two");
    let four = AuthoritySet::new(good.voters.keys().take(3).chain([stranger]).cloned()).expect("four");
    check(again(&|decree| decree.voters = four.clone()), "is not an authority");
    // Operators: too few, none, and signatures of something else.
    let mut one = good.clone();
    one.signatures = Signatures::default();
    check(one.clone(), "0 operators signed, 2 must");
    check(one.clone().sign(chain.network.operator(2)), "1 operators signed, 2 must");
    check(one.clone().sign(chain.network.operator(2)).sign(&key(99)), "is not an operator");
    let mut moved = good.clone();
    moved.epoch = Epoch::new(3);
    check(moved, "does not verify");
    // A chain where all vote has no committee to replace.
    let mut open = Chain::of(Network::with_epochs(7, 5));
    open.advance_to(7);
    let decree = open.network.decree(&open.state, &[3, 4, 5, 6]);
    let why = with(&open, signed_by_all(&open, decree)).expect_err("refused").to_string();
    assert!(why.contains("all authorities vote"), "{why}");
}

#[test]
fn a_decree_is_in_force_with_more_than_two_thirds_of_all() {
    let mut chain = Chain::of(network());
    chain.advance_to(7);
    let decree = chain.network.decree(&chain.state, &[3, 4, 5, 6]);
    let all = chain.state.stalled().authorities.clone();
    let by = |signers: &[usize]| chain.network.replacement(decree.clone(), &all, signers);
    let trust = Trust::from_genesis(chain.network.genesis().clone());
    let mut trust_before = trust.clone();
    trust_before.extend(&chain.handovers()[0]).expect("holds");
    let check = |replacement: Replacement, expected: &str| {
        for why in [
            with(&chain, replacement.clone()).expect_err("refused").to_string(),
            trust_before.clone().extend(&replacement.into()).expect_err("refused").to_string(),
        ] {
            assert!(why.contains(expected), "{why}");
        }
    };
    check(by(&[3, 4, 5, 6]), "4 authorities signed, 5 must");
    // Of another decree, of a stranger, by the operators.
    let other = chain.network.decree(&chain.state, &[2, 4, 5, 6]);
    let mut mixed = by(&[3, 4, 5, 6]);
    let (key_2, signature) = other.acknowledge(chain.network.authority(2));
    mixed.acknowledgements.add(key_2, signature);
    check(mixed, "does not verify");
    let mut stranger = by(&[3, 4, 5, 6]);
    let (by_99, signature) = decree.acknowledge(&key(99));
    stranger.acknowledgements.add(by_99, signature);
    check(stranger, "is not an authority");
    assert!(with(&chain, by(&[2, 3, 4, 5, 6])).is_ok());
    assert!(trust_before.extend(&by(&[2, 3, 4, 5, 6]).into()).expect("holds"));
}

#[test]
fn what_the_old_committee_made_final_unseen_counts_nowhere() {
    let (mut chain, ev) = (Chain::of(network()), Vehicle::new("ev-1"));
    chain.enrol(&[ev.commitment()]);
    chain.advance_to(7);
    let mut old = chain.clone();
    chain.replace(&[3, 4, 5, 6]);
    let batch = ev.batch(1, 0, 3, None);
    // All of the old committee voted for a block with a batch, and signed its root.
    let block = old.anchor(&[batch.id()]).clone();
    let evidence = block.evidence(&batch.id(), &ev.commitment()).expect("anchored");
    let verify = |evidence: &voltmesh_ledger::AnchorProof, trust: &Trust| {
        evidence.verify(trust, &batch.id(), &ev.commitment()).map(drop).map_err(|error| error.stage)
    };
    let mut few = evidence.clone();
    few.receipts.truncate(4);
    // Whoever has not heard of the decree misses receipts, whoever has knows that the height is another epoch's.
    assert_eq!(verify(&few, &old.trust()), Err(Stage::Log));
    assert_eq!(verify(&evidence, &old.trust()), Ok(()), "only if more than f of all are liars");
    assert_eq!(verify(&evidence, &chain.trust()), Err(Stage::Finality));
    // Nor does a hand-over of theirs fit any more.
    old.advance_to(14);
    let late = old.handovers().pop().expect("epoch 2 ended");
    assert!(chain.trust().extend(&late).is_err());
}

#[test]
fn operators_and_authorities_may_change_around_a_decree() {
    let mut chain = Chain::of(network());
    chain.network.add_key(key(50));
    let newcomer = commonware_cryptography::Signer::public_key(&key(50));
    let removed = commonware_cryptography::Signer::public_key(chain.network.authority(0));
    chain.act(vec![Action::RotateAuthority { old: removed.clone(), new: newcomer.clone() }]);
    // Serves from epoch 2, but a decree in epoch 1 leaves the authorities as they are for two epochs.
    chain.advance_to(7);
    chain.replace(&[3, 4, 5, 6]);
    for epoch in [2, 3] {
        let set = chain.state.authorities_for(Epoch::new(epoch)).expect("known");
        assert!(set.contains(&removed) && !set.contains(&newcomer));
    }
    chain.advance_to(18);
    let set = chain.state.authorities_for(Epoch::new(4)).expect("known");
    assert!(!set.contains(&removed) && set.contains(&newcomer));
    chain.advance_to(30);
    assert_eq!(chain.trust().authorities_for(Epoch::new(5)), chain.state.authorities_for(Epoch::new(5)));
}

#[test]
fn a_snapshot_knows_of_decrees() {
    let mut chain = Chain::of(network());
    chain.advance_to(7);
    let epoch_start = chain.state.block();
    chain.replace(&[3, 4, 5, 6]);
    let snapshot = voltmesh_ledger::Snapshot { state: chain.state.clone(), epoch_start };
    let genesis = chain.network.genesis();
    let read = voltmesh_ledger::Snapshot::from_bytes(genesis, &snapshot.to_bytes()).expect("it was written");
    assert_eq!(read.state.calendar(), chain.state.calendar());
    let mut state = read.state;
    chain.advance_to(30);
    for block in &chain.blocks[8..] {
        state = state.execute_final(&block.block).expect("goes on").0;
    }
    assert_eq!(state.header(), chain.state.header());
}
