//! The history of a chain's authorities, from genesis over hand-overs: who counts in which epoch.

use crate::{
    authorities::AuthoritySet,
    codec::count,
    committee::replacement::Replacement,
    error::Error,
    genesis::Genesis,
    proof::handover::{EpochEnd, Handover},
    roster::{Roster, calendar::Calendar},
    types::{Digest, Epoch},
};
use std::{collections::BTreeMap, sync::Arc};

/// Most changes of authorities that a trust file follows.
pub const MAX_HANDOVERS: usize = 4096;

/// Authorities and voters of all epochs, as far as hand-overs tell. Each set was handed over by more than two thirds of one
/// that was trusted before, starting from genesis; where a committee votes, by more than two thirds of all authorities
/// besides.
#[derive(Clone, Debug)]
pub struct AuthorityHistory {
    genesis: Genesis,
    chain: Digest,
    /// Sets by the first epoch in which they serve; each until the next one.
    sets: BTreeMap<Epoch, Sets>,
    calendar: Calendar,
    handovers: Vec<Handover>,
    /// The latest epoch of which a final block was seen, beside those that hand-overs name.
    seen: Epoch,
}

/// The authorities of some epochs, and those of them that vote.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sets {
    authorities: Arc<AuthoritySet>,
    voters: Arc<AuthoritySet>,
}

impl AuthorityHistory {
    /// The history of a chain of which no hand-over is known.
    pub(crate) fn new(genesis: Genesis) -> Self {
        let Roster { authorities, voters, .. } = genesis.roster();
        let sets = BTreeMap::from([(Epoch::zero(), Sets { authorities, voters })]);
        let calendar = Calendar::new(genesis.epoch_length);
        Self { chain: genesis.digest(), genesis, sets, calendar, handovers: Vec::new(), seen: Epoch::zero() }
    }

    /// The genesis.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The chain's identity.
    pub fn chain(&self) -> Digest {
        self.chain
    }

    /// The authorities of an epoch, as far as the hand-overs seen tell.
    pub fn authorities_for(&self, epoch: Epoch) -> Option<&Arc<AuthoritySet>> {
        self.sets_for(epoch).map(|sets| &sets.authorities)
    }

    /// Those of them that make blocks final.
    pub fn voters_for(&self, epoch: Epoch) -> Option<&Arc<AuthoritySet>> {
        self.sets_for(epoch).map(|sets| &sets.voters)
    }

    /// Which heights belong to which epoch, as far as the hand-overs seen tell.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// The last epoch whose authorities and voters are known. Of a later one the same are assumed, and the hand-over that says
    /// otherwise may be missing.
    ///
    /// Where all vote, genesis names those of epochs 0 and 1, and the end of each epoch those of the next but one. Where a
    /// committee votes, a decree may still put others in their place: an epoch is known once a block of it was final.
    pub fn known_until(&self) -> Epoch {
        let sure = !self.genesis.has_committee();
        let genesis = if sure { Epoch::zero().next() } else { Epoch::zero() };
        let handovers = self.handovers.iter().map(|handover| match handover {
            Handover::Epoch(end) if sure => end.epoch(),
            Handover::Epoch(end) => end.header.epoch,
            Handover::Decree(replacement) => replacement.decree.epoch,
        });
        handovers.fold(genesis.max(self.seen), Epoch::max)
    }

    /// Notes that a block of that epoch was proven final.
    pub(crate) fn saw_final(&mut self, epoch: Epoch) {
        self.seen = self.seen.max(epoch);
    }

    /// First epochs of new authorities or voters, in order.
    pub fn changes(&self) -> impl Iterator<Item = Epoch> {
        self.sets.keys().copied()
    }

    fn sets_for(&self, epoch: Epoch) -> Option<&Sets> {
        self.sets.range(..=epoch).next_back().map(|(_, sets)| sets)
    }

    /// Hand-overs that changed the authorities, in order.
    pub fn handovers(&self) -> &[Handover] {
        &self.handovers
    }

    /// Follows a hand-over. True if it changed the authorities, false if it says what is known.
    pub fn extend(&mut self, handover: &Handover) -> Result<bool, Error> {
        if self.handovers.iter().any(|known| known.says(handover)) {
            return Ok(false);
        }
        let changed = match handover {
            Handover::Epoch(end) => self.follow(end)?,
            Handover::Decree(replacement) => self.replace(replacement).map(|()| true)?,
        };
        if changed {
            self.handovers.push(handover.clone());
        }
        Ok(changed)
    }

    fn follow(&mut self, handover: &EpochEnd) -> Result<bool, Error> {
        let header = &handover.header;
        let fails = |why| Err(Error::Handover { height: header.height, why });
        if !self.calendar.ends_epoch(header.height) || self.calendar.epoch_of(header.height) != header.epoch {
            return fails("not the last block of its epoch");
        }
        let (authorities, committee) = (&handover.authorities, handover.committee.as_ref());
        if Roster::digest_of(authorities, committee) != header.authorities {
            return fails("the header names other authorities");
        }
        Roster::check(authorities, committee.unwrap_or(authorities))?;
        let Some(current) = self.voters_for(header.epoch) else {
            return Err(Error::UnknownEpoch(header.epoch));
        };
        handover.certificate.verify(&self.chain, current, header)?;
        match (&handover.seal, self.authorities_for(header.epoch)) {
            (Some(seal), Some(all)) if self.genesis.has_committee() => {
                seal.verify(&self.chain, all, header)?
            }
            (None, _) if !self.genesis.has_committee() => {}
            (None, _) => return fails("a committee's word alone, without a seal"),
            (Some(_), _) => return fails("a seal where all authorities vote"),
        }
        let from = handover.epoch();
        let authorities = Arc::new(authorities.clone());
        let voters = committee.map_or_else(|| authorities.clone(), |committee| Arc::new(committee.clone()));
        let sets = Sets { authorities, voters };
        if self.sets_for(from) == Some(&sets) {
            return Ok(false);
        }
        // A decree in the epoch between has let nothing come of it.
        let between = header.height.get() + 1..=header.height.get() + self.genesis.epoch_length;
        if self.calendar.cuts().any(|(first, _)| between.contains(&first.get())) {
            return Ok(false);
        }
        if self.sets.last_key_value().is_some_and(|(last, _)| *last >= from) {
            return fails("contradicts a later hand-over; keep both as evidence");
        }
        count("hand-overs", self.handovers.len() + 1, 1, MAX_HANDOVERS)?;
        self.sets.insert(from, sets);
        Ok(true)
    }

    /// More than two thirds of the authorities follow the decree, so at least f + 1 honest ones have checked that it is
    /// the operators'.
    fn replace(&mut self, replacement: &Replacement) -> Result<(), Error> {
        let decree = &replacement.decree;
        let fails = |why| Err(Error::Decree { after: decree.after, why });
        if !self.genesis.has_committee() {
            return fails("all authorities vote in this chain");
        }
        if decree.chain != self.chain {
            return Err(Error::Chain { found: decree.chain, want: self.chain });
        }
        let first = decree.first();
        let later = |known: &Handover| known.height() >= first;
        let stalled = self.calendar.epoch_of(first);
        if self.handovers.iter().any(later) || decree.epoch <= stalled {
            return fails("contradicts a later hand-over; keep both as evidence");
        }
        let Some(Sets { authorities, .. }) = self.sets_for(stalled).cloned() else {
            return Err(Error::UnknownEpoch(stalled));
        };
        Roster::check(&authorities, &decree.voters)?;
        replacement.verify(&authorities)?;
        // Who the operators were, those who follow have checked. What they signed must still be what it was.
        decree.verify_signatures()?;
        count("hand-overs", self.handovers.len() + 1, 1, MAX_HANDOVERS)?;
        // What was to come after the epoch that stalled never does.
        self.sets.retain(|from, _| *from <= stalled);
        self.sets.insert(decree.epoch, Sets { authorities, voters: Arc::new(decree.voters.clone()) });
        self.calendar = self.calendar.cut(first, decree.epoch);
        Ok(())
    }
}
