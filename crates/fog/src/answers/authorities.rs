//! Who serves, who leads how often, and how good each one's service is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use voltmesh_consensus::Peer;
use voltmesh_ledger::{Epoch, PERFECT, PROBATION, PublicKey, Roster, State};

use super::{Names, millis, percent, running_epoch, share_ppm};

/// What an authority does in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Makes blocks final.
    Voter,
    /// Anchors and signs log roots, but the committee votes.
    Follower,
    /// Does not serve.
    None,
}

/// A place in one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seat {
    /// What it does.
    pub role: Role,
    /// Share of turns as leader, percent.
    pub turns_percent: f64,
}

/// Where a convicted authority is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quarantined {
    /// It no longer serves.
    Out,
    /// It serves in this epoch, and at most in the next; then it is out.
    Leaving,
    /// As many as may be out are out already: it votes, without a turn as leader, until there is a place.
    Waiting,
}

/// What `/chain/authorities` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Authorities {
    /// Newest final block.
    pub height: u64,
    /// Epoch of the next block.
    pub epoch: u64,
    /// Height of its last block.
    pub epoch_ends_at: u64,
    /// Whether only a committee votes in this epoch.
    pub has_committee: bool,
    /// How many vote in this epoch.
    pub voters: usize,
    /// Votes that make a block final.
    pub quorum: usize,
    /// Faulty voters that this epoch tolerates.
    pub faults: usize,
    /// Everyone who is admitted, or still serves; by key.
    pub authorities: Vec<Authority>,
}

/// One of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Authority {
    /// Its key.
    pub key: String,
    /// Its name, if known.
    pub name: Option<String>,
    /// Whether it is the node that answers.
    pub this_node: bool,
    /// Height that it says it has; absent if it was not heard in the last 5 s.
    pub height: Option<u64>,
    /// Its place in the epoch of the next block.
    pub this_epoch: Seat,
    /// Its place in the epoch after.
    pub next_epoch: Seat,
    /// Convicted, and where it is because of it.
    pub quarantine: Option<Quarantined>,
    /// Epochs left in which it leads only by the exploration floor.
    pub probation_epochs: u32,
    /// First epoch in which a newcomer serves; absent of those that serve already.
    pub admitted_from_epoch: Option<u64>,
    /// Last epoch in which it serves, once the operators have removed it or rotated its key.
    pub serves_until_epoch: Option<u64>,
}

/// Rosters of the epoch under way and of the one after, and everyone in them or admitted.
struct Seats<'a> {
    epoch: Epoch,
    this: Option<&'a Roster>,
    next: Option<&'a Roster>,
    keys: BTreeSet<&'a PublicKey>,
}

impl<'a> Seats<'a> {
    fn of(state: &'a State) -> Self {
        let epoch = running_epoch(state);
        let this = state.roster_for(epoch).map(|roster| &**roster);
        let next = state.roster_for(epoch.next()).map(|roster| &**roster);
        let serving = [this, next].into_iter().flatten().flat_map(|roster| roster.authorities.keys());
        let keys = serving.chain(state.admitted().keys()).collect();
        Self { epoch, this, next, keys }
    }
}

fn seat(roster: Option<&Roster>, key: &PublicKey) -> Seat {
    let role = match roster {
        Some(roster) if roster.voters.contains(key) => Role::Voter,
        Some(roster) if roster.authorities.contains(key) => Role::Follower,
        _ => Role::None,
    };
    Seat { role, turns_percent: roster.map_or(0.0, |roster| percent(share_ppm(roster, key))) }
}

/// Epochs of probation left. Whom no block has told of yet is a newcomer.
fn probation(state: &State, key: &PublicKey) -> u32 {
    state.standing(key).map_or(PROBATION, |standing| standing.probation)
}

/// Where a convicted authority is; `None` if it is not convicted.
pub(super) fn quarantine(state: &State, key: &PublicKey) -> Option<Quarantined> {
    state.convicted().get(key)?;
    let serves = state.authorities_for(running_epoch(state)).is_some_and(|set| set.contains(key));
    Some(match (serves, state.quarantined().contains(key)) {
        (false, _) => Quarantined::Out,
        (true, true) => Quarantined::Leaving,
        (true, false) => Quarantined::Waiting,
    })
}

impl Authorities {
    /// As `state` has it; `me` answers, and `peers` are those it hears.
    pub fn new(state: &State, me: &PublicKey, peers: &[Peer], names: &Names) -> Self {
        let seats = Seats::of(state);
        let heights: BTreeMap<&PublicKey, u64> =
            peers.iter().map(|peer| (&peer.key, peer.height.get())).collect();
        let authorities = seats.keys.iter().map(|key| {
            let (this_epoch, next_epoch) = (seat(seats.this, key), seat(seats.next, key));
            let admitted = state.admitted().contains(key);
            let quarantine = quarantine(state, key);
            let comes = admitted && quarantine.is_none() && this_epoch.role == Role::None;
            let first = if next_epoch.role == Role::None { 2 } else { 1 };
            let last = u64::from(next_epoch.role != Role::None);
            let this_node = *key == me;
            Authority {
                key: key.to_string(),
                name: names.of(key),
                this_node,
                height: if this_node { Some(state.height().get()) } else { heights.get(key).copied() },
                quarantine,
                probation_epochs: probation(state, key),
                admitted_from_epoch: comes.then(|| seats.epoch.get() + first),
                serves_until_epoch: (!admitted).then(|| seats.epoch.get() + last),
                this_epoch,
                next_epoch,
            }
        });
        let voters = seats.this.map(|roster| &roster.voters);
        let length = state.genesis().epoch_length;
        Self {
            height: state.height().get(),
            epoch: seats.epoch.get(),
            epoch_ends_at: (seats.epoch.get() + 1).saturating_mul(length) - 1,
            has_committee: seats.this.is_some_and(Roster::has_committee),
            voters: voters.map_or(0, |set| set.len()),
            quorum: voters.map_or(0, |set| set.quorum()),
            faults: voters.map_or(0, |set| set.faults()),
            authorities: authorities.collect(),
        }
    }
}

/// What `/chain/scores` answers. Counts are of the epoch of the newest block, scores and round trips of the last one that
/// ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scores {
    /// Newest final block.
    pub height: u64,
    /// Its epoch.
    pub epoch: u64,
    /// Certificates that blocks of this epoch have embedded.
    pub certificates: u32,
    /// Votes in each that would come to everyone if all were equally fast.
    pub fair_votes_percent: f64,
    /// By key.
    pub authorities: Vec<Score>,
}

/// Quality of service of one authority.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Score {
    /// Its key.
    pub key: String,
    /// Its name, if known.
    pub name: Option<String>,
    /// 100 is the best.
    pub score_percent: f64,
    /// Embedded certificates that hold its vote.
    pub votes: u32,
    /// Blocks that it led to.
    pub proposed: u32,
    /// Turns as leader that brought none.
    pub missed: u32,
    /// Trimmed mean of its round trips to the others; absent if they have hardly reported any.
    pub round_trip_ms: Option<f64>,
    /// Whether it has reported its own measurements in this epoch.
    pub reported: bool,
    /// Epochs left in which it leads only by the exploration floor.
    pub probation_epochs: u32,
    /// Convicted, and where it is because of it.
    pub quarantine: Option<Quarantined>,
    /// Share of turns as leader in the epoch of the next block.
    pub turns_percent: f64,
    /// Share of turns in the epoch after.
    pub next_turns_percent: f64,
}

impl Scores {
    /// As `state` has it.
    pub fn new(state: &State, names: &Names) -> Self {
        let seats = Seats::of(state);
        let authorities = seats.keys.iter().map(|key| {
            let standing = state.standing(key);
            let count = |count: fn(&voltmesh_ledger::Standing) -> u32| standing.map_or(0, count);
            Score {
                key: key.to_string(),
                name: names.of(key),
                score_percent: percent(count(|standing| standing.score)),
                votes: count(|standing| standing.votes),
                proposed: count(|standing| standing.proposed),
                missed: count(|standing| standing.missed),
                round_trip_ms: standing.and_then(|standing| standing.round_trip_us).map(millis),
                reported: state.has_reported(key),
                probation_epochs: probation(state, key),
                quarantine: quarantine(state, key),
                turns_percent: seat(seats.this, key).turns_percent,
                next_turns_percent: seat(seats.next, key).turns_percent,
            }
        });
        let fair = seats.this.map_or(0.0, |roster| {
            let voters = &roster.voters;
            percent(PERFECT) * voters.quorum() as f64 / voters.len() as f64
        });
        Self {
            height: state.height().get(),
            epoch: state.epoch().get(),
            certificates: state.certificates(),
            fair_votes_percent: fair,
            authorities: authorities.collect(),
        }
    }
}
