//! Local times of Europe: zones that keep one offset, or the summer time of Directive 2000/84/EC.

use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime};

/// Local time of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Minutes ahead of UTC in winter.
    winter_min: i16,
    /// Whether clocks are an hour ahead of that from the last Sunday of March to that of October, at 1:00 UTC.
    has_summer: bool,
}

const UTC: Zone = Zone { winter_min: 0, has_summer: false };
const AZORES: Zone = Zone { winter_min: -60, has_summer: true };
const WESTERN: Zone = Zone { winter_min: 0, has_summer: true };
const CENTRAL: Zone = Zone { winter_min: 60, has_summer: true };
const EASTERN: Zone = Zone { winter_min: 120, has_summer: true };
const MOSCOW: Zone = Zone { winter_min: 180, has_summer: false };

/// IANA's names.
const NAMES: [(Zone, &str); 6] = [
    (UTC, "UTC Etc/UTC GMT Etc/GMT Zulu Atlantic/Reykjavik"),
    (AZORES, "Atlantic/Azores"),
    (
        WESTERN,
        "Europe/London Europe/Dublin Europe/Lisbon Europe/Belfast Europe/Jersey Europe/Guernsey Europe/Isle_of_Man \
         Atlantic/Canary Atlantic/Madeira Atlantic/Faroe WET",
    ),
    (
        CENTRAL,
        "Europe/Berlin Europe/Paris Europe/Madrid Europe/Rome Europe/Brussels Europe/Amsterdam Europe/Vienna Europe/Zurich \
         Europe/Stockholm Europe/Oslo Europe/Copenhagen Europe/Prague Europe/Warsaw Europe/Budapest Europe/Belgrade \
         Europe/Zagreb Europe/Ljubljana Europe/Bratislava Europe/Luxembourg Europe/Monaco Europe/Malta Europe/Andorra \
         Europe/Vaduz Europe/San_Marino Europe/Vatican Europe/Sarajevo Europe/Skopje Europe/Podgorica Europe/Tirane \
         Europe/Gibraltar Europe/Busingen Arctic/Longyearbyen CET",
    ),
    (
        EASTERN,
        "Europe/Athens Europe/Helsinki Europe/Sofia Europe/Bucharest Europe/Tallinn Europe/Riga Europe/Vilnius Europe/Kiev \
         Europe/Kyiv Europe/Mariehamn Asia/Nicosia Europe/Nicosia EET",
    ),
    (MOSCOW, "Europe/Istanbul Europe/Minsk Europe/Moscow"),
];

/// Countries by ISO 3166's two codes.
const COUNTRIES: [(Zone, &str); 5] = [
    (UTC, "IS ISL"),
    (WESTERN, "GB GBR UK IE IRL PT PRT"),
    (
        CENTRAL,
        "DE DEU FR FRA ES ESP IT ITA BE BEL NL NLD AT AUT CH CHE SE SWE NO NOR DK DNK CZ CZE PL POL HU HUN RS SRB HR HRV SI SVN \
         SK SVK LU LUX MC MCO MT MLT AD AND LI LIE SM SMR BA BIH MK MKD ME MNE AL ALB",
    ),
    (EASTERN, "GR GRC FI FIN BG BGR RO ROU EE EST LV LVA LT LTU UA UKR CY CYP"),
    (MOSCOW, "TR TUR BY BLR"),
];

impl Zone {
    /// The zone of an IANA name of Europe.
    pub fn of_name(name: &str) -> Option<Self> {
        in_table(&NAMES, name)
    }

    /// The zone of a country of Europe by its code, at a latitude and longitude: islands far away have their own, or none that is
    /// known.
    pub fn of_country(code: &str, position: Option<(f64, f64)>) -> Option<Self> {
        let zone = in_table(&COUNTRIES, code)?;
        let Some((latitude, longitude)) = position else { return Some(zone) };
        match code.get(..2)?.to_ascii_uppercase().as_str() {
            "ES" if (26.0..31.0).contains(&latitude) && (-19.0..-13.0).contains(&longitude) => Some(WESTERN),
            "PT" | "PR" if (36.0..40.5).contains(&latitude) && (-32.0..-24.0).contains(&longitude) => {
                Some(AZORES)
            }
            "PT" | "PR" if (32.0..34.0).contains(&latitude) && (-18.0..-16.0).contains(&longitude) => {
                Some(WESTERN)
            }
            _ => ((34.0..82.0).contains(&latitude) && (-25.0..46.0).contains(&longitude)).then_some(zone),
        }
    }

    /// The zone of the country that an EVSE id begins with (eMI3: `DE*ABC*E123`, `FRA68E123`).
    pub fn of_evse(id: &str, position: Option<(f64, f64)>) -> Option<Self> {
        let country = id.get(..2).filter(|code| code.bytes().all(|byte| byte.is_ascii_uppercase()))?;
        let rest = id[2..].trim_start_matches('*');
        let operator = rest.get(..3).filter(|code| code.bytes().all(|byte| byte.is_ascii_alphanumeric()))?;
        let is_evse = rest[operator.len()..].trim_start_matches('*').starts_with('E');
        if is_evse { Self::of_country(country, position) } else { None }
    }

    /// Seconds of local time since 1970.
    pub fn local(self, at: i64) -> i64 {
        let minutes = i64::from(self.winter_min) + if self.has_summer && is_summer(at) { 60 } else { 0 };
        at.saturating_add(60 * minutes)
    }

    /// Seconds since 1970 of a local time; the earliest and the latest are themselves.
    pub(crate) fn utc(self, local: i64) -> i64 {
        if local == i64::MIN || local == i64::MAX {
            return local;
        }
        let winter = local.saturating_sub(60 * i64::from(self.winter_min));
        if self.local(winter) == local { winter } else { winter.saturating_sub(3600) }
    }
}

fn in_table(table: &[(Zone, &str)], wanted: &str) -> Option<Zone> {
    let wanted = wanted.trim();
    let has = |names: &str| names.split_ascii_whitespace().any(|name| name.eq_ignore_ascii_case(wanted));
    table.iter().find(|(_, names)| has(names)).map(|(zone, _)| *zone)
}

fn is_summer(at: i64) -> bool {
    let Ok(time) = OffsetDateTime::from_unix_timestamp(at) else { return false };
    let change = |month: Month| {
        let last = Date::from_calendar_date(time.year(), month, 31).ok()?;
        let sunday = last.to_julian_day() - i32::from(last.weekday().number_days_from_sunday());
        Some(Date::from_julian_day(sunday).ok()?.midnight().assume_utc().unix_timestamp() + 3600)
    };
    match (change(Month::March), change(Month::October)) {
        (Some(begin), Some(end)) => (begin..end).contains(&at),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_time;

    #[test]
    fn clocks_change_as_in_the_european_union() {
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
        assert_eq!(Zone::of_name("America/New_York"), None);
    }

    #[test]
    fn a_country_has_its_zone_and_islands_their_own() {
        let check = |code: &str, position: Option<(f64, f64)>, expected: Option<Zone>| {
            assert_eq!(Zone::of_country(code, position), expected, "{code} {position:?}");
        };
        check("DEU", None, Some(CENTRAL));
        check("fr", Some((48.8, 2.3)), Some(CENTRAL));
        // La Réunion, the Caribbean.
        check("FR", Some((-21.1, 55.5)), None);
        check("NLD", Some((12.1, -68.9)), None);
        check("ESP", Some((28.1, -15.4)), Some(WESTERN));
        check("ES", Some((40.4, -3.7)), Some(CENTRAL));
        check("PRT", Some((37.7, -25.7)), Some(AZORES));
        check("PT", Some((32.7, -16.9)), Some(WESTERN));
        check("IE", Some((53.3, -6.3)), Some(WESTERN));
        check("US", None, None);
        check("", None, None);
    }

    #[test]
    fn an_evse_id_begins_with_a_country() {
        let check = |id: &str, expected: Option<Zone>| assert_eq!(Zone::of_evse(id, None), expected, "{id}");
        check("DE*ABC*E123*1", Some(CENTRAL));
        check("FRA68E680210015", Some(CENTRAL));
        check("GB*ABC*E1", Some(WESTERN));
        check("S100/CCS", None);
        check("DEPOT/1", None);
        check("US*ABC*E1", None);
        check("Ä", None);
        check("DEÄ", None);
        check("", None);
    }
}
