//! Recordings as people in the field have them: logs of phones, sheets, encodings, files that were cut off or appended to.

#![allow(clippy::unwrap_used)]

use voltmesh_recording::report::{Moment, Report, Values};
use voltmesh_recording::{Error, Options, Recording};

fn read(bytes: impl AsRef<[u8]>) -> Result<Report, Error> {
    with(bytes, Options::new(1_790_000_000_000))
}

fn with(bytes: impl AsRef<[u8]>, options: Options) -> Result<Report, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, bytes).unwrap();
    let mut recording = Recording::open(&[path], &options)?;
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

fn first(report: &Report, name: &str) -> Vec<Option<f64>> {
    match &report.quantities[name].first {
        Values::One(value) => vec![*value],
        Values::Many(values) => values.clone(),
    }
}

#[track_caller]
fn refused(bytes: impl AsRef<[u8]>, words: &[&str]) {
    let error = read(bytes).expect_err("refused").to_string();
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

/// A row of LeafSpy with cell 4 as stated.
fn leaf(n: u32, cell: i32) -> String {
    let cells: Vec<String> = (1..=96).map(|at| if at == 4 { cell } else { 3700 }.to_string()).collect();
    format!(
        "05/16/2023 08:59:{:02},52 0.1,0 1.2,10,31,200,431000,503000,355.2,12.5,3702,3698,77.0,25.0,none,none,{},68.0,{},4",
        n + 10,
        cells.join(","),
        1_684_220_350 + n
    )
}

fn leaf_header() -> String {
    let cells: Vec<String> = (1..=96).map(|at| format!("CP{at}")).collect();
    format!(
        "Date/Time,Lat,Long,Elv,Speed,Gids,SOC,AHr,Pack Volts,Pack Amps,Max CP mV,Min CP mV,Pack T1 F,Pack T1 C,Pack T2 F,\
         Pack T2 C,{},Ambient,epoch time,Gear",
        cells.join(",")
    )
}

#[test]
fn a_log_of_leafspy_is_read() {
    for cell in [3701, -3701] {
        let report = read(table(&leaf_header(), |n| leaf(n, cell))).unwrap();
        assert!(report.format.starts_with("LeafSpy"), "{}", report.format);
        starts(&report, "2023-05-16T06:59:10");
        assert_eq!((range(&report, "pack_voltage_v"), report.reasons.len()), ((355.2, 355.2), 0));
        assert_eq!(range(&report, "pack_current_a"), (-12.5, -12.5), "a positive current discharges");
        assert!((range(&report, "soc_pct").0 - 43.1).abs() < 1e-9);
        assert!((range(&report, "ambient_c").0 - 20.0).abs() < 1e-9);
        assert_eq!(first(&report, "temperatures_c"), [Some(25.0), None]);
        let cells = first(&report, "cells_mv");
        assert_eq!((cells.len(), cells[0], cells[3]), (96, Some(3700.0), Some(3701.0)), "a balanced cell");
        assert!(
            report.warnings.iter().any(|text| text.contains("speed is not read")),
            "{:?}",
            report.warnings
        );
    }
    let refound: String = read(table(&leaf_header(), |n| leaf(n, 3701))).unwrap().unused.join(",");
    assert!(refound.contains("Pack T1 F") && refound.contains("AHr"), "{refound}");
}

const TORQUE: &str = "GPS Time, Device Time, Longitude, Latitude,GPS Speed (Meters/second), Bearing,[BMS] HV_V(V),[BMS] HV_A(A),\
                      [BMS] SOC(%),000_Cell Voltage 01(V),000_Cell Voltage 02(V),[BMS] Temp 1(°C)";

fn torque(n: u32, zone: &str, volts: &str) -> String {
    let s = n + 10;
    format!(
        "Tue May 16 08:59:{s} {zone} 2023,16-May-2023 08:59:{s}.123,9.1,48.1,0.0,0.0,{volts},-12.5,43.1,3.7,3.71,25.0"
    )
}

#[test]
fn a_log_of_torque_is_read() {
    let row = |n| torque(n, "GMT+02:00", if n == 3 { "-" } else { "355.2" });
    let report = read(table(TORQUE, row)).unwrap();
    assert!(report.format.starts_with("Torque"), "{}", report.format);
    // The device's time is local: the other column says by how much.
    starts(&report, "2023-05-16T06:59:10.123");
    assert_eq!(
        (range(&report, "pack_voltage_v"), range(&report, "pack_current_a")),
        ((355.2, 355.2), (-12.5, -12.5))
    );
    assert_eq!(
        (report.quantities["pack_voltage_v"].unknown, report.reasons.len()),
        (1, 0),
        "{:?}",
        report.reasons
    );
    assert_eq!((range(&report, "soc_pct").0, first(&report, "temperatures_c")), (43.1, vec![Some(25.0)]));
    assert_eq!(first(&report, "cells_mv"), [Some(3700.0), Some(3710.0)]);
    let summer = table(TORQUE, |n| torque(n, "CEST", "355.2"));
    doubted(&read(&summer).unwrap(), "the zone CEST");
    // Without the device's time, that of GPS is the time.
    let alone = table("GPS Time,HV Battery Voltage(V),HV Battery Current(A)", |n| {
        format!("Tue May 16 08:59:{} GMT+02:00 2023,355.2,-12.5", n + 10)
    });
    starts(&read(alone).unwrap(), "2023-05-16T06:59:10");
    // A current that discharges when it is positive shows where it changes.
    let turned = table(TORQUE, |n| {
        let amperes = if n % 2 == 0 { "355.2,0" } else { "349.0,80" };
        torque(n, "GMT+02:00", "U").replace("U,-12.5", amperes)
    });
    doubted(&read(turned).unwrap(), "a positive current seems to discharge");
}

#[test]
fn a_header_that_comes_again_is_none_of_the_rows() {
    let again = table(TORQUE, |n| match n {
        9 => TORQUE.to_owned(),
        n => torque(n, "GMT+02:00", "355.2"),
    });
    let report = read(again).unwrap();
    assert_eq!((report.samples, report.skipped["the header comes again"]), (19, 1));
    // The same columns in another order would be read as one another.
    let one = table("time_s,temp_1_c,voltage_v,current_a", |n| format!("{n},25,3.7,1.5"));
    let other = table("time_s,temp_1_c,current_a,voltage_v", |n| format!("{},25,1.5,3.7", n + 20));
    refused(one + &other, &["line 22 names other columns", "split the file"]);
    let one = table("t,u,i,soc,temp_c", |n| format!("{n},355.2,1.5,43,25"));
    let other = table("t,u,i,temp_c,soc", |n| format!("{},355.2,1.5,25,43", n + 20));
    refused(one + &other, &["names other columns"]);
}

#[test]
fn days_without_times_are_refused() {
    for day in [|n: u32| format!("2023-05-{}", 16 + n / 10), |n: u32| (45_062 + n / 10).to_string()] {
        let text = table("Date,u,i", |n| format!("{},355.2,-12.5", day(n)));
        refused(text, &["\"Date\" states days without a time of day", "--map time=NAME"]);
    }
    let digits = table("Date,Time,u,i", |n| format!("20230516,0659{:02},355.2,-12.5", n + 10));
    refused(digits, &["times of day without colons"]);
    let serials = table("timestamp,u,i", |n| format!("{},355.2,-12.5", 45_062 + n));
    refused(serials, &["excel", "time_format"]);
    let compact = table("timestamp,u,i", |n| format!("202305160659{:02},355.2,-12.5", n + 10));
    starts(&read(compact).unwrap(), "2023-05-16T06:59:10");
    let apart =
        table("Date,Time,ms,u,i", |n| format!("2023-05-16,06:59:{:02},{},355.2,-12.5", n / 4, n % 4 * 250));
    doubted(&read(apart).unwrap(), "milliseconds of the times");
}

#[test]
fn texts_of_east_asia_are_decoded_where_it_is_certain() {
    let text = table("数据序号,工步类型,总时间,电流(A),电压(V),温度(℃)", |n| {
        format!("{n},恒流放电,00:00:{n:02},1.5,3.7,25")
    });
    let encodings = [encoding_rs::GB18030, encoding_rs::GBK];
    for encoding in encodings {
        let report = read(encoding.encode(&text).0).unwrap();
        assert_eq!(range(&report, "pack_current_a"), (-1.5, -1.5), "{}", encoding.name());
        assert_eq!(
            (range(&report, "pack_voltage_v"), range(&report, "temperatures_c")),
            ((3.7, 3.7), (25.0, 25.0))
        );
        assert!(report.format.contains("gb18030"), "{}", report.format);
    }
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(range(&read(wide).unwrap(), "pack_current_a"), (-1.5, -1.5));
    // English names, and states in Chinese.
    let states =
        table("Total Time,Current(A),Voltage(V),Step Type", |n| format!("00:00:{n:02},1.5,3.7,恒流放电"));
    assert_eq!(range(&read(encoding_rs::GBK.encode(&states).0).unwrap(), "pack_current_a"), (-1.5, -1.5));
    let japanese = table("時間[s],電圧[V],電流[A]", |n| format!("{n},3.7,-1.5"));
    let report = read(encoding_rs::SHIFT_JIS.encode(&japanese).0).unwrap();
    assert_eq!(
        (range(&report, "pack_voltage_v"), range(&report, "pack_current_a")),
        ((3.7, 3.7), (-1.5, -1.5))
    );
}

#[test]
fn a_line_that_was_cut_off_is_no_row() {
    let text = table("time_s,current [A],voltage [V]", |n| format!("{n},-12.5,355.2"));
    for lost in [3, 4, 5] {
        let report = read(&text[..text.len() - lost]).unwrap();
        assert_eq!((report.samples, range(&report, "pack_voltage_v")), (19, (355.2, 355.2)), "{lost}");
        assert_eq!(report.skipped.values().sum::<u64>(), 1);
    }
    let report = read(&text[..text.len() - 1]).unwrap();
    assert_eq!((report.samples, report.skipped.len()), (20, 0), "the last line may have no end");
    let zeros = [text.as_bytes(), &[0; 4096]].concat();
    let report = read(zeros).unwrap();
    assert_eq!((report.samples, range(&report, "pack_voltage_v")), (20, (355.2, 355.2)));
}

#[test]
fn a_current_without_its_sign_is_doubted_where_another_column_contradicts() {
    let header = "Time (s),Voltage (V),Current (A)";
    for (name, word) in [
        ("is_charging", "0"),
        ("is_discharging", "1"),
        ("discharging", "true"),
        ("Discharge Current (A)", "12.5"),
    ] {
        let text = table(&format!("{header},{name}"), |n| format!("{n},355.2,12.5,{word}"));
        doubted(&read(text).unwrap(), "*-1");
    }
    let fits = table(&format!("{header},is_charging"), |n| format!("{n},355.2,12.5,1"));
    assert_eq!(read(fits).unwrap().reasons, [""; 0]);
    for [charge, discharge] in [["+", "-"], ["in", "out"], ["1", "2"], ["Plugged", "Driving"]] {
        let text = table(&format!("{header},State"), |n| {
            format!("{n},355.2,12.5,{}", if n < 10 { discharge } else { charge })
        });
        doubted(&read(text).unwrap(), "\"State\" states is not understood");
    }
    let half = table(&format!("{header},State"), |n| {
        format!("{n},355.2,12.5,{}", if n < 10 { "Fahren" } else { "Laden" })
    });
    let report = read(half).unwrap();
    assert_eq!(
        (range(&report, "pack_current_a"), report.quantities["pack_current_a"].unknown),
        ((12.5, 12.5), 10)
    );
    assert!(report.warnings.iter().any(|text| text.contains("Fahren")), "{:?}", report.warnings);
}

#[test]
fn the_potential_of_one_electrode_is_no_voltage_of_a_cell() {
    let both = table("time/s\tEwe/V\tEce/V\tEwe-Ece/V\tI/mA", |n| format!("{n}\t3.9\t0.2\t3.7\t-1500"));
    let report = read(both).unwrap();
    assert_eq!(
        (range(&report, "pack_voltage_v"), report.reasons.len()),
        ((3.7, 3.7), 0),
        "{:?}",
        report.reasons
    );
    let apart = table("time/s\tEwe/V\tEce/V\tI/mA", |n| format!("{n}\t3.9\t0.2\t-1500"));
    doubted(&read(apart).unwrap(), "counter electrode");
}

#[test]
fn a_sensor_that_is_not_there_is_doubted() {
    let all =
        table("time_s,voltage [V],current [A],T1 [°C],T2 [°C]", |n| format!("{n},355.2,-12.5,25,-40"));
    doubted(&read(all).unwrap(), "\"T2 [°C]\" says -40 °C");
    let once = table("time_s,voltage [V],current [A],T1 [°C]", |n| {
        format!("{n},355.2,-12.5,{}", if n == 3 { -40 } else { 25 })
    });
    doubted(&read(once).unwrap(), "missing = [NUMBER]");
    let cold = table("time_s,voltage [V],current [A],T1 [°C]", |n| {
        format!("{n},355.2,-12.5,{}", -40 + n as i32 % 3)
    });
    assert_eq!(read(cold).unwrap().reasons, [""; 0]);
    let fraction = table("time_s,voltage [V],current [A],soc", |n| {
        format!("{n},355.2,-12.5,{}", 1.004 - 0.01 * f64::from(n))
    });
    assert!(!read(fraction).unwrap().quantities.contains_key("soc_pct"));
}

#[test]
fn what_is_no_table_of_signals_is_named() {
    let long =
        table("SECONDS;PID;VALUE;UNITS", |n| format!("\"{n}.5\";\"[BMS] Battery voltage\";\"355.2\";\"V\""));
    refused(long, &["each row has one value", "\"PID\" says which"]);
    let of_macintosh = table("t,u,i", |n| format!("{n},355.2,-12.5")).replace('\n', "\r");
    assert_eq!(read(of_macintosh).unwrap().samples, 20);
}

#[test]
fn two_parts_with_a_fraction_are_minutes_and_seconds() {
    let text = table("Time,u,i", |n| format!("59:{n:02}.5,355.2,-12.5"));
    let report = read(text).unwrap();
    assert_eq!(report.segments[0].start, Moment::Seconds(59.0 * 60.0 + 0.5));
    let days = table("Total Time,Voltage(V),Current(A)", |n| format!("1-02:00:{n:02},3.7,-1.5"));
    assert_eq!(read(days).unwrap().segments[0].end, Moment::Seconds(86_400.0 + 7219.0));
    let unstated = Options::new(1_790_000_000_000);
    assert!(with(table("Time,u,i", |n| format!("59:{n:02},355.2,-12.5")), unstated).is_err());
}
