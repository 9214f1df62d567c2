//! Who serves in which epoch, how well, and who is out.

use crate::{
    authorities::AuthoritySet,
    block::justification::Justification,
    election::{Ancestor, Quarantine, Standing},
    roster::{Roster, schedule::Schedule},
    state::State,
    types::{Digest, Epoch, PublicKey},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

impl State {
    /// Who serves in an epoch, as far as this state knows it for certain: the epoch before the last block's, its own,
    /// the next one, and after an epoch's last block the next but one.
    pub fn roster_for(&self, epoch: Epoch) -> Option<&Arc<Roster>> {
        let planned = epoch.get() == self.schedule.epoch.get() + 2 && self.calendar.ends_epoch(self.height());
        self.schedule.roster(epoch).or_else(|| planned.then_some(&self.schedule.planned))
    }

    /// The authorities of an epoch that [`Self::roster_for`] knows.
    pub fn authorities_for(&self, epoch: Epoch) -> Option<&Arc<AuthoritySet>> {
        self.roster_for(epoch).map(|roster| &roster.authorities)
    }

    /// Who serves in the next-but-one epoch as planned so far; what headers name.
    pub fn planned(&self) -> &Arc<Roster> {
        &self.schedule.planned
    }

    /// The authorities of the next-but-one epoch as planned so far.
    pub fn planned_authorities(&self) -> &Arc<AuthoritySet> {
        &self.schedule.planned.authorities
    }

    /// Whom the operators have admitted, in quarantine or not.
    pub fn admitted(&self) -> &Arc<AuthoritySet> {
        &self.schedule.admitted
    }

    /// Keys that were admitted once and are not any more.
    pub fn retired(&self) -> &BTreeSet<PublicKey> {
        &self.schedule.retired
    }

    /// Of [`Self::retired`], those that were rotated, and the keys that took their places.
    pub fn successors(&self) -> &BTreeMap<PublicKey, PublicKey> {
        &self.schedule.successors
    }

    /// What blocks so far say of an admitted authority. `None` of one that no block has told of yet.
    pub fn standing(&self, key: &PublicKey) -> Option<&Standing> {
        self.election.standing(key)
    }

    /// Certificates that blocks of this epoch have embedded.
    pub fn certificates(&self) -> u32 {
        self.election.certificates()
    }

    /// Authorities convicted by evidence and not pardoned.
    pub fn convicted(&self) -> &BTreeMap<PublicKey, Quarantine> {
        self.election.convicted()
    }

    /// Those of them that will not serve in the next-but-one epoch: at most f, the others wait for a place.
    pub fn quarantined(&self) -> Vec<PublicKey> {
        self.election.quarantined(&self.schedule.admitted)
    }

    /// Whether `authority` has reported its round trips in this epoch.
    pub fn has_reported(&self, authority: &PublicKey) -> bool {
        self.election.has_reported(authority)
    }

    /// Blocks that the next one may embed votes for, the last block first.
    pub fn ancestors(&self) -> impl Iterator<Item = Digest> {
        let older = self.election.ancestors().iter().rev().map(|ancestor: &Ancestor| ancestor.block);
        std::iter::once(self.block).chain(older)
    }

    /// Whether the votes that a next block embeds are those of their epoch's voters.
    pub fn verify_votes(&self, votes: &Justification) -> bool {
        let roster = self.schedule.roster(votes.epoch());
        roster.is_some_and(|roster| votes.verify(&self.chain, &roster.voters))
    }

    /// Plans `epoch`, if the plan may have changed or is `settled` now.
    pub(crate) fn plan(&mut self, epoch: Epoch, settled: bool) {
        let Schedule { admitted, planned, .. } = &self.schedule;
        let out = self.election.quarantined(admitted);
        let same = planned.authorities.keys().eq(admitted.keys().filter(|key| !out.contains(key)));
        if settled || !same {
            let incumbents = &self.schedule.current.voters;
            self.schedule.planned = Arc::new(self.election.plan(admitted, epoch, incumbents, &self.genesis));
        }
    }
}
