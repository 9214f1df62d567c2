//! Logs with text around their frames, in packed files, and with messages of several frames.

#![allow(clippy::unwrap_used)]

use voltmesh_recording::report::{Report, Values, Verdict};
use voltmesh_recording::{Error, Options, Recording};

const DBC: &str = "VERSION \"\"\n\nBU_: A\n\nBO_ 256 Pack: 8 A\n \
    SG_ PackVoltage : 0|16@1+ (0.1,0) [0|1000] \"V\" A\n \
    SG_ PackCurrent : 16|16@1- (0.1,0) [-1000|1000] \"A\" A\n";

/// What is read of a recording with a DBC file, both written to files.
fn read(recording: impl AsRef<[u8]>, dbc: impl AsRef<[u8]>) -> Result<Report, Error> {
    let folder = tempfile::tempdir().unwrap();
    let [path, of_dbc] = ["a", "a.dbc"].map(|name| folder.path().join(name));
    std::fs::write(&path, recording).unwrap();
    std::fs::write(&of_dbc, dbc).unwrap();
    let options = Options { dbc: Some(of_dbc), ..Options::new(1_790_000_000_000) };
    let mut recording = Recording::open(&[path], &options)?;
    while recording.next()?.is_some() {}
    Ok(recording.report())
}

#[track_caller]
fn report(recording: impl AsRef<[u8]>, dbc: impl AsRef<[u8]>) -> Report {
    read(recording, dbc).unwrap()
}

#[track_caller]
fn refused(recording: impl AsRef<[u8]>, dbc: &str, words: &[&str]) {
    let error = read(recording, dbc).expect_err("refused").to_string();
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
}

/// Ten seconds of candump.
fn log() -> String {
    (0..10).map(|s| format!("({}.0) can0 100#E00D83FF00000000\n", 1_700_000_000 + s)).collect()
}

#[track_caller]
fn near(report: &Report, name: &str, wanted: f64) {
    let quantity = &report.quantities[name];
    let Values::One(Some(value)) = quantity.last else { panic!("{name}: {quantity:?}") };
    assert!((value - wanted).abs() < 1e-9, "{name}: {value}");
}

#[test]
fn text_around_frames_is_left_out() {
    let journal = log().replace("(17", "Nov 14 22:13:20 pi candump[812]: (17");
    let colored = log().replace("(17", " \u{1b}[34m(17").replace('\n', "\u{1b}[0m\n");
    for text in [journal, colored] {
        let report = report(text, DBC);
        assert_eq!((report.samples, report.skipped.len()), (10, 0), "{report:?}");
        near(&report, "pack_voltage_v", 355.2);
    }
}

#[test]
fn a_log_without_a_readable_frame_says_why() {
    let asc = "date Tue May 16 06:59:50 2023\nbase hex timestamps absolute\n 0.1 1 Pack Rx d 2 E0 0D\n";
    refused(asc, DBC, &["no frame", "symbolic names"]);
    let quoted = "Time Stamp,ID,Extended,Dir,Bus,LEN,D1,D2,D3,D4\n\
                  \"1700000000000000\",\"00000100\",\"false\",\"Rx\",\"0\",\"4\",\"E0\",\"0D\",\"83\",\"FF\"\n";
    near(&report(quoted, DBC), "pack_voltage_v", 355.2);
}

#[test]
fn rows_of_one_time_are_doubted() {
    let still = "Date,u,i\n".to_owned() + &"2023-05-16 06:59:50,355.2,-1\n".repeat(12);
    let report = report(still, DBC);
    assert!(report.reasons.iter().any(|reason| reason.contains("same time")), "{report:?}");
}

#[test]
fn messages_of_several_frames_are_joined() {
    let dbc = "VERSION \"\"\n\nBU_: A\n\nBO_ 2566856707 Pack: 12 A\n \
        SG_ PackVoltage : 0|16@1+ (0.1,0) [0|1000] \"V\" A\n \
        SG_ PackCurrent : 64|16@1- (0.1,0) [-1000|1000] \"A\" A\n\n\
        BA_DEF_ BO_ \"VFrameFormat\" ENUM \"StandardCAN\",\"J1939PG\";\nBA_DEF_DEF_ \"VFrameFormat\" \"J1939PG\";\n";
    let second = |s: u32| {
        format!(
            "({0}.0) can0 18ECFF03#200C0002FF20FF00\n({0}.1) can0 18EBFF03#01E00D0000000000\n\
             ({0}.2) can0 18EBFF03#020083FF0000FFFF\n",
            1_700_000_000 + s
        )
    };
    let report = report((0..10).map(second).collect::<String>(), dbc);
    assert_eq!((report.samples, report.verdict), (10, Verdict::Usable), "{report:?}");
    near(&report, "pack_voltage_v", 355.2);
    near(&report, "pack_current_a", -12.5);
}

#[test]
fn archives_are_named() {
    // One empty file: its header, the directory of one entry, and its end.
    let header = [b"PK\x03\x04\x0a\0".as_slice(), &[0; 20], b"\x01\0\0\0a"].concat();
    let entry = [b"PK\x01\x02\x0a\0\x0a\0".as_slice(), &[0; 20], b"\x01\0", &[0; 16], b"a"].concat();
    let end = b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x2f\0\0\0\x1f\0\0\0\0\0";
    refused([&header[..], &entry, end].concat(), DBC, &["zip", "unpack"]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, DBC.as_bytes()).unwrap();
    near(&report(log(), packed.finish().unwrap()), "pack_voltage_v", 355.2);
}
