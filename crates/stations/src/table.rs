//! Tables of text: their separator, and their columns by name, in the names that networks use.

mod when;

use std::borrow::Cow;

use crate::Error;
use crate::error::cut;
use crate::words::plain;

pub use when::When;
use when::{ENDS, OBSERVED, STARTS};

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

/// Names of a column that says which charger; its connectors or EVSEs have a column of their own.
const CHARGERS: &[&str] = &[
    "chargepointid",
    "chargepoint",
    "chargingpointid",
    "chargingpoint",
    "chargingstationid",
    "chargingstation",
    "chargeboxid",
    "chargerid",
    "charger",
    "cpid",
    "stationid",
    "idstationitinerance",
    "locationid",
    "siteid",
];

/// Names of the column with the number of a charger's connector.
const CONNECTORS: &[&str] = &["connectorid", "connectornumber", "connectorno", "connectornr", "connector"];

/// Those of them that have the number of an EVSE's connector beside the EVSE's own id.
const PARTS: &[&str] = &["connectorid", "connectornumber", "connectorno", "connectornr"];

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

/// Columns that say which EVSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvseColumns {
    /// Its id, or its number within its charger.
    pub evse: usize,
    /// Its charger, where there is such a column.
    pub charger: Option<usize>,
    /// Its number within what `evse` says, where that names a charger.
    pub connector: Option<usize>,
    /// The number of a connector of the EVSE that `evse` names.
    pub part: Option<usize>,
}

impl EvseColumns {
    /// The columns of a header, in plain names; an id has one of `names`.
    pub(crate) fn of(header: &[String], names: &[&str]) -> Option<Self> {
        let evse = first(header, names)?;
        if CHARGERS.contains(&&*header[evse]) {
            let connector = first(header, CONNECTORS).filter(|at| *at != evse);
            return Some(Self { evse, charger: None, connector, part: None });
        }
        let charger = first(header, CHARGERS).filter(|at| *at != evse);
        let part = first(header, PARTS).filter(|at| *at != evse);
        Some(Self { evse, charger, connector: None, part })
    }

    /// The id of the EVSE of a row, empty where there is none: `CHARGER/NUMBER` as OCPP's messages name it where a column has
    /// numbers only. An EVSE's connectors beyond the first are `EVSE/NUMBER`.
    pub fn id<'a>(&self, fields: &'a [String]) -> Cow<'a, str> {
        let field = |at: usize| fields.get(at).map_or("", |text| present(text));
        let (evse, is_number) = (field(self.evse), |text: &str| {
            (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        });
        // Tables of numbers with gaps have them as `1.0`.
        let whole = |text: &'a str| {
            text.strip_suffix(".0").filter(|n| n.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or(text)
        };
        let evse = whole(evse);
        let id = match (self.connector.map(field).map(whole), self.charger.map(field)) {
            (Some(connector), _) if !evse.is_empty() && is_number(connector) => {
                Cow::Owned(format!("{evse}/{connector}"))
            }
            (_, Some(charger)) if !charger.is_empty() && is_number(evse) => {
                Cow::Owned(format!("{charger}/{evse}"))
            }
            _ => Cow::Borrowed(evse),
        };
        match self.part.map(field).map(whole) {
            Some(part) if !id.is_empty() && is_number(part) && !matches!(part, "0" | "1") => {
                Cow::Owned(format!("{id}/{part}"))
            }
            _ => id,
        }
    }

    /// Whether a row is about a charger as a whole: OCPP's connector 0.
    pub fn is_whole_charger(&self, fields: &[String]) -> bool {
        let is_zero = |at: usize| fields.get(at).is_some_and(|text| text.trim() == "0");
        self.connector.is_some_and(is_zero) || (self.charger.is_some() && is_zero(self.evse))
    }
}

/// A field's text; empty where it is one of the texts by which programs write that there is none, or IRVE's tables that there is
/// no id.
pub(crate) fn present(text: &str) -> &str {
    const ABSENT: [&str; 12] = [
        "null",
        "none",
        "nan",
        "nat",
        "n/a",
        "#n/a",
        "<na>",
        "nil",
        "\\n",
        "-",
        "non concerné",
        "non concerne",
    ];
    let text = text.trim();
    if ABSENT.iter().any(|absent| text.eq_ignore_ascii_case(absent)) { "" } else { text }
}

/// Columns of a history by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// A row says what the status of an EVSE was at a time.
    Statuses {
        /// When.
        at: When,
        /// Which EVSE.
        evse: EvseColumns,
        /// Which status.
        status: usize,
    },
    /// As IRVE dynamic tables have it: a status in two columns.
    Irve {
        /// When.
        at: When,
        /// Which EVSE.
        evse: EvseColumns,
        /// `etat_pdc`: in service or not.
        service: usize,
        /// `occupation_pdc`: free or not.
        occupation: usize,
    },
    /// A row is a session.
    Sessions {
        /// When it began.
        start: When,
        /// When it ended.
        end: When,
        /// At which EVSE.
        evse: EvseColumns,
        /// The session's own status, if it is told.
        status: Option<usize>,
    },
}

/// The text of a field: UTF-8, else Latin-1, as older spreadsheets write.
pub fn decode(field: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(field) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(field.iter().map(|byte| char::from(*byte)).collect()),
    }
}

/// Whether a name is that of a time of a row.
pub(crate) fn is_time(name: &str) -> bool {
    OBSERVED.has(&plain(name))
}

/// The first name of a list that a header has: its position.
fn first(header: &[String], names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| header.iter().position(|known| known == name))
}

impl Columns {
    /// What the columns of a header are; `None` if it is not the header of a history.
    pub fn of<'a>(header: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let header: Vec<String> = header.into_iter().map(plain).collect();
        let evse = EvseColumns::of(&header, EVSES)?;
        let at = OBSERVED.of(&header);
        // Sessions may have a status and a time of their last change too.
        if let (Some(start), Some(end)) = (STARTS.of(&header), ENDS.of(&header)) {
            // A vehicle at one connector takes the whole EVSE.
            let evse = EvseColumns { part: None, ..evse };
            return Some(Self::Sessions { start, end, evse, status: first(&header, STATUSES) });
        }
        if let (Some(service), Some(occupation), Some(at)) =
            (first(&header, &["etatpdc"]), first(&header, &["occupationpdc"]), at)
        {
            return Some(Self::Irve { at, evse, service, occupation });
        }
        Some(Self::Statuses { at: at?, evse, status: first(&header, STATUSES)? })
    }

    /// The columns that a header lacks to be one of a history.
    pub(crate) fn lacking<'a>(header: impl Iterator<Item = &'a str> + Clone) -> Vec<&'static str> {
        let with = |more: &[&'static str]| Self::of(header.clone().chain(more.iter().copied())).is_some();
        let choices: [&[&'static str]; 6] = [
            &["timestamp"],
            &["evse_id"],
            &["status"],
            &["end"],
            &["evse_id", "status"],
            &["timestamp", "status"],
        ];
        let found = choices.into_iter().find(|more| with(more));
        found.map_or_else(|| vec!["timestamp", "evse_id", "status"], <[_]>::to_vec)
    }

    /// Time, EVSE and status of a row; empty where a field is missing. `None` for a session, which has two times.
    pub fn status_of<'a>(&self, fields: &'a [String]) -> Option<(Cow<'a, str>, Cow<'a, str>, &'a str)> {
        let field = |at: usize| fields.get(at).map_or("", |text| present(text));
        match *self {
            Self::Statuses { at, evse, status } => Some((at.text(field), evse.id(fields), field(status))),
            Self::Irve { at, evse, service, occupation } => {
                Some((at.text(field), evse.id(fields), irve_status(field(service), field(occupation))))
            }
            Self::Sessions { .. } => None,
        }
    }

    /// The position of the column with the status.
    const fn status(&self) -> Option<usize> {
        match *self {
            Self::Statuses { status, .. } => Some(status),
            Self::Irve { occupation, .. } => Some(occupation),
            Self::Sessions { status, .. } => status,
        }
    }

    /// The name of the status' column and how many columns have it, where that is more than one: nothing says which counts.
    pub(crate) fn repeated(&self, header: &[String]) -> Option<(String, usize)> {
        let name = header.get(self.status()?)?;
        let count = header.iter().filter(|other| plain(other) == plain(name)).count();
        (count > 1).then(|| (name.clone(), count))
    }

    /// Columns that say which EVSE.
    pub fn evse(&self) -> EvseColumns {
        match *self {
            Self::Statuses { evse, .. } | Self::Irve { evse, .. } | Self::Sessions { evse, .. } => evse,
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
        let alone = |evse| EvseColumns { evse, charger: None, connector: None, part: None };
        let when = |at| When { at, day: None, is_utc: false };
        let statuses = |at, evse, status| Some(Columns::Statuses { at: when(at), evse: alone(evse), status });
        check("timestamp,evse_id,status", statuses(0, 1, 2));
        check("\u{feff}Status;EVSE-ID;Zeitstempel", statuses(2, 1, 0));
        check("id_pdc\tstatut_pdc\tlast_updated", statuses(2, 0, 1));
        let irve = Columns::Irve { at: when(3), evse: alone(0), service: 1, occupation: 2 };
        check("id_pdc_itinerance,etat_pdc,occupation_pdc,horodatage", Some(irve));
        let sessions = Columns::Sessions { start: when(1), end: when(2), evse: alone(3), status: None };
        check("energy,start,end,id_pdc_itinerance", Some(sessions));
        let sessions = Columns::Sessions { start: when(2), end: when(3), evse: alone(0), status: Some(1) };
        check("evse_uid,status,start_date_time,end_date_time,last_updated", Some(sessions));
        check("evse_id,station_id,connector_type", None);
        check("a,b,c", None);
    }

    #[test]
    fn an_evse_may_be_a_number_within_its_charger() {
        let check = |header: &str, row: &str, expected: &str| {
            let columns = Columns::of(header.split(',')).unwrap();
            let fields: Vec<String> = row.split(',').map(str::to_owned).collect();
            let found = columns.status_of(&fields).unwrap();
            assert_eq!((&*found.0, &*found.1, found.2), ("1", expected, "x"), "{header}");
        };
        check("time,charge_point_id,connector_id,status", "1,CP1,2,x", "CP1/2");
        check("time,connectorId,chargePointId,status", "1,2,CP1,x", "CP1/2");
        check("time,charging_station_id,evse_id,connector_status", "1,CS1,2,x", "CS1/2");
        check("time,location_id,evse_uid,status", "1,L,2,x", "L/2");
        check("time,charge_point_id,connector_id,status", "1,CP1,2.0,x", "CP1/2");
        // An id of its own, or no number.
        check("time,station_id,evse_id,status", "1,S1,DE*AB1*E1*1,x", "DE*AB1*E1*1");
        check("time,charge_point_id,connector,status", "1,CP1,CCS,x", "CP1");
        check("time,charge_point_id,status", "1,CP1,x", "CP1");
        check("time,evse_id,status", "1,null,x", "");
        check("time,evse_id,status", "1,7.0,x", "7");
        // A connector of an EVSE beyond the first.
        check("time,evse_id,connector_id,status", "1,DE*AB1*E1,1,x", "DE*AB1*E1");
        check("time,evse_id,connector_id,status", "1,DE*AB1*E1,2,x", "DE*AB1*E1/2");
        check("time,evse_id,connector_id,status", "1,DE*AB1*E1*2,2,x", "DE*AB1*E1*2/2");
        check("time,charging_station_id,evse_id,connector_id,status", "1,CS1,1,2,x", "CS1/1/2");
    }

    #[test]
    fn texts_of_nothing_are_nothing() {
        for text in ["", "null", "NULL", "None", "NaN", "NaT", "n/a", "<NA>", " - ", "\\N", "Non concerné"] {
            assert_eq!(present(text), "", "{text}");
        }
        assert_eq!([present(" Nonesuch "), present("unknown"), present("0")], ["Nonesuch", "unknown", "0"]);
    }
}
