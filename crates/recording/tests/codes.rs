//! Numbers that stand for no value, and numbers that can be read as two values: each is unknown, or doubted aloud.

#![allow(clippy::unwrap_used)]

mod common;

use common::{any, format, map};
use std::fs::File;
use std::time::{Duration, UNIX_EPOCH};
use voltmesh_recording::report::{Moment, Report, Values};
use voltmesh_recording::{Error, Options, Recording};

/// The report on a file of this name and day of its last change, a Unix time in s.
fn read(
    name: &str,
    text: &str,
    changed_s: Option<u64>,
    dbc: Option<&str>,
    options: Options,
) -> Result<Report, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    if let Some(seconds) = changed_s {
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    }
    let dbc = dbc.map(|text| {
        let of_dbc = folder.path().join("a.dbc");
        std::fs::write(&of_dbc, text).unwrap();
        of_dbc
    });
    let mut recording = Recording::open(&[path], &Options { dbc, ..options })?;
    while recording.next()?.is_some() {}
    Ok(recording.report())
}

/// Frames of this identifier, a second apart.
fn frames(first_s: u64, data: &[&str]) -> String {
    (first_s..).zip(data).map(|(s, data)| format!("({s}.0) can0 100#{data}\n")).collect()
}

/// A pack's voltage and current in 16 bits each, and further statements.
fn dbc(id: u32, more: &str) -> String {
    format!(
        "VERSION \"\"\n\nBU_: A\n\nBO_ {id} Pack: 8 A\n SG_ PackVoltage : 0|16@1+ (0.1,0) [0|0] \"V\" A\n \
         SG_ PackCurrent : 16|16@1- (0.1,0) [-1000|1000] \"A\" A\n{more}"
    )
}

/// Known values, unknown values, least and greatest of a quantity.
fn found(report: &Report, name: &str) -> (u64, u64, f64, f64) {
    let quantity = &report.quantities[name];
    (quantity.n, quantity.unknown, quantity.min.unwrap(), quantity.max.unwrap())
}

#[track_caller]
fn doubted(report: &Report, words: &[&str]) {
    let is_said = |reason: &String| words.iter().all(|word| reason.contains(word));
    assert!(report.reasons.iter().any(is_said), "{words:?} in {:?}", report.reasons);
}

#[track_caller]
fn starts(report: &Report, date: &str) {
    let Moment::Date(start) = &report.segments[0].start else { panic!("{:?}", report.segments) };
    assert!(start.starts_with(date), "{start}");
}

#[test]
fn numbers_at_the_end_of_a_signal_are_codes() {
    let cells = " SG_ Cell1 : 32|12@1+ (1,0) [0|4095] \"mV\" A\n SG_ Cell2 : 44|12@1+ (1,0) [0|0] \"mV\" A\n";
    // 3700 and 3701 mV; 0xffe and 0xffd in turn.
    let data = ["E00D83FF745EE700", "E00D83FFFEDFFF00", "E00D83FF745EE700", "E00D83FFFDEFFF00"];
    let report = read("a.log", &frames(1_700_000_000, &data), None, Some(&dbc(256, cells)), any()).unwrap();
    assert_eq!(found(&report, "cells_mv"), (4, 4, 3700.0, 3701.0));
    assert!(report.warnings.iter().any(|text| text.contains("Pack.Cell1") && text.contains("0xFFE")));
    let Values::Many(last) = &report.quantities["cells_mv"].last else { panic!("{report:?}") };
    assert_eq!(last, &[None, None]);
    // A cell that is charged comes there step by step, and a word of the file makes the number a value.
    let climbs: Vec<String> =
        (0_u32..8).map(|n| format!("E00D83FF{:02X}0F0000", 0xa0 + 13 * n).replace("FB0F", "FE0F")).collect();
    let climbs: Vec<&str> = climbs.iter().map(String::as_str).collect();
    let cell =
        " SG_ Cell1 : 32|12@1+ (1,0) [0|4095] \"mV\" A\n SG_ Cell2 : 44|12@1+ (1,3000) [0|0] \"mV\" A\n";
    let report = read("a.log", &frames(1_700_000_000, &climbs), None, Some(&dbc(256, cell)), any()).unwrap();
    assert_eq!(found(&report, "cells_mv").3, 4094.0);
    let named = cells.to_owned() + "VAL_ 256 Cell1 4094 \"over 4094 mV\" 4093 \"4093 mV\" ;\n";
    let report = read("a.log", &frames(1_700_000_000, &data), None, Some(&dbc(256, &named)), any()).unwrap();
    assert_eq!(found(&report, "cells_mv"), (6, 2, 3700.0, 4094.0));
}

#[test]
fn codes_of_every_width_and_quantity_are_unknown() {
    let more = " SG_ SOC : 32|8@1+ (0.5,0) [0|127.5] \"%\" A\n SG_ BattTemp : 40|8@1- (1,0) [-128|127] \"degC\" A\n \
                SG_ Ambient : 48|10@1+ (0.1,-40) [-40|62.3] \"degC\" A\n";
    let data =
        ["FEFF83FFC8197C02", "E00D83FF561A7C02", "E00DFE7FFE7FFE03", "FDFF0180FD81FD03", "E00D83FF561A7C02"];
    let options = map("ambient=Ambient");
    let report = read("a.log", &frames(1_700_000_000, &data), None, Some(&dbc(256, more)), options);

    let report = report.unwrap();
    assert_eq!(found(&report, "pack_voltage_v"), (3, 2, 355.2, 355.2));
    assert_eq!(found(&report, "pack_current_a"), (3, 2, -12.5, -12.5));
    assert_eq!(found(&report, "soc_pct"), (3, 2, 43.0, 100.0));
    assert_eq!(found(&report, "temperatures_c"), (3, 2, 25.0, 26.0));
    assert_eq!(found(&report, "ambient_c").3, 23.6);
}

#[test]
fn a_bus_that_has_not_measured_yet_says_no_voltage() {
    let more = " SG_ Cell1 : 32|16@1+ (1,0) [0|5000] \"mV\" A\n SG_ BattTemp : 48|8@1+ (1,-40) [-40|215] \"degC\" A\n";
    let data =
        ["0000000000000000", "E00D83FF740E4100", "E00D83FF00004100", "E00D83FF740E0000", "E00D83FF740E4100"];
    let report =
        read("a.log", &frames(1_700_000_000, &data), None, Some(&dbc(256, more)), map("cells=Cell1"));
    let report = report.unwrap();
    assert_eq!(found(&report, "pack_voltage_v"), (4, 1, 355.2, 355.2));
    assert_eq!(found(&report, "pack_current_a"), (5, 0, -12.5, 0.0));
    assert_eq!(found(&report, "cells_mv"), (3, 2, 3700.0, 3700.0));
    assert_eq!(found(&report, "temperatures_c"), (3, 2, 25.0, 25.0));
    assert!(report.warnings.iter().any(|text| text.contains("Pack.PackVoltage") && text.contains("0x0")));
    // One that is emptied gets there step by step.
    let falls: Vec<String> = (0..8).map(|n| format!("{:02X}0083FF", 42 - 6 * n)).collect();
    let falls: Vec<&str> = falls.iter().map(String::as_str).collect();
    let report = read("a.log", &frames(1_700_000_000, &falls), None, Some(&dbc(256, "")), any()).unwrap();
    assert_eq!(found(&report, "pack_voltage_v"), (8, 0, 0.0, 4.2));
}

#[test]
fn an_insulation_of_less_than_any_pack_has_is_doubted() {
    let with = |name: &str, ohm: &str| {
        let rows = |text: String, n: u32| text + &format!("{n},355.2,-12.5,{ohm}\n");
        let text = (0..20).fold(format!("time_s,pack voltage [V],pack current [A],{name}\n"), rows);
        read("a.csv", &text, None, None, any()).unwrap()
    };
    for (name, ohm) in
        [("insulation resistance", "500"), ("insulation [mOhm]", "2"), ("insulation [Ohm]", "1500")]
    {
        doubted(&with(name, ohm), &["insulation=NAME*1000", "kΩ"]);
    }
    for (name, ohm) in [("insulation [kOhm]", "500"), ("insulation [MOhm]", "2"), ("insulation [Ohm]", "0")] {
        assert_eq!(with(name, ohm).reasons, [""; 0], "{name} {ohm}");
    }
}

#[test]
fn signals_that_are_not_the_batterys_are_not_guessed_without_a_word() {
    let with = |owner: &str, volts: &str, amperes: &str, temperature: &str| {
        let dbc = dbc(256, &format!(" SG_ {temperature} : 32|8@1+ (1,-40) [-40|215] \"degC\" A\n"));
        let dbc = dbc.replace("256 Pack:", &format!("256 {owner}:"));
        let dbc = dbc.replace("PackVoltage", volts).replace("PackCurrent", amperes);
        read("a.log", &frames(1_700_000_000, &["E00D83FF41"; 4]), None, Some(&dbc), any())
    };
    let right = with("BMS", "HV_Batt_Voltage", "BattCurrent", "BattTemp").unwrap();
    assert_eq!((found(&right, "temperatures_c").2, right.reasons.len()), (25.0, 0));
    for amperes in [
        "PackLeakageCurrent",
        "PackBalanceCurrent",
        "PrechargeCurrent",
        "BattHeaterCurrent",
        "PackCurrentLimit",
        "PackShortCircuitCurrent",
        "PackOverCurrentThreshold",
        "PackCurrentGain",
    ] {
        let error = with("BMS", "PackVoltage", amperes, "BattTemp").expect_err(amperes).to_string();
        assert!(error.contains("no signal is the current"), "{error}");
    }
    for volts in ["BattFanVoltage", "PackOpenCircuitVoltage", "PackOvervoltageLevel", "Batt12VVoltage"] {
        let error = with("BMS", volts, "PackCurrent", "BattTemp").expect_err(volts).to_string();
        assert!(error.contains("no signal is the voltage"), "{error}");
    }
    for temperature in ["BMS_PcbTemp", "BatteryHeaterTemp", "BattTempLimit"] {
        let report = with("BMS", "PackVoltage", "PackCurrent", temperature).unwrap();
        assert!(!report.quantities.contains_key("temperatures_c"), "{temperature}");
    }
    doubted(&with("Node7", "DCVoltage", "DCCurrent", "Temp").unwrap(), &["DCVoltage", "battery's"]);
    doubted(
        &with("BMS", "ChargeVoltage", "ChargeCurrent", "BattTemp").unwrap(),
        &["ChargeCurrent", "charging"],
    );
}

#[test]
fn answers_of_control_units_without_a_value_are_unknown() {
    const DEFINITION: &str = "vehicle = \"X\"\n[[unit]]\nrequest = 0x7E4\nresponse = 0x7EC\n[[unit.read]]\nid = 0x0101\n\
        value = [{ quantity = \"pack_current\", byte = 0, bytes = 2, signed = true, factor = 0.1 },\n\
        { quantity = \"pack_voltage\", byte = 2, bytes = 2, factor = 0.1 }]\n";
    let folder = tempfile::tempdir().unwrap();
    let [log, definition] = ["a.log", "x.toml"].map(|name| folder.path().join(name));
    let answers = ["FF830DE0", "7FFF0DE0", "80000DE0", "FF83FFFF", "FF830000", "FF840DE1"];
    let text: String = frames(1_700_000_000, &answers).replace("100#", "7EC#07620101");
    std::fs::write(&log, text).unwrap();
    std::fs::write(&definition, DEFINITION).unwrap();
    let options = Options { diagnostics: Some(definition), ..any() };
    let mut recording = Recording::open(&[log], &options).unwrap();
    while recording.next().unwrap().is_some() {}
    let report = recording.report();
    assert_eq!(found(&report, "pack_current_a"), (4, 2, -12.5, -12.4));
    assert_eq!(found(&report, "pack_voltage_v"), (4, 2, 355.2, 355.3));
}

#[test]
fn numbers_that_j1939_reserves_are_no_values() {
    let group = "BA_DEF_ BO_ \"VFrameFormat\" ENUM \"StandardCAN\",\"ExtendedCAN\",\"reserved\",\"J1939PG\";\n\
                 BA_DEF_DEF_ \"VFrameFormat\" \"J1939PG\";\n";
    let more = format!(" SG_ SOC : 32|8@1+ (0.4,0) [0|0] \"%\" A\n{group}");
    let text = frames(1_700_000_000, &["E00D83FF6C", "E00D83FFFB", "34FC83FFFD", "34FB83FF6C"]);
    let text = text.replace("100#", "18FF50E5#");
    let report = read("a.log", &text, None, Some(&dbc(0x98ff_50fe, &more)), any()).unwrap();
    assert_eq!(found(&report, "soc_pct"), (2, 2, 43.2, 43.2));
    assert_eq!(found(&report, "pack_voltage_v"), (2, 2, 355.2, 355.2));
}

#[test]
fn times_of_gps_are_doubted_where_the_file_says_another_date() {
    // 2023-11-14T22:13:20Z as GPS counts it.
    let text = frames(1_384_035_218, &["E00D83FF"; 4]);
    let read = |name, changed, options| read(name, &text, changed, Some(&dbc(256, "")), options);
    // Nothing says another date: the seconds are those of Unix.
    let plain = read("drive.log", Some(1_384_035_300), any()).unwrap();
    starts(&plain, "2013-11-09T22:13:38");
    assert_eq!(plain.reasons, [""; 0]);
    for (name, changed) in [("candump-2023-11-14_231320.log", 1_384_035_300), ("drive.log", 1_700_003_600)] {
        doubted(&read(name, Some(changed), any()).unwrap(), &["gps_s", "1980", "epoch_s"]);
        let stated = read(name, Some(changed), format("gps_s")).unwrap();
        starts(&stated, "2023-11-14T22:13:20");
        assert_eq!(stated.reasons, [""; 0]);
        assert_eq!(read(name, Some(changed), format("epoch_s")).unwrap().reasons, [""; 0]);
    }
    assert_eq!(read("drive-2013-11-09.log", Some(1_790_000_000), any()).unwrap().reasons, [""; 0]);
}

#[test]
fn times_of_a_table_are_doubted_where_the_file_says_another_date() {
    let rows = |header: &str, time: &dyn Fn(u32) -> String| {
        (0..20).fold(format!("{header}\n"), |text, n| text + &format!("{},355.2,-12.5\n", time(n)))
    };
    let gps = rows("timestamp,u,i", &|n| format!("{}", 1_368_255_608 + n));
    let report = read("trip_20230516.csv", &gps, Some(1_790_000_000), None, any()).unwrap();
    doubted(&report, &["gps_s", "the file's name"]);
    starts(&read("trip_20230516.csv", &gps, None, None, format("gps_s")).unwrap(), "2023-05-16T06:59:50");
    // 2023-05-16 by the system of 1904.
    let serial = rows("Date,u,i", &|n| format!("{:.9}", 43_600.25 + f64::from(n) / 86_400.0));
    let report = read("a.csv", &serial, Some(1_684_260_000), None, any()).unwrap();
    doubted(&report, &["excel1904", "last change"]);
    assert_eq!(read("a.csv", &serial, Some(1_790_000_000), None, any()).unwrap().reasons, [""; 0]);
}

#[test]
fn dates_of_a_clock_that_was_not_set_are_doubted() {
    let rows = |early: &str, late: &str| {
        (0..20).fold("timestamp,u,i\n".to_owned(), |text, n| {
            text + &format!("{}{n:02}Z,355.2,-12.5\n", if n < 6 { early } else { late })
        })
    };
    let reasons = |early, late| read("a.csv", &rows(early, late), None, None, any()).unwrap().reasons;
    let late = "2023-05-16T06:59:";
    for early in ["2000-01-01T00:00:", "2004-05-16T06:59:", "2019-07-01T06:59:", "2023-01-01T00:00:"] {
        let said = reasons(early, late);
        assert!(said[0].contains(&early[..10]) && said[0].contains("set"), "{early} {said:?}");
    }
    for early in ["2023-01-01T00:01:", "2022-05-16T06:59:", late] {
        assert_eq!(reasons(early, late), [""; 0], "{early}");
    }
    assert_eq!(reasons("2024-01-01T00:00:", "2024-01-01T00:00:"), [""; 0]);
}

#[test]
fn ticks_are_no_unix_times_of_1990() {
    let text = (0..20).fold("timestamp,u,i\n".to_owned(), |text, n| {
        text + &format!("{},355.2,-12.5\n", 638_198_171_900_000_000_u64 + n * 10_000_000)
    });
    let error = read("a.csv", &text, None, None, any()).expect_err("refused").to_string();
    assert!(error.contains(".NET") && error.contains("621355968000000000"), "{error}");
}

#[test]
fn elapsed_times_that_are_unix_times_are_refused() {
    let text = |name: &str, first: u64| {
        (0..20).fold(format!("{name},Voltage (V),Current (A)\n"), |text, n| {
            text + &format!("{},3.7,-1.5\n", first + n)
        })
    };
    for (name, first) in
        [("Run Time", 1_684_220_390), ("Test Time (s)", 1_684_220_390), ("Elapsed", 1_684_220_390_000)]
    {
        let error = read("a.csv", &text(name, first), None, None, any()).expect_err("refused").to_string();
        assert!(error.contains("epoch_s") && error.contains("elapsed"), "{error}");
    }
    starts(
        &read("a.csv", &text("Run Time", 1_684_220_390), None, None, format("epoch_s")).unwrap(),
        "2023-05-16",
    );
    // A week in nanoseconds.
    let week = read("a.csv", &text("Test Time (ns)", 650_000_000_000_000), None, None, any()).unwrap();
    assert_eq!(week.samples, 20);
}

#[test]
fn a_zone_may_stand_behind_its_offset() {
    let text = (0..20).fold("timestamp,u,i\n".to_owned(), |text, n| {
        text + &format!("2023-05-16T08:59:{n:02}+02:00[Europe/Berlin],355.2,-12.5\n")
    });
    let report = read("a.csv", &text, None, None, any()).unwrap();
    starts(&report, "2023-05-16T06:59:00");
    assert_eq!(report.warnings, [""; 0]);
}

#[test]
fn a_voltage_that_falls_under_a_charge_makes_its_sign_doubtful() {
    let of = |header: &str, row: &dyn Fn(u32) -> String| {
        let text = (0..20).fold(format!("{header}\n"), |text, n| text + &row(n) + "\n");
        read("a.csv", &text, None, None, any()).unwrap()
    };
    let with = |row: &dyn Fn(u32) -> String| of("time_s,voltage [V],current [A]", row);
    for (slope, amperes, is_doubted) in [
        (-1, 1.5, true),
        (1, -1.5, true),
        (1, 1.5, false),
        (-1, -1.5, false),
        (-1, 0.0, false),
        (0, 1.5, false),
    ] {
        let report = with(&|n| format!("{n},{},{amperes}", 3.7 + 0.001 * f64::from(slope * n as i32)));
        let reasons = report.reasons;
        assert_eq!(
            reasons.iter().any(|text| text.contains("*-1")),
            is_doubted,
            "{slope} {amperes} {reasons:?}"
        );
    }
    // The load goes down, and the voltage recovers: a discharge all the same.
    let recovers = |n: u32| {
        if n.is_multiple_of(4) {
            format!("{n},3.5,-10")
        } else {
            format!("{n},{},-1", 3.6 + 0.01 * f64::from(n % 4))
        }
    };
    assert_eq!(with(&recovers).reasons, [""; 0]);
    // A column says that it is a charge.
    let state = "Test Time (s),Voltage (V),Current (A),State";
    let falls = |word: &'static str| move |n: u32| format!("{n},{},1.5,{word}", 3.7 - 0.001 * f64::from(n));
    assert_eq!(of(state, &falls("C")).reasons, [""; 0]);
    // A file that states no sign, and a state in words that are not understood.
    doubted(&of(&state.replace("State", "Step Type"), &falls("CCD")), &["*-1"]);
}

#[test]
fn a_state_of_charge_of_about_one_can_be_a_fraction() {
    let rows = |header: &str, soc: &dyn Fn(u32) -> String| {
        (0..40).fold(format!("{header}\n"), |text, n| text + &format!("{n},355.2,-12.5,{}\n", soc(n)))
    };
    let most = |n: u32, mark: &str| if n == 30 { mark.to_owned() } else { format!("0.{}", 90 - n) };
    for header in
        ["time_s,pack voltage [V],pack current [A],soc [%]", "time_s,pack voltage [V],pack current [A],soc"]
    {
        for mark in ["1.2", "0.9", "65"] {
            let text = rows(header, &|n| most(n, mark));
            let report = read("a.csv", &text, None, None, any()).unwrap();
            doubted(&report, &["fraction", "percent", "*100", "*1"]);
            let name = header.rsplit(',').next().unwrap();
            let stated = read("a.csv", &text, None, None, map(&format!("soc={name}*1"))).unwrap();
            // 65 % among less than 1 % stands alone.
            let is_doubted = usize::from(mark == "65");
            assert_eq!(
                (found(&stated, "soc_pct").2, stated.reasons.len()),
                (0.51, is_doubted),
                "{header} {mark}"
            );
            let fraction = read("a.csv", &text, None, None, map(&format!("soc={name}*100"))).unwrap();
            assert_eq!(found(&fraction, "soc_pct").2, 51.0, "{header} {mark}");
        }
        // A battery that is emptied.
        let emptied = rows(header, &|n| format!("{}", 39 - n));
        assert_eq!(read("a.csv", &emptied, None, None, any()).unwrap().reasons, [""; 0]);
    }
}
