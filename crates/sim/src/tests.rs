use super::*;

fn check(seed: u64, minutes: f64, options: &Options) -> Report {
    let report = run(seed, minutes, options);
    assert!(report.passed(), "{:#?}\n{}", report, report.replay());
    assert!(report.counters.archived > 0, "{report:#?}");
    report
}

#[test]
fn without_faults_everything_is_archived() {
    let report = check(1, 0.3, &Options { faults: Kinds::NONE, ..Options::default() });
    assert_eq!(report.counters.archived, report.counters.spooled + report.counters.accepted);
    assert_eq!(report.counters.quarantined, 0);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let options = Options::default();
    let (first, again, other) = (run(5, 0.3, &options), run(5, 0.3, &options), run(6, 0.3, &options));
    assert_eq!(first, again);
    assert_ne!(first.trace_digest, other.trace_digest);
}

#[test]
fn a_few_seeds_with_all_faults() {
    let sum = run_range(100..108, 0.3, &Options::default(), 2, |_| {});
    assert_eq!(sum.failed, None, "{}", sum.failed.as_ref().map(Report::replay).unwrap_or_default());
    assert_eq!(sum.seeds, 8);
}
