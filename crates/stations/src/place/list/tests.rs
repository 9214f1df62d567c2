//! Lists of places as registers and networks write them.

use super::*;
use crate::Plug;

fn read(text: &str) -> PlaceList {
    PlaceList::read(text.as_bytes()).unwrap()
}

#[test]
fn a_list_may_have_any_of_its_columns() {
    let check = |text: &str, expected: Place| assert_eq!(read(text).places["a"], expected, "{text}");
    let at = |latitude, longitude| Place { position: Position::new(latitude, longitude), ..Place::default() };
    check("evse_id\na\n", Place::default());
    let ccs = Place { plugs: vec![Plug::Ccs], connector: Some("ComboCCS".into()), ..Place::default() };
    check("connector_type,evse_id,colour\nComboCCS,a,red\n", ccs);
    check("evse_id;latitude;longitude\na;50,5;8,25\n", at(50.5, 8.25));
    check("id_pdc_itinerance,coordonneesXY\na,\"[8.25,50.5]\"\n", at(50.5, 8.25));
    check("id_pdc,coordonneesxy\na,\"{'lon': 8.25, 'lat': 50.5}\"\n", at(50.5, 8.25));
    check("id_pdc,coordonneesxy\na,POINT (8.25 50.5)\n", at(50.5, 8.25));
    let both = Place { plugs: vec![Plug::Ccs, Plug::Type2], ..Place::default() };
    check(
        "id_pdc_itinerance,prise_type_2,prise_type_combo_ccs,prise_type_chademo\na,true,TRUE,false\n",
        both,
    );
    let bnetza = "Ladesäulenregister\nStand;1.1.2025\n\nBetreiber;Breitengrad;Längengrad;Steckertypen1;P1 [kW];EVSE-ID1\n\
                  EnBW;50,5;8,25;\"AC Steckdose Typ 2, AC Schuko\";22;a\n";
    let connector = Some("AC Steckdose Typ 2, AC Schuko".into());
    let (plugs, operator) = (vec![Plug::Type2, Plug::Domestic], Some("EnBW".into()));
    check(bnetza, Place { connector, plugs, operator, power_kw: Some(22.0), ..at(50.5, 8.25) });
    let error = PlaceList::read(&b"station\na\n"[..]).unwrap_err();
    assert!(error.to_string().contains("no column `evse_id`; its header reads: station"), "{error}");
}

#[test]
fn what_cannot_be_used_is_counted_and_the_rest_is_read() {
    let check = |columns: &str,
                 row: &str,
                 counted: fn(&PlacesReport) -> &Counted,
                 value: fn(&Place) -> Option<f64>,
                 expected: Option<f64>| {
        let text =
            format!("evse_id,latitude,longitude,{columns}\na,50,8,{row}\nb,50,8,{row}\nc,50,8,{row}\n");
        let list = read(&text);
        assert_eq!(counted(&list.report).rows, 3, "{row}: {:?}", list.report);
        assert_eq!(value(&list.places["b"]), expected, "{row}");
        assert!(list.places["b"].position.is_some() && !list.report.lines().is_empty());
    };
    check("price_kwh", "0.45 EUR", |report| &report.no_price, |place| place.price_kwh, None);
    check("price_kwh", "€0.45", |report| &report.no_price, |place| place.price_kwh, None);
    check("power_kw", "22000", |report| &report.watts, |place| place.power_kw, Some(22.0));
    check("power_kw", "3700 W", |report| &report.watts, |place| place.power_kw, Some(3.7));
    check("power_kw", "fast", |report| &report.no_power, |place| place.power_kw, None);
    let plain = |row: &str| read(&format!("evse_id,power_kw\na,{row}\n")).places["a"].power_kw;
    assert_eq!(
        ["22", "22 kW", "22kW", "\"22,0\"", "350", "0"].map(plain),
        [22.0, 22.0, 22.0, 22.0, 350.0, 0.0].map(|kw| Some(kw).filter(|kw| *kw > 0.0))
    );
}

#[test]
fn positions_that_are_exchanged_are_put_right_and_others_are_not_known() {
    let text = "evse_id,latitude,longitude\na,50,8\nb,50.1,8.1\nb2,50.1,8.2\nb3,50.3,8.1\nc,8.2,50.2\nd,0,0\ne,x,8\n\
                f,200,200\n";
    let list = read(text);
    let position = |id: &str| list.places[id].position;
    assert_eq!(position("c"), Position::new(50.2, 8.2));
    assert_eq!([position("d"), position("e"), position("f")], [None; 3]);
    let report = &list.report;
    assert_eq!(
        (report.exchanged.rows, report.null_island.rows, report.no_position.rows),
        (1, 1, 2),
        "{report:?}"
    );
}

#[test]
fn powers_in_another_unit_are_put_right_or_not_known() {
    let check = |column: &str, value: &str, expected: Option<f64>| {
        let list = read(&format!("evse_id,{column}\na,{value}\n"));
        assert_eq!(list.places["a"].power_kw, expected, "{column} {value}: {:?}", list.report);
        list.report
    };
    assert_eq!(check("power_kw", "50000", Some(50.0)).watts.rows, 1);
    assert_eq!(check("power_kw", "50000 W", Some(50.0)).watts.rows, 1);
    assert_eq!(check("power_kw", "50.000 W", None).no_power.rows, 1);
    assert_eq!(check("power_kw", "0.05", None).no_power.rows, 1);
    assert_eq!(check("max_electric_power", "50000", Some(50.0)), check("power_w", "50000", Some(50.0)));
    assert_eq!(check("max_electric_power", "50", Some(50.0)).kilowatts.rows, 1);
    let ocpi = |watts: &str| {
        read(&format!(
            r#"{{"id":"L","evses":[{{"uid":"1","connectors":[{{"standard":"IEC_62196_T2","max_electric_power":{watts}}}]}}]}}"#
        ))
    };
    for (watts, kilowatts) in [("22000", 0), ("22", 1)] {
        let list = ocpi(watts);
        assert_eq!(list.places["L/1"].power_kw, Some(22.0));
        assert_eq!(list.report.kilowatts.rows, kilowatts, "{watts}");
    }
    let ocm =
        r#"[{"ID":1,"AddressInfo":{"Latitude":50,"Longitude":8},"Connections":[{"ID":1,"PowerKW":50000}]}]"#;
    let list = read(ocm);
    assert_eq!((list.places["ocm/1/1"].power_kw, list.report.watts.rows), (Some(50.0), 1));
}

#[test]
fn prices_are_in_the_currency_or_said() {
    let list = read("evse_id,price_kwh\na,59\nb,0.59\nc,59 ct\n");
    let prices = ["a", "b", "c"].map(|id| list.places[id].price_kwh);
    assert_eq!(prices, [Some(59.0), Some(0.59), None]);
    assert_eq!((list.report.high_prices.rows, list.report.no_price.rows), (1, 1));
    assert!(list.report.lines().iter().any(|line| line.contains("are they in cents?")));
    assert_eq!(read("evse_id,price_ct_kwh\na,59\n").places["a"].price_kwh, Some(0.59));
}

#[test]
fn an_open_quotation_mark_costs_its_own_row() {
    let rows: String = (0..40).map(|n| format!("e{n},CCS,50\n")).collect();
    let list = read(&format!("evse_id,connector_type,power_kw\nx,\"CCS,50\n{rows}"));
    assert_eq!((list.places.len(), list.report.open_quotes.rows), (40, 1));
    let list = read("evse_id,address,power_kw\na,\"Street 1\nTown\",50\nb,,50\n");
    assert_eq!((list.places.len(), list.places["a"].address.as_deref()), (2, Some("Street 1\nTown")));
}

#[test]
fn a_list_names_connectors_within_their_charger() {
    let list = read("charge_point_id,connector_id,connector_type\nCP1,1,CCS\nCP1,2,Type2\n");
    assert_eq!(
        (&list.places["CP1/1"].plugs[..], &list.places["CP1/2"].plugs[..]),
        (&[Plug::Ccs][..], &[Plug::Type2][..])
    );
}

#[test]
fn rows_of_one_evse_are_joined() {
    let list = read(
        "evse_id,connector_type,power_kw,price_kwh\na,CCS,150,0.5\na,Type2,22,0.6\nb,CCS/CHAdeMO,,\nc,Broomstick,,\n",
    );
    let a = &list.places["a"];
    assert_eq!(
        (&a.plugs[..], a.power_kw, a.price_kwh),
        (&[Plug::Ccs, Plug::Type2][..], Some(150.0), Some(0.6))
    );
    assert_eq!(list.places["b"].plugs, [Plug::Ccs, Plug::Chademo]);
    assert_eq!(list.places["c"].plugs, []);
    assert_eq!((list.report.joined_rows, list.report.unknown_plugs["Broomstick"]), (1, 1));
}

#[test]
fn a_list_joins_in_any_spelling_of_the_ids() {
    let list = read("evse_id,power_kw\nFRV75E9001011,22\nother,50\n");
    let (places, joined) = list.join(["FR*V75*E9001*01*1", "new"]);
    assert_eq!(places["FR*V75*E9001*01*1"].power_kw, Some(22.0));
    assert_eq!(joined, Joined { evses: 2, found: 1, other_spelling: 1, unused: 1 });
    assert!(places.contains_key("other") && joined.line().is_some());
}
