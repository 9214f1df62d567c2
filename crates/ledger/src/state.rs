//! What all blocks so far came to, and what the next one may do.

use crate::{
    block::{Block, Header},
    draft::Draft,
    error::Error,
    genesis::{Genesis, Operators},
    keys::{AuthoritySet, Digest, Epoch, Height, PublicKey},
    registry::{Registry, RegistryProof},
    schedule::Schedule,
    sequence::Window,
    transaction::{Commitment, Transaction},
};
use commonware_cryptography::Digestible as _;
use std::{collections::BTreeMap, sync::Arc};
use voltmesh_telemetry::{
    BatchId, Timestamp,
    merkle::{Frontier, Inclusion, leaf_hash},
};

/// A batch that a block put into the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The batch. The same one may be in the log several times, if several fog nodes received it: each place is a
    /// proof of its own, the earliest says the most.
    pub batch: BatchId,
    /// Who anchored it.
    pub authority: PublicKey,
    /// Its place in the log at the size in the block's header; the leaf's index is `inclusion.index`.
    pub inclusion: Inclusion,
}

/// A block that was built, and what it leads to.
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

/// The ledger after some block: pure, deterministic, cheap to clone (large parts are shared).
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) chain: Digest,
    pub(crate) header: Header,
    pub(crate) block: Digest,
    pub(crate) registry: Registry,
    pub(crate) operators: Arc<Operators>,
    pub(crate) nonce: u64,
    pub(crate) schedule: Schedule,
    pub(crate) log: Frontier,
    pub(crate) records: u64,
    pub(crate) windows: Arc<BTreeMap<PublicKey, Window>>,
}

impl State {
    /// The state after block 0.
    pub fn new(genesis: &Genesis) -> Self {
        let block = genesis.block();
        Self {
            chain: genesis.digest(),
            header: block.header().clone(),
            block: block.digest(),
            registry: Registry::default(),
            operators: Arc::new(genesis.operators.clone()),
            nonce: 0,
            schedule: Schedule::new(genesis.authorities.clone()),
            log: Frontier::new(),
            records: 0,
            windows: Arc::default(),
            genesis: Arc::new(genesis.clone()),
        }
    }

    /// Where the chain began.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The chain's identity.
    pub fn chain(&self) -> Digest {
        self.chain
    }

    /// Height of the last block.
    pub fn height(&self) -> Height {
        self.header.height
    }

    /// Header of the last block.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Digest of the last block.
    pub fn block(&self) -> Digest {
        self.block
    }

    /// Epoch of the last block.
    pub fn epoch(&self) -> Epoch {
        self.header.epoch
    }

    /// Time of the last block.
    pub fn time(&self) -> Timestamp {
        self.header.time
    }

    /// Vehicles and other signers of batches.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The proof of a registry entry against the last header's root.
    pub fn prove(&self, commitment: &Commitment) -> Option<RegistryProof> {
        self.registry.prove(commitment)
    }

    /// Those who sign registry transactions.
    pub fn operators(&self) -> &Operators {
        &self.operators
    }

    /// The nonce of the next registry transaction.
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Batches in the log.
    pub fn log_size(&self) -> u64 {
        self.log.size()
    }

    /// Records in them, as their authorities say.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The sequence number that `authority` can surely use next: above all that were applied.
    pub fn next_sequence(&self, authority: &PublicKey) -> u64 {
        self.windows.get(authority).map_or(0, |window| window.end)
    }

    /// Whether an anchor of `authority` with this number was applied (or is too old to tell).
    pub fn is_applied(&self, authority: &PublicKey, sequence: u64) -> bool {
        self.windows.get(authority).is_some_and(|window| window.contains(sequence))
    }

    /// The authorities of an epoch, as far as this state knows them for certain: the epoch before the last block's,
    /// its own, the next one, and after an epoch's last block the next but one.
    pub fn authorities_for(&self, epoch: Epoch) -> Option<&Arc<AuthoritySet>> {
        let now = self.schedule.epoch.get();
        match epoch.get() {
            e if e.checked_add(1) == Some(now) => Some(&self.schedule.previous),
            e if e == now => Some(&self.schedule.current),
            e if e == now + 1 => Some(&self.schedule.next),
            e if e == now + 2 && self.genesis.ends_epoch(self.height()) => Some(&self.schedule.planned),
            _ => None,
        }
    }

    /// The authorities of the next-but-one epoch as planned so far; what headers name.
    pub fn planned_authorities(&self) -> &Arc<AuthoritySet> {
        &self.schedule.planned
    }

    /// Height and epoch of the next block.
    fn next(&self) -> (Height, Epoch) {
        let height = self.height().next();
        (height, self.genesis.epoch_of(height))
    }

    /// Checks a transaction against this state as if it were the next block's only one.
    pub fn check(&self, transaction: &Transaction) -> Result<(), Error> {
        let (height, epoch) = self.next();
        let mut draft = Draft::new(self, height, epoch);
        draft.add(transaction)?;
        if let Transaction::Anchor(anchor) = transaction
            && !anchor.verify(&self.chain)
        {
            return Err(Error::Signature { what: "anchor", by: anchor.authority.clone() });
        }
        Ok(())
    }

    /// Places of batches that follow this state's log, in the log that they lead to together. For blocks that are final
    /// only through a later one: the paths of all of them lead to that one's root.
    pub fn place(&self, anchored: impl IntoIterator<Item = (BatchId, PublicKey)>) -> Vec<LogEntry> {
        let anchored: Vec<_> = anchored.into_iter().collect();
        let leaves: Vec<_> = anchored.iter().map(|(batch, _)| leaf_hash(batch.as_bytes())).collect();
        let inclusions = self.log.clone().append(&leaves);
        anchored
            .into_iter()
            .zip(inclusions)
            .map(|((batch, authority), inclusion)| LogEntry { batch, authority, inclusion })
            .collect()
    }

    /// Builds the next block from those of `transactions` that are valid, in their order (registry transactions by
    /// nonce, before all others). Its time is `now`, or the last block's if that is later.
    pub fn build(&self, transactions: impl IntoIterator<Item = Transaction>, now: Timestamp) -> Built {
        let (height, epoch) = self.next();
        let mut offered: Vec<Transaction> = transactions.into_iter().collect();
        offered.sort_by_key(|tx| match tx {
            Transaction::Registry(tx) => (0, tx.nonce),
            Transaction::Anchor(_) => (1, 0),
        });
        let forged = crate::draft::forged_anchors(&offered, &self.chain);
        let mut draft = Draft::new(self, height, epoch);
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
        let time = now.max(self.time());
        let block = Block::new(state.commit(height, self.block, time, epoch), taken);
        state.header = block.header().clone();
        state.block = block.digest();
        Built { block, state, entries, rejected }
    }

    /// Executes the next block, proposed by anyone: checks everything.
    pub fn execute(&self, block: &Block) -> Result<(State, Vec<LogEntry>), Error> {
        if let Some(by) = crate::draft::first_forged(block.transactions(), &self.chain) {
            return Err(Error::Signature { what: "anchor", by });
        }
        self.apply(block)
    }

    /// Executes the next block after it became final: the authorities have checked the anchors' signatures, so this
    /// does not. For restarts and for those who catch up. Everything else is checked as always.
    pub fn execute_final(&self, block: &Block) -> Result<(State, Vec<LogEntry>), Error> {
        self.apply(block)
    }

    fn apply(&self, block: &Block) -> Result<(State, Vec<LogEntry>), Error> {
        let header = block.header();
        let (height, epoch) = self.next();
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
        let mut draft = Draft::new(self, height, epoch);
        block.transactions().iter().try_for_each(|transaction| draft.add(transaction))?;
        let (mut state, entries) = draft.finish();
        let mut expected = state.commit(height, self.block, header.time, epoch);
        // A block is only ever made with its own body's digest, see `Block::new` and its decoder.
        expected.body = header.body;
        if let Some(field) = first_difference(&expected, header) {
            return Err(Error::Commitment { field });
        }
        state.block = block.digest();
        state.header = expected;
        Ok((state, entries))
    }

    /// The header that this state's contents lead to, without the body.
    fn commit(&self, height: Height, parent: Digest, time: Timestamp, epoch: Epoch) -> Header {
        Header {
            height,
            parent,
            time,
            epoch,
            body: Block::body_digest(&[]),
            log_size: self.log.size(),
            log_root: self.log.root(),
            registry_root: self.registry.root(),
            authorities: self.schedule.planned.digest(),
        }
    }
}

fn first_difference(want: &Header, found: &Header) -> Option<&'static str> {
    [
        ("epoch", want.epoch == found.epoch),
        ("log_size", want.log_size == found.log_size),
        ("log_root", want.log_root == found.log_root),
        ("registry_root", want.registry_root == found.registry_root),
        ("authorities", want.authorities == found.authorities),
    ]
    .into_iter()
    .find_map(|(field, same)| (!same).then_some(field))
}
