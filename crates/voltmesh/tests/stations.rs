//! `voltmesh stations` from the outside, on histories that these tests make.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Six EVSEs every half hour, busy from 8 to 18, from a day of November on.
fn history(first_day: u32, days: u32) -> String {
    let mut text = "timestamp,evse_id,status\n".to_owned();
    for (day, half) in (first_day..first_day + days).flat_map(|day| (0..48).map(move |half| (day, half))) {
        let (hour, minute) = (half / 2, half % 2 * 30);
        let status = if (8..18).contains(&hour) { "Occ" } else { "Available" };
        for evse in 0..6 {
            writeln!(text, "2018-11-{day:02}T{hour:02}:{minute:02}:00Z,E{evse},{status}").expect("a row");
        }
    }
    text
}

fn evaluate(folder: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_voltmesh"))
        .args(["stations", "evaluate", "--train", "train.csv"])
        .args(more)
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}

#[test]
fn every_baseline_is_scored_at_every_horizon() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("train.csv"), history(1, 7)).expect("a file");
    std::fs::write(folder.path().join("test.csv"), history(8, 3)).expect("a file");
    let output = evaluate(folder.path(), &["--test", "test.csv", "--horizons", "30,1440", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let found: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("one object");
    let models = found["models"].as_array().expect("models");
    let names: Vec<&str> = models.iter().filter_map(|model| model["name"].as_str()).collect();
    assert_eq!(names, ["majority", "persistence", "climatology", "markov"]);
    for model in models {
        let horizons = model["horizons"].as_array().expect("horizons");
        assert_eq!(horizons.len(), 2, "{model}");
        // Three days of six EVSEs, less the horizon before and the horizon after.
        assert_eq!(horizons[0]["n"], 6 * (3 * 48 - 2), "{model}");
    }
    // A day ahead, what is true every day is true again.
    assert_eq!(models[1]["horizons"][1]["accuracy"], 1.0, "{}", models[1]);
    assert_eq!(models[2]["horizons"][0]["accuracy"], 1.0, "{}", models[2]);
}

#[test]
fn what_makes_no_sense_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("train.csv"), history(1, 7)).expect("a file");
    let check = |more: &[&str], words: &str| {
        let output = evaluate(folder.path(), more);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(words), "{more:?}: {text}");
    };
    check(&["--test", "train.csv"], "nothing is later than");
    check(&["--test", "none.csv"], "cannot open none.csv");
    let until = ["--train-until", "2018-11-06T00:00:00Z"];
    let with = |more: &[&'static str]| [&until[..], more].concat();
    check(&with(&["--models", "oracle"]), "there is no model `oracle`; one of majority");
    check(&with(&["--horizons", "15"]), "cannot be told from now");
    check(&with(&["--meaning", "Occ"]), "has no `=`");
    check(&with(&["--meaning", "Occ=taken"]), "is no meaning of a status");
    check(&with(&["--score-from", "2018-11-02T00:00:00Z"]), "before training ends");
    check(&["--train-until", "soon"], "is no RFC 3339 time");
}
