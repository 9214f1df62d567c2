use crate::commands::Setpoints;
use crate::config::Config;
use crate::sources::*;
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use voltmesh_telemetry::{Charger, Contactor, Millivolts16, Sample, Unknown};

fn all(source: &mut dyn Source) -> Vec<Sampled> {
    std::iter::from_fn(|| source.next().unwrap()).collect()
}

/// Stopped after any sample and opened again at its place, a source goes on with the very next one.
#[track_caller]
fn resumes(open: impl Fn(Cursor) -> Box<dyn Source>, whole: &[Sampled]) {
    for at in [0, 1, whole.len() / 2, whole.len() - 2] {
        let mut rest = open(whole[at].cursor);
        let next: Vec<Sampled> = (0..50).map_while(|_| rest.next().unwrap()).collect();
        let expected = &whole[at + 1..whole.len().min(at + 51)];
        assert_eq!(next, expected, "after sample {at}");
    }
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn simulation_is_plausible_deterministic_and_resumes() {
    let config = SimConfig { samples: 3000, seed: 7, ..SimConfig::new(Cycle::WltcClass3b) };
    let open = |cursor| Box::new(Sim::open(config.clone(), cursor, 1_000_000).unwrap()) as Box<dyn Source>;
    let whole = all(&mut *open(Cursor::default()));
    assert_eq!(whole.len(), 3000);
    for (i, sampled) in whole.iter().enumerate() {
        let sample = &sampled.sample;
        sample.check().unwrap();
        assert_eq!(sample.time.as_millis(), 1_000_000 + 1000 * i as u64);
        assert_eq!((sample.cells.len(), sample.temperatures.len()), (96, 8));
        assert!(sample.cells.iter().all(|c| (2800..4250).contains(&c.get())), "{:?}", sample.cells);
        let sum: u32 = sample.cells.iter().map(|c| u32::from(c.get())).sum();
        assert!(sum.abs_diff(sample.pack_voltage.get()) <= 96, "the pack is the sum of its cells");
        assert!(sample.pack_current.get().abs() < 400_000);
        assert_eq!(sample.contactor, Contactor::Closed);
    }
    let soc = |i: usize| whole[i].sample.soc.get();
    assert!((7900..=8000).contains(&soc(0)) && soc(2999) < soc(0) - 1000, "{} {}", soc(0), soc(2999));
    assert!(whole.iter().any(|s| s.sample.pack_current.get() > 10_000), "it recuperates");
    let spread =
        whole[0].sample.cells.iter().max().unwrap().get() - whole[0].sample.cells.iter().min().unwrap().get();
    assert!((1..40).contains(&spread), "{spread} mV");
    resumes(open, &whole);
}

#[test]
fn simulation_charges_when_empty() {
    let config = SimConfig { soc: 16.0, samples: 6000, ..SimConfig::new(Cycle::Hwfet) };
    let samples = all(&mut Sim::open(config, Cursor::default(), 0).unwrap());
    let charging = |s: &&Sampled| s.sample.charger == Charger::Charging;
    let first = samples.iter().find(charging).expect("it charges");
    assert!(first.sample.pack_current.get() > 50_000, "{:?}", first.sample.pack_current);
    assert!(samples.last().unwrap().sample.soc.get() > 2000);
}

/// A pack that is told so takes and gives less, stops, and is conditioned; told nothing, it is the very same pack.
#[test]
fn a_driven_pack_obeys() {
    let run = |config: SimConfig, told: &dyn Fn(usize) -> Setpoints| {
        let mut source = Sim::open(config, Cursor::default(), 0).unwrap();
        (0..1_500)
            .map(|step| {
                source.obey(&told(step));
                source.next().unwrap().expect("it has no end").sample
            })
            .collect::<Vec<_>>()
    };
    let amperes = |samples: &[Sample]| {
        let all = samples.iter().map(|sample| sample.pack_current.get());
        (all.clone().min().unwrap(), all.max().unwrap())
    };
    let config = || SimConfig::new(Cycle::WltcClass3b);
    let free = run(config(), &|_| Setpoints::default());
    let untold: Vec<_> =
        all(&mut Sim::open(SimConfig { samples: 1_500, ..config() }, Cursor::default(), 0).unwrap());
    assert!(free.iter().zip(&untold).all(|(sample, untold)| *sample == untold.sample));
    let limits = Setpoints { charge_ma: Some(8_000), discharge_ma: Some(15_000), ..Setpoints::default() };
    let (least, most) = amperes(&run(config(), &|_| limits.clone()));
    assert!(amperes(&free).0 < -15_000 && amperes(&free).1 > 8_000);
    assert_eq!((least, most), (-15_000, 8_000));

    // Charging ends while it is told so, and goes on after.
    let low = || SimConfig { soc: 15.0, ..config() };
    let stop = |step: usize| Setpoints { stop_charging: (600..900).contains(&step), ..Setpoints::default() };
    let samples = run(low(), &stop);
    let began = samples.iter().position(|sample| sample.charger == Charger::Charging).expect("it charges");
    assert!(began < 600);
    assert!(samples[600..900].iter().all(|s| s.charger == Charger::Plugged && s.pack_current.get() <= 0));
    assert!(
        samples[900..1_000].iter().all(|s| s.charger == Charger::Charging && s.pack_current.get() > 50_000)
    );

    let cold = || SimConfig { ambient: -10.0, ..config() };
    let warm = |_| Setpoints { target_centidegrees: Some(2_000), ..Setpoints::default() };
    let mean = |sample: &Sample| {
        sample.temperatures.iter().map(|temp| temp.get()).sum::<i16>() / sample.temperatures.len() as i16
    };
    let (alone, heated) = (run(cold(), &|_| Setpoints::default()), run(cold(), &warm));
    assert!(
        mean(&alone[1_499]) < 0 && mean(&heated[1_499]) > 500,
        "{} {}",
        mean(&alone[1_499]),
        mean(&heated[1_499])
    );
    assert!(heated[1_499].soc < alone[1_499].soc, "the pack gives the heat");

    // Ten times as often from step 100 on, then as before.
    let often = |step: usize| Setpoints {
        samples_per_1000_s: (100..200).contains(&step).then_some(10_000),
        ..Setpoints::default()
    };
    let times: Vec<_> = run(config(), &often).iter().map(|sample| sample.time.as_millis()).collect();
    assert_eq!(
        (times[99], times[100], times[101], times[200], times[201]),
        (99_000, 100_000, 100_100, 110_000, 111_000)
    );
}

#[test]
fn schedules_are_complete() {
    let check = |cycle: Cycle, seconds: usize, kilometres: f64, fastest: f64| {
        let speeds = cycle.speeds();
        assert_eq!(speeds.len(), seconds);
        assert_eq!((speeds[0], *speeds.last().unwrap()), (0.0, 0.0));
        let km = speeds.iter().sum::<f64>() / 1000.0;
        assert!((km - kilometres).abs() < 0.05, "{cycle:?} {km}");
        let most = speeds.iter().fold(0.0f64, |a, b| a.max(*b)) * 3.6;
        assert!((most - fastest).abs() < 0.3, "{cycle:?} {most}");
    };
    check(Cycle::Udds, 1370, 11.99, 91.2);
    check(Cycle::Hwfet, 766, 16.51, 96.4);
    check(Cycle::WltcClass3a, 1801, 23.19, 131.3);
    check(Cycle::WltcClass3b, 1801, 23.27, 131.3);
}

const BDF: &str = "Test Time / s,Voltage / V,Current / A,Surface Temperature T1 / degC\n\
    0,3.700,-1.5,25\n0.5,3.695,-1.5,25.1\nbroken,,,\n1,3.690,nan,25.1\n1.5,3.685,-1.4,\n2,3.680,0.25,25.3\n";

#[test]
fn battery_data_format_needs_no_mapping() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "cell.csv", BDF);
    let config = ReplayConfig { start_ms: Some(5_000), ..ReplayConfig::new(vec![file]) };
    let open = |cursor| Box::new(Recorded::tables(config.clone(), cursor, 0).unwrap()) as Box<dyn Source>;
    let mut source = open(Cursor::default());
    let whole = all(&mut *source);
    assert_eq!(source.skipped(), 1, "rows without a number are counted");
    assert_eq!(whole.len(), 5);
    let last = &whole[4].sample;
    assert_eq!(last.time.as_millis(), 7_000);
    assert_eq!((last.pack_voltage.get(), last.pack_current.get()), (3680, 250));
    assert_eq!(last.cells, vec![Millivolts16::new(3680)]);
    assert_eq!(whole[2].sample.pack_current.cause(), Some(Unknown::NotAvailable));
    assert_eq!(whole[3].sample.temperatures[0].cause(), Some(Unknown::NotSent), "an empty cell is unknown");
    resumes(open, &whole);
}

#[test]
fn a_cell_becomes_a_declared_pack() {
    let folder = tempfile::tempdir().unwrap();
    let pack = PackLayout { series: 12, parallel: 3, spread_mv: 5, seed: 4 };
    let config = ReplayConfig { pack, ..ReplayConfig::new(vec![write(folder.path(), "cell.csv", BDF)]) };
    let first = Recorded::tables(config, Cursor::default(), 0).unwrap().next().unwrap().unwrap().sample;
    assert_eq!(first.cells.len(), 12);
    assert!(first.cells.iter().all(|c| c.get().abs_diff(3700) <= 5));
    assert!(first.cells.iter().any(|c| *c != first.cells[0]));
    assert_eq!(first.pack_current.get(), -4500);
    assert!(first.pack_voltage.get().abs_diff(12 * 3700) <= 60);
}

#[test]
fn any_table_with_a_mapping() {
    let folder = tempfile::tempdir().unwrap();
    // Latin-1: the degree sign is one byte that is no UTF-8.
    let path = folder.path().join("t.csv");
    std::fs::write(
        &path,
        b"ms;u;i;T [\xb0C];c1;c2;soc\n0;7400;2.5;300.15;3.6;3.8;0.5\n250;7410;-2.5;300.25;3.61;3.8;0.51\n",
    )
    .unwrap();
    let text = r#"
        data = "d"
        credentials = "c"
        crl = "c"
        trust = "t"
        opening = "o"
        secret = "s"
        fogs = ["f:1"]
        [source]
        kind = "replay"
        files = ["t.csv"]
        start_ms = 100
        repeat = 2
        [source.columns]
        separator = ";"
        time = "ms"
        voltage = "u"
        current = "i"
        cells = ["c1", "c2"]
        temperatures = ["T [°C]"]
        soc = "soc"
        current_sign = "discharge_positive"
        units = { time = 0.001, voltage = 0.001, temperature_offset = -273.15, soc = 100.0 }
    "#;
    let config = Config::parse(text, folder.path()).unwrap();
    let samples = all(&mut *config.source.open(Cursor::default(), 0).unwrap());
    assert_eq!(samples.len(), 4, "two rows, twice");
    let sample = &samples[0].sample;
    assert_eq!((sample.pack_voltage.get(), sample.pack_current.get()), (7400, -2500));
    assert_eq!((sample.temperatures[0].get(), sample.soc.get()), (2700, 5000));
    assert_eq!(sample.cells, vec![Millivolts16::new(3600), Millivolts16::new(3800)]);
    let times: Vec<u64> = samples.iter().map(|s| s.sample.time.as_millis()).collect();
    assert_eq!(times, vec![100, 350, 1350, 1600], "the second pass follows the first");

    let config = Config::parse(&text.replace("\"u\"", "\"volt\""), folder.path()).unwrap();
    let error = config.source.open(Cursor::default(), 0).unwrap().next().unwrap_err().to_string();
    assert!(error.contains("no column \"volt\"") && error.contains("ms, u, i"), "{error}");
}

#[test]
fn a_lower_rate_leaves_rows_between_out() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..100).map(|i| format!("{},3.7,1.0\n", f64::from(i) / 10.0)).collect();
    let file = write(folder.path(), "c.csv", &format!("time_s,voltage_v,current_a\n{rows}"));
    let mut config = ReplayConfig { rate_hz: Some(1.0), start_ms: Some(0), ..ReplayConfig::new(vec![file]) };
    config.columns = Some(Columns {
        time: Some("time_s".into()),
        voltage: Some("voltage_v".into()),
        current: Some("current_a".into()),
        ..Columns::default()
    });
    let open = |cursor| Box::new(Recorded::tables(config.clone(), cursor, 0).unwrap()) as Box<dyn Source>;
    let whole = all(&mut *open(Cursor::default()));
    let times: Vec<u64> = whole.iter().map(|s| s.sample.time.as_millis()).collect();
    assert_eq!(times, (0..10).map(|i| i * 1000).collect::<Vec<_>>());
    resumes(open, &whole);
}

const DBC: &str = r#"VERSION ""

NS_ :

BS_:

BU_: BMS

BO_ 256 Pack: 8 BMS
 SG_ PackVoltage : 0|16@1+ (0.1,0) [0|1000] "V" Vector__XXX
 SG_ PackCurrent : 23|16@0- (0.1,0) [-1000|1000] "A" Vector__XXX
 SG_ SoC : 32|8@1+ (0.5,0) [0|100] "%" Vector__XXX
 SG_ Closed : 40|1@1+ (1,0) [0|1] "" Vector__XXX

BO_ 2566848512 Cells: 8 BMS
 SG_ Mux M : 0|8@1+ (1,0) [0|3] "" Vector__XXX
 SG_ Cell01 m0 : 8|16@1+ (0.001,0) [0|5] "V" Vector__XXX
 SG_ Cell02 m0 : 24|16@1+ (0.001,0) [0|5] "V" Vector__XXX
 SG_ Cell03 m1 : 8|16@1+ (0.001,0) [0|5] "V" Vector__XXX
"#;

const LOG: &str = "(1700000000.000000) can0 100#A00FFF9CC8010000\n\
    not a line\n\
    (1700000000.010000) can0 18FF0000#00740E750E000000\n\
    (1700000000.020000) can1 100#0000000000000000\n\
    (1700000000.030000) can0 18FF0000#01760E0000000000\n\
    (1700000001.000000) can0 100#A10F0064C8000000\n\
    (1700000001.500000) can0 100#A10F0064C8000000\n\
    (1700000002.000000) can0 100#A20F0064C7000000\n";

#[test]
fn candump_with_a_dbc() {
    let folder = tempfile::tempdir().unwrap();
    let signals = toml::from_str(
        "voltage = 'PackVoltage'\ncurrent = 'PackCurrent'\ncells = ['Cell{:02}']\ncell_count = 3\nsoc = 'SoC'\n\
         contactor = 'Closed'",
    )
    .unwrap();
    let config = CandumpConfig {
        files: vec![write(folder.path(), "drive.log", LOG)],
        dbc: Some(write(folder.path(), "bms.dbc", DBC)),
        diagnostics: None,
        signals,
        interface: Some("can0".into()),
        period_ms: 1000,
        start_ms: None,
        time_zone: None,
        time_format: None,
    };
    let open = |cursor| {
        Box::new(Recorded::logs(config.clone(), cursor, 1_790_000_000_000).unwrap()) as Box<dyn Source>
    };
    let mut source = open(Cursor::default());
    let whole = all(&mut *source);
    assert_eq!(source.skipped(), 1);
    assert_eq!(whole.len(), 3, "one for each second");
    let sample = &whole[1].sample;
    assert_eq!(sample.time.as_millis(), 1_700_000_001_500, "the last wanted frame of the second");
    assert_eq!(sample.pack_voltage.get(), 400_100);
    assert_eq!(sample.pack_current.get(), 10_000);
    assert_eq!(sample.cells.iter().map(|c| c.get()).collect::<Vec<_>>(), vec![3700, 3701, 3702]);
    assert_eq!((sample.soc.get(), sample.contactor), (10_000, Contactor::Open));
    let mut rest = open(whole[0].cursor);
    assert_eq!(rest.next().unwrap().as_ref(), Some(&whole[1]), "values before the place are known after it");
    assert!(source.said().iter().any(|line| line.contains("3 samples")), "{:?}", source.said());
}

/// What cannot be a sample of the present format is counted by reason, and a recording without any is refused.
#[test]
fn unknown_values_are_never_made_up() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str, text: &str, repeat: u64| {
        let config = ReplayConfig { repeat, ..ReplayConfig::new(vec![write(folder.path(), name, text)]) };
        Recorded::tables(config, Cursor::default(), 1_790_000_000_000).unwrap()
    };
    let mut dead = open("a", "t,u,i,cell_1,cell_2\n0,7.4,1,3.7,\n1,7.4,1,3.7,3.7\n", 1);
    let cells =
        |sampled: &Sampled| sampled.sample.cells.iter().map(|cell| cell.reading()).collect::<Vec<_>>();
    assert_eq!(
        all(&mut dead).iter().map(cells).collect::<Vec<_>>(),
        [vec![Ok(3700), Err(Unknown::NotSent)], vec![Ok(3700), Ok(3700)]]
    );
    let mut none = open("b", "t,u,i\n0,,\n1,,\n", 0);
    let error = none.next().unwrap_err();
    assert!(error.is_of_source() && error.to_string().contains("no row"), "{error}");
    assert!(!matches!(none.next(), Ok(Some(_))), "it does not begin again");
    let mut warm = open("c", "t,u,i,T1,T2\n0,370,1,20,21\n1,370,1,,21\n100,370,1,,21\n101,370,1,,21\n", 1);
    let first: Vec<_> = all(&mut warm).iter().map(|s| s.sample.temperatures[0].reading()).collect();
    let none = Err(Unknown::NotSent);
    assert_eq!(
        first,
        [Ok(2000), none, none, none],
        "a silent sensor is unknown, and no other takes its place"
    );
}

/// A recording that states dates keeps them; one that does not begins where it is told.
#[test]
fn dates_are_those_of_the_recording() {
    let folder = tempfile::tempdir().unwrap();
    let first = |text: &str| {
        let config = ReplayConfig {
            start_ms: Some(1_700_000_000_000),
            ..ReplayConfig::new(vec![write(folder.path(), "a.csv", text)])
        };
        let mut source = Recorded::tables(config, Cursor::default(), 1_790_000_000_000).unwrap();
        source.next().unwrap().unwrap().sample.time.as_millis()
    };
    assert_eq!(first("ts,u,i\n1684220390,355,1\n1684220391,355,1\n"), 1_684_220_390_000);
    assert_eq!(
        first("ts,u,i\n2023-05-16 06:59:50.3Z,355,1\n2023-05-16 06:59:51.3Z,355,1\n"),
        1_684_220_390_300
    );
    assert_eq!(first("t,u,i\n0,355,1\n1,355,1\n"), 1_700_000_000_000);
}

#[test]
fn pacing() {
    let start = Instant::now();
    let mut pacer = Pacer::new(Pace::Times(10.0));
    assert_eq!(pacer.wait(start, 5_000), Duration::ZERO);
    assert_eq!(pacer.wait(start, 6_000), Duration::from_millis(100));
    assert_eq!(pacer.wait(start + Duration::from_millis(60), 6_000), Duration::from_millis(40));
    assert_eq!(pacer.wait(start, 3_600_000), Duration::from_secs(1), "a long gap is cut");
    assert_eq!(Pacer::new(Pace::Unlimited).wait(start, 9), Duration::ZERO);
}

/// Real recordings, where they are at hand.
#[test]
fn real_recordings() {
    let data = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo runs the tests"))
        .join("../../../shared/data/battery");
    if !data.is_dir() {
        println!("skipped: ../shared/data/battery is absent");
        return;
    }
    let open = |file: &str, cursor| {
        let config = ReplayConfig { start_ms: Some(0), ..ReplayConfig::new(vec![data.join(file)]) };
        Box::new(Recorded::tables(config, cursor, 0).unwrap()) as Box<dyn Source>
    };
    let trip = "bmw_i3_trips/TripA02.csv.gz";
    let whole = all(&mut *open(trip, Cursor::default()));
    assert!(whole.len() > 14_000, "{}", whole.len());
    let first = &whole[0].sample;
    assert_eq!((first.pack_voltage.get(), first.pack_current.get()), (381_800, -37_600));
    assert_eq!((first.soc.get(), first.temperatures.len()), (8030, 2));
    assert!(first.cells.is_empty(), "the trip tells no cell");
    resumes(|cursor| open(trip, cursor), &whole);

    let mut cycle = open("panasonic_18650pf/cycles_1hz/-20degC__US06.csv.gz", Cursor::default());
    let samples = all(&mut *cycle);
    assert!(samples.len() > 1000, "{}", samples.len());
    assert!(samples.iter().all(|s| s.sample.cells.len() == 1));
    assert!(samples.iter().any(|s| s.sample.pack_current.get() < -3000), "discharge is negative");
}

proptest! {
    /// Whatever is in a table, reading it neither panics nor ends in a sample that is not valid.
    #[test]
    fn any_bytes_are_a_table(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        std::fs::write(&path, [b"time_s,voltage_v,current_a\n".as_slice(), &bytes].concat()).unwrap();
        let config = ReplayConfig { columns: Some(Columns {
            time: Some("time_s".into()),
            voltage: Some("voltage_v".into()),
            current: Some("current_a".into()),
            ..Columns::default()
        }), ..ReplayConfig::new(vec![path]) };
        let mut source = Recorded::tables(config, Cursor::default(), 0).unwrap();
        while let Ok(Some(sampled)) = source.next() {
            prop_assert!(sampled.sample.check().is_ok() || sampled.sample.time > voltmesh_telemetry::Timestamp::MAX);
        }
    }
}
