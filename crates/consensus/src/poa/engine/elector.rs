//! Leaders by quality of service, for simplex: the schedule that the ledger has fixed for an epoch.

use commonware_consensus::{
    simplex::elector::{Config, Elector, Scheduled, Terms},
    types::{Participant, Round, TermLength, ViewDelta},
};
use commonware_utils::ordered::Set;
use std::{num::NonZeroU32, sync::Arc, time::Duration};
use voltmesh_ledger::{PublicKey, Roster, Scheme};

/// The leaders of one epoch. Nothing depends on certificates, which differ between honest nodes.
#[derive(Clone)]
pub(crate) struct ByQuality {
    roster: Arc<Roster>,
    terms: Terms,
}

impl ByQuality {
    /// `stall` and `optimistic_views` are local policy, see [`Terms::stable`]; both are of use only for terms of several
    /// views.
    pub fn new(roster: Arc<Roster>, stall: Duration, optimistic_views: u64) -> Self {
        let terms = match NonZeroU32::new(roster.leaders.term_length()) {
            Some(length) if length.get() > 1 => {
                Terms::stable(TermLength::new(length), stall, ViewDelta::new(optimistic_views))
            }
            _ => Terms::rotating(),
        };
        Self { roster, terms }
    }
}

impl Config<Scheme> for ByQuality {
    type Elector = Self;

    fn build(self, participants: &Set<PublicKey>) -> Self {
        assert!(participants == self.roster.voters.as_set(), "leaders are elected among the epoch's voters");
        self
    }
}

impl Elector<Scheme> for ByQuality {
    type Mode = Scheduled;

    fn terms(&self) -> Terms {
        self.terms
    }

    fn elect(&self, round: Round, (): ()) -> Participant {
        Participant::new(self.roster.leaders.leader(round.view().get()) as u32)
    }
}
