use super::super::cell::Kept;
use super::super::header::Name;
use super::super::options::Options;
use super::*;

fn column(title: &str, cells: &[&str], options: &Options) -> Result<(Vec<Option<Stamp>>, Remarks), String> {
    let name = Name::parse(title);
    let kept: Vec<Kept> = cells.iter().map(|cell| Kept::Text(cell.as_bytes().into())).collect();
    let given = Given {
        name: &name,
        mapping: options.mappings.first(),
        options,
        cells: kept.iter().collect(),
        decimal: Decimal::Point,
        grouped: false,
        is_1904: false,
        ahead_s: None,
        is_beside_dates: false,
        place: "a",
    };
    let mut remarks = Remarks::default();
    let mut column = TimeColumn::find(&given, &mut remarks).map_err(|error| error.to_string())?;
    Ok((kept.iter().map(|cell| column.read(cell.as_cell())).collect(), remarks))
}

#[track_caller]
fn check(title: &str, cells: &[&str], expected: &[Option<Stamp>]) {
    assert_eq!(column(title, cells, &Options::default()).expect("times").0, expected, "{title}");
}

fn unix(seconds: f64) -> Option<Stamp> {
    Some(Stamp::Unix((seconds * 10.0).round() as i64 * 100_000_000))
}

fn relative(seconds: f64) -> Option<Stamp> {
    Some(Stamp::Relative((seconds * 1e6).round() as i64 * 1000))
}

#[test]
fn kinds() {
    check("time_s", &["0", "0.1", "x", "-3"], &[relative(0.0), relative(0.1), None, relative(-3.0)]);
    check("time_ms", &["0", "1000"], &[relative(0.0), relative(1.0)]);
    check("~Time[h]", &["0", "0.5"], &[relative(0.0), relative(1800.0)]);
    check("ts", &["1684220390", "1684220391"], &[unix(1_684_220_390.0), unix(1_684_220_391.0)]);
    check("ts", &["1684220390300"], &[unix(1_684_220_390.3)]);
    check("ts", &["1684220390300000"], &[unix(1_684_220_390.3)]);
    check("test_time_second", &["0", "1334177673.9"], &[relative(0.0), relative(1_334_177_673.9)]);
    check("Time", &["00:00:01.5", "25:00:00"], &[relative(1.5), relative(90_000.0)]);
    check("Time", &["23:59:59", "00:00:01"], &[relative(86_399.0), relative(86_401.0)]);
    check("Date", &["16.05.2023 06:59:50"], &[unix(1_684_220_390.0)]);
    check(
        "Date",
        &["5/16/2023 06:59:50", "5/2/2023 06:59:50"],
        &[unix(1_684_220_390.0), unix(1_683_010_790.0)],
    );
    check("Date", &["45062.25"], &[unix(1_684_216_800.0)]);
    check("Datum", &["739022.25"], &[unix(1_684_216_800.0)]);
    check("time (days)", &["2460080.75"], &[unix(1_684_216_800.0)]);
    check("t", &["2.816725E+005"], &[relative(281_672.5)]);
}

#[test]
fn days_are_not_taken_for_seconds() {
    for (name, cells) in [
        ("excel", ["45062.25", "45062.250011574", "45062.250023148"]),
        ("matlab", ["739022.25", "739022.250011574", "739022.250023148"]),
        ("julian", ["2460080.75", "2460080.750011574", "2460080.750023148"]),
    ] {
        let error = column("Timestamp", &cells, &Options::default()).err().expect("refused");
        assert!(error.contains(name) && error.contains("time_format"), "{error}");
        let stated = Options { time_format: Some(name.into()), ..Options::default() };
        let times = [1_684_216_800.0, 1_684_216_801.0, 1_684_216_802.0].map(unix);
        assert_eq!(column("Timestamp", &cells, &stated).expect(name).0, times, "{name}");
    }
    check("time", &["45062", "45063"], &[relative(45_062.0), relative(45_063.0)]);
    let error = column("Timestamp", &["45062", "45063"], &Options::default()).err().expect("refused");
    assert!(error.contains("excel") && error.contains("time_format"), "{error}");
    let of_1904 = Options { time_format: Some("excel1904".into()), ..Options::default() };
    let (times, _) = column("Date", &["43600.25"], &of_1904).expect("dates");
    assert_eq!(times, [unix(1_684_216_800.0)]);
}

#[test]
fn days_without_times_are_no_clock() {
    for cells in [["2023-05-16", "2023-05-16"], ["05/16/2023", "05/16/2023"], ["45062", "45062"]] {
        let error = column("Date", &cells, &Options::default()).err().expect("refused");
        assert!(error.contains("without a time of day") && error.contains("map"), "{error}");
    }
    check("Date", &["2023-05-16", "2023-05-17"], &[unix(1_684_195_200.0), unix(1_684_281_600.0)]);
    check(
        "Timestamp",
        &["20230516065950", "20230516065951"],
        &[unix(1_684_220_390.0), unix(1_684_220_391.0)],
    );
}

#[test]
fn what_is_ambiguous_is_refused() {
    let refused =
        |title: &str, cells: &[&str]| column(title, cells, &Options::default()).err().expect("refused");
    assert!(refused("Date", &["3/4/2024 00:00:00"]).contains("time_format"));
    assert!(refused("t", &["0", "1000", "2000"]).contains("milliseconds"));
    assert!(refused("t", &["9", "8", "7", "6", "5"]).contains("backwards"));
    assert!(refused("t", &["x"]).contains("time_format"));
    let (_, remarks) = column("time_s", &["0", "1000", "2000"], &Options::default()).expect("stated");
    assert_eq!(remarks.doubts.len(), 1);
}

#[test]
fn stated_formats_and_zones() {
    let berlin = Options { time_zone: Some("Europe/Berlin".into()), ..Options::default() };
    let times = |cells: &[&str], options: &Options| column("Date", cells, options).expect("times").0;
    assert_eq!(times(&["2023-05-16 08:59:50"], &berlin), [unix(1_684_220_390.0)]);
    // The hour that comes twice on 2023-10-29, and the one on 2023-03-26 that does not exist.
    let twice = ["2023-10-29 02:30:00", "2023-10-29 02:59:59", "2023-10-29 02:00:00"];
    assert_eq!(times(&twice, &berlin), [unix(1_698_539_400.0), unix(1_698_541_199.0), unix(1_698_541_200.0)]);
    assert_eq!(times(&["2023-03-26 01:00:00", "2023-03-26 02:30:00"], &berlin)[1], None);
    let format = Options { time_format: Some("%d/%m/%Y %H:%M:%S".into()), ..Options::default() };
    assert_eq!(times(&["03/04/2024 01:02:03"], &format), [unix(1_712_106_123.0)]);
    let ms = Options { time_format: Some("ms".into()), ..Options::default() };
    assert_eq!(times(&["1000", "2000"], &ms), [relative(1.0), relative(2.0)]);
    let (said, remarks) =
        column("ts", &["1684220390"], &Options::from(vec!["time=ts*0.001".parse().expect("it")]))
            .expect("times");
    assert_eq!((said, remarks.warnings.len()), (vec![unix(1_684_220_390.0)], 1));
}
