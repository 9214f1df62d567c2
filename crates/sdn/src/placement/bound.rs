//! A cost that no placement is below, proven by two Lagrangian relaxations (Geoffrion 1974).
//!
//! First of the nodes' room: with a price λ ≥ 0 for each resource of each node, the sum over all functions of the cheapest `cost + price × need` (or
//! nowhere), less the price of all room, is below the cost of every placement that keeps to the room.
//!
//! Then of each function being somewhere once: with a reward for each function, the sum of all rewards less the most valuable
//! part that each node has room for (a knapsack by load alone, without what must be apart) is below it too, and closer: it begins with the rewards that the
//! prices give (Fisher 1981, for the generalised assignment problem).
//!
//! Prices and rewards are found by subgradient steps (Held, Wolfe, Crowder 1974). What is returned is computed in whole numbers,
//! so it holds whatever rounding did to them.

use super::dense::Dense;
use super::knapsack::{Candidate, most_valuable};
use super::problem::Problem;

/// Prices are whole multiples of 2⁻³² of a point for a unit.
const SCALE: i128 = 1 << 32;

/// Largest price in points for a unit: beyond, running nowhere is cheaper.
const MOST_PRICE: f64 = 1e12;

/// Rounds without progress after which steps become half as long.
const PATIENCE: u32 = 20;

/// Part of a step's direction that the next one keeps (Camerini, Fratta, Maffioli 1975).
const KEPT: f64 = 0.7;

/// Part of the whole step below which none matters.
const SHORTEST: f64 = 1e-3;

/// Rounds of the first relaxation for one of the second, which takes as many times as long.
const REWARDS: u32 = 5;

/// Part of the best value by which another is better.
const PROGRESS: f64 = 1e-9;

/// A cost that no placement is below. `cost` is that of some placement, by which steps are sized; `rounds` of either
/// relaxation, the second's of some milliseconds each with 100 nodes and 600 functions.
#[must_use]
pub fn lower_bound(problem: &Problem, cost: u64, rounds: u32) -> u64 {
    let dense = Dense::new(problem);
    let prices = prices(&dense, cost, rounds);
    let by_prices = exact(&dense, &prices);
    by_prices.max(by_rewards(&dense, &prices, cost, rounds / REWARDS))
}

/// How long steps are: shorter after some rounds without progress.
struct Pace {
    best: f64,
    length: f64,
    idle: u32,
}

/// What a pace says of a value.
#[derive(PartialEq, Eq)]
enum Goes {
    /// It is the best so far.
    Better,
    /// It is not.
    On,
    /// Steps are shorter from now on; begin again at the best.
    Back,
    /// They are too short to matter.
    End,
}

impl Pace {
    fn new(length: f64) -> Self {
        // No value of interest is below 0.
        Self { best: -1.0, length, idle: 0 }
    }

    fn see(&mut self, value: f64) -> Goes {
        if value > self.best + PROGRESS * self.best.abs() {
            (self.best, self.idle) = (value, 0);
            return Goes::Better;
        }
        self.idle += 1;
        if self.idle < PATIENCE {
            return Goes::On;
        }
        (self.length, self.idle) = (self.length / 2.0, 0);
        if self.length < SHORTEST { Goes::End } else { Goes::Back }
    }
}

/// Prices of the nodes' room.
fn prices(dense: &Dense, cost: u64, rounds: u32) -> Vec<[f64; 3]> {
    let mut prices = vec![[0.0_f64; 3]; dense.rooms.len()];
    let mut ways = prices.clone();
    let mut best = prices.clone();
    let mut pace = Pace::new(1.0);
    for _ in 0..rounds {
        let (value, used) = relax(dense, &prices);
        match pace.see(value) {
            Goes::Better => best.clone_from(&prices),
            Goes::On => {}
            Goes::Back => {
                prices.clone_from(&best);
                ways.fill([0.0; 3]);
                continue;
            }
            Goes::End => break,
        }
        // Resources are scaled by their room, so that a ppm of a core and an instance weigh alike.
        let mut norm = 0.0;
        for (((way, used), room), price) in ways.iter_mut().zip(&used).zip(&dense.rooms).zip(&prices) {
            for r in 0..3 {
                let share = (used[r] - room[r]) as f64 / room[r].max(1) as f64;
                way[r] = share + KEPT * way[r];
                if price[r] <= 0.0 && way[r] < 0.0 {
                    way[r] = 0.0;
                }
                norm += way[r] * way[r];
            }
        }
        if norm <= 0.0 {
            break;
        }
        let step = pace.length * (cost as f64 - value).max(1.0) / norm;
        for ((price, way), room) in prices.iter_mut().zip(&ways).zip(&dense.rooms) {
            for r in 0..3 {
                price[r] = (price[r] + step * way[r] / room[r].max(1) as f64).clamp(0.0, MOST_PRICE);
            }
        }
    }
    best
}

/// The best value of the second relaxation, from the rewards that prices give.
fn by_rewards(dense: &Dense, prices: &[[f64; 3]], cost: u64, rounds: u32) -> u64 {
    let mut rewards: Vec<f64> = dense
        .items
        .iter()
        .map(|item| {
            let places = item.options.iter().map(|(node, cost)| {
                let price =
                    prices[*node as usize].iter().zip(item.need).map(|(price, need)| price * need as f64);
                *cost as f64 + price.sum::<f64>()
            });
            places.fold(item.nowhere as f64, f64::min)
        })
        .collect();
    let mut best = rewards.clone();
    let mut ways = vec![0.0; rewards.len()];
    let mut most = 0;
    let mut pace = Pace::new(1.0);
    let mut at_node: Vec<Vec<(usize, u64)>> = vec![Vec::new(); dense.rooms.len()];
    for (index, item) in dense.items.iter().enumerate() {
        item.options.iter().for_each(|(node, cost)| at_node[*node as usize].push((index, *cost)));
    }
    for _ in 0..rounds {
        let (value, times) = pack(dense, &at_node, &rewards);
        most = most.max(u64::try_from(value).unwrap_or(0));
        match pace.see(value as f64) {
            Goes::Better => best.clone_from(&rewards),
            Goes::On => {}
            Goes::Back => {
                rewards.clone_from(&best);
                ways.fill(0.0);
                continue;
            }
            Goes::End => break,
        }
        for (way, times) in ways.iter_mut().zip(&times) {
            *way = f64::from(1 - times) + KEPT * *way;
        }
        let norm: f64 = ways.iter().map(|way| way * way).sum();
        if norm <= 0.0 {
            break;
        }
        let step = pace.length * (cost as f64 - value as f64).max(1.0) / norm;
        for ((reward, way), item) in rewards.iter_mut().zip(&ways).zip(&dense.items) {
            *reward = (*reward + step * way).clamp(0.0, item.nowhere as f64);
        }
    }
    most
}

/// The second relaxation's value in whole numbers, and how many times each item is somewhere.
fn pack(dense: &Dense, at_node: &[Vec<(usize, u64)>], rewards: &[f64]) -> (i64, Vec<i32>) {
    let rewards: Vec<i64> = rewards.iter().map(|reward| *reward as i64).collect();
    let mut value: i64 = rewards.iter().sum();
    let mut times = vec![0; rewards.len()];
    // A reward is never above what running nowhere costs: nowhere is worth nothing.
    let mut candidates = Vec::new();
    for (here, room) in at_node.iter().zip(&dense.rooms) {
        candidates.clear();
        candidates.extend(here.iter().filter_map(|(item, cost)| {
            let worth = rewards[*item] - i64::try_from(*cost).unwrap_or(i64::MAX);
            let weight = dense.items[*item].need[0];
            (worth > 0 && weight <= room[0]).then_some(Candidate {
                item: *item,
                value: worth,
                weight: weight.max(1),
            })
        }));
        let (worth, chosen) = most_valuable(&mut candidates, room[0].max(0), |one, other| {
            dense.items[one].apart.contains(&other)
        });
        value -= worth;
        chosen.into_iter().for_each(|item| times[item] += 1);
    }
    (value, times)
}

/// The relaxation's value, and what of each node is used in it.
fn relax(dense: &Dense, prices: &[[f64; 3]]) -> (f64, Vec<[i64; 3]>) {
    let mut used = vec![[0_i64; 3]; dense.rooms.len()];
    let mut value = 0.0;
    for item in &dense.items {
        let need = item.need.map(|need| need as f64);
        let (mut best, mut at) = (item.nowhere as f64, None);
        for (node, cost) in &item.cheapest {
            // Prices only add: what follows costs more.
            if *cost as f64 >= best {
                break;
            }
            let price = &prices[*node as usize];
            let sum = *cost as f64 + price[0] * need[0] + price[1] * need[1] + price[2] * need[2];
            if sum < best {
                (best, at) = (sum, Some(*node));
            }
        }
        value += best;
        if let Some(node) = at {
            for (used, need) in used[node as usize].iter_mut().zip(item.need) {
                *used += need;
            }
        }
    }
    for (price, room) in prices.iter().zip(&dense.rooms) {
        value -= price.iter().zip(room).map(|(price, room)| price * *room as f64).sum::<f64>();
    }
    (value, used)
}

/// The relaxation's value in whole numbers, rounded down.
fn exact(dense: &Dense, prices: &[[f64; 3]]) -> u64 {
    let prices: Vec<[i128; 3]> =
        prices.iter().map(|price| price.map(|price| (price * SCALE as f64) as i128)).collect();
    let mut value: i128 = 0;
    for item in &dense.items {
        let options = item.options.iter().map(|(node, cost)| {
            let price =
                prices[*node as usize].iter().zip(item.need).map(|(price, need)| price * i128::from(need));
            i128::from(*cost) * SCALE + price.sum::<i128>()
        });
        value += options.fold(i128::from(item.nowhere) * SCALE, i128::min);
    }
    for (price, room) in prices.iter().zip(&dense.rooms) {
        value -= price.iter().zip(room).map(|(price, room)| price * i128::from(*room)).sum::<i128>();
    }
    u64::try_from(value.max(0) / SCALE).unwrap_or(u64::MAX)
}
