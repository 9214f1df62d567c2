//! The task between functions and the ledger: events onto it, their receipts from it, controllers' transactions to it, and what it
//! says of them. When events
//! are submitted is decided by [`crate::functions::lists`].
//!
//! While the ledger makes no block, or this node is no authority, events wait in the journal.

use std::time::Duration;

use bytes::Bytes;
use commonware_codec::DecodeExt as _;
use commonware_cryptography::Signer as _;
use commonware_runtime::tokio::Context;
use tokio::sync::mpsc;
use voltmesh_consensus::{Finalized, Handle, SubmitError};
use voltmesh_control::MAX_POLICY_MESSAGE_BYTES;
use voltmesh_ledger::{
    Act, ActEvidence, Error as LedgerError, EventList, EventSalt, Hash, Height, Lane, PrivateKey,
    Transaction, salted_digest,
};
use voltmesh_mqtt::LogLimiter;
use voltmesh_spool::{Position, Writer};

use super::{
    bulletin::Bulletin,
    figures::Figures,
    queue::{Queue, Told},
    receipts::Receipts,
};
use crate::{
    functions::{
        journal::Entry,
        lists::{Chain, Input, Listed, Lists, Output, Record},
    },
    run::clock::time_of_day,
};

/// Between two looks at the clock.
const LOOK: Duration = Duration::from_millis(250);

/// Pause before a disk that takes nothing is tried again.
const FULL: Duration = Duration::from_secs(1);

/// Bytes of the journal that are read at once.
const READ_BYTES: usize = 256 * 1024;

/// What the task is made of.
pub struct Anchoring {
    pub journal: Writer<Context>,
    pub receipts: Receipts,
    pub lists: Lists,
    pub ledger: Handle,
    pub key: PrivateKey,
    pub queue: Queue,
    pub figures: Figures,
    pub bulletin: Bulletin,
    /// Policy transactions of controllers.
    pub policies: mpsc::Receiver<Bytes>,
}

/// What the ledger said of the list under way.
#[derive(Default)]
struct Judged {
    /// Its number.
    sequence: u64,
    /// Height at which its number was found to be used, or its key not to be this node's: blocks up to it tell.
    settled_at: Option<u64>,
}

impl Anchoring {
    /// Runs until the ledger ends.
    pub async fn run(mut self) {
        let from = self.lists.under_way().map(|record| Height::new(record.above));
        let mut finals = self.ledger.subscribe(from.unwrap_or_else(|| self.ledger.height()).next());
        let mut durable = self.journal.progress();
        let mut look = tokio::time::interval(LOOK);
        let (mut judged, log) = (Judged::default(), LogLimiter::default());
        loop {
            self.read(&mut judged, &log).await;
            let wants = self.lists.wants().1 > 0;
            tokio::select! {
                finalized = finals.next() => {
                    let Some(finalized) = finalized else { return };
                    self.look_at(&finalized, &mut judged, &log).await;
                    self.bulletin.look_at(&self.ledger, &finalized).await;
                }
                Some(policy) = self.policies.recv() => self.policy(policy, &log),
                changed = durable.changed(), if wants => if changed.is_err() { return },
                _ = look.tick() => {
                    log.due().iter().for_each(|unwritten| tracing::warn!("{unwritten}"));
                    self.give(Input::Tick, None, &mut judged, &log).await;
                }
            }
        }
    }

    /// Submits what a controller has signed: nothing but a policy transaction. The ledger says whose it must be.
    fn policy(&self, bytes: Bytes, log: &LogLimiter<String>) {
        let transaction = match bytes.len() <= MAX_POLICY_MESSAGE_BYTES {
            true => Transaction::decode(bytes).ok(),
            false => None,
        };
        let Some(Transaction::Policy(policy)) = transaction else {
            return warn(log, || "a controller sent something else than a policy transaction".to_owned());
        };
        // A standby tries again and again, and what the ledger refuses now it may take later.
        if let Err(error) = self.ledger.submit_policy(policy) {
            let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::debug!(%error, why, "a policy transaction is not taken");
        }
    }

    fn me(&self) -> [u8; 32] {
        bytes(self.key.public_key().as_ref())
    }

    fn chain(&self) -> Chain {
        let next = self.ledger.next_event_sequence(&self.key.public_key(), Lane::Functions);
        Chain { authority: self.me(), next, height: self.ledger.height().get() }
    }

    /// Gives events that are durable to the lists.
    async fn read(&mut self, judged: &mut Judged, log: &LogLimiter<String>) {
        loop {
            let (from, room) = self.lists.wants();
            let from = from.max(self.journal.floor().0);
            if room == 0 || from >= self.journal.progress().borrow().durable.0 {
                return;
            }
            let entries = match self.journal.read_from(Position(from), room, READ_BYTES).await {
                Ok(entries) => entries,
                Err(error) => {
                    return warn(log, || {
                        format!("events cannot be read; the ledger gets them later: {error}")
                    });
                }
            };
            let Some((last, _)) = entries.last() else { return };
            let passed = last.0 + 1;
            for (position, bytes) in &entries {
                if matches!(Entry::decode(bytes), Ok(Entry::Event(_))) {
                    let said = Entry::said(bytes);
                    let salt = salt(&self.key, &said);
                    let digest = salted_digest(&salt, &said);
                    let event = Listed { position: position.0, salt, digest };
                    self.give(Input::Event(event), None, judged, log).await;
                }
            }
            self.give(Input::Passed(passed), None, judged, log).await;
        }
    }

    /// Finds the list under way in a final block, or that it is in none.
    async fn look_at(&mut self, finalized: &Finalized, judged: &mut Judged, log: &LogLimiter<String>) {
        let Some(record) = self.lists.under_way().cloned() else { return };
        let lists = finalized.block.transactions().iter().filter_map(|transaction| match transaction {
            Transaction::Events(list) if list.lane == Lane::Functions => Some(list),
            _ => None,
        });
        let ours = |list: &&EventList| {
            bytes(list.authority.as_ref()) == record.authority && list.sequence == record.sequence
        };
        let found = lists.clone().find(ours).cloned();
        if let Some(list) = found {
            let evidence = finalized.act_evidence(&Act::of_events(&list));
            let EventList { sequence, events: digests, .. } = list;
            let input = Input::Final { authority: record.authority, sequence, digests };
            return self.give(input, evidence, judged, log).await;
        }
        let height = finalized.block.header().height.get();
        if judged.sequence != record.sequence || judged.settled_at.is_none_or(|settled| height < settled) {
            return;
        }
        judged.settled_at = None;
        // All blocks that could hold it were looked at, or are not here any more.
        let used = voltmesh_ledger::public_key(&record.authority).is_ok_and(|authority| {
            self.ledger.state().is_event_list_applied(&authority, Lane::Functions, record.sequence)
        });
        let input = if used { Input::Unseen } else { Input::Refused(None) };
        self.give(input, None, judged, log).await;
    }

    /// Gives an input and does what follows from it.
    async fn give(
        &mut self,
        input: Input,
        evidence: Option<ActEvidence>,
        judged: &mut Judged,
        log: &LogLimiter<String>,
    ) {
        let mut inputs = std::collections::VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for output in self.lists.handle(time_of_day(), self.chain(), input) {
                match output {
                    Output::Write(record) => {
                        while let Err(error) = self.receipts.write(&record).await {
                            warn(log, || format!("a list of events cannot be kept; it waits: {error}"));
                            tokio::time::sleep(FULL).await;
                        }
                        inputs.push_back(Input::Written);
                    }
                    Output::Submit(record) => inputs.extend(self.submit(&record, judged, log)),
                    Output::Keep { record, found } => {
                        let evidence = evidence.as_ref().filter(|_| found);
                        while let Err(error) = self.receipts.keep(&record, evidence).await {
                            warn(log, || format!("a receipt of events cannot be kept; it waits: {error}"));
                            tokio::time::sleep(FULL).await;
                        }
                        self.figures.listed(record.events.len(), evidence.is_some());
                        inputs.push_back(Input::Kept);
                    }
                    Output::Listed(below) => self.queue.tell(Told::Listed(below)),
                }
            }
        }
        self.figures.unlisted(self.lists.waiting());
    }

    /// Submits a list; what follows at once, if anything.
    fn submit(&self, record: &Record, judged: &mut Judged, log: &LogLimiter<String>) -> Option<Input> {
        if judged.sequence != record.sequence {
            *judged = Judged { sequence: record.sequence, settled_at: None };
        }
        let height = self.ledger.height().get();
        if record.authority != self.me() {
            // Signed with a key that this node had before: it is on the ledger by now, or never.
            judged.settled_at.get_or_insert(height + 1);
            return None;
        }
        match self.ledger.submit_events(&self.key, Lane::Functions, record.sequence, record.digests()) {
            // Another one with this number waits: once it is final, this one gets another number.
            Ok(_) | Err(SubmitError::Conflict { .. } | SubmitError::Full { .. }) => None,
            Err(SubmitError::Invalid(why)) => match *why {
                LedgerError::ReplayedEvents { .. } => {
                    judged.settled_at.get_or_insert(height);
                    None
                }
                LedgerError::EventTwice(known) => Some(Input::Refused(Some(known))),
                why => {
                    warn(log, || format!("the ledger does not take events now; they wait: {why}"));
                    None
                }
            },
            Err(error) => {
                warn(log, || format!("the ledger does not take events now; they wait: {error}"));
                None
            }
        }
    }
}

fn warn(log: &LogLimiter<String>, text: impl FnOnce() -> String) {
    if log.may_write("events for the ledger".to_owned()) {
        tracing::warn!("{}", text());
    }
}

fn bytes(key: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(key);
    out
}

/// Salt of an event that only the holder of the key can compute; the same each time, so that the ledger refuses an event whose
/// record was lost and that comes again soon.
fn salt(key: &PrivateKey, event: &[u8]) -> EventSalt {
    use commonware_codec::Encode as _;
    let secret = Hash::of(&[b"voltmesh-event-secret".as_slice(), key.encode().as_ref()].concat());
    let digest = Hash::of(&[b"voltmesh-event-salt".as_slice(), secret.as_bytes(), event].concat());
    let mut salt = [0; 16];
    salt.copy_from_slice(&digest.as_bytes()[..16]);
    salt
}
