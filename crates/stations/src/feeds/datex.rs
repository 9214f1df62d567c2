//! DATEX II 3.6, profile AFIR Energy Infrastructure, as JSON or as XML (see [`super::xml`]): the status publication and the table
//! publication.

mod times;

use std::cmp::Ordering;

use serde_json::Value;

use super::field::{connector, each, first, list, number, plain_number, position, text, time, value_of};
use super::reading::{Listed, Reading, Unread};
use crate::Meaning;
use crate::hours::{PriceRules, Restriction, StatedTimes};
use crate::place::{Place, Position, StatedPower};
use crate::words::meaning;

const FORMAT: &str = "DATEX II";

/// The object itself, or the one that its only field holds: elements are wrapped in the name of their type.
fn unwrapped(value: &Value) -> &Value {
    match value.as_object() {
        Some(object) if object.len() == 1 => {
            object.values().next().filter(|one| one.is_object()).unwrap_or(value)
        }
        _ => value,
    }
}

fn id(value: &Value) -> Option<String> {
    let reference = value.get("reference").or_else(|| value.get("refillPointReference"))?;
    text(reference, "idG").or_else(|| text(reference, "id")).or_else(|| text(reference, "idg"))
}

pub(super) fn readings(value: &Value) -> Option<(&'static str, Vec<Reading>)> {
    let mut found = Vec::new();
    let any = walk(value, None, &mut found);
    any.then_some((FORMAT, found))
}

/// A status that says that a site, a station or a refill point is closed or not in operation, and the time of that.
type Closed = (String, Option<Result<i64, Unread>>);

/// The words of Facilities' `openingStatus` and `operationStatus` that say that nobody can charge.
const CLOSED: [&str; 7] = [
    "closed",
    "closedOnHoliday",
    "closedOnMaintenance",
    "temporarilyClosed",
    "notInOperation",
    "notInOperationAbnormal",
    "technicalDefect",
];

fn closed(value: &Value) -> Option<Closed> {
    let names = ["openingStatus", "operationStatus"];
    let word =
        names.iter().filter_map(|name| value_of(value, name)).find(|word| CLOSED.contains(&&**word))?;
    Some((word, time(value, "lastUpdated")))
}

/// Adds the refill points of a site or station; `around` is what closes it. Whether it has any.
fn walk(value: &Value, around: Option<&Closed>, found: &mut Vec<Reading>) -> bool {
    let mut any = false;
    match value {
        Value::Array(all) => all.iter().for_each(|one| any |= walk(one, around, found)),
        Value::Object(object) => {
            let here = closed(value);
            let closed_by = around.or(here.as_ref());
            any = object.contains_key("refillPointStatus");
            found.extend(
                list(value, "refillPointStatus").iter().map(|point| reading(point, value, closed_by)),
            );
            for (_, within) in object.iter().filter(|(name, _)| *name != "refillPointStatus") {
                any |= walk(within, closed_by, found);
            }
        }
        _ => {}
    }
    any
}

/// The status of a refill point. Where that or what is around it is closed, it is not free, whatever it says itself.
fn reading(point: &Value, station: &Value, around: Option<&Closed>) -> Reading {
    let point = unwrapped(point);
    let at = time(point, "lastUpdated").or_else(|| time(station, "lastUpdated"));
    let (evse, status) = (id(point).unwrap_or_default(), value_of(point, "status").unwrap_or_default());
    let here = closed(point);
    let Some((word, since)) = around.or(here.as_ref()) else { return Reading::new(evse, status, at) };
    if matches!(meaning(&status), Some(Meaning::Busy | Meaning::OutOfOrder)) {
        return Reading::new(evse, status, at);
    }
    // The later one: it was open while the point said so.
    let at = match (at, since) {
        (Some(Ok(at)), Some(Ok(since))) => Some(Ok(at.max(*since))),
        (at, since) => since.clone().or(at),
    };
    Reading::new(evse, word.clone(), at)
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
            let country = [station, site].into_iter().find_map(|one| {
                first(one.get("locationReference")?, "countryCode")?.as_str().map(str::to_owned)
            });
            for point in list(station, "refillPoint").iter().map(unwrapped) {
                let mut listed = listed(point);
                listed.place.station = text(station, "idG").or_else(|| text(station, "id"));
                listed.place.position = where_is(point).or(here);
                listed.is_absent = [point, station, site].into_iter().any(is_closed_for_good);
                (listed.place.operator, listed.place.address) = (operator.clone(), address.clone());
                listed.times.hours = times::hours([point, station, site]);
                listed.times.country = country.clone();
                found.push(listed);
            }
        }
    });
    any.then_some((FORMAT, found))
}

/// Whether the operating hours of an object say that it will not open again; the schema's spelling of that has a syllable too many.
fn is_closed_for_good(value: &Value) -> bool {
    let Some(hours) = value.get("operatingHours") else { return false };
    ["permanentlyClosed", "permananentlyClosed"].iter().any(|name| {
        first(hours, name).is_some_and(|flag| {
            let text = flag.as_str().map(|text| matches!(text.trim(), "true" | "1"));
            flag.as_bool().or(text).unwrap_or(false)
        })
    })
}

fn listed(point: &Value) -> Listed {
    let connectors = list(point, "connector");
    let watts = connectors.iter().filter_map(|one| number(one, "maxPowerAtSocket"));
    let all = list(point, "availableChargingPower").iter().filter_map(plain_number);
    let (rules, currency) = prices(point).unzip();
    let mut listed = Listed {
        evse: text(point, "idG").or_else(|| text(point, "id")).unwrap_or_default(),
        place: Place {
            price_kwh: rules.as_ref().and_then(|rules: &PriceRules| rules.else_kwh),
            ..Place::default()
        },
        times: StatedTimes { prices: rules.unwrap_or_default().timed, ..StatedTimes::default() },
        power: watts.chain(all).map(StatedPower::watts).reduce(StatedPower::higher),
        currency: currency.flatten(),
        ..Listed::default()
    };
    for name in connectors.iter().filter_map(|one| value_of(one, "connectorType")) {
        connector(&mut listed, &name);
    }
    listed
}

/// What a driver without a contract pays a kWh, taxes included, and in which currency.
fn prices(point: &Value) -> Option<(PriceRules, Option<String>)> {
    let rates = list(point, "electricEnergy").iter().flat_map(|energy| list(energy, "energyRate"));
    let rate =
        rates.into_iter().find(|rate| value_of(rate, "ratePolicy").is_none_or(|policy| policy == "adHoc"))?;
    let per_kwh = |price: &&Value| value_of(price, "priceType").as_deref() == Some("pricePerKWh");
    let mut prices = Vec::new();
    for price in list(rate, "energyPrice").iter().filter(per_kwh) {
        // A price of some energy or minutes only may count, and so may one whose times are not understood.
        let is_part = ["timeBasedApplicability", "energyBasedApplicability"]
            .iter()
            .any(|name| price.get(*name).is_some_and(|part| !part.is_null()));
        let restriction = match list(price, "overallPeriod").first().map(times::week) {
            Some(Some((week, period))) if !is_part => Restriction::Times(week, period),
            None if !is_part => Restriction::None,
            _ => Restriction::Other,
        };
        prices.push((restriction, gross(price)?));
    }
    // The highest of those that hold at all times.
    prices.sort_by(|a, b| (order(&a.0), b.1).partial_cmp(&(order(&b.0), a.1)).unwrap_or(Ordering::Equal));
    let mut rules = PriceRules::default();
    prices.into_iter().for_each(|(restriction, price)| rules.push(restriction, price));
    let currency = list(rate, "applicableCurrency").first();
    let currency = currency.and_then(|one| one.as_str().map(str::to_owned).or_else(|| text(one, "value")));
    rules.most().is_some().then_some((rules, currency))
}

/// Those that may count first, then those at some times, then those at all times.
fn order(restriction: &Restriction) -> u8 {
    match restriction {
        Restriction::Other => 0,
        Restriction::Times(..) => 1,
        Restriction::None => 2,
    }
}

/// A price with its taxes.
fn gross(price: &Value) -> Option<f64> {
    let net = number(price, "value")?;
    let excluded = match price.get("taxIncluded") {
        Some(Value::Bool(included)) => !included,
        Some(Value::String(text)) => matches!(text.trim(), "false" | "0"),
        _ => false,
    };
    let taxes = if excluded { number(price, "taxRate").unwrap_or(0.0) } else { 0.0 };
    let gross = net * (1.0 + taxes / 100.0);
    // Prices are published to a hundredth of a cent.
    (gross >= 0.0).then(|| (gross * 1e4).round() / 1e4)
}

fn where_is(value: &Value) -> Option<Position> {
    let reference = value.get("locationReference")?;
    let point = first(reference, "coordinatesForDisplay").or_else(|| first(reference, "pointCoordinates"))?;
    position(point, "latitude", "longitude")
}

/// The first name in any language.
fn words(value: &Value) -> Option<String> {
    spoken(first(value, "name")?)
}

/// A text in the first of its languages.
fn spoken(value: &Value) -> Option<String> {
    fn word(value: &Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Array(all) => all.iter().find_map(word),
            Value::Object(object) => word(object.get("value")?),
            _ => None,
        }
    }
    list(value, "values").iter().find_map(word)
}

/// Street, number and town.
fn address(reference: &Value) -> Option<String> {
    let address = first(reference, "address")?;
    let lines: Vec<String> =
        list(address, "addressLine").iter().filter_map(|line| spoken(line.get("text")?)).collect();
    let town = address.get("city").and_then(spoken);
    let parts: Vec<String> =
        Some(lines.join(" ")).filter(|l| !l.is_empty()).into_iter().chain(town).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plug;
    use crate::feeds::xml;

    /// A status publication of one site as XML, with so many refill points.
    fn statuses(points: &[(&str, &str)]) -> String {
        let point = |(id, status): &(&str, &str)| {
            format!(
                "<egi:refillPointStatus xsi:type=\"egi:RefillPointStatus\">\
                 <fac:reference targetClass=\"fac:FacilityObject\" id=\"{id}\" version=\"1\"/>\
                 <fac:lastUpdated>2025-03-03T11:30:00+01:00</fac:lastUpdated>\
                 <egi:status>{status}</egi:status></egi:refillPointStatus>"
            )
        };
        let points: String = points.iter().map(point).collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<d2:messageContainer xmlns:d2=\"http://datex2.eu/schema/3/d2Payload\" \
             xmlns:egi=\"http://datex2.eu/schema/3/energyInfrastructure\"><d2:payload lang=\"de\" \
             xsi:type=\"egi:EnergyInfrastructureStatusPublication\"><egi:energyInfrastructureSiteStatus>\
             <fac:reference id=\"S\" version=\"1\"/><egi:energyInfrastructureStationStatus><fac:reference id=\"T\" version=\"1\"/>\
             {points}</egi:energyInfrastructureStationStatus></egi:energyInfrastructureSiteStatus></d2:payload></d2:messageContainer>"
        )
    }

    #[test]
    fn statuses_in_xml_are_those_in_json() {
        let check = |points: &[(&str, &str)]| {
            let found = readings(&xml::read(statuses(points).as_bytes(), "the feed").unwrap()).unwrap();
            let at = 1_740_997_800;
            let expected = points
                .iter()
                .map(|(id, status)| Reading::new((*id).to_owned(), (*status).to_owned(), Some(Ok(at))));
            assert_eq!(found, (FORMAT, expected.collect()));
        };
        // One stands alone, several are a list.
        check(&[("DE*AB1*E1", "available")]);
        check(&[("DE*AB1*E1", "available"), ("DE*AB1*E2", "charging"), ("DE*AB1*E3", "outOfOrder")]);
    }

    #[test]
    fn places_in_xml_are_those_in_json() {
        let text = "<payload><energyInfrastructureTable id='t'><energyInfrastructureSite id='S'>\
            <locationReference><coordinatesForDisplay><latitude>50.5</latitude><longitude>8.25</longitude></coordinatesForDisplay>\
            <address><city><values><value lang='de'>Town</value></values></city><addressLine order='1'><text><values>\
            <value lang='de'>Street 1</value><value lang='en'>1 Street</value></values></text></addressLine></address></locationReference>\
            <operator><name><values><value lang='de'>Op</value></values></name></operator>\
            <energyInfrastructureStation id='T'><refillPoint id='DE*AB1*E1' version='1'>\
            <availableChargingPower>11000</availableChargingPower><availableChargingPower>150000</availableChargingPower>\
            <connector><connectorType>iec62196T2COMBO</connectorType><maxPowerAtSocket>150000</maxPowerAtSocket></connector>\
            <electricEnergy><energyRate><ratePolicy>adHoc</ratePolicy><energyPrice><priceType>pricePerKWh</priceType>\
            <value>0.66386555</value><taxIncluded>false</taxIncluded><taxRate>19</taxRate></energyPrice></energyRate></electricEnergy>\
            </refillPoint></energyInfrastructureStation></energyInfrastructureSite></energyInfrastructureTable></payload>";
        let (_, listed) = places(&xml::read(text.as_bytes(), "the list").unwrap()).unwrap();
        let [one] = &listed[..] else { panic!("{listed:?}") };
        assert_eq!((&*one.evse, &one.place.plugs[..]), ("DE*AB1*E1", &[Plug::Ccs][..]));
        assert_eq!((one.power, one.place.price_kwh), (Some(StatedPower::watts(150_000.0)), Some(0.79)));
        assert_eq!(
            (one.place.position, one.place.station.as_deref()),
            (Position::new(50.5, 8.25), Some("T"))
        );
        assert_eq!(one.place.address.as_deref(), Some("Street 1, Town"));
        assert_eq!((one.place.operator.as_deref(), &one.unknown_plugs[..]), (Some("Op"), &[][..]));
    }
}
