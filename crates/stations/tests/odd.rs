//! Odd histories and feeds with one known answer each: times that lack something, connectors of one EVSE, sessions told more than once,
//! logs of other messages.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::fmt::Write as _;

use voltmesh_stations::feeds;
use voltmesh_stations::history::Skip;
use voltmesh_stations::{Error, History, Mapping, Meaning, PlaceList, Plug};

/// 2025-03-03T00:00:00Z.
const START: i64 = 1_740_960_000;

fn read(text: &str) -> Result<History, Error> {
    History::read(text.as_bytes(), &Mapping::new())
}

/// A text without an offset.
fn local(at: i64) -> String {
    let (day, second) = (3 + (at - START) / 86_400, (at - START) % 86_400);
    format!("2025-03-{day:02}T{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

fn iso(at: i64) -> String {
    local(at) + "Z"
}

/// A row each quarter of an hour of a day.
fn lines(row: impl Fn(i64, bool) -> String) -> String {
    let mut text = String::new();
    for slot in 0..96 {
        writeln!(text, "{}", row(START + slot * 900, slot / 5 % 3 == 0)).unwrap();
    }
    text
}

fn word(busy: bool) -> &'static str {
    if busy { "Charging" } else { "Available" }
}

fn skipped(history: &History) -> Vec<(Skip, u64)> {
    let skipped = history.report().sources.iter().flat_map(|source| &source.skipped);
    skipped.map(|(why, counted)| (*why, counted.rows)).collect()
}

fn meaning(history: &History, at: i64, evse: &str) -> Option<Meaning> {
    let label = history.observed(history.slot(at)?, history.evse(evse)?)?;
    Some(history.labels().meanings()[label])
}

/// A history of which every row is read, busy at its beginning and free an hour and a half later.
fn check_whole(text: &str, evse: &str) {
    let history = read(text).unwrap();
    let head: String = text.lines().take(2).collect();
    assert_eq!((history.step_s(), history.slots(), skipped(&history)), (900, 96, vec![]), "{head}");
    let found = [0, 5_400].map(|after| meaning(&history, START + after, evse));
    assert_eq!(found, [Some(Meaning::Busy), Some(Meaning::Free)], "{head}");
}

/// A history of which no row can be used, for one reason.
fn check_none(text: &str, words: &str) {
    let said = read(text).unwrap_err().to_string();
    assert!(said.contains(words), "{said}");
}

#[test]
fn day_and_time_of_day_in_two_columns_are_joined() {
    let table = |header: &str, row: &dyn Fn(&str, &str, &str) -> String| {
        let rows = lines(|at, busy| {
            let text = local(at);
            let (day, time) = text.split_once('T').unwrap();
            row(day, time, word(busy))
        });
        format!("{header}\n{rows}")
    };
    check_whole(
        &table("date,time,evse_id,status", &|day, time, word| format!("{day},{time}Z,E1,{word}")),
        "E1",
    );
    check_whole(
        &table("Status;Ladepunkt;Uhrzeit;Datum", &|day, time, word| format!("{word};E1;{time}+00:00;{day}")),
        "E1",
    );
    check_whole(
        &table("jour;heure;id_pdc;statut", &|day, time, word| format!("{day};{time} UTC;E1;{word}")),
        "E1",
    );
    check_whole(
        &table("date_utc,time_utc,evse_id,status", &|day, time, word| format!("{day},{time},E1,{word}")),
        "E1",
    );
    // The time of day is a whole time.
    check_whole(
        &table("date,time,evse_id,status", &|day, time, word| format!("{day},{day}T{time}Z,E1,{word}")),
        "E1",
    );
    let german = lines(|at, busy| {
        let text = local(at);
        format!("{}.03.2025;{}Z;E1;{}", &text[8..10], &text[11..16], word(busy))
    });
    check_whole(&format!("Datum;Uhrzeit;Ladepunkt;Status\n{german}"), "E1");
    // What they lack is named, and nothing is made up.
    let without = table("date,time,evse_id,status", &|day, time, word| format!("{day},{time},E1,{word}"));
    check_none(&without, "a time without its offset from UTC");
    let twice =
        table("date,time,evse_id,status", &|day, time, word| format!("{day}T00:00:00Z,{time},E1,{word}"));
    check_none(&twice, "no time that can be read");
}

#[test]
fn sessions_have_days_and_times_of_day() {
    let parts = |at: i64| iso(at).replace('T', ",");
    let rows: String = (0..20)
        .map(|n| START + n * 7_200)
        .map(|at| format!("{},{},E1\n", parts(at), parts(at + 3_000)))
        .collect();
    for header in [
        "start_date,start_time,end_date,end_time,evse_id",
        "Startdatum,Startzeit,Enddatum,Endzeit,Ladepunkt",
        "date_debut,heure_debut,date_fin,heure_fin,id_pdc",
    ] {
        let history = read(&format!("{header}\n{rows}")).unwrap();
        assert_eq!(skipped(&history), [], "{header}");
        let found = [600, 3_600].map(|after| meaning(&history, START + 7_200 + after, "E1"));
        assert_eq!(found, [Some(Meaning::Busy), Some(Meaning::Free)], "{header}");
    }
}

#[test]
fn a_column_may_say_that_its_times_are_in_utc() {
    for name in ["timestamp_utc", "Zeit (UTC)", "utc_time", "last_updated_gmt"] {
        let rows = lines(|at, busy| format!("{},E1,{}", local(at), word(busy)));
        check_whole(&format!("{name},evse_id,status\n{rows}"), "E1");
        // An offset counts all the same.
        let rows = lines(|at, busy| format!("{}+01:00,E1,{}", local(at + 3_600), word(busy)));
        check_whole(&format!("{name},evse_id,status\n{rows}"), "E1");
    }
}

/// Documents whose statuses have a time each.
fn documents(of: impl Fn(&str, &str) -> String, stated: impl Fn(i64) -> String) -> String {
    lines(|at, busy| of(&stated(at), word(busy)))
}

const DATEX: fn(&str, &str) -> String = |at, status| {
    format!(
        r#"{{"payload":{{"publicationTime":"2025-03-04T00:00:00Z","site":[{{"refillPointStatus":[{{"reference":{{"id":"E1"}},"lastUpdated":"{at}","status":"{status}"}}]}}]}}}}"#
    )
};
const OICP: fn(&str, &str) -> String = |at, status| {
    format!(
        r#"{{"timestamp":"2025-03-04T00:00:00Z","EvseStatuses":[{{"EvseID":"E1","EvseStatus":"{status}","LastUpdate":"{at}"}}]}}"#
    )
};
const GELFS: fn(&str, &str) -> String = |at, status| {
    format!(
        r#"{{"gelfs_version":"0.96","locations":[{{"id":"1","stations":[{{"id":"1","ports":[{{"id":"1","port_status":[{{"status":"{status}"}}],"last_updated":"{at}"}}]}}]}}]}}"#
    )
};
const OCPI: fn(&str, &str) -> String = |at, status| {
    format!(
        r#"{{"data":[{{"id":"L","evses":[{{"uid":"1","status":"{status}","last_updated":"{at}"}}]}}],"timestamp":"2025-03-04T00:00:00Z","status_code":1000}}"#
    )
};

#[test]
fn a_time_without_an_offset_is_utc_in_ocpi_and_refused_elsewhere() {
    check_whole(&documents(OCPI, local), "L/1");
    for (of, evse) in [(DATEX, "E1"), (OICP, "E1"), (GELFS, "1/1/1")] {
        check_whole(&documents(of, iso), evse);
        // The time of the document is no remedy: the status may be of years before.
        check_none(&documents(of, local), "96 rows skipped: a time without its offset from UTC");
        check_none(&documents(of, |_| "yesterday".to_owned()), "96 rows skipped: no time that can be read");
        // A live feed takes none either.
        let live = |stated: &str| feeds::read(of(stated, "Available").as_bytes()).unwrap().1.len();
        assert_eq!([live("2020-01-01T00:00:00"), live("2025-03-03T00:00:00Z"), live("")], [0, 1, 1]);
    }
    check_none(&documents(OCPI, |_| "2025-03-03".to_owned()), "(first: line 1: 2025-03-03)");
    let ocm = |at: &str, status: &str| {
        let number = if status == "Available" { 10 } else { 20 };
        format!(
            r#"[{{"ID":1,"AddressInfo":{{}},"DateLastStatusUpdate":"{at}","StatusTypeID":{number},"Connections":[{{"ID":1}}]}}]"#
        )
    };
    check_whole(&documents(ocm, iso), "ocm/1/1");
    check_none(&documents(ocm, local), "a time without its offset from UTC");
    // The publication's own time.
    let published = |at: &str, status: &str| {
        format!(
            r#"{{"payload":{{"publicationTime":"{at}","site":[{{"refillPointStatus":[{{"reference":{{"id":"E1"}},"status":"{status}"}}]}}]}}}}"#
        )
    };
    check_whole(&documents(published, iso), "E1");
    check_none(&documents(published, local), "a time without its offset from UTC");
}

#[test]
fn connectors_of_one_evse_are_told_apart() {
    let table = |header: &str, id: &str| {
        let rows = lines(|at, busy| format!("{at},{id},1,{}\n{at},{id},2,Available", word(busy)));
        read(&format!("{header}\n{rows}")).unwrap()
    };
    let check = |header: &str, id: &str, evses: [&str; 2]| {
        let history = table(header, id);
        assert_eq!(
            (history.oddities().duplicates, history.report().mostly_unusable()),
            (0, false),
            "{header}"
        );
        let found = evses.map(|evse| meaning(&history, START, evse));
        assert_eq!(found, [Some(Meaning::Busy), Some(Meaning::Free)], "{header}");
    };
    check("timestamp,evse_id,connector_id,status", "DE*AB1*E1", ["DE*AB1*E1", "DE*AB1*E1/2"]);
    check("timestamp,evse_id,connector_id,status", "DE*AB1*E1*2", ["DE*AB1*E1*2", "DE*AB1*E1*2/2"]);
    check("timestamp,charging_station_id,evse_id,connector_id,status", "CS1,1", ["CS1/1", "CS1/1/2"]);
    check("timestamp,charging_station_id,evse_id,connector_id,status", "CS1,2", ["CS1/2", "CS1/2/2"]);
    check("timestamp,location_id,evse_uid,connector_number,status", "L,1", ["L/1", "L/1/2"]);
    // A vehicle at one connector takes the whole EVSE.
    let sessions: String = (0..20)
        .map(|n| START + n * 7_200)
        .map(|at| format!("{at},{},E1,{}\n", at + 3_000, at / 7_200 % 2 + 1))
        .collect();
    let history = read(&format!("start,end,evse_id,connector_id\n{sessions}")).unwrap();
    assert_eq!(history.evses().len(), 1);
    // A list of places joins them.
    let list = PlaceList::read(&b"evse_id,connector_id,connector_type\nE1,1,CCS\nE1,2,Type2\n"[..]).unwrap();
    assert_eq!(list.places["E1"].plugs, [Plug::Ccs, Plug::Type2]);
}

#[test]
fn numbers_of_a_table_with_gaps_are_the_same_ids() {
    let rows = lines(|at, busy| format!("{at},{},{}", if at % 1_800 == 0 { "7" } else { "7.0" }, word(busy)));
    check_whole(&format!("timestamp,evse_id,status\n{rows}"), "7");
}

#[test]
fn a_session_without_an_end_is_over_when_the_next_begins() {
    let table = |row: &dyn Fn(i64) -> String| {
        let rows: String = (0..20).map(|n| row(START + n * 7_200)).collect();
        read(&format!("start,end,evse_id\n{rows}")).unwrap()
    };
    let check = |history: &History, expected: [Meaning; 2]| {
        let found = [600, 3_600].map(|after| meaning(history, START + 7_200 + after, "E1").unwrap());
        let lengths = (skipped(history), history.report().sources[0].overlapping);
        assert_eq!((found, lengths), (expected, (vec![], 0)), "{:?}", history.report());
    };
    // The first of them has no end.
    let one =
        table(&|at| if at == START { format!("{at},,E1\n") } else { format!("{at},{},E1\n", at + 3_000) });
    check(&one, [Meaning::Busy, Meaning::Free]);
    assert_eq!(meaning(&one, START + 7_100, "E1"), Some(Meaning::Busy));
    // Each is told while it is under way, and again when it is over, in any order.
    let told = |at: i64, ends: [Option<i64>; 3]| {
        let end = |end: Option<i64>| end.map_or_else(String::new, |end| end.to_string());
        ends.map(|one| format!("{at},{},E1\n", end(one))).concat()
    };
    let updates = table(&|at| told(at, [None, None, Some(at + 3_000)]));
    check(&updates, [Meaning::Busy, Meaning::Free]);
    assert_eq!(updates.report().sources[0].repeated, 40);
    check(&table(&|at| told(at, [Some(at + 3_000), None, None])), [Meaning::Busy, Meaning::Free]);
}

#[test]
fn sessions_that_cannot_be_are_skipped_with_their_cause() {
    let good: String =
        (0..20).map(|n| START + n * 7_200).map(|at| format!("{at},{},E1\n", at + 3_000)).collect();
    let check = |row: &str, why: Skip, words: &str| {
        let history = read(&format!("start,end,evse_id\n{good}{row}\n")).unwrap();
        assert_eq!(skipped(&history), [(why, 1)], "{row}");
        let lines = history.report().lines();
        assert!(lines.iter().any(|line| line.contains(words)), "{lines:?}");
    };
    let at = START + 4_000;
    check(
        &format!("{at},{at},E1"),
        Skip::NoDuration,
        &format!("(first: line 22: E1, {at} to {at} s since 1970)"),
    );
    check(&format!("{at},{},E1", at - 60), Skip::NoDuration, "does not end after it begins");
    check(&format!("{at},{},E1", at + 8 * 86_400), Skip::TooLong, "more than a week");
    check(&format!("{at},00:50:00,E1"), Skip::NotATime, "line 22: 00:50:00");
    check(&format!("{at},3000,E1"), Skip::NotATime, "line 22: 3000");
    check(&format!("{at},2025-03-03T02:00:00,E1"), Skip::NoOffset, "offset from UTC");
    // Across the change of clocks of 30 March 2025, an hour and not two.
    let row = "2025-03-30T01:30:00+01:00,2025-03-30T03:30:00+02:00,E2";
    let history =
        read(&format!("start,end,evse_id\n{row}\n{}", row.replace("-30T", "-29T").replace("+02", "+01")))
            .unwrap();
    let busy = |at: i64| meaning(&history, at, "E2") == Some(Meaning::Busy);
    // 2025-03-30T00:30:00Z.
    assert_eq!([0, 3_300, 3_600].map(|after| busy(1_743_294_600 + after)), [true, true, false]);
}

#[test]
fn other_messages_of_ocpp_are_none_of_ours() {
    let status = |at: i64, busy: bool| {
        format!(
            r#"[2,"1","StatusNotification",{{"connectorId":1,"status":"{}","timestamp":{at}}}]"#,
            word(busy)
        )
    };
    let others = [
        r#"[2,"2","Heartbeat",{}]"#,
        r#"[3,"2",{"currentTime":"2025-03-03T00:00:00Z"}]"#,
        r#"[2,"3","MeterValues",{"connectorId":1,"meterValue":[{"sampledValue":[{"value":"StatusNotification"}]}]}]"#,
        r#"[2,"4","TriggerMessage",{"requestedMessage":"StatusNotification"}]"#,
    ];
    let text = |line: &dyn Fn(&str) -> String| {
        lines(|at, busy| {
            let all = others.iter().map(|other| line(other)).chain([line(&status(at, busy))]);
            all.collect::<Vec<_>>().join("\n")
        })
    };
    check_whole(&text(&|frame| format!("2025-03-03T00:00:00Z CP1 {frame}")), "CP1/1");
    check_whole(&text(&|frame| format!(r#"{{"chargePointId":"CP1","message":{frame}}}"#)), "CP1/1");
    let quoted = |frame: &str| serde_json::Value::String(frame.to_owned()).to_string();
    check_whole(&text(&|frame| format!(r#"{{"cp":"CP1","raw":{}}}"#, quoted(frame))), "CP1/1");
    // A log without the one message that counts is refused by its name.
    let transactions = [
        r#"[2,"1","StartTransaction",{"connectorId":1,"timestamp":"2025-03-03T00:00:00Z"}]"#,
        r#"[2,"1","TransactionEvent",{"eventType":"Started","timestamp":"2025-03-03T00:00:00Z","evse":{"id":1}}]"#,
        r#"[2,"1","NotifyEvent",{"eventData":[{"variable":{"name":"AvailabilityState"},"actualValue":"Available"}]}]"#,
    ];
    for frame in transactions {
        let said = "the log of OCPP is not understood: it is without StatusNotification";
        check_none(&format!("2025-03-03T00:00:00Z CS1 {frame}\n").repeat(5), said);
        check_none(&format!("{{\"chargingStationId\":\"CS1\",\"message\":{frame}}}\n").repeat(5), said);
        check_none(&format!("{frame}\n").repeat(5), said);
    }
}

#[test]
fn what_a_row_of_json_lacks_is_named() {
    let acn = r#"{"connectionTime":"2025-03-03T00:00:00Z","disconnectTime":"2025-03-03T00:50:00Z","stationID":"2-39"}"#;
    check_none(&format!("{acn}\n").repeat(5), "(first: line 1: no `evse_id` in {");
    let rows = r#"{"timestamp":"2025-03-03T00:00:00Z","evse_id":"E1","available":false}"#;
    check_none(&format!("{rows}\n").repeat(5), "(first: line 1: no `status` in {");
}

#[test]
fn digits_of_a_date_are_no_seconds_since_1970() {
    let rows = lines(|at, busy| format!("{},E1,{}", local(at)[..13].replace(['-', 'T'], ""), word(busy)));
    check_none(&format!("timestamp,evse_id,status\n{rows}"), "a time without its offset from UTC");
    let rows =
        lines(|at, busy| format!("{},E1,{}", local(at)[..16].replace(['-', 'T', ':'], ""), word(busy)));
    check_none(&format!("timestamp,evse_id,status\n{rows}"), "a time without its offset from UTC");
}

#[test]
fn a_live_row_of_a_whole_charger_says_nothing_of_its_connectors() {
    let row = |connector: u32| {
        format!(
            r#"{{"timestamp":{START},"chargePointId":"CP1","connectorId":{connector},"status":"Available"}}"#
        )
    };
    let document = serde_json::from_str(&format!("[{},{}]", row(0), row(1))).unwrap();
    let (_, readings) = feeds::of_live_value(&document).unwrap();
    let ids: Vec<&str> = readings.iter().map(|reading| &*reading.evse).collect();
    assert_eq!(ids, ["CP1/1"]);
}

#[test]
fn an_answer_without_entries_is_one() {
    for page in [
        r#"{"data":[],"status_code":1000}"#,
        r#"{"EvseStatuses":{"OperatorEvseStatus":[]}}"#,
        r#"{"EVSEStatuses":[]}"#,
    ] {
        assert_eq!(feeds::read(page.as_bytes()).unwrap().1, [], "{page}");
    }
}

#[test]
fn a_status_that_stands_in_two_columns_is_refused() {
    let rows = lines(|at, busy| format!("{},E1,{},{}", iso(at), word(busy), word(!busy)));
    for header in
        ["timestamp,evse_id,status,status", "timestamp,evse_id,Status,STATUS", "ts,evse_id,state,State"]
    {
        let refused = read(&format!("{header}\n{rows}"));
        assert!(matches!(refused, Err(Error::Twice { count: 2, .. })), "{header}: {refused:?}");
    }
    // Another column of another name is no second one.
    for header in ["timestamp,evse_id,status,state", "timestamp,evse_id,status,"] {
        assert!(read(&format!("{header}\n{rows}")).is_ok(), "{header}");
    }
}
