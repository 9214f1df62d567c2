//! Feeds that networks publish as JSON: OCPI 2.1.1, 2.2.1 and 2.3.0 locations and tariffs, OICP, DATEX II (AFIR; also as
//! XML), Open Charge Map, and Barcelona's port statuses, told apart by their content.
//!
//! All become [`Reading`]s and [`Listed`] places. An entry that lacks its id or status is an empty reading: a caller counts it; the rest counts.

mod answer;
mod datex;
mod field;
mod gelfs;
mod ocm;
mod ocpi;
pub(crate) mod ocpp;
mod oicp;
mod reading;
pub(crate) mod rows;
pub(crate) mod values;
pub mod xml;

use serde_json::Value;

pub use answer::refusal;
pub use reading::{Listed, Reading, Unread};
pub use values::Values;

use crate::Error;

/// Largest document that is read, in bytes: France's whole IRVE dynamic table has about 20 MB, Hubject's EVSE data 100.
pub const MAX_FEED_BYTES: usize = 128 * 1024 * 1024;

/// Lead over this node's clock up to which a time is believed, in seconds: clocks that are kept differ by seconds, and five
/// minutes are less than any status that is waited for.
pub const AHEAD_S: i64 = 300;

/// Whether a time that a feed states is believed at `now`, both in seconds since 1970.
pub fn believed(at: i64, now: i64) -> bool {
    at <= now.saturating_add(AHEAD_S) && crate::times::PLAUSIBLE_S.contains(&at)
}

/// Whether a file begins as JSON does; a log whose lines begin with a time in brackets does not.
pub fn is_json(text: &[u8]) -> bool {
    match text {
        [b'{', ..] => true,
        [b'[', rest @ ..] => {
            let within = rest.trim_ascii_start();
            matches!(within.first(), None | Some(b'{' | b'[' | b']')) || within.starts_with(b"2,")
        }
        _ => false,
    }
}

/// Format of a document and the statuses that it tells, without id or status where an entry lacks it; `None` if it is none of these, or
/// an error ([`refusal`]).
pub fn of_value(value: &Value) -> Option<(&'static str, Vec<Reading>)> {
    if refusal(value).is_some() {
        return None;
    }
    [ocpi::readings, oicp::readings, datex::readings, ocm::readings, gelfs::readings]
        .iter()
        .find_map(|read| read(value))
}

/// The time that a document states of itself, in seconds since 1970: OCPI's `timestamp`, DATEX II's `publicationTime`, or what
/// a program wrote around what it was answered.
pub(crate) fn time_of(value: &Value) -> Option<Result<i64, Unread>> {
    const NAMES: [&str; 6] = ["timestamp", "time", "datetime", "polled_at", "fetched_at", "received_at"];
    let of_ocpi = value.get("status_code").is_some();
    let read = |name: &&str| if of_ocpi { field::utc_time(value, name) } else { field::time(value, name) };
    NAMES.iter().find_map(read).or_else(|| {
        let published = field::first(value, "publicationTime")?.as_str()?;
        Some(field::time_of_text(published.trim().to_owned()))
    })
}

/// As [`of_value`], and rows of statuses and OCPP's messages as JSON.
pub fn of_live_value(value: &Value) -> Option<(&'static str, Vec<Reading>)> {
    if refusal(value).is_some() {
        return None;
    }
    of_value(value).or_else(|| rows::readings(value))
}

/// The statuses in a line of a log of OCPP, and how many of its messages about one cannot be read.
pub fn of_log_line(line: &str) -> (Vec<Reading>, u64) {
    rows::of_line(line)
}

/// Documents of one list, each of which has all it needs: OCPI's tariffs, which have documents of their own, stand beside the locations.
pub(crate) fn with_tariffs(documents: Vec<Value>) -> Vec<Value> {
    let is_one = |document: &Value| refusal(document).is_none();
    let (tariffs, others): (Vec<Value>, Vec<Value>) =
        documents.into_iter().partition(|document| is_one(document) && ocpi::is_tariffs(document));
    if tariffs.is_empty() || others.is_empty() {
        return [tariffs, others].concat();
    }
    let with = |other: Value| match ocpi::places(&other) {
        Some((_, places)) if !places.is_empty() && is_one(&other) => {
            ocpi::joined(std::iter::once(&other).chain(&tariffs))
        }
        _ => other,
    };
    others.into_iter().map(with).collect()
}

/// What a document is and the places that it lists; `None` if it is none of these.
pub fn places_of(value: &Value) -> Option<(&'static str, Vec<Listed>)> {
    if refusal(value).is_some() {
        return None;
    }
    [ocpi::places, oicp::places, datex::places, ocm::places].iter().find_map(|read| read(value))
}

/// What a document of bytes is and the statuses that it tells.
///
/// # Errors
/// More than [`MAX_FEED_BYTES`], neither JSON nor XML, none of the kinds that are read, or an answer that says it is an error.
pub fn read(bytes: &[u8]) -> Result<(&'static str, Vec<Reading>), Error> {
    const WHAT: &str = "the feed";
    if bytes.len() > MAX_FEED_BYTES {
        let (found, limit) = (bytes.len() as u64, MAX_FEED_BYTES as u64);
        return Err(Error::TooMuch { what: "bytes of a feed", found, limit });
    }
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let value = if xml::is_xml(text.trim_ascii_start()) {
        xml::read(text, WHAT)?
    } else {
        serde_json::from_slice(text).map_err(|source| Error::Json { what: WHAT, source })?
    };
    if let Some(said) = refusal(&value) {
        return Err(Error::Refused { what: WHAT, said });
    }
    let known = "neither OCPI, OICP, DATEX II, Open Charge Map nor GELFS";
    let (format, mut readings) = of_value(&value).ok_or(Error::Unknown { what: WHAT, known })?;
    readings
        .retain(|reading| !reading.evse.is_empty() && !reading.status.is_empty() && reading.unread.is_none());
    Ok((format, readings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_ahead_of_the_clock_is_not_believed() {
        let now = 1_740_997_800;
        let check = |at: i64, expected: bool| assert_eq!(believed(at, now), expected, "{at}");
        check(now, true);
        check(now + AHEAD_S, true);
        check(now + AHEAD_S + 1, false);
        check(now + 7200, false);
        check(now - 86_400 * 365, true);
        check(0, false);
        check(i64::MIN, false);
        check(i64::MAX, false);
    }

    fn check(text: &str, format: &str, expected: &[(&str, &str, Option<i64>)]) {
        let (found, readings) = read(text.as_bytes()).unwrap();
        let readings: Vec<_> = readings.iter().map(|r| (&*r.evse, &*r.status, r.at)).collect();
        assert_eq!((found, &readings[..]), (format, expected), "{text}");
    }

    #[test]
    fn statuses_are_read_from_each_format() {
        let at = Some(1_740_997_800);
        let time = "2025-03-03T10:30:00Z";
        let evse = |more: &str| format!(r#"{{"uid":"1","status":"CHARGING","last_updated":"{time}"{more}}}"#);
        let location = |evses: &str| format!(r#"{{"id":"L","evses":[{evses}]}}"#);
        let named = evse(r#","evse_id":"DE*AB1*E1""#);
        check(&location(&named), "OCPI", &[("DE*AB1*E1", "CHARGING", at)]);
        check(&format!("[{}]", location(&evse(""))), "OCPI", &[("L/1", "CHARGING", at)]);
        check(
            &format!(r#"{{"data":[{}],"status_code":1000}}"#, location(&evse(""))),
            "OCPI",
            &[("L/1", "CHARGING", at)],
        );
        // An EVSE without a status is left out by itself.
        check(&location(&format!(r#"{{"uid":"2"}},{}"#, evse(""))), "OCPI", &[("L/1", "CHARGING", at)]);
        let oicp =
            r#"{"EVSEStatuses":[{"EVSEStatusRecord":[{"EvseID":"CH*REPE1","EVSEStatus":"Available"}]}]}"#;
        check(oicp, "OICP", &[("CH*REPE1", "Available", None)]);
        let hubject = r#"{"EvseStatuses":{"OperatorEvseStatus":[{"EvseStatusRecord":[{"EvseID":"CH*REPE1","EvseStatus":"OutOfService"}]}]}}"#;
        check(hubject, "OICP", &[("CH*REPE1", "OutOfService", None)]);
        let datex = format!(
            r#"{{"messageContainer":{{"payload":[{{"aegiEnergyInfrastructureStatusPublication":{{"energyInfrastructureSiteStatus":[
            {{"reference":{{"idG":"S"}},"lastUpdated":"{time}","energyInfrastructureStationStatus":[{{"reference":{{"idG":"T"}},"refillPointStatus":
            [{{"aegiRefillPointStatus":{{"reference":{{"idG":"DE*AB1*E1"}},"lastUpdated":"{time}","status":{{"value":"occupied"}}}}}}]}}]}}]}}}}]}}}}"#
        );
        check(&datex, "DATEX II", &[("DE*AB1*E1", "occupied", at)]);
        let poi = format!(
            r#"[{{"ID":7,"AddressInfo":{{"Latitude":50,"Longitude":8}},"DateLastStatusUpdate":"{time}","StatusTypeID":50,
            "Connections":[{{"ID":1,"StatusType":{{"Title":"Currently In Use (Automated Status)"}}}},{{"ID":2,"StatusTypeID":100}},{{"ID":3}}]}}]"#
        );
        let statuses = ["Currently In Use (Automated Status)", "Not Operational", "Operational"];
        check(
            &poi,
            "Open Charge Map",
            &[("ocm/7/1", statuses[0], at), ("ocm/7/2", statuses[1], at), ("ocm/7/3", statuses[2], at)],
        );
        let gelfs = format!(
            r#"{{"gelfs_version":"0.96","locations":[{{"id":"3","stations":[{{"id":"1","ports":[{{"id":"2","port_status":[{{"status":"AVAILABLE"}}],"last_updated":"{time}"}}]}}]}}]}}"#
        );
        check(&gelfs, "GELFS", &[("3/1/2", "AVAILABLE", at)]);
    }

    #[test]
    fn rows_and_messages_are_read_from_live_feeds() {
        let expected = Reading::new("CP1/2".into(), "Charging".into(), Some(Ok(1_740_997_800)));
        let frame = r#"[2,"1","StatusNotification",{"connectorId":2,"status":"Charging","timestamp":"2025-03-03T10:30:00Z"}]"#;
        for text in [
            r#"{"timestamp":1740997800,"evse_id":"CP1/2","status":"Charging"}"#.to_owned(),
            r#"[{"timestamp":"2025-03-03T10:30:00Z","evse_id":"CP1/2","status":"Charging"}]"#.to_owned(),
            format!(r#"{{"chargePointId":"CP1","message":{frame}}}"#),
        ] {
            let value = serde_json::from_str(&text).unwrap();
            assert_eq!(of_live_value(&value), Some(("rows", vec![expected.clone()])), "{text}");
        }
        assert_eq!(of_log_line(&format!("INFO CP1 {frame}")), (vec![expected], 0));
        assert_eq!(of_log_line("INFO CP1 [2,\"1\",\"Heartbeat\",{}]"), (vec![], 0));
        assert_eq!(of_live_value(&serde_json::json!({ "a": 1 })), None);
    }

    #[test]
    fn other_documents_are_refused() {
        for text in ["{}", "[1]", "[]", r#"{"a":1}"#, r#"{"data":{}}"#] {
            assert!(matches!(read(text.as_bytes()), Err(Error::Unknown { .. })), "{text}");
        }
        assert!(matches!(read(b"<xml/>"), Err(Error::Unknown { .. })));
        assert!(matches!(read(b"<xml"), Err(Error::Xml { .. })));
        assert!(matches!(read(b"text"), Err(Error::Json { .. })));
    }
}
