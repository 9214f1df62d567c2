//! Files of other tools are read as those tools read them, where Python has them: python-can, asammdf, can-isotp with udsoncan.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use voltmesh_recording::can::{Direction, Kind, Log};
use voltmesh_recording::report::Values;
use voltmesh_recording::{Options, Recording, Stamp};

/// Names of files that a script wrote; none, with the reason printed, where Python lacks a package.
fn written(script: &str, folder: &Path) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles").join(script);
    let output = match Command::new("python3").arg(&script).arg(folder).output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: python3 cannot be run: {error}");
            return Vec::new();
        }
    };
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        assert!(error.contains("ModuleNotFoundError"), "{error}");
        println!("skipped: {}", error.lines().last().unwrap_or_default());
        return Vec::new();
    }
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// A unit that answers one request with a current and 96 cells.
const UNIT: &str = "vehicle = 'a'\n[[unit]]\nrequest = 0x7E4\nresponse = 0x7EC\n[[unit.read]]\nid = 0x0102\n\
    value = [{ quantity = 'pack_current', byte = 0, bytes = 2, signed = true, factor = 0.1 },\n\
    { quantity = 'cells', byte = 2, factor = 0.02, count = 96 }]\n";

#[test]
fn answers_that_can_isotp_sends_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for name in written("diagnostics.py", folder.path()) {
        let definition = folder.path().join("unit.toml");
        std::fs::write(&definition, UNIT).unwrap();
        let options = Options { diagnostics: Some(definition), ..Options::new(1_790_000_000_000) };
        let mut recording = Recording::open(&[folder.path().join(name)], &options).unwrap();
        while recording.next().unwrap().is_some() {}
        let report = recording.report();
        let cells = std::fs::read_to_string(folder.path().join("cells")).unwrap();
        let cells: Vec<Option<f64>> = cells.split(' ').map(|cell| cell.parse().ok()).collect();
        assert_eq!(report.quantities["cells_mv"].last, Values::Many(cells));
        assert_eq!(report.quantities["pack_current_a"].last, Values::One(Some(-12.5)));
        assert_eq!((report.samples, report.skipped.len()), (5, 0), "{:?}", report.warnings);
    }
}

#[test]
fn frames_of_python_can_are_read_as_it_wrote_them() {
    let folder = tempfile::tempdir().unwrap();
    let names = written("frames.py", folder.path());
    println!("compared: {}", names.join(", "));
    for name in names {
        let truth = std::fs::read_to_string(folder.path().join("truth")).unwrap();
        let mut truth = truth.lines();
        let mut log = Log::open(&folder.path().join(&name)).unwrap();
        // What a format does not keep is not compared.
        let (has_bus, has_direction) =
            (name != "log.db" && name != "log.csv", name != "log.db" && name != "log.csv");
        while let Some(frame) = log.next().unwrap() {
            let (Stamp::Unix(ns) | Stamp::Relative(ns)) = frame.time;
            let line = truth.next().unwrap_or_else(|| panic!("{name}: more frames than were written"));
            let words: Vec<&str> = line.split(' ').collect();
            let bus = frame.bus.map(|bus| bus.name().trim_start_matches("can").parse::<u8>().unwrap());
            // An ASC file counts its channels from 1.
            let bus = bus.map(|bus| if name == "log.asc" || name == "log.blf" { bus - 1 } else { bus });
            let data: String = frame.data().iter().map(|byte| format!("{byte:02x}")).collect();
            let flag = |is: bool| if is { "1" } else { "0" };
            assert!((ns as f64 / 1e9 - words[0].parse::<f64>().unwrap()).abs() < 2e-3, "{name}: {ns} {line}");
            assert!(!has_bus || bus.unwrap().to_string() == words[1], "{name}: {bus:?} {line}");
            assert_eq!(format!("{:X}", frame.id), words[2], "{name}: {line}");
            assert_eq!(flag(frame.extended), words[3], "{name}: {line}");
            assert_eq!(flag(frame.kind == Kind::Fd), words[4], "{name}: {line}");
            assert_eq!(flag(frame.kind == Kind::Remote), words[5], "{name}: {line}");
            assert!(!has_direction || flag(frame.direction != Direction::Sent) == words[6], "{name}: {line}");
            assert_eq!(data, words[7], "{name}: {line}");
        }
        assert_eq!(truth.next(), None, "{name}: frames are missing");
        assert_eq!(log.skipped().total(), 0, "{name}: {:?}", log.skipped());
    }
}
