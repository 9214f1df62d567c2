//! Logs and DBC files of the shared cases, and all shared DBC files and logs, if they are there.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::PathBuf;
use voltmesh_recording::can::dbc::Rounding;
use voltmesh_recording::can::{Dbc, Decoder, Log, Signals};
use voltmesh_recording::{Error, Row};

fn shared(folder: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(folder);
    if !path.exists() {
        println!("skipped: there is no {}", path.display());
        return None;
    }
    Some(path)
}

const PACK: &str = "voltage = 'PackVoltage'\ncurrent = 'PackCurrent'\n";

/// A row at every frame of the first wanted message that comes last in a second.
fn rows(log: &str, dbc: &str, signals: &str) -> Option<Result<Vec<Row>, Error>> {
    let folder = shared("cases/vehicle")?;
    let dbc = Dbc::parse(&std::fs::read(folder.join(dbc)).unwrap(), dbc).unwrap();
    let signals: Signals = toml::from_str(signals).unwrap();
    let mut decoder = match Decoder::new(&dbc, &signals) {
        Ok(decoder) => decoder,
        Err(error) => return Some(Err(error)),
    };
    let mut log = Log::open(&folder.join(log)).unwrap();
    let mut rows = Vec::new();
    while let Some(frame) = log.next().unwrap() {
        decoder.frame(&frame);
        rows.extend(decoder.row(frame.time));
    }
    Some(Ok(rows))
}

/// Voltage, current and the rest of the last row.
#[track_caller]
fn check(log: &str, dbc: &str, more: &str, count: usize, volts: f64, amperes: f64) -> Option<Row> {
    let rows = rows(log, dbc, &format!("{PACK}{more}"))?.unwrap();
    let last = rows.last().unwrap().clone();
    assert_eq!(rows.len(), count, "{log}");
    let near = |reading: Result<f64, _>, wanted: f64| reading.is_ok_and(|v| (v - wanted).abs() < 1e-9);
    assert!(near(last.pack_voltage, volts) && near(last.pack_current, amperes), "{log}: {last:?}");
    Some(last)
}

#[track_caller]
fn cells(row: Option<Row>, wanted: &[f64]) {
    let Some(row) = row else { return };
    assert_eq!(row.cells.len(), wanted.len());
    for (cell, wanted) in row.cells.iter().zip(wanted) {
        assert!(cell.is_ok_and(|v| (v - wanted).abs() < 1e-9), "{:?}", row.cells);
    }
}

#[track_caller]
fn refused(log: &str, dbc: &str, signals: &str, words: &[&str]) {
    let Some(result) = rows(log, dbc, signals) else { return };
    let error = result.unwrap_err().to_string();
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
}

#[test]
fn meaning_of_signals() {
    check("can-float.log", "can-float.dbc", "", 4, 355.25, -12.5);
    if let Some(row) = check("can-float-soc.log", "can-float-soc.dbc", "soc = 'SoC'", 4, 355.0, -5.0) {
        assert!((row.soc.unwrap() - 43.1).abs() < 1e-5);
    }
    cells(
        check("can-extmux.log", "can-extmux.dbc", "cells = ['Cell{:02}']\ncell_count = 3", 24, 111.0, -5.0),
        &[3.701, 3.702, 3.703],
    );
    cells(
        check("can-millivolt.log", "can-millivolt.dbc", "cells = ['CellVoltage_{:03}']", 8, 11.106, -25.0),
        &[3.701, 3.702, 3.703],
    );
    let mut signals = "cells = ['Cell_{}']\ncell_count = 4";
    cells(
        check("can-zerobased.log", "can-zerobased.dbc", signals, 8, 147.0, -5.0),
        &[3.6, 3.701, 3.702, 3.703],
    );
    signals = "cells = ['Cell_{}']\ncell_count = 3";
    cells(check("can-zerobased.log", "can-zerobased.dbc", signals, 8, 147.0, -5.0), &[3.6, 3.701, 3.702]);
    check("can-j1939.log", "can-j1939.dbc", "", 4, 355.25, -12.5);
    if let Some(row) =
        check("can-cell-missing.log", "can-cell-missing.dbc", "cells = ['Cell{:02}']", 8, 11.1, -5.0)
    {
        assert!(row.cells[0].is_ok() && row.cells[1].is_ok() && row.cells[2].is_err());
    }
    let soc = "soc = { signal = 'SoC', unit = '0.1%' }";
    if let Some(row) = check("can-soc-scale.log", "can-soc-scale.dbc", soc, 4, 355.0, -5.0) {
        assert!((row.soc.unwrap() - 43.1).abs() < 1e-9);
    }
    refused("can-soc-scale.log", "can-soc-scale.dbc", "soc = 'SoC'", &["%+1", "Pack.SoC"]);
    refused(
        "can-duplicate.log",
        "can-duplicate.dbc",
        "voltage = 'Voltage'",
        &["Charger.Voltage", "Battery.Voltage"],
    );
    let battery = rows("can-duplicate.log", "can-duplicate.dbc", "voltage = 'Battery.Voltage'");
    if let Some(rows) = battery {
        assert!((rows.unwrap().last().unwrap().pack_voltage.unwrap() - 355.2).abs() < 1e-9);
    }
}

#[test]
fn unknown_values() {
    let signals = format!("{PACK}soc = 'SoC'\ntemperatures = ['TempC']");
    if let Some(rows) = rows("can-sna.log", "can-sna.dbc", &signals) {
        let rows = rows.unwrap();
        let row = &rows[0];
        assert!(row.pack_voltage.is_err() && row.pack_current.is_err() && row.soc.is_err());
        assert!(
            row.temperatures[0].is_err() && rows[1].pack_voltage.is_ok() && rows[1].temperatures[0].is_ok()
        );
    }
    if let Some(rows) = rows("can-asleep.log", "can-plain.dbc", PACK) {
        assert!(rows.unwrap().len() < 8);
    }
}

#[test]
fn logs_and_dbc_files() {
    for log in [
        "log-L",
        "log-L-direction",
        "log-screen",
        "log-ta",
        "log-nonutf8",
        "time-short-fraction",
        "time-relative",
    ] {
        check(&format!("{log}.log"), "can-plain.dbc", "", 4, 355.2, -12.5);
    }
    for log in ["log-gvret.csv", "log-vector.asc", "log-ovms.crtd"] {
        check(log, "can-plain.dbc", "", 4, 355.2, -12.5);
    }
    check("log-mixed-kinds.log", "can-plain.dbc", "", 7, 355.2, -12.5);
    for dbc in ["val-two-lines", "noreceiver", "unknown-section", "cp1252", "tabs-crlf", "nosize", "range"] {
        check("log-L.log", &format!("dbc-{dbc}.dbc"), "", 4, 355.2, -12.5);
    }
}

#[test]
fn all_shared_files_are_read() {
    let Some(folder) = shared("data/can") else { return };
    for file in std::fs::read_dir(folder.join("dbc")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let dbc = Dbc::parse(&std::fs::read(&path).unwrap(), &name);
        println!("{name}: {:?}", dbc.as_ref().map(|d| (d.messages.len(), d.warnings.first())));
        assert!(dbc.is_ok() || name.contains("invalid"), "{name}");
    }
    for file in std::fs::read_dir(folder.join("logs")).unwrap() {
        let mut log = Log::open(&file.unwrap().path()).unwrap();
        let mut frames = 0;
        while log.next().unwrap().is_some() {
            frames += 1;
        }
        println!("{} {frames} {:?}", log.format(), log.skipped());
        assert!(frames > 1000 && log.skipped().total() < 30);
    }
}

/// A frame with only a signal's own bits, and what it says, makes the same bits again: of every signal of every shared file.
#[test]
fn encoding_inverts_decoding_of_every_shared_message() {
    let Some(folder) = shared("data/can/dbc") else { return };
    let (mut messages, mut values) = (0, 0);
    // SplitMix64: the same frames in each run.
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb).to_be_bytes()
    };
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Ok(dbc) = Dbc::parse(&std::fs::read(&path).unwrap(), &name) else { continue };
        for message in &dbc.messages {
            messages += 1;
            for _ in 0..4 {
                let bytes = usize::try_from(message.size.min(64)).unwrap();
                let data: Vec<u8> = std::iter::repeat_with(&mut random).flatten().take(bytes).collect();
                let mut rebuilt = vec![0; bytes];
                let present: Vec<_> =
                    (0..message.signals.len()).filter(|index| message.is_present(*index, &data)).collect();
                for index in present {
                    let signal = &message.signals[index];
                    let Some(bits) = signal.bits(&data) else {
                        assert!(
                            !signal.put_bits(&mut rebuilt, 0),
                            "{name} {}: beyond the frame",
                            signal.name
                        );
                        continue;
                    };
                    assert!(signal.put_bits(&mut rebuilt, bits));
                    assert_eq!(signal.bits(&rebuilt), Some(bits), "{name} {} {data:?}", signal.name);
                    values += 1;
                    let (Some(value), false) = (signal.physical(&data), signal.factor == 0.0) else {
                        continue;
                    };
                    // What a double does not hold exactly, or the file's range forbids, has no way back.
                    let exact = bits < 1 << 50 || bits >> (signal.size - 1) == 1 && signal.size <= 50;
                    let fine = signal.offset.abs() < 1e9 * signal.factor.abs();
                    if !exact || !fine || signal.read(&data, false) != Some(Ok(value)) {
                        continue;
                    }
                    assert_eq!(
                        signal.encode(value, Rounding::Nearest),
                        Ok(bits),
                        "{name} {} {value}",
                        signal.name
                    );
                }
                // No bit of the frame that no signal has is touched.
                let covered: Vec<u8> = data.iter().zip(&rebuilt).map(|(given, made)| given & made).collect();
                assert_eq!(covered, rebuilt, "{name} {}", message.name);
            }
        }
    }
    println!("{messages} messages, {values} values");
    assert!(messages > 1_000 && values > 20_000, "{messages} {values}");
}

#[test]
fn what_a_signal_cannot_say_is_refused_and_a_limit_is_rounded_down() {
    let text = b"BO_ 100 Order: 8 X\n SG_ Limit : 0|10@1+ (0.5,0) [0|400] \"A\" X\n SG_ Target : 23|12@0- (0.1,-10) [0|0] \"degC\" X\n \
        SG_ Mux M : 40|2@1+ (1,0) [0|3] \"\" X\n SG_ Late m2 : 48|8@1+ (1,0) [0|255] \"\" X\n";
    let dbc = Dbc::parse(text, "order.dbc").unwrap();
    let message = &dbc.messages[0];
    let frame = |values: &[(&str, f64)]| message.encode(&values.iter().copied().collect());
    let data = frame(&[("Limit", 12.5), ("Target", -20.0)]).unwrap();
    assert_eq!(data, [25, 0, 0xf9, 0xc0, 0, 0, 0, 0]);
    assert_eq!(message.signals[1].physical(&data), Some(-20.0));
    let limit = |value, rounding| message.signals[0].encode(value, rounding).unwrap();
    assert_eq!((limit(12.99, Rounding::Down), limit(12.99, Rounding::Nearest)), (25, 26));
    assert_eq!(limit(400.0, Rounding::Down), 800);
    for (values, said) in [
        (vec![("Limit", 400.6)], "it says 0 to 400"),
        (vec![("Limit", -1.0)], "it says 0 to 400"),
        (vec![("Limit", f64::NAN)], "NaN"),
        (vec![("Target", 1e9)], "Target"),
        (vec![("Limt", 1.0)], "has no signal Limt"),
        (vec![("Mux", 1.0), ("Late", 7.0)], "selector"),
    ] {
        let error = frame(&values).unwrap_err().to_string();
        assert!(error.contains(said), "{values:?}: {error}");
    }
    assert_eq!(frame(&[("Mux", 2.0), ("Late", 7.0)]).unwrap()[5..7], [2, 7]);
}

#[test]
fn decoding_equals_cantools() {
    let Some(folder) = shared("data/can/dbc") else { return };
    // Cargo builds examples together with tests, beside them.
    let example = std::env::current_exe().unwrap().parent().unwrap().join("../examples/can_decode");
    if !example.exists() {
        println!("skipped: the example can_decode is not built");
        return;
    }
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cantools_compare.py");
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    match std::process::Command::new(python).arg(script).arg(example).arg(folder).output() {
        Err(error) => println!("skipped: python3 does not start: {error}"),
        Ok(output) => {
            println!("{}", String::from_utf8_lossy(&output.stdout));
            let code = output.status.code();
            assert!(matches!(code, Some(0 | 77)), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
