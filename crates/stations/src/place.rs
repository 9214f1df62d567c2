//! Where an EVSE stands, what it offers, and who runs it: as far as a list of places says so.

use std::collections::BTreeMap;
use std::io::Read;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::cut;
use crate::table::{column, find};

/// Mean radius of the Earth in kilometres (IUGG 1980).
const EARTH_KM: f64 = 6371.0088;

/// A position in degrees (WGS 84).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Degrees north, −90..=90.
    pub latitude: f64,
    /// Degrees east, −180..=180.
    pub longitude: f64,
}

impl Position {
    /// A position, if it is one on Earth.
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        let there = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        there.then_some(Self { latitude, longitude })
    }

    /// Great-circle distance in kilometres (haversine formula).
    pub fn distance_km(self, other: Self) -> f64 {
        let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
        let across = self.latitude.to_radians().cos() * other.latitude.to_radians().cos();
        let h = half(other.latitude - self.latitude) + across * half(other.longitude - self.longitude);
        2.0 * EARTH_KM * h.clamp(0.0, 1.0).sqrt().asin()
    }
}

/// What a vehicle can plug into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plug {
    /// IEC 62196-3 configuration FF (CCS Combo 2), direct current.
    Ccs,
    /// CHAdeMO, direct current.
    Chademo,
    /// IEC 62196-2 type 2, alternating current.
    Type2,
    /// Household sockets (CEE 7 and kin).
    Domestic,
    /// IEC 62196-2 type 3C.
    Type3,
}

impl Plug {
    /// The plug that a connector type names: ours, the Irish network's, OCPI 2.2.1 `ConnectorType`.
    pub fn of_name(name: &str) -> Option<Self> {
        let plain: String =
            name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        Some(match plain.as_str() {
            "ccs" | "ccs2" | "comboccs" | "iec62196t2combo" | "iec62196t1combo" => Self::Ccs,
            "chademo" => Self::Chademo,
            "type2" | "standardtype2" | "fastac43" | "iec62196t2" => Self::Type2,
            "domestic" | "ef" | "domestice" | "domesticf" => Self::Domestic,
            "type3" | "iec62196t3c" | "iec62196t3a" => Self::Type3,
            _ => return None,
        })
    }
}

/// What is known of one EVSE.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The charger or station it belongs to; connectors of one charger are coupled.
    pub station: Option<String>,
    /// Its connector type as the network calls it.
    pub connector: Option<String>,
    /// What one can plug in.
    pub plugs: Vec<Plug>,
    /// Where it is.
    pub position: Option<Position>,
    /// Rated power in kW.
    pub power_kw: Option<f64>,
    /// Price in the network's currency per kWh.
    pub price_kwh: Option<f64>,
    /// Who runs it.
    pub operator: Option<String>,
    /// Street and town.
    pub address: Option<String>,
}

/// Places by EVSE id.
pub type Places = BTreeMap<String, Place>;

/// Most EVSEs in a list: all of Europe had a million public ones in 2025.
const MAX_PLACES: usize = 2_000_000;

/// Reads `evse_id[,station_id][,connector_type][,latitude,longitude][,power_kw][,price_kwh][,operator][,address]`, in
/// any order; other columns are ignored. An empty value is unknown.
///
/// # Errors
/// No CSV, no `evse_id`, or a number that is none.
pub fn read_places(from: impl Read) -> Result<Places, Error> {
    const WHAT: &str = "the list of places";
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(from);
    let header = reader.headers().map_err(|source| Error::Csv { what: WHAT, source })?.clone();
    let id = column(&header, WHAT, "evse_id")?;
    let names = [
        "station_id",
        "connector_type",
        "latitude",
        "longitude",
        "power_kw",
        "price_kwh",
        "operator",
        "address",
    ];
    let at = names.map(|name| find(&header, name));
    let mut places = Places::new();
    for row in reader.records() {
        let row = row.map_err(|source| Error::Csv { what: WHAT, source })?;
        let line = row.position().map_or(0, csv::Position::line);
        let text = |i: usize| at[i].and_then(|c| row.get(c)).map(str::trim).filter(|v| !v.is_empty());
        let number = |i: usize, problem: &'static str| -> Result<Option<f64>, Error> {
            let parse = |value: &str| {
                let number = value.parse().ok().filter(|n: &f64| n.is_finite());
                number.ok_or_else(|| Error::Row { what: WHAT, line, problem, value: cut(value) })
            };
            text(i).map(parse).transpose()
        };
        let position = match (number(2, "no latitude")?, number(3, "no longitude")?) {
            (Some(latitude), Some(longitude)) => {
                let value = format!("{latitude}, {longitude}");
                let not_here = Error::Row { what: WHAT, line, problem: "no position on Earth", value };
                Some(Position::new(latitude, longitude).ok_or(not_here)?)
            }
            _ => None,
        };
        let connector = text(1).map(str::to_owned);
        let plugs =
            connector.iter().flat_map(|c| c.split([' ', ';', '|'])).filter_map(Plug::of_name).collect();
        let place = Place {
            station: text(0).map(str::to_owned),
            connector,
            plugs,
            position,
            power_kw: number(4, "no power in kW")?.filter(|kw| *kw > 0.0),
            price_kwh: number(5, "no price per kWh")?.filter(|price| *price >= 0.0),
            operator: text(6).map(str::to_owned),
            address: text(7).map(str::to_owned),
        };
        if let Some(evse) = row.get(id).map(str::trim).filter(|v| !v.is_empty()) {
            places.insert(evse.to_owned(), place);
        }
        if places.len() > MAX_PLACES {
            return Err(Error::TooMuch { what: WHAT, found: places.len() as u64, limit: MAX_PLACES as u64 });
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dublin_to_cork_is_220_km() {
        let dublin = Position { latitude: 53.3498, longitude: -6.2603 };
        let cork = Position { latitude: 51.8985, longitude: -8.4756 };
        assert!((dublin.distance_km(cork) - 219.3).abs() < 1.0, "{}", dublin.distance_km(cork));
        assert_eq!(dublin.distance_km(dublin), 0.0);
    }

    #[test]
    fn a_list_may_have_any_of_its_columns() {
        let check = |text: &str, expected: Result<Place, &str>| match (read_places(text.as_bytes()), expected)
        {
            (Ok(places), Ok(place)) => assert_eq!(places["a"], place),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        };
        check("evse_id\na\n", Ok(Place::default()));
        let ccs = Place { plugs: vec![Plug::Ccs], connector: Some("ComboCCS".into()), ..Place::default() };
        check("connector_type,evse_id,colour\nComboCCS,a,red\n", Ok(ccs));
        check("station\na\n", Err("no column `evse_id`"));
        check("evse_id,latitude,longitude\na,x,1\n", Err("line 2: no latitude"));
        check("evse_id,latitude,longitude\na,91,1\n", Err("no position on Earth"));
    }
}
