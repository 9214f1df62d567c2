//! Greedy choice: whoever loses most by not having the best node chooses first.

use super::dense::Dense;
use super::state::State;
use std::cmp::Reverse;

/// Gives each item that is nowhere the cheapest node with room: the most costly to have nowhere first, then by what the
/// second-best node costs more than the best.
pub(super) fn fill(dense: &Dense, state: &mut State) {
    let mut order: Vec<usize> = (0..dense.items.len()).filter(|item| state.place[*item].is_none()).collect();
    order.sort_by_cached_key(|index| {
        let item = &dense.items[*index];
        let best = item.cheapest.first().map_or(item.nowhere, |(_, cost)| *cost);
        let second = item.cheapest.get(1).map_or(item.nowhere, |(_, cost)| *cost);
        (Reverse(item.nowhere), Reverse(second - best), *index)
    });
    for index in order {
        let options = &dense.items[index].cheapest;
        if let Some((node, _)) = options.iter().find(|(node, _)| state.fits(dense, index, *node)) {
            state.put(dense, index, Some(*node));
        }
    }
}
