//! What this node was asked to get into the ledger, until it is final.
//!
//! The pool drops a transaction as soon as the chain that counts holds it, so that it is neither mined nor spread
//! again; a reorganisation may undo that. What others were asked for is given back to the pool from the abandoned
//! blocks once; what this node was asked for, from here and until it is final.

use crate::common::mempool::SubmitError;
use std::collections::BTreeMap;
use voltmesh_ledger::{Digest, State, Transaction};

/// How many: 600 a second of them while seven blocks of a second are found. 4,096 × 16 KiB = 64 MiB at the very most.
const MAX_OFFERS: usize = 4_096;

/// Transactions that this node was asked for and that are not final yet.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    waiting: BTreeMap<Digest, Transaction>,
    /// Whether the pool had no room for one that was to be given back.
    pub refused: bool,
}

impl Offers {
    /// Refuses more than there is room for.
    pub fn room(&self) -> Result<(), SubmitError> {
        let waiting = self.waiting.len();
        if waiting >= MAX_OFFERS { Err(SubmitError::Full { waiting }) } else { Ok(()) }
    }

    pub fn add(&mut self, transaction: Transaction) {
        self.waiting.insert(transaction.digest(), transaction);
    }

    /// Drops what the newest final state holds, or another transaction in its place.
    pub fn settle(&mut self, finalized: &State) {
        self.waiting.retain(|_, transaction| !is_applied(transaction, finalized));
    }

    /// Drops one that no block can hold any more.
    pub fn forget(&mut self, transaction: &Transaction) {
        self.waiting.remove(&transaction.digest());
    }

    /// Those that the chain which ends in `head` does not hold.
    pub fn missing(&self, head: &State) -> Vec<Transaction> {
        self.waiting.values().filter(|transaction| !is_applied(transaction, head)).cloned().collect()
    }
}

/// Whether `state` holds this transaction, or another one in its place.
pub(crate) fn is_applied(transaction: &Transaction, state: &State) -> bool {
    match transaction {
        Transaction::Anchor(anchor) => state.is_applied(&anchor.authority, anchor.sequence),
        Transaction::Registry(registry) => registry.nonce < state.nonce(),
        Transaction::Events(list) => state.is_event_list_applied(&list.authority, list.lane, list.sequence),
        Transaction::Policy(policy) => !state.may_apply_policy(policy),
        // Of no use where nobody votes.
        Transaction::Evidence(_) | Transaction::RoundTrips(_) => true,
    }
}
