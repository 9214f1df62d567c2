//! What all blocks so far came to, and what the next one may do.

use crate::{
    block::{Block, Header},
    calendar::{Calendar, MAX_CUTS},
    decree::{Decree, MAX_EPOCHS_SKIPPED, Replacement},
    draft::Draft,
    election::{Ancestor, Election, Quarantine, Roster, Standing},
    error::Error,
    genesis::{Genesis, Operators},
    justification::Justification,
    keys::{AuthoritySet, Digest, Epoch, Height, PublicKey},
    mandate::Mandate,
    registry::{Registry, RegistryProof},
    schedule::Schedule,
    sequence::Window,
    transaction::{Commitment, Transaction},
};
use commonware_cryptography::Digestible as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
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

/// Which signatures of a block were checked before, one by one.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Those of the votes that it embeds.
    pub votes: bool,
    /// Those of its anchors, by place among the transactions. What is beyond the end was not checked.
    pub anchors: Vec<bool>,
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
    pub(crate) calendar: Calendar,
    pub(crate) election: Election,
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
            calendar: Calendar::new(genesis.epoch_length),
            schedule: Schedule::new(Arc::new(genesis.authorities.clone()), genesis.roster()),
            election: Election::new(&genesis.authorities),
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

    /// Who serves in an epoch, as far as this state knows it for certain: the epoch before the last block's, its own,
    /// the next one, and after an epoch's last block the next but one.
    pub fn roster_for(&self, epoch: Epoch) -> Option<&Arc<Roster>> {
        let planned = epoch.get() == self.schedule.epoch.get() + 2 && self.calendar.ends_epoch(self.height());
        self.schedule.roster(epoch).or_else(|| planned.then_some(&self.schedule.planned))
    }

    /// The authorities of an epoch that [`Self::roster_for`] knows.
    pub fn authorities_for(&self, epoch: Epoch) -> Option<&Arc<AuthoritySet>> {
        self.roster_for(epoch).map(|roster| &roster.authorities)
    }

    /// Who serves in the next-but-one epoch as planned so far; what headers name.
    pub fn planned(&self) -> &Arc<Roster> {
        &self.schedule.planned
    }

    /// The authorities of the next-but-one epoch as planned so far.
    pub fn planned_authorities(&self) -> &Arc<AuthoritySet> {
        &self.schedule.planned.authorities
    }

    /// Whom the operators have admitted, in quarantine or not.
    pub fn admitted(&self) -> &Arc<AuthoritySet> {
        &self.schedule.admitted
    }

    /// Keys that were admitted once and are not any more.
    pub fn retired(&self) -> &BTreeSet<PublicKey> {
        &self.schedule.retired
    }

    /// Of [`Self::retired`], those that were rotated, and the keys that took their places.
    pub fn successors(&self) -> &BTreeMap<PublicKey, PublicKey> {
        &self.schedule.successors
    }

    /// What blocks so far say of an admitted authority. `None` of one that no block has told of yet.
    pub fn standing(&self, key: &PublicKey) -> Option<&Standing> {
        self.election.standing(key)
    }

    /// Certificates that blocks of this epoch have embedded.
    pub fn certificates(&self) -> u32 {
        self.election.certificates()
    }

    /// Authorities convicted by evidence and not pardoned.
    pub fn convicted(&self) -> &BTreeMap<PublicKey, Quarantine> {
        self.election.convicted()
    }

    /// Those of them that will not serve in the next-but-one epoch: at most f, the others wait for a place.
    pub fn quarantined(&self) -> Vec<PublicKey> {
        self.election.quarantined(&self.schedule.admitted)
    }

    /// Whether `authority` has reported its round trips in this epoch.
    pub fn has_reported(&self, authority: &PublicKey) -> bool {
        self.election.has_reported(authority)
    }

    /// Blocks that the next one may embed votes for, the last block first.
    pub fn ancestors(&self) -> impl Iterator<Item = Digest> {
        let older = self.election.ancestors().iter().rev().map(|ancestor: &Ancestor| ancestor.block);
        std::iter::once(self.block).chain(older)
    }

    /// Whether the votes that a next block embeds are those of their epoch's voters.
    pub fn verify_votes(&self, votes: &Justification) -> bool {
        let roster = self.schedule.roster(votes.epoch());
        roster.is_some_and(|roster| votes.verify(&self.chain, &roster.voters))
    }

    /// Plans `epoch`, if the plan may have changed or is `settled` now.
    pub(crate) fn plan(&mut self, epoch: Epoch, settled: bool) {
        let Schedule { admitted, planned, .. } = &self.schedule;
        let out = self.election.quarantined(admitted);
        let same = planned.authorities.keys().eq(admitted.keys().filter(|key| !out.contains(key)));
        if settled || !same {
            let incumbents = &self.schedule.current.voters;
            self.schedule.planned = Arc::new(self.election.plan(admitted, epoch, incumbents, &self.genesis));
        }
    }

    /// Height and epoch of the next block, if it embeds this.
    pub(crate) fn next(&self, mandate: Option<&Mandate>) -> (Height, Epoch) {
        let decreed = mandate.and_then(Mandate::decree).map(|decree| decree.epoch);
        (self.height().next(), decreed.unwrap_or_else(|| self.next_epoch()))
    }

    /// The epoch of the next block, unless a decree begins another one.
    pub fn next_epoch(&self) -> Epoch {
        self.calendar.epoch_of(self.height().next())
    }

    /// Which heights belong to which epoch, as far as decrees in the chain tell.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// Whether the next block must embed a [`Mandate`]: it begins an epoch in a chain with a committee.
    pub fn needs_mandate(&self) -> bool {
        self.genesis.has_committee() && self.begins_epoch()
    }

    /// Whether the next block is the first of an epoch.
    pub fn begins_epoch(&self) -> bool {
        self.next_epoch() != self.epoch()
    }

    /// Checks what the next block embeds against that.
    pub fn check_mandate(&self, mandate: Option<&Mandate>) -> Result<(), Error> {
        let height = self.height().next();
        let fails = |why| Err(Error::Mandate { height, why });
        match mandate {
            Some(Mandate::Decree(replacement)) => self.check_replacement(replacement),
            None if self.needs_mandate() => fails("it begins an epoch, but the block before is not sealed"),
            None => Ok(()),
            Some(_) if !self.needs_mandate() => fails("it does not begin a committee's epoch"),
            Some(Mandate::Seal(seal)) => {
                seal.verify(&self.chain, &self.schedule.current.authorities, &self.header)
            }
        }
    }

    /// Checks a decree that names the last block: by the operators, for a later epoch than the one that was to go on, of
    /// a committee of its authorities.
    pub fn check_decree(&self, decree: &Decree) -> Result<(), Error> {
        let fails = |why| Err(Error::Decree { after: decree.after, why });
        if !self.genesis.has_committee() {
            return fails("all authorities vote in this chain");
        }
        if decree.chain != self.chain {
            return Err(Error::Chain { found: decree.chain, want: self.chain });
        }
        if (decree.after, decree.block) != (self.height(), self.block) {
            return fails("another block is the newest here");
        }
        if decree.nonce != self.nonce {
            return Err(Error::Nonce { found: decree.nonce, want: self.nonce });
        }
        let stalled = self.next_epoch();
        if decree.epoch <= stalled || decree.epoch.get() - stalled.get() > MAX_EPOCHS_SKIPPED {
            return fails("its epoch is not after the one that has stalled, or too far after it");
        }
        if decree.voters.len() % 3 != 1 {
            return fails("its voters are not 3 f + 1");
        }
        if self.calendar.cuts().len() >= MAX_CUTS {
            return fails("there were too many before");
        }
        if let Some(stranger) = decree.voters.keys().find(|key| !self.stalled().authorities.contains(key)) {
            return Err(Error::NotAuthority(stranger.clone()));
        }
        decree.verify(&self.operators)
    }

    /// Checks that a decree which names the last block is in force.
    pub fn check_replacement(&self, replacement: &Replacement) -> Result<(), Error> {
        self.check_decree(&replacement.decree)?;
        replacement.verify(&self.stalled().authorities)
    }

    /// Who serves in the epoch of the next block, which a decree may cut short.
    pub fn stalled(&self) -> &Arc<Roster> {
        if self.begins_epoch() { &self.schedule.next } else { &self.schedule.current }
    }

    /// Who serves in the epoch that a decree begins, and in the one after: its voters, and the authorities of the epoch
    /// that has stalled. Changes of them that were to come wait for two epochs more, so that those who promised to
    /// follow the decree and those who sign roots after it are the same.
    pub fn decreed(&self, decree: &Decree) -> [Roster; 2] {
        let (authorities, voters) = (&self.stalled().authorities, Arc::new(decree.voters.clone()));
        [decree.epoch, decree.epoch.next()]
            .map(|epoch| self.election.roster(authorities.clone(), voters.clone(), epoch, &self.genesis))
    }

    /// Begins the epoch that a decree in force names.
    pub(crate) fn replace(&mut self, decree: &Decree) {
        let ([current, next], stalled) = (self.decreed(decree), self.stalled().clone());
        self.schedule.replace(decree.epoch, stalled, current, next);
        self.calendar = self.calendar.cut(decree.first(), decree.epoch);
        self.election.discard();
        self.nonce += 1;
    }

    /// The next view, if none is skipped.
    fn next_view(&self, mandate: Option<&Mandate>) -> u64 {
        let (_, epoch) = self.next(mandate);
        if epoch == self.epoch() { self.header.view + 1 } else { 1 }
    }

    /// Checks a transaction against this state as if it were the next block's only one.
    pub fn check(&self, transaction: &Transaction) -> Result<(), Error> {
        let mut draft = Draft::new(self, None, self.next_view(None));
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
        let mut draft = Draft::new(self, mandate, header.view);
        let embedded = block.justification().is_none_or(|votes| draft.justify(votes).is_ok());
        embedded
            && block.transactions().iter().all(|held| draft.add(held).is_ok())
            && draft.add(transaction).is_ok()
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

    /// [`Self::build_in`] the next view, without votes for an ancestor.
    pub fn build(&self, transactions: impl IntoIterator<Item = Transaction>, now: Timestamp) -> Built {
        self.build_in(self.next_view(None), None, transactions, now)
    }

    /// Builds the next block from those of `transactions` that are valid, in their order (registry transactions by
    /// nonce and evidence before all others). Its time is `now`, or the last block's if that is later. `votes` are left
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
        mandate: Option<Mandate>,
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
            Transaction::Anchor(_) => (3, 0),
        });
        let forged = crate::draft::forged_anchors(offered.iter(), &self.chain);
        let mut draft = Draft::new(self, mandate.as_ref(), view);
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
        let time = now.max(self.time());
        let header = state.commit(height, self.block, time, epoch, view);
        let block = Block::opening(header, mandate, votes, taken);
        state.header = block.header().clone();
        state.block = block.digest();
        Built { block, state, entries, rejected }
    }

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
        if let Some(by) = crate::draft::first_forged(block.transactions(), &self.chain, &checked.anchors) {
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
        let mut draft = Draft::new(self, mandate, header.view);
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

    /// The header that this state's contents lead to, without the body.
    fn commit(&self, height: Height, parent: Digest, time: Timestamp, epoch: Epoch, view: u64) -> Header {
        Header {
            height,
            parent,
            time,
            epoch,
            view,
            body: Block::body_digest(None, None, &[]),
            log_size: self.log.size(),
            log_root: self.log.root(),
            registry_root: self.registry.root(),
            authorities: self.schedule.planned.digest(),
            election: self.election.digest(),
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
        ("election", want.election == found.election),
    ]
    .into_iter()
    .find_map(|(field, same)| (!same).then_some(field))
}
