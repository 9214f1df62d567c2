//! The message log: what a replica has accepted and heard for each height that it has not executed yet.

use crate::pbft::certificate::{Ballot, Certificate, Phase, Seat, Signed, Voters};
use commonware_consensus::types::View;
use std::collections::BTreeMap;
use voltmesh_ledger::{Digest, Header, Signature};

/// A pre-prepare that this replica goes by in its view.
#[derive(Clone, Debug)]
pub(super) struct Proposal {
    /// Of phase [`Phase::PrePrepare`].
    pub ballot: Ballot,
    pub header: Header,
    pub signature: Signature,
    /// From a new view's O: it was prepared before, so its time was found good.
    pub repeated: bool,
    pub standing: Standing,
}

/// Opinion of this replica about a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The block, one before it or the time is missing.
    Open,
    /// The ledger takes it: this replica is for it.
    Accepted,
    /// The ledger does not take it.
    Refused,
}

impl Proposal {
    pub fn new(view: View, header: Header, signature: Signature, repeated: bool) -> Self {
        let ballot = Ballot::new(Phase::PrePrepare, view, header.height, header.digest());
        Self { ballot, header, signature, repeated, standing: Standing::Open }
    }
}

/// One replica's vote, the newest of its kind.
#[derive(Clone, Debug)]
struct Vote {
    ballot: Ballot,
    signature: Signature,
    /// The signature was found good.
    checked: bool,
}

/// The votes of one phase at one height, one per replica.
#[derive(Clone, Debug, Default)]
pub(super) struct Votes(BTreeMap<Seat, Vote>);

impl Votes {
    /// Keeps the vote unless one of the same or a later view is here: whoever votes twice in a view is heard once.
    pub fn insert(&mut self, seat: Seat, ballot: Ballot, signature: Signature, checked: bool) {
        if self.0.get(&seat).is_none_or(|vote| vote.ballot.view < ballot.view) {
            self.0.insert(seat, Vote { ballot, signature, checked });
        }
    }

    /// This replica's vote, to be repeated.
    pub fn of(&self, seat: Seat) -> Option<(Ballot, Signature)> {
        self.0.get(&seat).map(|vote| (vote.ballot, vote.signature.clone()))
    }

    /// A ballot that at least `enough` have signed, as they say.
    pub fn leading(&self, enough: usize) -> Option<Ballot> {
        if self.0.len() < enough {
            return None;
        }
        let mut counts: BTreeMap<Ballot, usize> = BTreeMap::new();
        for vote in self.0.values() {
            *counts.entry(vote.ballot).or_default() += 1;
        }
        counts.into_iter().find_map(|(ballot, count)| (count >= enough).then_some(ballot))
    }

    /// `enough` checked signatures under `ballot`, if there are so many. Nothing is checked as long as there are too few, and
    /// no more than needed; what is wrong is dropped.
    pub fn take(&mut self, voters: &Voters, ballot: &Ballot, enough: usize) -> Option<Vec<Signed>> {
        loop {
            let mut chosen: Vec<Seat> = Vec::with_capacity(enough);
            // Those that are checked come first: they cost nothing.
            for checked in [true, false] {
                let matching =
                    self.0.iter().filter(|(_, vote)| vote.checked == checked && vote.ballot == *ballot);
                let room = enough - chosen.len();
                chosen.extend(matching.take(room).map(|(seat, _)| *seat));
            }
            if chosen.len() < enough {
                return None;
            }
            chosen.sort_unstable();
            let message = ballot.signed();
            let unchecked: Vec<_> = chosen
                .iter()
                .filter_map(|seat| self.0.get(seat).filter(|vote| !vote.checked).map(|vote| (*seat, vote)))
                .map(|(seat, vote)| (seat, message.clone(), &vote.signature))
                .collect();
            let all_valid = unchecked.is_empty() || voters.verify_all(&unchecked);
            for seat in &chosen {
                let Some(vote) = self.0.get_mut(seat) else { continue };
                vote.checked = vote.checked || all_valid || voters.verify(*seat, &message, &vote.signature);
                if !vote.checked {
                    self.0.remove(seat);
                }
            }
            if all_valid {
                let signed = chosen.iter().filter_map(|seat| {
                    let signature = self.0.get(seat)?.signature.clone();
                    Some(Signed { seat: *seat, signature })
                });
                return Some(signed.collect());
            }
        }
    }

    /// Forgets votes of views before `view`.
    pub fn forget_before(&mut self, view: View) {
        self.0.retain(|_, vote| vote.ballot.view >= view);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Votes and proposals at one height.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    /// What the present view's primary proposes.
    pub proposal: Option<Proposal>,
    pub prepares: Votes,
    pub commits: Votes,
    /// The block prepared here in the newest view. Kept over view changes: OSDI 4.4, P.
    pub prepared: Option<(Header, Certificate)>,
    /// This replica has sent its commit in the present view.
    pub committing: bool,
    /// Final, though perhaps not executable yet.
    pub committed: Option<Certificate>,
}

impl Slot {
    /// Makes the proposal prepared if n − f − 1 backups have signed for it. OSDI 4.2: a pre-prepare and 2f prepares that
    /// match it.
    pub fn prepare(&mut self, voters: &Voters) {
        let accepted = |proposal: &&Proposal| proposal.standing == Standing::Accepted;
        let Some(proposal) = self.proposal.as_ref().filter(accepted) else { return };
        let ballot = proposal.ballot.as_phase(Phase::Prepare);
        if self.prepared.as_ref().is_some_and(|(_, certificate)| certificate.ballot == ballot) {
            return;
        }
        let Some(mut signatures) = self.prepares.take(voters, &ballot, voters.quorum() - 1) else { return };
        let primary = voters.primary(ballot.view);
        signatures.push(Signed { seat: primary, signature: proposal.signature.clone() });
        signatures.sort_unstable_by_key(|signed| signed.seat);
        self.prepared = Some((proposal.header.clone(), Certificate { ballot, signatures }));
    }

    /// Whether the proposal of `view` is prepared.
    pub fn is_prepared_in(&self, view: View) -> bool {
        self.prepared.as_ref().is_some_and(|(_, certificate)| certificate.ballot.view == view)
    }

    /// Makes the block committed that n − f replicas have signed commits for. That this replica has prepared it too is
    /// not asked (OSDI 4.2 does, to execute): f + 1 honest ones have, and that is what makes it final.
    pub fn commit(&mut self, voters: &Voters) {
        if self.committed.is_some() {
            return;
        }
        let quorum = voters.quorum();
        while let Some(ballot) = self.commits.leading(quorum) {
            if let Some(signatures) = self.commits.take(voters, &ballot, quorum) {
                self.committed = Some(Certificate { ballot, signatures });
                return;
            }
        }
    }

    /// Whether something is under way here.
    pub fn is_open(&self) -> bool {
        self.proposal.is_some() || !self.prepares.is_empty() || !self.commits.is_empty()
    }

    /// Digests of blocks that may still be needed.
    pub fn digests(&self) -> impl Iterator<Item = Digest> + '_ {
        let proposed = self.proposal.as_ref().map(|proposal| proposal.ballot.digest);
        let prepared = self.prepared.as_ref().map(|(_, certificate)| certificate.ballot.digest);
        let committed = self.committed.as_ref().map(|certificate| certificate.ballot.digest);
        proposed.into_iter().chain(prepared).chain(committed)
    }

    /// Begins a view: nothing is proposed yet, what was prepared stays.
    pub fn enter(&mut self, view: View) {
        self.proposal = None;
        self.committing = false;
        self.prepares.forget_before(view);
        self.commits.forget_before(view);
    }
}
