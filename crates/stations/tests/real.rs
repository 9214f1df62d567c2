//! Real networks' files, where they are at hand.
#![allow(clippy::print_stderr, reason = "a test that is skipped says why")]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use voltmesh_stations::evaluate::score_models;
use voltmesh_stations::feeds;
use voltmesh_stations::forecaster::{Held, School};
use voltmesh_stations::history::Shape;
use voltmesh_stations::{Builder, Covariates, Forecaster, History, Mapping, Meaning, PlaceList, read_places};

/// The folder of the real data, or `None`, with a word about it.
fn data() -> Option<PathBuf> {
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    let folder = Path::new(&root).join("../../../shared/data/charging");
    if !folder.is_dir() {
        eprintln!("skipped: {} is not here", folder.display());
    }
    folder.is_dir().then_some(folder)
}

fn open(path: &Path) -> Box<dyn Read> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_some_and(|end| end == "gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    }
}

#[test]
fn ten_days_of_the_irish_network() {
    let Some(folder) = data() else { return };
    let folder = folder.join("ireland_2018");
    let history =
        History::from_csv(open(&folder.join("status_2018-11-01_to_10.csv.gz")), &Mapping::new()).unwrap();
    let odd = history.oddities();
    assert_eq!((history.evses().len(), history.slots(), history.step_s()), (647, 2759, 300));
    assert_eq!((odd.rows, odd.duplicates, odd.off_grid, odd.empty_slots), (1_784_426, 0, 0, 1));
    let places = read_places(open(&folder.join("evse.csv"))).unwrap();
    assert!(history.evses().iter().all(|evse| places[&**evse].position.is_some()));
    // What no mapping was needed for: one of two sockets free, out of service, out of contact.
    let labels = history.labels();
    let meaning = |name: &str| labels.meanings()[labels.index(name).unwrap()];
    assert_eq!(
        ["Available", "Part", "Occ", "OOS", "OOC"].map(meaning),
        [Meaning::Free, Meaning::PartlyFree, Meaning::Busy, Meaning::OutOfOrder, Meaning::Unknown]
    );
}

#[test]
fn belib_rows_have_meanings_and_places() {
    let Some(folder) = data() else { return };
    let path = folder.join("paris_belib_small/belib_realtime_and_static_sample_may2024.csv.gz");
    let mut builder = Builder::default();
    builder.read(open(&path)).unwrap();
    // One moment is no history. The static rows have no time, and say nothing of being free.
    let (report, _) = builder.inspect(&Mapping::new());
    assert_eq!((report.rows(), report.usable()), (1919, 10), "{report:?}");
    assert!(report.words.iter().all(|word| word.meaning.is_some()), "{:?}", report.words);
    let list = PlaceList::read(open(&path)).unwrap();
    assert!(list.report.unknown_plugs.is_empty() && list.report.no_position.rows == 0, "{:?}", list.report);
    // Those of the live rows have a position alone.
    let with_plugs = list.places.values().filter(|place| !place.plugs.is_empty()).count();
    assert!(list.places.len() == 1_899 && with_plugs >= 1_880, "{with_plugs} of {}", list.places.len());
}

#[test]
fn what_operators_publish_is_read() {
    let Some(folder) = data() else { return };
    let published = |name: &str| {
        let mut bytes = Vec::new();
        open(&folder.join(name)).read_to_end(&mut bytes).unwrap();
        bytes
    };
    let check = |name: &str, format: &str, evses: usize| {
        let (found, readings) = feeds::read(&published(name)).unwrap();
        assert_eq!((found, readings.len()), (format, evses), "{name}");
        for reading in &readings {
            assert!(Meaning::of_usual_name(&reading.status).is_some(), "{name}: {}", reading.status);
        }
    };
    check("schemas/ocpi_location_example.json", "OCPI", 2);
    check("schemas/ocpi_location_example_parking_garage_opening_hours.json", "OCPI", 1);
    check("schemas/endolla_barcelona_status_2025-07-22.json.gz", "GELFS", 1_398);
    check("feeds/oicp_swiss_realtime.json.gz", "OICP", 551);
    check("feeds/datex2_enbw_realtime.json", "DATEX II", 11);
    let places = |name: &str, format: &str, evses: usize| {
        let list = PlaceList::read(&published(name)[..]).unwrap();
        assert_eq!((list.report.format, list.places.len()), (format, evses), "{name}");
        assert!(list.report.unknown_plugs.is_empty(), "{name}: {:?}", list.report);
        for (id, place) in &list.places {
            assert!(place.position.is_some() && !place.plugs.is_empty(), "{name}, {id}: {place:?}");
        }
        list
    };
    places("schemas/ocpi_location_example.json", "OCPI", 2);
    places("schemas/irve_exemple-valide-statique.csv", "CSV of places", 2);
    let swiss = places("feeds/oicp_swiss_static.json.gz", "OICP", 551);
    assert!(swiss.places.values().all(|place| place.power_kw.is_some_and(|kw| (1.0..=400.0).contains(&kw))));
    let enbw = places("feeds/datex2_enbw_static.json.gz", "DATEX II", 57);
    // 0.66386555 and 19 % of value-added tax.
    let of = &enbw.places["DE*EBW*E914082*2"];
    assert_eq!((of.price_kwh, of.power_kw), (Some(0.79), Some(150.0)));
    // The live statuses are of the same EVSEs.
    let (_, live) = feeds::read(&published("feeds/datex2_enbw_realtime.json")).unwrap();
    let (_, joined) = enbw.join(live.iter().map(|reading| &*reading.evse));
    assert_eq!(joined.found, joined.evses);
}

/// Four days to learn from, one to be scored on: what ours and the baselines are worth against each other.
#[test]
fn forecasts_of_the_irish_network() {
    let Some(folder) = data() else { return };
    let path = folder.join("ireland_2018/status_2018-11-01_to_10.csv.gz");
    let history = History::from_csv(open(&path), &Mapping::new()).unwrap();
    let places = read_places(open(&folder.join("ireland_2018/evse.csv"))).unwrap();
    let (until, none) = (4 * 288, Covariates::default());
    let school = School::new(&history, &places, &none, 0..until, &[15, 120], &Held::Last).unwrap();
    let kinds = ["majority", "persistence", "climatology", "markov", "lr", "ours"];
    let models: Vec<Forecaster> =
        kinds.iter().map(|name| school.train(name.parse().unwrap(), &mut |_| {}).unwrap()).collect();
    // A day is enough to tell them apart.
    let slots = until..until + 288;
    let (scored, _) = score_models(&models, &history, &none, until, slots, &mut |_| {});
    for (horizon, minutes) in [15, 120].into_iter().enumerate() {
        let [majority, persistence, climatology, markov, lr, ours] = [0, 1, 2, 3, 4, 5].map(|model| {
            let s = &scored[model][horizon].as_ref().unwrap().scores;
            eprintln!(
                "{minutes} min {}: weighted F1 {:.4}, macro F1 {:.4}, log loss {:.4}, ECE {:.4}",
                kinds[model], s.weighted.f1, s.macro_mean.f1, s.log_loss, s.ece
            );
            s
        });
        assert!(markov.log_loss < persistence.log_loss && markov.log_loss < climatology.log_loss);
        assert!(climatology.log_loss < majority.log_loss);
        assert!(ours.log_loss < lr.log_loss && lr.log_loss < markov.log_loss);
        assert!(ours.macro_mean.f1 > majority.macro_mean.f1);
        assert!(ours.ece < 0.03, "{}", ours.ece);
    }
}

/// Real sessions of France's open charging points: all their EVSEs, from the sessions and from the same history as snapshots.
/// `.ci/run` trains with them by the command, in release.
#[test]
#[ignore = "a minute and more: .ci/nightly"]
fn sessions_of_all_evses_train_a_model_slow() {
    let Some(folder) = data() else { return };
    let path = folder.join("feeds/irve-dynamique-sessions.json.gz");
    let history = History::read(open(&path), &Mapping::new()).unwrap();
    let report = history.report();
    let source = &report.sources[0];
    eprintln!("{source:?}");
    assert_eq!((source.shape, source.rows, history.step_s()), (Some(Shape::Sessions), 110_366, 900));
    assert!(history.evses().len() >= 6_900 && !report.mostly_unusable());
    // The same, as a poll each quarter of an hour would have written it, of every fortieth EVSE.
    let mut polls = Builder::default();
    let mine = |id: &str| history.evse(id).is_some_and(|evse| evse.is_multiple_of(40));
    for slot in 0..history.slots() {
        for (id, status) in history.readings(slot).iter().filter(|(id, _)| mine(id)) {
            polls.push(history.time(slot), id, status).unwrap();
        }
    }
    let polls = polls.build(&Mapping::new()).unwrap();
    assert_eq!((polls.step_s(), polls.report().sources[0].shape), (900, Some(Shape::Snapshots)));
    for (evse, id) in polls.evses().iter().enumerate() {
        let there = history.evse(id).unwrap();
        for slot in 0..polls.slots() {
            let at = history.slot(polls.time(slot)).unwrap();
            let name = |history: &History, label: Option<usize>| {
                label.map(|label| history.labels().names()[label].clone())
            };
            let (a, b) =
                (name(&polls, polls.observed(slot, evse)), name(&history, history.observed(at, there)));
            assert_eq!(a, b, "{id}");
        }
    }
    let (none, places) = (Covariates::default(), voltmesh_stations::Places::new());
    let until = history.slots() - 3 * 96;
    let score = |history: &History, until: usize| {
        let started = std::time::Instant::now();
        let school = School::new(history, &places, &none, 0..until, &[15, 30, 60, 120], &Held::Last).unwrap();
        let prepared = started.elapsed().as_secs_f64();
        let models: Vec<Forecaster> = ["persistence", "markov", "ours"]
            .iter()
            .map(|name| school.train(name.parse().unwrap(), &mut |_| {}).unwrap())
            .collect();
        let spent = started.elapsed().as_secs_f64();
        let slots = until..history.slots();
        let (scored, _) = score_models(&models, history, &none, until, slots, &mut |_| {});
        eprintln!("{} EVSEs: prepared in {prepared:.1} s, trained in {spent:.1} s", history.evses().len());
        let all: Vec<Vec<(f64, f64)>> = scored
            .iter()
            .map(|model| {
                let scores = model.iter().map(|horizon| &horizon.as_ref().unwrap().scores);
                scores.map(|s| (s.weighted.f1, s.log_loss)).collect()
            })
            .collect();
        eprintln!("(weighted F1, log loss) by horizon of persistence, markov, ours: {all:.4?}");
        all
    };
    for scores in [score(&history, until), score(&polls, polls.slots() - 3 * 96)] {
        for ((persistence, markov), ours) in scores[0].iter().zip(&scores[1]).zip(&scores[2]) {
            assert!(ours.1 < persistence.1 && ours.1 < 1.05 * markov.1, "{scores:?}");
            assert!((0.5..1.0).contains(&ours.0), "{scores:?}");
        }
    }
}
