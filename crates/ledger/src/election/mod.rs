//! Election by quality of service: what final blocks say about each authority, and who leads because of it.
//!
//! Everything here is a pure function of blocks, in integers. What epoch e + 2 uses is settled by the last block of
//! epoch e. A header commits to all of it, so nodes that came to different scores refuse each other's blocks: they may
//! stall, never fork.

mod codec;
mod score;

pub use score::PERFECT;

use crate::{
    authorities::AuthoritySet,
    block::{
        equivocation::Offence,
        justification::Justification,
        round_trips::{RoundTrips, UNREACHABLE},
    },
    error::Error,
    genesis::Genesis,
    roster::{Roster, leaders::Leaders, schedule::Schedule},
    types::{Digest, Epoch, Height, MIN_AUTHORITIES, PublicKey},
};
use commonware_cryptography::{Hasher, Sha256};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Ancestors that a block may embed votes for: twice the views that run ahead of certificates, with room.
pub const MAX_ANCESTORS: usize = 16;

/// Epochs in which a newcomer, or one that the operators let return, leads only by the exploration floor.
pub const PROBATION: u32 = 2;

/// Turns of leaders booked as missed between two blocks, per voter. After an outage all are to blame and none is.
const MAX_MISSED_ROUNDS: u64 = 4;

/// How much better than a member of the committee a challenger must be, in parts per million of the score.
const INCUMBENCY: u64 = 100_000;

/// Score and counts of an authority. Counts are of the running epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Quality of service in parts per million, after the last epoch that ended.
    pub score: u32,
    /// Embedded certificates that hold its vote.
    pub votes: u32,
    /// Blocks that it led to.
    pub proposed: u32,
    /// Turns as leader that brought none.
    pub missed: u32,
    /// Epochs left in which only the exploration floor lets it lead.
    pub probation: u32,
    /// Trimmed mean of its round trips in the last epoch that ended, in microseconds.
    pub round_trip_us: Option<u32>,
}

impl Standing {
    fn newcomer() -> Self {
        Self { score: 0, votes: 0, proposed: 0, missed: 0, probation: PROBATION, round_trip_us: None }
    }

    fn founder() -> Self {
        Self { score: PERFECT, probation: 0, ..Self::newcomer() }
    }
}

/// Conviction of an authority by evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Height of the block that holds the evidence.
    pub since: Height,
    /// Of what.
    pub offence: Offence,
    /// Epoch of the votes.
    pub epoch: Epoch,
    /// View of the votes.
    pub view: u64,
}

/// Block of the chain that no later block has embedded votes for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Its digest.
    pub block: Digest,
    /// Its height.
    pub height: Height,
    /// Its epoch.
    pub epoch: Epoch,
    /// The view in which it was proposed.
    pub view: u64,
}

/// Scores, convictions and reports that decide who leads. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Election {
    standings: Arc<BTreeMap<PublicKey, Standing>>,
    /// Convicted and not pardoned, also those that wait for a place in quarantine.
    convicted: Arc<BTreeMap<PublicKey, Quarantine>>,
    /// Round trips reported in this epoch.
    reports: Arc<BTreeMap<PublicKey, Vec<u32>>>,
    /// Certificates embedded in this epoch.
    certificates: u32,
    ancestors: Arc<VecDeque<Ancestor>>,
}

impl Election {
    pub fn new(first: &AuthoritySet) -> Self {
        let standings = first.keys().map(|key| (key.clone(), Standing::founder())).collect();
        Self {
            standings: Arc::new(standings),
            convicted: Arc::default(),
            reports: Arc::default(),
            certificates: 0,
            ancestors: Arc::default(),
        }
    }

    pub fn standing(&self, key: &PublicKey) -> Option<&Standing> {
        self.standings.get(key)
    }

    pub fn convicted(&self) -> &BTreeMap<PublicKey, Quarantine> {
        &self.convicted
    }

    pub fn certificates(&self) -> u32 {
        self.certificates
    }

    /// Blocks that the next one may embed votes for, the newest last; the last block itself is not among them yet.
    pub fn ancestors(&self) -> &VecDeque<Ancestor> {
        &self.ancestors
    }

    pub fn has_reported(&self, key: &PublicKey) -> bool {
        self.reports.contains_key(key)
    }

    pub(crate) fn change(&mut self, key: &PublicKey, change: impl FnOnce(&mut Standing)) {
        let standings = Arc::make_mut(&mut self.standings);
        change(standings.entry(key.clone()).or_insert_with(Standing::newcomer));
    }

    /// Goes on from `parent` to a block in `view`: books the leaders' turns between them.
    pub fn follow(&mut self, parent: Ancestor, epoch: Epoch, view: u64, roster: &Roster) {
        let before = if parent.epoch == epoch { parent.view } else { 0 };
        if parent.height > Height::zero() {
            let ancestors = Arc::make_mut(&mut self.ancestors);
            ancestors.push_back(parent);
            if ancestors.len() > MAX_ANCESTORS {
                ancestors.pop_front();
            }
        }
        let (voters, leaders) = (&roster.voters, &roster.leaders);
        let leader = |term| voters.get(leaders.leader_of_term(term));
        let mut book = |term, change: fn(&mut Standing)| {
            if let Some(key) = leader(term) {
                self.change(key, change);
            }
        };
        let term = leaders.term_of(view);
        let first = if before == 0 { 0 } else { leaders.term_of(before) + 1 };
        if before > 0 && term >= first && !leaders.ends_term(before) {
            // Its term was cut short.
            book(leaders.term_of(before), |standing| standing.missed += 1);
        }
        for missed in (first..term).take(MAX_MISSED_ROUNDS as usize * voters.len()) {
            book(missed, |standing| standing.missed += 1);
        }
        book(term, |standing| standing.proposed += 1);
    }

    /// Books the votes that a block embeds. Their signatures are checked apart.
    pub fn justify(&mut self, votes: &Justification, schedule: &Schedule) -> Result<(), Error> {
        let fails = |why| Error::Justification { block: votes.block(), why };
        let Some(at) = self.ancestors.iter().position(|ancestor| ancestor.block == votes.block()) else {
            return Err(fails("not for one of the last blocks, or an older one than was embedded before"));
        };
        let ancestor = &self.ancestors[at];
        // The last block of an epoch is proposed again in later views until it is final.
        if votes.epoch() != ancestor.epoch || votes.view() < ancestor.view {
            return Err(fails("of another round"));
        }
        let Some(roster) = schedule.roster(ancestor.epoch) else {
            return Err(fails("of an epoch whose voters are forgotten"));
        };
        let voters = roster.voters.clone();
        let signers: Vec<PublicKey> = votes.signers(&voters).cloned().collect();
        if signers.len() < voters.quorum() {
            return Err(fails("too few votes"));
        }
        signers.iter().for_each(|key| self.change(key, |standing| standing.votes += 1));
        self.certificates = self.certificates.saturating_add(1);
        Arc::make_mut(&mut self.ancestors).drain(..=at);
        Ok(())
    }

    /// Notes what an authority of `roster` measured in this epoch.
    pub fn report(&mut self, report: &RoundTrips, epoch: Epoch, roster: &Roster) -> Result<(), Error> {
        let fails = |why| Error::RoundTrips { by: report.authority.clone(), why };
        if !roster.authorities.contains(&report.authority) {
            return Err(Error::NotAuthority(report.authority.clone()));
        }
        if report.epoch != epoch {
            return Err(fails("of another epoch"));
        }
        if report.micros.len() != roster.authorities.len() {
            return Err(fails("not one for each authority"));
        }
        if self.has_reported(&report.authority) {
            return Err(fails("reported already in this epoch"));
        }
        Arc::make_mut(&mut self.reports).insert(report.authority.clone(), report.micros.clone());
        Ok(())
    }

    /// Convicts an authority.
    pub fn convict(&mut self, key: &PublicKey, of: Quarantine) -> Result<(), Error> {
        if self.convicted.contains_key(key) {
            return Err(Error::Convicted(key.clone()));
        }
        Arc::make_mut(&mut self.convicted).insert(key.clone(), of);
        self.change(key, |standing| standing.score = 0);
        Ok(())
    }

    /// The operators let it return: without a score, on probation.
    pub fn pardon(&mut self, key: &PublicKey) -> Result<(), Error> {
        if Arc::make_mut(&mut self.convicted).remove(key).is_none() {
            return Err(Error::NotConvicted(key.clone()));
        }
        self.change(key, |standing| {
            standing.score = 0;
            standing.probation = PROBATION;
        });
        Ok(())
    }

    /// Ends an epoch: turns its counts into scores.
    pub fn settle(&mut self, roster: &Roster, admitted: &AuthoritySet) {
        let (authorities, voters) = (&roster.authorities, &roster.voters);
        let trips = score::round_trips(authorities, &self.reports);
        let mut next = BTreeMap::new();
        for key in admitted.keys() {
            let mut standing = self.standings.get(key).cloned().unwrap_or_else(Standing::newcomer);
            if let Some(at) = authorities.as_set().position(key) {
                standing.round_trip_us = trips[at];
                let present = if voters.contains(key) {
                    score::participation(standing.votes, self.certificates, voters.len(), voters.quorum())
                } else {
                    // Who does not vote shows only by its reports that it is there.
                    Some(if self.reports.contains_key(key) { PERFECT } else { 0 })
                };
                if let Some(present) = present {
                    let led = score::leadership(standing.proposed, standing.missed);
                    let quality = score::quality(present, led, score::latency(trips[at], &trips));
                    standing.score = score::decay(standing.score, quality);
                }
                standing.probation = standing.probation.saturating_sub(1);
            }
            if self.convicted.contains_key(key) {
                standing.score = 0;
            }
            (standing.votes, standing.proposed, standing.missed) = (0, 0, 0);
            next.insert(key.clone(), standing);
        }
        self.standings = Arc::new(next);
        self.reports = Arc::default();
        self.certificates = 0;
        let gone = |key: &&PublicKey| !admitted.contains(key);
        if self.convicted.keys().any(|key| gone(&key)) {
            Arc::make_mut(&mut self.convicted).retain(|key, _| admitted.contains(key));
        }
    }

    /// Ends an epoch that a decree has cut short: its counts say nothing of those who could not finish it.
    pub fn discard(&mut self) {
        for standing in Arc::make_mut(&mut self.standings).values_mut() {
            (standing.votes, standing.proposed, standing.missed) = (0, 0, 0);
        }
        self.reports = Arc::default();
        self.certificates = 0;
    }

    /// Those of `admitted` that are out: the first f convicted, as long as enough remain to tolerate a fault.
    pub fn quarantined(&self, admitted: &AuthoritySet) -> Vec<PublicKey> {
        let mut out: Vec<(&Quarantine, &PublicKey)> =
            self.convicted.iter().filter(|(key, _)| admitted.contains(key)).map(|(k, q)| (q, k)).collect();
        out.sort_by_key(|(quarantine, key)| (quarantine.since, (*key).clone()));
        out.truncate(admitted.faults().min(admitted.len() - MIN_AUTHORITIES));
        out.into_iter().map(|(_, key)| key.clone()).collect()
    }

    /// Who would serve in `epoch` if nothing more happened. `incumbents` vote now.
    pub fn plan(
        &self,
        admitted: &Arc<AuthoritySet>,
        epoch: Epoch,
        incumbents: &AuthoritySet,
        genesis: &Genesis,
    ) -> Roster {
        let set = |keys: &mut dyn Iterator<Item = &PublicKey>| match AuthoritySet::new(keys.cloned()) {
            Ok(set) => Arc::new(set),
            Err(_) => unreachable!("at least four of an authority set, none twice"),
        };
        let out = self.quarantined(admitted);
        let authorities = if out.is_empty() {
            admitted.clone()
        } else {
            set(&mut admitted.keys().filter(|key| !out.contains(key)))
        };
        let score = |key: &PublicKey| self.standings.get(key).map_or(0, |standing| standing.score);
        let voters = match genesis.committee {
            Some(k) if usize::from(k) < authorities.len() => {
                let mut ranked: Vec<(u64, &PublicKey)> = authorities
                    .keys()
                    .map(|key| {
                        let bonus = if incumbents.contains(key) { INCUMBENCY } else { 0 };
                        (u64::from(score(key)) * (u64::from(PERFECT) + bonus), key)
                    })
                    .collect();
                ranked.sort_by(|(a, key_a), (b, key_b)| b.cmp(a).then(key_a.cmp(key_b)));
                set(&mut ranked.into_iter().take(k.into()).map(|(_, key)| key))
            }
            _ => authorities.clone(),
        };
        self.roster(authorities, voters, epoch, genesis)
    }

    /// These sets in `epoch`, with leaders by score.
    pub fn roster(
        &self,
        authorities: Arc<AuthoritySet>,
        voters: Arc<AuthoritySet>,
        epoch: Epoch,
        genesis: &Genesis,
    ) -> Roster {
        let score = |key: &PublicKey| self.standings.get(key).map_or(0, |standing| standing.score);
        let scores: Vec<Option<u32>> = voters
            .keys()
            .map(|key| {
                if self.convicted.contains_key(key) {
                    return None;
                }
                let on_probation = self.standings.get(key).is_none_or(|standing| standing.probation > 0);
                Some(if on_probation { 0 } else { score(key) })
            })
            .collect();
        let leaders =
            Leaders::new(&scores, epoch, genesis.epoch_length, genesis.term_length, voters.faults());
        Roster { authorities, voters, leaders }
    }

    /// What headers commit to: everything that later blocks may depend on.
    pub fn digest(&self) -> Digest {
        let mut hasher = Sha256::default();
        hasher.update(b"voltmesh-election-1");
        hasher.update(&self.certificates.to_be_bytes());
        hasher.update(&(self.standings.len() as u64).to_be_bytes());
        for (key, standing) in self.standings.iter() {
            hasher.update(key.as_ref());
            let Standing { score, votes, proposed, missed, probation, round_trip_us } = standing;
            let round_trip = round_trip_us.unwrap_or(UNREACHABLE);
            for count in [score, votes, proposed, missed, probation, &round_trip] {
                hasher.update(&count.to_be_bytes());
            }
        }
        hasher.update(&(self.convicted.len() as u64).to_be_bytes());
        for (key, Quarantine { since, offence, epoch, view }) in self.convicted.iter() {
            hasher.update(key.as_ref());
            hasher.update(&[*offence as u8]);
            for number in [since.get(), epoch.get(), *view] {
                hasher.update(&number.to_be_bytes());
            }
        }
        hasher.update(&(self.reports.len() as u64).to_be_bytes());
        for (key, micros) in self.reports.iter() {
            hasher.update(key.as_ref());
            micros.iter().for_each(|micros| {
                hasher.update(&micros.to_be_bytes());
            });
        }
        for Ancestor { block, height, epoch, view } in self.ancestors.iter() {
            hasher.update(block.as_ref());
            for number in [height.get(), epoch.get(), *view] {
                hasher.update(&number.to_be_bytes());
            }
        }
        hasher.finalize().1
    }
}
