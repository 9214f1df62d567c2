use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{Place, Places, Plug};

/// Outlook that is the same at all times.
struct Said {
    usable: Vec<f64>,
    faulty: f64,
}

impl Outlook for Said {
    fn usable(&self, evse: usize, _: f64) -> f64 {
        self.usable.get(evse).copied().unwrap_or(0.0)
    }

    fn faulty(&self, _: usize) -> f64 {
        self.faulty
    }

    fn age_s(&self, _: usize) -> Option<i64> {
        Some(60)
    }

    fn busy_min(&self, _: usize) -> f64 {
        40.0
    }
}

const DUBLIN: Position = Position { latitude: 53.35, longitude: -6.26 };

fn place(station: &str, plug: Plug, north_km: f64, power_kw: f64) -> Place {
    Place {
        station: Some(station.to_owned()),
        plugs: vec![plug],
        position: Position::new(DUBLIN.latitude + north_km / 111.2, DUBLIN.longitude),
        power_kw: Some(power_kw),
        ..Place::default()
    }
}

/// Near: two connectors of one charger. Pair: two chargers of one station. Far: out of reach. Slow: alternating current.
fn network() -> Places {
    Places::from([
        ("near-a".to_owned(), place("near", Plug::Ccs, 2.0, 50.0)),
        ("near-b".to_owned(), place("near", Plug::Ccs, 2.0, 50.0)),
        ("pair-1".to_owned(), place("pair-1", Plug::Ccs, 4.0, 50.0)),
        ("pair-2".to_owned(), place("pair-2", Plug::Ccs, 4.1, 50.0)),
        ("far".to_owned(), place("far", Plug::Ccs, 120.0, 150.0)),
        ("slow".to_owned(), place("slow", Plug::Type2, 1.0, 22.0)),
        ("lost".to_owned(), Place { position: None, ..place("lost", Plug::Ccs, 0.0, 50.0) }),
    ])
}

/// In the order of the map: far, lost, near-a, near-b, pair-1, pair-2, slow.
const EVSES: usize = 7;

fn request() -> Request {
    Request::new(DUBLIN, 0.2, 58.0, vec![Plug::Ccs])
}

fn rank(places: &Places, request: &Request, outlook: &dyn Outlook, reservations: &Reservations) -> Ranking {
    let mut recommender = Recommender::new(places.keys().map(String::as_str), places);
    let roads = Roads::default();
    let here = Circumstances { now: 1_000, outlook, roads: &roads, reservations, avoid: &[] };
    recommender.rank(request, here).unwrap()
}

fn order(ranking: &Ranking) -> Vec<&str> {
    ranking.stations.iter().map(|entry| entry.station.as_str()).collect()
}

#[test]
fn connectors_go_together_and_chargers_do_not() {
    let outlook = Said { usable: vec![0.6; EVSES], faulty: 0.0 };
    let ranking = rank(&network(), &request(), &outlook, &Reservations::default());
    let p_free: BTreeMap<&str, f64> =
        ranking.stations.iter().map(|e| (e.station.as_str(), e.p_free)).collect();
    assert_eq!(p_free.keys().copied().collect::<Vec<_>>(), ["near", "pair-1"]);
    assert!((p_free["near"] - 0.6).abs() < 1e-12 && (p_free["pair-1"] - 0.84).abs() < 1e-12, "{p_free:?}");
    let left_out = Excluded { unreachable: 1, plug: 1, unplaced: 1, ..Excluded::default() };
    assert_eq!(ranking.excluded, left_out);
}

#[test]
fn words_say_what_decides() {
    let outlook = Said { usable: vec![0.92; EVSES], faulty: 0.04 };
    let mut places = network();
    let entry = |places: &Places| {
        let ranked = rank(places, &request(), &outlook, &Reservations::default()).stations;
        ranked.into_iter().find(|entry| entry.station == "near").unwrap()
    };
    let near = entry(&places);
    let minutes = near.charge_min.round();
    let text = format!(
        "2.6 km away, 92 % likely to be free in 3 minutes (expected wait 2 minutes); {minutes} minutes to 80 % at 50 kW; \
         out of order 4 % of the last days."
    );
    assert_eq!(near.why, text);
    places.values_mut().for_each(|place| (place.power_kw, place.price_kwh) = (None, Some(0.5)));
    let words = entry(&places).why;
    assert!(words.contains("at 50 kW, as is usual for CCS;") && words.contains("; 17.6"), "{words}");
}

#[test]
fn a_request_leaves_out_what_does_not_suit_it() {
    let outlook = Said { usable: vec![0.9; EVSES], faulty: 0.0 };
    let check = |change: &dyn Fn(&mut Request), expected: &[&str]| {
        let (mut request, mut places) = (Request { waste_min: 5.0, ..request() }, network());
        change(&mut request);
        for (id, place) in &mut places {
            (place.operator, place.price_kwh) = match id.starts_with("pair") {
                true => (Some("Green".to_owned()), Some(0.3)),
                false => (Some("Blue".to_owned()), Some(0.6)),
            };
        }
        let ranking = rank(&places, &request, &outlook, &Reservations::default());
        assert_eq!(order(&ranking), expected, "{ranking:?}");
    };
    check(&|_| {}, &["pair-1", "near"]);
    check(&|request| request.price_per_hour = 1e6, &["near", "pair-1"]);
    check(&|request| request.operators = vec!["blue".to_owned()], &["near"]);
    check(&|request| request.max_price_kwh = Some(0.5), &["pair-1"]);
    check(&|request| request.arrive_within_min = Some(5.0), &["near"]);
    check(&|request| request.plugs = vec![Plug::Type2], &["slow"]);
    check(&|request| (request.battery_c, request.ambient_c) = (-20.0, -20.0), &[]);
    check(&|request| request.top = 1, &["pair-1"]);
}

#[test]
fn measured_roads_count_and_what_is_not_measured_is_estimated_and_marked() {
    let outlook = Said { usable: vec![0.9; EVSES], faulty: 0.0 };
    let places = network();
    let mut recommender = Recommender::new(places.keys().map(String::as_str), &places);
    let mut check = |measured: [Option<(f64, f64)>; 2], expected: &[(&str, bool)]| {
        let roads = Roads {
            measured: BTreeMap::from([("near".to_owned(), measured[0]), ("pair-1".to_owned(), measured[1])]),
            ..Roads::default()
        };
        let reservations = Reservations::default();
        let here = Circumstances {
            now: 0,
            outlook: &outlook,
            roads: &roads,
            reservations: &reservations,
            avoid: &[],
        };
        let ranking = recommender.rank(&request(), here).unwrap();
        let found: Vec<_> =
            ranking.stations.iter().map(|entry| (&*entry.station, entry.drive_unmeasured)).collect();
        assert_eq!(found, expected);
        for entry in &ranking.stations {
            assert_eq!(entry.why.contains("estimated"), entry.drive_unmeasured, "{}", entry.why);
        }
    };
    check([Some((9.0, 30.0)), Some((5.0, 8.0))], &[("pair-1", false), ("near", false)]);
    check([None, Some((50.0, 80.0))], &[("near", true)]);
    check([None, None], &[("pair-1", true), ("near", true)]);
    check([Some((f64::NAN, -1.0)), Some((5.0, 8.0))], &[("pair-1", false), ("near", true)]);
}

#[test]
fn without_any_known_plug_all_are_taken_to_fit() {
    let mut places = network();
    places.values_mut().for_each(|place| place.plugs.clear());
    let outlook = Said { usable: vec![0.9; EVSES], faulty: 0.0 };
    assert_eq!(rank(&places, &request(), &outlook, &Reservations::default()).stations.len(), 3);
    places.get_mut("slow").unwrap().plugs.push(Plug::Ccs);
    assert_eq!(order(&rank(&places, &request(), &outlook, &Reservations::default())), ["slow"]);
    // A text that is not understood is no plug: neither any, nor the one that was asked for.
    for place in places.values_mut() {
        (place.plugs, place.connector) = (Vec::new(), Some("Broomstick".to_owned()));
    }
    assert!(rank(&places, &request(), &outlook, &Reservations::default()).stations.is_empty());
}

#[test]
fn drivers_who_ask_at_once_are_spread() {
    let places = network();
    let mut recommender = Recommender::new(places.keys().map(String::as_str), &places);
    let outlook = Said { usable: vec![0.9; EVSES], faulty: 0.0 };
    let (roads, mut reservations) = (Roads::default(), Reservations::default());
    let mut sent = Vec::new();
    for _ in 0..3 {
        let here = Circumstances {
            now: 0,
            outlook: &outlook,
            roads: &roads,
            reservations: &reservations,
            avoid: &[],
        };
        let best = recommender.rank(&request(), here).unwrap().stations.remove(0);
        reservations.hold(best.likeliest, 0, 3600);
        sent.push(best.station);
    }
    sent.sort();
    assert_eq!(sent, ["near", "pair-1", "pair-1"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let check = |change: &dyn Fn(&mut Request), words: &str| {
        let mut request = request();
        change(&mut request);
        let error = request.check().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    check(&|request| request.soc = f64::NAN, "the state of charge is NaN");
    check(&|request| request.soc = 1.01, "the state of charge is 1.01; it must be 0 to 1");
    check(&|request| request.position.latitude = f64::INFINITY, "no position on Earth");
    check(&|request| request.capacity_kwh = 0.0, "the capacity in kWh is 0");
    check(&|request| request.plugs.clear(), "no plug");
    check(&|request| request.arrive_within_min = Some(f64::NAN), "the time to arrive");
}

/// Any number, sane ones more often.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.0..=1.0f64, 1 => any::<f64>(), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_station_that_is_freer_never_ranks_lower(
        usable in prop::collection::vec(0.0..=1.0f64, EVSES), better in 0..EVSES, more in 0.0..=1.0f64, held in 0..2usize,
    ) {
        let places = network();
        let mut reservations = Reservations::default();
        for _ in 0..held {
            reservations.hold(4, 0, 100_000);
        }
        let before = rank(&places, &request(), &Said { usable: usable.clone(), faulty: 0.1 }, &reservations);
        let mut freer = usable;
        freer[better] += (1.0 - freer[better]) * more;
        let after = rank(&places, &request(), &Said { usable: freer, faulty: 0.1 }, &reservations);
        let name = ["far", "lost", "near", "near", "pair-1", "pair-1", "slow"][better];
        let at = |ranking: &Ranking| order(ranking).iter().position(|station| *station == name);
        prop_assert!(at(&after) <= at(&before), "{name}: {before:?}, then {after:?}");
    }

    #[test]
    fn a_reservation_lowers_the_chance(usable in prop::collection::vec(0.01..=1.0f64, EVSES)) {
        let places = network();
        let outlook = Said { usable, faulty: 0.0 };
        let mut reservations = Reservations::default();
        let before = rank(&places, &request(), &outlook, &reservations);
        reservations.hold(2, 0, 100_000);
        reservations.hold(5, 0, 100_000);
        for entry in rank(&places, &request(), &outlook, &reservations).stations {
            let unreserved = before.stations.iter().find(|other| other.station == entry.station).unwrap();
            prop_assert!(entry.p_free < unreserved.p_free);
        }
    }

    #[test]
    fn the_order_of_the_network_does_not_matter(
        usable in prop::collection::vec(0.0..=1.0f64, EVSES), shuffled in Just((0..EVSES).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let places = network();
        let expected = rank(&places, &request(), &Said { usable: usable.clone(), faulty: 0.1 }, &Reservations::default());
        let ids: Vec<&str> = places.keys().map(String::as_str).collect();
        let mut recommender = Recommender::new(shuffled.iter().map(|at| ids[*at]), &places);
        let outlook = Said { usable: shuffled.iter().map(|at| usable[*at]).collect(), faulty: 0.1 };
        let (roads, reservations) = (Roads::default(), Reservations::default());
        let here = Circumstances { now: 1_000, outlook: &outlook, roads: &roads, reservations: &reservations, avoid: &[] };
        let found = recommender.rank(&request(), here).unwrap();
        let plain = |ranking: &Ranking| serde_json::to_string(ranking).unwrap();
        prop_assert_eq!(plain(&found), plain(&expected));
    }

    #[test]
    fn nothing_panics_and_probabilities_are_some(
        usable in prop::collection::vec(any_number(), EVSES), faulty in any_number(), numbers in prop::collection::vec(any_number(), 12),
    ) {
        let mut places = network();
        for place in places.values_mut() {
            (place.power_kw, place.price_kwh) = (Some(numbers[0] * 100.0), Some(numbers[1]));
        }
        places.get_mut("near-a").unwrap().position = Some(Position { latitude: numbers[2], longitude: numbers[3] });
        let request = Request {
            position: Position { latitude: DUBLIN.latitude + numbers[4], longitude: DUBLIN.longitude },
            soc: numbers[5],
            target_soc: numbers[6],
            max_price_kwh: Some(numbers[7]),
            arrive_within_min: Some(numbers[8] * 60.0),
            battery_c: numbers[9] * 30.0,
            ..request()
        };
        let roads = Roads { detour_factor: numbers[10], speed_kmh: numbers[11] * 60.0, ..Roads::default() };
        let mut recommender = Recommender::new(places.keys().map(String::as_str), &places);
        let (outlook, reservations) = (Said { usable, faulty }, Reservations::default());
        let here = Circumstances { now: i64::MAX - 5, outlook: &outlook, roads: &roads, reservations: &reservations, avoid: &[] };
        for entry in recommender.rank(&request, here).map_or(Vec::new(), |ranking| ranking.stations) {
            prop_assert!((0.0..=1.0).contains(&entry.p_free) && (0.0..=1.0).contains(&entry.reliability));
            prop_assert!(entry.arrival_soc >= request.reserve_soc && entry.wait_min >= 0.0 && entry.charge_min >= 0.0);
        }
    }
}
