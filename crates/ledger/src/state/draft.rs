//! A state while a block's transactions are applied to it, one after the other.

use crate::{
    block::{
        MAX_BLOCK_BYTES, MAX_TRANSACTIONS,
        anchor::{Anchor, MAX_ANCHORS_PER_AUTHORITY, MAX_BATCHES_PER_AUTHORITY},
        equivocation::Evidence,
        header::Header,
        justification::Justification,
        registry_transaction::{Action, RegistryTx},
        round_trips::RoundTrips,
        transaction::Transaction,
    },
    committee::epoch_opening::Mandate,
    election::{Ancestor, Quarantine},
    error::Error,
    operators::Operators,
    state::{State, log::LogEntry, registry::Changes, sequence::SEQUENCE_WINDOW},
    types::{Epoch, Height, PublicKey},
};
use commonware_codec::{EncodeSize, FixedSize as _};
use std::{collections::BTreeMap, sync::Arc};
use voltmesh_telemetry::{BatchId, merkle::leaf_hash};

/// Room for the list's length before the transactions.
const FRAME_BYTES: usize = 8;

/// Next state while a block's transactions are applied to it. A transaction is applied whole or leaves no trace.
pub(crate) struct Draft {
    state: State,
    height: Height,
    epoch: Epoch,
    registry: Changes,
    bytes: usize,
    transactions: usize,
    /// Whether it begins an epoch by a decree.
    decreed: bool,
    used: BTreeMap<PublicKey, Used>,
    anchored: Vec<(BatchId, PublicKey)>,
}

/// Part of its quota that an authority has taken.
#[derive(Default)]
struct Used {
    anchors: usize,
    batches: usize,
}

impl Draft {
    /// The block after `state`, in this view. What entitles it to begin an epoch is checked apart.
    pub fn new(state: &State, mandate: Option<&Mandate>, view: u64) -> Self {
        let (height, epoch) = state.next(mandate);
        let decree = mandate.and_then(Mandate::decree);
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
            state,
            height,
            epoch,
            bytes: Header::SIZE + FRAME_BYTES + mandate.map_or(0, EncodeSize::encode_size),
            transactions: 0,
            decreed: decree.is_some(),
            used: BTreeMap::new(),
            anchored: Vec::new(),
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

    fn evidence(&mut self, evidence: &Evidence) -> Result<(), Error> {
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
                Action::SetOperators { keys, threshold } => {
                    operators = Some(Operators::new(keys.iter().cloned(), *threshold)?);
                }
            }
        }
        self.registry = registry;
        self.state.schedule = schedule;
        self.state.election = election;
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
        state.registry = self.registry.finish();
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
