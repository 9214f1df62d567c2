//! Tests of live feeds of charging stations.

use super::*;

const HEADER: &str = "timestamp,evse_id,status\n";

/// 2025-03-01T10:00:00Z.
const TEN: i64 = 1_740_823_200;

fn feed() -> Feed {
    let labels = Labels::new(["Available", "Occ"].map(str::to_owned), &Mapping::new());
    Feed::new(Grid { step_s: 900, phase: 0 }, Validity::new(3600), labels, Mapping::new())
}

/// One snapshot as text: minutes after ten, and each EVSE's status.
fn text(snapshot: &Snapshot) -> String {
    let readings = snapshot.readings.iter().map(|(id, status)| format!("{id}={status}"));
    format!("{}: {}", (snapshot.at - TEN) / 60, readings.collect::<Vec<_>>().join(" "))
}

fn rows(rows: &[(i64, &str, &str)]) -> String {
    let line = |(minutes, id, status): &(i64, &str, &str)| {
        let (hour, minute) = (10 + minutes.div_euclid(60), minutes.rem_euclid(60));
        format!("2025-03-01T{hour:02}:{minute:02}:00Z,{id},{status}\n")
    };
    format!("{HEADER}{}", rows.iter().map(line).collect::<String>())
}

fn check(input: &str, snapshots: &[&str], counted: Rows) {
    // However the bytes are cut.
    for size in [1, 7, 64, 100_000] {
        let mut feed = feed();
        let mut found = Vec::new();
        for piece in input.as_bytes().chunks(size) {
            found.extend(feed.take(TEN + 7200, piece));
        }
        found.extend(feed.settle());
        assert_eq!(found.iter().map(text).collect::<Vec<_>>(), snapshots, "in pieces of {size}");
        assert_eq!(feed.rows(), counted, "in pieces of {size}");
        assert_eq!(feed.settle(), None);
    }
}

#[test]
fn rows_become_snapshots() {
    let input = rows(&[(0, "a", "Available"), (0, "b", "Occ"), (15, "a", "Occ"), (16, "b", "Available")]);
    check(&input, &["0: a=Available b=Occ", "15: a=Occ b=Available"], Rows { rows: 4, ..Rows::default() });
    check(HEADER, &[], Rows::default());
    check("", &[], Rows::default());
    let other = "status,colour,evse_id,timestamp\r\n\"Occ\",red,a,2025-03-01T11:00:00+01:00\r\n";
    check(other, &["0: a=Occ"], Rows { rows: 1, ..Rows::default() });
}

#[test]
fn rows_name_connectors_within_their_charger() {
    let row =
        |minute: i64, id: &str, status: &str| format!("2025-03-01T10:{minute:02}:00Z,CP1,{id},{status}\n");
    let rows =
        [row(0, "1", "Available"), row(0, "2", "Occ"), row(0, "0", "Occ"), row(15, "1", "null")].concat();
    let input = format!("timestamp,charge_point_id,connector_id,status\n{rows}");
    check(&input, &["0: CP1/1=Available CP1/2=Occ"], Rows { rows: 4, malformed: 2, ..Rows::default() });
}

#[test]
fn rows_that_are_duplicate_or_reversed() {
    let input = rows(&[
        (0, "a", "Available"),
        (0, "a", "Occ"),
        (15, "b", "Occ"),
        (5, "a", "Available"),
        (3, "a", "Occ"),
    ]);
    // Ten past: older than the slot under way, and news of this EVSE all the same.
    let counted = Rows { rows: 5, duplicates: 1, late: 1, ..Rows::default() };
    check(&input, &["0: a=Occ", "15: a=Available b=Occ"], counted);
}

#[test]
fn old_readings_are_unknown() {
    let input = rows(&[
        (0, "a", "Occ"),
        (45, "b", "Occ"),
        (60, "b", "Occ"),
        (61, "b", "Available"),
        (75, "b", "Occ"),
        (0, "c", "Occ"),
    ]);
    let counted = Rows { rows: 6, late: 1, ..Rows::default() };
    check(&input, &["0: a=Occ", "45: a=Occ b=Occ", "60: b=Available", "75: b=Occ"], counted);
}

#[test]
fn bad_rows_of_a_feed_are_skipped_and_counted() {
    let mut input = rows(&[(0, "a", "Occ"), (0, "b", "Occ")]);
    input.push_str("yesterday,a,Occ\n2025-03-01T10:00:00Z,,Occ\n2025-03-01T10:00:00Z,a\nnonsense\n\n");
    input.push_str("2099-01-01T00:00:00Z,a,Occ\n2025-03-01T10:01:00Z,b,Broken\n");
    input.push_str(&format!("2025-03-01T10:02:00Z,a,{}\n", "x".repeat(2 * MAX_LINE)));
    input.push_str(&format!("2025-03-01T10:02:00Z,{},Occ\n", "x".repeat(MAX_ID + 1)));
    let counted =
        Rows { rows: 10, malformed: 5, too_long: 1, ahead: 1, unknown_status: 1, ..Rows::default() };
    check(&input, &["0: a=Occ"], counted);
    let headless = "2025-03-01T10:00:00Z,a,Occ\n";
    check(headless, &[], Rows { rows: 1, malformed: 1, ..Rows::default() });
}

#[test]
fn a_line_that_is_being_written_waits_for_its_end() {
    let mut feed = feed();
    assert!(feed.take(TEN, format!("{HEADER}2025-03-01T10:00:00Z,a,O").as_bytes()).is_empty());
    assert_eq!((feed.settle(), feed.rows().rows), (None, 0));
    feed.take(TEN, b"cc\n");
    assert_eq!(feed.settle().as_ref().map(text), Some("0: a=Occ".to_owned()));
    // Replaced by another file in the middle of a line.
    feed.take(TEN, b"2025-03-01T10:15:00Z,a,Av");
    feed.restart();
    feed.take(TEN + 900, rows(&[(15, "a", "Available")]).as_bytes());
    assert_eq!(feed.settle().as_ref().map(text), Some("15: a=Available".to_owned()));
    assert_eq!((feed.rows().restarts, feed.rows().malformed), (1, 0));
}

#[test]
fn a_status_whose_time_cannot_be_read_is_counted_and_not_taken_as_new() {
    let mut documents = feed();
    let of =
        |at: &str| format!(r#"{{"EvseStatuses":[{{"EvseID":"a","EvseStatus":"Occ","LastUpdate":"{at}"}}]}}"#);
    documents.take(TEN, of("2020-01-01T10:00:00").as_bytes());
    documents.take(TEN, of("yesterday").as_bytes());
    assert_eq!((documents.settle(), documents.rows().malformed), (None, 2));
    documents.take(TEN, of("2025-03-01T10:00:00Z").as_bytes());
    assert_eq!(documents.settle().as_ref().map(text), Some("0: a=Occ".to_owned()));
    let frame = r#"[2,"1","StatusNotification",{"connectorId":1,"status":"Occ"}]"#;
    let mut log = feed();
    log.take(TEN, format!("2025-03-01 10:00:00 CP1 {frame}\n2025-03-01T10:00:00Z CP1 {frame}\n").as_bytes());
    assert_eq!(log.settle().as_ref().map(text), Some("0: CP1/1=Occ".to_owned()));
    assert_eq!(log.rows(), Rows { rows: 2, malformed: 1, ..Rows::default() });
}

#[test]
fn a_clock_that_is_ahead_costs_its_own_row() {
    let mut feed = feed();
    let ids = ["a", "b", "c"];
    let snap = |minutes: i64| rows(&ids.map(|id| (minutes, id, "Available")));
    let mut found = feed.take(TEN, snap(0).as_bytes());
    found.extend(feed.take(TEN, b"2025-03-01T12:00:00Z,b,Available\n"));
    found.extend(feed.take(TEN + 900, snap(15).strip_prefix(HEADER).expect("a header").as_bytes()));
    found.extend(feed.settle());
    let expected = ["0: a=Available b=Available c=Available", "15: a=Available b=Available c=Available"];
    assert_eq!(found.iter().map(text).collect::<Vec<_>>(), expected);
    assert_eq!(feed.rows(), Rows { rows: 7, ahead: 1, ..Rows::default() });
}

#[test]
fn a_feed_of_changes_only_keeps_its_statuses() {
    let mut feed = feed();
    let mut input = vec![(-120, "a", "Available"), (-120, "b", "Available")];
    input.extend((-7..=0).map(|n| (n * 15, "a", if n % 2 == 0 { "Occ" } else { "Available" })));
    feed.take(TEN, rows(&input).as_bytes());
    assert_eq!(feed.settle().as_ref().map(text), Some("0: a=Occ b=Available".to_owned()));
    // Nothing changes: the statuses hold, but not for ever.
    assert_eq!(feed.hold(TEN + 800), None);
    assert_eq!(feed.hold(TEN + 3 * 3600).as_ref().map(text), Some("180: a=Occ b=Available".to_owned()));
    assert_eq!(feed.hold(TEN + 86_401), None);
}

#[test]
fn tables_and_logs_of_networks_are_read() {
    let check = |input: &str, expected: &str| {
        let mut feed = feed();
        feed.take(TEN, input.as_bytes());
        assert_eq!(feed.settle().as_ref().map(text).as_deref(), Some(expected), "{input}");
        assert_eq!(feed.rows().malformed, 0, "{input}");
    };
    // Since yesterday, and now.
    check(
        "id_pdc_itinerance,etat_pdc,occupation_pdc,horodatage\na,en_service,libre,2025-02-28T10:00:00+0000\n\
         b,hors_service,libre,2025-03-01T09:59:00+0000\nc,en_service,occupe,2025-03-01T09:59:00+0000\n",
        "0: a=libre c=occupe",
    );
    check("id_pdc;statut_pdc;last_updated\na;Disponible;2025-02-28T10:00:00+00:00\n", "0: a=Disponible");
    check(
        "2025-03-01T09:50:00Z CP1 [2,\"1\",\"Heartbeat\",{}]\n2025-03-01T10:00:00Z CP1 \
         [2,\"2\",\"StatusNotification\",{\"connectorId\":1,\"status\":\"Available\"}]\n",
        "0: CP1/1=Available",
    );
}

#[test]
fn documents_are_read_as_they_come() {
    let evse = |id: &str, status: &str, at: &str| {
        format!(r#"{{"uid":"1","evse_id":"{id}","status":"{status}","last_updated":"2025-{at}Z"}}"#)
    };
    let evses = [
        evse("a", "AVAILABLE", "03-01T09:59:00"),
        evse("b", "CHARGING", "02-27T10:00:00"),
        evse("c", "AVAILABLE", "03-01T12:00:00"),
        evse("d", "AVAILABLE", "01-01T10:00:00"),
    ];
    let document = format!("{{\"data\":[{{\"id\":\"L\",\n\"evses\":[{}]}}]}}\n", evses.join(","));
    for size in [1, 50, 10_000] {
        let mut feed = feed();
        for piece in document.as_bytes().chunks(size) {
            assert_eq!(feed.take(TEN, piece), []);
        }
        let snapshot = feed.settle().unwrap();
        assert_eq!(
            (text(&snapshot), &snapshot.said[..]),
            ("0: a=AVAILABLE b=CHARGING".to_owned(), &[TEN - 60, TEN - 172_800][..])
        );
        assert_eq!(feed.rows(), Rows { rows: 4, ahead: 1, late: 1, ..Rows::default() });
    }
    // It is so when it is read, however long ago it was said.
    let mut late = feed();
    late.take(TEN + 417, document.as_bytes());
    let snapshot = late.settle().unwrap();
    assert_eq!((snapshot.at, snapshot.newest), (TEN, TEN + 417));
    let mut feed = feed();
    feed.take(TEN, b"{\"a\":1}\n");
    feed.take(TEN, b"{\"b\":");
    assert_eq!((feed.settle(), feed.rows().malformed), (None, 2));
}

#[test]
fn documents_of_xml_are_read_as_they_come() {
    let point = |id: &str, status: &str| {
        format!(
            "<refillPointStatus><reference id=\"{id}\"/><lastUpdated>2025-03-01T09:59:00Z</lastUpdated><status>{status}</status>\
             </refillPointStatus>"
        )
    };
    let document = format!(
        "<?xml version=\"1.0\"?>\n<d2:payload xmlns:d2=\"x\"><energyInfrastructureStationStatus>{}\n{}\
         </energyInfrastructureStationStatus></d2:payload>\n",
        point("a", "available"),
        point("b", "charging")
    );
    for size in [1, 50, 10_000] {
        let mut feed = feed();
        for piece in document.as_bytes().chunks(size) {
            assert_eq!(feed.take(TEN, piece), []);
        }
        assert_eq!(feed.settle().as_ref().map(text), Some("0: a=available b=charging".to_owned()), "{size}");
        assert_eq!(feed.rows(), Rows { rows: 2, ..Rows::default() });
    }
    // An error's page of HTML is none of a feed.
    let mut feed = feed();
    assert_eq!(feed.page(TEN, 0, b"<!DOCTYPE html><html><body>502</body></html>"), []);
    assert_eq!((feed.settle(), feed.rows().malformed), (None, 1));
}

#[test]
fn a_page_that_says_it_is_an_error_counts_for_nothing() {
    let page = |id: &str, code: u32| {
        format!(
            r#"{{"data":[{{"uid":"{id}","evse_id":"{id}","status":"AVAILABLE"}}],"status_code":{code},"status_message":"No luck"}}"#
        )
    };
    let mut feed = feed();
    assert_eq!(feed.page(TEN, 0, page("a", 1000).as_bytes()), []);
    assert_eq!(feed.page(TEN, 1, page("b", 2000).as_bytes()), []);
    assert_eq!(feed.page(TEN, 2, page("c", 1000).as_bytes()), []);
    assert_eq!(feed.settle().as_ref().map(text), Some("0: a=AVAILABLE c=AVAILABLE".to_owned()));
    assert_eq!(feed.rows().malformed, 1);
    assert_eq!(feed.refusal().as_deref(), Some("status_code 2000: No luck"));
    assert_eq!(feed.refusal(), None, "told once");
}

#[test]
fn documents_may_stand_on_one_line() {
    let row = |id: &str| format!(r#"{{"timestamp":{TEN},"evse_id":"{id}","status":"Occ"}}"#);
    for between in ["", " ", ",", ", ", ",\n"] {
        let mut feed = feed();
        feed.take(TEN, format!("{}{between}{}\n", row("a"), row("b")).as_bytes());
        assert_eq!(feed.settle().as_ref().map(text), Some("0: a=Occ b=Occ".to_owned()), "{between:?}");
        assert_eq!(feed.rows(), Rows { rows: 2, ..Rows::default() }, "{between:?}");
    }
}

#[test]
fn all_messages_of_a_line_are_taken() {
    let frame = |connector: u32| {
        format!(
            r#"[2,"1","StatusNotification",{{"connectorId":{connector},"status":"Occ","timestamp":"2025-03-01T10:00:00Z"}}]"#
        )
    };
    let mut log = feed();
    log.take(
        TEN,
        format!("CP1 {} {}\nCP1 {},[2,\"1\",\"StatusNotification\",{{\n", frame(1), frame(2), frame(3))
            .as_bytes(),
    );
    assert_eq!(log.settle().as_ref().map(text), Some("0: CP1/1=Occ CP1/2=Occ CP1/3=Occ".to_owned()));
    assert_eq!(log.rows(), Rows { rows: 4, malformed: 1, ..Rows::default() });
}

#[test]
fn pages_are_whole_and_what_is_the_same_is_so_now() {
    let document = |evses: &[(&str, &str)]| {
        let evse = |(id, status): &(&str, &str)| {
            format!(
                r#"{{"uid":"{id}","evse_id":"{id}","status":"{status}","last_updated":"2025-03-01T09:00:00Z"}}"#
            )
        };
        format!(r#"{{"data":[{}],"status_code":1000}}"#, evses.iter().map(evse).collect::<Vec<_>>().join(","))
    };
    let mut feed = feed();
    assert_eq!(feed.page(TEN, 0, document(&[("a", "AVAILABLE"), ("b", "CHARGING")]).as_bytes()), []);
    assert_eq!(feed.page(TEN, 1, document(&[("c", "AVAILABLE")]).as_bytes()), []);
    // The last page may be empty, and is none of those that are not understood.
    assert_eq!(feed.page(TEN, 2, document(&[]).as_bytes()), []);
    assert_eq!(feed.settle().as_ref().map(text), Some("0: a=AVAILABLE b=CHARGING c=AVAILABLE".to_owned()));
    // An hour later the first page is the same; of the second nothing was heard.
    assert_eq!(feed.same(TEN + 3_600, 7), None);
    assert_eq!(feed.same(TEN + 3_600, 0), None);
    assert_eq!(feed.settle().as_ref().map(text), Some("60: a=AVAILABLE b=CHARGING c=AVAILABLE".to_owned()));
    feed.same(TEN + 4_500, 0);
    assert_eq!(feed.settle().as_ref().map(text), Some("75: a=AVAILABLE b=CHARGING".to_owned()));
    assert_eq!(feed.rows(), Rows { rows: 3, ..Rows::default() });
    // However often a document changes, it says what is so now: nothing of it holds longer than it is said.
    for n in 0..20 {
        let status = if n % 2 == 0 { "CHARGING" } else { "AVAILABLE" };
        feed.page(TEN + 4_500 + 60 * n, 0, document(&[("a", status)]).as_bytes());
    }
    feed.settle();
    assert_eq!(feed.hold(TEN + 20_000), None);
}

#[test]
fn a_page_of_a_table_needs_no_last_line_end() {
    let mut feed = feed();
    feed.page(TEN, 0, rows(&[(0, "a", "Occ"), (0, "b", "Occ")]).trim_end().as_bytes());
    feed.page(TEN, 1, rows(&[(0, "c", "Available")]).as_bytes());
    assert_eq!(feed.settle().as_ref().map(text), Some("0: a=Occ b=Occ c=Available".to_owned()));
    // Its rows have their own times: that the table is the same is no news of them.
    assert_eq!(feed.same(TEN + 900, 0), None);
    assert_eq!(feed.settle(), None);
    assert_eq!(feed.rows(), Rows { rows: 3, ..Rows::default() });
}

#[test]
fn the_kind_of_a_feed_can_be_said() {
    let check = |kind: Kind, expected: Option<&str>| {
        let labels = Labels::new(["Available", "Occ"].map(str::to_owned), &Mapping::new());
        let validity =
            Validity { kind, changes_hold_s: 7_200, changes_silence_s: 7_200, ..Validity::new(3_600) };
        let mut feed = Feed::new(Grid { step_s: 900, phase: 0 }, validity, labels, Mapping::new());
        // Too few rows to tell.
        feed.take(TEN, rows(&[(0, "a", "Occ")]).as_bytes());
        feed.settle();
        assert_eq!(feed.hold(TEN + 7_200).as_ref().map(text).as_deref(), expected, "{kind:?}");
        assert_eq!(feed.hold(TEN + 8_100), None, "{kind:?}");
    };
    check(Kind::Auto, None);
    check(Kind::Snapshots, None);
    check(Kind::Changes, Some("120: a=Occ"));
}

proptest::proptest! {
    #[test]
    fn nothing_makes_it_panic(pieces: Vec<Vec<u8>>, at: i64) {
        let mut feed = feed();
        feed.take(0, HEADER.as_bytes());
        for piece in pieces {
            feed.take(at, &piece);
            feed.hold(at);
        }
        feed.settle();
    }
}
