//! Laws of placement, and the search and its bound against exact optima.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn drawn(nodes: usize, functions: usize, load: f64, seed: u64) -> Problem {
    Synthetic { nodes, functions, load, seed }.draw()
}

/// The problem with everything where a placement has it.
fn placed(problem: &Problem, placement: &Placement) -> Problem {
    let mut problem = problem.clone();
    for item in &mut problem.items {
        item.at = placement.node(&item.key).map(str::to_owned);
    }
    problem
}

/// Everything is somewhere or nowhere once; room, capabilities, reach and apartness are kept to; the cost is the sum.
fn check(problem: &Problem, placement: &Placement) {
    assert_eq!(placement.places.len() + placement.nowhere.len(), problem.items.len());
    let mut used: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    let mut cost: u64 = placement
        .nowhere
        .iter()
        .map(|(key, _)| {
            let item = problem.items.iter().find(|item| item.key == *key).expect("an item");
            cost::nowhere(item.priority)
        })
        .sum();
    for (key, at, points) in &placement.places {
        let item = problem.items.iter().find(|item| item.key == *key).expect("an item");
        let node = problem.nodes.iter().find(|node| node.name == *at).expect("a living node");
        assert!(item.capabilities.iter().all(|wanted| node.capabilities.contains(wanted)), "{key:?}");
        assert!(problem.reach[&key.vehicle].iter().any(|reach| reach.node == *at), "{key:?}");
        let room = used.entry(at).or_default();
        for (sum, need) in room.iter_mut().zip([item.load_ppm, item.memory_mib, 1]) {
            *sum += u64::from(need);
        }
        for other in &item.apart_from {
            let other = Key { vehicle: key.vehicle.clone(), function: other.clone() };
            assert_ne!(placement.node(&other), Some(at.as_str()), "{key:?} beside {other:?}");
        }
        cost += points;
    }
    for (name, used) in used {
        let node = problem.nodes.iter().find(|node| node.name == name).expect("a living node");
        let room = [node.load_ppm, node.memory_mib, node.instances].map(u64::from);
        assert!(used.iter().zip(room).all(|(used, room)| *used <= room), "{name}: {used:?} of {room:?}");
    }
    assert_eq!(cost, placement.cost);
}

/// The least cost of all placements, by branch and bound over the integer programme.
fn optimum(problem: &Problem) -> f64 {
    use microlp::{ComparisonOp, OptimizationDirection};
    let dense = Dense::new(problem);
    let mut programme = microlp::Problem::new(OptimizationDirection::Minimize);
    let mut at_node: Vec<Vec<(usize, microlp::Variable)>> = vec![Vec::new(); dense.rooms.len()];
    for (index, item) in dense.items.iter().enumerate() {
        let mut once = vec![(programme.add_binary_var(item.nowhere as f64), 1.0)];
        for (node, cost) in &item.options {
            let variable = programme.add_binary_var(*cost as f64);
            at_node[*node as usize].push((index, variable));
            once.push((variable, 1.0));
        }
        programme.add_constraint(once.as_slice(), ComparisonOp::Eq, 1.0);
    }
    for (room, here) in dense.rooms.iter().zip(&at_node) {
        for (r, room) in room.iter().enumerate() {
            let used: Vec<_> = here.iter().map(|(item, v)| (*v, dense.items[*item].need[r] as f64)).collect();
            programme.add_constraint(used.as_slice(), ComparisonOp::Le, *room as f64);
        }
        for (item, variable) in here {
            for (other, beside) in here.iter().filter(|(other, _)| other > item) {
                if dense.items[*item].apart.contains(other) {
                    let both = [(*variable, 1.0), (*beside, 1.0)];
                    programme.add_constraint(both.as_slice(), ComparisonOp::Le, 1.0);
                }
            }
        }
    }
    programme.solve().expect("running nowhere is always possible").objective()
}

/// Bound ≤ optimum ≤ what is found, and what is found in the background is within 1 % of the optimum.
#[test]
fn the_search_and_its_bound_enclose_the_optimum() {
    for seed in 0..12 {
        let problem = drawn(5, 22, 0.6 + 0.03 * (seed % 4) as f64, seed);
        let best = optimum(&problem);
        let at_once = place(&problem);
        check(&problem, &at_once);
        let mut improver = Improver::new(problem.clone(), seed);
        improver.improve(300);
        let later = improver.placement();
        check(&problem, &later);
        let bound = lower_bound(&problem, at_once.cost, 400) as f64;
        // The solver works in floats: a point of rounding.
        assert!(bound <= best + 1.0, "seed {seed}: bound {bound}, optimum {best}");
        assert!(later.cost as f64 >= best - 1.0, "seed {seed}: {} is below {best}", later.cost);
        assert!(later.cost as f64 <= best * 1.01, "seed {seed}: {} is over {best}", later.cost);
        assert!(later.cost <= at_once.cost && at_once.cost <= greedy(&problem).cost, "seed {seed}");
    }
}

#[test]
fn a_dead_node_moves_its_functions_and_no_others() {
    let problem = drawn(20, 120, 0.6, 3);
    let mut running = placed(&problem, &place(&problem));
    let dead = crowded(&running).into_iter().max_by_key(|(_, count)| *count).expect("a node").0.to_owned();
    running.nodes.retain(|node| node.name != dead);
    let repaired = repair(&running);
    check(&running, &repaired);
    let lost = running.items.iter().filter(|item| item.at.as_deref() == Some(dead.as_str())).count();
    assert!(lost > 0 && repaired.moves.len() == lost, "{} moves for {lost}", repaired.moves.len());
    assert!(repaired.moves.iter().all(|gone| gone.from.as_deref() == Some(dead.as_str())));
}

#[test]
fn a_function_moves_only_where_that_saves_more_than_it_costs() {
    let vehicle: voltmesh_telemetry::VehicleId = "car-1".parse().expect("an id");
    let node = |name: &str| Node {
        name: name.to_owned(),
        capabilities: Vec::new(),
        load_ppm: 1_000_000,
        memory_mib: 100,
        instances: 10,
        busy_ppm: 0,
    };
    let check = |away_us: u64, moves: bool| {
        let reach = |node: &str, round_trip_us| Reach { node: node.to_owned(), round_trip_us, session: true };
        let problem = Problem {
            nodes: vec![node("fog-1"), node("fog-2")],
            reach: [(vehicle.clone(), vec![reach("fog-1", 1_000 + away_us), reach("fog-2", 1_000)])].into(),
            items: vec![Item {
                key: Key { vehicle: vehicle.clone(), function: "f".to_owned() },
                load_ppm: 100,
                memory_mib: 1,
                capabilities: Vec::new(),
                apart_from: Vec::new(),
                latency: crate::policy::Latency::Minute,
                priority: 75,
                at: Some("fog-1".to_owned()),
                only: None,
            }],
            weights: Weights::default(),
        };
        assert_eq!(place(&problem).moves.len(), usize::from(moves), "{away_us} µs");
    };
    check(Weights::default().move_us - 1, false);
    check(Weights::default().move_us, false);
    check(Weights::default().move_us + 1, true);
}

#[test]
fn what_has_no_place_says_why() {
    let mut problem = drawn(3, 6, 0.5, 1);
    let reason = |problem: &Problem, item: usize| {
        let placement = place(problem);
        check(problem, &placement);
        let key = &problem.items[item].key;
        placement.nowhere.iter().find(|(other, _)| other == key).map(|(_, why)| *why)
    };
    assert_eq!(reason(&problem, 0), None);
    problem.items[0].capabilities = vec!["quantum".to_owned()];
    assert_eq!(reason(&problem, 0), Some(WhyNowhere::NoCapability));
    problem.items[0].capabilities.clear();
    problem.items[0].load_ppm = u32::MAX;
    assert_eq!(reason(&problem, 0), Some(WhyNowhere::NoRoom));
    problem.reach.clear();
    assert_eq!(reason(&problem, 0), Some(WhyNowhere::Unreached));
    problem.nodes.clear();
    problem.items.push(problem.items[1].clone());
    problem.items.pop();
    assert_eq!(place(&problem).nowhere.len(), 6);
    assert!(place(&Problem::default()).places.is_empty());
    assert!(!Improver::new(Problem::default(), 1).improve(3));
}

/// Where room is short, the functions with less priority go without it.
#[test]
fn priority_decides_who_has_room() {
    let mut problem = drawn(4, 40, 0.6, 9);
    for node in &mut problem.nodes {
        node.load_ppm /= 2;
        node.capabilities = vec!["gpu".to_owned()];
    }
    for (n, item) in problem.items.iter_mut().enumerate() {
        (item.priority, item.load_ppm) = (if n % 2 == 0 { 90 } else { 10 }, 100_000);
        item.apart_from.clear();
    }
    let placement = place(&problem);
    check(&problem, &placement);
    let without = |priority: u8| {
        let mine = |key: &Key| problem.items.iter().any(|item| item.key == *key && item.priority == priority);
        placement.nowhere.iter().filter(|(key, _)| mine(key)).count()
    };
    assert!(without(10) > 0, "room is short");
    assert_eq!(without(90), 0, "{:?}", placement.nowhere);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever is to be placed: the placement is one, the same each time, not dearer than greedy choice, not below the bound,
    /// and placing again moves nothing.
    #[test]
    fn placements_are_right(
        nodes in 1_usize..12, functions in 0_usize..50, load in 0.2..1.0_f64, seed: u64, busy in 0_usize..12,
    ) {
        let mut problem = drawn(nodes, functions, load, seed);
        problem.nodes.truncate(nodes.saturating_sub(busy % 3).max(1));
        let first = place(&problem);
        check(&problem, &first);
        prop_assert_eq!(&first, &place(&problem));
        let choice = greedy(&problem);
        check(&problem, &choice);
        prop_assert!(first.cost <= choice.cost);
        prop_assert!(lower_bound(&problem, first.cost, 60) <= first.cost);
        let running = placed(&problem, &first);
        prop_assert!(place(&running).moves.is_empty());
        prop_assert!(repair(&running).moves.is_empty());
        let mut improver = Improver::new(problem.clone(), seed);
        improver.improve(5);
        check(&problem, &improver.placement());
        prop_assert!(improver.cost() <= first.cost);
    }

    /// After any node has died, only what ran there moves.
    #[test]
    fn repairs_touch_nothing_else(nodes in 2_usize..10, functions in 1_usize..50, seed: u64, dead: usize) {
        let problem = drawn(nodes, functions, 0.7, seed);
        let mut running = placed(&problem, &place(&problem));
        let gone = running.nodes.remove(dead % nodes).name;
        let repaired = repair(&running);
        check(&running, &repaired);
        for moved in &repaired.moves {
            prop_assert!(moved.from.is_none() || moved.from.as_deref() == Some(gone.as_str()));
        }
    }
}

proptest! {
    /// The most valuable part of a node's candidates is that of all parts with room, one after the other.
    #[test]
    fn knapsacks_are_packed_exactly(
        drawn in proptest::collection::vec((1_i64..100, 1_i64..50), 0..11), room in 0_i64..150, apart in 0_usize..12,
    ) {
        use super::knapsack::{Candidate, most_valuable};
        let mut candidates: Vec<Candidate> = drawn
            .iter()
            .enumerate()
            .map(|(item, (value, weight))| Candidate { item, value: *value, weight: *weight })
            .collect();
        let are_apart = |one: usize, other: usize| one.abs_diff(other) == apart && apart > 0;
        let mut best = 0;
        for part in 0_u32..1 << drawn.len() {
            let chosen: Vec<usize> = (0..drawn.len()).filter(|item| part & (1 << item) != 0).collect();
            let weight: i64 = chosen.iter().map(|item| drawn[*item].1).sum();
            let together = chosen.iter().any(|one| chosen.iter().any(|other| are_apart(*one, *other)));
            if weight <= room && !together {
                best = best.max(chosen.iter().map(|item| drawn[*item].0).sum());
            }
        }
        let (value, chosen) = most_valuable(&mut candidates, room, are_apart);
        prop_assert_eq!(value, best);
        prop_assert_eq!(chosen.iter().map(|item| drawn[*item].0).sum::<i64>(), best);
        prop_assert!(chosen.iter().map(|item| drawn[*item].1).sum::<i64>() <= room);
    }
}

/// On drawn problems of the size that is promised, placements of a second's search are within 1 % of what none is below.
#[test]
fn gaps_at_full_size_slow() {
    for seed in [1, 2] {
        let problem = drawn(100, 600, 0.6, seed);
        let at_once = place(&problem);
        check(&problem, &at_once);
        let mut improver = Improver::new(problem.clone(), seed);
        improver.improve(200);
        let bound = lower_bound(&problem, improver.cost(), 1_000) as f64;
        let gap = |cost: u64| cost as f64 / bound - 1.0;
        assert!((0.0..0.01).contains(&gap(improver.cost())), "seed {seed}: {}", gap(improver.cost()));
        assert!(gap(at_once.cost) < 0.02, "seed {seed}: {}", gap(at_once.cost));
        assert!(gap(greedy(&problem).cost) > gap(at_once.cost), "seed {seed}");
    }
}
