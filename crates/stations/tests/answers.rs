//! Answers and statuses that say something else than their parts do: errors with data under them, and closed sites with free points.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use voltmesh_stations::feeds;
use voltmesh_stations::history::Skip;
use voltmesh_stations::{Error, History, Mapping, Meaning};

/// An answer of OCPI with one EVSE, and what else stands in it.
fn ocpi(time: &str, more: &str) -> String {
    format!(
        r#"{{"data":[{{"id":"L","evses":[{{"uid":"1","status":"AVAILABLE","last_updated":"{time}"}}]}}]{more}}}"#
    )
}

#[test]
fn data_under_an_error_are_refused() {
    let time = "2025-03-03T10:00:00Z";
    for success in ["", r#","status_code":1000"#, r#","status_code":"1001""#, r#","status_code":200"#] {
        assert_eq!(feeds::read(ocpi(time, success).as_bytes()).unwrap().1.len(), 1, "{success}");
    }
    let check = |text: &str, said: &str| {
        let error = feeds::read(text.as_bytes()).unwrap_err();
        assert!(
            matches!(error, Error::Refused { .. }) && error.to_string().contains(said),
            "{text}: {error}"
        );
        assert_eq!(feeds::of_live_value(&serde_json::from_str(text).unwrap()), None, "{text}");
        let error = History::read(text.as_bytes(), &Mapping::new()).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    };
    let message = r#""status_message":"Invalid or missing parameters""#;
    check(
        &ocpi(time, &format!(r#","status_code":2001,{message}"#)),
        "status_code 2001: Invalid or missing parameters",
    );
    check(&ocpi(time, r#","status_code":"3000""#), "status_code 3000");
    check(&ocpi(time, r#","status_code":503,"message":"Try later""#), "status_code 503: Try later");
    check(r#"{"status_code":2001,"timestamp":"2025-03-03T10:00:00Z"}"#, "status_code 2001");
    // An answer of OICP without records is an empty one only if it is none of an error.
    let oicp = |code: &str| {
        format!(
            r#"{{"EvseStatuses":{{"OperatorEvseStatus":[]}},"StatusCode":{{"Code":"{code}","Description":"Unauthorized Access"}}}}"#
        )
    };
    assert_eq!(feeds::read(oicp("000").as_bytes()).unwrap().1, []);
    check(&oicp("017"), "StatusCode 017: Unauthorized Access");
    // A row with a code of its own is a row.
    let row = serde_json::json!({
        "timestamp": 1_740_997_800, "evse_id": "E1", "status": "Available", "status_code": 2001
    });
    assert_eq!(feeds::of_live_value(&row).unwrap().1.len(), 1);
}

#[test]
fn one_answer_of_several_that_is_an_error_costs_itself() {
    let answer = |hour: i64| {
        let code = if hour == 5 { 2000 } else { 1000 };
        ocpi(&format!("2025-03-03T{hour:02}:00:00Z"), &format!(r#","status_code":{code}"#))
    };
    let text: Vec<String> = (0..24).map(answer).collect();
    let history = History::read(text.join("\n").as_bytes(), &Mapping::new()).unwrap();
    let skipped: Vec<_> = history.report().sources[0].skipped.iter().collect();
    let [(Skip::ErrorAnswer, counted)] = skipped[..] else { panic!("{skipped:?}") };
    assert_eq!((counted.rows, &*counted.first), (1, "line 6: status_code 2000"));
    assert_eq!(history.observed(5, 0), None);
}

/// A status publication of DATEX II of one refill point, with what is said of site, station and point.
fn datex(site: &str, station: &str, point: &str, status: &str) -> String {
    format!(
        r#"{{"payload":{{"energyInfrastructureSiteStatus":[{{{site}"energyInfrastructureStationStatus":[{{{station}"refillPointStatus":[
        {{"aegiRefillPointStatus":{{"reference":{{"idG":"E1"}},"lastUpdated":"2025-03-03T10:00:00Z",{point}"status":{{"value":"{status}"}}}}}}]}}]}}]}}}}"#
    )
}

#[test]
fn nothing_is_free_where_the_site_is_closed() {
    let check = |text: &str, status: &str, means: Meaning, at: i64| {
        let readings = feeds::read(text.as_bytes()).unwrap().1;
        let [one] = &readings[..] else { panic!("{readings:?}") };
        assert_eq!((&*one.evse, &*one.status, one.at), ("E1", status, Some(at)), "{text}");
        assert_eq!(Meaning::of_usual_name(status), Some(means), "{text}");
    };
    let (ten, noon) = (1_740_996_000, 1_741_003_200);
    let closed = r#""lastUpdated":"2025-03-03T12:00:00Z","openingStatus":{"value":"closed"},"#;
    check(&datex("", "", "", "available"), "available", Meaning::Free, ten);
    for open in [r#""openingStatus":{"value":"open"},"#, r#""operationStatus":"inOperation","#] {
        check(&datex(open, open, open, "available"), "available", Meaning::Free, ten);
    }
    check(&datex(closed, "", "", "available"), "closed", Meaning::OutOfOrder, noon);
    check(&datex("", closed, "", "available"), "closed", Meaning::OutOfOrder, noon);
    // The point's word for itself does not open the site.
    check(&datex(closed, "", r#""openingStatus":"open","#, "available"), "closed", Meaning::OutOfOrder, noon);
    check(&datex(closed, "", "", "unknown"), "closed", Meaning::OutOfOrder, noon);
    check(&datex(closed, "", "", "charging"), "charging", Meaning::Busy, ten);
    check(&datex(closed, "", "", "faulted"), "faulted", Meaning::OutOfOrder, ten);
    for word in ["closedOnHoliday", "closedOnMaintenance", "temporarilyClosed"] {
        let said = format!(r#""openingStatus":{{"value":"{word}"}},"#);
        check(&datex(&said, "", "", "available"), word, Meaning::OutOfOrder, ten);
    }
    for word in ["notInOperation", "notInOperationAbnormal", "technicalDefect"] {
        let said = format!(r#""operationStatus":"{word}","#);
        check(&datex("", "", &said, "available"), word, Meaning::OutOfOrder, ten);
    }
    let xml = "<d><energyInfrastructureSiteStatus><openingStatus>temporarilyClosed</openingStatus><energyInfrastructureStationStatus>\
               <refillPointStatus><reference id='E1'/><lastUpdated>2025-03-03T10:00:00Z</lastUpdated><status>available</status>\
               </refillPointStatus></energyInfrastructureStationStatus></energyInfrastructureSiteStatus></d>";
    check(xml, "temporarilyClosed", Meaning::OutOfOrder, ten);
}

#[test]
fn nothing_is_free_at_a_point_of_open_charge_map_that_is_out_of_order() {
    let point = |status: u32| {
        format!(
            r#"[{{"ID":1,"AddressInfo":{{}},"StatusTypeID":{status},"Connections":[{{"ID":1,"StatusTypeID":10}},{{"ID":2,"StatusTypeID":20}},{{"ID":3,"StatusTypeID":50}}]}}]"#
        )
    };
    let means = |status: u32| {
        let readings = feeds::read(point(status).as_bytes()).unwrap().1;
        readings.iter().map(|one| Meaning::of_usual_name(&one.status).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(means(50), [Meaning::Free, Meaning::Busy, Meaning::Unknown]);
    for status in [30, 100, 150, 200] {
        let out = Meaning::OutOfOrder;
        assert_eq!(means(status), [out, Meaning::Busy, out], "{status}");
    }
}
