//! How epochs begin: by height, with a seal where a committee votes, or by a decree that replaces it.

use crate::{
    committee::{
        epoch_opening::EpochOpening,
        replacement::{Decree, MAX_EPOCHS_SKIPPED, Replacement},
    },
    error::Error,
    roster::{
        Roster,
        calendar::{Calendar, MAX_CUTS},
    },
    state::State,
    types::{Epoch, Height},
};
use std::sync::Arc;

impl State {
    /// Height and epoch of the next block, if it embeds this.
    pub(crate) fn next(&self, mandate: Option<&EpochOpening>) -> (Height, Epoch) {
        let decreed = mandate.and_then(EpochOpening::decree).map(|decree| decree.epoch);
        (self.height().next(), decreed.unwrap_or_else(|| self.next_epoch()))
    }

    /// The epoch of the next block, unless a decree begins another one.
    pub fn next_epoch(&self) -> Epoch {
        self.calendar.epoch_of(self.height().next())
    }

    /// Which heights belong to which epoch, as far as decrees in the chain tell.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// Whether the next block must embed a [`EpochOpening`]: it begins an epoch in a chain with a committee.
    pub fn needs_mandate(&self) -> bool {
        self.genesis.has_committee() && self.begins_epoch()
    }

    /// Whether the next block is the first of an epoch.
    pub fn begins_epoch(&self) -> bool {
        self.next_epoch() != self.epoch()
    }

    /// Checks what the next block embeds against that.
    pub fn check_mandate(&self, mandate: Option<&EpochOpening>) -> Result<(), Error> {
        let height = self.height().next();
        let fails = |why| Err(Error::EpochOpening { height, why });
        match mandate {
            Some(EpochOpening::Decree(replacement)) => self.check_replacement(replacement),
            None if self.needs_mandate() => fails("it begins an epoch, but the block before is not sealed"),
            None => Ok(()),
            Some(_) if !self.needs_mandate() => fails("it does not begin a committee's epoch"),
            Some(EpochOpening::Seal(seal)) => {
                seal.verify(&self.chain, &self.schedule.current.authorities, &self.header)
            }
        }
    }

    /// Checks a decree that names the last block: by the operators, for a later epoch than the one that was to go on, of
    /// a committee of its authorities.
    pub fn check_decree(&self, decree: &Decree) -> Result<(), Error> {
        let fails = |why| Err(Error::Decree { after: decree.after, why });
        if !self.genesis.has_committee() {
            return fails("all authorities vote in this chain");
        }
        if decree.chain != self.chain {
            return Err(Error::Chain { found: decree.chain, want: self.chain });
        }
        if (decree.after, decree.block) != (self.height(), self.block) {
            return fails("another block is the newest here");
        }
        if decree.nonce != self.nonce {
            return Err(Error::Nonce { found: decree.nonce, want: self.nonce });
        }
        let stalled = self.next_epoch();
        if decree.epoch <= stalled || decree.epoch.get() - stalled.get() > MAX_EPOCHS_SKIPPED {
            return fails("its epoch is not after the one that has stalled, or too far after it");
        }
        if decree.voters.len() % 3 != 1 {
            return fails("its voters are not 3 f + 1");
        }
        if self.calendar.cuts().len() >= MAX_CUTS {
            return fails("there were too many before");
        }
        if let Some(stranger) = decree.voters.keys().find(|key| !self.stalled().authorities.contains(key)) {
            return Err(Error::NotAuthority(stranger.clone()));
        }
        decree.verify(&self.operators)
    }

    /// Checks that a decree which names the last block is in force.
    pub fn check_replacement(&self, replacement: &Replacement) -> Result<(), Error> {
        self.check_decree(&replacement.decree)?;
        replacement.verify(&self.stalled().authorities)
    }

    /// Who serves in the epoch of the next block, which a decree may cut short.
    pub fn stalled(&self) -> &Arc<Roster> {
        if self.begins_epoch() { &self.schedule.next } else { &self.schedule.current }
    }

    /// Who serves in the epoch that a decree begins, and in the one after: its voters, and the authorities of the epoch
    /// that has stalled. Changes of them that were to come wait for two epochs more, so that those who promised to
    /// follow the decree and those who sign roots after it are the same.
    pub fn decreed(&self, decree: &Decree) -> [Roster; 2] {
        let (authorities, voters) = (&self.stalled().authorities, Arc::new(decree.voters.clone()));
        [decree.epoch, decree.epoch.next()]
            .map(|epoch| self.election.roster(authorities.clone(), voters.clone(), epoch, &self.genesis))
    }

    /// Begins the epoch that a decree in force names.
    pub(crate) fn replace(&mut self, decree: &Decree) {
        let ([current, next], stalled) = (self.decreed(decree), self.stalled().clone());
        self.schedule.replace(decree.epoch, stalled, current, next);
        self.calendar = self.calendar.cut(decree.first(), decree.epoch);
        self.election.discard();
        self.nonce += 1;
    }

    /// The next view, if none is skipped.
    pub(super) fn next_view(&self, mandate: Option<&EpochOpening>) -> u64 {
        let (_, epoch) = self.next(mandate);
        if epoch == self.epoch() { self.header.view + 1 } else { 1 }
    }
}
