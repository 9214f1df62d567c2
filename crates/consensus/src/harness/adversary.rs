//! Authorities that do not follow the protocol.

use crate::{Network, PublicKey};
use commonware_codec::{DecodeExt as _, Encode as _, varint::UInt};
use commonware_consensus::{
    Viewable as _,
    simplex::types::{Finalize, Notarize, Proposal, Vote},
    types::Round,
};
use commonware_cryptography::{Digestible as _, Hasher as _, Sha256, Signer as _};
use commonware_macros::select;
use commonware_p2p::{Receiver, Recipients, Sender, utils::mux};
use std::collections::{BTreeMap, BTreeSet};
use voltmesh_ledger::{Block, Digest, Genesis, PrivateKey, Scheme, State, Timestamp};

/// Blocks whose states are kept: those that a proposal may build on are newer.
const STATES: u64 = 64;

/// In which way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// As a voter it votes for what it sees and for something else, as a leader it proposes two blocks to two halves of
    /// the others.
    Equivocates,
    /// It leads well but for its clock, which is an hour ahead.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests look at clocks"))]
    ClockAhead,
}

struct Adversary<S> {
    fault: Fault,
    scheme: Scheme,
    me: usize,
    authorities: Vec<PublicKey>,
    /// By digest.
    states: BTreeMap<Digest, State>,
    votes: S,
    blocks: S,
    voted: BTreeSet<Round>,
    finalized: BTreeSet<Round>,
    led: BTreeSet<Round>,
}

/// Runs until the network ends. Leaders are taken to come in turn.
pub(crate) async fn run<S, R, P, B>(
    fault: Fault,
    genesis: Genesis,
    key: PrivateKey,
    network: Network<S, R, P, B>,
) where
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    let authorities: Vec<PublicKey> = genesis.authorities.keys().cloned().collect();
    let me = authorities.iter().position(|other| *other == key.public_key()).expect("an authority");
    let state = State::new(&genesis);
    let (vote_sender, mut votes) = network.channels.votes;
    let (block_sender, mut blocks) = network.channels.blocks;
    let mut this = Adversary {
        fault,
        scheme: genesis.authorities.signer(&genesis.digest(), key).expect("an authority"),
        me,
        authorities,
        states: BTreeMap::from([(state.block(), state)]),
        votes: vote_sender,
        blocks: block_sender,
        voted: BTreeSet::new(),
        finalized: BTreeSet::new(),
        led: BTreeSet::new(),
    };
    loop {
        select! {
            message = votes.recv() => {
                let Ok((_, bytes)) = message else { return };
                let Ok((_, vote)) = mux::parse(bytes) else { continue };
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
            let oldest = state.height().get().saturating_sub(STATES);
            self.states.retain(|_, state| state.height().get() >= oldest);
            self.states.insert(block.digest(), state);
        }
    }

    fn see(&mut self, vote: Vote<Scheme, Digest>) {
        match vote {
            Vote::Notarize(notarize) => {
                let round = notarize.proposal.round;
                let next = Round::new(round.epoch(), round.view().next());
                if self.leads(next, &notarize.proposal) {
                    self.lead(next, &notarize.proposal);
                }
                if self.fault == Fault::Equivocates && self.voted.insert(round) {
                    let other = other(&notarize.proposal);
                    self.vote(round, Notarize::sign(&self.scheme, other).map(Vote::Notarize));
                    let same = Notarize::sign(&self.scheme, notarize.proposal);
                    self.vote(round, same.map(Vote::Notarize));
                }
            }
            Vote::Finalize(finalize) if self.fault == Fault::Equivocates => {
                let round = finalize.proposal.round;
                if self.finalized.insert(round) {
                    let other = other(&finalize.proposal);
                    self.vote(round, Finalize::sign(&self.scheme, other).map(Vote::Finalize));
                    let same = Finalize::sign(&self.scheme, finalize.proposal);
                    self.vote(round, same.map(Vote::Finalize));
                }
            }
            Vote::Finalize(_) | Vote::Nullify(_) => {}
        }
    }

    fn leads(&self, round: Round, parent: &Proposal<Digest>) -> bool {
        let state = self.states.get(&parent.payload);
        state.and_then(|state| state.roster_for(round.epoch())).is_some_and(|roster| {
            roster.voters.get(roster.leaders.leader(round.view().get())) == self.authorities.get(self.me)
        })
    }

    /// Blocks on the same parent, each to some of the others.
    fn lead(&mut self, round: Round, parent: &Proposal<Digest>) {
        let Some(state) = self.states.get(&parent.payload) else { return };
        // It has no seal, so it cannot begin a committee's epoch.
        if state.needs_mandate() || !self.led.insert(round) {
            return;
        }
        let time = state.time().as_millis();
        let (parts, ahead_ms) = match self.fault {
            Fault::Equivocates => (2, 1),
            Fault::ClockAhead => (1, 3_600_000),
        };
        for part in 0..parts {
            let time = Timestamp::from_millis(time + ahead_ms + part);
            let block = state.build_in(round.view().get(), None, [], time).block;
            let proposal = Proposal::new(round, parent.view(), block.digest());
            let to: Vec<_> = self
                .authorities
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != self.me && *index as u64 % parts == part)
                .map(|(_, key)| key.clone())
                .collect();
            let _ = self.blocks.send(Recipients::Some(to.clone()), block.encode(), true);
            let vote = Notarize::sign(&self.scheme, proposal).map(Vote::Notarize);
            let _ = self.votes.send(Recipients::Some(to), message(round, vote), true);
        }
    }

    fn vote(&mut self, round: Round, vote: Option<Vote<Scheme, Digest>>) {
        let _ = self.votes.send(Recipients::All, message(round, vote), true);
    }
}

/// Votes of an epoch begin with its number as a varint.
fn message(round: Round, vote: Option<Vote<Scheme, Digest>>) -> Vec<u8> {
    let mut message = UInt(round.epoch().get()).encode().to_vec();
    message.extend_from_slice(&vote.expect("an authority").encode());
    message
}

fn other(proposal: &Proposal<Digest>) -> Proposal<Digest> {
    Proposal::new(proposal.round, proposal.parent, Sha256::hash(&[proposal.payload.as_ref()]))
}
