//! Who leads when: a schedule by weight, fixed for an epoch.
//!
//! Smooth weighted round-robin: in each turn everyone gains its weight, the richest leads and pays the sum. So turns
//! are spread evenly, never bunched. Whoever led in the last f turns waits.

use crate::types::{Epoch, MAX_AUTHORITIES};
use bytes::BufMut;
use commonware_codec::{Buf, Error as CodecError, RangeCfg, Read, ReadExt as _, Write};
use std::sync::Arc;

/// Turns per voter before the schedule repeats. The least share is 1 / (128 n), which is two turns. 256 × 128 × 2 B = 64 KiB
/// with 128 voters.
const TURNS_PER_VOTER: usize = 256;

/// The least share of turns is one in this many times the number of voters. The turns of the far are long: at ten times
/// the others' latency a share of 1 / (8 n) for a fifth of the nodes would be a quarter of the time. A voter that is heard
/// again rises by its votes and round trips, not by these turns.
const FLOOR_DIVISOR: u64 = 128;

/// The largest share of turns is this many halves of an equal one: 1.5 / n.
const CAP_HALVES: u64 = 3;

/// Most turns of one voter in a period: 3 / 2 of 256 = 384 of 256 n, which is the share of 1.5 / n exactly.
const MOST_TURNS: u32 = (TURNS_PER_VOTER as u64 * CAP_HALVES / 2) as u32;

/// Weights of this size are normalised to.
const SCALE: u64 = 1 << 32;

/// Most cuts of the weights to their cap. While k < 2 n / 3 weights are above it, each cut multiplies them by at most
/// 3 k / (2 n) ≤ 1 − 1 / (2 n); from [`SCALE`] to 1 this is 2 n × 32 × ln 2 = 5,678 cuts with 128 voters. A cut costs 128
/// steps, an epoch's end at most 1 million.
const MAX_CUTS_TO_CAP: usize = 8_192;

/// The schedule of one epoch. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaders {
    /// Indices into the voters.
    turns: Arc<Vec<u16>>,
    /// Where in it an epoch begins, so that short epochs together go through all of it.
    offset: usize,
    term_length: u32,
}

impl Leaders {
    /// The schedule for scores in parts per million, one per voter. `None` stands for one that must not lead. In epoch
    /// `epoch`, whose blocks are `epoch_length`; each turn is `term_length` views; the last `recent` leaders wait.
    pub fn new(
        scores: &[Option<u32>],
        epoch: Epoch,
        epoch_length: u64,
        term_length: u32,
        recent: usize,
    ) -> Self {
        let weights = weights(scores);
        let turns = schedule(&weights, recent);
        let per_epoch = epoch_length.div_ceil(u64::from(term_length));
        let offset = (u128::from(epoch.get()) * u128::from(per_epoch) % turns.len() as u128) as usize;
        Self { turns: Arc::new(turns), offset, term_length }
    }

    /// Views in a row that one leader has.
    pub fn term_length(&self) -> u32 {
        self.term_length
    }

    /// The term that holds `view`. Views begin at 1.
    pub fn term_of(&self, view: u64) -> u64 {
        view.saturating_sub(1) / u64::from(self.term_length)
    }

    /// Whether `view` is the last of its term.
    pub fn ends_term(&self, view: u64) -> bool {
        view.is_multiple_of(u64::from(self.term_length))
    }

    /// Index of the voter that leads in this term.
    pub fn leader_of_term(&self, term: u64) -> usize {
        let turn = (self.offset as u128 + u128::from(term)) % self.turns.len() as u128;
        self.turns[turn as usize].into()
    }

    /// Index of the voter that leads in this view.
    pub fn leader(&self, view: u64) -> usize {
        self.leader_of_term(self.term_of(view))
    }

    /// Share of turns of the voter at `index`, in parts per million.
    pub fn share_ppm(&self, index: usize) -> u32 {
        let own = self.turns.iter().filter(|turn| usize::from(**turn) == index).count();
        (own * 1_000_000 / self.turns.len()) as u32
    }
}

/// The square of each score, at least 1 / 128 and at most 3 / 2 of an equal share; zero for those that must not lead.
/// Where so few may lead that the cap cannot hold (fewer than two thirds), their shares are equal. Where nobody may, all
/// take turns: blocks must go on for the operators to decide anything.
fn weights(scores: &[Option<u32>]) -> Vec<u64> {
    let n = scores.len() as u64;
    let able = scores.iter().flatten().count() as u64;
    if able == 0 {
        return vec![1; scores.len()];
    }
    let mut weights: Vec<u64> =
        scores.iter().map(|score| score.map_or(0, |score| u64::from(score) * u64::from(score))).collect();
    let sum: u64 = weights.iter().sum();
    if sum == 0 || able * CAP_HALVES <= 2 * n {
        return scores.iter().map(|score| u64::from(score.is_some())).collect();
    }
    for (weight, score) in weights.iter_mut().zip(scores) {
        let scaled = (u128::from(*weight) * u128::from(SCALE) / u128::from(sum)) as u64;
        *weight = if score.is_some() { scaled.max(SCALE / (FLOOR_DIVISOR * n)) } else { 0 };
    }
    // Each cut lowers the sum and so the cap; what is left converges geometrically.
    for _ in 0..MAX_CUTS_TO_CAP {
        let cap = weights.iter().sum::<u64>() * CAP_HALVES / (2 * n);
        if weights.iter().all(|weight| *weight <= cap + 1) {
            break;
        }
        weights.iter_mut().for_each(|weight| *weight = (*weight).min(cap));
    }
    weights
}

/// Smooth weighted round-robin over one period, so that also across its end nobody leads twice within `recent` + 1
/// turns.
///
/// Nobody leads more than [`MOST_TURNS`], with one exception of one turn. Fewer than 2 n / 3 voters can have led
/// 384 times before the 256 n turns are over. If all n may lead, those who do not wait are at least
/// n − recent ≥ 2 n / 3, so that one of them has turns left. Only in the last `recent` turns may up to twice as many
/// wait and all others have led 384 times; then one leads once more, and waits from then on.
fn schedule(weights: &[u64], recent: usize) -> Vec<u16> {
    let able = weights.iter().filter(|weight| **weight > 0).count();
    // At the end of the period the last `recent` and the first `recent` are out.
    let recent = recent.min(able.saturating_sub(1) / 2);
    let period = TURNS_PER_VOTER * weights.len();
    let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    let mut credit = vec![0_i128; weights.len()];
    let mut led = vec![0_u32; weights.len()];
    let mut turns: Vec<u16> = Vec::with_capacity(period);
    for turn in 0..period {
        credit.iter_mut().zip(weights).for_each(|(credit, weight)| *credit += i128::from(*weight));
        let last = &turns[turn.saturating_sub(recent)..];
        let first = &turns[..recent.saturating_sub(period - 1 - turn).min(turn)];
        let waits = |index: usize| last.iter().chain(first).any(|led| usize::from(*led) == index);
        let richest = |most: u32| {
            (0..weights.len())
                .filter(|index| weights[*index] > 0 && led[*index] < most && !waits(*index))
                .max_by(|a, b| credit[*a].cmp(&credit[*b]).then(b.cmp(a)))
        };
        let Some(best) = richest(MOST_TURNS).or_else(|| richest(u32::MAX)) else {
            unreachable!("more are able to lead than wait")
        };
        credit[best] -= sum;
        led[best] += 1;
        turns.push(best as u16);
    }
    turns
}

impl Write for Leaders {
    fn write(&self, buf: &mut impl BufMut) {
        self.turns.as_slice().write(buf);
        (self.offset as u64).write(buf);
        self.term_length.write(buf);
    }
}

/// With the number of voters.
impl Read for Leaders {
    type Cfg = usize;

    fn read_cfg(buf: &mut impl Buf, voters: &usize) -> Result<Self, CodecError> {
        let most = RangeCfg::from(1..=TURNS_PER_VOTER * MAX_AUTHORITIES);
        let turns: Vec<u16> = Vec::read_cfg(buf, &(most, ()))?;
        let (offset, term_length) = (u64::read(buf)?, u32::read(buf)?);
        let fits = turns.iter().all(|turn| usize::from(*turn) < *voters);
        if !fits || offset >= turns.len() as u64 || term_length == 0 {
            return Err(CodecError::Invalid("voltmesh_ledger::Leaders", "turns that nobody can have"));
        }
        Ok(Self { turns: Arc::new(turns), offset: offset as usize, term_length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaders(scores: &[Option<u32>], recent: usize) -> Leaders {
        Leaders::new(scores, Epoch::zero(), 100, 1, recent)
    }

    #[test]
    fn equal_scores_take_turns() {
        let leaders = leaders(&[Some(500); 7], 2);
        let found: Vec<usize> = (1..=14).map(|view| leaders.leader(view)).collect();
        assert_eq!(found, [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_term_has_one_leader() {
        let leaders = Leaders::new(&[Some(1); 4], Epoch::new(3), 10, 5, 1);
        for view in 1..200 {
            assert_eq!(leaders.leader(view), leaders.leader_of_term((view - 1) / 5));
        }
        assert!(leaders.ends_term(5) && !leaders.ends_term(6));
    }

    #[test]
    fn the_slow_keep_a_small_share_and_the_barred_none() {
        let mut scores = vec![Some(1_000_000); 20];
        scores[3..7].fill(Some(0));
        scores[7] = None;
        let leaders = leaders(&scores, 6);
        assert_eq!(leaders.share_ppm(7), 0);
        for slow in 3..7 {
            assert!((200..=600).contains(&leaders.share_ppm(slow)), "{}", leaders.share_ppm(slow));
        }
        assert!(leaders.share_ppm(0) <= 75_000);
    }

    #[test]
    fn a_chain_whose_voters_were_all_convicted_goes_on() {
        let leaders = leaders(&[None; 5], 1);
        assert_eq!((1..=5).map(|view| leaders.leader(view)).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn those_few_who_may_lead_share_equally() {
        let leaders = leaders(&[Some(9), None, None, Some(3), None], 1);
        assert_eq!([0, 3].map(|index| leaders.share_ppm(index)), [500_000; 2]);
    }

    /// Turns of each voter in a period, with nobody twice within `recent` + 1 turns.
    fn turns(scores: &[u32]) -> Vec<usize> {
        let n = scores.len();
        let recent = (n - 1) / 3;
        let scores: Vec<Option<u32>> = scores.iter().copied().map(Some).collect();
        let leaders = leaders(&scores, recent);
        let period = TURNS_PER_VOTER * n;
        for term in period as u64 - 50..period as u64 + 50 {
            for before in 1..=recent as u64 {
                assert_ne!(leaders.leader_of_term(term), leaders.leader_of_term(term + before));
            }
        }
        (0..n)
            .map(|index| (0..period as u64).filter(|term| leaders.leader_of_term(*term) == index).count())
            .collect()
    }

    /// Scores whose weights approach their cap slowly: nearly two thirds of the voters are above it.
    #[test]
    fn a_slow_approach_to_the_cap_ends_at_the_cap() {
        let few = turns(&[310_608, 0, 482_777, 0, 323_808, 0, 233_287, 130_776]);
        assert_eq!(few.into_iter().max(), Some(384));
        for n in [5, 20, 50_usize] {
            let mut scores = vec![0; n];
            let high = (2 * n - 1) / 3;
            scores[..high].fill(1_000);
            scores[0] = 1_000_000;
            assert!(turns(&scores).into_iter().all(|turns| (2..=384).contains(&turns)), "{n}");
        }
    }

    proptest! {
        #[test]
        fn shares_are_bounded_and_leaders_wait(
            scores in prop::collection::vec(
                prop_oneof![2 => 0_u32..=1_000_000, 1 => Just(0_u32), 1 => 0_u32..1_000], 4..40),
        ) {
            // 1.5 / n and the exception of one turn; 1 / (128 n).
            for (index, turns) in turns(&scores).into_iter().enumerate() {
                prop_assert!((2..=385).contains(&turns), "{index} leads in {turns} turns");
            }
        }

        #[test]
        fn a_schedule_begins_where_its_epoch_does(epoch in 0_u64..1_000, term in 1_u32..6) {
            let first = Leaders::new(&[Some(3), Some(2), Some(1), Some(4)], Epoch::zero(), 100, term, 1);
            let later = Leaders::new(&[Some(3), Some(2), Some(1), Some(4)], Epoch::new(epoch), 100, term, 1);
            let terms = 100_u64.div_ceil(u64::from(term));
            for term in 0..50 {
                prop_assert_eq!(later.leader_of_term(term), first.leader_of_term(epoch * terms + term));
            }
        }
    }
}
