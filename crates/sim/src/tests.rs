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

#[test]
fn a_store_that_is_slow_fails_and_lists_late_doubles_nothing() {
    let options = Options { faults: Kinds { store: true, ..Kinds::NONE }, ..Options::default() };
    let sum = run_range(200..208, 0.5, &options, 2, |_| {});
    assert_eq!(sum.failed, None, "{}", sum.failed.as_ref().map(Report::replay).unwrap_or_default());
    let happened = |fault: &str| sum.faults.get(fault).is_some_and(|times| *times > 0);
    for fault in ["requests refused", "listings behind", "store slow", "second writer"] {
        assert!(happened(fault), "{fault}: {:?}", sum.faults);
    }
}

/// The archive is looked at while a commit shows in one table and not yet in the other.
#[test]
fn a_check_meets_a_commit_under_way() {
    check(3772, 0.3, &Options { class: Some(Class::Minutes), ..Options::default() });
}

#[test]
fn a_scenario_can_be_named() {
    for (name, class) in Class::ALL {
        assert_eq!((name.parse(), class.to_string()), (Ok(class), name.to_owned()));
    }
    assert!("hours".parse::<Class>().unwrap_err().contains("backlog"));
    let options = Options { class: Some(Class::Fast), faults: Kinds::NONE, ..Options::default() };
    let report = check(3, 0.05, &options);
    assert!(report.counters.spooled > 300, "at least 100 Hz: {report:?}");
    assert!(report.replay().ends_with("--scenario fast"));
}

/// `VOLTMESH_SEEDS=0..100 VOLTMESH_SCENARIO=fast cargo test -p voltmesh-sim any_seeds` runs these instead of one.
#[test]
fn any_seeds() {
    let range = std::env::var("VOLTMESH_SEEDS").unwrap_or_else(|_| "300..301".to_owned());
    let (from, to) = range.split_once("..").expect("VOLTMESH_SEEDS is written A..B");
    let seeds = from.parse().expect("a number")..to.parse().expect("a number");
    let class = std::env::var("VOLTMESH_SCENARIO").ok().map(|name| name.parse().expect("a scenario"));
    let options = Options { class, ..Options::default() };
    let sum = run_range(seeds, 0.3, &options, 2, |report| {
        eprintln!("{} {} {:?}", report.seed, report.scenario, report.problems);
    });
    assert_eq!(sum.failed, None, "{}", sum.failed.as_ref().map(Report::replay).unwrap_or_default());
}
