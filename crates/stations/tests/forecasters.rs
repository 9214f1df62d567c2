//! Every model on a small network: probabilities, the future, files, networks that are not as expected.

use voltmesh_stations::evaluate::score_models;
use voltmesh_stations::forecaster::{Held, School};
use voltmesh_stations::models::Kind;
use voltmesh_stations::{Builder, Covariates, Error, Forecaster, History, Mapping, Places, read_places};

/// Slots of half an hour.
const DAY: usize = 48;

/// Slot at which training ends.
const UNTIL: usize = 6 * DAY;

const HORIZONS: [u32; 2] = [30, 120];

/// 2018-10-25T00:00:00Z.
const START: i64 = 1_540_425_600;

/// Eight EVSEs of four chargers, busy in the day or in the night, with some irregularity; from `changed` on, anything.
fn history(days: usize, changed: usize, seed: u64) -> History {
    let mut builder = Builder::default();
    let mut state = seed;
    let mut any = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    for slot in 0..days * DAY {
        let hour = slot % DAY / 2;
        for evse in 0..8u64 {
            let regular = (8..18).contains(&hour) == (evse < 4);
            let odd = (slot as u64 * 7 + evse * 3).is_multiple_of(11);
            let status = if slot >= changed {
                ["Available", "Occ", "OOS"][any(3) as usize]
            } else if evse == 7 && slot % 97 < 9 {
                "OOS"
            } else if regular != odd {
                "Occ"
            } else {
                "Available"
            };
            builder
                .push(START + slot as i64 * 1800, &format!("S{}*{}", evse / 2, evse % 2), status)
                .expect("made right");
        }
    }
    builder.build(&Mapping::new()).expect("made right")
}

fn places() -> Places {
    let mut text = "evse_id,connector_type,latitude,longitude,power_kw\n".to_owned();
    for evse in 0..8 {
        text += &format!("S{}*{},ccs,53.{},-6.2,50\n", evse / 2, evse % 2, 30 + evse / 2);
    }
    read_places(text.as_bytes()).expect("made right")
}

fn train(history: &History, kind: Kind) -> Forecaster {
    let none = Covariates::default();
    let school =
        School::new(history, &places(), &none, 0..UNTIL, &HORIZONS, &Held::Last).expect("made right");
    school.train(kind, &mut |_| {}).expect("made right")
}

/// Forecasts of all EVSEs, made at each slot from the end of training up to `slot`.
fn forecasts(model: &mut Forecaster, history: &History, to: usize) -> Vec<Option<Vec<f32>>> {
    let mut all = Vec::new();
    for slot in UNTIL..=to {
        model.observe(history.time(slot), &history.readings(slot), &Mapping::new());
        all.extend(model.forecast_all());
    }
    all
}

#[test]
fn the_future_cannot_leak() {
    // All after slot t differs: no model trained before and asked at or before t forecasts anything else.
    let t = UNTIL + DAY;
    let (one, other) = (history(9, t + 1, 1), history(9, t + 1, 2));
    for kind in Kind::ALL {
        let told = [&one, &other].map(|history| forecasts(&mut train(history, kind), history, t));
        assert!(told[0] == told[1], "{}", kind.name());
        assert!(told[0].iter().flatten().count() > 8 * DAY, "{}", kind.name());
        for p in told[0].iter().flatten().flat_map(|p| p.chunks(one.labels().len())) {
            assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{}: {p:?}", kind.name());
            assert!(p.iter().all(|p| (0.0..=1.0).contains(p)), "{}: {p:?}", kind.name());
        }
    }
}

#[test]
fn truths_after_training_teach_nothing() {
    // Only the last horizon before training ends differs in its truths, which lie after it.
    let (one, other) = (history(8, UNTIL, 1), history(8, UNTIL, 2));
    for kind in Kind::ALL {
        let bytes = [&one, &other].map(|history| train(history, kind).write().unwrap());
        assert!(bytes[0] == bytes[1], "{}", kind.name());
    }
}

#[test]
fn a_file_gives_back_the_same_forecasts() {
    let history = history(8, usize::MAX, 1);
    for kind in Kind::ALL {
        let mut model = train(&history, kind);
        let bytes = model.write().unwrap();
        let mut read = Forecaster::read(&bytes).unwrap();
        assert_eq!(
            (read.name(), read.horizons_min(), read.trained()),
            (kind.name(), &HORIZONS[..], model.trained())
        );
        assert_eq!(read.labels(), model.labels());
        let asked = [&mut read, &mut model].map(|model| forecasts(model, &history, UNTIL + 5));
        assert!(asked[0] == asked[1], "{}", kind.name());
    }
}

#[test]
fn a_file_that_is_none_says_so() {
    let history = history(8, usize::MAX, 1);
    let bytes = train(&history, "markov".parse().unwrap()).write().unwrap();
    let check = |bytes: &[u8], words: &str| {
        let error = Forecaster::read(bytes).unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    check(b"", "does not begin");
    check(b"PK\x03\x04 a spreadsheet", "does not begin");
    check(&bytes[..9], "truncated");
    check(&bytes[..30], "truncated");
    check(&bytes[..bytes.len() - 1], "checksum");
    let mut other = bytes.clone();
    other[9] = 99;
    check(&other, "version 99, this program reads 2; train it again");
    for at in (10..bytes.len()).step_by(bytes.len() / 40) {
        let mut altered = bytes.clone();
        altered[at] ^= 0x10;
        check(&altered, "checksum");
    }
}

#[test]
fn an_evse_that_nobody_has_seen_begins_with_its_kind() {
    let history = history(8, usize::MAX, 1);
    let mut model = train(&history, Kind::Ours);
    let at = history.time(UNTIL);
    let readings = [("S0*0", "Occ"), ("NEW*1", "CHARGING"), ("ODD*1", "flooded"), ("NEW*1", "CHARGING")];
    let readings = readings.map(|(id, status)| (id.to_owned(), status.to_owned()));
    assert!(model.observe(at, &readings, &Mapping::new()));
    assert_eq!(model.tracker().ids.len(), 10);
    // OCPI's word for busy is understood; a word that means nothing is not observed.
    let busy = model.labels().index("Occ").unwrap();
    let (new, odd) = (model.evse("NEW*1").unwrap(), model.evse("ODD*1").unwrap());
    assert_eq!(usize::from(model.tracker().evses[new].now), busy);
    assert!(model.forecast(new).is_some() && model.forecast(odd).is_none());
    for minutes in [0.0, 10.0, 45.0, 1e6, f64::NAN] {
        for evse in [new, odd, 999] {
            assert!((0.0..=1.0).contains(&model.usable(evse, minutes)), "{evse} {minutes}");
        }
    }
    // Not newer: nothing changes.
    assert!(!model.observe(at, &readings, &Mapping::new()));
    assert!(!model.observe(at - 86_400, &readings, &Mapping::new()));
    // Weeks later nothing is in force, and then again something is.
    assert!(model.observe(at + 30 * 86_400, &[], &Mapping::new()));
    assert!(model.forecast(new).is_none());
    assert!(model.observe(at + 30 * 86_400 + 1800, &readings, &Mapping::new()));
    assert!(model.forecast(new).is_some());
}

#[test]
fn too_little_to_learn_from_is_said() {
    let history = history(8, usize::MAX, 1);
    let none = Covariates::default();
    let school = |slots, horizons: &[u32]| {
        School::new(&history, &places(), &none, slots, horizons, &Held::Last).map(|school| school.rows())
    };
    assert!(school(0..UNTIL, &HORIZONS).unwrap() > 0);
    assert!(matches!(school(0..2, &[120]), Err(Error::TooShort { .. })));
    assert!(matches!(school(0..UNTIL, &[10]), Err(Error::Horizon { .. })));
    assert!(matches!(school(0..UNTIL, &[30, 45]), Err(Error::Horizon { .. })));
    assert!("oracle".parse::<Kind>().unwrap_err().to_string().contains("one of majority"));
}

#[test]
fn covariates_are_learnt_with_and_may_be_missing() {
    let history = history(8, usize::MAX, 1);
    let mut text = "timestamp,rain\n".to_owned();
    for day in 25..32 {
        text += &format!("2018-10-{day}T06:00:00Z,{}\n", day % 3);
    }
    let table = Covariates::read_csv(text.as_bytes()).unwrap();
    let school = School::new(&history, &places(), &table, 0..UNTIL, &HORIZONS, &Held::Last).unwrap();
    let mut model = school.train(Kind::Ours, &mut |_| {}).unwrap();
    assert_eq!(model.covariates(), ["rain"]);
    model.set_covariates(&[2.0]);
    assert!(forecasts(&mut model, &history, UNTIL + 3).iter().flatten().count() > 0);
}

#[test]
fn ours_beats_persistence_where_days_repeat() {
    let history = history(9, usize::MAX, 1);
    let none = Covariates::default();
    let models = ["persistence", "ours"].map(|name| train(&history, name.parse().unwrap()));
    let (scored, _) = score_models(&models, &history, &none, UNTIL, UNTIL..history.slots(), &mut |_| {});
    let [persistence, ours] = [0, 1].map(|model| scored[model][1].as_ref().unwrap().scores.log_loss);
    assert!(ours < 0.7 * persistence, "{ours}, persistence {persistence}");
}
