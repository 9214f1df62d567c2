//! Times of a clock on the wall, which state no offset from UTC.

use crate::Error;
use chrono::{DateTime, MappedLocalTime, TimeZone};
use chrono_tz::Tz;

/// The zone of an IANA name; `place` is the file or key that it is stated for.
pub(crate) fn zone(name: &str, place: &str) -> Result<Tz, Error> {
    let problem = |_| format!("time_zone {name:?} is no IANA zone (such as Europe/Berlin)");
    name.parse().map_err(problem).map_err(|problem| Error::mapping(place, problem))
}

/// Unix time of a clock on the wall of a zone, both in ns. In the hour that comes twice, it is the later one once the
/// earlier one is before `after`. `None` in the hour that is left out.
pub(crate) fn unix(zone: Tz, wall_ns: i64, after: i64) -> Option<i64> {
    let wall = DateTime::from_timestamp_nanos(wall_ns).naive_utc();
    let ns = |at: DateTime<Tz>| at.timestamp_nanos_opt();
    match zone.from_local_datetime(&wall) {
        MappedLocalTime::Single(at) => ns(at),
        MappedLocalTime::Ambiguous(earlier, later) => {
            let (earlier, later) = (ns(earlier)?, ns(later)?);
            Some(if earlier < after { later } else { earlier })
        }
        MappedLocalTime::None => None,
    }
}
