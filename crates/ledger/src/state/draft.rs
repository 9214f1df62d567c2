//! A state while a block's transactions are applied to it, one after the other.

use crate::{
    block::{
        MAX_BLOCK_BYTES, MAX_TRANSACTIONS,
        act::Act,
        anchor::{Anchor, MAX_ANCHORS_PER_AUTHORITY, MAX_BATCHES_PER_AUTHORITY},
        equivocation::EquivocationProof,
        event_list::{EventList, MAX_EVENTS_PER_AUTHORITY, MAX_LISTS_PER_AUTHORITY},
        header::Header,
        justification::Justification,
        policy::{MAX_POLICIES_PER_BLOCK, Policy},
        registry_transaction::{Action, RegistryTx},
        round_trips::RoundTrips,
        transaction::Transaction,
    },
    committee::epoch_opening::EpochOpening,
    election::{Ancestor, Quarantine},
    error::Error,
    operators::Operators,
    state::{State, control::Control, log::LogEntry, registry::Changes, sequence::SEQUENCE_WINDOW},
    types::{Epoch, Height, PublicKey},
};
use commonware_codec::{EncodeSize, FixedSize as _};
use std::{collections::BTreeMap, sync::Arc};
use voltmesh_telemetry::{BatchId, Timestamp, merkle::leaf_hash};

/// Room for the list's length before the transactions.
const FRAME_BYTES: usize = 8;

/// Next state while a block's transactions are applied to it. A transaction is applied whole or leaves no trace.
pub(crate) struct Draft {
    state: State,
    height: Height,
    epoch: Epoch,
    time: Timestamp,
    registry: Changes,
    bytes: usize,
    transactions: usize,
    /// Whether it begins an epoch by a decree.
    decreed: bool,
    used: BTreeMap<PublicKey, Used>,
    anchored: Vec<(BatchId, PublicKey)>,
    acts: Vec<Act>,
    /// Before the block: facts are hashed again only if they may have changed.
    control_before: Arc<Control>,
}

/// Part of its quota that an authority or a controller has taken.
#[derive(Default)]
struct Used {
    anchors: usize,
    batches: usize,
    lists: usize,
    events: usize,
    policies: usize,
}

impl Draft {
    /// The block after `state`, in this view and of this time. What entitles it to begin an epoch is checked apart.
    pub fn new(state: &State, mandate: Option<&EpochOpening>, view: u64, time: Timestamp) -> Self {
        let (height, epoch) = state.next(mandate);
        let decree = mandate.and_then(EpochOpening::decree);
        let parent = Ancestor {
            block: state.block,
            height: state.height(),
            epoch: state.epoch(),
            view: state.header.view,
        };
        let mut state = state.clone();
        match decree {
            Some(decree) => state.replace(decree),
            None => state.schedule.enter(epoch),
        }
        state.election.follow(parent, epoch, view, &state.schedule.current);
        Self {
            registry: state.registry.change(),
            control_before: state.control.clone(),
            state,
            height,
            epoch,
            time,
            bytes: Header::SIZE + FRAME_BYTES + mandate.map_or(0, EncodeSize::encode_size),
            transactions: 0,
            decreed: decree.is_some(),
            used: BTreeMap::new(),
            anchored: Vec::new(),
            acts: Vec::new(),
        }
    }

    /// Embeds votes for an ancestor. Their signatures are checked apart.
    pub fn justify(&mut self, votes: &Justification) -> Result<(), Error> {
        self.state.election.justify(votes, &self.state.schedule)?;
        self.bytes += votes.encode_size();
        Ok(())
    }

    /// Applies a transaction. Signatures of anchors are checked apart, many at once.
    pub fn add(&mut self, transaction: &Transaction) -> Result<(), Error> {
        let bytes = self.bytes + transaction.encode_size();
        if bytes > MAX_BLOCK_BYTES || self.transactions == MAX_TRANSACTIONS {
            return Err(Error::Full);
        }
        match transaction {
            Transaction::Anchor(anchor) => self.anchor(anchor)?,
            Transaction::Registry(tx) => self.registry(tx)?,
            Transaction::RoundTrips(report) => self.round_trips(report)?,
            Transaction::Evidence(evidence) => self.evidence(evidence)?,
            Transaction::Events(list) => self.events(list)?,
            Transaction::Policy(policy) => self.policy(policy)?,
        }
        self.bytes = bytes;
        self.transactions += 1;
        Ok(())
    }

    fn anchor(&mut self, anchor: &Anchor) -> Result<(), Error> {
        anchor.check_shape()?;
        let authority = &anchor.authority;
        if !self.state.schedule.current.authorities.contains(authority) {
            return Err(Error::NotAuthority(authority.clone()));
        }
        if self.state.is_applied(authority, anchor.sequence) || anchor.sequence == u64::MAX {
            return Err(Error::Replayed {
                authority: authority.clone(),
                sequence: anchor.sequence,
                window: SEQUENCE_WINDOW,
            });
        }
        let used = self.used.entry(authority.clone()).or_default();
        if used.anchors + 1 > MAX_ANCHORS_PER_AUTHORITY
            || used.batches + anchor.batches.len() > MAX_BATCHES_PER_AUTHORITY
        {
            return Err(Error::Quota(authority.clone()));
        }
        used.anchors += 1;
        used.batches += anchor.batches.len();
        Arc::make_mut(&mut self.state.windows).entry(authority.clone()).or_default().insert(anchor.sequence);
        self.anchored.extend(anchor.batches.iter().map(|batch| (*batch, authority.clone())));
        self.state.records = self.state.records.saturating_add(anchor.records);
        Ok(())
    }

    fn events(&mut self, list: &EventList) -> Result<(), Error> {
        let authority = &list.authority;
        // The cheap reasons first: a signature is checked for a list that would count.
        if !self.state.schedule.current.authorities.contains(authority) {
            return Err(Error::NotAuthority(authority.clone()));
        }
        self.state.control.check_events(list)?;
        let used = self.used.entry(authority.clone()).or_default();
        let (lists, events) = (used.lists + 1, used.events + list.events.len());
        if lists > MAX_LISTS_PER_AUTHORITY || events > MAX_EVENTS_PER_AUTHORITY {
            return Err(Error::Quota(authority.clone()));
        }
        if !list.verify(&self.state.chain) {
            return Err(Error::Signature { what: "event list", by: authority.clone() });
        }
        (used.lists, used.events) = (lists, events);
        Arc::make_mut(&mut self.state.control).apply_events(list);
        self.acts.push(Act::of_events(list));
        Ok(())
    }

    fn policy(&mut self, policy: &Policy) -> Result<(), Error> {
        let by = &policy.controller;
        self.state.control.check_policy(policy, self.epoch, self.time)?;
        let used = self.used.entry(by.clone()).or_default();
        if used.policies + 1 > MAX_POLICIES_PER_BLOCK {
            return Err(Error::Quota(by.clone()));
        }
        if !policy.verify(&self.state.chain) {
            return Err(Error::Signature { what: "policy", by: by.clone() });
        }
        used.policies += 1;
        Arc::make_mut(&mut self.state.control).apply_policy(policy, self.epoch);
        self.acts.extend(Act::of_policy(policy));
        Ok(())
    }

    fn round_trips(&mut self, report: &RoundTrips) -> Result<(), Error> {
        let by = &report.authority;
        // The cheap reasons first: a signature is checked for a report that would count.
        let mut election = self.state.election.clone();
        election.report(report, self.epoch, &self.state.schedule.current)?;
        if !report.verify(&self.state.chain) {
            return Err(Error::Signature { what: "round trips", by: by.clone() });
        }
        self.state.election = election;
        Ok(())
    }

    fn evidence(&mut self, evidence: &EquivocationProof) -> Result<(), Error> {
        let (epoch, view) = (evidence.epoch(), evidence.view());
        let fails = |why| Error::Evidence { epoch, view, why };
        let schedule = &self.state.schedule;
        let voters = match schedule.roster(epoch) {
            Some(roster) if epoch <= self.epoch => &roster.voters,
            _ => return Err(fails("its voters are not known any more, or not yet")),
        };
        let Some(accused) = evidence.accused(voters).cloned() else {
            return Err(fails("of nobody who votes there"));
        };
        if !schedule.admitted.contains(&accused) {
            return Err(fails("the accused has left"));
        }
        if self.state.election.convicted().contains_key(&accused) {
            return Err(Error::Convicted(accused));
        }
        if !evidence.verify(&self.state.chain, voters) {
            return Err(fails("the votes are not the accused's"));
        }
        let of = Quarantine { since: self.height, offence: evidence.offence(), epoch, view };
        self.state.election.convict(&accused, of)
    }

    fn registry(&mut self, tx: &RegistryTx) -> Result<(), Error> {
        if tx.chain != self.state.chain {
            return Err(Error::Chain { found: tx.chain, want: self.state.chain });
        }
        let (found, want) = (tx.nonce, self.state.nonce);
        if found < want {
            return Err(Error::Nonce { found, want });
        }
        // Before the nonce may say "later", so that nobody fills pools with unsigned transactions for later.
        tx.verify(self.state.operators.keys(), self.state.operators.threshold())?;
        if found != want {
            return Err(Error::Nonce { found, want });
        }
        // All or nothing: work on copies.
        let mut registry = self.registry.clone();
        let mut schedule = self.state.schedule.clone();
        let mut election = self.state.election.clone();
        let mut control = self.state.control.clone();
        let mut operators = None;
        for action in &tx.actions {
            match action {
                Action::EnrolVehicle { commitment } => registry.enrol(*commitment, self.height)?,
                Action::RevokeVehicle { commitment } => registry.revoke(*commitment, self.height)?,
                Action::RotateVehicle { old, new } => {
                    registry.revoke(*old, self.height)?;
                    registry.enrol(*new, self.height)?;
                }
                Action::AdmitAuthority { key } => schedule.admit(key.clone())?,
                Action::RemoveAuthority { key } => schedule.remove(key)?,
                Action::RotateAuthority { old, new } => schedule.rotate(old, new.clone())?,
                Action::PardonAuthority { key } => election.pardon(key)?,
                Action::AdmitController { key } => {
                    Arc::make_mut(&mut control).admit(key.clone(), self.height)?;
                }
                Action::RemoveController { key } => Arc::make_mut(&mut control).remove(key, self.height)?,
                Action::PublishFunction { component, publisher } => {
                    Arc::make_mut(&mut control).publish(*component, publisher.clone(), self.height)?;
                }
                Action::WithdrawFunction { component } => {
                    Arc::make_mut(&mut control).withdraw(component, self.height)?;
                }
                Action::SetOperators { keys, threshold } => {
                    operators = Some(Operators::new(keys.iter().cloned(), *threshold)?);
                }
            }
        }
        self.registry = registry;
        self.state.schedule = schedule;
        self.state.election = election;
        self.state.control = control;
        self.state.nonce += 1;
        if let Some(operators) = operators {
            self.state.operators = Arc::new(operators);
        }
        Ok(())
    }

    /// Settles the election if the epoch ends, hashes the registry and the log; the caller sets the header.
    pub fn finish(self) -> (State, Vec<LogEntry>) {
        let mut state = self.state;
        let ends_epoch = state.calendar.ends_epoch(self.height);
        if ends_epoch {
            state.election.settle(&state.schedule.current, &state.schedule.admitted);
        }
        state.plan(self.epoch.next().next(), ends_epoch || self.decreed);
        if !self.acts.is_empty() {
            Arc::make_mut(&mut state.control).append(&self.acts);
        }
        if state.control.has_strangers(|key| state.schedule.knows(key)) {
            Arc::make_mut(&mut state.control).retain(|key| state.schedule.knows(key));
        }
        let entries = state.registry.entries().len();
        state.registry = self.registry.finish();
        let more = state.registry.entries().len() != entries;
        if more || !Arc::ptr_eq(&state.control, &self.control_before) {
            let facts = state.control.leaves(state.registry.entries().len());
            state.registry = state.registry.with_facts(facts);
        }
        // Whose key serves nowhere any more never anchors again: it is retired.
        if state.windows.keys().any(|key| !state.schedule.knows(key)) {
            Arc::make_mut(&mut state.windows).retain(|key, _| state.schedule.knows(key));
        }
        let leaves: Vec<_> = self.anchored.iter().map(|(batch, _)| leaf_hash(batch.as_bytes())).collect();
        let inclusions = state.log.append(&leaves);
        let entries = self
            .anchored
            .into_iter()
            .zip(inclusions)
            .map(|((batch, authority), inclusion)| LogEntry { batch, authority, inclusion })
            .collect();
        (state, entries)
    }
}
