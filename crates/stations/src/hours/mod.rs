//! Opening hours, and prices by the time of day: times that come again each week in a station's local time.
//!
//! **Not here:** public holidays, seasons of the year, sunrise: texts with these are not understood, or their days are left out.

mod stated;
mod text;
mod zone;

use serde::{Deserialize, Serialize};

pub use stated::StatedTimes;
pub(crate) use stated::{Period, PriceRules, Restriction, StatedHours};
pub(crate) use text::{in_columns, minute_of_day, read, weekday};
pub use zone::Zone;

/// Minutes of a day.
const DAY_MIN: u16 = 24 * 60;

/// Minutes of a week.
const WEEK_MIN: u16 = 7 * DAY_MIN;

/// Longest time within which a closing is looked for, in seconds: a day and a half of charging.
const AHEAD_S: i64 = 36 * 3600;

/// Times of a week.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Week {
    /// Begins and ends, the latter excluded, in minutes since Monday 0:00; an end past Sunday goes on on Monday.
    spans: Vec<(u16, u16)>,
}

impl Week {
    /// All of it.
    pub(crate) fn always() -> Self {
        Self { spans: vec![(0, WEEK_MIN)] }
    }

    /// Adds a span of a day, 0 for Monday, in minutes since midnight: an end at or before the begin is of the next day, and 23:59 is
    /// midnight.
    pub(crate) fn add(&mut self, day: u16, begin: u16, end: u16) {
        let end = if end == DAY_MIN - 1 { DAY_MIN } else { end };
        let length = if end > begin { end - begin } else { end + DAY_MIN - begin };
        let begin = day % 7 * DAY_MIN + begin;
        self.spans.push((begin, begin + length));
    }

    /// Whether a minute of the week is one of them.
    fn holds(&self, minute: u16) -> bool {
        self.spans.iter().any(|(begin, end)| (*begin..*end).contains(&minute) || minute + WEEK_MIN < *end)
    }

    /// Whether all of the week is.
    pub(crate) fn is_always(&self) -> bool {
        let over = self.spans.iter().filter(|(_, end)| *end > WEEK_MIN).map(|(_, end)| (0, end - WEEK_MIN));
        let mut spans: Vec<(u16, u16)> = self.spans.iter().copied().chain(over).collect();
        spans.sort_unstable();
        let mut reached = 0;
        for (begin, end) in spans {
            if begin > reached {
                return false;
            }
            reached = reached.max(end);
        }
        reached >= WEEK_MIN
    }
}

/// Times of a week in the local time of a zone, within a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weekly {
    zone: Zone,
    week: Week,
    /// Begin and end of the period, the latter excluded, in seconds since 1970.
    within: (i64, i64),
}

impl Weekly {
    /// Times of a week in a zone, within a period.
    pub(crate) fn new(zone: Zone, week: Week, period: Period) -> Self {
        let (local, utc) = (period.local, period.utc);
        let within = (zone.utc(local.0).max(utc.0), zone.utc(local.1).min(utc.1));
        Self { zone, week, within }
    }

    /// Whether a time in seconds since 1970 is one of them.
    pub fn holds(&self, at: i64) -> bool {
        /// 1970-01-01 was a Thursday.
        const THURSDAY_S: i64 = 3 * 86_400;
        let local = self.zone.local(at);
        let minute = local.saturating_add(THURSDAY_S).rem_euclid(7 * 86_400) / 60;
        (self.within.0..self.within.1).contains(&at) && self.week.holds(minute as u16)
    }
}

/// Opening hours of a station that is not open at all times.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// `None`: at all times.
    weekly: Option<Weekly>,
    /// Begins and ends of further times, in seconds since 1970.
    openings: Vec<(i64, i64)>,
    /// The same of times at which it is closed all the same.
    closings: Vec<(i64, i64)>,
}

impl Hours {
    /// Whether it is open at a time in seconds since 1970.
    pub fn is_open(&self, at: i64) -> bool {
        let one_of = |periods: &[(i64, i64)]| periods.iter().any(|(begin, end)| (*begin..*end).contains(&at));
        !one_of(&self.closings)
            && (one_of(&self.openings) || self.weekly.as_ref().is_none_or(|weekly| weekly.holds(at)))
    }

    /// When it closes, to the minute, if it is open at `from` and closes before `until`.
    pub fn closes(&self, from: i64, until: i64) -> Option<i64> {
        let until = until.min(from.saturating_add(AHEAD_S));
        let mut minutes = (1..).map(|minute| from.saturating_add(60 * minute)).take_while(|at| *at < until);
        if self.is_open(from) { minutes.find(|at| !self.is_open(*at)) } else { None }
    }
}

/// Price that depends on the time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimedPrice {
    /// When it holds.
    pub when: Weekly,
    /// In the network's currency per kWh.
    pub price_kwh: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_time;

    /// Open at Berlin's time, Monday to Friday from 18:00 to 5:00, and all of Sunday.
    fn nights() -> Weekly {
        let mut week = Week::default();
        (0..5).for_each(|day| week.add(day, 18 * 60, 5 * 60));
        week.add(6, 0, 23 * 60 + 59);
        Weekly::new(Zone::of_name("Europe/Berlin").unwrap(), week, Period::default())
    }

    fn at(text: &str) -> i64 {
        parse_time(text).unwrap().0
    }

    #[test]
    fn times_of_a_week_are_local_and_go_over_midnight() {
        let check = |text: &str, expected: bool| assert_eq!(nights().holds(at(text)), expected, "{text}");
        // Monday.
        check("2025-03-03T17:59:00+01:00", false);
        check("2025-03-03T18:00:00+01:00", true);
        check("2025-03-04T04:59:00+01:00", true);
        check("2025-03-04T05:00:00+01:00", false);
        // Friday night ends on Saturday, Sunday at midnight.
        check("2025-03-08T04:00:00+01:00", true);
        check("2025-03-08T18:30:00+01:00", false);
        check("2025-03-09T23:59:30+01:00", true);
        check("2025-03-10T00:00:00+01:00", false);
        // Summer time.
        check("2025-07-07T16:00:00Z", true);
        check("2025-07-07T15:59:00Z", false);
        check("2025-12-01T16:00:00Z", false);
    }

    #[test]
    fn a_week_may_be_all_of_it() {
        let check = |spans: &[(u16, u16, u16)], expected: bool| {
            let mut week = Week::default();
            spans.iter().for_each(|(day, begin, end)| week.add(*day, *begin, *end));
            assert_eq!(week.is_always(), expected, "{spans:?}");
            assert_eq!((0..WEEK_MIN).all(|minute| week.holds(minute)), expected, "{spans:?}");
        };
        let days = |begin, end| (0..7).map(|day| (day, begin, end)).collect::<Vec<_>>();
        check(&days(0, 0), true);
        check(&days(0, 23 * 60 + 59), true);
        check(&days(6 * 60, 6 * 60), true);
        check(&days(0, 23 * 60 + 58), false);
        check(&days(0, 0)[1..], false);
        check(&[], false);
        check(&[days(12 * 60, 0), days(0, 12 * 60)].concat(), true);
        assert!(Week::always().is_always());
    }

    #[test]
    fn exceptions_go_before_the_week() {
        let hours = Hours {
            weekly: Some(nights()),
            openings: vec![(at("2025-03-03T12:00:00Z"), at("2025-03-03T13:00:00Z"))],
            closings: vec![(at("2025-03-03T12:30:00Z"), at("2025-03-03T18:00:00Z"))],
        };
        let check = |text: &str, expected: bool| assert_eq!(hours.is_open(at(text)), expected, "{text}");
        check("2025-03-03T12:00:00Z", true);
        check("2025-03-03T12:30:00Z", false);
        check("2025-03-03T17:30:00Z", false);
        check("2025-03-03T18:00:00Z", true);
        let closes = |from: &str, until: &str| hours.closes(at(from), at(until));
        assert_eq!(closes("2025-03-03T12:10:30Z", "2025-03-03T14:00:00Z"), Some(at("2025-03-03T12:30:30Z")));
        assert_eq!(closes("2025-03-03T12:10:30Z", "2025-03-03T12:30:00Z"), None);
        assert_eq!(closes("2025-03-03T14:00:00Z", "2025-03-03T15:00:00Z"), None);
        let always = Hours::default();
        assert!(always.is_open(0) && always.closes(0, i64::MAX).is_none());
    }
}
