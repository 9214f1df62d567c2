//! Detection of the kind of history a file holds, from the times and repetitions of its rows.

use std::collections::BTreeMap;

use super::report::Shape;

/// Time that a status of a feed of changes holds without news, in seconds: a charger that says nothing for a week has more
/// likely lost its connection than its visitors.
pub const CHANGES_HOLD_S: i64 = 7 * 86_400;

/// Time that an EVSE counts as free after its last session, in seconds: where sessions are all that is told, silence is what
/// a free one looks like, and one without a visitor for two weeks may be gone.
pub const SESSIONS_HOLD_S: i64 = 14 * 86_400;

/// Time that a status of irregular polls holds at least and at most, in seconds.
const POLLS_HOLD_S: std::ops::RangeInclusive<i64> = 3_600..=86_400;

/// Share of rows that may repeat the status before in a history of changes: reconnections and heartbeats. Of polls at random times most
/// rows repeat it.
const REPEATS: f64 = 0.25;

/// Share of rows that repeat the status before up to which it is changes whatever their times.
const HARDLY_ANY: f64 = 0.05;

/// Fewer pairs of rows than this do not tell a kind: they count as snapshots.
const FEW: usize = 8;

/// Intervals that programs poll at, in seconds.
const USUAL_S: [i64; 16] =
    [10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 21_600, 86_400];

/// Statistics of the rows of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) shape: Shape,
    /// The usual time between two rows of one EVSE; 0 where no EVSE has two.
    pub(super) interval_s: i64,
    /// Whether most rows keep the interval to the second.
    pub(super) exact: bool,
    /// How long a status holds without news; for snapshots, that is up to the EVSE's interval.
    pub(super) hold_s: i64,
}

/// What kind of history these rows are; for each EVSE, `(time, label)` in ascending time, each time once.
pub(super) fn tell(evses: impl Iterator<Item = Vec<(i64, u16)>>) -> Told {
    let (mut all, mut pairs, mut same, mut regular, mut judged) = (Vec::new(), 0, 0, 0, 0);
    let (mut evse_count, mut span) = (0_i64, None::<(i64, i64)>);
    let mut gaps = Vec::new();
    for rows in evses {
        evse_count += 1;
        for (at, _) in rows.first().into_iter().chain(rows.last()) {
            span = Some(span.map_or((*at, *at), |(first, last)| (first.min(*at), last.max(*at))));
        }
        gaps.clear();
        for pair in rows.windows(2) {
            gaps.push(pair[1].0 - pair[0].0);
            same += usize::from(pair[0].1 == pair[1].1);
        }
        pairs += gaps.len();
        gaps.sort_unstable();
        if gaps.len() >= 3 {
            judged += gaps.len();
            let usual = gaps[gaps.len() / 2];
            let near = gaps.iter().filter(|gap| (usual / 2..=usual + usual / 2).contains(*gap)).count();
            // Gaps at random, exponentially distributed, have 35 % so near to their median.
            if near * 10 >= gaps.len() * 6 {
                regular += gaps.len();
            }
        }
        all.extend_from_slice(&gaps);
    }
    all.sort_unstable();
    let (mode_s, at_mode) = mode(&all);
    let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    let (repeats, exact) = (share(same, pairs), share(at_mode, pairs));
    let regular = share(regular, judged);
    let median_s = all.get(all.len() / 2).copied().unwrap_or(0);
    let told = |shape, interval_s, hold_s, exact| Told { shape, interval_s, exact, hold_s };
    // Snapshots have each EVSE in each interval: those of a file of changes that keeps an interval are missing.
    let slots = span.map_or(1, |(first, last)| (last - first) / mode_s.max(1) + 1);
    let missing = share(pairs + evse_count as usize, (slots * evse_count) as usize) < 0.5;
    let is_changes = pairs >= FEW && repeats <= REPEATS && missing;
    if !is_changes && (pairs < FEW || exact >= if repeats > REPEATS { 0.5 } else { 0.9 }) {
        return told(Shape::Snapshots, mode_s, mode_s, true);
    }
    if is_changes || (repeats <= REPEATS && (regular < 0.9 || repeats <= HARDLY_ANY)) {
        return told(Shape::Changes, median_s, CHANGES_HOLD_S, false);
    }
    if regular >= 0.5 {
        let interval_s = usual(median_s);
        return told(Shape::Snapshots, interval_s, interval_s, exact >= 0.5);
    }
    let long_s = all.get(all.len() * 9 / 10).copied().unwrap_or(0);
    told(Shape::Polls, median_s, (2 * long_s).clamp(*POLLS_HOLD_S.start(), *POLLS_HOLD_S.end()), false)
}

/// The most frequent value of sorted ones, the smallest of several, and how often it occurs.
pub(super) fn mode(sorted: &[i64]) -> (i64, usize) {
    let mut best = (0, 0);
    for run in sorted.chunk_by(|a, b| a == b) {
        if run.len() > best.1 {
            best = (run[0], run.len());
        }
    }
    best
}

/// The interval that programs usually poll at, if one is within a tenth.
pub(super) fn usual(interval_s: i64) -> i64 {
    let near = |usual: &&i64| (interval_s - **usual).abs() * 10 <= **usual;
    USUAL_S.iter().find(near).copied().unwrap_or(interval_s)
}

/// The longest interval that programs usually poll at and that is not longer.
pub(super) fn usual_within(interval_s: i64) -> i64 {
    USUAL_S.iter().rev().find(|usual| **usual <= interval_s).copied().unwrap_or(USUAL_S[0])
}

/// The phase of a grid: the most frequent remainder of the times; where the times are not exact, the beginning of the part of the
/// interval in which they lie, so that no EVSE's rows straddle a point of the grid.
pub(super) fn phase(times: &[i64], step_s: i64, exact: bool) -> i64 {
    let mut phases = BTreeMap::<i64, usize>::new();
    for time in times {
        *phases.entry(time.rem_euclid(step_s)).or_default() += 1;
    }
    if exact {
        return phases.iter().rev().max_by_key(|(_, count)| **count).map_or(0, |(phase, _)| *phase);
    }
    let phases: Vec<i64> = phases.into_keys().collect();
    let [first, .., last] = phases[..] else { return phases.first().copied().unwrap_or(0) };
    let around = (first + step_s - last, first);
    let (gap, begin) = phases
        .windows(2)
        .map(|pair| (pair[1] - pair[0], pair[1]))
        .fold(around, |best, next| if next.0 > best.0 { next } else { best });
    // To the minute, where that lies in the same pause.
    let minute = begin - begin.rem_euclid(60);
    if begin - minute < gap { minute } else { begin }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator: the tests need disorder, not chance.
    fn noise(seed: &mut u64) -> i64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as i64
    }

    fn rows(gap: impl Fn(&mut u64) -> i64, changes: impl Fn(usize, &mut u64) -> bool) -> Vec<(i64, u16)> {
        let (mut seed, mut at, mut label) = (7, 1_740_960_000, 0);
        (0..200)
            .map(|n| {
                at += gap(&mut seed);
                label = if changes(n, &mut seed) { 1 - label } else { label };
                (at, label)
            })
            .collect()
    }

    #[test]
    fn each_kind_is_told_from_the_others() {
        let check = |rows: Vec<(i64, u16)>, expected: Shape, interval_s: Option<i64>| {
            let told = tell([rows].into_iter());
            assert_eq!(told.shape, expected, "{told:?}");
            assert!(interval_s.is_none_or(|interval_s| interval_s == told.interval_s), "{told:?}");
        };
        let seldom = |_: usize, seed: &mut u64| noise(seed) % 10 == 0;
        let at_random = |seed: &mut u64| {
            let u = (noise(seed) % 10_000 + 1) as f64 / 10_001.0;
            (-u.ln() * 1_800.0) as i64 + 1
        };
        check(rows(|_| 300, seldom), Shape::Snapshots, Some(300));
        check(rows(|seed| 870 + noise(seed) % 60, seldom), Shape::Snapshots, Some(900));
        // One of three polls is missed.
        check(rows(|seed| if noise(seed) % 3 == 0 { 600 } else { 300 }, seldom), Shape::Snapshots, Some(300));
        check(rows(at_random, |_, _| true), Shape::Changes, None);
        check(rows(at_random, |n, _| n % 10 != 0), Shape::Changes, None);
        // Changes that a program found at its polls.
        check(rows(|seed| 300 * (1 + noise(seed) % 20), |_, _| true), Shape::Changes, None);
        check(rows(at_random, seldom), Shape::Polls, None);
        check(rows(|_| 300, |_, _| true), Shape::Snapshots, Some(300));
        // Charging and free, of about the same length.
        check(rows(|seed| 2_400 + noise(seed) % 1_200, |_, _| true), Shape::Changes, None);
    }

    #[test]
    fn changes_of_a_few_evses_at_one_interval_are_changes() {
        // Six EVSEs at the beginning; then one of them changes every quarter of an hour, or two in turn every hour.
        let check = |of_each: &dyn Fn(i64) -> Vec<(i64, u16)>| {
            let told = tell((0..6).map(of_each));
            assert_eq!(told.shape, Shape::Changes, "{told:?}");
        };
        let changes = |n: i64, every_s: i64| (0..n).map(|k| (k * every_s, (k % 2) as u16)).collect();
        check(&|evse| changes(if evse == 0 { 97 } else { 1 }, 900));
        check(&|evse| changes(if evse < 2 { 31 } else { 1 }, 7_200));
        let told = tell((0..6).map(|_| changes(97, 900)));
        assert_eq!(told.shape, Shape::Snapshots, "{told:?}");
    }

    #[test]
    fn a_grid_begins_before_its_rows() {
        let check =
            |times: &[i64], exact: bool, expected: i64| assert_eq!(phase(times, 900, exact), expected);
        check(&[0, 900, 1800, 2703], true, 0);
        check(&[4, 36, 59, 903], false, 0);
        check(&[895, 905, 1790], false, 840);
        check(&[300, 1210, 2150], false, 300);
    }
}
