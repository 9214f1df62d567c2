//! Quality of service in parts per million. Integers only: every node must come to the same number.

use crate::{authorities::AuthoritySet, block::round_trips::UNREACHABLE, types::PublicKey};
use std::collections::BTreeMap;

/// The best score.
pub const PERFECT: u32 = 1_000_000;

/// Quality of latency of one that answers nobody, while others' round trips are known.
const UNKNOWN_LATENCY: u32 = PERFECT / 10;

/// How often it voted in time, against the share that everyone would have if all were equally fast: a certificate holds
/// `quorum` votes of `voters`. `None` if no certificate says anything.
pub fn participation(votes: u32, certificates: u32, voters: usize, quorum: usize) -> Option<u32> {
    let fair = u64::from(certificates) * quorum as u64;
    let found = u64::from(votes) * voters as u64 * u64::from(PERFECT);
    Some(clamp(found.checked_div(fair)?))
}

/// Turns as leader that brought a block, of all turns.
pub fn leadership(proposed: u32, missed: u32) -> u32 {
    let turns = u64::from(proposed) + u64::from(missed);
    (u64::from(proposed) * u64::from(PERFECT)).checked_div(turns).map_or(PERFECT, clamp)
}

/// Round trip in microseconds of each of `set`, from the reports of all: the larger of a pair's two directions, the f
/// highest and the f lowest left out, the mean of the rest. One whose peers have hardly reported is `None`.
///
/// A pair counts only if the other one has reported: nobody's report about itself counts, and with f trimmed at both
/// ends f liars move nobody's figure beyond what some honest peer measured.
pub fn round_trips(set: &AuthoritySet, reports: &BTreeMap<PublicKey, Vec<u32>>) -> Vec<Option<u32>> {
    let rows: Vec<Option<&Vec<u32>>> = set.keys().map(|key| reports.get(key)).collect();
    let said = |by: usize, of: usize| rows[by].and_then(|row| row.get(of)).copied();
    let trim = set.faults();
    (0..set.len())
        .map(|one| {
            let mut pairs: Vec<u32> = (0..set.len())
                .filter(|other| *other != one)
                .filter_map(|other| {
                    let theirs = said(other, one)?;
                    Some(
                        said(one, other)
                            .filter(|own| *own != UNREACHABLE)
                            .map_or(theirs, |own| own.max(theirs)),
                    )
                })
                .collect();
            pairs.sort_unstable();
            let kept = pairs.get(trim..pairs.len().checked_sub(trim)?)?;
            let sum: u64 = kept.iter().map(|micros| u64::from(*micros)).sum();
            let mean = sum.checked_div(kept.len() as u64)?;
            Some(u32::try_from(mean).unwrap_or(UNREACHABLE)).filter(|mean| *mean < UNREACHABLE / 2)
        })
        .collect()
}

/// Round trip against the median of all: faster is no better than the median, slower costs in proportion.
pub fn latency(own: Option<u32>, all: &[Option<u32>]) -> u32 {
    let mut known: Vec<u32> = all.iter().flatten().copied().collect();
    known.sort_unstable();
    let Some(median) = known.get(known.len() / 2) else { return PERFECT };
    let Some(own) = own else { return UNKNOWN_LATENCY };
    clamp(u64::from(*median).max(1) * u64::from(PERFECT) / u64::from(own).max(1))
}

/// All three together.
pub fn quality(participation: u32, leadership: u32, latency: u32) -> u32 {
    let product = u64::from(participation) * u64::from(leadership) / u64::from(PERFECT);
    clamp(product * u64::from(latency) / u64::from(PERFECT))
}

/// The score after an epoch of this quality. It falls fast and rises slowly, so that a reputation is lost sooner than
/// it was built up.
pub fn decay(score: u32, quality: u32) -> u32 {
    let (score, quality) = (u64::from(score), u64::from(quality));
    clamp(if quality < score { (score + 3 * quality) / 4 } else { (3 * score + quality) / 4 })
}

fn clamp(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(PERFECT).min(PERFECT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Network;
    use proptest::prelude::*;

    #[test]
    fn parts() {
        assert_eq!(participation(10, 10, 4, 3), Some(PERFECT));
        assert_eq!(participation(5, 10, 20, 14), Some(714_285));
        assert_eq!(participation(0, 0, 4, 3), None);
        assert_eq!(leadership(0, 0), PERFECT);
        assert_eq!(leadership(3, 1), 750_000);
        assert_eq!(latency(Some(200), &[Some(100), Some(100), Some(200)]), 500_000);
        assert_eq!(latency(None, &[None, None]), PERFECT);
        assert_eq!(latency(None, &[Some(1), None]), UNKNOWN_LATENCY);
        assert_eq!(decay(PERFECT, 0), 250_000);
        assert_eq!(decay(0, PERFECT), 250_000);
    }

    /// True round trips between 7 authorities as each reports them.
    fn honest(true_rtt: &[u32]) -> Vec<Vec<u32>> {
        (0..7).map(|i| (0..7).map(|j| (true_rtt[i] + true_rtt[j]) / 2).collect()).collect()
    }

    proptest! {
        #[test]
        fn liars_stay_within_what_honest_peers_measured(
            rtts in prop::collection::vec(1_000_u32..200_000, 7),
            lies in prop::collection::vec(prop::collection::vec(any::<u32>(), 7), 2),
        ) {
            let network = Network::new(7);
            let set = &network.genesis().authorities;
            let truth = honest(&rtts);
            let mut reports: BTreeMap<PublicKey, Vec<u32>> =
                set.keys().cloned().zip(truth.iter().cloned()).collect();
            // f = 2 collude; they may also claim anything about each other.
            for (liar, lie) in lies.iter().enumerate() {
                reports.insert(set.get(liar).cloned().expect("seven"), lie.clone());
            }
            let found = round_trips(set, &reports);
            for one in 0..7 {
                let measured: Vec<u32> = (2..7).filter(|j| *j != one).map(|j| truth[one][j]).collect();
                let lowest = *measured.iter().min().expect("four or five");
                if let Some(found) = found[one] {
                    prop_assert!(found >= lowest, "{one} seems faster than any honest peer says");
                }
                if one >= 2 {
                    // An honest one is not made slower than its slowest honest pair.
                    let highest = *measured.iter().max().expect("four or five");
                    prop_assert!(found[one].is_some_and(|found| found <= highest));
                }
            }
        }
    }
}
