//! Numbers of orders and epochs of leases: reserved on disk before they are used, so that none comes twice.

use super::Controller;
use super::state::Change;
use super::vocabulary::Output;

/// Numbers that are reserved at once: one write for a thousand orders; a restart skips what is left of them.
const STRIDE: u64 = 1_000;

impl Controller {
    /// The next order's number.
    pub(super) fn order_number(&mut self, out: &mut Vec<Output>) -> u64 {
        // From 1: a fog node that has seen none has seen 0.
        let number = self.next_order.max(1);
        self.next_order = number + 1;
        self.reserve(out);
        number
    }

    /// The next lease's epoch under a term.
    pub(super) fn epoch(&mut self, term: u32, out: &mut Vec<Output>) -> (u32, u32) {
        let count = self.next_lease;
        // 4e9 leases within a term: at 1,000 a second 50 days; a restart with a new term begins anew.
        assert!(count < u32::MAX, "all epochs of a term are used: start the controller again for a new term");
        self.next_lease = count + 1;
        self.reserve(out);
        (term, count)
    }

    /// A fog node runs something under an epoch that this controller does not remember, after the loss of its disk: the next one
    /// is higher.
    pub(super) fn skip_past(&mut self, epoch: (u32, u32), out: &mut Vec<Output>) {
        if self.term == Some(epoch.0) && epoch.1 >= self.next_lease {
            self.next_lease = epoch.1.saturating_add(1);
            self.reserve(out);
        }
    }

    fn reserve(&mut self, out: &mut Vec<Output>) {
        let (orders, leases) = (self.next_order, self.next_lease);
        if orders > self.kept.orders || leases > self.kept.leases {
            let change = Change::Numbers {
                orders: orders.max(self.kept.orders).saturating_add(STRIDE),
                leases: leases.max(self.kept.leases).saturating_add(STRIDE as u32),
            };
            self.change(change, out);
        }
    }
}
