//! Open Charge Map's points of interest. An EVSE is a connection: `ocm/POI/CONNECTION`.

use serde_json::Value;

use super::field::{connector, list, number, position, text, time};
use super::reading::{Listed, Reading};
use crate::Meaning;
use crate::place::{Place, StatedPower};
use crate::words::{is_absent, meaning};

const FORMAT: &str = "Open Charge Map";

/// Statuses by `StatusTypeID`, for compact answers.
const STATUSES: [(u64, &str); 10] = [
    (0, "Unknown"),
    (10, "Currently Available (Automated Status)"),
    (20, "Currently In Use (Automated Status)"),
    (30, "Temporarily Unavailable"),
    (50, "Operational"),
    (75, "Partly Operational (Mixed)"),
    (100, "Not Operational"),
    (150, "Planned For Future Date"),
    (200, "Removed (Decommissioned)"),
    (210, "Removed (Duplicate Listing)"),
];

/// Connections by `ConnectionTypeID`, for compact answers: the usual ones in Europe.
const CONNECTIONS: [(u64, &str); 10] = [
    (1, "Type 1 (J1772)"),
    (2, "CHAdeMO"),
    (25, "Type 2 (Socket Only)"),
    (27, "NACS / Tesla Supercharger"),
    (28, "CEE 7/4 - Schuko - Type F"),
    (30, "Tesla (Model S/X)"),
    (32, "CCS (Type 1)"),
    (33, "CCS (Type 2)"),
    (36, "SCAME Type 3C (Schneider-Legrand)"),
    (1036, "Type 2 (Tethered Connector)"),
];

/// A title in full, or by its number.
fn title(value: &Value, name: &str, numbers: &[(u64, &str)]) -> Option<String> {
    let of_number = || {
        let number = value.get(format!("{name}ID"))?.as_u64()?;
        let known = numbers.iter().find(|(known, _)| *known == number);
        Some(known.map_or_else(|| format!("{name} {number}"), |(_, title)| (*title).to_owned()))
    };
    value.get(name).and_then(|full| text(full, "Title")).or_else(of_number)
}

fn points(value: &Value) -> Option<&[Value]> {
    let all = match value {
        Value::Array(all) => &all[..],
        one => std::slice::from_ref(one),
    };
    let is_point = |one: &Value| one.get("AddressInfo").is_some() && one.get("Connections").is_some();
    all.iter().any(is_point).then_some(all)
}

fn id(point: &Value, connection: &Value, n: usize) -> Option<String> {
    let connection = text(connection, "ID").unwrap_or_else(|| format!("{}", n + 1));
    Some(format!("ocm/{}/{connection}", text(point, "ID").or_else(|| text(point, "UUID"))?))
}

pub(super) fn readings(value: &Value) -> Option<(&'static str, Vec<Reading>)> {
    let mut found = Vec::new();
    for point in points(value)? {
        let at = time(point, "DateLastStatusUpdate");
        let of_all = title(point, "StatusType", &STATUSES);
        for (n, connection) in list(point, "Connections").iter().enumerate() {
            let own = title(connection, "StatusType", &STATUSES);
            // At a point that is out of order, only what is busy is something else.
            let is_out = of_all.as_deref().and_then(meaning) == Some(Meaning::OutOfOrder);
            let is_busy =
                matches!(own.as_deref().and_then(meaning), Some(Meaning::Busy | Meaning::OutOfOrder));
            let status = own.filter(|_| !is_out || is_busy).or_else(|| of_all.clone());
            if let (Some(evse), Some(status)) = (id(point, connection, n), status) {
                found.push(Reading::new(evse, status, at.clone()));
            }
        }
    }
    Some((FORMAT, found))
}

pub(super) fn places(value: &Value) -> Option<(&'static str, Vec<Listed>)> {
    let mut found = Vec::new();
    for point in points(value)? {
        let info = point.get("AddressInfo");
        let of_all = title(point, "StatusType", &STATUSES);
        let parts = ["AddressLine1", "Town"].iter().filter_map(|name| text(info?, name));
        let address = parts.collect::<Vec<_>>().join(", ");
        for (n, connection) in list(point, "Connections").iter().enumerate() {
            let mut listed = Listed {
                evse: id(point, connection, n).unwrap_or_default(),
                place: Place {
                    station: text(point, "ID").map(|id| format!("ocm/{id}")),
                    position: info.and_then(|info| position(info, "Latitude", "Longitude")),
                    operator: point.get("OperatorInfo").and_then(|operator| text(operator, "Title")),
                    address: Some(address.clone()).filter(|address| !address.is_empty()),
                    ..Place::default()
                },
                power: number(connection, "PowerKW").map(StatedPower::kilowatts),
                is_absent: title(connection, "StatusType", &STATUSES)
                    .or_else(|| of_all.clone())
                    .is_some_and(|status| is_absent(&status)),
                ..Listed::default()
            };
            if let Some(name) = title(connection, "ConnectionType", &CONNECTIONS) {
                connector(&mut listed, &name);
            }
            found.push(listed);
        }
    }
    Some((FORMAT, found))
}
