//! Room that is short: who has it, and who gives way.

use super::*;
use crate::placement::Key as PlaceKey;
use crate::placement::Move;

const ESTIMATION: &str = "soc-soh-estimation";
const REGULATION: &str = "temperature-regulation";

/// Two vehicles whose four functions each fill their fog node.
fn full() -> World {
    let mut world = World::new(1, 2);
    world.most_instances = 8;
    world.live(5);
    let runs: usize = world.fogs.values().map(|node| node.running.len()).sum();
    assert_eq!(runs, 8);
    world
}

fn estimations(world: &World) -> usize {
    (1..=2).filter(|n| world.place(&car(*n), ESTIMATION).is_some()).count()
}

#[test]
fn a_function_of_higher_priority_has_its_room_from_another_vehicles() {
    let mut world = full();
    // Both are hot: two functions of the highest priority, for which the two of the lowest give way.
    world.hot.extend([car(1), car(2)]);
    world.live(20);
    for n in 1..=2 {
        assert_eq!(world.place(&car(n), REGULATION), Some(fog(1)), "of car {n}");
        assert_eq!(world.place(&car(n), GUARD), Some(fog(1)), "of car {n}");
    }
    assert_eq!(estimations(&world), 0);
    let ended =
        world.controller.decisions(None).filter(|decision| decision.explain().contains("higher priority"));
    assert_eq!(ended.count(), 2);
    // What gave way comes back when there is room again.
    world.hot.clear();
    world.live(900);
    assert_eq!((world.place(&car(1), REGULATION), estimations(&world)), (None, 2));
}

#[test]
fn one_vehicle_has_its_room_from_another() {
    let mut world = full();
    world.most_instances = 9;
    world.live(3);
    world.hot.extend([car(1), car(2)]);
    world.live(20);
    assert_eq!(world.place(&car(1), REGULATION), Some(fog(1)));
    assert_eq!(world.place(&car(2), REGULATION), Some(fog(1)));
    assert_eq!(estimations(&world), 1, "one of them had to give way");
    assert!(world.fogs[&fog(1)].running.len() <= 9);
}

#[test]
fn nothing_is_searched_while_there_is_room() {
    let mut world = World::new(2, 4);
    world.live(60);
    assert_eq!(world.controller.counters().searches, 0);
}

#[test]
fn what_has_changed_since_the_search_is_not_moved() {
    let mut world = full();
    world.hot.insert(car(1));
    // The search is under way: its answer comes from here.
    let mut asked = false;
    for _ in 0..40 {
        let now = world.now;
        let summaries = Box::new(world.summaries(&fog(1)));
        let outputs = world.controller.handle(now, Input::Summaries { fog: fog(1), summaries });
        world.perform(outputs, usize::MAX);
        world.deliver(usize::MAX);
        let outputs = world.controller.handle(later(now, 1_000), Input::Tick);
        asked |= outputs.iter().any(|output| matches!(output, Output::Improve(_)));
        world.perform(outputs, usize::MAX);
        world.now = later(now, 1_000);
        if asked {
            break;
        }
    }
    assert!(asked || world.place(&car(1), REGULATION).is_some());
    let key = PlaceKey { vehicle: car(2), function: ESTIMATION.to_owned() };
    let moves = vec![Move { key, from: Some(fog(7)), to: None }];
    world.handle(Input::Improved { moves });
    world.live(1);
    assert!(world.place(&car(2), ESTIMATION).is_some(), "it was at another node when the search began");
}
