//! Inputs with known answers: histories and lists of places with one fault each. The small ones are here; those of the shared cases are
//! read from `../shared/cases/fog` beside the project where they are at hand.
#![allow(clippy::print_stderr, reason = "a test that is skipped says why")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use voltmesh_stations::forecaster::{Held, School, train_ours};
use voltmesh_stations::history::{Report, Shape, Skip};
use voltmesh_stations::recommend::{
    Circumstances, Expected, Ranking, Recommender, Request, Reservations, Roads,
};
use voltmesh_stations::{
    Covariates, Error, Forecaster, History, Mapping, Meaning, PlaceList, Places, Plug, Position,
};

/// The folder of cases, or a printed reason.
fn cases() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases/fog");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: there is no {}", folder.display());
    None
}

fn open(path: &Path) -> Box<dyn Read> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_some_and(|end| end == "gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    }
}

fn history(name: &str) -> Option<History> {
    let path = cases()?.join(format!("history-{name}.csv.gz"));
    Some(History::read(open(&path), &Mapping::new()).unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// Rows that a model would learn from.
fn rows(history: &History) -> usize {
    let (none, places) = (Covariates::default(), Places::new());
    let all = 0..history.slots();
    School::new(history, &places, &none, all, &[15, 30, 60, 120, 1440], &Held::Last).unwrap().rows()
}

fn skipped(report: &Report) -> Vec<(Skip, u64)> {
    report
        .sources
        .iter()
        .flat_map(|source| &source.skipped)
        .map(|(why, counted)| (*why, counted.rows))
        .collect()
}

#[test]
fn one_bad_row_costs_itself() {
    let check = |name: &str, expected: &[(Skip, u64)], headers: u64| {
        let Some(history) = history(name) else { return };
        assert_eq!((skipped(history.report()), history.step_s()), (expected.to_vec(), 900), "{name}");
        assert_eq!(history.report().sources[0].headers, headers, "{name}");
        assert_eq!((history.evses().len(), history.labels().len()), (6, 3), "{name}");
        assert!((2290..=2304).contains(&rows(&history)), "{name}: {} rows", rows(&history));
        assert!(expected.is_empty() != history.report().lines().iter().any(|line| line.contains("skipped")));
    };
    check("good", &[], 0);
    check("one-1970-row", &[(Skip::NotBelieved, 1)], 0);
    check("one-empty-status", &[(Skip::NoStatus, 1)], 0);
    check("two-files-joined", &[], 1);
    check("offset-without-colon", &[], 0);
    check("case-changes", &[], 0);
    check("own-second-per-row", &[], 0);
}

#[test]
fn changes_only_hold_until_the_next() {
    let Some(history) = history("changes-only") else { return };
    let source = &history.report().sources[0];
    assert_eq!((source.shape, history.step_s(), history.evses().len()), (Some(Shape::Changes), 300, 6));
    // From the first change of each EVSE on, its status is known in each slot.
    let known = (0..history.slots())
        .map(|slot| (0..6).filter(|evse| history.observed(slot, *evse).is_some()).count());
    let known: Vec<usize> = known.collect();
    assert!(known.iter().skip(4).all(|known| *known == 6), "{known:?}");
    assert!(rows(&history) > 6000, "{}", rows(&history));
}

#[test]
fn words_of_open_charge_map_and_oicp_are_understood() {
    for (name, words) in [
        (
            "words-open-charge-map",
            [
                "Currently Available (Automated Status)",
                "Currently In Use (Automated Status)",
                "Temporarily Unavailable",
            ],
        ),
        ("words-oicp", ["Available", "Occupied", "OutOfService"]),
    ] {
        let Some(history) = history(name) else { return };
        let meaning = |word: &str| history.labels().meanings()[history.labels().index(word).unwrap()];
        assert_eq!(words.map(meaning), [Meaning::Free, Meaning::Busy, Meaning::OutOfOrder], "{name}");
    }
}

/// Two EVSEs, two days, one status each quarter of an hour.
fn table(header: &str, row: impl Fn(i64, &str, bool) -> String) -> String {
    let mut text = format!("{header}\n");
    for slot in 0..192 {
        for (n, evse) in ["DE*AB1*E1*1", "DE*AB1*E1*2"].into_iter().enumerate() {
            let busy = (slot / 5 + n as i64) % 3 == 0;
            writeln!(text, "{}", row(1_740_960_000 + slot * 900, evse, busy)).unwrap();
        }
    }
    text
}

fn read(text: &str) -> Result<History, Error> {
    History::read(text.as_bytes(), &Mapping::new())
}

#[test]
fn one_history_has_many_spellings() {
    let plain = read(&table("timestamp,evse_id,status", |at, evse, busy| {
        format!("{at},{evse},{}", if busy { "CHARGING" } else { "AVAILABLE" })
    }))
    .unwrap();
    let check = |text: &str| {
        let found = read(text).unwrap();
        let head: String = text.lines().take(2).collect();
        assert_eq!((found.slots(), found.step_s(), found.evses().len()), (plain.slots(), 900, 2), "{head}");
        assert_eq!(skipped(found.report()), [], "{head}");
        for (slot, evse) in (0..plain.slots()).flat_map(|slot| [(slot, 0), (slot, 1)]) {
            let of = |history: &History| {
                history.observed(slot, evse).map(|label| history.labels().meanings()[label])
            };
            assert_eq!(of(&found), of(&plain), "{head}, slot {slot}");
        }
    };
    let word = |busy: bool, a: &'static str, b: &'static str| if busy { a } else { b };
    check(&table("Zeit;Ladepunkt;Status", |at, evse, busy| {
        format!("{}000;{evse};{}", at, word(busy, "belegt", "frei"))
    }));
    check(&table("horodatage\tid_pdc_itinerance\tetat_pdc\toccupation_pdc", |at, evse, busy| {
        format!("{at}\t{evse}\ten_service\t{}", word(busy, "occupe", "libre"))
    }));
    check(&table("", |at, evse, busy| {
        format!(
            r#"{{"timestamp":{at},"evse_id":"{evse}","status":"{}"}}"#,
            word(busy, "Occupied", "Available")
        )
    }));
    check(&table("", |at, evse, busy| {
        let status = word(busy, "CHARGING", "AVAILABLE");
        format!(
            r#"{{"data":[{{"id":"L","evses":[{{"uid":"1","evse_id":"{evse}","status":"{status}","last_updated":"{at}"}}]}}]}}"#
        )
    }));
    check(&table("", |at, evse, busy| {
        let status = word(busy, "Charging", "Available");
        format!(r#"{at} {evse} [2,"1","StatusNotification",{{"connectorId":1,"status":"{status}"}}]"#)
    }));
}

#[test]
fn an_evse_with_a_longer_interval_counts_for_its_own() {
    let mut text = "timestamp,evse_id,status\n".to_owned();
    for slot in 0..288 {
        let at = 1_740_960_000 + slot * 300;
        writeln!(text, "{at},a,AVAILABLE").unwrap();
        if slot % 3 == 0 {
            writeln!(text, "{at},b,{}", if slot % 30 < 15 { "CHARGING" } else { "AVAILABLE" }).unwrap();
        }
    }
    let history = read(&text).unwrap();
    assert_eq!((history.step_s(), history.report().sources[0].own_intervals), (300, 1));
    assert!((0..history.slots()).all(|slot| history.observed(slot, 1).is_some()));
}

#[test]
fn sessions_become_charging_and_free() {
    let session = |evse: &str, start: i64, minutes: i64| {
        let start = 1_740_960_000 + start * 60;
        format!(
            r#"{{"energy":1.0,"start":{}000,"end":{}000,"id_pdc_itinerance":"{evse}"}}"#,
            start,
            start + minutes * 60
        )
    };
    let mut lines: Vec<String> = (0..30).map(|n| session("FRA68E1", n * 120, 50)).collect();
    // Overlapping, without duration, of a month, backwards.
    lines.extend([
        session("FRA68E1", 30, 40),
        session("FRA68E1", 60, 0),
        session("FRA68E1", 60, 43_200),
        session("FRA68E1", 60, -5),
    ]);
    let history = read(&lines.join("\n")).unwrap();
    let source = &history.report().sources[0];
    assert_eq!((source.shape, source.overlapping), (Some(Shape::Sessions), 1), "{source:?}");
    assert_eq!(skipped(history.report()), [(Skip::NoDuration, 2), (Skip::TooLong, 1)]);
    let meaning = |minute: i64| {
        let slot = history.slot(1_740_960_000 + minute * 60).unwrap();
        history.observed(slot, 0).map(|label| history.labels().meanings()[label])
    };
    let found = [0, 45, 65, 75, 119, 120, 165, 175].map(meaning);
    assert_eq!(
        found,
        [
            Meaning::Busy,
            Meaning::Busy,
            Meaning::Busy,
            Meaning::Free,
            Meaning::Free,
            Meaning::Busy,
            Meaning::Busy,
            Meaning::Free
        ]
        .map(Some)
    );
}

#[test]
fn a_clock_that_is_wrong_costs_its_own_row() {
    let good = table("timestamp,evse_id,status", |at, evse, busy| {
        // Three more EVSEs, so that one is not half of the network.
        let status = if busy { "CHARGING" } else { "AVAILABLE" };
        format!("{at},{evse},{status}\n{at},{evse}9,{status}")
    });
    let last = read(&good).unwrap().time(191);
    for wrong in [last + 7200, 4_070_908_800, 0, 100_000_000, last - 86_400 * 400] {
        let history = read(&format!("{good}{wrong},DE*AB1*E1*1,AVAILABLE\n")).unwrap();
        assert_eq!(skipped(history.report()), [(Skip::NotBelieved, 1)], "{wrong}");
        assert_eq!((history.slots(), history.time(191)), (192, last), "{wrong}");
    }
}

#[test]
fn where_most_rows_cannot_be_used_that_is_said() {
    let odd = table("timestamp,evse_id,status", |at, evse, busy| {
        let at = if at % 2700 == 0 { at.to_string() } else { "yesterday".to_owned() };
        format!("{at},{evse},{}", if busy { "CHARGING" } else { "AVAILABLE" })
    });
    let history = read(&odd).unwrap();
    assert!(history.report().mostly_unusable(), "{:?}", history.report());
    let strange = table("timestamp,evse_id,status", |at, evse, busy| {
        format!("{at},{evse},{}", if busy { "CHARGING" } else { "zonk" })
    });
    let history = read(&strange).unwrap();
    let lines = history.report().lines();
    assert!(
        history.report().mostly_unusable() && lines[0].contains("status `zonk` is not understood (257 rows)"),
        "{lines:?}"
    );
    // Nothing means free: nothing is trained.
    let none = Covariates::default();
    let error = train_ours(&history, &Places::new(), 0..192, &[15], &none, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("--meaning 'zonk=free'"), "{error}");
    let mapping = Mapping::from([("ZONK".to_owned(), Meaning::Free)]);
    let history = History::read(strange.as_bytes(), &mapping).unwrap();
    assert!(!history.report().mostly_unusable() && history.report().lines().is_empty());
}

/// What is recommended to a car with CCS where a list of places describes the network.
fn recommend(list: &PlaceList) -> Ranking {
    recommend_by(list, &Roads::default())
}

/// The same with roads that were measured, by a model of that network.
fn recommend_by(list: &PlaceList, roads: &Roads) -> Ranking {
    let mut text = "timestamp,evse_id,status\n".to_owned();
    for slot in 0..192 {
        for evse in [
            "XX*OP1*E100*1",
            "XX*OP1*E100*2",
            "XX*OP1*E101*1",
            "XX*OP1*E101*2",
            "XX*OP1*E102*1",
            "XX*OP1*E102*2",
        ] {
            let status = if slot % 7 == 0 { "CHARGING" } else { "AVAILABLE" };
            writeln!(text, "{},{evse},{status}", 1_740_960_000 + slot * 900).unwrap();
        }
    }
    let history = read(&text).unwrap();
    let (places, _) = list.join(history.evses().iter().map(|id| &**id));
    let none = Covariates::default();
    let school = School::new(&history, &places, &none, 0..192, &[15, 60], &Held::Last).unwrap();
    let model: Forecaster = school.train("markov".parse().unwrap(), &mut |_| {}).unwrap();
    let request = Request::new(Position { latitude: 50.0, longitude: 8.0 }, 0.3, 58.0, vec![Plug::Ccs]);
    let mut recommender = Recommender::new(model.tracker().ids.iter().map(|id| &**id), &places);
    let reservations = Reservations::default();
    let now = model.tracker().at.unwrap();
    let forecasts = model.forecast_all();
    let outlook = Expected::new(&model, &forecasts);
    let here = Circumstances { now, outlook: &outlook, roads, reservations: &reservations, avoid: &[] };
    recommender.rank(&request, here).unwrap()
}

#[test]
fn a_car_is_sent_to_plugs_that_fit_it_only() {
    let Some(folder) = cases() else { return };
    let list = |name: &str| PlaceList::read(open(&folder.join(format!("places-{name}.csv")))).unwrap();
    for name in ["good", "two-rows-one-evse", "price-with-currency"] {
        let list = list(name);
        assert_eq!((list.places.len(), list.report.unknown_plugs.len()), (6, 0), "{name}");
        let ranking = recommend(&list);
        assert_eq!((ranking.stations[0].station.as_str(), ranking.stations.len()), ("S100", 3), "{name}");
        assert_eq!(ranking.stations[0].price.is_some(), name != "price-with-currency", "{name}");
    }
    assert_eq!(list("price-with-currency").report.no_price.rows, 6);
    for name in ["type-blank-2", "oicp-plug-names", "ocpp201-plug-names"] {
        let list = list(name);
        assert!(list.places.values().all(|place| place.plugs == [Plug::Type2]), "{name}");
        let ranking = recommend(&list);
        assert_eq!((ranking.stations.len(), ranking.excluded.plug), (0, 3), "{name}");
    }
}

/// `osrm-null-for-the-nearest.json`: kilometres and minutes of three drives, the nearest of which the service says nothing of.
#[test]
fn a_drive_that_was_not_measured_is_estimated_and_the_nearest_stays_the_nearest() {
    let Some(folder) = cases() else { return };
    let text = std::fs::read(folder.join("osrm-null-for-the-nearest.json")).unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&text).unwrap();
    // The first is the origin itself.
    let column = |name: &str, by: f64| -> Vec<Option<f64>> {
        answer[name][0].as_array().unwrap().iter().skip(1).map(|value| Some(value.as_f64()? / by)).collect()
    };
    let (km, min) = (column("distances", 1000.0), column("durations", 60.0));
    let measured: Vec<Option<(f64, f64)>> = km.into_iter().zip(min).map(|(km, min)| km.zip(min)).collect();
    assert_eq!(measured[0], None);
    let list = PlaceList::read(open(&folder.join("places-good.csv"))).unwrap();
    let of = |measured: &[Option<(f64, f64)>]| {
        let stations = ["S100", "S101", "S102"].map(str::to_owned);
        let measured = stations.into_iter().zip(measured.iter().copied()).collect();
        recommend_by(&list, &Roads { measured, ..Roads::default() })
    };
    let unmeasured = |ranking: &Ranking| -> Vec<String> {
        ranking
            .stations
            .iter()
            .filter(|entry| entry.drive_unmeasured)
            .map(|entry| entry.station.clone())
            .collect()
    };
    let ranking = of(&measured);
    assert_eq!((ranking.stations.len(), ranking.stations[0].station.as_str()), (3, "S100"), "{ranking:?}");
    assert_eq!((unmeasured(&ranking), ranking.excluded.unreachable), (vec!["S100".to_owned()], 0));
    // The service says nothing of any.
    let ranking = of(&[None; 3]);
    assert_eq!((ranking.stations.len(), unmeasured(&ranking).len()), (3, 3), "{ranking:?}");
}

#[test]
fn latin_1_and_geojson_are_read() {
    let meanings = |bytes: &[u8]| -> Vec<Meaning> {
        History::read(bytes, &Mapping::new()).unwrap().labels().meanings().to_vec()
    };
    let rows = ["10:30:00Z;E1;Libre", "10:45:00Z;E1;Occupé", "11:00:00Z;E1;Réservé"];
    let table = rows.map(|row| format!("2025-03-03T{row}\n")).concat();
    let latin: Vec<u8> = format!("horodatage;id_pdc;statut\n{table}").chars().map(|c| c as u8).collect();
    let expected = [Meaning::Free, Meaning::Busy, Meaning::Busy];
    assert_eq!(meanings(&latin), expected);
    let features = rows.map(|row| {
        let [at, evse, status] = row.split(';').collect::<Vec<_>>()[..] else { panic!("{row}") };
        format!(
            r#"{{"type":"Feature","geometry":null,"properties":{{"timestamp":"2025-03-03T{at}","evse_id":"{evse}","status":"{status}"}}}}"#
        )
    });
    let document = format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(","));
    assert_eq!(meanings(document.as_bytes()), expected);
    let location = r#"{"id":"L","coordinates":{"latitude":"50,5","longitude":"8,25"},
        "evses":[{"uid":"1","evse_id":"DE*AB1*E1","status":"AVAILABLE","connectors":[]}]}"#;
    let list = PlaceList::read(location.as_bytes()).unwrap();
    assert_eq!(list.places["DE*AB1*E1"].position, Position::new(50.5, 8.25));
}
