//! What a new view must begin with, case by case.

use crate::pbft::{
    Settings,
    certificate::{Ballot, Certificate, Phase, Seat},
    core_tests::{START_MS, certificate, core},
    message::{Message, NewView, Proofs, ViewChange},
    replica::Core,
    vocabulary::{Input, Output},
};
use commonware_consensus::types::View;
use commonware_cryptography::Digestible as _;
use voltmesh_ledger::{Block, Digest, Header, Height, State, Timestamp, testing::Network};

/// The view to enter; its primary is seat 1.
const VIEW: u64 = 5;

struct Blocks {
    keys: Network,
    /// At height 1.
    a: Block,
    /// Another at height 1.
    other: Block,
    /// After `a`.
    b: Block,
}

impl Blocks {
    fn new() -> Self {
        let keys = Network::new(4);
        let genesis = State::new(keys.genesis());
        let a = genesis.build([], Timestamp::from_millis(START_MS));
        let other = genesis.build([], Timestamp::from_millis(START_MS + 1)).block;
        let b = a.state.build([], Timestamp::from_millis(START_MS + 2)).block;
        Self { keys, a: a.block, other, b }
    }

    fn base(&self) -> Ballot {
        Ballot::new(Phase::Commit, View::zero(), Height::zero(), self.keys.genesis().block().digest())
    }

    /// That the block is prepared in that view.
    fn prepared(&self, view: u64, block: &Block) -> (Header, Certificate) {
        let header = block.header().clone();
        let ballot = Ballot::new(Phase::Prepare, View::new(view), header.height, block.digest());
        (header, certificate(&self.keys, ballot, &[0, 1, 2, 3]))
    }

    fn change(&self, seat: u8, base: Ballot, proofs: Proofs) -> Message {
        let prepared: Vec<Ballot> = proofs.prepared.iter().map(|(_, proof)| proof.ballot).collect();
        let signed = ViewChange::signed(View::new(VIEW), &base, &prepared);
        let voters = &self.core(seat).voters;
        let signature = voters.sign(self.keys.authority(seat.into()), &signed);
        Message::ViewChange(ViewChange { view: View::new(VIEW), base, prepared, signature }, proofs)
    }

    fn core(&self, seat: u8) -> Core {
        core(&self.keys, Seat(seat), Settings::default(), START_MS)
    }

    /// What the primary sends if it hears these view changes.
    fn lead(&self, changes: [Message; 2]) -> (Core, Option<NewView>) {
        let mut primary = self.core(1);
        let mut sent = None;
        for (seat, change) in [2, 3].into_iter().zip(changes) {
            let now = Timestamp::from_millis(START_MS);
            for output in primary.handle(now, Input::Message(Seat(seat), change)) {
                if let Output::Send(_, Message::NewView(new_view)) = output {
                    sent = Some(new_view);
                }
            }
        }
        (primary, sent)
    }

    fn claims(&self, claims: &[(u64, &Block)]) -> Proofs {
        let prepared = claims.iter().map(|(view, block)| self.prepared(*view, block)).collect();
        Proofs { committed: Vec::new(), prepared }
    }
}

fn proposed(core: &Core) -> Vec<Digest> {
    core.slots.values().filter_map(|slot| Some(slot.proposal.as_ref()?.ballot.digest)).collect()
}

/// The new view after these claims of seats 2 and 3, at its primary and at a backup.
fn check(blocks: &Blocks, claims: [&[(u64, &Block)]; 2], expected: &[&Block]) {
    let [two, three] = claims.map(|claims| blocks.claims(claims));
    let changes = [blocks.change(2, blocks.base(), two), blocks.change(3, blocks.base(), three)];
    let (primary, new_view) = blocks.lead(changes);
    let new_view = new_view.expect("three want the view");
    let expected: Vec<Digest> = expected.iter().map(|block| block.digest()).collect();
    assert_eq!(proposed(&primary), expected);
    let mut backup = blocks.core(0);
    learn(&mut backup, new_view);
    assert_eq!((backup.entered.get(), proposed(&backup)), (VIEW, expected));
}

fn learn(core: &mut Core, new_view: NewView) {
    core.handle(Timestamp::from_millis(START_MS), Input::Message(Seat(1), Message::NewView(new_view)));
}

#[test]
fn a_new_view_repeats_the_newest_claims_up_to_the_first_gap() {
    let blocks = Blocks::new();
    let Blocks { a, other, b, .. } = &blocks;
    check(&blocks, [&[], &[]], &[]);
    check(&blocks, [&[(1, a)], &[]], &[a]);
    check(&blocks, [&[], &[(1, a), (1, b)]], &[a, b]);
    check(&blocks, [&[(1, a)], &[(1, a), (2, b)]], &[a, b]);
    check(&blocks, [&[(1, a)], &[(2, other)]], &[other]);
    check(&blocks, [&[(2, other)], &[(1, a)]], &[other]);
    // What was never committed: a gap, and a block whose parent was replaced.
    check(&blocks, [&[(1, b)], &[]], &[]);
    check(&blocks, [&[(2, other)], &[(1, a), (1, b)]], &[other]);
    check(&blocks, [&[(3, a)], &[(1, other), (2, b)]], &[a, b]);
}

#[test]
fn a_view_change_counts_only_with_its_proofs() {
    let blocks = Blocks::new();
    let good = || blocks.change(3, blocks.base(), blocks.claims(&[(1, &blocks.a)]));
    let counts = |change: Message, expected: bool| {
        let (_, new_view) = blocks.lead([change, good()]);
        assert_eq!(new_view.is_some(), expected);
    };
    let of = |proofs: Proofs| blocks.change(2, blocks.base(), proofs);
    counts(of(blocks.claims(&[(1, &blocks.a)])), true);

    let mut few = blocks.claims(&[(2, &blocks.other)]);
    few.prepared[0].1.signatures.truncate(2);
    counts(of(few), false);
    let mut forged = blocks.claims(&[(2, &blocks.other)]);
    let signatures = &mut forged.prepared[0].1.signatures;
    signatures[3].signature = signatures[0].signature.clone();
    counts(of(forged), false);
    let mut misnamed = blocks.claims(&[(2, &blocks.other)]);
    misnamed.prepared[0].0 = blocks.a.header().clone();
    counts(of(misnamed), false);
    // A view that is not over, and heights out of order.
    counts(of(blocks.claims(&[(VIEW, &blocks.a)])), false);
    counts(of(blocks.claims(&[(1, &blocks.b), (1, &blocks.a)])), false);
    let base = Ballot::new(Phase::Commit, View::new(1), Height::new(1), blocks.other.digest());
    counts(blocks.change(2, base, Proofs::default()), false);
    // Signed by another.
    counts(blocks.change(0, blocks.base(), Proofs::default()), false);
}

#[test]
fn a_backup_computes_the_new_view_again() {
    let blocks = Blocks::new();
    let changes = || {
        let claims = blocks.claims(&[(1, &blocks.a), (1, &blocks.b)]);
        [blocks.change(2, blocks.base(), claims), blocks.change(3, blocks.base(), Proofs::default())]
    };
    let accepts = |tamper: &dyn Fn(&mut NewView), expected: bool| {
        let (primary, new_view) = blocks.lead(changes());
        let mut new_view = new_view.expect("three want the view");
        tamper(&mut new_view);
        let signed = NewView::signed(new_view.view, &new_view.changes, &new_view.proposals);
        new_view.signature = primary.voters.sign(blocks.keys.authority(1), &signed);
        let mut backup = blocks.core(0);
        learn(&mut backup, new_view);
        assert_eq!(backup.entered == View::new(VIEW), expected);
    };
    accepts(&|_| {}, true);
    accepts(&|new_view| new_view.changes.truncate(2), false);
    accepts(&|new_view| new_view.changes[0] = new_view.changes[1].clone(), false);
    accepts(&|new_view| new_view.changes[1].1.prepared.clear(), false);
    accepts(&|new_view| new_view.proposals.truncate(1), false);
    accepts(&|new_view| new_view.proposals.reverse(), false);
    accepts(&|new_view| new_view.proofs.prepared.truncate(1), false);
    accepts(&|new_view| new_view.proofs.prepared[1].1.signatures.truncate(2), false);
    accepts(&|new_view| new_view.view = View::new(VIEW + 4), false);

    let (_, new_view) = blocks.lead(changes());
    let mut new_view = new_view.expect("three want the view");
    new_view.signature = new_view.proposals[0].clone();
    let mut backup = blocks.core(0);
    learn(&mut backup, new_view);
    assert_eq!(backup.entered, View::zero(), "not signed by its primary");
}

#[test]
fn what_is_before_the_new_views_base_is_not_proposed_again() {
    let blocks = Blocks::new();
    let ballot = Ballot::new(Phase::Commit, View::zero(), Height::new(1), blocks.a.digest());
    let committed = Proofs {
        committed: vec![certificate(&blocks.keys, ballot, &[0, 2, 3])],
        prepared: vec![blocks.prepared(1, &blocks.b)],
    };
    let changes = [blocks.change(2, ballot, committed), blocks.change(3, blocks.base(), Proofs::default())];
    let (primary, new_view) = blocks.lead(changes);
    assert_eq!(proposed(&primary), [blocks.b.digest()]);
    assert!(primary.parent().is_none(), "it has not executed what is committed");

    let mut backup = blocks.core(0);
    learn(&mut backup, new_view.expect("three want the view"));
    assert_eq!(proposed(&backup), [blocks.b.digest()]);
    let (view, block) = (View::new(VIEW), blocks.other.clone());
    let pre_prepare = Ballot::new(Phase::PrePrepare, view, Height::new(1), block.digest());
    let signature = primary.voters.sign(blocks.keys.authority(1), &pre_prepare.signed());
    let message = Message::PrePrepare { view, block, signature };
    backup.handle(Timestamp::from_millis(START_MS), Input::Message(Seat(1), message));
    assert_eq!(proposed(&backup), [blocks.b.digest()]);

    // With the committed block it executes it and is for what follows.
    let certified = certificate(&blocks.keys, ballot, &[0, 2, 3]);
    let answer = Message::Committed(vec![(certified, blocks.a.clone())]);
    backup.handle(Timestamp::from_millis(START_MS), Input::Message(Seat(2), answer));
    assert_eq!(backup.tip.block(), blocks.a.digest());
    let outputs = backup
        .handle(Timestamp::from_millis(START_MS), Input::Message(Seat(2), Message::Block(blocks.b.clone())));
    let prepares = outputs.iter().any(|output| {
        matches!(output, Output::Send(_, Message::Vote { ballot, .. }) if ballot.digest == blocks.b.digest())
    });
    assert!(prepares);
}
