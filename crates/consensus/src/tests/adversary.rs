//! Authorities that do not follow the protocol.

use crate::{PublicKey, testing::SimulatedNetwork};
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::{
    Viewable as _,
    simplex::types::{Finalize, Notarize, Proposal, Vote},
    types::{Epoch, Round, View},
};
use commonware_cryptography::{Digestible as _, Hasher as _, Sha256, Signer as _};
use commonware_macros::select;
use commonware_p2p::{Receiver, Recipients, Sender, utils::mux};
use std::collections::{BTreeMap, BTreeSet};
use voltmesh_ledger::{Block, Digest, Genesis, Leaders, PrivateKey, Scheme, State, Timestamp};

/// Messages of epoch 0 begin with its number as a varint.
const EPOCH: u8 = 0;

/// In which way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// As a voter it votes for what it sees and for something else, as a leader it proposes two blocks to two halves of
    /// the others.
    Equivocates,
    /// It leads well but for its clock, which is an hour ahead.
    ClockAhead,
}

struct Adversary<S> {
    fault: Fault,
    scheme: Scheme,
    me: usize,
    authorities: Vec<PublicKey>,
    leaders: Leaders,
    /// By digest.
    states: BTreeMap<Digest, State>,
    votes: S,
    blocks: S,
    voted: BTreeSet<View>,
    led: BTreeSet<View>,
}

/// Runs until the network ends.
pub(crate) async fn run(fault: Fault, genesis: Genesis, key: PrivateKey, network: SimulatedNetwork) {
    let authorities: Vec<PublicKey> = genesis.authorities.keys().cloned().collect();
    let me = authorities.iter().position(|other| *other == key.public_key()).expect("an authority");
    let state = State::new(&genesis);
    let (vote_sender, mut votes) = network.channels.votes;
    let (block_sender, mut blocks) = network.channels.blocks;
    let mut this = Adversary {
        fault,
        scheme: genesis.authorities.signer(&genesis.digest(), key).expect("an authority"),
        me,
        leaders: genesis.roster().leaders,
        authorities,
        states: BTreeMap::from([(state.block(), state)]),
        votes: vote_sender,
        blocks: block_sender,
        voted: BTreeSet::new(),
        led: BTreeSet::new(),
    };
    loop {
        select! {
            message = votes.recv() => {
                let Ok((_, bytes)) = message else { return };
                let Ok((0, vote)) = mux::parse(bytes) else { continue };
                if let Ok(vote) = Vote::<Scheme, Digest>::decode(vote) {
                    this.see(vote);
                }
            },
            message = blocks.recv() => {
                let Ok((_, bytes)) = message else { return };
                if let Ok(block) = Block::decode(bytes) {
                    this.learn(&block);
                }
            },
        }
    }
}

impl<S: Sender<PublicKey = PublicKey>> Adversary<S> {
    fn learn(&mut self, block: &Block) {
        if let Some(parent) = self.states.get(&block.header().parent)
            && let Ok((state, _)) = parent.execute(block)
        {
            self.states.insert(block.digest(), state);
        }
    }

    fn see(&mut self, vote: Vote<Scheme, Digest>) {
        match vote {
            Vote::Notarize(notarize) => {
                let next = notarize.view().next();
                if self.leaders.leader(next.get()) == self.me {
                    self.lead(next, &notarize.proposal);
                }
                if self.fault == Fault::Equivocates && self.voted.insert(notarize.view()) {
                    let other = other(&notarize.proposal);
                    self.vote(Recipients::All, Notarize::sign(&self.scheme, other).map(Vote::Notarize));
                    self.vote(
                        Recipients::All,
                        Notarize::sign(&self.scheme, notarize.proposal).map(Vote::Notarize),
                    );
                }
            }
            Vote::Finalize(finalize) if self.fault == Fault::Equivocates => {
                let other = other(&finalize.proposal);
                self.vote(Recipients::All, Finalize::sign(&self.scheme, other).map(Vote::Finalize));
                self.vote(
                    Recipients::All,
                    Finalize::sign(&self.scheme, finalize.proposal).map(Vote::Finalize),
                );
            }
            Vote::Finalize(_) | Vote::Nullify(_) => {}
        }
    }

    /// Blocks on the same parent, each to some of the others.
    fn lead(&mut self, view: View, parent: &Proposal<Digest>) {
        let Some(state) = self.states.get(&parent.payload) else { return };
        if !self.led.insert(view) {
            return;
        }
        let time = state.time().as_millis();
        let (parts, ahead_ms) = match self.fault {
            Fault::Equivocates => (2, 1),
            Fault::ClockAhead => (1, 3_600_000),
        };
        for part in 0..parts {
            let block =
                state.build_in(view.get(), None, [], Timestamp::from_millis(time + ahead_ms + part)).block;
            let proposal = Proposal::new(Round::new(Epoch::zero(), view), parent.view(), block.digest());
            let to: Vec<_> = self
                .authorities
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != self.me && *index as u64 % parts == part)
                .map(|(_, key)| key.clone())
                .collect();
            let _ = self.blocks.send(Recipients::Some(to.clone()), block.encode(), true);
            let vote = Notarize::sign(&self.scheme, proposal).map(Vote::Notarize);
            let mut message = vec![EPOCH];
            message.extend_from_slice(&vote.expect("an authority").encode());
            let _ = self.votes.send(Recipients::Some(to), message, true);
        }
    }

    fn vote(&mut self, to: Recipients<PublicKey>, vote: Option<Vote<Scheme, Digest>>) {
        let mut message = vec![EPOCH];
        message.extend_from_slice(&vote.expect("an authority").encode());
        let _ = self.votes.send(to, message, true);
    }
}

fn other(proposal: &Proposal<Digest>) -> Proposal<Digest> {
    Proposal::new(proposal.round, proposal.parent, Sha256::hash(&[proposal.payload.as_ref()]))
}
