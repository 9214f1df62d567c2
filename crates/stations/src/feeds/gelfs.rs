//! Port statuses as Barcelona's Endolla publishes them (GELFS). An EVSE is a port: `LOCATION/STATION/PORT`.

use serde_json::Value;

use super::field::{list, text, time};
use super::reading::Reading;

pub(super) fn readings(value: &Value) -> Option<(&'static str, Vec<Reading>)> {
    value.get("gelfs_version")?;
    let mut found = Vec::new();
    for location in list(value, "locations") {
        for station in list(location, "stations") {
            for port in list(station, "ports") {
                let ids = [text(location, "id"), text(station, "id"), text(port, "id")];
                let status = list(port, "port_status").iter().find_map(|one| text(one, "status"));
                if let ([Some(location), Some(station), Some(id)], Some(status)) = (ids, status) {
                    let evse = format!("{location}/{station}/{id}");
                    found.push(Reading::new(evse, status, time(port, "last_updated")));
                }
            }
        }
    }
    Some(("GELFS", found))
}
