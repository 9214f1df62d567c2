//! A placement while it is searched: who is where, and what is free.

use super::dense::{Dense, Room};
use super::problem::{Move, Placement, Problem};

/// Who is where.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// Node of each item.
    pub place: Vec<Option<u32>>,
    /// Items of each node, in no order.
    pub at: Vec<Vec<usize>>,
    free: Vec<Room>,
    pub cost: u64,
}

impl State {
    /// Everything where it runs now, as far as there is room: the most costly to have nowhere first. The rest nowhere.
    pub fn new(dense: &Dense) -> Self {
        let mut state = Self {
            place: vec![None; dense.items.len()],
            at: vec![Vec::new(); dense.rooms.len()],
            free: dense.rooms.clone(),
            cost: dense.items.iter().map(|item| item.nowhere).sum(),
        };
        let mut order: Vec<usize> = (0..dense.items.len()).collect();
        order.sort_by_key(|item| (std::cmp::Reverse(dense.items[*item].nowhere), *item));
        for item in order {
            if let Some(node) = dense.items[item].at.filter(|node| state.fits(dense, item, *node)) {
                state.put(dense, item, Some(node));
            }
        }
        state
    }

    /// Whether a node has room for an item that is not there.
    pub fn fits(&self, dense: &Dense, item: usize, node: u32) -> bool {
        let (free, need) = (&self.free[node as usize], &dense.items[item].need);
        free.iter().zip(need).all(|(free, need)| need <= free)
            && dense.items[item].apart.iter().all(|other| self.place[*other] != Some(node))
    }

    /// Whether it would, were another item gone from there.
    pub fn fits_without(&self, dense: &Dense, item: usize, node: u32, gone: usize) -> bool {
        let (free, need) = (&self.free[node as usize], &dense.items[item].need);
        let freed = &dense.items[gone].need;
        free.iter().zip(freed).zip(need).all(|((free, freed), need)| need <= &(free + freed))
            && dense.items[item].apart.iter().all(|other| *other == gone || self.place[*other] != Some(node))
    }

    /// Puts an item somewhere. Whether it fits was asked before.
    pub fn put(&mut self, dense: &Dense, item: usize, node: Option<u32>) {
        let old = std::mem::replace(&mut self.place[item], node);
        let one = &dense.items[item];
        if let Some(old) = old {
            for (free, need) in self.free[old as usize].iter_mut().zip(&one.need) {
                *free += need;
            }
            self.at[old as usize].retain(|other| *other != item);
        }
        if let Some(node) = node {
            for (free, need) in self.free[node as usize].iter_mut().zip(&one.need) {
                *free -= need;
            }
            self.at[node as usize].push(item);
        }
        self.cost = self.cost - one.cost(old) + one.cost(node);
    }

    /// The placement by names.
    pub fn placement(&self, dense: &Dense, problem: &Problem) -> Placement {
        let name = |node: u32| problem.nodes[node as usize].name.clone();
        let mut order: Vec<usize> = (0..problem.items.len()).collect();
        order.sort_by_key(|item| &problem.items[*item].key);
        let mut placement = Placement { cost: self.cost, ..Placement::default() };
        for index in order {
            let (item, place) = (&problem.items[index], self.place[index].map(name));
            let wished = dense.items[index].cheapest.first();
            placement.is_crowded |= wished.is_some_and(|(node, _)| self.place[index] != Some(*node));
            match &place {
                Some(node) => {
                    let cost = dense.items[index].cost(self.place[index]);
                    placement.places.push((item.key.clone(), node.clone(), cost));
                }
                None => placement.nowhere.push((item.key.clone(), dense.items[index].why)),
            }
            if item.at != place {
                placement.moves.push(Move { key: item.key.clone(), from: item.at.clone(), to: place });
            }
        }
        placement
    }
}
