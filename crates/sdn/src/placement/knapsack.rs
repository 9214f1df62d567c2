//! The most valuable part of a node's candidates that has room, exactly.

/// Looks of one search at most; beyond, the bound that it has counts.
const MOST_LOOKS: u32 = 50_000;

/// What could be at a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub item: usize,
    /// What having it is worth, above 0.
    pub value: i64,
    /// What it takes, above 0.
    pub weight: i64,
}

/// Depth-first search with the fractional bound (Dantzig 1957), candidates by value for weight.
struct Search<'a, F> {
    candidates: &'a [Candidate],
    /// Whether two items may not be together.
    apart: F,
    chosen: Vec<usize>,
    best: Vec<usize>,
    best_value: i64,
    looks: u32,
}

/// A value that no part with room exceeds in which no two are that may not be together, and a part that has it where the search came to its end. Sorts the candidates.
pub(super) fn most_valuable(
    candidates: &mut [Candidate],
    room: i64,
    apart: impl Fn(usize, usize) -> bool,
) -> (i64, Vec<usize>) {
    candidates.sort_unstable_by(|a, b| {
        let (left, right) =
            (i128::from(a.value) * i128::from(b.weight), i128::from(b.value) * i128::from(a.weight));
        right.cmp(&left).then(a.item.cmp(&b.item))
    });
    let mut search =
        Search { candidates, apart, chosen: Vec::new(), best: Vec::new(), best_value: 0, looks: 0 };
    let bound = search.fraction(0, room);
    search.look(0, room, 0);
    let value = if search.looks < MOST_LOOKS { search.best_value } else { bound };
    (value, search.best.iter().map(|at| candidates[*at].item).collect())
}

impl<F: Fn(usize, usize) -> bool> Search<'_, F> {
    /// A value that those from `from` on do not exceed within the room.
    fn fraction(&self, from: usize, mut room: i64) -> i64 {
        let mut value = 0;
        for one in &self.candidates[from..] {
            if one.weight > room {
                // Rounded up: never less than the fraction.
                let part = i128::from(one.value) * i128::from(room) / i128::from(one.weight);
                return value + part as i64 + 1;
            }
            room -= one.weight;
            value += one.value;
        }
        value
    }

    fn look(&mut self, from: usize, room: i64, value: i64) {
        self.looks += 1;
        if value > self.best_value {
            self.best_value = value;
            self.best.clone_from(&self.chosen);
        }
        let ends = from >= self.candidates.len() || self.looks >= MOST_LOOKS;
        if ends || value + self.fraction(from, room) <= self.best_value {
            return;
        }
        let one = self.candidates[from];
        let alone = |at: &usize| !(self.apart)(self.candidates[*at].item, one.item);
        if one.weight <= room && self.chosen.iter().all(alone) {
            self.chosen.push(from);
            self.look(from + 1, room - one.weight, value + one.value);
            self.chosen.pop();
        }
        self.look(from + 1, room, value);
    }
}
