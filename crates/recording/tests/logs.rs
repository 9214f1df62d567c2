//! Logs with text around their frames, in packed files, and with messages of several frames.

#![allow(clippy::unwrap_used)]

use voltmesh_recording::report::{Moment, Report, Values, Verdict};
use voltmesh_recording::{Error, Options, Recording};

const DBC: &str = "VERSION \"\"\n\nBU_: A\n\nBO_ 256 Pack: 8 A\n \
    SG_ PackVoltage : 0|16@1+ (0.1,0) [0|1000] \"V\" A\n \
    SG_ PackCurrent : 16|16@1- (0.1,0) [-1000|1000] \"A\" A\n";

/// What is read of a recording with a DBC file, both written to files.
fn read(recording: impl AsRef<[u8]>, dbc: impl AsRef<[u8]>) -> Result<Report, Error> {
    with(recording, dbc, Options::new(1_790_000_000_000))
}

fn with(recording: impl AsRef<[u8]>, dbc: impl AsRef<[u8]>, options: Options) -> Result<Report, Error> {
    let folder = tempfile::tempdir().unwrap();
    let [path, of_dbc] = ["a", "a.dbc"].map(|name| folder.path().join(name));
    std::fs::write(&path, recording).unwrap();
    std::fs::write(&of_dbc, dbc).unwrap();
    let options = Options { dbc: Some(of_dbc), ..options };
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

/// A log of candump with times from 0, one frame each.
fn of_times(times: &[f64]) -> String {
    times.iter().map(|time| format!(" ({time:010.6})  can0  100   [8]  E0 0D 83 FF 00 00 00 00\n")).collect()
}

fn stated(time_format: Option<&str>) -> Options {
    let mut options = Options { start_ms: Some(1_700_000_000_000), ..Options::new(1_790_000_000_000) };
    options.table.time_format = time_format.map(str::to_owned);
    options
}

/// Seconds from the log's 0 to its last row.
fn end_s(report: &Report) -> f64 {
    let Moment::Date(end) = &report.segments.last().unwrap().end else { panic!("{:?}", report.segments) };
    let (_, clock) = end.split_once('T').unwrap();
    let parts: Vec<f64> = clock.trim_end_matches('Z').split(':').map(|part| part.parse().unwrap()).collect();
    parts[0] * 3600.0 + parts[1] * 60.0 + parts[2] - (22.0 * 3600.0 + 13.0 * 60.0 + 20.0)
}

#[track_caller]
fn ends(times: &[f64], time_format: Option<&str>, end: f64, doubt: Option<&str>) -> Report {
    let report = with(of_times(times), DBC, stated(time_format)).unwrap();
    assert!((end_s(&report) - end).abs() < 1e-5, "{}: {report:?}", end_s(&report));
    let doubts = &report.reasons;
    assert_eq!(doubts.len(), usize::from(doubt.is_some()), "{doubts:?}");
    assert!(doubt.is_none_or(|words| doubts[0].contains(words)), "{doubts:?}");
    report
}

#[test]
fn times_of_candump_are_told_from_differences_or_doubted() {
    let seconds = |count: u32| (0..count).map(f64::from).collect::<Vec<_>>();
    let warned = |report: &Report, words: &str| report.warnings.iter().any(|text| text.contains(words));
    // Counted from the first frame.
    let report = ends(&seconds(20), None, 19.0, None);
    assert!(warned(&report, "candump -tz"), "{:?}", report.warnings);
    // A frame of another interface may be a little late, and a log may be appended to.
    let mut late = seconds(20);
    late[9] = 7.99999;
    ends(&late, None, 19.0, None);
    let twice = ends(&[seconds(20), seconds(20)].concat(), None, 39.0, None);
    assert_eq!(twice.segments.len(), 1 + 1, "{:?}", twice.segments);
    // Differences go up and down; those of bursts go up four times of five.
    let jitter: Vec<f64> =
        (0..20).map(|n| if n == 0 { 0.0 } else { 1.0 + 1e-4 * f64::from(n * 7 % 5) }).collect();
    let report = ends(&jitter, None, jitter.iter().sum(), None);
    assert!(warned(&report, "candump -td"), "{:?}", report.warnings);
    let burst = [0.00011, 0.00012, 0.00013, 0.00014, 0.9];
    let bursts = [&[0.0][..], &burst.repeat(10)].concat();
    ends(&bursts, None, bursts.iter().sum(), None);
    // A long pause alone is none of a clock that goes on.
    let paused = [&jitter[..], &[50.0]].concat();
    ends(&paused, None, paused.iter().sum(), None);
    ends(&[0.0, 1.0, 1.0, 1.0], None, 3.0, None);
    ends(&[0.0, 1.00012, 0.99987, 1.00034, 0.9999], None, 4.00023, None);
    // A bus that begins after a silence.
    let silent: Vec<f64> = (0..62).map(|n| if n == 0 { 0.0 } else { 2.0 + 0.01 * f64::from(n) }).collect();
    ends(&silent, None, 2.61, None);
    // A late frame among few.
    ends(&[0.0, 1.0, 2.0, 1.9999, 3.0], None, 7.9999, Some("read as differences"));
}

#[test]
fn times_of_candump_that_can_mean_either_are_doubted_until_stated() {
    let few = [0.0, 1.0, 2.0, 3.0];
    ends(&few, None, 3.0, Some("candump_td"));
    ends(&few, Some("candump_tz"), 3.0, None);
    ends(&few, Some("candump_td"), 6.0, None);
    // Differences that only grow.
    let grow: Vec<f64> = (0..20).map(|n| if n == 0 { 0.0 } else { 1.0 + 1e-3 * f64::from(n) }).collect();
    ends(&grow, None, grow.iter().sum(), Some("read as differences"));
    ends(&grow, Some("candump_tz"), 1.019, None);
    // Two frames mean the same by either.
    ends(&[0.0, 1.5], None, 1.5, None);
    let other = with(of_times(&few), DBC, stated(Some("epoch_s"))).expect_err("refused").to_string();
    assert!(other.contains("candump_tz"), "{other}");
    let asc = "date Tue Nov 14 22:13:20.000 2023\nbase hex timestamps absolute\n 0.5 1 100 Rx d 8 E0 0D 83 FF 00 00 00 00\n";
    let other = with(asc, DBC, stated(Some("candump_td"))).expect_err("refused").to_string();
    assert!(other.contains("Vector ASC"), "{other}");
}

/// A BLF file with a start and two frames half a second apart, in objects outside of containers.
fn blf(start: [u16; 8]) -> Vec<u8> {
    let mut bytes = [b"LOGG".as_slice(), &144_u32.to_le_bytes(), &[0; 32]].concat();
    bytes.extend(start.iter().flat_map(|part| part.to_le_bytes()));
    bytes.resize(144, 0);
    for ns in [500_000_000_u64, 1_000_000_000] {
        bytes.extend(b"LOBJ\x20\0\x01\0");
        bytes.extend([48_u32, 1, 2, 0].iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(ns.to_le_bytes());
        bytes.extend(b"\x01\0\0\x08\0\x01\0\0\xe0\x0d\x83\xff\0\0\0\0");
    }
    bytes
}

#[test]
fn local_times_of_logs_have_one_rule() {
    let asc = "date Tue Nov 14 22:13:20.000 2023\nbase hex timestamps absolute\n 0.5 1 100 Rx d 8 E0 0D 83 FF 00 00 00 00\n";
    let trc =
        ";$FILEVERSION=1.1\n;$STARTTIME=45244.9259259259\n 1) 500.0 Rx 0100 8 E0 0D 83 FF 00 00 00 00\n";
    let candump = "(2023-11-14 22:13:20.500000)  can0  100   [8]  E0 0D 83 FF 00 00 00 00\n";
    // Year, month, weekday, day, hour, minute, second, ms.
    let blf = blf([2023, 11, 2, 14, 22, 13, 20, 0]);
    for log in [asc.as_bytes(), trc.as_bytes(), candump.as_bytes(), &blf] {
        let start = |report: &Report, wanted: &str| {
            let Moment::Date(start) = &report.segments[0].start else { panic!("{report:?}") };
            assert!(start.starts_with(wanted), "{start}: {}", report.format);
        };
        let is_said = |report: &Report| report.warnings.iter().any(|text| text.contains("state time_zone"));
        let report = read(log, DBC).unwrap();
        start(&report, "2023-11-14T22:13:2");
        assert!(is_said(&report), "{report:?}");
        let mut berlin = Options::new(1_790_000_000_000);
        berlin.table.time_zone = Some("Europe/Berlin".into());
        let report = with(log, DBC, berlin).unwrap();
        start(&report, "2023-11-14T21:13:2");
        assert!(!is_said(&report), "{report:?}");
    }
    let mut nowhere = Options::new(1_790_000_000_000);
    nowhere.table.time_zone = Some("Berlin".into());
    assert!(with(asc, DBC, nowhere).expect_err("refused").to_string().contains("no IANA zone"));
    // A start counts as it was: the clock was set back while the log went on.
    let mut berlin = Options::new(1_790_000_000_000);
    berlin.table.time_zone = Some("Europe/Berlin".into());
    let long = "date Sun Oct 29 01:30:00.000 2023\nbase hex timestamps absolute\n 0.0 1 100 Rx d 8 E0 0D 83 FF 00 00 00 00\n \
                7200.0 1 100 Rx d 8 E0 0D 83 FF 00 00 00 00\n 7201.0 1 100 Rx d 8 E0 0D 83 FF 00 00 00 00\n";
    let Moment::Date(end) = with(long, DBC, berlin).unwrap().segments[0].end.clone() else {
        panic!("a date")
    };
    assert_eq!(end, "2023-10-29T01:30:01Z");
}
