//! `voltmesh stations` from the outside, on histories that these tests make.

#![cfg(feature = "full")]

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
    stations(folder, &[&["evaluate", "--train", "train.csv"], more].concat())
}

fn stations(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_voltmesh"))
        .arg("stations")
        .args(args)
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}

#[test]
fn models_are_scored_at_every_horizon() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("train.csv"), history(1, 7)).expect("a file");
    std::fs::write(folder.path().join("test.csv"), history(8, 3)).expect("a file");
    let output = evaluate(
        folder.path(),
        &[
            "--test",
            "test.csv",
            "--models",
            "majority,persistence,climatology,markov,lr,ours",
            "--horizons",
            "30,1440",
            "--random-split",
            "-o",
            "figures",
            "--json",
        ],
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let found: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("one object");
    let models = found["models"].as_array().expect("models");
    let names: Vec<&str> = models.iter().filter_map(|model| model["name"].as_str()).collect();
    assert_eq!(names, ["majority", "persistence", "climatology", "markov", "lr", "ours"]);
    for model in models {
        let horizons = model["horizons"].as_array().expect("horizons");
        assert_eq!(horizons.len(), 2, "{model}");
        // Three days of six EVSEs, less the horizon before and the horizon after.
        assert_eq!(horizons[0]["n"], 6 * (3 * 48 - 2), "{model}");
    }
    for figure in ["f1.svg", "reliability.svg", "confusion_30.svg"] {
        assert!(folder.path().join("figures").join(figure).is_file(), "{figure}");
    }
    assert_eq!(found["random_split"][0]["name"], "nearest in time", "{found}");
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

#[test]
fn a_model_is_trained_once_and_asked_later() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("train.csv"), history(1, 7)).expect("a file");
    std::fs::write(folder.path().join("later.csv"), history(8, 1)).expect("a file");
    let json = |args: &[&str]| -> Value {
        let output = stations(folder.path(), args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        serde_json::from_str(text.lines().last().expect("a line")).expect("one object")
    };
    let trained =
        json(&["train", "--train", "train.csv", "--horizons", "30,60", "-o", "net.model", "--json"]);
    assert_eq!((&trained["name"], &trained["evses"]), (&"ours".into(), &6.into()), "{trained}");
    let asked =
        ["predict", "--model", "net.model", "--history", "later.csv", "--id", "E3", "--minutes", "60"];
    let found = json(&[&asked[..], &["--at", "2018-11-08T17:30:00Z", "--json"]].concat());
    assert_eq!(found["at"], "2018-11-08T17:30:00Z", "{found}");
    // In half an hour all of them are left every day.
    let horizons = &found["forecasts"][0]["horizons"];
    assert!(horizons[0]["usable"].as_f64().expect("a number") > 0.5, "{found}");
    let refused = |args: &[&str], words: &str| {
        let output = stations(folder.path(), args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(words), "{args:?}: {text}");
    };
    refused(&["predict", "--model", "train.csv"], "does not begin as a model");
    refused(&["predict", "--model", "net.model", "--id", "E9"], "knows `E9`");
    refused(&["predict", "--model", "net.model", "--at", "2018-11-02T00:00:00Z"], "has seen more than that");
    refused(&["predict", "--model", "net.model", "--minutes", "45"], "does not forecast 45 min ahead");
    refused(&["train", "--train", "train.csv", "--model", "oracle", "-o", "x"], "there is no model `oracle`");
}

#[test]
fn parquet_is_as_good_as_csv() {
    use std::sync::Arc;

    use arrow::array::{RecordBatch, StringArray, TimestampMillisecondArray};
    use parquet::arrow::ArrowWriter;

    let folder = tempfile::tempdir().expect("a folder");
    let text = history(1, 5);
    std::fs::write(folder.path().join("train.csv"), &text).expect("a file");
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let column = |i: usize| Arc::new(rows.iter().map(|row| Some(row[i])).collect::<StringArray>());
    let seconds = |text: &str| voltmesh_stations::parse_time(text).expect("a time").0;
    let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| seconds(row[0]) * 1000));
    let write = |name: &str, times: TimestampMillisecondArray| {
        let columns =
            [("timestamp", Arc::new(times) as _), ("evse_id", column(1) as _), ("status", column(2) as _)];
        let batch = RecordBatch::try_from_iter(columns).expect("a batch");
        let file = std::fs::File::create(folder.path().join(name)).expect("a file");
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("rows");
        writer.close().expect("an end");
    };
    write("train.parquet", times.clone().with_timezone("UTC"));
    write("without.parquet", times);
    let found = ["train.csv", "train.parquet"].map(|train| {
        let args = ["train", "--train", train, "--model", "markov", "--horizons", "30", "-o", "net.model"];
        assert!(stations(folder.path(), &args).status.success(), "{train}");
        std::fs::read(folder.path().join("net.model")).expect("a file")
    });
    assert!(found[0] == found[1]);
    // A column of times without a zone may be of any.
    for args in
        [&["inspect", "without.parquet"][..], &["train", "--train", "without.parquet", "-o", "x.model"]]
    {
        let (code, text) = said(folder.path(), args);
        let rows = format!("{} rows skipped: a time without its offset from UTC", rows.len());
        assert!(code != Some(0) && text.contains(&rows), "{args:?}: {text}");
    }
}

/// A command's exit code, and what it said on both ways.
fn said(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = stations(folder, args);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn what_would_be_read_is_said_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut text = history(1, 7);
    text.push_str("1970-01-01T00:00:00Z,E0,Occ\n2018-11-03T10:00:00Z,E0,\n2018-11-03T10:07:00Z,E9,zonk\n");
    std::fs::write(folder.path().join("train.csv"), &text).expect("a file");
    let places = "evse_id,connector_type,power_kw\nE0,Type 2/CCS,50\nE1,Broomstick,22000\n";
    std::fs::write(folder.path().join("places.csv"), places).expect("a file");
    let (code, text) = said(folder.path(), &["inspect", "train.csv", "places.csv"]);
    assert_eq!(code, Some(0), "{text}");
    for words in [
        "snapshots; 2016 of 2019 rows usable",
        "one status every 1800 s",
        "1 rows skipped: a time before 2000",
        "1 rows skipped: no status (first: line",
        "`zonk` is not understood (1 rows)",
        "2 EVSEs, 0 with a position, 1 with plugs",
        "`Broomstick` is not understood",
        "powers are in watts",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let output = stations(folder.path(), &["inspect", "train.csv", "--json", "--meaning", "ZONK=busy"]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("one object");
    let read = &found["files"][0]["history"];
    assert_eq!((&read["rows"], &read["usable"]), (&2019.into(), &2017.into()), "{found}");
    assert_eq!(read["files"][0]["shape"], "snapshots", "{found}");
    // Without times it is no history, but a live feed takes it.
    let document =
        r#"{"EVSEStatuses":[{"EVSEStatusRecord":[{"EvseID":"CH*REPE1","EVSEStatus":"Available"}]}]}"#;
    std::fs::write(folder.path().join("oicp.json"), document).expect("a file");
    let (code, text) = said(folder.path(), &["inspect", "oicp.json"]);
    assert!(code == Some(0) && text.contains("OICP, 1 statuses without times"), "{code:?}: {text}");
    let (code, text) = said(folder.path(), &["inspect", "nothing.csv"]);
    assert!(code == Some(1) && text.contains("cannot open nothing.csv"), "{code:?}: {text}");
    // A history of which no row can be used is no list of places.
    std::fs::write(folder.path().join("local.csv"), history(1, 7).replace("Z,", ",")).expect("a file");
    let (code, text) = said(folder.path(), &["inspect", "local.csv"]);
    assert!(code == Some(1) && text.contains("a time without its offset from UTC"), "{code:?}: {text}");
    for (bytes, words) in [
        (&b"PK\x03\x04\x14\0\0\0"[..], "a zip archive, which is not read: unpack it"),
        (b"\xff\xfet\0", "iconv"),
    ] {
        std::fs::write(folder.path().join("packed"), bytes).expect("a file");
        let (code, text) = said(folder.path(), &["inspect", "packed"]);
        assert!(code == Some(1) && text.contains(words), "{code:?}: {text}");
    }
}

#[test]
fn where_most_rows_are_unusable_commands_end_with_3() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = history(1, 7);
    std::fs::write(folder.path().join("train.csv"), &good).expect("a file");
    let (code, text) =
        said(folder.path(), &["train", "--train", "train.csv", "--horizons", "30", "-o", "net.model"]);
    assert_eq!(code, Some(0), "{text}");
    // Of each hour, the second half has a time without an offset, and so has the next day's first.
    let bad: String = history(8, 3).lines().enumerate().fold(String::new(), |mut text, (n, line)| {
        let line = if n > 0 && n / 6 % 3 != 0 { line.replacen("Z,", ",", 1) } else { line.to_owned() };
        writeln!(text, "{line}").expect("a row");
        text
    });
    std::fs::write(folder.path().join("bad.csv"), &bad).expect("a file");
    let places = "evse_id,connector_type,latitude,longitude\nE0,CCS,50,8\nE1,CCS,50.1,8\n";
    std::fs::write(folder.path().join("places.csv"), places).expect("a file");
    let request =
        ["--at", "50,8", "--soc", "0.3", "--capacity-kwh", "58", "--plugs", "ccs", "--evse", "places.csv"];
    for args in [
        &["train", "--train", "bad.csv", "--horizons", "30", "-o", "bad.model"][..],
        &["predict", "--model", "net.model", "--history", "bad.csv"],
        &[&["recommend", "--model", "net.model", "--history", "bad.csv"][..], &request].concat(),
        &["replay", "--model", "net.model", "--history", "bad.csv", "--evse", "places.csv"],
        &[
            "evaluate",
            "--train",
            "bad.csv",
            "--train-until",
            "2018-11-09T12:00:00Z",
            "--models",
            "markov",
            "--horizons",
            "120",
        ],
        &["inspect", "bad.csv"],
    ] {
        let (code, text) = said(folder.path(), args);
        assert!(
            code == Some(3) && text.contains("a time without its offset from UTC"),
            "{args:?}: {code:?}: {text}"
        );
    }
    assert!(!folder.path().join("bad.model").exists());
    // Nothing means free: refused, with what to say.
    std::fs::write(folder.path().join("strange.csv"), good.replace("Available", "zonk")).expect("a file");
    let (code, text) =
        said(folder.path(), &["train", "--train", "strange.csv", "--horizons", "30", "-o", "bad.model"]);
    assert!(code != Some(0) && text.contains("zonk"), "{code:?}: {text}");
}

#[test]
fn what_a_table_lacks_is_said_and_it_is_no_list_of_places() {
    let folder = tempfile::tempdir().expect("a folder");
    for (text, words) in [
        (history(1, 1).replacen("timestamp", "timestamp_local", 1), "`timestamp`"),
        ("start,minutes,evse_id\n1740960000,30,E1\n".to_owned(), "`end`"),
        ("timestamp,evse_id,status\n".to_owned(), "it has no rows"),
        (String::new(), "an empty file"),
    ] {
        std::fs::write(folder.path().join("table.csv"), &text).expect("a file");
        let (code, said) = said(folder.path(), &["inspect", "table.csv"]);
        assert!(code == Some(1) && said.contains(words), "{words}: {code:?}: {said}");
    }
}

#[test]
fn a_list_that_places_nothing_near_or_names_no_plug_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("train.csv"), history(1, 3)).expect("a file");
    let train = ["train", "--train", "train.csv", "--model", "markov", "--horizons", "30", "-o", "net.model"];
    assert_eq!(said(folder.path(), &train).0, Some(0));
    let check = |places: &str, words: &str| {
        std::fs::write(folder.path().join("places.csv"), places).expect("a file");
        let request = [
            "--at",
            "50,8",
            "--soc",
            "0.3",
            "--capacity-kwh",
            "58",
            "--plugs",
            "ccs",
            "--evse",
            "places.csv",
        ];
        let (code, text) =
            said(folder.path(), &[&["recommend", "--model", "net.model"][..], &request].concat());
        assert!(code == Some(0) && text.contains(words), "{words}: {code:?}: {text}");
    };
    check(
        "evse_id,connector_type,latitude,longitude\nE0,CCS,8,50\nE1,CCS,8.1,50\n",
        "latitude and longitude exchanged",
    );
    check("evse_id,latitude,longitude\nE0,50,8\n", "no place says what can be plugged in");
}
