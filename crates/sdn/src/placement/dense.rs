//! A problem by numbers instead of names: what searching works on.

use super::cost::{Place, nowhere};
use super::problem::{Problem, WhyNowhere};
use std::collections::{BTreeMap, BTreeSet};

/// Resources that nodes have and functions need: load in ppm of a core, memory in MiB, instances.
pub(super) type Room = [i64; 3];

/// A function.
#[derive(Debug, Clone)]
pub(super) struct DenseItem {
    pub need: Room,
    /// Nodes that it can be at with what that costs, by node.
    pub options: Vec<(u32, u64)>,
    /// The same, the cheapest first; of equal ones the lower node.
    pub cheapest: Vec<(u32, u64)>,
    /// What running nowhere costs.
    pub nowhere: u64,
    /// Why it has no options.
    pub why: WhyNowhere,
    /// Items that may not be at the same node.
    pub apart: Vec<usize>,
    /// Where it runs, if that node is alive and still possible.
    pub at: Option<u32>,
}

impl DenseItem {
    /// What a node costs, or running nowhere.
    pub fn cost(&self, node: Option<u32>) -> u64 {
        let Some(node) = node else { return self.nowhere };
        let found = self.options.binary_search_by_key(&node, |(node, _)| *node);
        // Places come from the options alone.
        found.map_or(self.nowhere, |at| self.options[at].1)
    }
}

/// A problem.
#[derive(Debug, Clone)]
pub(super) struct Dense {
    pub items: Vec<DenseItem>,
    pub rooms: Vec<Room>,
}

impl Dense {
    pub fn new(problem: &Problem) -> Self {
        let nodes: BTreeMap<&str, u32> =
            (0..).zip(&problem.nodes).map(|(at, node)| (node.name.as_str(), at)).collect();
        let rooms = problem
            .nodes
            .iter()
            .map(|node| [i64::from(node.load_ppm), i64::from(node.memory_mib), i64::from(node.instances)]);
        let mut of_vehicle: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, item) in problem.items.iter().enumerate() {
            of_vehicle.entry(&item.key.vehicle).or_default().push(index);
        }
        let items = problem.items.iter().map(|item| {
            let at = item.at.as_deref().and_then(|name| nodes.get(name)).copied();
            let reached = problem.reach.get(&item.key.vehicle).map(Vec::as_slice).unwrap_or_default();
            let mut why = WhyNowhere::Unreached;
            let mut options: Vec<(u32, u64)> = Vec::with_capacity(reached.len());
            for reach in reached {
                let Some(index) = nodes.get(reach.node.as_str()).copied() else { continue };
                let node = &problem.nodes[index as usize];
                if !item.capabilities.iter().all(|wanted| node.capabilities.contains(wanted)) {
                    if why == WhyNowhere::Unreached {
                        why = WhyNowhere::NoCapability;
                    }
                    continue;
                }
                why = WhyNowhere::NoRoom;
                if item.only.as_ref().is_some_and(|only| *only != reach.node) {
                    continue;
                }
                let place = Place {
                    round_trip_us: reach.round_trip_us,
                    session: reach.session,
                    class_us: item.latency.round_trip_us(),
                    priority: item.priority,
                    load_ppm: item.load_ppm,
                    busy_ppm: node.busy_ppm,
                    moves: at.is_some_and(|at| at != index),
                };
                options.push((index, problem.weights.of(&place)));
            }
            // A node that is named twice counts by its best round trip.
            options.sort_unstable();
            options.dedup_by_key(|(node, _)| *node);
            let mut cheapest = options.clone();
            cheapest.sort_unstable_by_key(|(node, cost)| (*cost, *node));
            let mut apart = BTreeSet::new();
            for other in of_vehicle.get(&item.key.vehicle).into_iter().flatten() {
                let their = &problem.items[*other];
                let keeps = item.apart_from.contains(&their.key.function)
                    || their.apart_from.contains(&item.key.function);
                if keeps && their.key != item.key {
                    apart.insert(*other);
                }
            }
            DenseItem {
                need: [i64::from(item.load_ppm), i64::from(item.memory_mib), 1],
                at: at.filter(|at| options.binary_search_by_key(at, |(node, _)| *node).is_ok()),
                options,
                cheapest,
                nowhere: nowhere(item.priority),
                why,
                apart: apart.into_iter().collect(),
            }
        });
        Self { items: items.collect(), rooms: rooms.collect() }
    }
}
