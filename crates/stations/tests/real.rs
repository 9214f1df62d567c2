//! Real networks' files, where they are at hand.
#![allow(clippy::print_stderr, reason = "a test that is skipped says why")]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use voltmesh_stations::evaluate::score_models;
use voltmesh_stations::feeds::{read_belib, read_irve, read_ocpi};
use voltmesh_stations::forecaster::{Held, School};
use voltmesh_stations::{Covariates, Forecaster, History, Mapping, Meaning, read_places};

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
fn belib_rows_have_meanings_and_years_old_ones_are_stale() {
    let Some(folder) = data() else { return };
    let path = folder.join("paris_belib_small/belib_realtime_and_static_sample_may2024.csv.gz");
    let readings = read_belib(open(&path)).unwrap();
    let live = readings.iter().filter(|reading| reading.at.is_some()).count();
    assert_eq!((readings.len(), live), (1919, 10));
    let now = readings.iter().filter_map(|reading| reading.at).max().unwrap();
    // Of the live rows only the newest is younger than a week; the oldest, said to be free, is two years old.
    let stale =
        readings.iter().filter(|reading| reading.status_at(now, 7 * 86_400).is_none()).collect::<Vec<_>>();
    assert!(stale.len() >= 4, "{stale:?}");
    assert!(stale.iter().any(|reading| reading.status == "Disponible"), "{stale:?}");
    for reading in &readings {
        assert!(Meaning::of_usual_name(&reading.status).is_some(), "{}", reading.status);
    }
}

#[test]
fn the_schemas_examples_are_read() {
    let Some(folder) = data() else { return };
    let folder = folder.join("schemas");
    let irve = read_irve(open(&folder.join("irve_exemple-valide-dynamique.csv"))).unwrap();
    assert_eq!((irve.len(), &*irve[0].status, irve[0].at), (2, "libre", Some(1_666_096_549)));
    for (name, evses) in
        [("ocpi_location_example.json", 2), ("ocpi_location_example_parking_garage_opening_hours.json", 1)]
    {
        let readings = read_ocpi(&std::fs::read(folder.join(name)).unwrap()).unwrap();
        assert!(readings.len() >= evses, "{name}: {readings:?}");
        for reading in &readings {
            assert!(reading.place.position.is_some() && !reading.place.plugs.is_empty(), "{reading:?}");
        }
    }
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
