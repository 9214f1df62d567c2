//! Building the next block from transactions that are offered.

use crate::{
    block::{Block, justification::Justification, transaction::Transaction},
    committee::epoch_opening::EpochOpening,
    error::Error,
    state::{State, anchor_signatures::forged_anchors, draft::Draft, log::LogEntry},
};
use commonware_cryptography::Digestible as _;
use voltmesh_telemetry::Timestamp;

/// Block that was built, with the state after it.
#[derive(Debug)]
pub struct Built {
    /// The block.
    pub block: Block,
    /// The state after it.
    pub state: State,
    /// What it put into the log.
    pub entries: Vec<LogEntry>,
    /// What was left out, and why; offer it again only if [`Error::is_transient`].
    pub rejected: Vec<(Transaction, Error)>,
}

impl State {
    /// Checks a transaction against this state as if it were the next block's only one, and that block of the same time.
    pub fn check(&self, transaction: &Transaction) -> Result<(), Error> {
        self.check_at(transaction, self.time())
    }

    /// [`Self::check`] in a block of this time, or of the last block's if that is later.
    pub fn check_at(&self, transaction: &Transaction, time: Timestamp) -> Result<(), Error> {
        let mut draft = Draft::new(self, None, self.next_view(None), time.max(self.time()));
        draft.add(transaction)?;
        if let Transaction::Anchor(anchor) = transaction
            && !anchor.verify(&self.chain)
        {
            return Err(Error::Signature { what: "anchor", by: anchor.authority.clone() });
        }
        Ok(())
    }

    /// Whether `block`, a valid next one, could hold `transaction` besides what it holds.
    pub fn could_also_hold(&self, block: &Block, transaction: &Transaction) -> bool {
        let header = block.header();
        let mandate = block.mandate();
        if header.view < self.next_view(mandate) || (header.height, header.epoch) != self.next(mandate) {
            return false;
        }
        let mut draft = Draft::new(self, mandate, header.view, header.time);
        let embedded = block.justification().is_none_or(|votes| draft.justify(votes).is_ok());
        embedded
            && block.transactions().iter().all(|held| draft.add(held).is_ok())
            && draft.add(transaction).is_ok()
    }

    /// [`Self::build_in`] the next view, without votes for an ancestor.
    pub fn build(&self, transactions: impl IntoIterator<Item = Transaction>, now: Timestamp) -> Built {
        self.build_in(self.next_view(None), None, transactions, now)
    }

    /// Builds the next block from those of `transactions` that are valid, in their order (registry transactions by
    /// nonce, evidence, round trips and policies by number before all others). Its time is `now`, or the last block's if that is later. `votes` are left
    /// out if they may not be embedded; their signatures must have been checked.
    ///
    /// # Panics
    ///
    /// If `view` is not after that of the last block of the same epoch, or the block needs a mandate.
    pub fn build_in(
        &self,
        view: u64,
        votes: Option<Justification>,
        transactions: impl IntoIterator<Item = Transaction>,
        now: Timestamp,
    ) -> Built {
        self.build_opening(None, view, votes, transactions, now)
    }

    /// [`Self::build_in`] with what entitles the block to begin an epoch.
    ///
    /// # Panics
    ///
    /// If `view` is not after that of the last block of the same epoch, or [`Self::check_mandate`] fails.
    pub fn build_opening(
        &self,
        mandate: Option<EpochOpening>,
        view: u64,
        votes: Option<Justification>,
        transactions: impl IntoIterator<Item = Transaction>,
        now: Timestamp,
    ) -> Built {
        assert!(view >= self.next_view(mandate.as_ref()), "views go up");
        if let Err(why) = self.check_mandate(mandate.as_ref()) {
            panic!("nothing to build: {why}");
        }
        let (height, epoch) = self.next(mandate.as_ref());
        let mut offered: Vec<Transaction> = transactions.into_iter().collect();
        offered.sort_by_key(|tx| match tx {
            Transaction::Registry(tx) => (0, tx.nonce),
            Transaction::Evidence(_) => (1, 0),
            Transaction::RoundTrips(_) => (2, 0),
            Transaction::Policy(policy) => (3, policy.number),
            Transaction::Events(_) | Transaction::Anchor(_) => (4, 0),
        });
        let forged = forged_anchors(offered.iter(), &self.chain);
        let time = now.max(self.time());
        let mut draft = Draft::new(self, mandate.as_ref(), view, time);
        let votes = votes.filter(|votes| draft.justify(votes).is_ok());
        let (mut taken, mut rejected) = (Vec::new(), Vec::new());
        for (transaction, forged) in offered.into_iter().zip(forged) {
            match (forged, &transaction) {
                (true, Transaction::Anchor(anchor)) => {
                    let by = anchor.authority.clone();
                    rejected.push((transaction, Error::Signature { what: "anchor", by }));
                }
                _ => match draft.add(&transaction) {
                    Ok(()) => taken.push(transaction),
                    Err(why) => rejected.push((transaction, why)),
                },
            }
        }
        let (mut state, entries) = draft.finish();
        let header = state.commit(height, self.block, time, epoch, view);
        let block = Block::opening(header, mandate, votes, taken);
        state.header = block.header().clone();
        state.block = block.digest();
        Built { block, state, entries, rejected }
    }
}
