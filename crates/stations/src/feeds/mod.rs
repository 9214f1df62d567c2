//! What networks publish live: Belib's rows, IRVE dynamic tables, OCPI 2.2.1 locations.
//!
//! All become [`Reading`]s. A reading whose own time is too old is one of a charger that nobody hears any more:
//! [`Reading::status_at`] calls it unknown.

mod belib;
mod irve;
mod ocpi;

pub use belib::read_belib;
pub use irve::read_irve;
pub use ocpi::read_ocpi;

use time::OffsetDateTime;
use time::macros::format_description;

use crate::history::parse_time;
use crate::place::Place;

/// Largest feed that is read, in bytes: France's whole IRVE dynamic table has about 20 MB.
pub const MAX_FEED_BYTES: usize = 128 * 1024 * 1024;

/// What one EVSE's status is said to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The EVSE (eMI3 EVSE id where there is one).
    pub evse: String,
    /// The status in the feed's words.
    pub status: String,
    /// When the charger said so, in seconds since 1970; `None` if the feed does not say.
    pub at: Option<i64>,
    /// What the feed says about the place besides.
    pub place: Place,
}

impl Reading {
    /// The status to believe at `now` (seconds since 1970): `None`, which is unknown, if it was said more than `max_age_s`
    /// ago, or not before tomorrow.
    pub fn status_at(&self, now: i64, max_age_s: i64) -> Option<&str> {
        /// Clocks of chargers are off by time zones, but not by more than a day.
        const AHEAD_S: i64 = 86_400;
        let fresh = self.at.is_none_or(|at| (-AHEAD_S..=max_age_s).contains(&now.saturating_sub(at)));
        fresh.then_some(&*self.status)
    }
}

/// RFC 3339, or with an offset without colon (`+0000`, as the IRVE examples have).
fn time_of(text: &str) -> Option<i64> {
    if let Some((at, _)) = parse_time(text) {
        return Some(at);
    }
    let format = format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second][offset_hour sign:mandatory][offset_minute]"
    );
    OffsetDateTime::parse(text, format).ok().map(OffsetDateTime::unix_timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_readings_are_unknown() {
        let check = |at: Option<i64>, expected: Option<&str>| {
            let reading = Reading { evse: "a".into(), status: "libre".into(), at, place: Place::default() };
            assert_eq!(reading.status_at(1_000_000, 3600), expected, "{at:?}");
        };
        check(None, Some("libre"));
        check(Some(999_000), Some("libre"));
        check(Some(1_000_060), Some("libre"));
        check(Some(900_000), None);
        check(Some(2_000_000), None);
        check(Some(i64::MIN), None);
    }

    #[test]
    fn offsets_may_lack_their_colon() {
        assert_eq!(time_of("2022-10-18T12:35:49+0000"), time_of("2022-10-18T14:35:49+02:00"));
        assert_eq!(time_of("yesterday"), None);
    }
}
