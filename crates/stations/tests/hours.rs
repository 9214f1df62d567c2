//! Opening hours and prices by the time of day: read from what networks publish, and used where a station is recommended.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use voltmesh_stations::recommend::{
    Circumstances, Outlook, Ranking, Recommender, Request, Reservations, Roads,
};
use voltmesh_stations::{PlaceList, Plug, Position, parse_time};

fn list(text: &str) -> PlaceList {
    PlaceList::read(text.as_bytes()).unwrap()
}

fn at(text: &str) -> i64 {
    parse_time(text).unwrap().0
}

/// Whether the one EVSE of a list is open at some times, `+` or `-` behind each.
fn check(text: &str, expected: &str) {
    let list = list(text);
    let place = list.places.values().next().unwrap();
    for said in expected.split(' ') {
        let (time, is_open) = said.split_at(said.len() - 1);
        assert_eq!(place.is_open(at(time)), is_open == "+", "{time} of {text}");
    }
    assert_eq!(list.report.lines(), Vec::<String>::new(), "{text}");
}

/// A location of OCPI with one EVSE.
fn ocpi(id: &str, more: &str) -> String {
    format!(
        r#"[{{"id":"L"{more},"coordinates":{{"latitude":"50.01","longitude":"8.01"}},"evses":[{{"uid":"1","evse_id":"{id}","connectors":[{{"standard":"IEC_62196_T2_COMBO","max_electric_power":50000,"tariff_ids":["T"]}}]}}]}}]"#
    )
}

/// Monday to Friday from 7:00 to 18:00.
const OCPI_HOURS: &str = r#","opening_times":{"twentyfourseven":false,"regular_hours":[
    {"weekday":1,"period_begin":"07:00","period_end":"18:00"},{"weekday":2,"period_begin":"07:00","period_end":"18:00"},
    {"weekday":3,"period_begin":"07:00","period_end":"18:00"},{"weekday":4,"period_begin":"07:00","period_end":"18:00"},
    {"weekday":5,"period_begin":"07:00","period_end":"18:00"}],
    "exceptional_closings":[{"period_begin":"2025-03-04T11:00:00Z","period_end":"2025-03-04T12:00:00Z"}]}"#;

#[test]
fn hours_are_read_from_each_format() {
    // 2025-03-03 was a Monday.
    let work = "2025-03-03T06:59:00+01:00- 2025-03-03T07:00:00+01:00+ 2025-03-03T17:59:00+01:00+ 2025-03-03T18:00:00+01:00- \
                2025-03-08T12:00:00+01:00- 2025-07-07T07:00:00+02:00+ 2025-07-07T18:00:00+02:00-";
    let zone = r#","time_zone":"Europe/Stockholm""#;
    check(
        &ocpi("x", &format!("{zone}{OCPI_HOURS}")),
        &format!("{work} 2025-03-04T11:30:00Z- 2025-03-04T12:00:00Z+"),
    );
    check(&ocpi("SE*EVC*E123", OCPI_HOURS), work);
    check(&ocpi("x", &format!(r#","country":"SWE"{OCPI_HOURS}"#)), work);
    check(&ocpi("x", r#","opening_times":{"twentyfourseven":true}"#), "2025-03-03T02:00:00Z+");
    check("id_pdc_itinerance;horaires\nFRA68E1;Mo-Fr 07:00-18:00\n", work);
    check("evse_id,opening_hours,time_zone\na,\"Mo-Fr 07:00-12:00,12:00-18:00\",Europe/Berlin\n", work);
    check("evse_id,opening_hours\na,24/7\n", "2025-03-03T02:00:00Z+");
    check(
        "EVSE-ID1;Öffnungszeiten;Öffnungszeiten: Wochentage;Öffnungszeiten: Tageszeiten\n\
         X1;Eingeschränkt;\"Montag; Dienstag; Mittwoch; Donnerstag; Freitag\";\
         \"07:00-18:00; 07:00-18:00; 07:00-18:00; 07:00-18:00; 07:00-18:00\"\n",
        work,
    );
    check(
        r#"{"EVSEData":[{"EVSEDataRecord":[{"EvseID":"CH*REPE1","Plugs":["CHAdeMO"],"GeoCoordinates":{"Google":"46.5 9.75"},
            "Address":{"Country":"CHE"},"IsOpen24Hours":false,"OpeningTimes":[{"Period":[{"begin":"07:00","end":"12:00"},
            {"begin":"12:00","end":"18:00"}],"on":"Workdays"}]}]}]}"#,
        work,
    );
    let period = |day: &str| {
        format!(
            r#"{{"recurringTimePeriodOfDay":[{{"startTimeOfPeriod":"07:00:00+01:00","endTimeOfPeriod":"18:00:00+01:00"}}],
            "recurringDayWeekMonthPeriod":[{{"comDayWeekMonth":{{"applicableDay":[{{"value":"{day}"}}]}}}}]}}"#
        )
    };
    let periods = ["monday", "tuesday", "wednesday", "thursday", "friday"].map(period).join(",");
    check(
        &format!(
            r#"{{"energyInfrastructureSite":[{{"operatingHours":{{"afacOperatingHoursSpecification":{{"overallPeriod":{{
            "overallStartTime":"2024-02-05T15:06:57.081+01:00","validPeriod":[{periods}]}}}}}},
            "locationReference":{{"pointCoordinates":{{"latitude":50.0,"longitude":8.0}}}},
            "energyInfrastructureStation":[{{"operatingHours":{{"afacOpenAllHours":{{}}}},"refillPoint":[{{"idG":"DE*ABC*E1"}}]}}]}}]}}"#
        ),
        work,
    );
    let xml_period = |day: &str| {
        format!(
            "<validPeriod><recurringTimePeriodOfDay><startTimeOfPeriod>07:00:00</startTimeOfPeriod><endTimeOfPeriod>18:00:00\
             </endTimeOfPeriod></recurringTimePeriodOfDay><recurringDayWeekMonthPeriod><applicableDay>{day}</applicableDay>\
             </recurringDayWeekMonthPeriod></validPeriod>"
        )
    };
    let periods = ["monday", "tuesday", "wednesday", "thursday", "friday"].map(xml_period).concat();
    check(
        &format!(
            "<t><energyInfrastructureStation><operatingHours><overallPeriod><overallStartTime>2024-01-01T00:00:00Z\
             </overallStartTime>{periods}</overallPeriod></operatingHours><locationReference><pointCoordinates>\
             <latitude>50</latitude><longitude>8</longitude></pointCoordinates></locationReference>\
             <refillPoint id='DE*ABC*E1'/></energyInfrastructureStation></t>"
        ),
        work,
    );
}

#[test]
fn hours_that_are_not_understood_or_of_an_unknown_zone_are_said() {
    let check = |text: &str, words: &str| {
        let list = list(text);
        let place = list.places.values().next().unwrap();
        assert!(place.is_open(at("2025-03-03T02:00:00Z")), "{text}");
        let lines = list.report.lines().join("\n");
        assert!(lines.contains(words), "{lines}");
    };
    check(
        "evse_id,opening_hours\nDE*ABC*E1,sunrise-sunset\n",
        "opening hours `sunrise-sunset` are not understood (1 rows)",
    );
    check(
        "evse_id,opening_hours\na,Mo-Fr 07:00-18:00\n",
        "1 EVSEs have opening hours or prices by the time of day",
    );
    check("evse_id,opening_hours,time_zone\na,Mo-Fr 07:00-18:00,local\n", "which local time");
    // La Réunion.
    check(
        "id_pdc_itinerance;horaires;coordonneesXY\nFRA68E1;Mo-Fr 07:00-18:00;[55.5, -21.1]\n",
        "which local time",
    );
}

#[test]
fn a_price_is_that_of_the_time() {
    let tariff = |elements: &str| format!(r#"{{"id":"T","currency":"EUR","elements":[{elements}]}}"#);
    let energy = |price: f64, rules: &str| {
        format!(r#"{{"price_components":[{{"type":"ENERGY","price":{price}}}],"restrictions":{rules}}}"#)
    };
    let check = |id: &str, elements: &[String], prices: &[(&str, Option<f64>)]| {
        let text = format!("{}\n{}", ocpi(id, ""), tariff(&elements.join(",")));
        let list = list(&text);
        for (time, price) in prices {
            assert_eq!(list.places[id].price_at(at(time)), *price, "{time} {elements:?}");
        }
    };
    let night = r#"{"start_time":"22:00","end_time":"06:00"}"#;
    let (noon, midnight) = ("2025-03-03T12:00:00+01:00", "2025-03-04T00:30:00+01:00");
    check("DE*ABC*E1", &[energy(0.3, night), energy(0.5, "{}")], &[(noon, Some(0.5)), (midnight, Some(0.3))]);
    check("DE*ABC*E1", &[energy(0.3, night)], &[(noon, None), (midnight, Some(0.3))]);
    check(
        "DE*ABC*E1",
        &[energy(0.2, r#"{"day_of_week":["MONDAY"],"end_date":"2025-03-10"}"#), energy(0.5, "null")],
        &[(noon, Some(0.2)), (midnight, Some(0.5)), ("2025-03-10T12:00:00+01:00", Some(0.5))],
    );
    // Nobody knows when night is: the higher counts.
    check("x", &[energy(0.6, night), energy(0.5, "{}")], &[(noon, Some(0.6)), (midnight, Some(0.6))]);
}

/// Outlook of plugs that are always free.
struct Free;

impl Outlook for Free {
    fn usable(&self, _: usize, _: f64) -> f64 {
        1.0
    }

    fn faulty(&self, _: usize) -> f64 {
        0.0
    }

    fn age_s(&self, _: usize) -> Option<i64> {
        Some(60)
    }

    fn busy_min(&self, _: usize) -> f64 {
        40.0
    }
}

fn rank(text: &str, time: &str) -> Ranking {
    let places = list(text).places;
    let mut recommender = Recommender::new(places.keys().map(String::as_str), &places);
    let roads = Roads::default();
    let here = Circumstances {
        now: at(time),
        outlook: &Free,
        roads: &roads,
        reservations: &Reservations::default(),
        avoid: &[],
    };
    let request = Request::new(Position::new(50.0, 8.0).unwrap(), 0.3, 58.0, vec![Plug::Ccs]);
    recommender.rank(&request, here).unwrap()
}

#[test]
fn a_station_that_is_closed_on_arrival_is_left_out() {
    let text = "evse_id,station_id,latitude,longitude,connector_type,power_kw,opening_hours\n\
                DE*ABC*E1,near,50.01,8.01,CCS,50,Mo-Fr 07:00-18:00\nDE*ABC*E2,far,50.05,8.05,CCS,50,\n";
    let check = |time: &str, expected: &[&str], closed: usize| {
        let ranking = rank(text, time);
        let names: Vec<&str> = ranking.stations.iter().map(|entry| entry.station.as_str()).collect();
        assert_eq!((&names[..], ranking.excluded.closed), (expected, closed), "{time}");
    };
    check("2025-03-03T12:00:00+01:00", &["near", "far"], 0);
    check("2025-03-03T20:00:00+01:00", &["far"], 1);
    // The drive takes some two minutes.
    check("2025-03-03T06:59:00+01:00", &["near", "far"], 0);
    check("2025-03-03T17:59:00+01:00", &["far"], 1);
    // What closes long before the charge ends is worth less, and says so.
    let ranking = rank(text, "2025-03-03T17:50:00+01:00");
    assert_eq!(ranking.stations[0].station, "far", "{ranking:?}");
    let near = &ranking.stations[1];
    assert!(near.closes_min.is_some_and(|min| (6.0..9.0).contains(&min)), "{near:?}");
    assert!(near.why.contains("it closes") && near.why.contains("before the charge ends"), "{}", near.why);
    assert!(ranking.stations[0].closes_min.is_none());
}

#[test]
fn evses_of_an_operator_are_no_one_charger() {
    let text = "evse_id,latitude,longitude,connector_type,power_kw\n\
                DE*ABC*E1,50.01,8.01,CCS,50\nDE*ABC*E2,50.04,8.04,CCS,50\nDE*ABC*E3*1,50.02,8.02,CCS,50\n\
                DE*ABC*E3*2,50.02,8.02,CCS,50\nDE*ABC*E3*3,50.06,8.06,CCS,50\n";
    let ranking = rank(text, "2025-03-03T12:00:00Z");
    let mut stations: Vec<_> = ranking.stations.iter().map(|s| (s.station.as_str(), s.evses.len())).collect();
    stations.sort_unstable();
    assert_eq!(stations, [("DE*ABC*E1", 1), ("DE*ABC*E2", 1), ("DE*ABC*E3", 2), ("DE*ABC*E3*3", 1)]);
}
