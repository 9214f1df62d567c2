use super::*;
use voltmesh_telemetry::{Format, RecordNumber, Sample, Signer, Timestamp};

fn record(number: u64) -> Record {
    Record { number: RecordNumber::new(number), sample: Sample::default() }
}

fn header(first: u64, count: u32) -> BatchHeader {
    BatchHeader {
        vehicle: vehicle(),
        format: Format::One,
        boot: Boot::new(1),
        first: RecordNumber::new(first),
        count,
        previous: None,
        root: Digest::ZERO,
        first_time: Timestamp::default(),
        last_time: Timestamp::default(),
        content: Digest::ZERO,
        report: None,
        signer: Signer::Vehicle,
        key_id: Digest::ZERO,
    }
}

fn vehicle() -> VehicleId {
    "car-1".parse().unwrap()
}

fn batch(n: u8) -> BatchId {
    BatchId::new(Digest::of(&[n]))
}

fn block(n: u8) -> BlockDigest {
    voltmesh_ledger::testing::Network::with_epochs(4, u64::from(n) + 2).genesis().digest()
}

/// Runs a story and says what the checker finds wrong.
fn check(story: impl FnOnce(&Checker), expected: &str) {
    let checker = Checker::default();
    story(&checker);
    let problems = checker.problems().join("; ");
    if expected.is_empty() {
        assert_eq!(problems, "");
    } else {
        assert!(problems.contains(expected), "{problems:?} has no {expected:?}");
    }
}

fn anchored(checker: &Checker) {
    checker.spooled(&vehicle(), Boot::new(1), &record(0));
    checker.finalised(NodeAddress(1), 1, block(1), [batch(1)]);
}

#[test]
fn a_good_run_has_no_problem() {
    check(
        |checker| {
            anchored(checker);
            assert_eq!(checker.owed().0, 1);
            checker.archived(&header(0, 1), batch(1), &[record(0)]);
            checker.forgotten(&header(0, 1));
            assert_eq!(checker.owed().0, 0);
        },
        "",
    );
}

#[test]
fn each_broken_invariant_is_found() {
    check(|checker| checker.archived(&header(0, 1), batch(1), &[record(0)]), "in no final block");
    check(
        |checker| {
            anchored(checker);
            checker.archived(&header(0, 1), batch(1), &[record(0)]);
            checker.archived(&header(0, 1), batch(1), &[record(0)]);
        },
        "archived twice",
    );
    check(
        |checker| {
            anchored(checker);
            let other = Record {
                sample: Sample { time: Timestamp::from_millis(1), ..Sample::default() },
                ..record(0)
            };
            checker.archived(&header(0, 1), batch(1), &[other]);
        },
        "another content",
    );
    check(
        |checker| {
            checker.finalised(NodeAddress(1), 1, block(1), []);
            checker.finalised(NodeAddress(2), 1, block(2), []);
        },
        "at height 1",
    );
    check(
        |checker| {
            anchored(checker);
            checker.forgotten(&header(0, 1));
        },
        "which is not archived",
    );
}

#[test]
fn what_a_fog_node_acknowledged_is_owed() {
    let checker = Checker::default();
    checker.acknowledged(NodeAddress(1), &header(0, 2), batch(1));
    let (owed, named) = checker.owed();
    assert_eq!(owed, 2);
    assert!(named[0].contains("acknowledged by n1"), "{named:?}");
}
