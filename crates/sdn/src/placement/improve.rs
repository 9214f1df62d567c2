//! Better placements in the background: a part is taken out and placed anew, and kept where that saves something.

use super::dense::Dense;
use super::greedy;
use super::problem::{Move, Placement, Problem};
use super::random::Random;
use super::search::{Moves, settle};
use super::state::State;

/// Items that are taken out at once: some two nodes' worth, so that places can be traded in a ring.
const OUT: usize = 14;

/// Random items of which the first that is not at its best node is taken.
const TRIES: u32 = 8;

/// Looks for better placements, a step at a time.
#[derive(Debug, Clone)]
pub struct Improver {
    problem: Problem,
    dense: Dense,
    best: State,
    random: Random,
}

impl Improver {
    /// Begins with what `place` finds.
    #[must_use]
    pub fn new(problem: Problem, seed: u64) -> Self {
        let dense = Dense::new(&problem);
        let mut best = State::new(&dense);
        greedy::fill(&dense, &mut best);
        let all: Vec<usize> = (0..dense.items.len()).collect();
        settle(&dense, &mut best, &all, Moves::Chains);
        Self { problem, dense, best, random: Random(seed) }
    }

    /// Takes so many steps, of some 100 µs each with 600 functions; returns whether anything was saved. The caller looks at its
    /// clock between calls.
    pub fn improve(&mut self, steps: u32) -> bool {
        let before = self.best.cost;
        for _ in 0..steps {
            if self.dense.items.is_empty() || self.dense.rooms.is_empty() {
                break;
            }
            self.step();
        }
        self.best.cost < before
    }

    /// Cost of the best placement so far.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.best.cost
    }

    /// The best placement so far.
    #[must_use]
    pub fn placement(&self) -> Placement {
        self.best.placement(&self.dense, &self.problem)
    }

    fn step(&mut self) {
        let out = self.choose();
        let mut state = self.best.clone();
        for item in &out {
            state.put(&self.dense, *item, None);
        }
        // In a random order, each to the cheapest node with room.
        let mut order = out.clone();
        for at in (1..order.len()).rev() {
            order.swap(at, self.random.below(at + 1));
        }
        for item in order {
            let options = &self.dense.items[item].cheapest;
            let free = options.iter().find(|(node, _)| state.fits(&self.dense, item, *node));
            if let Some((node, _)) = free {
                state.put(&self.dense, item, Some(*node));
            }
        }
        settle(&self.dense, &mut state, &out, Moves::Chains);
        if state.cost <= self.best.cost {
            self.best = state;
        }
    }

    /// An item that is not where it would like to be most, who is there, and who is where it is; random ones where there is
    /// no such item.
    fn choose(&mut self) -> Vec<usize> {
        let items = self.dense.items.len();
        let mut out = Vec::with_capacity(OUT);
        let mut first = self.random.below(items);
        for _ in 0..TRIES {
            let best = self.dense.items[first].cheapest.first().map(|(node, _)| *node);
            if best.is_some() && best != self.best.place[first] {
                break;
            }
            first = self.random.below(items);
        }
        out.push(first);
        let wishes = self.dense.items[first].cheapest.iter().take(3).map(|(node, _)| *node);
        for node in wishes.chain(self.best.place[first]) {
            out.extend(self.best.at[node as usize].iter().copied());
        }
        out.sort_unstable();
        out.dedup();
        while out.len() > OUT {
            let at = self.random.below(out.len());
            out.swap_remove(at);
        }
        out
    }
}

/// The moves of the best placement that is found while `goes_on` says so; asked after every few milliseconds.
pub fn better(problem: Problem, mut goes_on: impl FnMut() -> bool) -> Vec<Move> {
    /// Steps between two questions.
    const STEPS: u32 = 20;
    let mut improver = Improver::new(problem, 1);
    while goes_on() {
        improver.improve(STEPS);
    }
    improver.placement().moves
}
