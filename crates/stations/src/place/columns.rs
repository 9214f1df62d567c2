//! The columns of a list of places, in the names that registers and networks use.

use crate::Plug;
use crate::table::EvseColumns;
use crate::words::plain;

const EVSES: &[&str] = &[
    "evseid",
    "evse",
    "idpdc",
    "idpdcitinerance",
    "chargingpointid",
    "chargepointid",
    "ladepunktid",
    "idpdclocal",
];
const STATIONS: &[&str] = &[
    "stationid",
    "station",
    "idstationitinerance",
    "idstationlocal",
    "locationid",
    "chargingstationid",
    "siteid",
    "standortid",
    "ladestationid",
    "ladeeinrichtungsid",
    "stationsid",
];
const CONNECTORS: &[&str] = &[
    "connectortype",
    "connectortypes",
    "connector",
    "connectors",
    "plug",
    "plugs",
    "plugtype",
    "plugtypes",
    "standard",
    "steckertypen",
    "steckertyp",
    "typeprise",
    "stecker",
    "standards",
];
const LATITUDES: &[&str] = &["latitude", "lat", "breitengrad", "consolidatedlatitude"];
const LONGITUDES: &[&str] =
    &["longitude", "lon", "lng", "long", "langengrad", "laengengrad", "consolidatedlongitude"];
const POSITIONS: &[&str] = &["coordonneesxy", "coordinates", "geopoint", "geopoint2d", "geocoordinates"];
const POWERS: &[&str] = &[
    "powerkw",
    "power",
    "maxpowerkw",
    "maxpower",
    "ratedpowerkw",
    "puissancenominale",
    "nennleistungkw",
    "ladeleistungkw",
    "leistungkw",
    "ladeleistung",
    "nennleistung",
    "leistung",
    "ratedpower",
    "puissance",
    "puissancekw",
    "puissancemax",
    "kw",
];
/// Names of columns of power in watts.
const WATTS: &[&str] = &[
    "powerw",
    "maxelectricpower",
    "maxpowerw",
    "powerwatt",
    "powerwatts",
    "ratedpowerw",
    "leistungw",
    "maxpowerwatt",
];
const PRICES: &[&str] = &[
    "pricekwh",
    "price",
    "priceperkwh",
    "energyprice",
    "priceeurkwh",
    "pricekwheur",
    "priceeurperkwh",
    "preis",
    "preiskwh",
    "preisprokwh",
    "preiseurkwh",
    "prix",
    "prixkwh",
    "prixaukwh",
];
/// Names of columns of prices in hundredths of the currency.
const PRICES_CENTS: &[&str] = &[
    "pricectkwh",
    "pricecentskwh",
    "pricecentkwh",
    "pricecents",
    "pricecent",
    "pricect",
    "preisctkwh",
    "preiscentkwh",
    "preisct",
];
const CURRENCIES: &[&str] = &["currency", "currencycode", "wahrung", "waehrung", "devise"];
const STATUSES: &[&str] = &["status", "evsestatus", "statutpdc", "statut", "betriebsstatus"];
const OPERATORS: &[&str] = &["operator", "operatorname", "nomoperateur", "betreiber"];
const ADDRESSES: &[&str] = &["address", "adressestation", "adresse", "street", "strasse"];

/// Names of columns of opening hours, and the country of the register that has each.
const HOURS: [(&str, Option<&str>); 6] = [
    ("openinghours", None),
    ("openingtimes", None),
    ("horaires", Some("FR")),
    ("horairesouverture", Some("FR")),
    ("offnungszeiten", Some("DE")),
    ("oeffnungszeiten", Some("DE")),
];
const HOURS_DAYS: &[&str] = &["offnungszeitenwochentage", "oeffnungszeitenwochentage"];
const HOURS_TIMES: &[&str] = &["offnungszeitentageszeiten", "oeffnungszeitentageszeiten"];
const TIME_ZONES: &[&str] = &["timezone", "tz", "zeitzone", "fuseauhoraire"];
const COUNTRIES: &[&str] = &["country", "countrycode", "land", "pays"];

/// Columns of yes and no, one a plug, as IRVE has them.
const SOCKETS: [(&str, Plug); 5] = [
    ("prisetype2", Plug::Type2),
    ("prisetypecomboccs", Plug::Ccs),
    ("prisetypechademo", Plug::Chademo),
    ("prisetypeef", Plug::Domestic),
    ("prisetype3", Plug::Type3),
];

/// Charging points of one row at most, as BNetzA's register has them.
const POINTS: usize = 6;

/// One charging point of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) evse: EvseColumns,
    pub(super) connector: Option<usize>,
    pub(super) power: Option<usize>,
}

/// Columns of a place list by meaning.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Columns {
    pub(super) points: Vec<Point>,
    /// Further columns with an id, for rows that have none in the first, as Belib has them.
    pub(super) other_ids: Vec<usize>,
    pub(super) station: Option<usize>,
    pub(super) latitude: Option<usize>,
    pub(super) longitude: Option<usize>,
    pub(super) position: Option<usize>,
    /// Whether two numbers in it, without brackets, are longitude and latitude.
    pub(super) longitude_first: bool,
    pub(super) currency: Option<usize>,
    pub(super) status: Option<usize>,
    /// Columns in all.
    pub(super) width: usize,
    pub(super) price: Option<usize>,
    /// Worth of one of the price's column in the network's currency: a hundredth where its name says cents.
    pub(super) price_unit: f64,
    pub(super) operator: Option<usize>,
    pub(super) address: Option<usize>,
    pub(super) hours: Option<usize>,
    /// Days of the hours, and a time for each.
    pub(super) hours_parts: Option<(usize, usize)>,
    pub(super) time_zone: Option<usize>,
    pub(super) country: Option<usize>,
    /// The country of the register, by the name of its hours.
    pub(super) home: Option<&'static str>,
    pub(super) sockets: Vec<(usize, Plug)>,
    /// The column's name says watts.
    pub(super) in_watts: bool,
}

impl Columns {
    /// The columns of a header; `None` if it has no EVSE ids.
    pub(super) fn of<'a>(header: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let written: Vec<&str> = header.into_iter().collect();
        let header: Vec<String> = written.iter().map(|name| plain(name)).collect();
        let find =
            |names: &[&str]| names.iter().find_map(|name| header.iter().position(|known| known == name));
        let mut points = Vec::new();
        if let Some(evse) = EvseColumns::of(&header, EVSES) {
            points.push(Point {
                // Rows of an EVSE's connectors are joined.
                evse: EvseColumns { part: None, ..evse },
                connector: find(CONNECTORS),
                power: find(POWERS).or_else(|| find(WATTS)),
            });
        } else {
            for n in 1..=POINTS {
                if let Some(evse) = find(&[&format!("evseid{n}")]) {
                    let evse = EvseColumns { evse, charger: None, connector: None, part: None };
                    let connector = find(&[&format!("steckertypen{n}")]);
                    let power = find(&[&format!("p{n}kw"), &format!("nennleistungstecker{n}")]);
                    points.push(Point { evse, connector, power });
                }
            }
        }
        let first = points.first()?;
        let in_watts = first.power.is_some_and(|at| WATTS.contains(&&*header[at]));
        let hours = HOURS.iter().find_map(|(name, home)| Some((find(&[*name])?, *home)));
        let price = find(PRICES).map(|at| (at, 1.0)).or_else(|| find(PRICES_CENTS).map(|at| (at, 0.01)));
        Some(Self {
            other_ids: ["idpdclocal", "idpdcitinerance"]
                .iter()
                .filter_map(|name| find(&[name]).filter(|at| *at != first.evse.evse))
                .collect(),
            station: find(STATIONS),
            latitude: find(LATITUDES),
            longitude: find(LONGITUDES),
            // IRVE's own spelling; what open data portals write in small letters has the latitude first.
            longitude_first: find(POSITIONS).is_some_and(|at| written[at].trim() == "coordonneesXY"),
            position: find(POSITIONS),
            currency: find(CURRENCIES),
            status: find(STATUSES),
            width: header.len(),
            price: price.map(|(at, _)| at),
            price_unit: price.map_or(1.0, |(_, unit)| unit),
            operator: find(OPERATORS),
            address: find(ADDRESSES),
            hours: hours.map(|(at, _)| at),
            hours_parts: find(HOURS_DAYS).zip(find(HOURS_TIMES)),
            time_zone: find(TIME_ZONES),
            country: find(COUNTRIES),
            home: hours.and_then(|(_, home)| home),
            sockets: SOCKETS.iter().filter_map(|(name, plug)| Some((find(&[name])?, *plug))).collect(),
            in_watts,
            points,
        })
    }
}
