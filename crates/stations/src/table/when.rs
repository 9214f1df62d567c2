//! Columns that say when: one with a time, or two with the day and the time of day.

use std::borrow::Cow;

use crate::times::{NoTime, read_time};

/// Names of columns that say when something was, plain, and of those among them that have the day or the time of day alone.
pub(super) struct Names {
    times: &'static [&'static str],
    days: &'static [&'static str],
    of_day: &'static [&'static str],
}

/// When a row was observed.
pub(super) const OBSERVED: Names = Names {
    times: &[
        "timestamp",
        "time",
        "datetime",
        "date",
        "observed",
        "observedat",
        "recordedat",
        "polledat",
        "fetchedat",
        "scrapedat",
        "collectedat",
        "daterecolte",
        "lastupdated",
        "lastupdate",
        "updated",
        "updatedat",
        "horodatage",
        "statustimestamp",
        "statusupdatedate",
        "datelaststatusupdate",
        "datum",
        "zeit",
        "zeitpunkt",
        "zeitstempel",
        "ts",
        "eventtime",
        "dateheure",
        "uhrzeit",
        "heure",
    ],
    days: &["date", "datum", "jour"],
    of_day: &["time", "zeit", "uhrzeit", "heure"],
};

/// When a session began.
pub(super) const STARTS: Names = Names {
    times: &[
        "start",
        "starttime",
        "startedat",
        "started",
        "startdatetime",
        "begin",
        "sessionstart",
        "starttimestamp",
        "startdate",
        "debut",
        "datedebut",
        "horodatagedebut",
        "beginn",
        "ladebeginn",
        "connectiontime",
        "chargingstart",
        "timestampstart",
        "pluginat",
        "plugintime",
        "pluggedinat",
        "startzeit",
        "startdatum",
        "startsession",
    ],
    days: &["startdate", "startdatum", "datedebut"],
    of_day: &["starttime", "startzeit", "startuhrzeit", "heuredebut"],
};

/// When a session ended.
pub(super) const ENDS: Names = Names {
    times: &[
        "end",
        "endtime",
        "endedat",
        "ended",
        "enddatetime",
        "stop",
        "stoptime",
        "sessionend",
        "endtimestamp",
        "enddate",
        "fin",
        "datefin",
        "horodatagefin",
        "ende",
        "ladeende",
        "disconnecttime",
        "chargingend",
        "timestampend",
        "stopdatetime",
        "plugouttime",
        "plugoutat",
        "unpluggedat",
        "endzeit",
        "enddatum",
        "endsession",
    ],
    days: &["enddate", "enddatum", "datefin", "stopdate"],
    of_day: &["endtime", "endzeit", "enduhrzeit", "heurefin", "stoptime"],
};

/// A name without the zone that it states, where that is UTC: `timestamp_utc`, `Zeit (UTC)`.
fn without_utc(name: &str) -> Option<&str> {
    let rest =
        ["utc", "gmt"].iter().find_map(|zone| name.strip_suffix(zone).or_else(|| name.strip_prefix(zone)));
    rest.filter(|rest| !rest.is_empty())
}

impl Names {
    /// Whether a plain name is one of them.
    pub(super) fn has(&self, name: &str) -> bool {
        let known = |name: &str| self.times.contains(&name);
        known(name) || without_utc(name).is_some_and(known)
    }

    /// The columns of a header, in plain names.
    pub(super) fn of(&self, header: &[String]) -> Option<When> {
        let is = |known: &str, name: &str| known == name || without_utc(known) == Some(name);
        let find =
            |names: &[&str]| names.iter().find_map(|name| header.iter().position(|known| is(known, name)));
        let at = find(self.times)?;
        let is_part = [self.days, self.of_day].concat().iter().any(|name| is(&header[at], name));
        let parts = find(self.days).zip(find(self.of_day)).filter(|_| is_part);
        let (day, at) = parts.map_or((None, at), |(day, of_day)| (Some(day), of_day));
        let says_utc = |at: usize| !self.times.contains(&&*header[at]) && without_utc(&header[at]).is_some();
        Some(When { at, day, is_utc: says_utc(at) || day.is_some_and(says_utc) })
    }
}

/// Columns that say when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// The time, or the time of day where `day` is another column.
    pub at: usize,
    /// The day.
    pub day: Option<usize>,
    /// Whether the column's name says that its times are in UTC.
    pub is_utc: bool,
}

impl When {
    /// The time of a row as one text, of its fields by position. A time of day is joined with its day; a whole time stands alone.
    pub fn text<'a>(&self, field: impl Fn(usize) -> &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(field(self.at));
        if let Some(day) = self.day.map(&field).filter(|day| !day.is_empty())
            && !text.is_empty()
            && read_time(&text) == Err(NoTime::NotATime)
        {
            text = Cow::Owned(format!("{day} {text}"));
        }
        if self.is_utc && read_time(&text) == Err(NoTime::NoOffset) {
            text.to_mut().push('Z');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn day_and_time_of_day_are_joined() {
        let check = |header: &str, row: &str, expected: &str| {
            let split = |text: &str| text.split(';').map(str::to_owned).collect::<Vec<String>>();
            let when = OBSERVED.of(&split(header)).unwrap();
            let fields = split(row);
            assert_eq!(when.text(|at| &fields[at]), expected, "{header}: {row}");
        };
        check("date;time", "2025-03-03;10:30:00Z", "2025-03-03 10:30:00Z");
        check("uhrzeit;datum", "10:30;03.03.2025", "03.03.2025 10:30");
        check("datum;zeitutc", "2025-03-03;10:30", "2025-03-03 10:30Z");
        // A whole time stands alone, and so does one without its day.
        check("date;time", "2025-03-03;2025-03-03T10:30:00Z", "2025-03-03T10:30:00Z");
        check("date;time", ";10:30:00Z", "10:30:00Z");
        check("date;time", "2025-03-03;", "");
        check("timestamp;date;time", "1740997800;2025-03-01;12:00", "1740997800");
        check("date;evse", "2025-03-03T10:30:00Z;a", "2025-03-03T10:30:00Z");
        check("timestamputc", "2025-03-03 10:30:00", "2025-03-03 10:30:00Z");
        check("timestamputc", "2025-03-03T11:30:00+01:00", "2025-03-03T11:30:00+01:00");
        check("timestamp", "2025-03-03 10:30:00", "2025-03-03 10:30:00");
    }
}
