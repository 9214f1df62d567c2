//! Laws of one boot's coverage.

use super::*;
use proptest::prelude::*;

fn id(n: u64) -> BatchId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    bytes[8] = 1;
    BatchId::from(bytes)
}

/// The batch `[10 n, 10 n + 10)` of an honest vehicle.
fn batch(n: u64) -> Stored {
    Stored { first: 10 * n, next: 10 * n + 10, id: id(n), previous: n.checked_sub(1).map(id) }
}

/// Inserts a batch that is committed at once.
fn commit(coverage: &mut Coverage, batch: Stored) {
    coverage.insert(batch);
    coverage.settle(batch.first);
}

#[test]
fn a_gap_is_visible_and_is_filled() {
    let mut coverage = Coverage::default();
    for n in [0, 1, 4, 3] {
        assert_eq!(coverage.judge(&batch(n), None), Verdict::Fresh, "{n}");
        coverage.insert(batch(n));
    }
    assert_eq!((coverage.watermark(), coverage.gaps()), (20, vec![(20, 30)]));
    assert_eq!(coverage.islands(), vec![Range { first: 30, next: 50, sure: true }]);
    assert_eq!(coverage.judge(&batch(2), None), Verdict::Fresh);
    coverage.insert(batch(2));
    assert_eq!((coverage.watermark(), coverage.gaps()), (50, vec![]));
}

#[test]
fn forks_and_broken_chains_are_told_apart() {
    let mut coverage = Coverage::default();
    coverage.insert(batch(0));
    coverage.insert(batch(2));
    assert_eq!(coverage.judge(&Stored { id: id(99), ..batch(0) }, None), Verdict::Fork(id(0)));
    assert_eq!(coverage.judge(&Stored { next: 25, ..batch(1) }, None), Verdict::Fork(id(2)));
    let wrong = Stored { previous: Some(id(77)), ..batch(1) };
    assert_eq!(coverage.judge(&wrong, None), Verdict::BrokenChain(id(0)));
    let other = Stored { id: id(77), ..batch(1) };
    assert_eq!(coverage.judge(&other, None), Verdict::BrokenChain(id(2)));
}

#[test]
fn after_a_restart_neighbours_are_looked_up() {
    let coverage = Coverage::new(20, &[]);
    assert_eq!(coverage.judge(&batch(2), None), Verdict::Unknown);
    assert_eq!(coverage.judge(&batch(2), Some(&[batch(1)])), Verdict::Fresh);
    let other = Stored { id: id(9), ..batch(1) };
    assert_eq!(coverage.judge(&batch(2), Some(&[other])), Verdict::BrokenChain(id(9)));
    assert_eq!(coverage.judge(&batch(1), None), Verdict::Unknown);
    assert_eq!(coverage.judge(&batch(1), Some(&[batch(0), batch(1)])), Verdict::Duplicate);
}

/// One past the cache, and a hundred past it: what is not committed is known by id, however much it is.
#[test]
fn what_is_not_committed_is_never_fresh_again() {
    let mut coverage = Coverage::default();
    for n in 0..=CACHED as u64 + 100 {
        coverage.insert(batch(n));
        // The table is behind: it shows nothing.
        assert_eq!(coverage.judge(&batch(0), Some(&[])), Verdict::Duplicate);
    }
    assert_eq!(coverage.known(), CACHED + 101);
}

/// One past the cache the table is asked, and is not believed if it shows nothing of an exact range.
#[test]
fn a_table_that_is_behind_makes_nothing_fresh() {
    let mut coverage = Coverage::default();
    for n in 0..=CACHED as u64 {
        commit(&mut coverage, batch(n));
    }
    assert_eq!(coverage.known(), CACHED);
    assert_eq!(coverage.judge(&batch(0), None), Verdict::Unknown);
    assert_eq!(coverage.judge(&batch(0), Some(&[batch(0)])), Verdict::Duplicate);
    assert_eq!(coverage.judge(&batch(0), Some(&[])), Verdict::Contradiction(0));
    let fork = Stored { id: id(99), ..batch(0) };
    assert_eq!(coverage.judge(&fork, Some(&[])), Verdict::BrokenChain(id(1)));
    // The neighbour of a new batch is missing from the table: its chain cannot be checked.
    let restarted = Coverage::new(20, &[]);
    assert_eq!(restarted.judge(&batch(2), Some(&[])), Verdict::Contradiction(19));
}

/// One past the exact ranges, the two lowest are folded: numbers in their gap are asked for, and found free.
#[test]
fn one_range_too_many_is_folded_and_asked_for() {
    let mut coverage = Coverage::default();
    for n in 0..=MAX_ISLANDS as u64 + 1 {
        commit(&mut coverage, batch(2 * n + 1));
    }
    assert!(coverage.islands().iter().any(|island| !island.sure));
    assert_eq!(coverage.judge(&batch(2), None), Verdict::Unknown);
    let near = [batch(1), batch(3)];
    assert_eq!(coverage.judge(&batch(2), Some(&near)), Verdict::Fresh);
    assert_eq!(coverage.judge(&batch(1), Some(&near)), Verdict::Duplicate);
}

proptest! {
    /// In any order, with repeats and restarts, with the table at hand: each batch is fresh exactly once, however
    /// few ranges are remembered.
    #[test]
    fn each_batch_is_fresh_once(order in proptest::collection::vec(0u64..400, 1..600), restart in any::<u8>()) {
        let mut coverage = Coverage::default();
        let mut table: BTreeMap<u64, Stored> = BTreeMap::new();
        for (step, n) in order.into_iter().enumerate() {
            if step % 256 == usize::from(restart) {
                coverage = Coverage::new(coverage.watermark(), &coverage.islands());
            }
            let candidate = batch(n);
            let verdict = match coverage.judge(&candidate, None) {
                Verdict::Unknown => {
                    let near: Vec<_> = table
                        .values()
                        .filter(|s| s.first <= candidate.next && candidate.first <= s.next)
                        .copied()
                        .collect();
                    coverage.judge(&candidate, Some(&near))
                }
                verdict => verdict,
            };
            if table.insert(n, candidate).is_some() {
                prop_assert_eq!(verdict, Verdict::Duplicate);
            } else {
                prop_assert_eq!(verdict, Verdict::Fresh);
                commit(&mut coverage, candidate);
            }
            prop_assert!(coverage.islands().len() <= MAX_ISLANDS + 1);
            let whole = (0..).take_while(|n| table.contains_key(n)).count() as u64;
            let exact = coverage.islands().iter().all(|island| island.sure);
            prop_assert!(coverage.watermark() == whole * 10 || !exact && coverage.watermark() < whole * 10);
        }
    }
}
