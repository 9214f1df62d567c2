//! Time zone of a place: stated by its IANA name, or that of its country.

use chrono::{DateTime, MappedLocalTime, Offset as _, TimeZone as _};
use chrono_tz::{Atlantic, Europe, Tz};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Time zone of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

/// Countries of Europe by ISO 3166's two codes, and the zone of all of a country but its far islands. Those that share one here have had
/// one local time since 1996.
const COUNTRIES: [(Tz, &str); 7] = [
    (Atlantic::Reykjavik, "IS ISL"),
    (Europe::London, "GB GBR UK IE IRL"),
    (Europe::Lisbon, "PT PRT"),
    (
        Europe::Brussels,
        "DE DEU FR FRA ES ESP IT ITA BE BEL NL NLD AT AUT CH CHE SE SWE NO NOR DK DNK CZ CZE PL POL HU HUN RS SRB HR HRV SI SVN \
         SK SVK LU LUX MC MCO MT MLT AD AND LI LIE SM SMR BA BIH MK MKD ME MNE AL ALB",
    ),
    (Europe::Athens, "GR GRC FI FIN BG BGR RO ROU EE EST LV LVA LT LTU UA UKR CY CYP"),
    (Europe::Istanbul, "TR TUR"),
    (Europe::Minsk, "BY BLR"),
];

impl Zone {
    /// The zone of an IANA name.
    pub fn of_name(name: &str) -> Option<Self> {
        name.trim().parse().ok().map(Self)
    }

    /// The zone of a country of Europe by its code, at a latitude and longitude: islands far away have their own, or none that is
    /// known.
    pub fn of_country(code: &str, position: Option<(f64, f64)>) -> Option<Self> {
        let code = code.trim();
        let has = |codes: &str| codes.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case(code));
        let zone = COUNTRIES.iter().find(|(_, codes)| has(codes)).map(|(zone, _)| *zone)?;
        let Some((latitude, longitude)) = position else { return Some(Self(zone)) };
        let is_at = |south: f64, north: f64, west: f64, east: f64| {
            (south..north).contains(&latitude) && (west..east).contains(&longitude)
        };
        let zone = match zone {
            Europe::Brussels if is_at(26.0, 31.0, -19.0, -13.0) => Atlantic::Canary,
            Europe::Lisbon if is_at(36.0, 40.5, -32.0, -24.0) => Atlantic::Azores,
            Europe::Lisbon if is_at(32.0, 34.0, -18.0, -16.0) => Atlantic::Madeira,
            zone if is_at(34.0, 82.0, -25.0, 46.0) => zone,
            _ => return None,
        };
        Some(Self(zone))
    }

    /// The zone of the country that an EVSE id begins with (eMI3: `DE*ABC*E123`, `FRA68E123`).
    pub fn of_evse(id: &str, position: Option<(f64, f64)>) -> Option<Self> {
        let country = id.get(..2).filter(|code| code.bytes().all(|byte| byte.is_ascii_uppercase()))?;
        let rest = id[2..].trim_start_matches('*');
        let operator = rest.get(..3).filter(|code| code.bytes().all(|byte| byte.is_ascii_alphanumeric()))?;
        let is_evse = rest[operator.len()..].trim_start_matches('*').starts_with('E');
        if is_evse { Self::of_country(country, position) } else { None }
    }

    /// Seconds of local time since 1970; a time that no calendar has is itself.
    pub fn local(self, at: i64) -> i64 {
        let Some(time) = DateTime::from_timestamp(at, 0) else { return at };
        let offset = self.0.offset_from_utc_datetime(&time.naive_utc()).fix();
        at.saturating_add(i64::from(offset.local_minus_utc()))
    }

    /// Seconds since 1970 of a local time: the later one in the hour that comes twice, and what the clock before it would say in
    /// the hour that is left out. A time that no calendar has is itself.
    pub(crate) fn utc(self, local: i64) -> i64 {
        let Some(time) = DateTime::from_timestamp(local, 0) else { return local };
        match self.0.from_local_datetime(&time.naive_utc()) {
            MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(_, at) => at.timestamp(),
            MappedLocalTime::None => {
                let before = local.saturating_sub(86_400);
                local.saturating_sub(self.local(before) - before)
            }
        }
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::of_name(&name).ok_or_else(|| D::Error::custom(format!("{name:?} is no time zone of IANA's")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_time;

    #[test]
    fn local_times_follow_the_zone() {
        let check = |name: &str, text: &str, hours: i64| {
            let at = parse_time(text).unwrap().0;
            assert_eq!(Zone::of_name(name).unwrap().local(at) - at, 3600 * hours, "{name} {text}");
        };
        check("Europe/Berlin", "2025-03-30T00:59:59Z", 1);
        check("Europe/Berlin", "2025-03-30T01:00:00Z", 2);
        check("Europe/Berlin", "2025-10-26T00:59:59Z", 2);
        check("Europe/Berlin", "2025-10-26T01:00:00Z", 1);
        check("Europe/Dublin", "2024-03-31T01:00:00Z", 1);
        check("Europe/Helsinki", "2026-01-01T00:00:00Z", 2);
        check("Europe/Istanbul", "2025-07-01T00:00:00Z", 3);
        check("Atlantic/Azores", "2025-07-01T00:00:00Z", 0);
        check("America/New_York", "2025-07-01T00:00:00Z", -4);
        assert_eq!(Zone::of_name("Berlin"), None);
    }

    #[test]
    fn a_local_time_has_one_moment() {
        let berlin = Zone::of_name("Europe/Berlin").unwrap();
        let check = |local: &str, utc: &str| {
            let at = |text: &str| parse_time(text).unwrap().0;
            assert_eq!(berlin.utc(at(local)), at(utc), "{local}");
        };
        check("2025-07-01T12:00:00Z", "2025-07-01T10:00:00Z");
        check("2025-01-01T12:00:00Z", "2025-01-01T11:00:00Z");
        // Twice, and left out.
        check("2025-10-26T02:30:00Z", "2025-10-26T01:30:00Z");
        check("2025-03-30T02:30:00Z", "2025-03-30T01:30:00Z");
        for far in [i64::MIN, i64::MAX] {
            assert_eq!((berlin.utc(far), berlin.local(far)), (far, far));
        }
    }

    #[test]
    fn a_country_has_its_zone_and_islands_their_own() {
        let check = |code: &str, position: Option<(f64, f64)>, expected: Option<Tz>| {
            assert_eq!(Zone::of_country(code, position), expected.map(Zone), "{code} {position:?}");
        };
        check("DEU", None, Some(Europe::Brussels));
        check("fr", Some((48.8, 2.3)), Some(Europe::Brussels));
        // La Réunion, the Caribbean.
        check("FR", Some((-21.1, 55.5)), None);
        check("NLD", Some((12.1, -68.9)), None);
        check("ESP", Some((28.1, -15.4)), Some(Atlantic::Canary));
        check("ES", Some((40.4, -3.7)), Some(Europe::Brussels));
        check("PRT", Some((37.7, -25.7)), Some(Atlantic::Azores));
        check("PT", Some((32.7, -16.9)), Some(Atlantic::Madeira));
        check("IE", Some((53.3, -6.3)), Some(Europe::London));
        check("US", None, None);
        check("", None, None);
    }

    #[test]
    fn an_evse_id_begins_with_a_country() {
        let check = |id: &str, expected: Option<Tz>| {
            assert_eq!(Zone::of_evse(id, None), expected.map(Zone), "{id}");
        };
        check("DE*ABC*E123*1", Some(Europe::Brussels));
        check("FRA68E680210015", Some(Europe::Brussels));
        check("GB*ABC*E1", Some(Europe::London));
        check("S100/CCS", None);
        check("DEPOT/1", None);
        check("US*ABC*E1", None);
        check("Ä", None);
        check("DEÄ", None);
        check("", None);
    }

    #[test]
    fn a_zone_is_written_by_its_name() {
        let zone = Zone::of_name("Europe/Berlin").unwrap();
        let text = serde_json::to_string(&zone).unwrap();
        assert_eq!(text, "\"Europe/Berlin\"");
        assert_eq!(serde_json::from_str::<Zone>(&text).unwrap(), zone);
        assert!(serde_json::from_str::<Zone>("\"Berlin\"").is_err());
    }
}
