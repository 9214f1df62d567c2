//! Odd lists of places with one known answer each: what means something else than it seems to say is read right, or said.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use voltmesh_stations::history::Counted;
use voltmesh_stations::place::PlacesReport;
use voltmesh_stations::{PlaceList, Position};

fn list(text: &str) -> PlaceList {
    PlaceList::read(text.as_bytes()).unwrap()
}

/// How often something was counted, and that it is said.
fn counted(list: &PlaceList, of: fn(&PlacesReport) -> &Counted) -> u64 {
    let counted = of(&list.report);
    let said = list.report.lines().iter().any(|line| line.contains(&counted.first));
    assert!(counted.rows == 0 || said, "{:?}", list.report.lines());
    counted.rows
}

#[test]
fn an_unquoted_decimal_comma_is_refused_and_not_another_place() {
    let list = list("evse_id,latitude,longitude\na,50,01,8,01\nb,50.02,8.02\nc,50.03,8.03,\n");
    assert_eq!((list.places.len(), counted(&list, |report| &report.too_wide)), (2, 1));
    assert!(!list.places.contains_key("a"));
    let all = PlaceList::read(&b"evse_id,latitude,longitude\na,50,01,8,01\n"[..]).unwrap();
    assert!(all.report.mostly_unusable());
}

#[test]
fn irve_rows_that_concern_no_id_have_their_local_one() {
    let header = "id_station_itinerance,id_pdc_itinerance,id_pdc_local,prise_type_combo_ccs,coordonneesXY\n";
    let list = list(&format!(
        "{header}Non concerné,Non concerné,A1,true,\"[8.01, 50.01]\"\nnon concerne,Non concerné,A2,true,\"[8.02, 50.02]\"\n"
    ));
    let places: Vec<_> = list.places.iter().map(|(id, place)| (id.as_str(), &place.station)).collect();
    assert_eq!(places, [("A1", &None), ("A2", &None)]);
}

#[test]
fn two_numbers_in_the_column_of_irve_are_longitude_and_latitude() {
    let position =
        |column: &str, text: &str| list(&format!("id_pdc,{column}\na,\"{text}\"\n")).places["a"].position;
    let paris = Position::new(48.85, 2.35);
    assert_eq!(position("coordonneesXY", "2.35,48.85"), paris);
    assert_eq!(position("coordonneesXY", "[2.35, 48.85]"), paris);
    // As open data portals write the column.
    assert_eq!(position("coordonneesxy", "48.85, 2.35"), paris);
    assert_eq!(position("geo_point_2d", "48.85, 2.35"), paris);
}

#[test]
fn a_station_id_of_several_places_is_no_one_charger() {
    let list = list(
        "evse_id,station_id,latitude,longitude\na,1,50.0,8.0\nb,1,50.0001,8.0\nc,1,50.3,8.0\nd,1,,\ne,2,50.3,8.0\n",
    );
    let stations: Vec<_> = list.places.values().map(|place| place.station.as_deref()).collect();
    assert_eq!(stations, [Some("1"), Some("1"), None, Some("1"), Some("2")]);
    assert_eq!(counted(&list, |report| &report.scattered), 1);
}

#[test]
fn prices_in_several_currencies_are_not_compared() {
    let table = list("evse_id,price,currency\na,0.45,EUR\nb,0.55,eur\nc,4.5,SEK\nd,0.5,\n");
    let prices: Vec<_> = table.places.values().map(|place| place.price_kwh).collect();
    assert_eq!(prices, [Some(0.45), Some(0.55), None, Some(0.5)]);
    assert_eq!(counted(&table, |report| &report.other_currency), 1);
    let tariff = |id: &str, currency: &str, price: f64| {
        format!(
            r#"{{"id":"{id}","currency":"{currency}","elements":[{{"price_components":[{{"type":"ENERGY","price":{price}}}]}}]}}"#
        )
    };
    let evse = |uid: &str, tariff: &str| {
        format!(
            r#"{{"uid":"{uid}","status":"AVAILABLE","connectors":[{{"standard":"IEC_62196_T2_COMBO","tariff_ids":["{tariff}"]}}]}}"#
        )
    };
    let list = list(&format!(
        r#"[{{"id":"L","evses":[{},{},{}]}},{},{}]"#,
        evse("1", "E"),
        evse("2", "E"),
        evse("3", "S"),
        tariff("E", "EUR", 0.45),
        tariff("S", "SEK", 4.5)
    ));
    let prices: Vec<_> = list.places.values().map(|place| place.price_kwh).collect();
    assert_eq!(
        (prices, counted(&list, |report| &report.other_currency)),
        (vec![Some(0.45), Some(0.45), None], 1)
    );
}

#[test]
fn the_energy_of_a_tariff_may_stand_in_a_later_element() {
    let price = |elements: &str| {
        let list = list(&format!(
            r#"[{{"id":"L","evses":[{{"uid":"1","connectors":[{{"tariff_ids":["T"]}}]}}]}},{{"id":"T","currency":"EUR","elements":[{elements}]}}]"#
        ));
        list.places["L/1"].price_kwh
    };
    let energy = |price: &str, more: &str| {
        format!(r#"{{"price_components":[{{"type":"ENERGY","price":{price}}}]{more}}}"#)
    };
    let flat = r#"{"price_components":[{"type":"FLAT","price":1}]}"#;
    assert_eq!(price(&format!("{flat},{}", energy("0.45", ""))), Some(0.45));
    let night = r#","restrictions":{"start_time":"22:00"}"#;
    assert_eq!(price(&format!("{},{}", energy("0.3", night), energy("0.45", ""))), Some(0.45));
    assert_eq!(price(&energy("0.3", night)), None);
    // Restrictions without any are none.
    assert_eq!(price(&energy("0.45", r#","restrictions":{}"#)), Some(0.45));
    assert_eq!(price(&energy("0.45", r#","restrictions":{"start_time":null}"#)), Some(0.45));
    // What may count first makes no later one cheaper; what is for reservations never counts.
    let first_kwh = r#","restrictions":{"max_kwh":20}"#;
    assert_eq!(price(&format!("{},{}", energy("0.6", first_kwh), energy("0.3", ""))), Some(0.6));
    let reserved = r#","restrictions":{"reservation":"RESERVATION"}"#;
    assert_eq!(price(&format!("{},{}", energy("0.6", reserved), energy("0.3", ""))), Some(0.3));
    for wrong in [r#""NaN""#, "-0.1", "null", r#""free""#] {
        assert_eq!(price(&energy(wrong, "")), None, "{wrong}");
    }
}

#[test]
fn an_evse_that_is_removed_or_not_built_yet_is_not_listed() {
    let check = |text: &str, expected: &[&str]| {
        let list = list(text);
        assert_eq!(list.places.keys().collect::<Vec<_>>(), expected, "{text}");
        assert_eq!(counted(&list, |report| &report.absent), 1, "{text}");
    };
    let evse = |uid: &str, status: &str| format!(r#"{{"uid":"{uid}","status":"{status}","connectors":[]}}"#);
    let location = |status: &str| {
        format!(r#"{{"id":"L","evses":[{},{}]}}"#, evse("1", status), evse("2", "INOPERATIVE"))
    };
    check(&location("REMOVED"), &["L/2"]);
    check(&location("PLANNED"), &["L/2"]);
    let point = |id: u32, status: u32| {
        format!(r#"{{"ID":{id},"AddressInfo":{{}},"StatusTypeID":{status},"Connections":[{{"ID":1}}]}}"#)
    };
    check(&format!("[{},{}]", point(1, 150), point(2, 100)), &["ocm/2/1"]);
    check(&format!("[{},{}]", point(1, 200), point(2, 0)), &["ocm/2/1"]);
    check("EVSE-ID;Status;Breitengrad;Längengrad\na;In Planung;50,0;8,0\nb;In Betrieb;50,0;8,0\n", &["b"]);
    check("id_pdc,statut_pdc,coordonneesxy\na,Supprimé,\nb,En maintenance,\n", &["b"]);
}

#[test]
fn powers_of_documents_are_judged_as_those_of_tables() {
    let check = |text: String, expected: Option<f64>, of: fn(&PlacesReport) -> &Counted, rows: u64| {
        let list = list(&text);
        let power = list.places.values().next().unwrap().power_kw;
        assert_eq!((power, counted(&list, of)), (expected, rows), "{text}");
    };
    let ocpi = |watts: &str| {
        format!(
            r#"{{"id":"L","evses":[{{"uid":"1","connectors":[{{"standard":"IEC_62196_T2_COMBO","max_electric_power":{watts}}}]}}]}}"#
        )
    };
    let oicp = |kw: &str| {
        format!(r#"[{{"EvseID":"E1","Plugs":["CHAdeMO"],"ChargingFacilities":[{{"power":{kw}}}]}}]"#)
    };
    let ocm =
        |kw: &str| format!(r#"[{{"ID":1,"AddressInfo":{{}},"Connections":[{{"ID":1,"PowerKW":{kw}}}]}}]"#);
    let datex = |watts: &str| {
        format!(
            r#"{{"energyInfrastructureStation":[{{"id":"S","refillPoint":[{{"id":"E1","connector":[{{"maxPowerAtSocket":{watts}}}]}}]}}]}}"#
        )
    };
    let in_watts = |watts: &str| format!("evse_id,power_w\na,{watts}\n");
    let in_kw = |kw: &str| format!("evse_id,power_kw\na,{kw}\n");
    for watts in [ocpi, datex, in_watts] as [fn(&str) -> String; 3] {
        check(watts("50000"), Some(50.0), |report| &report.no_power, 0);
        // The Megawatt Charging System.
        check(watts("3750000"), Some(3_750.0), |report| &report.watts, 0);
        check(watts("22"), Some(22.0), |report| &report.kilowatts, 1);
        check(watts("0"), None, |report| &report.no_power, 0);
        for none in ["0.05", "-50", "50000000"] {
            check(watts(none), None, |report| &report.no_power, 1);
        }
    }
    for kw in [oicp, ocm, in_kw] as [fn(&str) -> String; 3] {
        check(kw("50"), Some(50.0), |report| &report.no_power, 0);
        check(kw("3700"), Some(3.7), |report| &report.watts, 1);
        check(kw("0"), None, |report| &report.no_power, 0);
        for none in ["0.05", "-50", "50000000"] {
            check(kw(none), None, |report| &report.no_power, 1);
        }
    }
}

#[test]
fn a_place_that_is_closed_for_good_is_not_listed() {
    let hours = |flag: &str| {
        format!(
            r#""operatingHours":{{"afacOperatingHoursSpecification":{{"closureInformation":{{"permananentlyClosed":{flag}}}}}}}"#
        )
    };
    let site = |of_site: &str, of_station: &str| {
        list(&format!(
            r#"{{"energyInfrastructureSite":[{{"idG":"S",{of_site},"energyInfrastructureStation":[{{"idG":"T",{of_station},"refillPoint":[{{"aegiElectricChargingPoint":{{"idG":"E1"}}}}]}}]}}]}}"#
        ))
    };
    for (of_site, of_station, absent) in [("true", "false", 1), ("false", "true", 1), ("false", "false", 0)] {
        let found = site(&hours(of_site), &hours(of_station));
        assert_eq!(
            (found.places.len() as u64, counted(&found, |report| &report.absent)),
            (1 - absent, absent)
        );
    }
}

#[test]
fn a_list_under_an_error_is_refused() {
    let answer = |code: &str| {
        format!(
            r#"{{"data":[{{"id":"L","evses":[{{"uid":"1","status":"AVAILABLE","connectors":[]}}]}}],"status_code":{code},"status_message":"Invalid token"}}"#
        )
    };
    assert_eq!(list(&answer("1000")).places.len(), 1);
    for code in ["2000", "\"3001\"", "4002", "401"] {
        let said = PlaceList::read(answer(code).as_bytes()).unwrap_err().to_string();
        assert!(said.contains(code.trim_matches('"')) && said.contains("Invalid token"), "{said}");
    }
}

#[test]
fn powers_of_several_plugs_in_one_field_are_one_each() {
    let power = |text: &str| {
        let list = list(&format!(
            "EVSE-ID1;Steckertypen1;Nennleistung Stecker1\nDE*A*E1;DC Kupplung Combo;{text}\n"
        ));
        (list.places["DE*A*E1"].power_kw, counted(&list, |report| &report.no_power))
    };
    assert_eq!(power("\"50; 150,5\""), (Some(150.5), 0));
    assert_eq!(power("\"22, 50\""), (Some(50.0), 0));
    assert_eq!(power("22,5"), (Some(22.5), 0));
    assert_eq!(power("\"22; many\""), (Some(22.0), 1));
}

#[test]
fn tariffs_may_have_a_document_of_their_own() {
    let locations = r#"{"status_code":1000,"data":[{"id":"L","evses":[{"uid":"1","connectors":[{"tariff_ids":["T"]}]}]}]}"#;
    let tariffs = r#"{"status_code":1000,"data":[{"id":"T","currency":"EUR","elements":[{"price_components":[{"type":"ENERGY","price":0.45}]}]}]}"#;
    for text in [format!("{locations}\n{tariffs}"), format!("{tariffs}{locations}")] {
        assert_eq!(list(&text).places["L/1"].price_kwh, Some(0.45), "{text}");
    }
    let alone = PlaceList::read(tariffs.as_bytes()).unwrap_err().to_string();
    assert!(alone.contains("tariffs alone are none"), "{alone}");
    let error = format!("{}\n{tariffs}", locations.replace("1000", "3001"));
    assert!(PlaceList::read(error.as_bytes()).unwrap_err().to_string().contains("status_code 3001"));
    // Behind the last page there is nothing.
    let pages = format!("{locations}\n{}", r#"{"status_code":1000,"data":[]}"#);
    assert_eq!(list(&pages).places.len(), 1);
}
