//! Tables that fail elsewhere, tables that others measured, and tables in every spelling.
#![allow(clippy::print_stdout, reason = "says what is skipped")]

use proptest::prelude::*;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use voltmesh_recording::table::{Columns, Level, Options, Table};
use voltmesh_recording::{Error, Reading, Row, Stamp, Unknown};

fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(folder);
    if !path.exists() {
        println!("skipped: there is no {folder} beside the project");
        return None;
    }
    Some(path)
}

fn rows(table: &mut Table) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    while let Some(row) = table.next()? {
        rows.push(row);
    }
    Ok(rows)
}

fn read(text: impl Into<Vec<u8>>, options: &Options) -> Result<(Vec<Row>, Table), String> {
    let mut table =
        Table::read(Box::new(Cursor::new(text.into())), "a", options).map_err(|e| e.to_string())?;
    let rows = rows(&mut table).map_err(|e| e.to_string())?;
    Ok((rows, table))
}

fn seconds(row: &Row) -> f64 {
    match row.time {
        Stamp::Unix(ns) | Stamp::Relative(ns) => ns as f64 / 1e9,
    }
}

fn maps(maps: &[&str]) -> Options {
    Options::from(maps.iter().map(|map| map.parse().expect("a mapping")).collect::<Vec<_>>())
}

fn columns(text: &str) -> Options {
    Options::from(&toml::from_str::<Columns>(text).expect("a configuration"))
}

/// Time, voltage and current of the first and the last row, and the count of rows.
type Ends = (usize, [f64; 3], [f64; 3]);

fn ends(rows: &[Row]) -> Ends {
    let values = |row: &Row| {
        let value = |reading: Reading| reading.unwrap_or(f64::NAN);
        [seconds(row), value(row.pack_voltage), value(row.pack_current)]
    };
    (rows.len(), values(&rows[0]), values(&rows[rows.len() - 1]))
}

#[track_caller]
fn check(text: &str, options: &Options, expected: Ends) {
    let (rows, _) = read(text, options).expect("a table");
    assert_eq!(ends(&rows), expected);
}

#[track_caller]
fn refused(text: &str, options: &Options, says: &str) {
    let error = read(text, options).err().expect("refused");
    assert!(error.contains(says), "{error}");
}

#[test]
fn spellings() {
    let any = Options::default();
    let two = (2, [0.0, 355.2, -12.5], [1.0, 355.1, -13.0]);
    check("t,u,i\n0,355.2,-12.5\n1,355.1,-13\n", &any, two);
    check("Zeit;Spannung;Strom\n0;355,2;-12,5\n1;355,1;-13,0\n", &any, two);
    check("time\tvoltage\tcurrent\n0\t355.2\t-12.5\n1\t355.1\t-13\n", &any, two);
    check("time|voltage|current\n0|355.2|-12.5\n1|355.1|-13\n", &any, two);
    check("time,voltage,current\n\"0\",\"355,2\",\"-12,5\"\n\"1\",\"355,1\",\"-13,0\"\n", &any, two);
    check("time_ms,voltage (mV),current (mA)\n0,\"355,200\",-12500\n1000,355100.0,-13000\n", &any, two);
    check("time [ms];U [V];I [A]\n0;355,2;-12,5\n1.000;355,1;-13\n", &any, two);
    check("time,voltage,current\ns,mV,mA\n0,355200,-12500\n1,355100,-13000\n", &any, two);
    check(
        "\n# by hand\nDevice: 7\nname,x\n\ntime,voltage,current,\n0,355.2,-12.5,\n1,355.1,-13,\nend of file\n",
        &any,
        two,
    );
    check("time,voltage,current\r\n0,355.2,-12.5\r\n\r\n1,355.1,-13\r\nTotal,2,rows\r\n", &any, two);
    check("0,355.2,-12.5\n1,355.1,-13\n", &maps(&["time=#1", "pack_voltage=#2", "pack_current=#3"]), two);
    check(
        "Time,Voltage,Current,State\n0,3.7,1.5,D\n1,3.6,1.5,C\n",
        &any,
        (2, [0.0, 3.7, -1.5], [1.0, 3.6, 1.5]),
    );
    check(
        "step type,total time,current,voltage\nCC DChg,00:00:00,1,3.7\nRest,00:00:01.5,0,3.8\n",
        &any,
        (2, [0.0, 3.7, -1.0], [1.5, 3.8, 0.0]),
    );
    check("v.b.voltage,v.b.current,time\n355.2,12.5,0\n355.1,13,1\n", &any, two);
}

#[test]
fn formats_of_testers_and_loggers() {
    let known = |text: &str, format: &str, expected: Ends| {
        let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
        let (rows, table) = read(latin, &Options::default()).expect(format);
        assert!(table.format().starts_with(format), "{}", table.format());
        assert_eq!(ends(&rows), expected, "{format}");
    };
    known(
        "Record ID\tStep Type\tTime(h:min:s.ms)\tTotal Time\tVoltage(V)\tCurrent(mA)\n\
         1\tRest\t00:00:00.000\t00:00:00\t3.7\t0\n2\tCC DChg\t00:00:00.000\t00:00:10\t3.6\t-1500\n",
        "Neware",
        (2, [0.0, 3.7, 0.0], [10.0, 3.6, -1.5]),
    );
    for time in ["timestamps", "数据时间", "采集时间"] {
        let text = format!(
            "{time},总电压,总电流\n2023-11-14 22:13:20,355.2,-12.5\n2023-11-14 22:13:21,355.1,-12.5\n"
        );
        let (rows, _) = read(text, &Options::default()).expect(time);
        assert_eq!(ends(&rows).0, 2, "{time}");
    }
    known(
        "~Resultfile from Basytec Battery Test System\r\n~Name of Test: x\r\n~\r\n\
         ~Time[h]\tDataSet\tt-Step[h]\tLine\tCommand\tU[V]\tI[A]\tAh[Ah]\tT1[°C]\r\n\
         0.0\t1\t0\t1\tPause\t3.7\t0\t0\t25\r\n0.5\t2\t0\t1\tDischarge\t3.6\t-1.5\t0\t25.5\r\n",
        "Basytec",
        (2, [0.0, 3.7, 0.0], [1800.0, 3.6, -1.5]),
    );
    known(
        "[Summary]\nNovonix UHPC\n[End Summary]\n\n[Data]\n\
         Date and Time,Cycle Number,Run Time (h),Step Time (h),Current (A),Potential (V),Temperature (°C)\n\
         2023-05-16 06:59:50,0,0.0,0.0,0,3.7,25\n2023-05-16 07:29:50,0,0.5,0.5,-0.1,3.6,25\n",
        "Novonix",
        (2, [0.0, 3.7, 0.0], [1800.0, 3.6, -0.1]),
    );
    known(
        "Record\tTestTime\tStepTime\tCurrent/mA\tVoltage/V\tSysTime\n\
         1\t00:00:00\t00:00:00\t0\t3.7\t2023-05-16 06:59:50\n2\t00:00:30\t00:00:30\t-150\t3.6\t2023-05-16 07:00:20\n",
        "LANDT",
        (2, [0.0, 3.7, 0.0], [30.0, 3.6, -0.15]),
    );
    known(
        "Circuit;7\nStep;Status;Prog Time;Step Time;Voltage;Current;AhAccu;Temp1\n;;;;[V];[A];[Ah];[°C]\n\
         1;PAU;00:00:00;00:00:00;3,7;0;0;25,1\n2;DCH;00:00:10;00:00:10;3,6;-1,5;0;25,2\n",
        "Digatron",
        (2, [0.0, 3.7, 0.0], [10.0, 3.6, -1.5]),
    );
    known(
        "utc,soc,power,speed,voltage,current,is_charging,batt_temp,ext_temp\n\
         1684220390,80,12,50,355.2,34,false,25,20\n1684220391,80,12,50,355.1,-3,1,25,20\n",
        "ABRP",
        (2, [1_684_220_390.0, 355.2, -34.0], [1_684_220_391.0, 355.1, 3.0]),
    );
    known(
        "timestamp;socDisplay;socBMS;dcBatteryVoltage;dcBatteryCurrent;auxBatteryVoltage\n\
         1684220390;80;78,5;355,2;-34,5;14,1\n1684220391;80;78,5;355,1;-34,5;14,1\n",
        "EVNotify",
        (2, [1_684_220_390.0, 355.2, -34.5], [1_684_220_391.0, 355.1, -34.5]),
    );
    known(
        "Nb header lines : 3\r\n\r\nmode\ttime/s\tEwe/V\t<I>/mA\r\n1\t0,000\t3,70000\t-1,5000\r\n1\t1,000\t3,69000\t-1,5000\r\n",
        "BioLogic",
        (2, [0.0, 3.7, -0.0015], [1.0, 3.69, -0.0015]),
    );
    refused(
        "date,battery_level,usable_battery_level,power,charger_voltage\n2023-05-16 06:59:50,80,79,12,\n",
        &Options::default(),
        "--map pack_voltage=NAME",
    );
}

#[test]
fn a_wrong_decimal_sign_is_never_silent() {
    let any = Options::default();
    refused("t,u,i\n0,0,355,2,-12,5\n1,0,355,1,-12,5\n", &any, "decimals are written with a comma");
    refused("t;u;i\n0;355,2;-12.5\n1;355,1;-13.5\n", &any, "decimal");
    let point = Options { decimal: Some('.'), ..Options::default() };
    refused("t;u;i\n0;355,2;-12,5\n1;355,1;-13,5\n", &point, "no row has a voltage");
    // A row of more cells is lost and counted; the others are read.
    let (rows, table) = read("t,u,i\n0,355.2,-12.5\n1,355,1,-13,5\n2,355,-13\n", &any).expect("a table");
    assert_eq!((rows.len(), table.skipped().total()), (2, 1));
}

#[test]
fn what_is_missing_or_ambiguous_is_refused_with_the_remedy() {
    let any = Options::default();
    refused("time,current\n0,1\n", &any, "--map pack_voltage=NAME");
    refused("time,voltage\n0,1\n", &any, "--map pack_current=NAME");
    refused("x,voltage,current\n0,1,1\n", &any, "--map time=NAME");
    refused("time,voltage,voltage,current\n0,1,1,1\n", &any, "--map pack_voltage=#2");
    refused("time,voltage,current\n3/4/2024 0:00,1,1\n", &any, "time_format");
    refused("time,voltage [furlong],current\n0,1,1\n", &any, "furlong");
    refused(
        "time,voltage,current\n0,1,1\n",
        &maps(&["pack_voltage=U"]),
        "there is no column \"U\"; the columns are: time, voltage",
    );
    refused("0,1,1\n1,1,1\n2,1,1\n", &any, "names the columns");
    refused("", &any, "empty");
    refused("time,voltage,current\n", &any, "no rows");
    refused("time,voltage,current\n0,x,1\n1,x,1\n", &any, "no row has a voltage");
    let (_, table) = read("time,voltage,current,soc\n0,3.7,1,0.431\n", &any).expect("a table");
    assert!(table.doubts().iter().any(|doubt| doubt.contains("soc=soc*100")), "{:?}", table.doubts());
}

#[test]
fn thousands_are_never_taken_for_decimals() {
    let any = Options::default();
    let two = (2, [0.0, 355.2, -12.5], [1.0, 355.1, -13.0]);
    // 355,200 mV is 355.2 V or 0.3552 V.
    let english = "time,voltage (mV),current (mA)\n0,\"355,200\",\"-12,500\"\n1,\"355,100\",\"-13,000\"\n";
    refused(english, &any, "decimal sign cannot be told");
    check(english, &columns("decimal = '.'"), two);
    let german = "Zeit;Spannung [mV];Strom [mA]\n0;355.200;-12.500\n1;355.100;-13.000\n";
    refused(german, &any, "0.355 V, and about 355 V");
    check(german, &columns("decimal = ','"), two);
    check(
        "Zeit;U [V];I [A]\n0;3,700;-1,500\n1;3,600;-1,500\n",
        &any,
        (2, [0.0, 3.7, -1.5], [1.0, 3.6, -1.5]),
    );
    check(
        "time,U [V],I [A]\n0,3.700,-1.500\n1,3.600,-1.500\n",
        &any,
        (2, [0.0, 3.7, -1.5], [1.0, 3.6, -1.5]),
    );
    let french = "temps (s);tension (mV);courant (mA)\n0;355\u{202f}200,0;-12\u{202f}500,0\n1;355\u{a0}100,0;-13\u{a0}000,0\n";
    check(french, &any, two);
    let latin: Vec<u8> = french.replace('\u{202f}', "\u{a0}").chars().map(|c| c as u8).collect();
    assert_eq!(ends(&read(latin, &any).expect("a table").0), two);
}

#[test]
fn a_date_and_a_time_of_day_are_one_time() {
    let any = Options::default();
    let at = 1_684_220_390.0;
    let two = |step: f64| (2, [at, 355.2, -12.5], [at + step, 355.1, -13.0]);
    let german = "Datum;Uhrzeit;Spannung [V];Strom [A]\n16.05.2023;06:59:50;355,200;-12,500\n16.05.2023;06:59:51;355,100;-13,000\n";
    check(german, &any, two(1.0));
    let night = "Date,Time,u,i\n2023-05-16,06:59:50,355.2,-12.5\n2023-05-17,00:00:01,355.1,-13\n";
    check(night, &any, two(61_211.0));
    check(&night.replace("05-16,06", "05-16,08"), &columns("time_zone = 'Europe/Berlin'"), two(54_011.0));
    check(night, &columns("time = 'Time'\ndate = 'Date'\nvoltage = 'u'\ncurrent = 'i'"), two(61_211.0));
    let (_, table) = read(night, &any).expect("a table");
    assert_eq!(table.columns(&any).date.as_deref(), Some("Date"), "the configuration reads the same");
    let (rows, table) =
        read("Date,Time,u,i\n3/4/2023,06:59:50,355.2,-12.5\n3/4/2023,06:59:51,355.1,-13\n", &any)
            .expect("a table");
    assert!(matches!(rows[0].time, Stamp::Relative(_)), "the order of day and month cannot be told");
    assert!(table.warnings().iter().any(|text| text.contains("month")), "{:?}", table.warnings());
    let beside = "Test Time,Date Time,u,i\n0,2023-05-16 06:59:50,3.7,-1\n1,2023-05-16 06:59:51,3.7,-1\n";
    let (_, table) = read(beside, &any).expect("a table");
    assert!(table.warnings().iter().any(|text| text.contains("time=Date Time")), "{:?}", table.warnings());
    let elapsed = "Date,Test Time,u,i\n2023-05-16,06:59:50,355.2,-12.5\n2023-05-16,06:59:51,355.1,-13\n";
    assert!(matches!(read(elapsed, &any).expect("a table").0[0].time, Stamp::Relative(_)));
}

#[test]
fn times_of_two_parts_are_ambiguous() {
    let text = "Time,u,i\n00:01,355.2,-12.5\n00:02,355.1,-13\n";
    refused(text, &Options::default(), "minutes and seconds");
    check(text, &columns("time_format = '%M:%S'"), (2, [1.0, 355.2, -12.5], [2.0, 355.1, -13.0]));
    check(text, &columns("time_format = '%H:%M'"), (2, [60.0, 355.2, -12.5], [120.0, 355.1, -13.0]));
}

#[test]
fn a_table_of_which_most_is_lost_is_doubted() {
    let text = "time,u,i\n2023-05-16T06:59:50Z,355.2,-12.5\nx,355.2,-12.5\nx,355.1,-13\n";
    let doubts = read(text, &Options::default()).expect("a table").1.doubts();
    assert!(doubts.len() == 1 && doubts[0].contains("2 rows are not read"), "{doubts:?}");
    refused("time,u,i\n0,,\n1,,\n", &Options::default(), "empty");
}

#[test]
fn marks_of_missing_values_are_doubted_until_they_are_stated() {
    let text = "t,u,i\n0,355.2,-12.5\n1,355.1,-999\n2,355.1,-13\n";
    let (_, table) = read(text, &Options::default()).expect("a table");
    let doubts = table.doubts();
    assert!(doubts.len() == 1 && doubts[0].contains("missing") && doubts[0].contains("line 3"), "{doubts:?}");
    let (rows, table) = read(text, &columns("missing = [-999]")).expect("a table");
    assert_eq!((rows[1].pack_current, table.doubts()), (Err(Unknown::NotAvailable), Vec::new()));
    let real = "t,u,i (mA)\n0,3.7,-1000\n1,3.7,-999\n2,3.7,-500\n";
    assert_eq!(read(real, &Options::default()).expect("a table").1.doubts(), [""; 0]);
}

#[test]
fn unknown_values_keep_their_rows() {
    let text = "time,voltage,current,temp_1,temp_2\n0,,1,n/a,20\n1,3.7,NaN,null,-\n2,3.7,1,298.15,x\n";
    let (rows, table) = read(text, &Options::default()).expect("a table");
    let [sent, available, range] = [Unknown::NotSent, Unknown::NotAvailable, Unknown::OutOfRange].map(Err);
    assert_eq!((rows[0].pack_voltage, rows[1].pack_current), (sent, available));
    assert_eq!(rows[0].temperatures, [available, Ok(20.0)]);
    assert_eq!(rows[1].temperatures, [available, available]);
    assert_eq!(rows[2].temperatures, [range, available]);
    assert!(table.warnings().iter().any(|warning| warning.contains("kelvin")));
    assert!(table.warnings().iter().any(|warning| warning.contains("\"x\" in line 4")));
}

#[test]
fn the_sign_of_a_current_is_checked_by_physics() {
    let mut text = "time,voltage,current\n".to_owned();
    for n in 0..20 {
        let current = f64::from(n % 3) * 10.0;
        text += &format!("{n},{},{current}\n", 400.0 - 0.1 * current);
    }
    let (_, table) = read(text, &Options::default()).expect("a table");
    assert!(table.doubts()[0].contains("pack_current=current*-1"), "{:?}", table.doubts());
}

#[test]
fn cases() {
    let Some(folder) = shared("cases/vehicle") else { return };
    let open = |name: &str, options: &Options| -> (Vec<Row>, Table) {
        let mut table = Table::open(&folder.join(name), options).expect(name);
        let rows = rows(&mut table).expect(name);
        (rows, table)
    };
    let any = Options::default();
    let ends = |name: &str, options: &Options| ends(&open(name, options).0);
    let tui = "time=\"t\"\nvoltage=\"u\"\ncurrent=\"i\"\n";
    // Tables
    let comma = columns("separator=\";\"\ntime=\"Zeit\"\nvoltage=\"Spannung\"\ncurrent=\"Strom\"");
    for options in [&any, &comma] {
        assert_eq!(ends("csv-decimal-comma.csv", options), (6, [0.0, 355.2, -12.5], [5.0, 354.7, -15.0]));
    }
    let (bmw, _) = open("csv-bmw-decimal-comma.csv", &any);
    assert_eq!((bmw[0].pack_voltage, bmw[0].pack_current, bmw[0].soc), (Ok(391.4), Ok(-2.2), Ok(86.9)));
    let ts = columns("time=\"ts\"\nvoltage=\"u\"\ncurrent=\"i\"");
    assert_eq!(open("csv-iso.csv", &ts).0[0].time, Stamp::Unix(1_684_220_390_300_000_000));
    let ms = columns("time=\"ts\"\nvoltage=\"u\"\ncurrent=\"i\"\nunits={time=0.001}");
    for options in [&any, &ts, &ms] {
        assert_eq!(open("csv-epoch-s.csv", options).0[0].time, Stamp::Unix(1_684_220_390_000_000_000));
    }
    for cells in ["cells=[\"c1\",\"c2\",\"c3\"]", "cells=[\"c*\"]", "cells=[\"c{}\"]"] {
        let (rows, _) = open("csv-dead-sensor.csv", &columns(&format!("{tui}{cells}")));
        assert_eq!(rows[5].cells, [Ok(3.701), Err(Unknown::NotSent), Ok(3.703)]);
    }
    for name in ["csv-bdf-machine.csv", "csv-bdf-label-bom.csv"] {
        assert_eq!(ends(name, &any), (6, [0.0, 3.7, -1.5], [5.0, 3.65, -1.5]));
        assert!(open(name, &any).1.format().starts_with("Battery Data Format"));
    }
    let skip = columns(
        "skip_lines=2\ntime=\"Test Time (sec)\"\nvoltage=\"Voltage\"\ncurrent=\"Current\"\nstate=\"State\"",
    );
    for options in [&any, &skip] {
        assert_eq!(ends("csv-preamble.csv", options), (6, [0.0, 3.7, -1.5], [5.0, 3.65, -1.5]));
    }
    assert_eq!(ends("csv-negative-zero-time.csv", &any), (6, [-3.0, 355.2, -12.5], [2.0, 355.2, -12.5]));
    let units = format!(
        "{tui}temperatures=[\"T\"]\nunits={{temperature=0.5555555555555556,temperature_offset=-17.77777777777778}}"
    );
    for options in [columns(&units), maps(&["temperatures=T*0.5556+-17.78"])] {
        let found = open("csv-fahrenheit.csv", &options).0[0].temperatures[0].expect("a temperature");
        assert!((found - 25.0).abs() < 0.01, "{found}");
    }
    // Twin
    for name in [
        "twin-semicolon.csv",
        "twin-latin1.csv",
        "twin-trailing-comma.csv",
        "twin-null.csv",
        "twin-kelvin.csv",
    ] {
        assert_eq!(ends(name, &any), (60, [0.0, 3.7, -1.0], [59.0, 3.6853, -1.0]), "{name}");
    }
    assert_eq!(open("twin-null.csv", &any).0[30].pack_voltage, Err(Unknown::NotAvailable));
    assert_eq!(open("twin-kelvin.csv", &any).0[0].temperatures, [Err(Unknown::OutOfRange)]);
    assert_eq!(ends("twin-lfp-mid.csv", &any).1, [0.0, 3.2815, 0.0]);
    let (named, table) = open("twin-cellnames.csv", &any);
    assert_eq!((named[0].cells.as_slice(), table.level()), ([Ok(3.7); 3].as_slice(), Level::Pack));
    let (zero, _) = open("twin-zerobased.csv", &any);
    assert_eq!((zero[0].cells[0], zero[59].cells[0], zero[0].cells.len()), (Ok(3.2), Ok(2.61), 3));
    assert_eq!(open("twin-first-temperature.csv", &any).0[0].temperatures, [Ok(0.0), Ok(20.5), Ok(20.5)]);
    assert!(open("twin-milliseconds.csv", &any).1.doubts()[0].contains("milliseconds"));
    assert_eq!(open("twin-time-reset.csv", &any).0.len(), 60);
}

#[test]
fn measured_by_others() {
    let Some(folder) = shared("data") else { return };
    let ends = |name: &str| {
        let mut table = Table::open(&folder.join(name), &Options::default()).expect(name);
        let rows = rows(&mut table).expect(name);
        (ends(&rows), table.level(), table.skipped().total())
    };
    let cell = Level::Cell;
    let expected = [
        (
            "bdf/basytec_pocv.bdf.csv.gz",
            (39_193, [0.0, 0.939198041065652, 0.0], [1334177673.9095995, 1.02444099017354, 0.0]),
        ),
        ("bdf/landt.bdf.csv.gz", (25_162, [0.02, 2.9215, 0.0], [262657.764, 0.1086, -0.0002])),
        ("cycler/arbin.csv", (13, [30.0005, 3.534595, 0.0], [301.214, 3.599601, 2.650138])),
        ("cycler/maccor.csv", (15, [0.0, 3.668, 0.0], [13.06, 3.716, 28.798])),
        (
            "cycler/biologic_timestamped.txt",
            (8, [1732102721.707, 4.1465597, 0.0], [1732102734.171, 4.154593, 0.4499184]),
        ),
        (
            "bpx/LFP_25degC_1C.csv.gz",
            (3500, [0.0, 3.498520787, -0.001955032], [3497.212, 1.999730087, -2.000648989]),
        ),
        (
            "battery/panasonic_18650pf/cycles_1hz/25degC__US06.csv.gz",
            (4812, [0.9, 4.17596, -0.06231], [4818.9, 3.34114, 0.0]),
        ),
        (
            "battery/panasonic_18650pf/characterisation/hppc_0degC.csv.gz",
            (85_260, [0.0, 4.15889, 0.0], [83098.759, 3.32891, 0.0]),
        ),
    ];
    for (name, values) in expected {
        let (found, level, skipped) = ends(name);
        assert_eq!((found.0, level, skipped), (values.0, cell, 0), "{name}");
        for (found, stated) in found.1.iter().chain(&found.2).zip(values.1.iter().chain(&values.2)) {
            assert!((found - stated).abs() <= 1e-12 * stated.abs(), "{name}: {found} {stated}");
        }
    }
    let trip = ends("battery/bmw_i3_trips/TripA02.csv.gz");
    assert_eq!(trip, ((14_130, [0.0, 381.8, -37.6], [1412.9, 382.5, 8.0]), Level::Pack, 0));
    if cfg!(feature = "parquet") {
        let ((rows, first, last), ..) = ends("bdf/legacy.bdf.parquet");
        assert_eq!((rows, first[0], last[0]), (5000, 0.0, 148_781.953));
    }
    // Every file of the kinds is read without a row lost, and no current is doubted.
    for kind in ["battery/bmw_i3_trips", "battery/panasonic_18650pf/cycles_1hz"] {
        for file in std::fs::read_dir(folder.join(kind)).expect("a folder") {
            let path = file.expect("a file").path();
            if path.extension().is_some_and(|extension| extension == "gz") {
                let mut table = Table::open(&path, &Options::default()).expect("a table");
                let rows = rows(&mut table).expect("rows");
                assert!(rows.len() > 1000 && table.skipped().total() == 0, "{}", path.display());
                assert_eq!(table.doubts(), [""; 0], "{}", path.display());
            }
        }
    }
    for name in ["battery/drive_cycles/pybamm/UDDS.csv", "battery/bmw_i3_trips/Overview.xlsx"] {
        assert!(Table::open(&folder.join(name), &Options::default()).is_err(), "{name}");
    }
}

/// A way to write a table.
#[derive(Clone, Debug)]
struct Spelling {
    separator: char,
    comma: bool,
    encoding: u8,
    time: u8,
    quoted: bool,
    preamble: bool,
    units: u8,
}

fn spelling() -> impl Strategy<Value = Spelling> {
    let separators = proptest::sample::select(vec![',', ';', '\t', '|']);
    (separators, any::<bool>(), 0_u8..5, 0_u8..6, any::<bool>(), any::<bool>(), 0_u8..3).prop_map(
        |(separator, comma, encoding, time, quoted, preamble, units)| Spelling {
            // Decimal commas between commas are quoted.
            quoted: quoted || (comma && separator == ','),
            separator,
            comma,
            encoding,
            time,
            preamble,
            units,
        },
    )
}

impl Spelling {
    fn write(&self, rows: &[(i64, f64, f64)]) -> Vec<u8> {
        let line = |cells: [String; 3]| {
            let cells = cells.map(|cell| if self.quoted { format!("\"{cell}\"") } else { cell });
            cells.join(&self.separator.to_string()) + "\r\n"
        };
        let (voltage, current, scale) = match self.units {
            0 => ("Voltage [V]", "Current [A]", 1.0),
            1 => ("voltage_mv", "current_ma", 1000.0),
            _ => ("Spannung / kV", "Strom / kA", 0.001),
        };
        let time = ["time_s", "time_ms", "timestamp", "Date", "Date", "Time"][usize::from(self.time)];
        let mut text = String::new();
        if self.preamble {
            text += "Prüfstand 7, Größe\r\nStart: 1. Mai\r\n\r\n";
        }
        text += &line([time.into(), voltage.into(), current.into()]);
        for (ms, volts, amperes) in rows {
            let number = |value: f64, digits: usize| {
                let text = format!("{value:.digits$}");
                if self.comma { text.replace('.', ",") } else { text }
            };
            let (s, rest) = (ms / 1000, ms % 1000);
            let of_day = format!("{:02}:{:02}:{:02}.{rest:03}", s / 3600 % 24, s / 60 % 60, s % 60);
            let day = 2 + s / 86_400;
            let time = match self.time {
                0 => number(*ms as f64 / 1000.0, 3),
                1 => ms.to_string(),
                2 => (1_685_664_000_000 + ms).to_string(),
                3 => format!("2023-06-{day:02}T{of_day}Z"),
                4 => format!("{day:02}.06.2023 {of_day}"),
                _ => format!("{:02}:{:02}:{:02}.{rest:03}", s / 3600, s / 60 % 60, s % 60),
            };
            text += &line([time, number(volts * scale, 7), number(amperes * scale, 7)]);
        }
        match self.encoding {
            0 => text.into_bytes(),
            1 => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            2 => text.chars().map(|c| c as u8).collect(),
            3 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            _ => std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect(),
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic_and_always_end(bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
        let _ = read(bytes, &Options::default());
    }

    #[test]
    fn random_tables_never_panic_and_always_end(
        text in "(time|t|date|Voltage / V|u|i|current|cell_1_v|[,;\t|]|\n|[0-9]{1,9}|[-+.:/]|nan|\"|e|é| ){0,200}",
    ) {
        let _ = read(format!("time,voltage,current\n{text}"), &Options::default());
        let _ = read(text, &Options::default());
    }

    #[test]
    fn what_is_written_in_any_spelling_is_read(
        spelling in spelling(),
        steps in proptest::collection::vec((1_i64..90_000, 2.0..4.2, -100.0..100.0), 3..40),
    ) {
        let mut ms = 0;
        let rows: Vec<(i64, f64, f64)> = steps
            .into_iter()
            .map(|(step, volts, amperes): (i64, f64, f64)| {
                ms += step * 7 + 1;
                (ms, volts, amperes)
            })
            .collect();
        let (found, table) = read(spelling.write(&rows), &Options::default()).expect("a table");
        prop_assert_eq!(found.len(), rows.len(), "{:?}", table.skipped());
        for (found, (ms, volts, amperes)) in found.iter().zip(&rows) {
            let stated = if (2..5).contains(&spelling.time) {
                Stamp::Unix((1_685_664_000_000 + ms) * 1_000_000)
            } else {
                Stamp::Relative(ms * 1_000_000)
            };
            prop_assert_eq!(found.time, stated);
            prop_assert!((found.pack_voltage.expect("a voltage") - volts).abs() < 1e-3, "{found:?} {volts}");
            prop_assert!((found.pack_current.expect("a current") - amperes).abs() < 1e-3, "{found:?} {amperes}");
        }
    }
}

#[test]
fn a_table_is_reported() {
    use voltmesh_recording::Battery;
    use voltmesh_recording::clock::{Clock, ClockConfig};
    use voltmesh_recording::report::{Moment, Reporter, Verdict};
    let text = "time_s,voltage_v,current_a\n0,3.7,-1\n1,3.69,-1\n2,3.69,-1\n0,3.68,-1\n1,3.67,-1\nend\n";
    let mut table = Table::read(Box::new(text.as_bytes()), "a", &Options::default()).expect("a table");
    let mut clock = Clock::new(ClockConfig { needs_date: false, ..ClockConfig::new(0) });
    let mut reporter = Reporter::new(Battery { is_cell: true, ..Battery::default() });
    let mut placed = Vec::new();
    while let Some(row) = table.next().expect("a row") {
        clock.push(row.time, row, &mut placed).expect("no date is needed");
    }
    clock.flush(&mut placed);
    placed.iter().for_each(|row| reporter.row(row.segment, row.time, &row.item));
    let report = reporter.finish(table.said(clock.said()), &placed[placed.len() - 1].item);
    assert_eq!((report.samples, report.segments.len(), report.verdict), (5, 2, Verdict::Usable));
    assert_eq!(report.segments[1].start, Moment::Seconds(3.0));
    assert_eq!(report.skipped["its time cannot be read"], 1);
    assert_eq!(report.quantities["pack_voltage_v"].source, "voltage_v");
}
