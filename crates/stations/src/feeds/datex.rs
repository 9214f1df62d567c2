//! DATEX II 3.6, profile AFIR Energy Infrastructure, as JSON: the status publication and the table publication.

use serde_json::Value;

use super::field::{connector, each, first, list, number, position, text, time};
use super::{Listed, Reading};
use crate::place::{Place, Position};

const FORMAT: &str = "DATEX II";

/// An enumeration's value, which stands alone or in an object.
fn value_of(value: &Value, name: &str) -> Option<String> {
    text(value, name).or_else(|| text(value.get(name)?, "value"))
}

/// The object itself, or the one that its only field holds: elements are wrapped in the name of their type.
fn unwrapped(value: &Value) -> &Value {
    match value.as_object() {
        Some(object) if object.len() == 1 => object.values().next().unwrap_or(value),
        _ => value,
    }
}

fn id(value: &Value) -> Option<String> {
    let reference = value.get("reference")?;
    text(reference, "idG").or_else(|| text(reference, "id")).or_else(|| text(reference, "idg"))
}

pub(super) fn readings(value: &Value) -> Option<(&'static str, Vec<Reading>)> {
    let mut found = Vec::new();
    let mut any = false;
    each(value, "refillPointStatus", &mut |station| {
        any = true;
        for point in list(station, "refillPointStatus").iter().map(unwrapped) {
            let at = time(point, "lastUpdated").or_else(|| time(station, "lastUpdated"));
            if let (Some(evse), Some(status)) = (id(point), value_of(point, "status")) {
                found.push(Reading { evse, status, at });
            }
        }
    });
    any.then_some((FORMAT, found))
}

pub(super) fn places(value: &Value) -> Option<(&'static str, Vec<Listed>)> {
    let mut found = Vec::new();
    let mut any = false;
    each(value, "energyInfrastructureStation", &mut |site| {
        for station in list(site, "energyInfrastructureStation") {
            any = true;
            let here = where_is(station).or_else(|| where_is(site));
            let operator = [station, site].into_iter().find_map(|one| words(one.get("operator")?));
            let address = [station, site].into_iter().find_map(|one| address(one.get("locationReference")?));
            for point in list(station, "refillPoint").iter().map(unwrapped) {
                let mut listed = listed(point);
                listed.place.station = text(station, "idG").or_else(|| text(station, "id"));
                listed.place.position = where_is(point).or(here);
                (listed.place.operator, listed.place.address) = (operator.clone(), address.clone());
                found.push(listed);
            }
        }
    });
    any.then_some((FORMAT, found))
}

fn listed(point: &Value) -> Listed {
    let connectors = list(point, "connector");
    let watts = connectors.iter().filter_map(|one| number(one, "maxPowerAtSocket"));
    let all = list(point, "availableChargingPower").iter().filter_map(Value::as_f64);
    let mut listed = Listed {
        evse: text(point, "idG").or_else(|| text(point, "id")).unwrap_or_default(),
        place: Place {
            power_kw: watts.chain(all).reduce(f64::max).map(|watts| watts / 1000.0).filter(|kw| *kw > 0.0),
            price_kwh: price_kwh(point),
            ..Place::default()
        },
        unknown_plugs: Vec::new(),
    };
    for name in connectors.iter().filter_map(|one| value_of(one, "connectorType")) {
        connector(&mut listed, &name);
    }
    listed
}

/// What a driver without a contract pays a kWh, taxes included.
fn price_kwh(point: &Value) -> Option<f64> {
    let rates = list(point, "electricEnergy").iter().flat_map(|energy| list(energy, "energyRate"));
    let rate =
        rates.into_iter().find(|rate| value_of(rate, "ratePolicy").is_none_or(|policy| policy == "adHoc"))?;
    let per_kwh = |price: &&Value| value_of(price, "priceType").as_deref() == Some("pricePerKWh");
    let price = list(rate, "energyPrice").iter().find(per_kwh)?;
    let net = number(price, "value")?;
    let taxes = match price.get("taxIncluded").and_then(Value::as_bool) {
        Some(false) => number(price, "taxRate").unwrap_or(0.0),
        _ => 0.0,
    };
    let gross = net * (1.0 + taxes / 100.0);
    // Prices are published to a hundredth of a cent.
    (gross >= 0.0).then_some((gross * 1e4).round() / 1e4)
}

fn where_is(value: &Value) -> Option<Position> {
    let reference = value.get("locationReference")?;
    let point = first(reference, "coordinatesForDisplay").or_else(|| first(reference, "pointCoordinates"))?;
    position(point, "latitude", "longitude")
}

/// The first name in any language.
fn words(value: &Value) -> Option<String> {
    list(first(value, "name")?, "values").iter().find_map(|one| text(one, "value"))
}

/// Street, number and town.
fn address(reference: &Value) -> Option<String> {
    let address = first(reference, "address")?;
    let in_words = |value: &Value| list(value, "values").iter().find_map(|one| text(one, "value"));
    let lines: Vec<String> =
        list(address, "addressLine").iter().filter_map(|line| in_words(line.get("text")?)).collect();
    let town = address.get("city").and_then(in_words);
    let parts: Vec<String> =
        Some(lines.join(" ")).filter(|l| !l.is_empty()).into_iter().chain(town).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
