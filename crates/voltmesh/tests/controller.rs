//! `voltmesh controller` from the outside.

#![cfg(feature = "full")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn voltmesh(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_voltmesh"))
        .args(args)
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Five minutes of a pack of four cells at rest, with what a second says of its hottest sensor and highest cell.
fn recording(of: impl Fn(u32) -> (f64, f64)) -> String {
    let mut table = "time_s,pack_voltage,pack_current,cell_1,cell_2,cell_3,cell_4,temp_1,temp_2\n".to_owned();
    for second in 0..300 {
        let (hottest, highest) = of(second);
        let sum = 3.0 * 3.7 + highest;
        let _ = writeln!(table, "{second},{sum:.3},0.0,3.700,3.700,3.700,{highest:.3},25.0,{hottest:.1}");
    }
    table
}

#[test]
fn shipped_rules_check_and_a_contradiction_is_named_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let defaults = voltmesh(folder.path(), &["controller", "rules", "defaults"]);
    let rules = text(&defaults.stdout);
    std::fs::write(folder.path().join("rules.toml"), &rules).expect("written");
    let right = voltmesh(folder.path(), &["controller", "rules", "check", "rules.toml"]);
    assert_eq!(right.status.code(), Some(0), "{}", text(&right.stdout));

    let line = 1 + rules.lines().position(|line| line == "clear = 48.0").expect("the rule `cell hot`");
    std::fs::write(folder.path().join("wrong.toml"), rules.replace("clear = 48.0", "clear = 58.0"))
        .expect("written");
    let wrong = voltmesh(folder.path(), &["controller", "rules", "check", "wrong.toml", "--json"]);
    assert_eq!(wrong.status.code(), Some(3));
    let said: Value = serde_json::from_slice(&wrong.stdout).expect("one object");
    let error = said["error"].as_str().expect("an error");
    assert!(error.starts_with(&format!("line {line}: rule `cell hot`:")), "{error}");
}

#[test]
fn a_replay_says_which_conditions_begin_and_end_and_when() {
    let folder = tempfile::tempdir().expect("a folder");
    // The hottest sensor warms by 6 K a minute to 55 °C, and cools again.
    let warm = |second: u32| 25.0 + 0.1 * f64::from(second.min(300)) - if second > 300 { 1.0 } else { 0.0 };
    std::fs::write(folder.path().join("warm.csv"), recording(|second| (warm(second), 3.7))).expect("written");
    std::fs::write(folder.path().join("quiet.csv"), recording(|_| (25.0, 3.7))).expect("written");
    let run = |file: &str| {
        let output = voltmesh(
            folder.path(),
            &["controller", "rules", "test", "--chemistry", "nmc", "--data", file, "--json"],
        );
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_str::<Value>(text(&output.stdout).lines().last().expect("a line"))
            .expect("one object")
    };
    let quiet = run("quiet.csv");
    assert_eq!(quiet["files"][0]["changes"], serde_json::json!([]));
    assert_eq!(quiet["files"][0]["summaries"], 300);
    let warm = run("warm.csv");
    let changes = warm["files"][0]["changes"].as_array().expect("an array");
    let rises = changes.iter().find(|change| change["rule"] == "temperature rises").expect("it rises");
    assert!(rises["at_s"].as_f64().is_some_and(|at| (20.0..120.0).contains(&at)), "{rises}");
    let hot = changes.iter().find(|change| change["rule"] == "cell hot").expect("it is hot");
    assert!(hot["since_s"].as_f64().is_some_and(|since| (270.0..290.0).contains(&since)), "{hot}");
    assert_eq!(warm["began"]["protect"], Value::Null);
}

/// No recorded drive is one to protect from: 30 trips of a vehicle, from ../shared; skipped where they are not.
#[test]
fn no_recorded_trip_asks_for_protection_slow() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/battery/bmw_i3_trips");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: ../shared/data/battery/bmw_i3_trips is not here");
        return;
    };
    let mut trips: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path().to_string_lossy().into_owned()))
        .filter(|path| path.ends_with(".csv.gz"))
        .collect();
    trips.sort();
    let mut args =
        vec!["controller", "rules", "test", "--capacity-ah", "60", "--cells", "96", "--json", "--data"];
    args.extend(trips.iter().map(String::as_str));
    let output = voltmesh(&folder, &args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let found: Value =
        serde_json::from_str(text(&output.stdout).lines().last().expect("a line")).expect("JSON");
    assert!(found["hours"].as_f64().is_some_and(|hours| hours > 10.0), "{}", found["hours"]);
    assert_eq!(found["began"]["protect"], Value::Null);
}

/// A pack of which neither cell voltages nor their number are known is not looked at: its voltage is no cell's.
#[test]
fn a_pack_without_cells_wants_their_number() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut table = "time_s,pack_voltage,pack_current,temp_1\n".to_owned();
    for second in 0..60 {
        let _ = writeln!(table, "{second},355.2,0.0,25.0");
    }
    std::fs::write(folder.path().join("pack.csv"), table).expect("written");
    let run = |more: &[&str]| {
        let args = [&["controller", "rules", "test", "--data", "pack.csv"], more].concat();
        voltmesh(folder.path(), &args)
    };
    let refused = run(&[]);
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused.stdout));
    assert!(text(&refused.stderr).contains("--cells"), "{}", text(&refused.stderr));
    assert_eq!(run(&["--cells", "96"]).status.code(), Some(0));
}

#[test]
fn what_cannot_be_looked_at_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("text.csv"), "hello\nworld\n").expect("written");
    let output = voltmesh(folder.path(), &["controller", "rules", "test", "--data", "text.csv"]);
    assert_eq!(output.status.code(), Some(4), "{}{}", text(&output.stdout), text(&output.stderr));
}
