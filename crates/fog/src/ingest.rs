//! The part of a fog node that decides what to take, when to acknowledge it, what to anchor and what to forward.
//!
//! It is pure: no clock, socket, disk or entropy. `run.rs` and the simulation do what its outputs say.
//!
//! **Invariant.** A PUBACK without an error follows the durability of what it acknowledges; what is acknowledged stays
//! in the spool until a notice, signed by the cloud's key, says that it is archived.
//!
//! Provided: permanent rejections are kept in the quarantine before they are answered; transient failures get no
//! PUBACK and DISCONNECT 0x97, which MQTT 3.1.1 clients see as a closed connection; samples that are dated ahead of this
//! node's clock are rejected, so that none of them hides newer ones. Not provided: the check of a vehicle's whole chain (the cloud's), plausibility of values.

mod anchors;
mod chain;
mod clock;
mod commands;
mod copies;
mod counters;
mod durable;
mod entry;
mod feed;
mod foreign;
mod holding;
mod job;
mod marks;
mod refusal;
mod restore;
mod second;
mod session;
mod statements;
mod uplink;

pub use commands::NotRouted;
pub use copies::{MAX_BLOCK, Message};
pub use counters::Counters;
pub use entry::{BatchEntry, Block, CopyEntry, Entry, EvidenceEntry, SamplesEntry, SealedBlock};
pub use feed::{Feed, FeedContent};
pub use job::{Done, Job};
pub use refusal::{Delay, Refusal};
pub use restore::Restoring;
pub use session::Claim;
pub use statements::{MAX_STATEMENTS_BYTES, newest_statement};
pub use voltmesh_mqtt::SessionId;

use std::sync::Arc;

use bytes::Bytes;
use commonware_cryptography::Signer as _;
use ed25519_dalek::{SigningKey, VerifyingKey};
use voltmesh_consensus::Finalized;
use voltmesh_control::{Allowance, CommandAnswer, Opening, commitment};
use voltmesh_identity::Peer;
use voltmesh_ledger::{Digest as ChainId, PrivateKey, PublicKey, State, Transaction};
use voltmesh_spool::Position;
use voltmesh_telemetry::{BatchId, Digest, Secret, Timestamp, VehicleId};

use crate::config::{Cloud, Foreign, Ledger, Limits, Spool};

/// What the core is told once.
#[derive(Clone)]
pub struct Settings {
    /// The node's name.
    pub fog: VehicleId,
    /// The authority's key.
    pub key: PrivateKey,
    /// Identity of the chain.
    pub chain: ChainId,
    /// Opening of this node's own commitment, enrolled so that it may attest foreign records.
    pub opening: Opening,
    /// What salts of attested batches are derived from.
    pub secret: Secret,
    /// Keys of which any may sign archive notices and statements: two while one replaces the other, none without a cloud.
    pub cloud_keys: Vec<VerifyingKey>,
    /// Bounds of what is taken in.
    pub limits: Limits,
    /// Bounds of what is kept.
    pub spool: Spool,
    /// Foreign records.
    pub foreign: Foreign,
    /// Pace of anchors.
    pub anchors: AnchorSettings,
    /// Pace of forwarding.
    pub forward: ForwardSettings,
}

/// Pace of anchors; see [`Ledger`].
#[derive(Debug, Clone, Copy)]
pub struct AnchorSettings {
    /// Between two anchors.
    pub every_ms: u64,
    /// Batches that do not wait.
    pub batches: usize,
    /// Before an anchor is submitted again.
    pub resubmit_ms: u64,
}

impl From<&Ledger> for AnchorSettings {
    fn from(ledger: &Ledger) -> Self {
        Self { every_ms: ledger.anchor_ms, batches: ledger.anchor_batches, resubmit_ms: ledger.resubmit_ms }
    }
}

/// Pace of forwarding; see [`Cloud`].
#[derive(Debug, Clone, Copy)]
pub struct ForwardSettings {
    /// Batches under way.
    pub window: usize,
    /// Bytes under way.
    pub window_bytes: u64,
    /// Before a batch without a notice is sent again.
    pub notice_ms: u64,
}

impl From<&Cloud> for ForwardSettings {
    fn from(cloud: &Cloud) -> Self {
        Self { window: cloud.window, window_bytes: cloud.window_bytes, notice_ms: cloud.notice_ms }
    }
}

/// All that can happen.
#[derive(Debug)]
pub enum Input {
    /// Time has passed, or a group of inputs has ended: what was gathered goes on its way. To be given after every
    /// group of other inputs.
    Tick,
    /// A peer has connected; its certificate was verified.
    Connected {
        /// The session.
        session: SessionId,
        /// Who it is.
        peer: Peer,
    },
    /// A session has ended.
    Disconnected {
        /// The session.
        session: SessionId,
    },
    /// A QoS 1 publish waits for its answer.
    Publish {
        /// Whose, and which.
        claim: Claim,
        /// The topic.
        topic: Arc<str>,
        /// The payload.
        payload: Bytes,
    },
    /// A message that a peer left for the end of its session, which has come without its word. Nobody waits for an answer.
    Will {
        /// Whose it was, and when it came.
        claim: Claim,
        /// Who left it.
        peer: Peer,
        /// The topic.
        topic: Arc<str>,
        /// The payload.
        payload: Bytes,
    },
    /// A job is done.
    Done(Done),
    /// All spool entries below this position are durable.
    Durable(Position),
    /// All quarantine entries below this position are durable.
    QuarantineDurable(Position),
    /// The spool or the quarantine could not be written; it goes on trying.
    StorageFailed(String),
    /// Bytes that are free on the spool's disk.
    Space(u64),
    /// Bytes that the spool counts against its bound: it frees them from the front only, so one entry that waits long
    /// pins those behind it.
    SpoolUsed(u64),
    /// The ledger's state at the start, or while catching up.
    Ledger {
        /// The newest finalised state.
        state: Arc<State>,
        /// Whether it is the newest that peers know.
        caught_up: bool,
    },
    /// A block is final.
    Finalized(Box<Finalized>),
    /// The chain of hand-overs has grown.
    Handovers(Bytes),
    /// The authorities this node is connected with.
    Peers(Vec<PublicKey>),
    /// A message on the copies channel.
    Copy {
        /// The authority that sent it.
        from: PublicKey,
        /// The bytes.
        message: Bytes,
    },
    /// An entry that [`Output::Load`] asked for; `None` if it cannot be read.
    Loaded(Position, Option<Bytes>),
    /// The cloud's session is open.
    CloudUp,
    /// The cloud's session has ended: what was under way is not acknowledged.
    CloudDown,
    /// The cloud answered an envelope.
    CloudAnswer {
        /// The batch in it.
        batch: BatchId,
        /// The MQTT reason code.
        reason: u8,
    },
    /// The cloud published an archive notice.
    CloudNotice(Bytes),
    /// The cloud published a statement of its archive.
    CloudStatement(Bytes),
    /// A signed command is to go to a vehicle; [`Output::CommandRouted`] answers.
    Command {
        /// Whose it is said to be.
        vehicle: VehicleId,
        /// The command.
        message: Bytes,
        /// The shell's own.
        ticket: u64,
    },
}

/// What is to be sent to a vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Receipts of anchored batches.
    Receipt,
    /// Archive notices.
    Notice,
    /// Hand-overs of the ledger.
    Trust,
    /// A signed command.
    Command,
}

/// An answer to a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Which publish.
    pub claim: Claim,
    /// MQTT reason code, below 0x80.
    pub reason: u8,
}

/// A permanent rejection, whose publish is in the quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Which publish.
    pub claim: Claim,
    /// MQTT reason code, 0x80 and above.
    pub reason: u8,
    /// What, where and the remedy, for the sender.
    pub why: String,
}

/// All that can be asked. To be done in order.
#[derive(Debug)]
pub enum Output {
    /// Append to the spool; the entry gets the next position. Then say [`Input::Durable`].
    Append(Bytes),
    /// Append to the quarantine; drop its oldest entries to make room. Then say [`Input::QuarantineDurable`].
    Quarantine {
        /// What to append.
        head: Bytes,
        /// A spool entry whose bytes follow it.
        entry: Option<Position>,
    },
    /// Read an entry of the spool and say [`Input::Loaded`].
    Load(Position),
    /// Acknowledge these spool entries: they are not needed any more.
    Release(Vec<Position>),
    /// Send PUBACKs.
    Answer(Vec<Answer>),
    /// Send PUBACKs that say why.
    Reject(Vec<Rejection>),
    /// End a session.
    Disconnect {
        /// The session.
        session: SessionId,
        /// MQTT reason code.
        reason: u8,
        /// For the reason string and the log.
        why: String,
    },
    /// Compute and say [`Input::Done`].
    Work(Job),
    /// Submit to the ledger.
    Submit(Box<Transaction>),
    /// Send on the copies channel.
    Copy {
        /// To whom.
        to: PublicKey,
        /// The bytes.
        message: Bytes,
    },
    /// Publish to a vehicle, QoS 1.
    ToVehicle {
        /// Its session.
        session: SessionId,
        /// Its name, which is part of the topic.
        vehicle: VehicleId,
        /// What it is.
        topic: Topic,
        /// The payload.
        payload: Bytes,
    },
    /// Publish a command to a vehicle, QoS 1, or say that it cannot be.
    CommandRouted {
        /// Of the input.
        ticket: u64,
        /// The vehicle's session and the command, or why it goes nowhere.
        routed: Result<(SessionId, VehicleId, Bytes), NotRouted>,
    },
    /// A vehicle answered a command, over its own session.
    Answered {
        /// Which vehicle.
        vehicle: VehicleId,
        /// What it did.
        answer: Box<CommandAnswer>,
    },
    /// Read these evidence entries, compose [`receipts`] and publish them to a vehicle.
    ReceiptsFromSpool {
        /// Its session.
        session: SessionId,
        /// Its name.
        vehicle: VehicleId,
        /// Where the evidence lies.
        entries: Vec<Position>,
    },
    /// Read both entries, compose an [`envelope`] and publish it to the cloud. Then say [`Input::CloudAnswer`].
    Forward {
        /// The batch.
        batch: BatchId,
        /// Its entry.
        entry: Position,
        /// The entry of its evidence.
        evidence: Position,
    },
    /// Publish the hand-overs to the cloud.
    TrustToCloud(Bytes),
    /// Publish to the cloud that the log holds a statement of its archive, and where.
    AnchoredToCloud(Bytes),
    /// Records are durable and verified: for summaries and functions. Only after [`Ingest::feed`].
    Feed(Feed),
    /// Keep these bytes in the place of earlier ones, for [`Ingest::restore_statements`] and [`newest_statement`].
    KeepStatements(Bytes),
    /// Say this in the log.
    Log(String),
    /// Say this in the log, if not too much was said of this peer lately: one that sends rubbish would fill it.
    LogRejection {
        /// Its counter.
        why: &'static str,
        /// Who was rejected.
        peer: String,
        /// What for.
        text: String,
    },
}

/// The core of a fog node.
pub struct Ingest {
    settings: Settings,
    signing: SigningKey,
    authority: PublicKey,
    /// This node's own place in the registry.
    own_commitment: Digest,
    now: Timestamp,
    outputs: Vec<Output>,
    counters: Counters,
    allowance: Allowance,
    sessions: session::Sessions,
    disk: durable::Disk,
    held: durable::HeldBatches,
    chains: chain::Chains,
    ledger: anchors::Anchors,
    uplink: uplink::Uplink,
    statements: statements::Statements,
    foreign: foreign::Pending,
    copies: second::Copies,
    holdings: holding::Holdings,
    clock: clock::Clock,
    /// Whether somebody looks into what is durable.
    feeding: bool,
}

impl Ingest {
    /// A core with nothing in its spool, whose next entry gets `next`. Give it what the spool holds with
    /// [`Self::restore`], then [`Self::restored`].
    pub fn new(settings: Settings, next: Position) -> Self {
        Self {
            signing: voltmesh_ledger::signing_key(&settings.key),
            authority: settings.key.public_key(),
            own_commitment: commitment(&settings.fog, &settings.opening),
            now: Timestamp::from_millis(0),
            outputs: Vec::new(),
            counters: Counters::default(),
            allowance: Allowance::new(settings.spool.quarantine_bytes),
            sessions: session::Sessions::default(),
            disk: durable::Disk::new(next),
            held: durable::HeldBatches::default(),
            chains: chain::Chains::default(),
            ledger: anchors::Anchors::default(),
            uplink: uplink::Uplink::default(),
            statements: statements::Statements::default(),
            foreign: foreign::Pending::default(),
            copies: second::Copies::default(),
            holdings: holding::Holdings::default(),
            clock: clock::Clock::default(),
            feeding: false,
            settings,
        }
    }

    /// What happens next, given what has happened. Time never goes back: an earlier `now` counts as the latest.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        self.now = self.now.max(now);
        match input {
            Input::Tick => self.tick(),
            Input::Connected { session, peer } => self.connected(session, peer),
            Input::Disconnected { session } => self.sessions.remove(session),
            Input::Publish { claim, topic, payload } => self.publish(claim, &topic, payload),
            Input::Will { claim, peer, topic, payload } => self.will(claim, peer, &topic, payload),
            Input::Done(done) => self.done(done),
            Input::Durable(below) => self.durable(below),
            Input::QuarantineDurable(below) => self.quarantine_durable(below),
            Input::StorageFailed(why) => self.storage_failed(why),
            Input::Space(free) => self.disk.set_free(free),
            Input::SpoolUsed(used) => self.disk.set_pinned(used),
            Input::Ledger { state, caught_up } => self.ledger_state(state, caught_up),
            Input::Finalized(finalized) => self.finalized(&finalized),
            Input::Handovers(handovers) => self.handovers(handovers),
            Input::Peers(peers) => self.copies.set_peers(peers),
            Input::Copy { from, message } => self.copy_message(from, &message),
            Input::Loaded(position, entry) => self.loaded(position, entry),
            Input::CloudUp => self.cloud_up(),
            Input::CloudDown => self.cloud_down(),
            Input::CloudAnswer { batch, reason } => self.cloud_answer(batch, reason),
            Input::CloudNotice(bytes) => self.cloud_notice(&bytes),
            Input::CloudStatement(bytes) => self.cloud_statement(&bytes),
            Input::Command { vehicle, message, ticket } => self.command(&vehicle, message, ticket),
        }
        std::mem::take(&mut self.outputs)
    }

    fn tick(&mut self) {
        self.quarantine_unreadable();
        self.flush_samples();
        self.seal_due();
        self.offer_copies();
        self.copies_due();
        self.statements_due();
        self.anchors_due();
        self.forward_due();
        self.disk.flush(&mut self.outputs);
    }

    /// When to say [`Input::Tick`] even if nothing else happens.
    pub fn deadline(&self) -> Option<Timestamp> {
        // Without its own place in the registry this node attests nothing.
        let attests = self.attests().is_ok();
        [
            self.foreign.deadline().filter(|_| attests),
            self.copies.deadline(&self.settings.foreign),
            self.holdings.deadline(),
            self.ledger.deadline(&self.settings.anchors),
            self.uplink.deadline(&self.settings.forward),
            self.statements.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Verified { ticket, result } => self.verified(ticket, result),
            Done::Sealed { ticket, batches, failed, client, sources } => {
                self.sealed(ticket, batches, failed, client, sources)
            }
        }
    }

    /// What this node has counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Gauges, by name.
    pub fn gauges(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("sessions", self.sessions.len() as u64),
            ("held_batches", self.held.len() as u64),
            ("spool_bytes", self.disk.used()),
            ("inflight_bytes", self.disk.inflight()),
            ("forward_queue", self.uplink.queued() as u64),
            ("samples_pending", self.foreign.pending() as u64),
            ("anchor_queue", self.ledger.queued() as u64),
            ("ledger_height", self.ledger.height()),
            ("clock_off_ms", self.clock.off_ms()),
        ]
    }

    fn log(&mut self, text: String) {
        self.outputs.push(Output::Log(text));
    }
}

/// Composes the payload for the topic `receipt` from evidence entries as they lie in the spool.
pub fn receipts(entries: impl IntoIterator<Item = Bytes>) -> Option<Bytes> {
    let items = entries.into_iter().filter_map(|entry| match Entry::decode(&entry) {
        Some(Entry::Evidence(entry)) => Some((entry.batch, entry.evidence)),
        _ => None,
    });
    let items: Vec<_> = items.collect();
    (!items.is_empty()).then(|| anchors::encode_receipts(items))
}

/// Composes the envelope for the cloud from the two entries as they lie in the spool.
pub fn envelope(fog: &VehicleId, batch: &Bytes, evidence: &Bytes) -> Option<Bytes> {
    let (Entry::Batch(batch), Entry::Evidence(evidence)) = (Entry::decode(batch)?, Entry::decode(evidence)?)
    else {
        return None;
    };
    Some(uplink::encode_envelope(fog.as_str(), batch, evidence))
}

#[cfg(test)]
mod tests;
