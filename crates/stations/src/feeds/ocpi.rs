//! OCPI Locations, Tariffs and EVSEs of versions 2.1.1, 2.2.1 and 2.3.0: an object, a list, or a response whose `data` is either.

mod times;

use std::collections::BTreeMap;

use serde_json::Value;

use super::field::{connector, list, number, position, text, utc_time};
use super::reading::{Listed, Reading};
use crate::hours::{PriceRules, StatedTimes};
use crate::place::{Place, StatedPower};
use crate::words::is_absent;

const FORMAT: &str = "OCPI";

/// The objects of a document: itself, its list, or those of its `data`.
fn objects(value: &Value) -> &[Value] {
    match value {
        Value::Array(all) => all,
        Value::Object(object) => match object.get("data") {
            Some(Value::Array(all)) => all,
            Some(one @ Value::Object(_)) => std::slice::from_ref(one),
            _ => std::slice::from_ref(value),
        },
        _ => &[],
    }
}

/// Locations have EVSEs, and 2.1.1's may have none but still coordinates.
fn is_location(value: &Value) -> bool {
    text(value, "id").is_some() && value.get("evses").is_some_and(Value::is_array)
}

fn is_evse(value: &Value) -> bool {
    text(value, "uid").is_some() && (value.get("status").is_some() || value.get("connectors").is_some())
}

fn is_tariff(value: &Value) -> bool {
    text(value, "currency").is_some() && value.get("elements").is_some_and(Value::is_array)
}

/// The EVSEs of all locations, or those that stand alone, each with its location.
fn evses(value: &Value) -> Option<Vec<(Option<&Value>, &Value)>> {
    let objects = objects(value);
    objects.iter().any(|one| is_location(one) || is_evse(one)).then(|| {
        let mut found = Vec::new();
        for one in objects {
            if is_location(one) {
                found.extend(list(one, "evses").iter().map(|evse| (Some(one), evse)));
            } else if is_evse(one) {
                found.push((None, one));
            }
        }
        found
    })
}

/// `evse_id` names one, or the location and `uid` where it has none.
fn id(location: Option<&Value>, evse: &Value) -> Option<String> {
    text(evse, "evse_id").or_else(|| match location.and_then(|location| text(location, "id")) {
        Some(location) => Some(format!("{location}/{}", text(evse, "uid")?)),
        None => text(evse, "uid"),
    })
}

/// A response without entries: behind the last page, or of a network that has none.
fn is_empty_page(value: &Value) -> bool {
    let empty = value.get("data").and_then(Value::as_array).is_some_and(Vec::is_empty);
    empty && value.get("status_code").and_then(Value::as_u64).is_some_and(|code| (1000..2000).contains(&code))
}

pub(super) fn readings(value: &Value) -> Option<(&'static str, Vec<Reading>)> {
    if is_empty_page(value) {
        return Some((FORMAT, Vec::new()));
    }
    let read = |(location, evse): (Option<&Value>, &Value)| {
        let at = utc_time(evse, "last_updated").or_else(|| utc_time(location?, "last_updated"));
        let status = text(evse, "status");
        // An EVSE that stands alone may be a part of one, as PATCH has it.
        if status.is_none() && location.is_none() {
            return None;
        }
        Some(Reading::new(id(location, evse).unwrap_or_default(), status.unwrap_or_default(), at))
    };
    Some((FORMAT, evses(value)?.into_iter().filter_map(read).collect()))
}

/// Whether a document has tariffs and nothing else.
pub(super) fn is_tariffs(value: &Value) -> bool {
    let all = objects(value);
    !all.is_empty() && all.iter().all(is_tariff)
}

/// A list of the objects of some documents.
pub(super) fn joined<'a>(documents: impl IntoIterator<Item = &'a Value>) -> Value {
    documents.into_iter().flat_map(objects).cloned().collect()
}

pub(super) fn places(value: &Value) -> Option<(&'static str, Vec<Listed>)> {
    if is_empty_page(value) {
        return Some((FORMAT, Vec::new()));
    }
    let all = objects(value);
    let prices = prices(all);
    let found: Vec<Listed> =
        evses(value)?.into_iter().map(|(location, evse)| listed(location, evse, &prices)).collect();
    Some((FORMAT, found))
}

/// Energy prices per kWh of tariffs beside the locations, and their currencies, by id.
fn prices(all: &[Value]) -> BTreeMap<String, (PriceRules, String)> {
    let price =
        |tariff: &Value| Some((text(tariff, "id")?, (times::price_rules(tariff), text(tariff, "currency")?)));
    all.iter().filter(|one| is_tariff(one)).filter_map(price).collect()
}

fn listed(location: Option<&Value>, evse: &Value, prices: &BTreeMap<String, (PriceRules, String)>) -> Listed {
    let of_location = |name: &str| location.and_then(|location| text(location, name));
    let coordinates = |value: &Value| position(value.get("coordinates")?, "latitude", "longitude");
    let address: Vec<String> = ["address", "city"].iter().filter_map(|name| of_location(name)).collect();
    let connectors = list(evse, "connectors");
    let tariffs = |connector: &Value| -> Vec<String> {
        let many = list(connector, "tariff_ids").iter().filter_map(|id| id.as_str().map(str::to_owned));
        many.chain(text(connector, "tariff_id")).collect()
    };
    let known = connectors.iter().flat_map(tariffs).filter_map(|id| prices.get(&id));
    let known: Vec<_> = known.filter(|(rules, _)| rules.most().is_some()).collect();
    // The highest of those in one currency: others cannot be compared.
    let currency = known.first().map(|(_, currency)| currency);
    let same = known.iter().filter(|(_, other)| Some(other) == currency).map(|(rules, _)| rules);
    let rules = same.max_by(|a, b| a.most().unwrap_or(0.0).total_cmp(&b.most().unwrap_or(0.0)));
    let mut listed = Listed {
        evse: id(location, evse).unwrap_or_default(),
        place: Place {
            station: of_location("id"),
            position: coordinates(evse).or_else(|| coordinates(location?)),
            price_kwh: rules.and_then(|rules| rules.else_kwh),
            operator: location.and_then(|location| text(location.get("operator")?, "name")),
            address: (!address.is_empty()).then(|| address.join(", ")),
            ..Place::default()
        },
        power: connectors.iter().filter_map(power).reduce(StatedPower::higher),
        times: StatedTimes {
            zone: of_location("time_zone"),
            country: of_location("country").or_else(|| of_location("country_code")),
            hours: times::hours(location.and_then(|location| location.get("opening_times"))),
            prices: rules.map(|rules| rules.timed.clone()).unwrap_or_default(),
        },
        currency: currency.cloned(),
        is_absent: text(evse, "status").is_some_and(|status| is_absent(&status)),
        ..Listed::default()
    };
    for standard in connectors.iter().filter_map(|one| text(one, "standard")) {
        connector(&mut listed, &standard);
    }
    listed
}

/// Section 8.3.3: `max_electric_power` in W if given, otherwise voltage × current, in 2.1.1 by other names; the voltage of AC is line
/// to neutral, which three phases take three times. Where it is that between two lines all the same, three phases take √3 of it.
fn power(connector: &Value) -> Option<StatedPower> {
    /// Voltages of three phases above this are between two lines, in V: 230 and 400 in Europe, 277 and 480 in America.
    const BETWEEN_LINES_V: f64 = 300.0;
    let either = |a: &str, b: &str| number(connector, a).or_else(|| number(connector, b));
    let product = || {
        let volts = either("max_voltage", "voltage")?;
        let phases = match text(connector, "power_type").as_deref() {
            Some("AC_3_PHASE") if volts > BETWEEN_LINES_V => f64::sqrt(3.0),
            Some("AC_3_PHASE") => 3.0,
            Some("AC_2_PHASE" | "AC_2_PHASE_SPLIT") => 2.0,
            _ => 1.0,
        };
        Some(volts * either("max_amperage", "amperage")? * phases)
    };
    // Less than six amperes is none of a charger.
    let product = || product().filter(|watts| *watts >= 1_000.0 * crate::place::LEAST_KW);
    let stated = number(connector, "max_electric_power").filter(|watts| *watts != 0.0);
    stated.or_else(product).map(StatedPower::watts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_lists_its_evses() {
        let text = r#"[{"id":"L","address":"Street 1","city":"Town","coordinates":{"latitude":"50.5","longitude":8.25},
            "operator":{"name":"Op"},"evses":[{"uid":"1","status":"AVAILABLE","connectors":[
            {"standard":"IEC_62196_T2","power_type":"AC_3_PHASE","voltage":230,"amperage":32},
            {"standard":"IEC_62196_T2_COMBO","power_type":"DC","max_voltage":400,"max_amperage":500,"max_electric_power":150000,"tariff_ids":["T"]},
            {"standard":"BROOMSTICK"}]}]},
            {"id":"T","currency":"EUR","elements":[{"price_components":[{"type":"FLAT","price":1},{"type":"ENERGY","price":0.45}]}]}]"#;
        let (_, listed) = places(&serde_json::from_str(text).unwrap()).unwrap();
        let [one] = &listed[..] else { panic!("{listed:?}") };
        use crate::{Plug, Position};
        assert_eq!((&*one.evse, &one.place.plugs[..]), ("L/1", &[Plug::Ccs, Plug::Type2][..]));
        assert_eq!((one.power, one.place.price_kwh), (Some(StatedPower::watts(150_000.0)), Some(0.45)));
        assert_eq!(one.place.position, Position::new(50.5, 8.25));
        assert_eq!(
            (&one.unknown_plugs[..], one.place.address.as_deref()),
            (&["BROOMSTICK".to_owned()][..], Some("Street 1, Town"))
        );
    }

    fn of_connector(connector: &str, tariff: &str) -> Listed {
        let text = format!(r#"[{{"id":"L","evses":[{{"uid":"1","connectors":[{connector}]}}]}},{tariff}]"#);
        let (_, listed) = places(&serde_json::from_str(&text).unwrap()).unwrap();
        listed[0].clone()
    }

    #[test]
    fn a_price_is_with_taxes() {
        let check = |tariff: &str, component: &str, expected: Option<f64>| {
            let tariff = format!(
                r#"{{"id":"T","currency":"EUR",{tariff}"elements":[{{"price_components":[{{"type":"ENERGY","price":0.4{component}}}]}}]}}"#
            );
            let place = of_connector(r#"{"standard":"IEC_62196_T2_COMBO","tariff_ids":["T"]}"#, &tariff);
            assert_eq!(place.place.price_kwh, expected, "{tariff}");
        };
        check("", "", Some(0.4));
        check("", r#","vat":null"#, Some(0.4));
        check("", r#","vat":19.0"#, Some(0.476));
        check(r#""tax_included":"NO","#, r#","vat":19.0"#, Some(0.476));
        check(r#""tax_included":"YES","#, r#","vat":19.0"#, Some(0.4));
    }

    #[test]
    fn three_phases_take_the_voltage_of_lines_or_of_one_to_neutral() {
        for volts in [230, 400] {
            let connector = format!(
                r#"{{"standard":"IEC_62196_T2","power_type":"AC_3_PHASE","max_voltage":{volts},"max_amperage":32}}"#
            );
            let power = of_connector(&connector, "1").power.unwrap();
            let [less, more] = [22_000.0, 22_200.0].map(StatedPower::watts);
            assert_eq!((power.higher(less), power.higher(more)), (power, more), "{volts} V");
        }
    }

    #[test]
    fn a_time_without_an_offset_is_in_utc() {
        let text =
            r#"{"id":"L","evses":[{"uid":"1","status":"AVAILABLE","last_updated":"2025-03-03T10:30:00"}]}"#;
        let (_, found) = readings(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(found[0].at, Some(1_740_997_800));
    }
}
