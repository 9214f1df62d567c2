//! Drawn problems for benchmarks and tests: fog nodes in a region, vehicles in its towns.

use super::problem::{Item, Key, Node, Problem, Reach};
use super::random::Random;
use crate::policy::Latency;
use std::collections::BTreeMap;

/// Side of the region in km, and how far from a town's middle its vehicles are at most.
const REGION_KM: f64 = 60.0;
const TOWN_KM: f64 = 6.0;

/// Towns, and the share of vehicles that are in one.
const TOWNS: usize = 10;
const IN_TOWN: f64 = 0.7;

/// Most functions of one vehicle.
const MOST_FUNCTIONS: usize = 6;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Synthetic {
    /// Fog nodes, 1 on.
    pub nodes: usize,
    /// Functions.
    pub functions: usize,
    /// Sum of the functions' load over that of the nodes, 0..1.
    pub load: f64,
    /// Of the random numbers.
    pub seed: u64,
}

impl Synthetic {
    /// The problem: every vehicle reaches every node, by 3 ms, 0.25 ms for each km and up to 4 ms of its own, and has its session
    /// where it is nearest. A fifth of the nodes has what a tenth of the functions needs; a tenth must be apart from another.
    #[must_use]
    pub fn draw(&self) -> Problem {
        let mut random = Random(self.seed);
        let point = |random: &mut Random| (random.within(0.0, REGION_KM), random.within(0.0, REGION_KM));
        let places: Vec<(f64, f64)> = (0..self.nodes.max(1)).map(|_| point(&mut random)).collect();
        let towns: Vec<(f64, f64)> = (0..TOWNS).map(|_| point(&mut random)).collect();
        let mut problem = Problem::default();
        let mut count = 0;
        while problem.items.len() < self.functions {
            let vehicle: voltmesh_telemetry::VehicleId =
                format!("car-{count:05}").parse().expect("letters and digits");
            count += 1;
            let at = if random.unit() < IN_TOWN {
                let town = towns[(random.unit() * TOWNS as f64) as usize];
                (town.0 + random.within(-TOWN_KM, TOWN_KM), town.1 + random.within(-TOWN_KM, TOWN_KM))
            } else {
                point(&mut random)
            };
            problem.reach.insert(vehicle.clone(), reach(&mut random, &places, at));
            let functions = 1 + (random.unit() * MOST_FUNCTIONS as f64) as usize;
            for n in 0..functions.min(self.functions - problem.items.len()) {
                let latency = match random.unit() {
                    draw if draw < 0.4 => Latency::Immediate,
                    draw if draw < 0.7 => Latency::Second,
                    _ => Latency::Minute,
                };
                let apart = n > 0 && random.unit() < 0.1;
                problem.items.push(Item {
                    key: Key { vehicle: vehicle.clone(), function: format!("function-{n}") },
                    load_ppm: random.within(20_000.0, 180_000.0) as u32,
                    memory_mib: random.within(2.0, 32.0) as u32,
                    capabilities: if random.unit() < 0.1 { vec!["gpu".to_owned()] } else { Vec::new() },
                    apart_from: if apart { vec![format!("function-{}", n - 1)] } else { Vec::new() },
                    latency,
                    priority: random.within(10.0, 100.0) as u8,
                    at: None,
                    only: None,
                });
            }
        }
        problem.nodes = self.nodes(&mut random, problem.items.iter().map(|item| item.load_ppm).sum());
        problem
    }

    /// Nodes of half to one and a half of the mean room, so that all together have the load that is wanted.
    fn nodes(&self, random: &mut Random, load_ppm: u32) -> Vec<Node> {
        let sizes: Vec<f64> = (0..self.nodes.max(1)).map(|_| random.within(0.5, 1.5)).collect();
        let whole = f64::from(load_ppm) / self.load.clamp(0.01, 1.0) / sizes.iter().sum::<f64>();
        (0..)
            .zip(sizes)
            .map(|(n, size)| Node {
                name: format!("fog-{n:03}"),
                capabilities: if random.unit() < 0.2 { vec!["gpu".to_owned()] } else { Vec::new() },
                load_ppm: (whole * size) as u32,
                memory_mib: 1_024,
                instances: 64,
                busy_ppm: random.within(0.0, 800_000.0) as u32,
            })
            .collect()
    }
}

fn reach(random: &mut Random, places: &[(f64, f64)], at: (f64, f64)) -> Vec<Reach> {
    let mut reached: Vec<Reach> = (0..)
        .zip(places)
        .map(|(n, place)| {
            let km = (place.0 - at.0).hypot(place.1 - at.1);
            let us = 3_000.0 + 250.0 * km + random.within(0.0, 4_000.0);
            Reach { node: format!("fog-{n:03}"), round_trip_us: us as u64, session: false }
        })
        .collect();
    if let Some(nearest) = reached.iter_mut().min_by_key(|reach| reach.round_trip_us) {
        nearest.session = true;
    }
    reached
}

/// Nodes of a problem by what runs on them: how many functions.
#[must_use]
pub fn crowded(problem: &Problem) -> BTreeMap<&str, usize> {
    let mut count = BTreeMap::new();
    for at in problem.items.iter().filter_map(|item| item.at.as_deref()) {
        *count.entry(at).or_default() += 1;
    }
    count
}
