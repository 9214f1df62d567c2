use super::*;
use crate::{Chemistry, Unknown};

/// 2023-11-14T22:13:20Z as a Unix time, in s.
const BEGIN_S: i64 = 1_700_000_000;

/// A row so many seconds later.
fn row(time: i64, volts: f64, amperes: f64, cells: &[f64]) -> Row {
    Row {
        pack_voltage: Ok(volts),
        pack_current: Ok(amperes),
        cells: cells.iter().map(|volts| Ok(*volts)).collect(),
        ..Row::unknown(Stamp::Unix((BEGIN_S + time) * 1_000_000_000), 0, 0)
    }
}

fn report(rows: &[Row], battery: Battery) -> Report {
    let mut reporter = Reporter::new(battery);
    for row in rows {
        reporter.row(0, row.time, row);
    }
    let sources = vec![(Quantity::PackVoltage, "u".into()), (Quantity::Cells, "c1".into())];
    let last = rows.last().cloned().unwrap_or_else(|| Row::unknown(Stamp::Relative(0), 0, 0));
    reporter.finish(Said { sources, ..Said::default() }, &last)
}

#[track_caller]
fn check(rows: &[Row], battery: Battery, verdict: Verdict, reason: &str) {
    let report = report(rows, battery);
    assert_eq!(report.verdict, verdict, "{:?}", report.reasons);
    assert!(report.reasons.join(" ").contains(reason), "{:?}", report.reasons);
    assert_eq!(report.usable, verdict == Verdict::Usable);
}

#[test]
fn verdicts() {
    let lfp = Battery { chemistry: Some(Chemistry::Lfp), cells_in_series: Some(3), is_cell: false };
    let cell = Battery { chemistry: Some(Chemistry::Nmc), cells_in_series: None, is_cell: true };
    let any = Battery::default();
    check(&[row(0, 9.9, -1.0, &[3.3; 3])], lfp, Verdict::Usable, "");
    check(&[row(0, 9.9, -1.0, &[3.3, 3.3, 33.0])], lfp, Verdict::Doubtful, "cells_mv");
    check(&[row(0, 12.6, -1.0, &[])], lfp, Verdict::Doubtful, "of Lfp");
    check(&[row(0, 11.0, -1.0, &[3.3; 3])], lfp, Verdict::Doubtful, "cells' sum");
    // Three of 30 cells are mapped; those of a pack in millivolts, or of another pack, cannot be.
    check(&[row(0, 111.0, -1.0, &[3.7; 3])], any, Verdict::Usable, "");
    check(&[row(0, 1999.0, -1.0, &[3.7; 3])], any, Verdict::Doubtful, "cells' sum is less");
    check(&[row(0, 9.9, -1.0, &[3.7; 3])], any, Verdict::Doubtful, "cells' sum is more");
    check(&[row(0, 6.6, -1.0, &[3.3; 2])], lfp, Verdict::Doubtful, "3 in series");
    check(&[row(0, 3700.0, -1.0, &[])], cell, Verdict::Doubtful, "pack_voltage_v");
    check(&[row(0, 3.7, 9e4, &[])], cell, Verdict::Doubtful, "pack_current_a");
    check(&[row(0, 3.7, -1.0, &[])], cell, Verdict::Usable, "");
    check(&[], any, Verdict::Unread, "no voltage");
    let stuck: Vec<Row> = (0..100).map(|n| row(n, 655.35, n as f64, &[])).collect();
    check(&stuck, any, Verdict::Doubtful, "stuck");
    // After more rows than a table's kind is told from.
    let load = |n: i64| if n < 2000 { 0.0 } else { 10.0 * (n / 300 % 2) as f64 };
    let loaded = |ohm: f64| -> Vec<Row> {
        (0..4000).map(|n| row(n, 3.7 - 1e-5 * n as f64 + ohm * load(n), load(n), &[])).collect()
    };
    check(&loaded(0.01), cell, Verdict::Usable, "");
    check(&loaded(-0.01), cell, Verdict::Doubtful, "pack_current=NAME*-1");
}

#[test]
fn a_value_that_stands_alone_is_doubted_or_said() {
    let rows = |count: i64, odd: f64| -> Vec<Row> {
        (0..count).map(|n| row(n, if n == 30 { odd } else { 355.0 - 0.01 * n as f64 }, -12.5, &[])).collect()
    };
    let any = Battery::default();
    for odd in [710.0, 177.0, 999.9, 3.5] {
        check(&rows(60, odd), any, Verdict::Doubtful, "pack_voltage_v: 1 of 60 values stand alone");
    }
    check(&rows(60, 300.0), any, Verdict::Usable, "");
    let long = report(&rows(2000, 710.0), any);
    assert!(long.usable && long.warnings.iter().any(|w| w.contains("(first 710 V beside 354.71 V)")));
}

#[test]
fn the_report_is_json() {
    let mut second = row(1, 11.1, 2.0, &[3.701, 3.702, 3.703]);
    second.cells[1] = Err(Unknown::NotSent);
    let report = report(&[row(0, 11.1, -1.0, &[3.701; 3]), second], Battery::default());
    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!(json["segments"][0]["start"], "2023-11-14T22:13:20Z");
    assert_eq!(json["segments"][0]["samples"], 2);
    assert_eq!(json["quantities"]["cells_mv"]["last"], serde_json::json!([3701.0, null, 3703.0]));
    assert_eq!(json["quantities"]["pack_voltage_v"]["first"], 11.1);
    assert_eq!(json["quantities"]["pack_current_a"]["min"], -1.0);
    assert_eq!(json["verdict"], "usable");
    assert_eq!(serde_json::from_value::<Report>(json).expect("a report"), report);
}
