use super::*;
use proptest::prelude::*;

const S: i64 = 1_000_000_000;
const NOW: i64 = 1_790_000_000 * S;

fn run(stamps: &[Stamp], config: ClockConfig) -> (Vec<Placed<usize>>, Clock<usize>) {
    let (mut clock, mut out) = (Clock::new(config), Vec::new());
    for (index, stamp) in stamps.iter().enumerate() {
        clock.push(*stamp, index, &mut out).expect("a date is there");
    }
    clock.flush(&mut out);
    (out, clock)
}

fn unix(seconds: impl IntoIterator<Item = i64>) -> Vec<Stamp> {
    seconds.into_iter().map(|s| Stamp::Unix(s * S)).collect()
}

/// Rows kept, segments, rows skipped.
#[track_caller]
fn check(stamps: &[Stamp], expected: (usize, usize, u64)) {
    let config = ClockConfig { needs_date: false, ..ClockConfig::new(NOW) };
    let (out, clock) = run(stamps, config);
    assert_eq!((out.len(), clock.segments().len(), clock.skipped().total()), expected);
}

#[test]
fn rules() {
    let t = 1_700_000_000;
    check(&[], (0, 0, 0));
    check(&unix([t]), (1, 1, 0));
    check(&unix(t..t + 10), (10, 1, 0));
    // The clock is set back: 10 rows before, 50 after.
    check(&unix((t + 3600..t + 3610).chain(t + 10..t + 60)), (60, 2, 0));
    // One wrong stamp: ahead, back, first, last.
    check(&unix([t, t + 1, t + 900_000, t + 3, t + 4]), (4, 1, 1));
    check(&unix([t, t + 1, t - 900_000, t + 3, t + 4]), (4, 1, 1));
    check(&unix([t + 900_000, t + 1, t + 2, t + 3]), (3, 1, 1));
    check(&unix([t, t + 900_000, t + 2, t + 3]), (3, 1, 1));
    check(&unix([t, t + 1, t + 2, t + 900_000]), (3, 1, 1));
    // The same within a day: an hour ahead, and back.
    check(&unix([t, t + 1, t + 3600, t + 3, t + 4]), (4, 1, 1));
    check(&unix([t, t + 3600, t + 2, t + 3]), (3, 1, 1));
    check(&unix([t, t + 1, t - 3600, t + 3, t + 4]), (4, 1, 1));
    // A pause of an hour, and rows every ten minutes.
    check(&unix([t, t + 1, t + 3600, t + 3601]), (4, 1, 0));
    check(&unix((0..6).map(|n| t + n * 600)), (6, 1, 0));
    check(&unix([t, t + 600]), (2, 1, 0));
    // Implausible dates: 1970, and beyond tomorrow.
    check(&unix([5, t, t + 1, 4_000_000_000]), (2, 1, 2));
    // A pause of three days.
    check(&unix([t, t + 1, t + 300_000, t + 300_001]), (4, 2, 0));
    // One row in two days.
    check(&unix((0..5).map(|n| t + n * 172_800)), (4, 4, 1));
    // Restart of a relative clock.
    let relative: Vec<_> = (0..30).chain(0..30).map(|s| Stamp::Relative(s * S)).collect();
    check(&relative, (60, 2, 0));
    check(&[-3, -2, -1, 0, 1].map(|s| Stamp::Relative(s * S)), (5, 1, 0));
}

#[test]
fn a_relative_clock_is_placed_or_refused() {
    let stamps: Vec<_> = (0..3).chain(0..2).map(|s| Stamp::Relative(s * S)).collect();
    let mut clock = Clock::new(ClockConfig::new(NOW));
    let error = clock.push(stamps[0], 0, &mut Vec::new()).expect_err("no date").to_string();
    assert!(error.contains("give start_ms"), "{error}");
    let config = ClockConfig { start_ns: Some(1_700_000_000 * S), ..ClockConfig::new(NOW) };
    let (out, _) = run(&stamps, config);
    let times: Vec<_> = out.iter().map(|row| row.time).collect();
    assert_eq!(times, unix([0, 1, 2, 3, 4].map(|s| 1_700_000_000 + s)));
}

#[test]
fn files_are_ordered_by_their_first_stamps() {
    let [a, b] = [Stamp::Unix(2), Stamp::Unix(1)];
    assert_eq!(order(vec![("a", a), ("b", b)]), ["b", "a"]);
    assert_eq!(order(vec![("a", a), ("b", Stamp::Relative(1))]), ["a", "b"]);
    let (mut clock, mut out) =
        (Clock::new(ClockConfig { needs_date: false, ..ClockConfig::new(NOW) }), Vec::new());
    for _ in 0..2 {
        for second in 0..3 {
            clock.push(Stamp::Relative(second * S), second, &mut out).expect("taken");
        }
        clock.next_file(&mut out);
    }
    assert_eq!((out.len(), clock.segments().len()), (6, 2));
    assert_eq!(out[3].time, Stamp::Relative(3 * S));
}

proptest! {
    #[test]
    fn every_row_is_accounted_for(
        stamps in proptest::collection::vec(
            prop_oneof![Just(0i64), -5i64..5, -100_000i64..100_000, any::<i32>().prop_map(i64::from)], 0..60,
        ),
        relative in any::<bool>(),
    ) {
        let mut now = 1_700_000_000;
        let stamps: Vec<_> = stamps
            .into_iter()
            .map(|step| {
                now += step;
                if relative { Stamp::Relative(now.saturating_mul(S)) } else { Stamp::Unix(now.saturating_mul(S)) }
            })
            .collect();
        let config = ClockConfig { needs_date: false, ..ClockConfig::new(NOW) };
        let (out, clock) = run(&stamps, config);
        prop_assert_eq!(stamps.len() as u64, out.len() as u64 + clock.skipped().total());
        prop_assert_eq!(clock.counts(), (stamps.len() as u64, out.len() as u64));
        for pair in out.windows(2) {
            prop_assert!(pair[0].item < pair[1].item);
            prop_assert!(pair[0].segment < pair[1].segment || pair[0].time <= pair[1].time);
        }
    }

    #[test]
    fn one_corrupt_stamp_loses_one_row(
        rows in 4usize..50, step in 1i64..3600, at in any::<proptest::sample::Index>(), wrong in any::<i64>(),
    ) {
        let mut stamps: Vec<_> =
            (0..rows as i64).map(|n| Stamp::Unix((1_700_000_000 + n * step) * S)).collect();
        let at = at.index(rows);
        let near = matches!(stamps[at], Stamp::Unix(t) if (t - wrong / 10).abs() < 90_000 * S * rows as i64);
        stamps[at] = Stamp::Unix(wrong / 10);
        prop_assume!(!near);
        let (out, clock) = run(&stamps, ClockConfig::new(NOW));
        prop_assert_eq!(out.len(), rows - 1);
        prop_assert_eq!(clock.segments().len(), 1);
    }
}
