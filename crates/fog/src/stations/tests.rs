use voltmesh_stations::recommend::{Request, Roads};
use voltmesh_stations::{Mapping, Plug, Position, read_places};

use super::feed::Snapshot;
use super::testing::{END, PLACES, model};
use super::{Adviser, Refusal};

fn adviser() -> Adviser {
    Adviser::new(model(), read_places(PLACES.as_bytes()).unwrap(), Mapping::new(), 3600, 20)
}

fn snapshot(at: i64, readings: &[(&str, &str)]) -> Snapshot {
    let owned = |(id, status): &(&str, &str)| ((*id).to_owned(), (*status).to_owned());
    Snapshot {
        at,
        newest: at,
        readings: readings.iter().map(owned).collect(),
        said: vec![at; readings.len()],
    }
}

fn request() -> Request {
    Request::new(Position { latitude: 53.34, longitude: -6.26 }, 0.3, 60.0, vec![Plug::Ccs])
}

#[test]
fn nothing_is_said_before_the_first_snapshot_or_after_the_last() {
    let adviser = adviser();
    assert_eq!(adviser.forecast(END, "A/1", None), Err(Refusal::NotYet));
    assert!(!adviser.take(&snapshot(END - 86_400, &[("A/1", "Occ")])), "what the model knows is no news");
    assert_eq!(adviser.forecasts(END, None), Err(Refusal::NotYet));
    assert!(adviser.take(&snapshot(END, &[("A/1", "Occ")])));
    assert!(!adviser.take(&snapshot(END, &[("A/1", "Available")])), "a slot counts once");
    let forecast = adviser.forecast(END + 60, "A/1", None).unwrap();
    assert_eq!((forecast.status.as_deref(), forecast.age_s), (Some("Occ"), Some(60)));
    assert_eq!(forecast.horizons.iter().map(|horizon| horizon.minutes).collect::<Vec<_>>(), [15, 60]);
    let stale = Refusal::Stale { age_s: 3601, max_age_s: 3600 };
    assert_eq!(adviser.forecast(END + 3601, "A/1", None), Err(stale.clone()));
    assert_eq!(adviser.candidates(END + 3601, &request()), Err(stale.clone()));
    let advice = adviser.recommend(END + 3601, &request(), &Roads::default(), String::new(), false);
    assert_eq!(advice, Err(stale));
}

#[test]
fn the_short_form_says_the_same() {
    let adviser = adviser();
    adviser.take(&snapshot(END, &[("A/1", "Occ"), ("B/1", "Available")]));
    adviser.take(&snapshot(END + 900, &[("A/1", "Occ"), ("B/1", "Available")]));
    let before = adviser.forecast(END + 900, "B/1", Some(60)).unwrap();
    let all = adviser.forecasts(END + 900, Some(60)).unwrap();
    assert_eq!(adviser.forecast(END + 900, "B/1", Some(60)).unwrap(), before);
    let short = all.evses.iter().find(|short| short.evse == "B/1").unwrap();
    assert_eq!((all.minutes, short.usable.len()), (vec![60], 1));
    assert!((short.usable[0] - before.horizons[0].usable).abs() < 1e-4);
    // Nothing was seen of it: no status, and what is usual.
    let unseen = adviser.forecast(END + 900, "C/2", Some(60)).unwrap();
    let horizon = &unseen.horizons[0];
    assert_eq!((&unseen.status, unseen.age_s, &horizon.probabilities), (&None, None, &None));
    assert!((0.0..=1.0).contains(&horizon.usable));
}

#[test]
fn an_evse_that_was_never_heard_of_is_taken_in() {
    let adviser = adviser();
    let known = adviser.figures()[0].1;
    adviser.take(&snapshot(END, &[("D/9", "Available"), ("A/1", "Occ")]));
    assert_eq!(adviser.figures()[0], ("stations_evses", known + 1));
    let forecast = adviser.forecast(END, "D/9", None).unwrap();
    assert_eq!(forecast.status.as_deref(), Some("Available"));
    let sum: f32 = forecast.horizons[0].probabilities.as_ref().unwrap().values().sum();
    assert!((sum - 1.0).abs() < 1e-4);
}

#[test]
fn reservations_send_the_next_driver_elsewhere_and_end() {
    let adviser = adviser();
    let free = [("A/1", "Available"), ("B/1", "Available"), ("C/1", "Available"), ("C/2", "Available")];
    adviser.take(&snapshot(END, &free));
    let ask = |now: i64, reserve: bool| {
        adviser.recommend(now, &request(), &Roads::default(), "x".into(), reserve).unwrap()
    };
    let p_free = |advice: &super::Advice, station: &str| {
        advice.stations.iter().find(|entry| entry.station == station).map_or(0.0, |entry| entry.p_free)
    };
    let first = ask(END, true);
    let best = first.stations[0].station.clone();
    assert!(first.reservation.as_ref().is_some_and(|held| first.stations[0].evses.contains(&held.evse)));
    let second = ask(END, false);
    assert!(second.reservation.is_none() && p_free(&second, &best) < p_free(&first, &best), "{second:?}");
    assert_eq!(adviser.figures()[3], ("stations_reservations", 1));
    // Long enough for the drive and twenty minutes.
    let later = ask(END + 3500, false);
    assert_eq!(adviser.figures()[3], ("stations_reservations", 0));
    assert!(p_free(&later, &best) > p_free(&second, &best));
}
