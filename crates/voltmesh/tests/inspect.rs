//! `voltmesh inspect`: what it says of small inputs, of the shared cases, and of recordings of others, where they are at hand.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Exit code, the JSON object, and what is said to people.
fn inspect(folder: &Path, arguments: &str) -> (i32, Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_voltmesh"))
        .arg("inspect")
        .args(arguments.split(' ').filter(|word| !word.is_empty()))
        .arg("--json")
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap_or_default();
    let json = serde_json::from_str(last).unwrap_or_else(|error| panic!("{arguments}: {error}: {text:?}"));
    (output.status.code().unwrap(), json, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../../shared").join(folder);
    if !path.is_dir() {
        println!("skipped: ../shared/{folder} is absent");
        return None;
    }
    Some(path)
}

/// A line of data: arguments, exit code, samples, and last values of quantities: `null` is unknown.
type Case<'a> = (&'a str, i32, u64, &'a [(&'a str, &'a str)]);

#[track_caller]
fn check(folder: &Path, (arguments, code, samples, lasts): Case<'_>) -> Value {
    let (exit, json, said) = inspect(folder, arguments);
    assert_eq!((exit, json["samples"].as_u64()), (code, Some(samples)), "{arguments}: {json}\n{said}");
    assert_eq!(json["usable"], exit == 0, "{arguments}");
    for (name, wanted) in lasts {
        let (last, wanted) =
            (&json["quantities"][name]["last"], serde_json::from_str::<Value>(wanted).unwrap());
        assert!(near(last, &wanted), "{arguments}: {name} is {last}, not {wanted}\n{json}");
    }
    json
}

fn near(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| near(a, b))
        }
        (found, wanted) => match (found.as_f64(), wanted.as_f64()) {
            (Some(found), Some(wanted)) => (found - wanted).abs() <= 1e-3,
            _ => found == wanted,
        },
    }
}

/// Arguments, and words that the error must have.
#[track_caller]
fn refused(folder: &Path, arguments: &str, words: &[&str]) {
    let (exit, json, said) = inspect(folder, arguments);
    assert_eq!((exit, &json["usable"]), (2, &Value::Bool(false)), "{arguments}: {json}");
    let error = json["error"].as_str().unwrap_or_default();
    assert!(
        words.iter().all(|word| error.contains(word) && said.contains(word)),
        "{arguments}: {error}\n{said}"
    );
}

const PACK: &str = "--map pack_voltage=PackVoltage --map pack_current=PackCurrent";
const VOLTS: (&str, &str) = ("pack_voltage_v", "355.2");
const AMPERES: (&str, &str) = ("pack_current_a", "-12.5");

const DBC: &str = "VERSION \"\"\n\nBU_: A\n\nBO_ 256 Pack: 8 A\n \
    SG_ PackVoltage : 0|16@1+ (0.1,0) [0|1000] \"V\" A\n \
    SG_ PackCurrent : 16|16@1- (0.1,0) [-1000|1000] \"A\" A\n";

fn log() -> String {
    (0..4).map(|s| format!("({}.000000) can0 100#E00D83FF00000000\n", 1_700_000_000 + s)).collect()
}

#[test]
fn own_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("a.dbc"), DBC).unwrap();
    std::fs::write(folder.join("a.log"), log()).unwrap();
    std::fs::write(folder.join("a.csv"), "t;U [mV];I\n0;355200;-12,5\n1;355200;-12,5\n").unwrap();
    let json = check(folder, ("a.log --dbc a.dbc", 0, 4, &[VOLTS, AMPERES]));
    assert_eq!(json["segments"][0]["start"], "2023-11-14T22:13:20Z");
    assert_eq!(json["format"], "candump");
    assert!(json["warnings"].to_string().contains("guessed"));
    check(folder, ("a.csv", 0, 2, &[("pack_voltage_v", "355.2"), ("pack_current_a", "-12.5")]));
    check(folder, ("a.csv --chemistry lfp --cells 16", 3, 2, &[VOLTS]));
    // What a table does not say of itself can be stated.
    std::fs::write(
        folder.join("c.csv"),
        "Tag;Uhr;U;I\n14.11.2023;22:13:20;355,2;-12,5\n14.11.2023;22:13:21;355,2;-77\n",
    )
    .unwrap();
    let stated = "c.csv --date Tag --map time=Uhr --map pack_voltage=U --map pack_current=I --decimal , --separator ; --skip-lines 0";
    let dated =
        check(folder, (&format!("{stated} --missing -77"), 0, 2, &[VOLTS, ("pack_current_a", "null")]));
    assert_eq!(dated["segments"][0]["start"], "2023-11-14T22:13:20Z");
    check(folder, (stated, 0, 2, &[VOLTS, ("pack_current_a", "-77")]));
    refused(folder, "a.log", &["a.log", "--dbc"]);
    refused(folder, "a.dbc", &["a.dbc", "neither"]);
    refused(folder, "b.log", &["b.log"]);
    refused(folder, "a.csv --map pack_voltage=Volt", &["no column \"Volt\"", "U [mV]"]);

    // What is printed to paste reads the same.
    std::fs::write(folder.join("edge.toml"), json["configuration"].as_str().unwrap()).unwrap();
    check(folder, ("--config edge.toml", 0, 4, &[VOLTS, AMPERES]));

    // For people: a table, the configuration, and plots.
    for file in ["report.html", "report.svg"] {
        let output = Command::new(env!("CARGO_BIN_EXE_voltmesh"))
            .args(["inspect", "a.log", "--dbc", "a.dbc", "-o", file])
            .current_dir(folder)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && text.contains("pack_voltage_v") && text.contains("[source.signals]"),
            "{text}"
        );
        let drawn = std::fs::read_to_string(folder.join(file)).unwrap();
        assert!(drawn.contains("<svg") && drawn.contains("Voltage"));
    }
}

#[test]
fn a_vehicle_refuses_what_inspect_doubts() {
    let folder = tempfile::tempdir().unwrap();
    let head = "data = 'd'\ncredentials = 'c'\ncrl = 'c'\ntrust = 't'\nopening = 'o'\nsecret = 's'\nfogs = ['f:1']\n";
    let edge = |csv: &str, more: &str, arguments: &[&str]| {
        std::fs::write(folder.path().join("a.csv"), csv).unwrap();
        let text = format!("{head}{more}\n[source]\nkind = 'replay'\nfiles = ['a.csv']\nspeed = 0\n");
        std::fs::write(folder.path().join("edge.toml"), text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_voltmesh"))
            .args(["edge", "--config", "edge.toml"])
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let lfp = "[twin]\nchemistry = 'lfp'\nseries = 16\n";
    let (code, said) = edge("t,u,i\n0,355.2,-1\n1,355.2,-1\n", lfp, &[]);
    assert!(code == 2 && said.contains("of Lfp") && said.contains("--accept-doubtful"), "{code} {said}");
    let (code, said) = edge("t,u,i\n0,355.2,-1\n1,355.2,-1\n", lfp, &["--accept-doubtful"]);
    assert!(code == 1 && said.contains("accepted"), "it goes on to its credentials: {code} {said}");
    let (code, said) = edge("Time [s];Battery Voltage [V];Battery Current [A]\n0,0;x;y\n0,1;x;y\n", "", &[]);
    assert!(code == 2 && said.contains("no row has a voltage"), "{code} {said}");
}

#[test]
fn shared_logs_of_a_bus() {
    let Some(folder) = shared("cases/vehicle") else { return };
    let with = |arguments: &str| format!("{arguments} {PACK}");
    let cases: &[Case<'_>] = &[
        ("can-float.log --dbc can-float.dbc", 0, 4, &[("pack_voltage_v", "355.25"), AMPERES]),
        ("can-float-soc.log --dbc can-float-soc.dbc --map soc=SoC", 0, 4, &[("soc_pct", "43.1")]),
        (
            "can-extmux.log --dbc can-extmux.dbc --map cells=Cell{:02}",
            0,
            4,
            &[("cells_mv", "[3701, 3702, 3703]")],
        ),
        (
            "can-millivolt.log --dbc can-millivolt.dbc --map cells=CellVoltage_*",
            0,
            4,
            &[("pack_voltage_v", "11.106"), ("pack_current_a", "-25"), ("cells_mv", "[3701, 3702, 3703]")],
        ),
        (
            "can-zerobased.log --dbc can-zerobased.dbc --map cells=Cell_{}",
            0,
            4,
            &[("cells_mv", "[3600, 3701, 3702, 3703]")],
        ),
        (
            "can-sna.log --dbc can-sna.dbc --map soc=SoC --map temperatures=TempC",
            0,
            4,
            &[("pack_voltage_v", "355.25"), AMPERES, ("soc_pct", "80")],
        ),
        (
            "can-cell-missing.log --dbc can-cell-missing.dbc --map cells=Cell{:02}",
            0,
            4,
            &[("cells_mv", "[3701, 3702, null]")],
        ),
        ("can-j1939.log --dbc can-j1939.dbc", 0, 4, &[("pack_voltage_v", "355.25"), AMPERES]),
        ("can-asleep.log --dbc can-plain.dbc", 0, 5, &[("pack_voltage_v", "355.6"), AMPERES]),
    ];
    for (arguments, code, samples, lasts) in cases {
        check(&folder, (&with(arguments), *code, *samples, lasts));
    }
    let (_, json, _) =
        inspect(&folder, &with("can-sna.log --dbc can-sna.dbc --map soc=SoC --map temperatures=TempC"));
    for name in ["pack_voltage_v", "pack_current_a", "soc_pct"] {
        assert_eq!(json["quantities"][name]["first"], Value::Null, "{name}: {json}");
    }
    assert_eq!(json["quantities"]["temperatures_c"]["first"], serde_json::json!([null]));
    refused(&folder, &with("can-soc-scale.log --dbc can-soc-scale.dbc --map soc=SoC"), &["%+1", "Pack.SoC"]);
    let duplicate = "can-duplicate.log --dbc can-duplicate.dbc";
    refused(
        &folder,
        &format!("{duplicate} --map pack_voltage=Voltage --map pack_current=Current"),
        &["Charger.Voltage", "Battery.Voltage"],
    );
    let battery = "--map pack_voltage=Battery.Voltage --map pack_current=Battery.Current";
    check(&folder, (&format!("{duplicate} {battery}"), 0, 4, &[VOLTS]));
}

#[test]
fn shared_formats_and_clocks() {
    let Some(folder) = shared("cases/vehicle") else { return };
    for file in [
        "log-L.log",
        "log-L-direction.log",
        "log-ta.log",
        "log-gvret.csv",
        "log-vector.asc",
        "log-ovms.crtd",
        "time-short-fraction.log",
        "log-nonutf8.log",
    ] {
        let json = inspect(&folder, &format!("{file} --dbc can-plain.dbc")).1;
        assert!(
            near(&json["quantities"]["pack_voltage_v"]["last"], &serde_json::json!(355.2)),
            "{file}: {json}"
        );
        assert!(
            near(&json["quantities"]["pack_current_a"]["last"], &serde_json::json!(-12.5)),
            "{file}: {json}"
        );
        assert_eq!(json["samples"], 4, "{file}: {json}");
    }
    refused(&folder, "log-screen.log --dbc can-plain.dbc", &["log-screen.log", "candump", "states no times"]);
    let json = check(&folder, ("log-nonutf8.log --dbc can-plain.dbc", 0, 4, &[VOLTS]));
    assert_eq!(json["skipped"]["not UTF-8 text"], 1);
    check(&folder, ("log-mixed-kinds.log --dbc can-plain.dbc", 0, 3, &[VOLTS, AMPERES]));
    let json = check(&folder, ("time-back.log --dbc can-plain.dbc", 0, 60, &[VOLTS]));
    assert_eq!(json["segments"].as_array().unwrap().len(), 2);
    let json = check(&folder, ("time-file-a.log time-file-b.log --dbc can-plain.dbc", 0, 20, &[VOLTS]));
    assert!(json["warnings"].to_string().contains("order of their times"));
    let json = check(&folder, ("time-relative.log --dbc can-plain.dbc", 3, 4, &[VOLTS]));
    assert!(json["warnings"][0].as_str().unwrap().contains("start_ms"), "{json}");
    let json =
        check(&folder, ("time-relative.log --dbc can-plain.dbc --start-ms 1700000000000", 0, 4, &[VOLTS]));
    assert_eq!(json["segments"][0]["start"], "2023-11-14T22:13:22.510001Z");
    for dbc in ["val-two-lines", "noreceiver", "unknown-section", "cp1252", "tabs-crlf", "nosize", "range"] {
        check(&folder, (&format!("log-L.log --dbc dbc-{dbc}.dbc {PACK}"), 0, 4, &[VOLTS, AMPERES]));
    }
}

#[test]
fn shared_tables() {
    let Some(folder) = shared("cases/vehicle") else { return };
    let rows = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap().lines().count() as u64 - 1;
    let cases: &[Case<'_>] = &[
        ("csv-decimal-comma.csv", 0, rows("csv-decimal-comma.csv"), &[]),
        ("csv-bmw-decimal-comma.csv", 0, rows("csv-bmw-decimal-comma.csv"), &[]),
        ("csv-iso.csv", 0, rows("csv-iso.csv"), &[]),
        ("csv-epoch-s.csv --map time=ts*0.001", 0, rows("csv-epoch-s.csv"), &[]),
        (
            "csv-dead-sensor.csv --map cells=c*",
            0,
            rows("csv-dead-sensor.csv"),
            &[("cells_mv", "[3701, null, 3703]")],
        ),
        ("csv-bdf-machine.csv", 0, rows("csv-bdf-machine.csv"), &[("pack_current_a", "-1.5")]),
        ("csv-bdf-label-bom.csv", 0, rows("csv-bdf-label-bom.csv"), &[("pack_current_a", "-1.5")]),
        ("csv-negative-zero-time.csv", 0, 6, &[VOLTS]),
        (
            "csv-fahrenheit.csv --map temperatures=T*0.5555556-17.777778",
            0,
            rows("csv-fahrenheit.csv"),
            &[("temperatures_c", "[25]")],
        ),
    ];
    for case in cases {
        check(&folder, *case);
    }
    let start = |file: &str| inspect(&folder, file).1["segments"][0]["start"].clone();
    assert_eq!(start("csv-iso.csv"), "2023-05-16T06:59:50.300Z");
    assert_eq!(start("csv-epoch-s.csv --map time=ts*0.001"), "2023-05-16T06:59:50Z");
}

/// Recordings of others: read, or refused with what is missing.
#[test]
fn shared_recordings_slow() {
    let Some(folder) = shared("data") else { return };
    for folder in ["bdf", "cycler", "battery/bmw_i3_trips", "battery/panasonic_18650pf/cycles_1hz"]
        .map(|f| folder.join(f))
    {
        for file in std::fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let (exit, json, _) = inspect(&folder, &format!("./{name}"));
            println!("{name}: {exit} {} {} {}", json["format"], json["samples"], json["warnings"]);
            assert!(exit == 2 || json["samples"].as_u64().unwrap() > 0, "{name}: {json}");
        }
    }
}
