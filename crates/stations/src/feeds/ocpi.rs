//! OCPI 2.2.1 Locations (part II, section 8): a location, a list of them, or a response whose `data` is either.

use serde::Deserialize;
use serde_json::Value;

use super::{MAX_FEED_BYTES, Reading, time_of};
use crate::Error;
use crate::place::{Place, Plug, Position};

const WHAT: &str = "the OCPI location";

#[derive(Deserialize)]
struct Location {
    id: String,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    city: Option<String>,
    coordinates: Option<Coordinates>,
    #[serde(default)]
    operator: Option<Operator>,
    #[serde(default)]
    evses: Vec<Evse>,
}

/// Strings, by section 8.4.13; some write numbers.
#[derive(Deserialize)]
struct Coordinates {
    latitude: Value,
    longitude: Value,
}

#[derive(Deserialize)]
struct Operator {
    name: String,
}

#[derive(Deserialize)]
struct Evse {
    uid: String,
    #[serde(default)]
    evse_id: Option<String>,
    status: String,
    last_updated: Option<String>,
    #[serde(default)]
    coordinates: Option<Coordinates>,
    #[serde(default)]
    connectors: Vec<Connector>,
}

#[derive(Deserialize)]
struct Connector {
    standard: String,
    #[serde(default)]
    power_type: String,
    #[serde(default)]
    max_voltage: f64,
    #[serde(default)]
    max_amperage: f64,
    #[serde(default)]
    max_electric_power: Option<f64>,
}

impl Connector {
    /// Section 8.3.3: `max_electric_power` in W if given, otherwise voltage × current; `max_voltage` of AC is line to neutral,
    /// which three phases take three times.
    fn power_kw(&self) -> Option<f64> {
        let phases = match &*self.power_type {
            "AC_3_PHASE" => 3.0,
            "AC_2_PHASE" | "AC_2_PHASE_SPLIT" => 2.0,
            _ => 1.0,
        };
        let watts = self.max_electric_power.unwrap_or(self.max_voltage * self.max_amperage * phases);
        (watts > 0.0 && watts.is_finite()).then_some(watts / 1000.0)
    }
}

fn position(coordinates: &Coordinates) -> Option<Position> {
    let degrees = |value: &Value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    Position::new(degrees(&coordinates.latitude)?, degrees(&coordinates.longitude)?)
}

/// Reads the EVSEs of all locations. `evse_id` names one, or the location and `uid` where it has none.
///
/// # Errors
/// More than [`MAX_FEED_BYTES`], or not OCPI.
pub fn read_ocpi(bytes: &[u8]) -> Result<Vec<Reading>, Error> {
    if bytes.len() > MAX_FEED_BYTES {
        return Err(Error::TooMuch {
            what: "bytes of OCPI",
            found: bytes.len() as u64,
            limit: MAX_FEED_BYTES as u64,
        });
    }
    let json = |source| Error::Json { what: WHAT, source };
    let mut value: Value = serde_json::from_slice(bytes).map_err(json)?;
    if let Some(data) = value.get_mut("data").filter(|data| !data.is_null()) {
        value = data.take();
    }
    let locations: Vec<Location> = match value {
        Value::Array(_) => serde_json::from_value(value).map_err(json)?,
        one => vec![serde_json::from_value(one).map_err(json)?],
    };
    Ok(locations
        .iter()
        .flat_map(|location| location.evses.iter().map(|evse| reading(location, evse)))
        .collect())
}

fn reading(location: &Location, evse: &Evse) -> Reading {
    let address: Vec<&str> =
        [&location.address, &location.city].into_iter().flatten().map(|s| &**s).collect();
    let powers = evse.connectors.iter().filter_map(Connector::power_kw);
    let coordinates = evse.coordinates.as_ref().or(location.coordinates.as_ref());
    let mut plugs: Vec<Plug> = evse.connectors.iter().filter_map(|c| Plug::of_name(&c.standard)).collect();
    plugs.sort_unstable();
    plugs.dedup();
    let place = Place {
        station: Some(location.id.clone()),
        connector: None,
        plugs,
        position: coordinates.and_then(position),
        power_kw: powers.reduce(f64::max),
        price_kwh: None,
        operator: location.operator.as_ref().map(|operator| operator.name.clone()),
        address: (!address.is_empty()).then(|| address.join(", ")),
    };
    let evse_id = evse.evse_id.clone().unwrap_or_else(|| format!("{}/{}", location.id, evse.uid));
    let at = evse.last_updated.as_deref().and_then(time_of);
    Reading { evse: evse_id, status: evse.status.clone(), at, place }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCATION: &str = r#"{"id": "L", "address": "Quay 1", "city": "Cork", "country": "IRL",
        "coordinates": {"latitude": "51.9", "longitude": "-8.5"}, "operator": {"name": "Op"},
        "evses": [{"uid": "1", "evse_id": "IE*OP*E1", "status": "CHARGING", "last_updated": "2024-05-01T00:00:00Z",
            "connectors": [{"id": "1", "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE",
                "max_voltage": 230, "max_amperage": 32, "last_updated": "2024-05-01T00:00:00Z"}]},
            {"uid": "2", "status": "AVAILABLE", "last_updated": "2024-05-01T00:00:00Z"}]}"#;

    #[test]
    fn a_location_has_readings_with_places() {
        let readings = read_ocpi(LOCATION.as_bytes()).unwrap();
        let place = &readings[0].place;
        assert_eq!(
            (&*readings[0].evse, &*readings[0].status, &*readings[1].evse),
            ("IE*OP*E1", "CHARGING", "L/2")
        );
        assert_eq!((place.plugs.clone(), place.power_kw), (vec![Plug::Type2], Some(22.08)));
        assert_eq!(place.position, Position::new(51.9, -8.5));
        assert_eq!(place.address.as_deref(), Some("Quay 1, Cork"));
    }

    #[test]
    fn a_response_wraps_locations() {
        let direct = read_ocpi(LOCATION.as_bytes()).unwrap();
        let wrapped =
            format!(r#"{{"data": [{LOCATION}], "status_code": 1000, "timestamp": "2024-05-01T00:00:00Z"}}"#);
        assert_eq!(read_ocpi(wrapped.as_bytes()).unwrap(), direct);
    }

    #[test]
    fn what_is_not_ocpi_is_an_error() {
        for text in ["", "[1]", "{}", r#"{"data": "x"}"#] {
            assert!(matches!(read_ocpi(text.as_bytes()), Err(Error::Json { .. })), "{text}");
        }
    }
}
