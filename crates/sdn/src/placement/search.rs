//! Local search: moves, swaps and chains of moves, as long as one of them saves something.

use super::dense::Dense;
use super::state::State;
use std::collections::BTreeSet;

/// Which changes are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moves {
    /// An item moves to a node with room.
    Alone,
    /// It also takes the place of another, which moves in turn: to where it came from (a swap) or elsewhere, up to
    /// [`LONGEST`] moves.
    Chains,
}

/// Most moves of a chain: each one more costs some sixty times the time, and saves less.
const LONGEST: usize = 3;

/// Most looks at a node with room for an item, of one call: some 100 ms. What is found until then counts.
const MOST_LOOKS: u64 = 4_000_000;

/// Improves a placement by changes that begin with one of these items, until none saves anything.
pub(super) fn settle(dense: &Dense, state: &mut State, items: &[usize], moves: Moves) {
    let mut looks = MOST_LOOKS;
    // Short chains first: they are cheap and clear the way.
    let lengths = if moves == Moves::Alone { 1..=1 } else { 1..=LONGEST };
    for longest in lengths {
        let mut open: BTreeSet<usize> = items.iter().copied().collect();
        while let Some(item) = open.pop_first() {
            if looks == 0 {
                return;
            }
            let changed = improve(dense, state, item, longest, &mut looks);
            // Who is where something changed may find room now; the others have been looked at.
            for node in changed {
                let here = state.at[node as usize].iter().copied();
                open.extend(here.filter(|other| moves == Moves::Chains || items.contains(other)));
            }
        }
    }
}

/// Moves an item to a cheaper node, by a chain of so many moves at most. Returns the nodes that changed.
fn improve(dense: &Dense, state: &mut State, item: usize, longest: usize, looks: &mut u64) -> Vec<u32> {
    let here = dense.items[item].cost(state.place[item]);
    let mut chain = Vec::with_capacity(longest);
    for (node, cost) in &dense.items[item].cheapest {
        if *cost >= here {
            break;
        }
        let saves = here - cost;
        if push(dense, state, item, *node, saves, longest, &mut chain, looks) {
            break;
        }
    }
    chain
}

/// Puts an item at a node, and whoever must make room for it elsewhere for less than `saves` more. The nodes that changed are
/// appended to `chain`; on false nothing has changed.
#[allow(clippy::too_many_arguments, reason = "one recursive step, with what it may spend")]
fn push(
    dense: &Dense,
    state: &mut State,
    item: usize,
    node: u32,
    saves: u64,
    longest: usize,
    chain: &mut Vec<u32>,
    looks: &mut u64,
) -> bool {
    *looks = looks.saturating_sub(1);
    let from = state.place[item];
    if state.fits(dense, item, node) {
        state.put(dense, item, Some(node));
        chain.extend(from.into_iter().chain([node]));
        return true;
    }
    if longest <= 1 || *looks == 0 {
        return false;
    }
    // The one whose making room costs least comes first.
    let mut others: Vec<(u64, usize)> = Vec::new();
    for other in state.at[node as usize].iter().copied() {
        if !state.fits_without(dense, item, node, other) {
            continue;
        }
        let stays = dense.items[other].cost(Some(node));
        let next = dense.items[other].cheapest.iter().find(|(to, _)| *to != node);
        let costs = next.map_or(dense.items[other].nowhere, |(_, cost)| *cost).saturating_sub(stays);
        if costs < saves {
            others.push((costs, other));
        }
    }
    others.sort_unstable();
    for (_, other) in others {
        let stays = dense.items[other].cost(Some(node));
        state.put(dense, other, None);
        state.put(dense, item, Some(node));
        for (to, cost) in &dense.items[other].cheapest {
            let costs = cost.saturating_sub(stays);
            if costs >= saves {
                break;
            }
            // What a cheaper place saves in turn may be spent on.
            let left = saves - costs + stays.saturating_sub(*cost);
            if *to != node && push(dense, state, other, *to, left, longest - 1, chain, looks) {
                chain.extend(from.into_iter().chain([node]));
                return true;
            }
        }
        let nowhere = dense.items[other].nowhere.saturating_sub(stays);
        if nowhere < saves {
            chain.extend(from.into_iter().chain([node]));
            return true;
        }
        state.put(dense, item, from);
        state.put(dense, other, Some(node));
    }
    false
}
