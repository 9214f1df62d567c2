//! Inputs that could be read wrongly without a word: each is read rightly, or its cause is named.

#![allow(clippy::unwrap_used)]

mod common;

use common::{any, format, map};
use voltmesh_recording::report::{Moment, Report, Values};
use voltmesh_recording::{Error, Options, Recording};

fn read(text: impl AsRef<[u8]>, dbc: Option<&str>, options: Options) -> Result<Report, Error> {
    let folder = tempfile::tempdir().unwrap();
    let [path, of_dbc] = ["a", "a.dbc"].map(|name| folder.path().join(name));
    std::fs::write(&path, text).unwrap();
    let dbc = dbc.map(|text| {
        std::fs::write(&of_dbc, text).unwrap();
        of_dbc
    });
    let mut recording = Recording::open(&[path], &Options { dbc, ..options })?;
    while recording.next()?.is_some() {}
    Ok(recording.report())
}

/// A header, and 20 rows that a function of their number gives.
fn table(header: &str, row: impl Fn(u32) -> String) -> String {
    (0..20).fold(format!("{header}\n"), |text, n| text + &row(n) + "\n")
}

/// Least and greatest value of a quantity.
fn range(report: &Report, name: &str) -> (f64, f64) {
    let quantity = &report.quantities[name];
    (quantity.min.unwrap(), quantity.max.unwrap())
}

#[track_caller]
fn refused(text: impl AsRef<[u8]>, dbc: Option<&str>, words: &[&str]) {
    let error = read(text, dbc, any()).expect_err("refused").to_string();
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
}

#[track_caller]
fn doubted(report: &Report, word: &str) {
    assert!(report.reasons.iter().any(|reason| reason.contains(word)), "{:?}", report.reasons);
}

#[track_caller]
fn starts(report: &Report, date: &str) {
    let Moment::Date(start) = &report.segments[0].start else { panic!("{:?}", report.segments) };
    assert!(start.starts_with(date), "{start}");
}

#[test]
fn a_magnitude_takes_its_sign_from_the_state_in_any_language() {
    let with = |header: &str, word: &str| {
        let report = read(table(header, |n| format!("{n},3.7,1.5,{word}")), None, any()).unwrap();
        (range(&report, "pack_current_a").0, report.reasons)
    };
    for (state, word) in [
        ("State", "Décharge CC"),
        ("État", "Décharge"),
        ("Estado", "Descarga"),
        ("工步类型", "恒流放电"),
        ("Direction", "discharge"),
        ("Charge State", "Discharging"),
    ] {
        let (amperes, reasons) = with(&format!("Time (s),Voltage (V),Current (A),{state}"), word);
        assert_eq!((amperes, reasons.len()), (-1.5, 0), "{state} {word} {reasons:?}");
    }
    let (amperes, _) = with("Time (s),Voltage (V),Current (A),State", "恒流恒压充电");
    assert_eq!(amperes, 1.5);
    let (_, reasons) = with("Time (s),Voltage (V),Current (A),Remark", "discharge 1C");
    assert!(reasons[0].contains("never negative") && reasons[0].contains("Remark"), "{reasons:?}");
    let report =
        read(table("Time (s),U [V],I [A],State", |n| format!("{n},3.7,1.5,2")), None, any()).unwrap();
    assert!(report.warnings.iter().any(|text| text.contains("\"State\" states is not understood")));
}

#[test]
fn a_name_that_says_discharge_is_doubted_until_the_sign_is_stated() {
    let text = table("time_s,pack voltage,pack current (discharge positive)", |n| format!("{n},355.2,12.5"));
    doubted(&read(&text, None, any()).unwrap(), "*-1");
    let stated = map("pack_current=pack current (discharge positive)*-1");
    let report = read(&text, None, stated).unwrap();
    assert_eq!((range(&report, "pack_current_a"), report.reasons.len()), ((-12.5, -12.5), 0));
    let dbc = dbc(256, "\"V\"", "PackDischargeCurrent", "");
    doubted(&read(log("100", "E00D7D00"), Some(&dbc), any()).unwrap(), "PackDischargeCurrent*-1");
}

#[test]
fn dates_that_can_begin_with_their_year_are_refused() {
    let text = |date: &str| table("Timestamp,u,i", |n| format!("{date} 06:59:{n:02},355.2,-12.5"));
    for date in ["23/05/16", "23-05-06", "16/05/23"] {
        refused(text(date), None, &["%y/%m/%d"]);
    }
    starts(&read(text("23/05/16"), None, format("%y/%m/%d %H:%M:%S")).unwrap(), "2023-05-16T06:59:00");
    starts(&read(text("23/05/16"), None, format("%d/%m/%y %H:%M:%S")).unwrap(), "2016-05-23T06:59:00");
    starts(&read(text("05/16/23"), None, any()).unwrap(), "2023-05-16");
    starts(&read(text("16.05.23"), None, any()).unwrap(), "2023-05-16");
    let apart = table("Date,Time,u,i", |n| format!("23/05/16,06:59:{n:02},355.2,-12.5"));
    let report = read(apart, None, any()).unwrap();
    assert!(report.warnings.iter().any(|text| text.contains("the year first")), "{:?}", report.warnings);
}

#[test]
fn a_zone_in_the_name_of_the_times_counts() {
    let text = |name: &str| table(&format!("{name},u,i"), |n| format!("2023-05-16 08:59:{n:02},355.2,-12.5"));
    let report = read(text("Time (UTC+2)"), None, any()).unwrap();
    starts(&report, "2023-05-16T06:59:00");
    assert!(report.reasons.is_empty() && report.warnings.is_empty(), "{report:?}");
    starts(&read(text("time_utc"), None, any()).unwrap(), "2023-05-16T08:59:00");
    doubted(&read(text("Time (CET)"), None, any()).unwrap(), "the zone CET");
    let mut berlin = any();
    berlin.table.time_zone = Some("Europe/Berlin".into());
    let report = read(text("Time (CET)"), None, berlin).unwrap();
    starts(&report, "2023-05-16T06:59:00");
    assert_eq!(report.reasons.len(), 0);
    starts(
        &read(table("Time (UTC),u,i", |n| format!("{},355.2,-12.5", 1_684_220_390 + n)), None, any())
            .unwrap(),
        "2023-05-16T06:59:50",
    );
    let cells = table("Time,u,i", |n| format!("2023-05-16 08:59:{n:02} UTC+2,355.2,-12.5"));
    starts(&read(cells, None, any()).unwrap(), "2023-05-16T06:59:00");
}

#[test]
fn seconds_of_gps_are_not_those_of_unix() {
    let text = table("gps_time,u,i", |n| format!("{},355.2,-12.5", 1_368_255_608 + n));
    let error = read(&text, None, map("time=gps_time")).expect_err("refused").to_string();
    assert!(error.contains("gps_s"), "{error}");
    let gps = Options { mappings: vec!["time=gps_time".parse().unwrap()], ..format("gps_s") };
    starts(&read(&text, None, gps).unwrap(), "2023-05-16T06:59:50");
    let unix = Options { mappings: vec!["time=gps_time".parse().unwrap()], ..format("epoch_s") };
    starts(&read(&text, None, unix).unwrap(), "2013-05-11");
    // No time of GPS so far.
    let now = table("gps_time,u,i", |n| format!("{},355.2,-12.5", 1_684_220_390 + n));
    starts(&read(now, None, map("time=gps_time")).unwrap(), "2023-05-16");
}

#[test]
fn hours_of_serial_dates_are_not_seconds() {
    let text = table("timestamp,u,i", |n| format!("{:.6},355.2,-12.5", 45_062.291_55 + f64::from(n) / 24.0));
    refused(&text, None, &["excel", "time_format"]);
    starts(&read(&text, None, format("excel")).unwrap(), "2023-05-16T06:59");
    let seconds = table("timestamp,u,i", |n| format!("{:.2},355.2,-12.5", 45_062.25 + f64::from(n) / 20.0));
    assert_eq!(read(seconds, None, any()).unwrap().samples, 20);
}

#[test]
fn numbers_that_can_be_times_of_day_are_not_seconds() {
    let parts = table("Time,u,i", |n| format!("{:.9},355.2,-12.5", 0.291_55 + f64::from(n) / 86_400.0));
    refused(&parts, None, &["parts of a day", "*86400"]);
    let days = Options { mappings: vec!["time=Time*86400".parse().unwrap()], ..any() };
    let report = read(&parts, None, days).unwrap();
    let [Moment::Seconds(start), Moment::Seconds(end)] = [&report.segments[0].start, &report.segments[0].end]
    else {
        panic!("{:?}", report.segments)
    };
    assert!((end - start - 19.0).abs() < 1e-3);
    let fast = table("Time,u,i", |n| format!("{:.4},355.2,-12.5", f64::from(n) / 100.0));
    assert_eq!(read(fast, None, any()).unwrap().samples, 20);
    let clock =
        table("Time,u,i", |n| format!("{},355.2,-12.5", if n < 10 { 65_950 + n } else { 70_000 + n - 10 }));
    refused(&clock, None, &["%H%M%S"]);
    refused(clock.replace("Time", "UTC").lines().take(5).collect::<Vec<_>>().join("\n"), None, &["%H%M%S"]);
    let report = read(table("Time,u,i", |n| format!("{},355.2,-12.5", 65_950 + n)), None, any()).unwrap();
    assert_eq!(report.samples, 20, "of a clock of seconds");
}

#[test]
fn values_that_are_all_too_small_have_another_unit() {
    for header in ["time_s,voltage [mV],current [A]", "time_s,cell_1_mv,current [A]"] {
        doubted(&read(table(header, |n| format!("{n},3.7,-1.5")), None, any()).unwrap(), "below 0.1 V");
    }
    let text =
        table("time_s,pack voltage [V],pack current [A],soc [%]", |n| format!("{n},355.2,-12.5,0.431"));
    doubted(&read(text, None, any()).unwrap(), "soc=NAME*100");
    let text = table("time_s;pack voltage [V];pack current [A];soc", |n| format!("{n};355,2;-12,5;43,1 %"));
    let report = read(text, None, any()).unwrap();
    assert_eq!((range(&report, "soc_pct"), report.reasons.len()), ((43.1, 43.1), 0));
}

#[test]
fn a_voltage_of_0_or_of_all_bits_among_others_is_doubted() {
    for (mark, name) in [
        ("0", "Pack Voltage (V)"),
        ("655.35", "Pack Voltage (V)"),
        ("0", "cell_1_v"),
        ("6.5535", "cell_1_v"),
        ("65.535", "cell_1_v"),
    ] {
        let volts = if name.starts_with("cell") { "3.7" } else { "355.2" };
        let text =
            table(&format!("t,{name},i"), |n| format!("{n},{},-12.5", if n == 3 { mark } else { volts }));
        doubted(&read(text, None, any()).unwrap(), "missing");
    }
    let to_zero = table("t,u,i", |n| format!("{n},{},-12.5", f64::from(19 - n) / 5.0));
    assert_eq!(read(to_zero, None, any()).unwrap().reasons, [""; 0]);
}

#[test]
fn packs_of_testers_of_cells_are_packs() {
    let text = table("Data_Point,Test_Time(s),Current(A),Voltage(V)", |n| format!("{n},{n},-1.5,48.1"));
    let report = read(text, None, any()).unwrap();
    assert_eq!((range(&report, "pack_voltage_v"), report.reasons.len()), ((48.1, 48.1), 0));
    assert!(report.warnings.iter().any(|text| text.contains("of a pack")), "{:?}", report.warnings);
}

#[test]
fn words_between_spaces_are_cells_and_a_missing_one_loses_its_row() {
    let text = "Resultfile of a tester\n~Time[h] DataSet U[V] I[A]\n0.0  1   3.70  -1.5\n0.5  2  3.69\n1.0 3 3.68 -1.5\n";
    let report = read(text, None, any()).unwrap();
    assert_eq!((report.samples, range(&report, "pack_voltage_v")), (2, (3.68, 3.70)));
    assert_eq!(report.skipped.values().sum::<u64>(), 1);
    let spaced = "Test Time (s)  Voltage (V)  Current (A)\n0 3.7 1\n1 3.7 1\n";
    refused(spaced, None, &["names the columns"]);
}

#[test]
fn what_is_no_table_is_named() {
    refused("[{\"time\": 0, \"voltage\": 3.7, \"current\": 1}]", None, &["JSON"]);
    refused("{\"time\": 0, \"voltage\": 3.7}\n{\"time\": 1, \"voltage\": 3.7}\n", None, &["JSON"]);
    refused("***BUSMASTER Ver 3.2.2***\n***PROTOCOL CAN***\n", None, &["BUSMASTER", "candump"]);
    refused("t1008E00D83FF00000000\nt1008E00D83FF00000000\n", None, &["SLCAN"]);
    let frames = table("timestamp,id,dlc,payload", |n| format!("{n},0x100,8,E00D83FF00000000"));
    refused(frames, None, &["frames of a bus"]);
    refused("time,addr,bus,data\n0.0,0x100,0,0xE00D83FF\n", None, &["frames of a bus"]);
    let gbk = b"\xca\xfd\xbe\xdd\xd0\xf2\xba\xc5,\xd7\xdc\xca\xb1\xbc\xe4,\xc8\xdd\xc1\xbf(A)\n1,00:00:01,1\n2,00:00:02,1\n";
    refused(gbk, None, &["iconv -f GBK"]);
    let future = table("timestamp,u,i", |n| format!("2080-01-01T00:00:{n:02}Z,355.2,-12.5"));
    doubted(&read(future, None, any()).unwrap(), "after now");
}

/// Four frames a second apart.
fn log(id: &str, data: &str) -> String {
    (0..4).map(|s| format!("({}.0) can0 {id}#{data}\n", 1_700_000_000 + s)).collect()
}

/// A pack's voltage and current in a message, and further statements.
fn dbc(id: u32, unit: &str, current: &str, more: &str) -> String {
    format!(
        "VERSION \"\"\n\nBU_: A\n\nBO_ {id} Pack: 8 A\n SG_ PackVoltage : 0|16@1+ (0.1,0) [0|1000] {unit} A\n \
         SG_ {current} : 16|16@1- (0.1,0) [-1000|1000] \"A\" A\n{more}"
    )
}

#[test]
fn a_range_that_contradicts_percent_is_doubted() {
    let soc = |size: u32, factor: &str, range: &str| {
        let more = format!(" SG_ SOC : 32|{size}@1+ ({factor},0) [{range}] \"%\" A\n");
        read(log("100", "E00D83FFAF010000"), Some(&dbc(256, "\"V\"", "PackCurrent", &more)), any()).unwrap()
    };
    for (factor, range) in [("0.001", "0|1"), ("1", "0|1000"), ("1", "0|10000")] {
        let report = soc(16, factor, range);
        doubted(&report, "--map soc=SOC*FACTOR");
        assert!(!report.quantities.contains_key("soc_pct"), "{range}");
    }
    for (size, factor, range) in
        [(16, "0.1", "0|100"), (8, "0.5", "0|127.5"), (16, "0.01", "0|655.35"), (16, "0.1", "0|0")]
    {
        let report = soc(size, factor, range);
        assert!(
            report.reasons.is_empty() && report.quantities.contains_key("soc_pct"),
            "{range}: {report:?}"
        );
    }
}

#[test]
fn a_byte_of_all_bits_is_not_available() {
    let more = " SG_ SOC : 32|8@1+ (0.5,0) [0|127.5] \"%\" A\n SG_ BattTemp : 40|8@1+ (0.5,-40) [-40|87.5] \"degC\" A\n";
    let text = log("100", "E00D83FF56820000")
        .replace("1700000000.0) can0 100#E00D83FF5682", "1700000000.0) can0 100#E00D83FFFFFF");
    let report = read(text, Some(&dbc(256, "\"V\"", "PackCurrent", more)), any()).unwrap();
    assert_eq!((range(&report, "soc_pct"), range(&report, "temperatures_c")), ((43.0, 43.0), (25.0, 25.0)));
    assert_eq!((report.quantities["soc_pct"].unknown, report.reasons.len()), (1, 0), "{:?}", report.reasons);
    let full = " SG_ SOC : 32|8@1+ (0.39215686,0) [0|100] \"%\" A\n";
    let report =
        read(log("100", "E00D83FFFF000000"), Some(&dbc(256, "\"V\"", "PackCurrent", full)), any()).unwrap();
    assert_eq!(report.quantities["soc_pct"].unknown, 0, "a full battery");
}

#[test]
fn a_group_of_j1939_is_read_from_one_sender() {
    let group = 0x98ff_50fe_u32;
    let of_file = "BA_DEF_ \"ProtocolType\" STRING;\nBA_DEF_DEF_ \"ProtocolType\" \"\";\nBA_ \"ProtocolType\" \"J1939\";\n";
    for (id, more) in [(group, ""), (0x98ff_5000, of_file)] {
        let dbc = dbc(id, "\"V\"", "PackCurrent", more);
        let one = log("18FF50E5", "E00D83FF00000000");
        let report = read(&one, Some(&dbc), any()).unwrap();
        assert_eq!(range(&report, "pack_voltage_v").1.round(), 355.0);
        let two = one + &log("18FF50E6", "000083FF00000000");
        refused(two, Some(&dbc), &["two source addresses", "E5", "E6"]);
    }
    let exact = dbc(0x98ff_5000, "\"V\"", "PackCurrent", "");
    refused(
        log("18FF50E5", "E00D83FF00000000"),
        Some(&exact),
        &["none of the 1 messages", "18FF5000", "18FF50E5"],
    );
}

#[test]
fn a_table_of_a_canedge_is_read() {
    let header = "TimestampEpoch;BusChannel;ID;IDE;DLC;DataLength;Dir;EDL;BRS;ESI;RTR;DataBytes";
    let text = table(header, |n| format!("{}.5;1;100;0;8;8;0;0;0;0;0;E00D83FF00000000", 1_700_000_000 + n));
    let report = read(text, Some(&dbc(256, "\"V\"", "PackCurrent", "")), any()).unwrap();
    assert_eq!((report.samples, report.format.as_str()), (20, "CANedge CSV"));
    starts(&report, "2023-11-14T22:13:20.500");
    assert!((range(&report, "pack_current_a").0 + 12.5).abs() < 1e-9);
}

#[test]
fn times_of_gvret_with_decimals_are_seconds() {
    let header = "Time Stamp,ID,Extended,Dir,Bus,LEN,D1,D2,D3,D4,D5,D6,D7,D8";
    let text = table(header, |n| format!("{n}.000000,00000100,false,Rx,0,8,E0,0D,83,FF,00,00,00,00"));
    let dbc = dbc(256, "\"V\"", "PackCurrent", "");
    let report = read(text, Some(&dbc), Options { start_ms: Some(1_700_000_000_000), ..any() }).unwrap();
    assert_eq!(report.samples, 20);
    assert!(report.warnings.iter().any(|text| text.contains("taken for seconds")), "{:?}", report.warnings);
    let Values::One(Some(volts)) = report.quantities["pack_voltage_v"].last else { panic!("{report:?}") };
    assert!((volts - 355.2).abs() < 1e-9);
}

/// Rows of serial dates with another column, a second apart.
fn serials(before: &str, day: f64, other: &str) -> String {
    let row = |n| format!("{:.9},{other},355.2,-12.5", day + f64::from(n) / 86_400.0);
    before.to_owned() + &table("Date,exported,u,i", row)
}

#[test]
fn serial_dates_of_1904_are_doubted_where_another_date_contradicts() {
    // 2023-05-16T06:00:00 by the system of 1904.
    let day = 43_600.25;
    let plain = read(serials("", day, "Bench 4"), None, any()).unwrap();
    starts(&plain, "2019-05-15T06:00:00");
    assert_eq!(plain.reasons, [""; 0]);
    for text in [
        serials("", day, "2023-05-16"),
        serials("", day, "16.05.2023 08:00"),
        serials("", day, "1684220390"),
        serials("Export of 16.05.2023\n", day, "Bench 4"),
    ] {
        doubted(&read(&text, None, any()).unwrap(), "time_format = \"excel1904\"");
        let stated = read(&text, None, format("excel1904")).unwrap();
        starts(&stated, "2023-05-16T06:00:00");
        assert_eq!(stated.reasons, [""; 0]);
    }
    let of_1900 = serials("", 45_062.25, "2023-05-16");
    assert_eq!(read(&of_1900, None, any()).unwrap().reasons, [""; 0]);
    doubted(&read(&of_1900, None, format("excel1904")).unwrap(), "time_format = \"excel\"");
    // Another day, as a battery may have been made on, contradicts nothing.
    assert_eq!(read(serials("", day, "2018-02-01"), None, any()).unwrap().reasons, [""; 0]);
    let old = serials("", 36_000.25, "Bench 4");
    doubted(&read(&old, None, any()).unwrap(), "before 2000");
    assert_eq!(read(&old, None, format("excel")).unwrap().reasons, [""; 0]);
}

#[test]
fn a_current_without_signs_is_doubted_beside_a_negative_power() {
    let with = |row: &dyn Fn(u32) -> String| {
        read(table("time_s,voltage [V],current [A],power [W]", row), None, any()).unwrap().reasons
    };
    let reasons = with(&|n| format!("{n},355.2,12.5,-4440"));
    assert!(reasons[0].contains("\"power [W]\"") && reasons[0].contains("*-1"), "{reasons:?}");
    for signs in [1, -1] {
        assert_eq!(with(&|n| format!("{n},355.2,{},{}", signs * 12, signs * 4262)), [""; 0]);
    }
    // A motor that brakes and drives.
    let motor = |n: u32| {
        if n.is_multiple_of(2) { format!("{n},356.2,12.5,-4440") } else { format!("{n},354.2,-12.5,4440") }
    };
    assert_eq!(with(&motor), [""; 0]);
}
