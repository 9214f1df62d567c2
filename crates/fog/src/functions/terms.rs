//! Terms of controllers: in which one orders are taken now, and orders that are ahead of this node's ledger.
//!
//! A lower term than the newest is over. Where the ledger admits controllers it gives the terms, so a higher one than the ledger's
//! is nobody's yet, or this node's ledger is behind: its orders wait here until the ledger has their term. Their controller is told
//! nothing meanwhile and repeats what is not confirmed.

use std::collections::VecDeque;

use voltmesh_control::Order;

/// Orders that are ahead of the ledger, at most: what a standby gives at once when it takes over. Beyond it the newest is left out.
const MAX_EARLY: usize = 1_024;

/// Bytes of them at most, as they came: eight of the largest.
const MAX_EARLY_BYTES: usize = 8 << 20;

/// An order as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// The session over which it came.
    pub link: usize,
    /// What is ordered.
    pub order: Order,
    /// Its bytes.
    pub size: usize,
}

/// What becomes of an order.
#[derive(Debug, Clone, PartialEq)]
pub enum Judged {
    /// It is carried out.
    Taken(Given),
    /// A later term has begun: refused for good.
    Over(Given),
    /// The ledger does not have its term: kept until it does.
    Early,
    /// The same, and no room is left: to be given again.
    Crowded,
}

/// Terms as this node knows them.
#[derive(Debug)]
pub struct Terms {
    newest: u32,
    /// The ledger's term where it admits controllers.
    ledger: Option<u32>,
    early: VecDeque<Given>,
    early_bytes: usize,
}

impl Terms {
    /// Terms after a restart: the newest in which orders were taken, and the ledger's where it admits controllers.
    pub fn new(newest: u32, ledger: Option<u32>) -> Self {
        let newest = newest.max(ledger.unwrap_or_default());
        Self { newest, ledger, early: VecDeque::new(), early_bytes: 0 }
    }

    /// The newest term: no order of a lower one is taken.
    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// Whether an order is carried out now.
    pub fn judge(&mut self, given: Given) -> Judged {
        let term = given.order.term;
        if term < self.newest {
            return Judged::Over(given);
        }
        if self.ledger.is_some_and(|ledger| term > ledger) {
            if self.early.len() >= MAX_EARLY || self.early_bytes + given.size > MAX_EARLY_BYTES {
                return Judged::Crowded;
            }
            self.early_bytes += given.size;
            self.early.push_back(given);
            return Judged::Early;
        }
        self.newest = term;
        Judged::Taken(given)
    }

    /// The ledger says that a term has begun; `ledger` is its term where it admits controllers. Returns the orders that do not wait
    /// for it any more, as they came: to be judged again.
    pub fn hear(&mut self, term: u32, ledger: Option<u32>) -> Vec<Given> {
        self.newest = self.newest.max(term);
        self.ledger = ledger;
        // A ledger that gives no terms any more says nothing of those that waited for one.
        let early = std::mem::take(&mut self.early).into_iter().filter(|_| ledger.is_some());
        let (due, early): (Vec<_>, Vec<_>) = early.partition(|one| ledger >= Some(one.order.term));
        self.early_bytes = early.iter().map(|one| one.size).sum();
        self.early = early.into();
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voltmesh_control::Work;

    fn given(term: u32, number: u64) -> Given {
        let work = Work::End { vehicle: "car".parse().unwrap(), function: "guard".into(), hand_over: false };
        Given { link: 0, order: Order { number, term, work }, size: 100 }
    }

    /// What becomes of an order of each of these terms.
    fn judged(terms: &mut Terms, orders: &[u32]) -> Vec<&'static str> {
        let judge = |term: &u32| match terms.judge(given(*term, 1)) {
            Judged::Taken(_) => "taken",
            Judged::Over(_) => "over",
            Judged::Early => "early",
            Judged::Crowded => "crowded",
        };
        orders.iter().map(judge).collect()
    }

    #[test]
    fn a_controller_without_a_ledger_counts_its_own_terms() {
        let mut terms = Terms::new(2, None);
        assert_eq!(judged(&mut terms, &[1, 2, 7, 3, 7]), ["over", "taken", "taken", "over", "taken"]);
        assert_eq!(terms.newest(), 7);
    }

    #[test]
    fn no_term_is_taken_that_the_ledger_does_not_have() {
        let mut terms = Terms::new(0, Some(3));
        assert_eq!(judged(&mut terms, &[2, 3, 4, u32::MAX]), ["over", "taken", "early", "early"]);
        assert_eq!(terms.newest(), 3, "what a controller claims ends nobody's term");
        let due = terms.hear(4, Some(4));
        assert_eq!(due, [given(4, 1)]);
        assert_eq!((terms.judge(given(4, 1)), terms.newest()), (Judged::Taken(given(4, 1)), 4));
        assert_eq!(terms.hear(4, None), [], "the last controller was removed");
        assert_eq!(judged(&mut terms, &[9]), ["taken"]);
        // Terms of a controller that had no ledger are higher than its first ones.
        let mut terms = Terms::new(7, Some(1));
        assert_eq!(judged(&mut terms, &[1, 7, 8]), ["over", "early", "early"]);
    }

    #[test]
    fn orders_ahead_of_the_ledger_are_bounded() {
        let mut terms = Terms::new(0, Some(1));
        let kept = (0..2 * MAX_EARLY as u64).filter(|n| terms.judge(given(2, *n)) == Judged::Early);
        assert_eq!(kept.count(), MAX_EARLY);
        assert_eq!((terms.hear(1, Some(1)).len(), terms.hear(2, Some(2)).len()), (0, MAX_EARLY));
        let large = |n| Given { size: 1 << 20, ..given(3, n) };
        let kept = (0..20).filter(|n| terms.judge(large(*n)) == Judged::Early);
        assert_eq!(kept.count(), MAX_EARLY_BYTES >> 20);
        assert_eq!(judged(&mut terms, &[3, 2]), ["crowded", "taken"]);
    }
}
