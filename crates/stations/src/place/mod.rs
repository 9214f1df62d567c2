//! Places of EVSEs: position, offer and operator, as far as a list of places states them.

mod columns;
mod list;
mod power;
mod report;
mod table;
mod times;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use list::{PlaceList, read_places};
pub(crate) use power::LEAST_KW;
pub use power::StatedPower;
pub use report::{Joined, PlacesReport};

use crate::hours::{Hours, TimedPrice};
use crate::words;

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

/// Degrees as they are written for people: `50.5°`, `8.25 E`, `9°21'39.32"W`; south and west are negative. `None` for other texts, and
/// for `O`, which is east in German and west in French.
pub(crate) fn degrees(text: &str) -> Option<f64> {
    let upper = text.trim().to_uppercase();
    let hemisphere = |c: char| matches!(c, 'N' | 'S' | 'E' | 'W');
    let letters: Vec<char> = upper.chars().filter(|c| hemisphere(*c)).collect();
    if letters.len() > 1 || (letters.is_empty() && !upper.contains('°')) {
        return None;
    }
    let body = upper.trim_matches(|c: char| hemisphere(c) || c.is_whitespace());
    let (body, minus) = body.strip_prefix(['-', '\u{2212}']).map_or((body, false), |rest| (rest, true));
    let is_mark = |c: char| matches!(c, '°' | '\'' | '\u{2032}' | '\u{2019}' | '"' | '\u{2033}' | '\u{201d}');
    let parts: Option<Vec<f64>> = body
        .split(|c: char| is_mark(c) || c.is_whitespace())
        .filter(|part| !part.is_empty())
        .map(|part| part.replacen(',', ".", 1).parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0))
        .collect();
    let (&whole, smaller) = parts.as_deref()?.split_first()?;
    if smaller.len() > 2 || smaller.iter().any(|part| *part >= 60.0) {
        return None;
    }
    let degrees = smaller.iter().zip([60.0, 3600.0]).fold(whole, |sum, (part, by)| sum + part / by);
    let negative = matches!(letters.first(), Some('S' | 'W'));
    if negative && minus {
        return None;
    }
    Some(if negative || minus { -degrees } else { degrees })
}

/// Kind of plug that a vehicle can use.
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
    /// IEC 62196-2 type 3.
    Type3,
    /// IEC 62196-2 type 1 (SAE J1772), alternating current.
    Type1,
    /// IEC 62196-3 configuration EE (CCS Combo 1), direct current.
    Ccs1,
    /// Tesla's own, SAE J3400 (NACS) among them.
    Tesla,
    /// GB/T 20234 and ChaoJi.
    Gbt,
    /// Industrial sockets (IEC 60309), alternating current.
    Industrial,
    /// Megawatt Charging System, direct current.
    Megawatt,
}

impl Plug {
    /// A usual name of each, for messages.
    pub const NAMES: &str = "ccs, ccs1, chademo, type1, type2, type3, tesla, gbt, mcs, domestic, IEC 60309";

    /// The plug that a connector type names, in the vocabularies of [`crate::words`]. `None` for any other name: it is not
    /// understood, and no plug.
    pub fn of_name(name: &str) -> Option<Self> {
        words::plug(name)
    }

    /// Most power that is had from such a plug in kW, where its EVSE's is not known.
    pub(crate) fn typical_kw(self) -> f64 {
        match self {
            Self::Ccs | Self::Ccs1 | Self::Chademo | Self::Tesla | Self::Gbt => 50.0,
            Self::Type2 | Self::Type3 => 22.0,
            Self::Industrial => 11.0,
            Self::Type1 => 7.0,
            Self::Domestic => 3.0,
            Self::Megawatt => 1_000.0,
        }
    }

    /// Most power that such a plug carries as alternating current, in kW: an EVSE's power may be that of its other plugs. `None` for
    /// direct current.
    pub(crate) fn alternating_kw(self) -> Option<f64> {
        match self {
            Self::Type2 | Self::Type3 | Self::Industrial => Some(44.0),
            Self::Type1 => Some(19.2),
            Self::Domestic => Some(3.7),
            Self::Ccs | Self::Ccs1 | Self::Chademo | Self::Tesla | Self::Gbt | Self::Megawatt => None,
        }
    }

    /// Its name in a sentence.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Ccs => "CCS",
            Self::Ccs1 => "CCS Combo 1",
            Self::Chademo => "CHAdeMO",
            Self::Type1 => "type 1",
            Self::Type2 => "type 2",
            Self::Type3 => "type 3",
            Self::Domestic => "household sockets",
            Self::Industrial => "industrial sockets",
            Self::Tesla => "Tesla",
            Self::Gbt => "GB/T",
            Self::Megawatt => "MCS",
        }
    }
}

/// Entry of one EVSE in a list of places.
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
    /// Price in the network's currency per kWh, where none of `prices` holds.
    pub price_kwh: Option<f64>,
    /// Prices at some times; the first that holds counts.
    pub prices: Vec<TimedPrice>,
    /// When it is open, where that is not at all times, or not known.
    pub hours: Option<Hours>,
    /// Who runs it.
    pub operator: Option<String>,
    /// Street and town.
    pub address: Option<String>,
}

impl Place {
    /// Price per kWh at a time in seconds since 1970.
    pub fn price_at(&self, at: i64) -> Option<f64> {
        let timed = self.prices.iter().find(|price| price.when.holds(at));
        timed.map(|price| price.price_kwh).or(self.price_kwh).filter(|price| price.is_finite())
    }

    /// Whether it is open at a time in seconds since 1970, as far as is known.
    pub fn is_open(&self, at: i64) -> bool {
        self.hours.as_ref().is_none_or(|hours| hours.is_open(at))
    }
}

/// Places by EVSE id.
pub type Places = BTreeMap<String, Place>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_have_marks_and_hemispheres() {
        let check = |text: &str, expected: Option<f64>| {
            let found = degrees(text);
            let near = found.zip(expected).is_some_and(|(a, b)| (a - b).abs() < 1e-9);
            assert!(near || found == expected, "{text}: {found:?}");
        };
        check("50.5°", Some(50.5));
        check("-8,25°", Some(-8.25));
        check("8.25 E", Some(8.25));
        check("W 6.26", Some(-6.26));
        check("9°21'36.0''", Some(9.36));
        check("33° 52′ 12″ S", Some(-33.87));
        for text in ["", "8.25", "8.25 O", "50 8", "-8 W", "9°61'", "N", "8°N E", "NaN°"] {
            check(text, None);
        }
    }

    #[test]
    fn usual_names_are_understood() {
        let plugs: Option<Vec<Plug>> = Plug::NAMES.split(", ").map(Plug::of_name).collect();
        let mut plugs = plugs.unwrap();
        plugs.sort_unstable();
        plugs.dedup();
        assert_eq!(plugs.len(), 11);
    }

    #[test]
    fn dublin_to_cork_is_220_km() {
        let dublin = Position { latitude: 53.3498, longitude: -6.2603 };
        let cork = Position { latitude: 51.8985, longitude: -8.4756 };
        assert!((dublin.distance_km(cork) - 219.3).abs() < 1.0, "{}", dublin.distance_km(cork));
        assert_eq!(dublin.distance_km(dublin), 0.0);
    }
}
