//! Executing the next block, whoever built it.

use crate::{
    block::{Block, header::Header},
    error::Error,
    state::{State, anchor_signatures::first_forged, draft::Draft, log::LogEntry},
};
use commonware_cryptography::Digestible as _;

/// Marks of those signatures of a block that were checked before, one by one.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Those of the votes that it embeds.
    pub votes: bool,
    /// Those of its anchors, by place among the transactions. What is beyond the end was not checked.
    pub anchors: Vec<bool>,
}

impl State {
    /// Executes the next block, proposed by anyone: checks everything.
    pub fn execute(&self, block: &Block) -> Result<(State, Vec<LogEntry>), Error> {
        self.execute_rest(block, &Checked::default())
    }

    /// [`Self::execute`], except that signatures that were checked before are not checked again.
    pub fn execute_rest(&self, block: &Block, checked: &Checked) -> Result<(State, Vec<LogEntry>), Error> {
        if let Some(votes) = block.justification()
            && !checked.votes
            && !self.verify_votes(votes)
        {
            return Err(Error::Justification { block: votes.block(), why: "signatures do not verify" });
        }
        if let Some(by) = first_forged(block.transactions(), &self.chain, &checked.anchors) {
            return Err(Error::Signature { what: "anchor", by });
        }
        self.apply(block)
    }

    /// Executes the next block after it became final: the authorities have checked the anchors' signatures, so this
    /// does not. For restarts and for those who catch up. Everything else is checked as always, seals included.
    pub fn execute_final(&self, block: &Block) -> Result<(State, Vec<LogEntry>), Error> {
        self.apply(block)
    }

    fn apply(&self, block: &Block) -> Result<(State, Vec<LogEntry>), Error> {
        let (header, mandate) = (block.header(), block.mandate());
        let (height, epoch) = self.next(mandate);
        if header.height != height || header.parent != self.block {
            return Err(Error::NotNext {
                found: header.height,
                parent: header.parent,
                height: self.height(),
                block: self.block,
            });
        }
        if header.time < self.time() {
            return Err(Error::TimeBackwards { found: header.time, parent: self.time() });
        }
        let next_view = self.next_view(mandate);
        if header.view < next_view {
            return Err(Error::View { found: header.view, parent: next_view - 1 });
        }
        self.check_mandate(mandate)?;
        let mut draft = Draft::new(self, mandate, header.view, header.time);
        if let Some(votes) = block.justification() {
            draft.justify(votes)?;
        }
        block.transactions().iter().try_for_each(|transaction| draft.add(transaction))?;
        let (mut state, entries) = draft.finish();
        let mut expected = state.commit(height, self.block, header.time, epoch, header.view);
        // A block is only ever made with its own body's digest, see `Block::new` and its decoder.
        expected.body = header.body;
        if let Some(field) = first_difference(&expected, header) {
            return Err(Error::Commitment { field });
        }
        state.block = block.digest();
        state.header = expected;
        Ok((state, entries))
    }
}

fn first_difference(want: &Header, found: &Header) -> Option<&'static str> {
    [
        ("epoch", want.epoch == found.epoch),
        ("log_size", want.log_size == found.log_size),
        ("log_root", want.log_root == found.log_root),
        ("registry_root", want.registry_root == found.registry_root),
        ("authorities", want.authorities == found.authorities),
        ("election", want.election == found.election),
    ]
    .into_iter()
    .find_map(|(field, same)| (!same).then_some(field))
}
