//! Dates and times of day in the spellings of tools and people.

use super::*;

#[track_caller]
fn check(text: &str, expected: Option<f64>) {
    let utc = date(text.as_bytes(), None)
        .map(|dated| dated.wall_ns as f64 / 1e9 - f64::from(dated.offset_s.unwrap_or(0)));
    assert_eq!(utc, expected, "{text}");
}

#[test]
fn dates() {
    check("2023-05-16 06:59:50.300000+00:00", Some(1_684_220_390.3));
    check("2023-05-16T08:59:50.3+02:00", Some(1_684_220_390.3));
    check("2023-05-16T06:59:50Z", Some(1_684_220_390.0));
    check("2023-05-16T06:59:50 UTC", Some(1_684_220_390.0));
    check("2023-05-16 08:59:50 UTC+2", Some(1_684_220_390.0));
    check("2023-05-16 08:59:50 GMT+02:00", Some(1_684_220_390.0));
    check("2023-05-16 08:59:50 +2", None);
    check("2023-05-16 08:59:50 CEST", None);
    check("20230516T06:59:50", Some(1_684_220_390.0));
    check("20230516T065950Z", Some(1_684_220_390.0));
    check("20230516T085950.5+0200", Some(1_684_220_390.5));
    check("20230516T0659", Some(1_684_220_340.0));
    check("20230516T06595", None);
    check("16.05.2023 06:59:50", Some(1_684_220_390.0));
    check("16.5.23 6:59:50", Some(1_684_220_390.0));
    check("05/16/2023 06:59:50", Some(1_684_220_390.0));
    check("16/05/2023 06:59:50", Some(1_684_220_390.0));
    check("5/16/2023 6:59:50 AM", Some(1_684_220_390.0));
    check("16-May-23 6:59:50 PM", Some(1_684_263_590.0));
    check("2023/05/16 06:59", Some(1_684_220_340.0));
    check("2023-05-16", Some(1_684_195_200.0));
    check("2023-02-30 00:00:00", None);
    check("2023-13-01", None);
    check("1684220390", None);
    check("355.2", None);
    check("06:59:50", None);
}

#[test]
fn dates_with_words() {
    check("Tue May 16 08:59:50 GMT+02:00 2023", Some(1_684_220_390.0));
    check("Tue May 16 06:59:50 UTC 2023", Some(1_684_220_390.0));
    check("Tue May 16 06:59:50 2023", Some(1_684_220_390.0));
    check("Tue May 16 08:59:50 CEST 2023", None);
    check("Tue May  6 06:59:50 2023", Some(1_683_356_390.0));
    check("Tue, 16 May 2023 06:59:50 GMT", Some(1_684_220_390.0));
    check("Tue, 16 May 2023 08:59:50 +0200", Some(1_684_220_390.0));
    check("May 16, 2023 06:59:50", Some(1_684_220_390.0));
    check("May 16, 2023 6:59:50 PM", Some(1_684_263_590.0));
    check("16-May-2023 06:59:50.300", Some(1_684_220_390.3));
    check("16. Mai 2023 06:59:50", Some(1_684_220_390.0));
    check("Di, 16. Mai 2023 06:59:50", Some(1_684_220_390.0));
    check("16 mai 2023 06:59:50", Some(1_684_220_390.0));
    check("3. März 2023", Some(1_677_801_600.0));
    check("3 févr. 2023", Some(1_675_382_400.0));
    check("3-Dez-2023", Some(1_701_561_600.0));
    check("16/05/2023 6:59:50 a.m.", Some(1_684_220_390.0));
    check("20230516_065950", Some(1_684_220_390.0));
    check("May", None);
    check("May 16", None);
    check("Monitor 5", None);
    check("Sun 5", None);
}

#[test]
fn times_of_day() {
    for (text, expected) in [
        ("00:00:01.500", Some(1.5)),
        ("25:00:00", Some(90_000.0)),
        ("1d 02:03:04", Some(93_784.0)),
        ("0d 00:00:30.00", Some(30.0)),
        ("2 00:00:00", Some(172_800.0)),
        ("6:05", Some(21_900.0)),
        ("-00:00:01", Some(-1.0)),
        ("1-02:03:04", Some(93_784.0)),
        ("1.02:03:04.5", Some(93_784.5)),
        ("00:05.500", Some(5.5)),
        ("75:05.5", Some(4505.5)),
        ("12", None),
        ("1.5", None),
        ("2023-05-16", None),
        ("2023-05-16 06:59:50", None),
    ] {
        assert_eq!(time_of_day(text.as_bytes()).map(|ns| ns as f64 / 1e9), expected, "{text}");
    }
}

#[test]
fn formats() {
    let read = |text: &str, format| by_format(text.as_bytes(), format).map(|d| d.wall_ns / SECOND_NS);
    assert_eq!(read("3/4/2024 01:02:03", "%d/%m/%Y %H:%M:%S"), Some(1_712_106_123));
    assert_eq!(read("3/4/2024 01:02:03", "%m/%d/%Y %H:%M:%S"), Some(1_709_514_123));
    assert_eq!(read("x", "%Y"), None);
}
