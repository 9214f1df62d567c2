//! OICP 2.3 (Hubject, and the Swiss platform in the same form): EVSE status records and EVSE data records.

use serde_json::Value;

use super::field::{connector, each, list, number, position, text, time};
use super::reading::{Listed, Reading};
use crate::hours::{StatedHours, StatedTimes, Week, minute_of_day, weekday};
use crate::place::{Place, Position, StatedPower, degrees};

const FORMAT: &str = "OICP";

/// Status records have no times, they are of when they were asked for; some platforms add one.
pub(super) fn readings(value: &Value) -> Option<(&'static str, Vec<Reading>)> {
    let mut found = Vec::new();
    let mut any = false;
    each(value, "EvseID", &mut |record| {
        let names = ["EVSEStatus", "EvseStatus"];
        if names.iter().any(|name| record.get(*name).is_some()) {
            any = true;
            let status = names.iter().find_map(|name| text(record, name)).unwrap_or_default();
            let at = ["timestamp", "LastUpdate", "lastUpdate"].iter().find_map(|name| time(record, name));
            found.push(Reading::new(text(record, "EvseID").unwrap_or_default(), status, at));
        }
    });
    // An answer without any record is one too.
    let empty = ["EVSEStatuses", "EvseStatuses"].iter().any(|name| value.get(*name).is_some());
    (any || empty).then_some((FORMAT, found))
}

pub(super) fn places(value: &Value) -> Option<(&'static str, Vec<Listed>)> {
    let mut found = Vec::new();
    // The operator stands around its records.
    each(value, "EVSEDataRecord", &mut |operator| records(operator, "EVSEDataRecord", &mut found));
    each(value, "EvseDataRecord", &mut |operator| records(operator, "EvseDataRecord", &mut found));
    if found.is_empty() {
        each(value, "Plugs", &mut |record| found.push(listed(record, None)));
    }
    (!found.is_empty()).then_some((FORMAT, found))
}

fn records(operator: &Value, name: &str, found: &mut Vec<Listed>) {
    let named = text(operator, "OperatorName");
    found.extend(list(operator, name).iter().map(|record| listed(record, named.clone())));
}

fn listed(record: &Value, operator: Option<String>) -> Listed {
    let address = record.get("Address");
    let part = |name: &str| address.and_then(|address| text(address, name));
    let street = match (part("Street"), part("HouseNum")) {
        (Some(street), Some(number)) => Some(format!("{street} {number}")),
        (street, _) => street,
    };
    let parts: Vec<String> = street.into_iter().chain(part("City")).collect();
    let evse = text(record, "EvseID").unwrap_or_default();
    let station = text(record, "ChargingStationId").or_else(|| text(record, "ChargingStationID"));
    let facilities = list(record, "ChargingFacilities").iter();
    let power = facilities.filter_map(|one| number(one, "power").or_else(|| number(one, "Power")));
    let power = power.map(StatedPower::kilowatts).reduce(StatedPower::higher);
    let mut listed = Listed {
        place: Place {
            // Some write the EVSE's id there.
            station: station.filter(|station| *station != evse),
            position: record.get("GeoCoordinates").and_then(coordinates),
            operator: operator.or_else(|| text(record, "OperatorName")),
            address: (!parts.is_empty()).then(|| parts.join(", ")),
            ..Place::default()
        },
        evse,
        power,
        times: StatedTimes { country: part("Country"), hours: hours(record), ..StatedTimes::default() },
        ..Listed::default()
    };
    for plug in list(record, "Plugs").iter().filter_map(Value::as_str) {
        connector(&mut listed, plug);
    }
    listed
}

/// Opening hours of a record.
fn hours(record: &Value) -> StatedHours {
    let flag = |name: &str| record.get(name).and_then(Value::as_bool);
    let stated = list(record, "OpeningTimes");
    match flag("IsOpen24Hours").or_else(|| flag("isOpen24Hours")) {
        Some(true) => StatedHours::Always,
        _ if stated.is_empty() => StatedHours::Unsaid,
        _ => StatedHours::of(week(stated), || Value::from(stated).to_string()),
    }
}

fn week(stated: &[Value]) -> Option<Week> {
    let mut week = Week::default();
    for one in stated {
        let name = text(one, "on").or_else(|| text(one, "On"))?;
        let days = match name.to_ascii_lowercase().as_str() {
            "everyday" => 0..7,
            "workdays" => 0..5,
            "weekend" => 5..7,
            _ => weekday(&name).map(|day| day..day + 1)?,
        };
        let periods = [list(one, "Period"), list(one, "period")].concat();
        for (day, period) in days.flat_map(|day| periods.iter().map(move |period| (day, period))) {
            let minute = |name: &str| minute_of_day(&text(period, name)?);
            week.add(day, minute("begin")?, minute("end")?);
        }
    }
    Some(week)
}

/// `Google` is one text, `DecimalDegree` two fields, `DegreeMinuteSeconds` two with marks.
fn coordinates(value: &Value) -> Option<Position> {
    if let Some(both) = text(value, "Google") {
        let (latitude, longitude) = both.split_once([' ', ','])?;
        let degrees = |text: &str| text.trim().parse().ok();
        return Position::new(degrees(latitude)?, degrees(longitude)?);
    }
    if let Some(decimal) = value.get("DecimalDegree").filter(|decimal| decimal.is_object()) {
        return position(decimal, "Latitude", "Longitude");
    }
    let marked = value.get("DegreeMinuteSeconds")?;
    Position::new(degrees(&text(marked, "Latitude")?)?, degrees(&text(marked, "Longitude")?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plug;

    #[test]
    fn a_data_record_lists_its_evse() {
        let text = r#"{"EVSEData":[{"OperatorName":"Op","EVSEDataRecord":[{"EvseID":"CH*REPE1","Plugs":["Type 2 Outlet","Broomstick"],
            "GeoCoordinates":{"Google":"46.5 9.75"},"ChargingFacilities":[{"power":"22","powertype":"AC_3_PHASE"}],
            "Address":{"Street":"Via","HouseNum":"5","City":"Silvaplana"},"ChargingStationId":"CH*REPE1"}]}]}"#;
        let (_, listed) = places(&serde_json::from_str(text).unwrap()).unwrap();
        let [one] = &listed[..] else { panic!("{listed:?}") };
        assert_eq!(
            (&*one.evse, &one.place.plugs[..], one.power),
            ("CH*REPE1", &[Plug::Type2][..], Some(StatedPower::kilowatts(22.0)))
        );
        assert_eq!((one.place.position, &one.place.station), (Position::new(46.5, 9.75), &None));
        assert_eq!(
            (one.place.address.as_deref(), one.place.operator.as_deref()),
            (Some("Via 5, Silvaplana"), Some("Op"))
        );
        assert_eq!(one.unknown_plugs, ["Broomstick"]);
    }

    #[test]
    fn coordinates_have_three_forms() {
        for form in [
            r#"{"Google":"46.5 9.75"}"#,
            r#"{"Google":null,"DecimalDegree":{"Latitude":"46.5","Longitude":"9.75"}}"#,
            r#"{"DegreeMinuteSeconds":{"Latitude":"46°30'0.0''","Longitude":"9°45'0.0''"}}"#,
        ] {
            let found = coordinates(&serde_json::from_str(form).unwrap());
            assert_eq!(found, Position::new(46.5, 9.75), "{form}");
        }
    }
}
