//! Seconds of GPS, which count from 1980 and leave out no leap second.

/// 1980-01-06, from which GPS counts, as a Unix time in s.
const BEGIN_S: i64 = 315_964_800;
/// Leap seconds since then (IERS Bulletin C): Unix time from which they count, and their number.
const LEAP_SECONDS: [(i64, i64); 5] =
    [(1_483_228_800, 18), (1_435_708_800, 17), (1_341_100_800, 16), (1_230_768_000, 15), (1_136_073_600, 14)];
/// Leap seconds before the first of them.
const EARLIER: i64 = 13;
const SECOND_NS: i64 = 1_000_000_000;

/// Days from 1970-01-01 to 1980-01-06: a time of GPS that is read as a Unix time is so many days early.
pub(crate) const EARLY_DAYS: i64 = BEGIN_S / 86_400;

/// What is added to a time of GPS, in s, for the Unix time of the same moment.
pub(crate) fn ahead_s(gps_s: f64) -> i64 {
    let unix_s = gps_s + BEGIN_S as f64;
    let leap = LEAP_SECONDS.iter().find(|(since, leap)| unix_s - *leap as f64 >= *since as f64);
    BEGIN_S - leap.map_or(EARLIER, |(_, leap)| *leap)
}

/// The Unix time of a time of GPS, both in ns; `None` beyond their range.
pub(crate) fn unix_ns(gps_ns: i64) -> Option<i64> {
    gps_ns.checked_add(ahead_s(gps_ns as f64 / SECOND_NS as f64) * SECOND_NS)
}
