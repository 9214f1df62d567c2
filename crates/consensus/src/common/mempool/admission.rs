//! Admission to the mempool: what no later block can hold is refused, and what no block can hold any more goes.

use crate::PublicKey;
use voltmesh_ledger::{Error, State, Timestamp, Transaction};

/// Registry transactions that wait, of any operator. 64 × 24 KiB = 1.5 MiB.
pub const MAX_REGISTRY: usize = 64;

/// Reason why a transaction is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// Too many wait already. Try again when some are final.
    #[error("{waiting} transactions of this origin wait already")]
    Full {
        /// How many wait.
        waiting: usize,
    },
    /// It can never be in a block after the final state. Do not try again.
    #[error("the ledger would refuse it")]
    Invalid(#[source] Box<Error>),
    /// Another anchor or event list of the same authority with the same sequence number waits. Number it anew.
    #[error("another transaction with number {sequence} of this authority waits already")]
    Conflict {
        /// The number.
        sequence: u64,
    },
}

impl From<Error> for SubmitError {
    fn from(error: Error) -> Self {
        Self::Invalid(Box::new(error))
    }
}

/// Refuses what no block after `state` can hold that is made at `now_ms` or later.
pub(super) fn check(transaction: &Transaction, state: &State, now_ms: u64) -> Result<(), SubmitError> {
    match transaction {
        Transaction::Anchor(anchor) => {
            let authority = anchor.authority.clone();
            if !serves(state, &authority) {
                return Err(Error::NotAuthority(authority).into());
            }
            if state.is_applied(&authority, anchor.sequence) {
                return Err(Error::Replayed {
                    authority,
                    sequence: anchor.sequence,
                    window: voltmesh_ledger::SEQUENCE_WINDOW,
                }
                .into());
            }
            if !anchor.verify(&state.chain()) {
                return Err(Error::Signature { what: "anchor", by: authority }.into());
            }
        }
        Transaction::Registry(registry) => {
            if registry.chain != state.chain() {
                return Err(Error::Chain { found: registry.chain, want: state.chain() }.into());
            }
            // Those that come before it may wait beside it, but not more than have room.
            let ahead = registry.nonce.checked_sub(state.nonce());
            if ahead.is_none_or(|ahead| ahead >= MAX_REGISTRY as u64) {
                return Err(Error::Nonce { found: registry.nonce, want: state.nonce() }.into());
            }
            registry.verify(state.operators().keys(), state.operators().threshold())?;
            if ahead == Some(0) {
                // Its turn is now, so all of it is checked.
                state.check(transaction)?;
            }
        }
        Transaction::Evidence(_) | Transaction::RoundTrips(_) => state.check(transaction)?,
        Transaction::Events(list) => {
            let authority = list.authority.clone();
            if !serves(state, &authority) {
                return Err(Error::NotAuthority(authority).into());
            }
            // Of one that serves later all is checked but its number and signature, which a block checks again.
            match state.check(transaction) {
                Err(Error::NotAuthority(_)) if !list.verify(&state.chain()) => {
                    return Err(Error::Signature { what: "event list", by: authority }.into());
                }
                Err(Error::NotAuthority(_)) | Ok(()) => {}
                Err(why) => return Err(why.into()),
            }
        }
        // While no block is made the state's time stands still, and tenures end by the blocks' time.
        Transaction::Policy(policy) => {
            let now = Timestamp::from_millis(now_ms);
            match state.check_at(transaction, now) {
                // Another of its controller, which waits here, may have to come first, and the cap ends with the epoch.
                Err(Error::Quota(_)) if policy.verify(&state.chain()) => {}
                result => result?,
            }
        }
    }
    Ok(())
}

/// Whether a block after `state` may hold it, signatures aside.
pub(super) fn may_apply(transaction: &Transaction, state: &State) -> bool {
    match transaction {
        Transaction::Anchor(anchor) => {
            serves(state, &anchor.authority) && !state.is_applied(&anchor.authority, anchor.sequence)
        }
        // Decisions before it may have made it impossible.
        Transaction::Registry(registry) if registry.nonce == state.nonce() => {
            state.check(transaction).is_ok()
        }
        Transaction::Registry(registry) => registry.nonce > state.nonce(),
        Transaction::Evidence(evidence) => {
            let roster = state.roster_for(evidence.epoch());
            let accused = roster.and_then(|roster| evidence.accused(&roster.voters));
            accused.is_some_and(|key| !state.convicted().contains_key(key) && state.admitted().contains(key))
        }
        Transaction::Events(list) => {
            serves(state, &list.authority)
                && !state.is_event_list_applied(&list.authority, list.lane, list.sequence)
        }
        Transaction::Policy(policy) => state.may_apply_policy(policy),
        Transaction::RoundTrips(report) => {
            let epoch = state.next_epoch();
            report.epoch == epoch && (epoch != state.epoch() || !state.has_reported(&report.authority))
        }
    }
}

/// Whether `key` is an authority now, in the next epoch or in the one after.
fn serves(state: &State, key: &PublicKey) -> bool {
    let epoch = state.epoch();
    [state.authorities_for(epoch), state.authorities_for(epoch.next())]
        .into_iter()
        .flatten()
        .chain([state.planned_authorities()])
        .any(|set| set.contains(key))
}
