//! Forms in which networks and programs write histories, each with one known answer: what is understood is read right, and what is
//! not is skipped and counted, or refused with its cause.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::fmt::Write as _;

use voltmesh_stations::history::{Shape, Skip};
use voltmesh_stations::{Error, History, Mapping, Meaning};

/// 2025-03-03T00:00:00Z.
const START: i64 = 1_740_960_000;

fn read(text: &str) -> Result<History, Error> {
    History::read(text.as_bytes(), &Mapping::new())
}

fn iso(at: i64) -> String {
    let (day, second) = (3 + (at - START) / 86_400, (at - START) % 86_400);
    format!("2025-03-{day:02}T{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// Two chargers of two connectors for a day, a status each quarter of an hour; the second connector is always free.
fn rows(row: impl Fn(i64, &str, u32, bool) -> String) -> String {
    let mut text = String::new();
    for slot in 0..96 {
        for (charger, connector) in [("CP1", 1), ("CP1", 2), ("CP2", 1), ("CP2", 2)] {
            let busy = connector == 1 && slot / 5 % 3 == 0;
            writeln!(text, "{}", row(START + slot * 900, charger, connector, busy)).unwrap();
        }
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

#[test]
fn connectors_of_one_charger_are_evses_of_their_own() {
    let check = |text: &str| {
        let history = read(text).unwrap();
        let head: String = text.lines().take(2).collect();
        assert_eq!((history.evses().len(), skipped(&history)), (4, vec![]), "{head}");
        assert!(!history.report().mostly_unusable(), "{head}");
        for evse in ["CP1/1", "CP2/1"] {
            assert_eq!(meaning(&history, START, evse), Some(Meaning::Busy), "{head}");
        }
        for evse in ["CP1/2", "CP2/2"] {
            assert_eq!(meaning(&history, START, evse), Some(Meaning::Free), "{head}");
        }
    };
    let table = |header: &str| {
        let rows = rows(|at, charger, connector, busy| format!("{at},{charger},{connector},{}", word(busy)));
        format!("{header}\n{rows}")
    };
    check(&table("timestamp,charge_point_id,connector_id,status"));
    check(&table("timestamp,charging_station_id,evse_id,connector_status"));
    check(&table("timestamp,location_id,evse_uid,status"));
    check(&rows(|at, charger, connector, busy| {
        let status = word(busy);
        format!(
            r#"{{"timestamp":{at},"chargePointId":"{charger}","connectorId":{connector},"status":"{status}"}}"#
        )
    }));
    check(&rows(|at, charger, connector, busy| {
        let status = word(busy);
        format!(
            "{}Z recv {charger} [2,\"1\",\"StatusNotification\",{{\"connectorId\":\"{connector}\",\"status\":\"{status}\"}}]",
            iso(at)
        )
    }));
}

#[test]
fn rows_of_a_whole_charger_say_nothing_of_its_connectors() {
    let text = rows(|at, charger, connector, busy| {
        let whole = if connector == 1 { format!("{at},{charger},0,Available\n") } else { String::new() };
        format!("{whole}{at},{charger},{connector},{}", word(busy))
    });
    let history = read(&format!("time,charge_point_id,connector_id,status\n{text}")).unwrap();
    assert_eq!((history.evses().len(), skipped(&history)), (4, vec![(Skip::WholeCharger, 192)]));
}

#[test]
fn one_id_for_several_evses_is_said() {
    let text = rows(|at, charger, n, _| format!("{at},{charger},{}", word(n == 1)));
    let report = read(&format!("timestamp,evse_id,status\n{text}")).unwrap().report().clone();
    assert!(report.mostly_unusable(), "{report:?}");
    assert!(report.lines().iter().any(|line| line.contains("an id of its own")), "{:?}", report.lines());
}

#[test]
fn an_open_quotation_mark_costs_its_own_row() {
    let table = |at_slot: &[i64]| {
        let rows = rows(|at, charger, connector, busy| {
            let id = format!("{charger}-{connector}");
            let open = at_slot.contains(&((at - START) / 900)) && (charger, connector) == ("CP1", 1);
            format!("{},{}{id},{}", at, if open { "\"" } else { "" }, word(busy))
        });
        read(&format!("timestamp,evse_id,status\n{rows}")).unwrap()
    };
    for slots in [&[40_i64][..], &[40, 41], &[40, 90]] {
        let history = table(slots);
        assert_eq!(skipped(&history), [(Skip::OpenQuote, slots.len() as u64)], "{slots:?}");
        assert_eq!((history.slots(), history.evses().len()), (96, 4), "{slots:?}");
    }
}

#[test]
fn texts_of_nothing_are_no_status_and_no_evse() {
    for nothing in ["null", "NULL", "None", "NaN", "n/a", "<NA>", "-", "\\N"] {
        let rows = rows(|at, charger, connector, busy| format!("{at},{charger}{connector},{}", word(busy)));
        let text = format!(
            "timestamp,evse_id,status\n{rows}{0},{nothing},Charging\n{0},CP11,{nothing}\n",
            START + 450
        );
        let history = read(&text).unwrap();
        assert_eq!(skipped(&history), [(Skip::NoEvse, 1), (Skip::NoStatus, 1)], "{nothing}");
        assert_eq!((history.evses().len(), history.labels().len()), (4, 2), "{nothing}");
    }
}

#[test]
fn a_header_may_stand_behind_other_lines() {
    let rows = rows(|at, charger, connector, busy| format!("{at};{charger}{connector};{}", word(busy)));
    for before in ["sep=;\n", "# Export\n\n", "\u{feff}Export of today\r\n\r\n"] {
        let history = read(&format!("{before}timestamp;evse_id;status\n{rows}")).unwrap();
        assert_eq!((history.evses().len(), skipped(&history)), (4, vec![]), "{before}");
    }
}

#[test]
fn what_is_lacking_is_named() {
    let check = |text: &str, words: &str| {
        let said = read(text).unwrap_err().to_string();
        assert!(said.contains(words), "{text}: {said}");
    };
    check("", "an empty file");
    check("timestamp,E1,E2\n1,Available,Available\n", "`evse_id`");
    check("evse_id,status\nE1,Available\n", "`timestamp`");
    check("start,duration_min,evse_id\n1740960000,30,E1\n", "`end`");
    check("timestamp,evse_id\n1740960000,E1\n", "`status`");
    check("evse_id,status,start,end\nE1,AVAILABLE,1740960000,1740960900\n", "give the begin of each status");
}

/// Twenty sessions of fifty minutes, one every two hours.
fn sessions(session: impl Fn(i64, i64) -> String) -> History {
    let lines: Vec<String> = (0..20).map(|n| session(START + n * 7_200, START + n * 7_200 + 3_000)).collect();
    read(&lines.join("\n")).unwrap()
}

#[test]
fn sessions_of_ocpi_are_read() {
    let check = |history: &History, evse: &str| {
        let source = &history.report().sources[0];
        assert_eq!((source.shape, skipped(history)), (Some(Shape::Sessions), vec![]), "{source:?}");
        let found = [600, 3_600].map(|after| meaning(history, START + 7_200 + after, evse));
        assert_eq!(found, [Some(Meaning::Busy), Some(Meaning::Free)], "{evse}");
    };
    // 2.2.1 and 2.3.0, with a status and a time of their last change; times are in UTC.
    let of = |start: i64, end: i64| {
        format!(
            r#"{{"id":"s","start_date_time":"{}","end_date_time":"{}Z","location_id":"L","evse_uid":"1","connector_id":"1","status":"COMPLETED","last_updated":"{}Z"}}"#,
            iso(start),
            iso(end),
            iso(end)
        )
    };
    check(&sessions(of), "L/1");
    let cdr = |start: i64, end: i64| {
        format!(
            r#"{{"id":"c","start_date_time":"{}Z","end_date_time":"{}Z","cdr_location":{{"id":"L","evse_uid":"1","evse_id":"DE*AB1*E1"}},"last_updated":"{}Z"}}"#,
            iso(start),
            iso(end),
            iso(end)
        )
    };
    check(&sessions(cdr), "DE*AB1*E1");
    // 2.1.1.
    let old = |start: i64, end: i64| {
        format!(
            r#"{{"id":"s","start_datetime":"{}Z","end_datetime":"{}Z","location":{{"id":"L","evses":[{{"uid":"1"}}]}},"status":"COMPLETED"}}"#,
            iso(start),
            iso(end)
        )
    };
    check(&sessions(old), "L/1");
    // The last is under way.
    let active = |start: i64, end: i64| {
        let end = if start < START + 19 * 7_200 {
            format!(r#""end_date_time":"{}Z","#, iso(end))
        } else {
            String::new()
        };
        format!(
            r#"{{"start_date_time":"{}Z",{end}"location_id":"L","evse_uid":"1","status":"ACTIVE","last_updated":"{}Z"}}"#,
            iso(start),
            iso(start)
        )
    };
    let history = sessions(active);
    check(&history, "L/1");
    assert_eq!(meaning(&history, START + 19 * 7_200 + 7_200, "L/1"), Some(Meaning::Busy));
}

#[test]
fn documents_without_times_of_their_own_are_of_their_publication() {
    let check = |document: &dyn Fn(&str, &str) -> String, id: &str| {
        let lines: Vec<String> =
            (0..96).map(|slot| document(&iso(START + slot * 900), word(slot / 5 % 3 == 0))).collect();
        let history = read(&lines.join("\n")).unwrap();
        assert_eq!((history.slots(), history.step_s(), skipped(&history)), (96, 900, vec![]), "{id}");
        let found = [0, 5 * 900].map(|after| meaning(&history, START + after, id));
        assert_eq!(found, [Some(Meaning::Busy), Some(Meaning::Free)], "{id}");
    };
    check(
        &|at, status| {
            format!(
                r#"{{"timestamp":"{at}Z","EvseStatuses":[{{"EvseID":"CH*REPE1","EvseStatus":"{status}"}}]}}"#
            )
        },
        "CH*REPE1",
    );
    check(
        &|at, status| format!(r#"{{"EvseID":"CH*REPE1","EvseStatus":"{status}","timestamp":"{at}Z"}}"#),
        "CH*REPE1",
    );
    check(
        &|at, status| {
            format!(
                r#"{{"payload":{{"publicationTime":"{at}Z","site":[{{"refillPointStatus":[{{"reference":{{"id":"DE*AB1*E1"}},"status":"{status}"}}]}}]}}}}"#
            )
        },
        "DE*AB1*E1",
    );
    // OCPI's times are in UTC, whether they say so or not.
    check(
        &|at, status| {
            format!(
                r#"{{"data":[{{"id":"L","evses":[{{"uid":"1","status":"{status}","last_updated":"{at}"}}]}}]}}"#
            )
        },
        "L/1",
    );
    check(
        &|at, status| {
            format!(
                r#"{{"data":[{{"id":"L","evses":[{{"uid":"1","status":"{status}"}}]}}],"status_code":1000,"timestamp":"{at}"}}"#
            )
        },
        "L/1",
    );
    // A program's own snapshots.
    check(
        &|at, status| format!(r#"{{"timestamp":"{at}Z","evses":[{{"evse_id":"E1","status":"{status}"}}]}}"#),
        "E1",
    );
}

#[test]
fn an_entry_without_a_status_is_counted() {
    let lines: Vec<String> = (0..20)
        .map(|slot| {
            let at = iso(START + slot * 900);
            format!(
                r#"{{"data":[{{"id":"L","evses":[{{"uid":"1","status":"AVAILABLE","last_updated":"{at}Z"}},{{"uid":"2","status":null,"last_updated":"{at}Z"}}]}}]}}"#
            )
        })
        .collect();
    let history = read(&lines.join("\n")).unwrap();
    assert_eq!((history.evses().len(), skipped(&history)), (1, vec![(Skip::NoStatus, 20)]));
}

#[test]
fn changes_at_one_interval_hold_until_the_next() {
    let ids = ["E1", "E2", "E3", "E4", "E5", "E6"];
    let mut text = "timestamp,evse_id,status\n".to_owned();
    ids.iter().for_each(|id| writeln!(text, "{START},{id},AVAILABLE").unwrap());
    for n in 1..=96 {
        let status = if n % 2 == 1 { "CHARGING" } else { "AVAILABLE" };
        writeln!(text, "{},E1,{status}", START + n * 900).unwrap();
    }
    let history = read(&text).unwrap();
    assert_eq!(history.report().sources[0].shape, Some(Shape::Changes));
    for id in ids {
        assert!(meaning(&history, START + 40_000, id).is_some(), "{id}");
    }
}

#[test]
fn several_messages_of_one_line_are_read() {
    let frame = |at: i64, connector: u32, status: &str| {
        format!(
            r#"[2,"1","StatusNotification",{{"connectorId":{connector},"status":"{status}","timestamp":"{}Z"}}]"#,
            iso(at)
        )
    };
    let lines = |line: &dyn Fn(&str, &str) -> String| {
        let both = |slot: i64| {
            let at = START + slot * 900;
            line(&frame(at, 1, word(slot / 5 % 3 == 0)), &frame(at, 2, "Available"))
        };
        (0..96).map(both).collect::<Vec<_>>().join("\n")
    };
    let check = |text: &str, broken: u64| {
        let history = read(text).unwrap();
        let lost = (broken > 0).then_some((Skip::NotARow, broken));
        assert_eq!(
            (history.evses().len(), skipped(&history)),
            (2, lost.into_iter().collect()),
            "{}",
            &text[..300]
        );
        let found = [meaning(&history, START, "CP1/1"), meaning(&history, START, "CP1/2")];
        assert_eq!(found, [Some(Meaning::Busy), Some(Meaning::Free)]);
    };
    for between in ["", " ", ",", ", "] {
        check(&lines(&|one, two| format!("2025-03-03T00:00:00Z CP1 {one}{between}{two}")), 0);
        let object = |frame: &str| format!(r#"{{"cp":"CP1","message":{frame}}}"#);
        check(&lines(&|one, two| format!("{}{between}{}", object(one), object(two))), 0);
    }
    check(&lines(&|one, two| format!("CP1 [{one},{two}]")), 0);
    check(&lines(&|one, two| format!(r#"{{"cp":"CP1","message":[{one},{two}]}}"#)), 0);
    check(&lines(&|one, two| format!("CP1 {one}{two}{}", &two[..60])), 96);
    // Rows of any kind.
    let row = |at: i64, id: &str, busy: bool| {
        format!(r#"{{"timestamp":{at},"evse_id":"{id}","status":"{}"}}"#, word(busy))
    };
    let rows: Vec<String> = (0..96)
        .map(|slot| (START + slot * 900, slot / 5 % 3 == 0))
        .map(|(at, busy)| format!("{} {}", row(at, "CP1/1", busy), row(at, "CP1/2", false)))
        .collect();
    check(&rows.join("\n"), 0);
    check(&format!("{}\n{} {{", rows.join("\n"), row(START + 450, "CP1/1", true)), 1);
}

#[test]
fn one_status_of_each_evse_is_no_history_however_far_apart_they_are() {
    let mut text = "timestamp,evse_id,status\n".to_owned();
    let mut at = START;
    for n in 0..2_000 {
        // Pauses that differ but for the first two, of a second.
        at += if n < 3 { 1 } else { 1_000 + n };
        writeln!(text, "{at},E{n},{}", if n % 2 == 0 { "Available" } else { "Charging" }).unwrap();
    }
    let error = read(&text).unwrap_err().to_string();
    assert!(error.contains("one row of each of 2000 EVSEs; at least two times of an EVSE"), "{error}");
}
