use super::*;
use crate::{Builder, Mapping, Place, Plug, Position};

/// EVSE `i` of four towns: `flips` is taken every second hour from shortly after it; `steady` is free, 3 km farther.
fn network() -> (History, Places) {
    let mut builder = Builder::default();
    let mut places = Places::new();
    for town in 0..4 {
        for (name, north_km) in [("flips", 0.0), ("steady", 3.0)] {
            let latitude = 53.0 + f64::from(town) / 4.0 + north_km / 111.2;
            let place =
                Place { plugs: vec![Plug::Ccs], position: Position::new(latitude, -7.0), ..Place::default() };
            places.insert(format!("{town}:{name}"), place);
        }
    }
    for slot in 0..3 * 288 {
        for id in places.keys() {
            let taken = id.ends_with("flips") && slot % 3 == 2;
            builder.push(1_540_425_600 + slot * 300, id, if taken { "Occ" } else { "Available" }).unwrap();
        }
    }
    (builder.build(&Mapping::new()).unwrap(), places)
}

/// Knows how often each was free before, and nothing else.
#[derive(Clone)]
struct Shares {
    shares: Vec<f64>,
}

impl Shares {
    fn new(history: &History, until: usize) -> Self {
        let free = |evse| (0..until).filter(|slot| history.in_force(*slot, evse) == Some(0)).count();
        Self { shares: (0..history.evses().len()).map(|evse| free(evse) as f64 / until as f64).collect() }
    }
}

impl Outlook for Shares {
    fn usable(&self, evse: usize, _: f64) -> f64 {
        self.shares[evse]
    }

    fn faulty(&self, _: usize) -> f64 {
        0.0
    }

    fn age_s(&self, _: usize) -> Option<i64> {
        Some(0)
    }

    fn busy_min(&self, _: usize) -> f64 {
        5.0
    }
}

impl Outlooks for Shares {
    fn at(&mut self, _: usize) -> Box<dyn Outlook + '_> {
        Box::new(self.clone())
    }
}

#[test]
fn who_knows_the_habits_arrives_in_vain_less_often() {
    let (history, places) = network();
    let run = |seed| {
        let setting = Setting { drivers_per_hour: 4.0, seed, ..Setting::new(288..3 * 288) };
        replay(&history, &places, &setting, &mut Shares::new(&history, 288))
    };
    let found = run(1);
    assert!((100..300).contains(&found.drivers), "{found:?}");
    let [nearest, free_now, ours] = &found.policies[..] else { panic!("{found:?}") };
    assert_eq!(nearest.detour_min, 0.0);
    assert!(nearest.wasted > ours.wasted && free_now.wasted > ours.wasted, "{found:?}");
    assert!(found.fewer_wasted().unwrap() > 0.3 && found.longer_min().unwrap() < 6.0, "{found:?}");
    for tally in &found.policies {
        assert!(
            tally.charged + tally.gave_up <= found.drivers && tally.charged > found.drivers / 2,
            "{tally:?}"
        );
    }
    assert_eq!(found, run(1));
    assert_ne!(found, run(2));
}

#[test]
fn risk_is_bought_off_with_detours() {
    let (history, places) = network();
    let run = |waste_min| {
        let setting = Setting { waste_min, drivers_per_hour: 2.0, ..Setting::new(288..3 * 288) };
        replay(&history, &places, &setting, &mut Shares::new(&history, 288))
            .of(Policy::Ours)
            .cloned()
            .unwrap()
    };
    let (bold, careful) = (run(0.0), run(120.0));
    assert!(
        bold.wasted_first > careful.wasted_first && bold.detour_min < careful.detour_min,
        "{bold:?} {careful:?}"
    );
}

#[test]
fn nobody_departs_where_nothing_was_observed() {
    let (history, places) = network();
    let mut outlooks = Shares::new(&history, 288);
    // The last two hours show nothing of what would come of a departure then.
    let end = history.slots();
    assert_eq!(replay(&history, &places, &Setting::new(end - 24..end + 5), &mut outlooks).drivers, 0);
    let nowhere = replay(&history, &Places::new(), &Setting::new(0..end), &mut outlooks);
    assert_eq!((nowhere.drivers, nowhere.fewer_wasted()), (0, None));
}
