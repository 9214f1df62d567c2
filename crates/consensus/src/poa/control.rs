//! What fog nodes and controllers ask of the ledger: events onto it, who commands, which functions may run.

use crate::{
    common::mempool::SubmitError,
    poa::{handle::Handle, subscription::Finalized},
};
use voltmesh_ledger::{
    Controller, Digest, EventList, Hash, Height, Lane, Policy, PrivateKey, PublicKey, Release, SaltedDigest,
    Term, Transaction,
};

impl Handle {
    /// Signs an event list and gets it into the ledger like [`Self::submit`]. Returns the list: it is final once
    /// [`Finalized::event_lists`] names it, and `Act::of_events` of it is the act of its evidence. Whoever submits keeps
    /// `sequence` with the events and repeats both unchanged after a restart, so that no event is on the ledger twice.
    pub fn submit_events(
        &self,
        key: &PrivateKey,
        lane: Lane,
        sequence: u64,
        events: Vec<SaltedDigest>,
    ) -> Result<EventList, SubmitError> {
        let list = EventList::sign(&self.shared.core.chain_id, key, lane, sequence, events);
        self.submit(Transaction::Events(list.clone()))?;
        Ok(list)
    }

    /// The number that `authority` can surely use for an event list of this lane if none of its own is on its way.
    pub fn next_event_sequence(&self, authority: &PublicKey, lane: Lane) -> u64 {
        self.state().next_event_sequence(authority, lane)
    }

    /// Gets a controller's policy transaction into the ledger like [`Self::submit`]. Returns its name, for
    /// [`Self::included`].
    pub fn submit_policy(&self, policy: Policy) -> Result<Digest, SubmitError> {
        let transaction = Transaction::Policy(policy);
        let digest = transaction.digest();
        self.submit(transaction)?;
        Ok(digest)
    }

    /// Waits for the final block at `from` or later that holds the transaction of this name. `None` if the node ends before.
    /// One that the ledger refuses meanwhile never comes: whoever calls bounds the wait.
    pub async fn included(&self, transaction: &Digest, from: Height) -> Option<Finalized> {
        let mut finals = self.subscribe(from);
        loop {
            let finalized = finals.next().await?;
            if finalized.block.transactions().iter().any(|held| held.digest() == *transaction) {
                return Some(finalized);
            }
        }
    }

    /// Controllers that were ever admitted, as of the newest final block.
    pub fn controllers(&self) -> Vec<Controller> {
        self.state().controllers().cloned().collect()
    }

    /// Who commands, as of the newest final block.
    pub fn term(&self) -> Term {
        self.state().term().clone()
    }

    /// The release of a function, withdrawn or not, as of the newest final block.
    pub fn release(&self, component: &Hash) -> Option<Release> {
        self.state().release(component).cloned()
    }
}
