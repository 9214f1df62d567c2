//! Tests of logs of a bus in all their forms.

use super::*;
use crate::Stamp;
use crate::can::{Direction, Kind};
use proptest::prelude::*;
use std::io::Cursor;

fn read(bytes: &[u8]) -> Result<(Log, Vec<Frame>), Error> {
    let mut log = Log::new(Cursor::new(bytes.to_vec()), "test")?;
    let mut frames = Vec::new();
    while let Some(frame) = log.next()? {
        frames.push(frame);
    }
    Ok((log, frames))
}

/// One line per frame: time in µs with `u` for Unix, bus, direction, identifier, kind and data.
fn shown(frames: &[Frame]) -> Vec<String> {
    let line = |f: &Frame| {
        let time = match f.time {
            Stamp::Unix(ns) => format!("u{}", ns / 1000),
            Stamp::Relative(ns) => format!("{}", ns / 1000),
        };
        let direction = match f.direction {
            Direction::Received => "R",
            Direction::Sent => "T",
            Direction::Unknown => "-",
        };
        let kind = match f.kind {
            Kind::Data => "",
            Kind::Fd => "fd ",
            Kind::Remote => "rtr ",
            Kind::Error => "error ",
        };
        let bus = f.bus.map_or_else(|| "-".to_owned(), |bus| bus.to_string());
        let id = if f.extended { format!("{:08X}", f.id) } else { format!("{:03X}", f.id) };
        let data: String = f.data().iter().map(|b| format!("{b:02X}")).collect();
        format!("{time} {bus} {direction} {id} {kind}{data}")
    };
    frames.iter().map(line).collect()
}

#[track_caller]
fn check(text: &str, format: &str, expected: &[&str], skipped: u64) {
    let (log, frames) = read(text.as_bytes()).unwrap();
    assert_eq!(shown(&frames), expected);
    assert_eq!((log.format(), log.skipped().total()), (format, skipped), "{:?}", log.skipped());
}

#[test]
fn candump_log_lines() {
    check(
        "(1700000000.5) can0 100#E00D R\n(1700000000.25) can1 18DAF110##1000102 T\n(2.5) c 100#R8\n\
         (2.6) c 20000004#000C000000000000\n(2.7) c 1#AABB_9\n\n# comment\n(2.8) c 100#ABC\n(2.9) c 12",
        "candump",
        &[
            "u1700000000500000 can0 R 100 E00D",
            "u1700000000250000 can1 T 18DAF110 fd 000102",
            "2500000 c - 100 rtr ",
            "2600000 c - 004 error 000C000000000000",
            "2700000 c - 001 AABB",
        ],
        3,
    );
}

#[test]
fn candump_screen_lines() {
    check(
        " (2023-11-14 22:13:20.500000)  can0  TX - -  100   [2]  E0 0D\n (000.1)  can0  100   [2]  E0 0D   'ab'\n\
         (000.2)  can0  18DAF110  [12]  00 01 02 03 04 05 06 07 08 09 0A 0B\n (000.3)  can0  100   [4]  remote request\n\
         (737.12) RX0 2AD [1] 25\r\n(737.13) TX1 2AD [2] 25\n(737.14) RX0 12DD54AD [1] 25",
        "candump",
        &[
            "u1700000000500000 can0 T 100 E00D",
            "100000 can0 - 100 E00D",
            "200000 can0 - 18DAF110 fd 000102030405060708090A0B",
            "300000 can0 - 100 rtr ",
            "737120000 0 R 2AD 25",
            "737140000 0 R 12DD54AD 25",
        ],
        1,
    );
}

#[test]
fn times_of_candump_are_differences_if_they_go_back() {
    let text = " (000.000000)  can0  1   [1]  00\n (000.200000)  can0  1   [1]  01\n (000.100000)  can0  1   [1]  02\n";
    let expected = ["0 can0 - 001 00", "200000 can0 - 001 01", "300000 can0 - 001 02"];
    check(text, "candump", &expected, 0);
    let (log, _) = read(text.as_bytes()).unwrap();
    assert_eq!(log.warnings().count(), 1);
}

#[test]
fn candump_without_times_says_so() {
    let (log, frames) = read(b"  can0  1DB   [8]  00 04 C2 62 00 00 03 B6\n").unwrap();
    assert_eq!(shown(&frames), ["0 can0 - 1DB 0004C262000003B6"]);
    assert!(!log.timed() && log.warnings().count() == 1);
}

#[test]
fn a_date_without_the_zeros_of_its_milliseconds_is_python_cans() {
    let text = "date Wed Nov 15 10:13:20.12 pm 2023\nbase hex  timestamps absolute\n0.25 1 100 Rx d 1 E0\n";
    check(text, "Vector ASC", &["u1700086400262000 1 R 100 E0"], 0);
}

#[test]
fn vector_asc() {
    check(
        "date Wed Nov 15 10:13:20.500 pm 2023\nbase hex  timestamps absolute\ninternal events logged\n\
         Begin Triggerblock Wed Nov 15 10:13:20.500 pm 2023\n   0.000000 Start of measurement\n\
         0.25 1  100             Rx   d 2 E0 0D  Length = 0 BitCount = 0\n0.5 2  18DAF110x Tx d 1 FF\n\
         0.6 1 123 Rx r 4\n0.7 1 ErrorFrame\n0.8 CANFD 2 Rx 200 Name 1 0 9 12 00 01 02 03 04 05 06 07 08 09 0A 0B 0 0\n\
         0.9 1 Statistic: D 0 R 0\n1.0 1 100 Rx d 8 01 02\nEnd TriggerBlock\n",
        "Vector ASC",
        &[
            "u1700086400750000 1 R 100 E00D",
            "u1700086401000000 2 T 18DAF110 FF",
            "u1700086401100000 1 R 123 rtr ",
            "u1700086401200000 1 - 000 error ",
            "u1700086401300000 2 R 200 fd 000102030405060708090A0B",
        ],
        2,
    );
}

#[test]
fn vector_asc_relative_decimal_and_triggered() {
    check(
        "base dec timestamps relative\n0.5 1 256 Rx d 2 224 13\n0.5 1 256 Rx d 1 1\n",
        "Vector ASC",
        &["500000 1 R 100 E00D", "1000000 1 R 100 01"],
        0,
    );
    // The file was converted in 2026; the measurement began in 2023.
    check(
        "date Sun Nov 29 04:51:33.664 2026\nbase hex timestamps absolute\nBegin Triggerblock Tue Nov 14 22:13:20.0 2023\n\
         1.5 1 100 Rx d 1 AA\n",
        "Vector ASC",
        &["u1700000001500000 1 R 100 AA"],
        0,
    );
    // The block was triggered 100 s after the start.
    check(
        "date Tue Nov 14 22:13:20.0 2023\nbase hex timestamps absolute\nBegin Triggerblock Tue Nov 14 22:15:00.0 2023\n\
         100.5 1 100 Rx d 1 AA\n",
        "Vector ASC",
        &["u1700000100500000 1 R 100 AA"],
        0,
    );
}

#[test]
fn peak_trc() {
    check(
        ";$FILEVERSION=1.1\n;$STARTTIME=45244.925925925927\n;\n     1)      1059.9  Rx         0300  3  00 00 04 \n\
         2) 1060.5 Tx 18EFC034 2 01 02\n3) 1061 Rx 0100 4 RTR\n4) 1062 Warng FFFFFFFF 4 00 00 00 08 BUSHEAVY\n",
        "PEAK TRC",
        &[
            "u1700000001059900 - R 300 000004",
            "u1700000001060500 - T 18EFC034 0102",
            "u1700000001061000 - R 100 rtr ",
        ],
        1,
    );
    check("     1)      1841  0001 2  00 FF\n", "PEAK TRC", &["1841000 - - 001 00FF"], 0);
    check(
        ";$FILEVERSION=2.1\n;$COLUMNS=N,O,T,B,I,d,R,L,D\n 0 0.5 DT 1 0100 Rx - 2 E0 0D\n 1 3.5 FB 1 0100 Rx - 9 00 01 02 03 04 05 06 07 08 09 0A 0B\n\
         2 4 RR 1 0100 Rx - 3\n",
        "PEAK TRC",
        &["500 1 R 100 E00D", "3500 1 R 100 fd 000102030405060708090A0B", "4000 1 R 100 rtr "],
        0,
    );
    check(";$FILEVERSION=1.3\n 1) 1.5 1 Rx 0100 - 2 E0 0D\n", "PEAK TRC", &["1500 1 R 100 E00D"], 0);
}

#[test]
fn ixxat_trace_with_cr_only() {
    check(
        "@ TEXT @ 3 @ 64 @\r# $LocalTime=11:19:54.503\r26,641405\t1\t00000004\t112\t2\t00 20\t00000000\t \t\r26,7\t1\t00000004\t112\t3\t00 20\r",
        "IXXAT trace",
        &["26641405 1 - 112 0020"],
        1,
    );
}

#[test]
fn tables_of_frames() {
    check(
        "Time Stamp,ID,Extended,Dir,Bus,LEN,D1,D2,D3\n6701353,00000100,false,Rx,0,2,E0,0D,\n\
         1700000000500000,18DAF110,true,Tx,1,1,FF,\n6701353,00000100,false,Rx,0,2,E0,0\n",
        "SavvyCAN or GVRET CSV",
        &["6701353 0 R 100 E00D", "u1700000000500000 1 T 18DAF110 FF"],
        1,
    );
    check(
        "ParserFlags\tCh\tCounter\tT/R\tTime\tFlags\tCAN ID\tLen\tData\t\n1\t0\t1\tRX\t565214935\t\t0x00000603\t2\t0x00 1f \t\n",
        "tab-separated frames",
        &["565214935000 0 R 603 001F"],
        0,
    );
    check(
        "timestamp,arbitration_id,extended,remote,error,dlc,data\n1700000000.1,0x18daf110,1,0,0,3,AQID\n\
         1700000000.2,0x123,0,1,0,4,\n1700000000.3,0x7ff,0,0,0,1,/w==\n",
        "python-can CSV",
        &[
            "u1700000000100000 - - 18DAF110 010203",
            "u1700000000200000 - - 123 rtr ",
            "u1700000000300000 - - 7FF FF",
        ],
        0,
    );
}

#[test]
fn ovms_crtd() {
    check(
        "169.971 CXX OVMS CRTD\n1632509059.541604 2R11 174 00 00\n169.5 1T29 18daf110 01\n1632509064.5 2CER Error\n",
        "OVMS CRTD",
        &["u1632509059541604 2 R 174 0000", "169500000 1 T 18DAF110 01"],
        1,
    );
}

#[test]
fn formats_that_are_not_read_are_named() {
    for (bytes, name) in [
        (&b"SQLite format 3\0"[..], "SQLite"),
        (b"MDF     4.10", "MDF"),
        (b"PK\x03\x04", "zip"),
        (b"time,u,i\n1,2,3\n", "known are"),
        (b"", "known are"),
    ] {
        let Err(error) = read(bytes) else { panic!("{name} was read") };
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn what_is_no_frame_is_counted_and_the_rest_read() {
    let long = "x".repeat(40_000);
    let text = format!("PuTTY log\n(1.5) RX0 100 [1] AA\n{long}\n(1.6) RX0 100 [1] AB\n");
    check(&text, "candump", &["1500000 0 R 100 AA", "1600000 0 R 100 AB"], 2);
    let (log, frames) = read(b"(1.5) c 100#AA\n# J\xfcrgen\n(1.6) c 100#AB").unwrap();
    assert_eq!(
        (frames.len(), log.skipped().iter().collect::<Vec<_>>()),
        (2, vec![("not UTF-8 text", 1, "test:2")])
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), head in 0..10usize) {
        let heads: [&[u8]; 10] = [
            b"(1.5) c 100#AA\n(", b"base hex\n1.5 ", b";$FILEVERSION=2.0\n", b"1) 1 Rx ", b"1.5 1R11 100 00\n1.5 1R11 ",
            b"@ TEXT @\n1,5\t1\t", b"Time Stamp,ID,LEN,D1\n1,1,", b"timestamp,arbitration_id,dlc,data\n1,1,3,", b"LOGG\x90\0\0\0", b"",
        ];
        let mut all = heads[head].to_vec();
        all.extend(bytes);
        let _ = read(&all);
    }
}
