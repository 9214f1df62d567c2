//! Tables of text: their separator, and their columns by name, in the names that networks use.

use std::borrow::Cow;

use crate::Error;
use crate::error::cut;
use crate::words::plain;

/// Names of the column that says when, plain.
const TIMES: &[&str] = &[
    "timestamp",
    "time",
    "datetime",
    "date",
    "observed",
    "observedat",
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
];

/// Names of the column that says which EVSE.
const EVSES: &[&str] = &[
    "evseid",
    "evse",
    "evseuid",
    "idpdc",
    "idpdcitinerance",
    "connectoruid",
    "chargepointid",
    "chargingpointid",
    "chargingpoint",
    "chargepoint",
    "ladepunkt",
    "ladepunktid",
    "pdc",
    "pointid",
    "connectorid",
];

/// Names of the column that says which status.
const STATUSES: &[&str] = &[
    "status",
    "evsestatus",
    "statutpdc",
    "statut",
    "state",
    "etat",
    "zustand",
    "availability",
    "connectorstatus",
    "event",
    "evenement",
    "ereignis",
    "statustype",
];

/// Names of the column that says when a session began.
const STARTS: &[&str] = &[
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
];

/// Names of the column that says when a session ended.
const ENDS: &[&str] = &[
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
];

/// Columns of a history by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// A row says what the status of an EVSE was at a time.
    Statuses {
        /// When.
        at: usize,
        /// Which EVSE.
        evse: usize,
        /// Which status.
        status: usize,
    },
    /// As IRVE dynamic tables have it: a status in two columns.
    Irve {
        /// When.
        at: usize,
        /// Which EVSE.
        evse: usize,
        /// `etat_pdc`: in service or not.
        service: usize,
        /// `occupation_pdc`: free or not.
        occupation: usize,
    },
    /// A row is a session.
    Sessions {
        /// When it began.
        start: usize,
        /// When it ended.
        end: usize,
        /// At which EVSE.
        evse: usize,
    },
}

/// The text of a field: UTF-8, else Latin-1, as older spreadsheets write.
pub(crate) fn decode(field: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(field) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(field.iter().map(|byte| char::from(*byte)).collect()),
    }
}

/// The first name of a list that a header has: its position.
fn first(header: &[String], names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| header.iter().position(|known| known == name))
}

impl Columns {
    /// What the columns of a header are; `None` if it is not the header of a history.
    pub fn of<'a>(header: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let header: Vec<String> = header.into_iter().map(plain).collect();
        let evse = first(&header, EVSES)?;
        let at = first(&header, TIMES);
        if let (Some(service), Some(occupation), Some(at)) =
            (first(&header, &["etatpdc"]), first(&header, &["occupationpdc"]), at)
        {
            return Some(Self::Irve { at, evse, service, occupation });
        }
        if let (Some(at), Some(status)) = (at, first(&header, STATUSES)) {
            return Some(Self::Statuses { at, evse, status });
        }
        let (start, end) = (first(&header, STARTS)?, first(&header, ENDS)?);
        Some(Self::Sessions { start, end, evse })
    }

    /// Time, EVSE and status of a row; empty where a field is missing. `None` for a session, which has two times.
    pub fn status_of<'a>(&self, fields: &'a [String]) -> Option<(&'a str, &'a str, &'a str)> {
        let field = |at: usize| fields.get(at).map_or("", String::as_str);
        match *self {
            Self::Statuses { at, evse, status } => Some((field(at), field(evse), field(status))),
            Self::Irve { at, evse, service, occupation } => {
                Some((field(at), field(evse), irve_status(field(service), field(occupation))))
            }
            Self::Sessions { .. } => None,
        }
    }
}

/// The status that an IRVE dynamic row tells: a point out of service is `hors_service`, one in service is what its occupation says,
/// any other is `inconnu`.
pub(crate) fn irve_status<'a>(service: &str, occupation: &'a str) -> &'a str {
    match &*plain(service) {
        "enservice" => occupation.trim(),
        "horsservice" => "hors_service",
        _ => "inconnu",
    }
}

/// What separates the fields of a table, as its first line says: comma, semicolon, tab or bar.
pub fn separator(line: &str) -> u8 {
    let count = |separator: u8| line.bytes().filter(|byte| *byte == separator).count();
    let best = [b',', b';', b'\t', b'|'].into_iter().rev().max_by_key(|separator| count(*separator));
    best.filter(|separator| count(*separator) > 0).unwrap_or(b',')
}

/// The position of a column by its name, whatever its case; a byte-order mark before the first is ignored.
pub(crate) fn find(header: &csv::StringRecord, name: &str) -> Option<usize> {
    header.iter().position(|known| known.trim_start_matches('\u{feff}').trim().eq_ignore_ascii_case(name))
}

/// The position of a column that a table must have.
pub(crate) fn column(
    header: &csv::StringRecord,
    what: &'static str,
    column: &'static str,
) -> Result<usize, Error> {
    let header_text = || cut(&header.iter().collect::<Vec<_>>().join(","));
    find(header, column).ok_or_else(|| Error::Column { what, column, header: header_text() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_many_names() {
        let check = |header: &str, expected: Option<Columns>| {
            let separator = char::from(separator(header));
            assert_eq!(Columns::of(header.split(separator)), expected, "{header}");
        };
        check("timestamp,evse_id,status", Some(Columns::Statuses { at: 0, evse: 1, status: 2 }));
        check("\u{feff}Status;EVSE-ID;Zeitstempel", Some(Columns::Statuses { at: 2, evse: 1, status: 0 }));
        check("id_pdc\tstatut_pdc\tlast_updated", Some(Columns::Statuses { at: 2, evse: 0, status: 1 }));
        let irve = Columns::Irve { at: 3, evse: 0, service: 1, occupation: 2 };
        check("id_pdc_itinerance,etat_pdc,occupation_pdc,horodatage", Some(irve));
        check("energy,start,end,id_pdc_itinerance", Some(Columns::Sessions { start: 1, end: 2, evse: 3 }));
        check("evse_id,station_id,connector_type", None);
        check("a,b,c", None);
    }
}
