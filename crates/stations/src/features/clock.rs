//! Local time of a network, without time zones' names: an offset from UTC is all that a history tells.

use serde::{Deserialize, Serialize};

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// Parts of a day that habits tell apart.
pub const HALF_HOURS: usize = 48;

/// Kinds of days that habits tell apart: working days, and Saturday and Sunday.
pub const DAY_TYPES: usize = 2;

/// Turns seconds since 1970 into local days and half hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// How far local time is from UTC, in seconds.
    pub offset_s: i32,
}

impl Clock {
    fn local(self, at: i64) -> i64 {
        at + i64::from(self.offset_s)
    }

    /// The local day, counted from 1970.
    pub fn day(self, at: i64) -> i64 {
        self.local(at).div_euclid(DAY_S)
    }

    /// Minutes since local midnight, 0..1440.
    pub fn minute(self, at: i64) -> u32 {
        (self.local(at).rem_euclid(DAY_S) / 60) as u32
    }

    /// The half hour of the local day, 0..48.
    pub fn half_hour(self, at: i64) -> usize {
        self.minute(at) as usize / 30
    }

    /// 0 from Monday to Friday, 1 on Saturday and Sunday.
    pub fn day_type(self, at: i64) -> usize {
        Self::type_of(self.day(at))
    }

    /// As [`Clock::day_type`], of a day counted from 1970.
    pub fn type_of(day: i64) -> usize {
        // 1970-01-01 was a Thursday.
        usize::from((day + 3).rem_euclid(7) >= 5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_half_hours_are_local() {
        let check = |text: &str, expected: (u32, usize, usize)| {
            let (at, offset_s) = crate::parse_time(text).unwrap();
            let clock = Clock { offset_s };
            assert_eq!((clock.minute(at), clock.half_hour(at), clock.day_type(at)), expected, "{text}");
        };
        check("2018-11-01T00:00:00+00:00", (0, 0, 0));
        check("2018-11-03T23:59:00+01:00", (1439, 47, 1));
        check("2018-11-05T00:30:00+01:00", (30, 1, 0));
        check("1969-12-28T12:00:00-05:00", (720, 24, 1));
    }
}
