//! One way in: what files are is told by their content, and what is read is the same everywhere.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::PathBuf;
use voltmesh_recording::report::{Report, Values, Verdict};
use voltmesh_recording::{Chemistry, Error, Options, Recording};

const NOW_MS: u64 = 1_790_000_000_000;

const DBC: &str = "VERSION \"\"\n\nBU_: A\n\nBO_ 256 Pack: 8 A\n \
    SG_ PackVoltage : 0|16@1+ (0.1,0) [0|1000] \"V\" A\n \
    SG_ PackCurrent : 16|16@1- (0.1,0) [-1000|1000] \"A\" A\n\nBO_ 257 Cells: 8 A\n \
    SG_ Cell1 : 0|16@1+ (1,0) [0|5000] \"mV\" A\n SG_ Cell2 : 16|16@1+ (1,0) [0|5000] \"mV\" A\n";

/// Writes files, reads them with the given options.
struct Case {
    folder: tempfile::TempDir,
    options: Options,
    files: Vec<PathBuf>,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, options: Options::new(NOW_MS), files: Vec::new() }
    }

    fn file(mut self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        self.files.push(path);
        self
    }

    fn dbc(mut self, text: &str) -> Self {
        let path = self.folder.path().join("a.dbc");
        std::fs::write(&path, text).unwrap();
        self.options.dbc = Some(path);
        self
    }

    fn map(mut self, mapping: &str) -> Self {
        self.options.mappings.push(mapping.parse().unwrap());
        self
    }

    fn read(&self) -> Result<Recording, Error> {
        let mut recording = Recording::open(&self.files, &self.options)?;
        while recording.next()?.is_some() {}
        Ok(recording)
    }

    #[track_caller]
    fn report(&self) -> Report {
        self.read().unwrap().report()
    }

    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let error = self.read().err().expect("refused").to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}

fn log(times: impl IntoIterator<Item = u32>) -> String {
    times
        .into_iter()
        .map(|s| {
            format!(
                "({}.000000) can0 100#E00D83FF00000000\n({}.010000) can0 101#750E760E\n",
                1_700_000_000 + s,
                1_700_000_000 + s
            )
        })
        .collect()
}

#[track_caller]
fn near(report: &Report, name: &str, wanted: f64) {
    let quantity = &report.quantities[name];
    let Values::One(Some(value)) = quantity.last else { panic!("{name}: {quantity:?}") };
    assert!((value - wanted).abs() < 1e-9, "{name}: {value}");
}

#[test]
fn a_log_with_a_dbc_file_is_guessed_and_said() {
    let report = Case::new().file("a", log(0..10)).dbc(DBC).report();
    assert_eq!((report.samples, report.segments.len(), report.format.as_str()), (10, 1, "candump"));
    near(&report, "pack_voltage_v", 355.2);
    near(&report, "pack_current_a", -12.5);
    assert_eq!(report.quantities["cells_mv"].first, Values::Many(vec![Some(3701.0), Some(3702.0)]));
    assert!(report.warnings.iter().any(|text| text.contains("guessed")), "{:?}", report.warnings);
    assert!(report.warnings.iter().any(|text| text.contains("96 in series")), "{:?}", report.warnings);
    assert_eq!(report.verdict, Verdict::Usable, "two cells of 3.7 V may be those of 96 that are mapped");
}

#[test]
fn a_clock_of_many_years_has_another_unit() {
    let report = Case::new()
        .file("a", "time_s,voltage_v,current_a\n0,3.7,1\n90000,3.7,1\n400000000,3.7,1\n400000001,3.7,1\n")
        .report();
    assert!(report.reasons.iter().any(|reason| reason.contains("years")), "{report:?}");
}

#[test]
fn a_factor_of_one_states_the_unit() {
    let dbc = DBC.replace("\"A\"", "\"furlong\"");
    let case = || Case::new().file("a", log(0..3)).dbc(&dbc).map("pack_voltage=PackVoltage");
    case().map("pack_current=PackCurrent").refused(&["furlong", "unit"]);
    near(&case().map("pack_current=PackCurrent*1").report(), "pack_current_a", -12.5);
}

#[test]
fn what_is_mapped_counts() {
    let case = || Case::new().file("a", log(0..10)).dbc(DBC);
    let pack = || case().map("pack_voltage=PackVoltage").map("pack_current=PackCurrent");
    assert_eq!(pack().report().verdict, Verdict::Usable);
    near(
        &case().map("pack_voltage=PackVoltage*0.001").map("pack_current=PackCurrent").report(),
        "pack_voltage_v",
        0.3552,
    );
    pack().map("pack_current=PackCurrent*-1").refused(&["mapped twice"]);
    near(
        &case().map("pack_voltage=PackVoltage").map("pack_current=Pack.PackCurrent*-1").report(),
        "pack_current_a",
        12.5,
    );
    let report = pack().map("cells=Cell*").report();
    assert_eq!(report.quantities["cells_mv"].last, Values::Many(vec![Some(3701.0), Some(3702.0)]));
    case().map("pack_voltage=Volts").map("pack_current=PackCurrent").refused(&["no signal \"Volts\""]);
}

#[test]
fn a_bus_is_refused_with_the_remedy() {
    let case = || Case::new().dbc(DBC).map("pack_voltage=PackVoltage").map("pack_current=PackCurrent");
    Case::new().file("a", log(0..3)).refused(&["--dbc"]);
    case()
        .file("a", "can0 100#E00D83FF00000000\ncan0 100#E00D83FF00000000\n")
        .refused(&["candump", "states no times"]);
    case().file("a", "(1700000000.0) can0 200#00\n").refused(&[
        "no sample is usable",
        "Pack.PackVoltage",
        "1 frames",
    ]);
    let two = log(0..3) + &log(3..6).replace("can0", "can1");
    let mut both = case().file("a", two);
    both.refused(&["two buses", "can0", "can1", "interface"]);
    both.options.interface = Some("can1".into());
    assert_eq!(both.report().samples, 3);
    case().file("a", log(0..3)).file("b", "t,u,i\n0,1,2\n").refused(&["another kind"]);
    case().file("a", "nothing\nof use\n").refused(&["neither a log of frames"]);
    case().file("a", b"\x89PNG\r\n\x1a\n\0\0\0").refused(&["neither a log of frames"]);
    case().file("a", b"MDF     4.10").refused(&["MDF", "asammdf"]);
}

#[test]
fn files_come_in_the_order_of_time_and_segments_by_the_clock() {
    let case = || Case::new().dbc(DBC).map("pack_voltage=PackVoltage").map("pack_current=PackCurrent");
    let report = case().file("a", log(100..110)).file("b", log(0..10)).report();
    assert_eq!((report.samples, report.segments.len()), (20, 1));
    assert!(report.warnings.iter().any(|text| text.contains("order of their times")));
    let report = case().file("a", log((3600..3610).chain(10..60))).report();
    assert_eq!((report.samples, report.segments.len()), (60, 2));
    let report =
        case().file("a", log(0..5) + "(1700004005.0) can0 100#E00D83FF00000000\n" + &log(6..10)).report();
    assert_eq!(report.samples, 9, "one bad stamp loses one sample");
    assert!(report.skipped.keys().any(|reason| reason.contains("out of line")), "{:?}", report.skipped);
    let asleep = log(0..5)
        + &(0..20).map(|n| format!("({}.0) can0 200#00\n", 1_700_000_010 + 60 * n)).collect::<String>();
    assert_eq!(case().file("a", asleep).report().samples, 5, "old values get no new times");
}

#[test]
fn a_clock_without_a_date_is_said_refused_or_placed() {
    let text = "(2.5) 1 100#E00D83FF00000000\n(3.5) 1 100#E00D83FF00000000\n";
    let mut case =
        Case::new().file("a", text).dbc(DBC).map("pack_voltage=PackVoltage").map("pack_current=PackCurrent");
    let report = case.report();
    assert!(
        report.verdict == Verdict::Doubtful && report.reasons[0].contains("start_ms"),
        "{:?}",
        report.reasons
    );
    case.options.needs_date = true;
    case.refused(&["start_ms", "/a: "]);
    case.options.start_ms = Some(1_700_000_000_000);
    let json = serde_json::to_value(case.report()).unwrap();
    assert_eq!(json["segments"][0]["start"], "2023-11-14T22:13:22.500Z");
}

#[test]
fn the_configuration_reads_the_same() {
    let case = Case::new()
        .file("a", log(0..10))
        .dbc(DBC)
        .map("pack_voltage=PackVoltage*0.5+1")
        .map("pack_current=PackCurrent*-1")
        .map("cells=Cell*");
    let text = case.read().unwrap().configuration();
    let table: toml::Table = text.parse().unwrap();
    let signals = table["source"]["signals"].clone().try_into().unwrap();
    let again = Case {
        options: Options { mappings: Vec::new(), signals: Some(signals), ..case.options.clone() },
        ..case
    };
    near(&again.report(), "pack_voltage_v", 178.6);
    near(&again.report(), "pack_current_a", 12.5);

    let table = "Zeit;U [mV];I;T\n0;355200;12,5;77\n1;355100;13,0;77\n";
    let case = Case::new()
        .file("a", table)
        .map("pack_voltage=U [mV]")
        .map("pack_current=I*-1")
        .map("temperatures=T*0.5555555555555556-17.77777777777778");
    let first = case.report();
    near(&first, "pack_voltage_v", 355.1);
    let text = case.read().unwrap().configuration();
    let table: toml::Table = text.parse().unwrap();
    let columns: voltmesh_recording::table::Columns = table["source"]["columns"].clone().try_into().unwrap();
    let options = Options { mappings: Vec::new(), table: (&columns).into(), ..case.options.clone() };
    let again = Case { options, ..case }.report();
    assert_eq!(again.quantities, first.quantities, "{text}");
}

#[test]
fn tables_are_judged_by_the_battery() {
    let text = "t,u,i\n0,355250,-1\n1,355250,-1\n";
    let mut case = Case::new().file("a", text);
    assert_eq!(case.report().verdict, Verdict::Doubtful);
    case = Case::new().file("a", "t,u,i\n0,355.2,-1\n1,355.1,-1\n");
    assert_eq!(case.report().verdict, Verdict::Usable);
    case.options.battery.chemistry = Some(Chemistry::Lfp);
    case.options.battery.cells_in_series = Some(16);
    assert_eq!(case.report().verdict, Verdict::Doubtful);
}

const KONA: &str = include_str!("../vehicles/hyundai-kona-64kwh.toml");

/// Frames of an answer, as candump writes them, at a time in ms.
fn answer(ms: u32, id: u16, data: &[u8]) -> String {
    let message = [&[0x62][..], &id.to_be_bytes(), data].concat();
    let mut frames =
        vec![[&[0x10 | (message.len() >> 8) as u8, message.len() as u8][..], &message[..6]].concat()];
    for (number, part) in message[6..].chunks(7).enumerate() {
        let mut frame = [&[0x20 | ((number + 1) & 0xf) as u8][..], part].concat();
        frame.resize(8, 0xaa);
        frames.push(frame);
    }
    let line = |(number, frame): (usize, &Vec<u8>)| {
        let hex: String = frame.iter().map(|byte| format!("{byte:02X}")).collect();
        let ms = ms as usize + number;
        format!("({}.{:03}000) can0 7EC#{hex}\n", 1_700_000_000 + ms / 1000, ms % 1000)
    };
    frames.iter().enumerate().map(line).collect()
}

/// Answers of a vehicle with 98 cells: charge, relay, 12.5 A of discharge, 355.2 V, temperatures, insulation; and each cell.
fn answers(ms: u32) -> String {
    let mut pack = [0; 59];
    (pack[4], pack[9]) = (87, 1);
    pack[10..12].copy_from_slice(&125_i16.to_be_bytes());
    pack[12..14].copy_from_slice(&3552_u16.to_be_bytes());
    pack[16..20].copy_from_slice(&[21, 22, 0xff, 24]);
    pack[57..59].copy_from_slice(&1000_u16.to_be_bytes());
    let mut text = answer(ms, 0x101, &pack);
    for (number, id) in (0x102..=0x104).enumerate() {
        let mut cells = [181; 40];
        cells[4] = if number == 1 { 0xff } else { 180 };
        text += &answer(ms + 100 * (number as u32 + 1), id, &cells);
    }
    text + &answer(ms + 400, 0x105, &[181; 40])
}

#[test]
fn answers_of_control_units_are_read_by_their_definition() {
    let mut case = Case::new().file("a", (0..5).map(|second| answers(1000 * second)).collect::<String>());
    let definition = case.folder.path().join("kona.toml");
    std::fs::write(&definition, KONA).unwrap();
    case.options.diagnostics = Some(definition);
    let report = case.report();
    assert_eq!((report.samples, report.verdict), (5, Verdict::Usable), "{:?}", report.reasons);
    for (name, wanted) in
        [("soc_pct", 43.5), ("pack_voltage_v", 355.2), ("pack_current_a", -12.5), ("insulation_ohm", 1e6)]
    {
        near(&report, name, wanted);
    }
    let Values::Many(cells) = &report.quantities["cells_mv"].last else { panic!() };
    assert_eq!((cells.len(), cells[0], cells[31], cells[32]), (98, Some(3600.0), Some(3620.0), None));
    let temperatures = [Some(21.0), Some(22.0), Some(-1.0), Some(24.0)];
    assert_eq!(report.quantities["temperatures_c"].last, Values::Many(temperatures.to_vec()));
    assert!(report.quantities["cells_mv"].source.contains("7EC.0103"), "{report:?}");
    assert!(case.read().unwrap().configuration().contains("kona.toml"));

    // A frame of the first cells is missing: they are unknown, or what they were, and it is said.
    let text = (0..5).map(|second| answers(1000 * second)).collect::<String>();
    let cut: String =
        text.lines().enumerate().filter(|(at, _)| *at != 12).map(|(_, line)| format!("{line}\n")).collect();
    let case = Case { options: case.options.clone(), ..Case::new().file("a", cut) };
    let report = case.report();
    assert!(report.warnings.iter().any(|text| text.contains("missing frames")), "{:?}", report.warnings);
    assert_eq!(report.samples, 5);

    let both = Case { options: case.options.clone(), ..Case::new().file("a", log(0..3)) };
    let both = both.dbc(DBC).map("pack_voltage=PackVoltage").map("pack_current=PackCurrent");
    both.refused(&["pack_voltage", "both"]);
    let alone = Case { options: case.options.clone(), ..Case::new().file("a", log(0..3)) };
    alone.refused(&["no sample is usable", "7EC.0101"]);
}

fn shared(folder: &str) -> Option<PathBuf> {
    let path =
        PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../../shared").join(folder);
    if !path.exists() {
        println!("skipped: there is no ../shared/{folder}");
        return None;
    }
    Some(path)
}

#[test]
fn all_shared_logs_are_guessed_or_refused_by_name() {
    let Some(folder) = shared("data/can") else { return };
    for (log, dbc) in [
        ("bmw_i3_pack.trc.gz", "evcanlogs__BMW-i3-PT-CAN.dbc"),
        ("leaf_24kwh.log.gz", "leaf__EV-can_ZE0.dbc"),
        ("leaf_62kwh_battery_emulator.txt.gz", "leaf__EV-can_ZE1.dbc"),
        ("env200_ovms.crtd.gz", "leaf__EV-can_ZE0.dbc"),
        ("ipace_savvycan.csv.gz", "leaf__EV-can_ZE0.dbc"),
        ("taycan_charge.log.gz", "opendbc__vw_mlb.dbc"),
    ] {
        let options = Options { dbc: Some(folder.join("dbc").join(dbc)), ..Options::new(NOW_MS) };
        let read = || {
            let mut recording = Recording::open(&[folder.join("logs").join(log)], &options)?;
            while recording.next()?.is_some() {}
            Ok::<_, Error>(recording)
        };
        match read() {
            Err(error) => println!("{log}: {error}\n"),
            Ok(recording) => println!(
                "{log}: {}\n{}\n",
                serde_json::to_string(&recording.report()).unwrap(),
                recording.configuration()
            ),
        }
    }
}

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is in a file, reading it ends, without a panic, and every row is accounted for.
    #[test]
    fn any_bytes_are_read_or_refused(
        kind in 0usize..4,
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        lines in proptest::collection::vec("[-0-9.,;:#()a-fRx \t]{0,40}", 0..20),
    ) {
        let heads: [&[u8]; 4] = [
            b"(1700000000.0) can0 100#E00D83FF00000000\n",
            b"time_s,voltage_v,current_a\n0,3.7,1\n",
            b"base hex timestamps absolute\n",
            b"",
        ];
        let text = [heads[kind], lines.join("\n").as_bytes(), b"\n", &bytes].concat();
        let case =
            Case::new().file("a", text).dbc(DBC).map("pack_voltage=PackVoltage").map("pack_current=PackCurrent");
        for case in [Case { options: Options::new(NOW_MS), ..Case::new().file("a", std::fs::read(&case.files[0]).unwrap()) }, case] {
            if let Ok(recording) = case.read() {
                let report = recording.report();
                prop_assert_eq!(report.samples, report.segments.iter().map(|segment| segment.samples).sum::<u64>());
            }
        }
    }
}
