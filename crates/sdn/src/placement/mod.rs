//! Placement: on which fog node each function runs.
//!
//! [`place`] is what the controller does at once: what runs stays, the rest goes greedily to the cheapest node with room, then
//! moves, swaps and chains of moves as long as they save something. [`repair`] only places what has no living node. [`Improver`]
//! looks for better in the background, in steps of the caller's choice ([`better`] takes all of them). [`lower_bound`] proves how far from the optimum a
//! placement can be at most. Same problem and seed, same placement.

mod bound;
mod cost;
mod dense;
mod greedy;
mod improve;
mod knapsack;
mod problem;
mod programme;
mod random;
mod search;
mod state;
mod synthetic;

pub use bound::lower_bound;
pub use cost::{MOST_US, NOWHERE_US, Weights};
pub use improve::{Improver, better};
pub use problem::{Item, Key, Move, Node, Placement, Problem, Reach, WhyNowhere};
pub use programme::programme;
pub use synthetic::{Synthetic, crowded};

use dense::Dense;
use state::State;

/// A placement by greedy choice alone, of everything that runs nowhere: what is measured against.
#[must_use]
pub fn greedy(problem: &Problem) -> Placement {
    let dense = Dense::new(problem);
    let mut state = State::new(&dense);
    greedy::fill(&dense, &mut state);
    state.placement(&dense, problem)
}

/// A placement in which all that runs on a living node stays there, and only the rest is placed: after a node has died.
#[must_use]
pub fn repair(problem: &Problem) -> Placement {
    let dense = Dense::new(problem);
    let mut state = State::new(&dense);
    greedy::fill(&dense, &mut state);
    let lost: Vec<usize> = (0..dense.items.len()).filter(|item| dense.items[*item].at.is_none()).collect();
    search::settle(&dense, &mut state, &lost, search::Moves::Alone);
    state.placement(&dense, problem)
}

/// A placement in which functions move where that saves more than it costs.
#[must_use]
pub fn place(problem: &Problem) -> Placement {
    let dense = Dense::new(problem);
    let mut state = State::new(&dense);
    greedy::fill(&dense, &mut state);
    let all: Vec<usize> = (0..dense.items.len()).collect();
    search::settle(&dense, &mut state, &all, search::Moves::Chains);
    state.placement(&dense, problem)
}

#[cfg(test)]
mod tests;
