//! All that can happen to the core, and all that it can ask.

use std::sync::Arc;

use bytes::Bytes;
use voltmesh_consensus::Finalized;
use voltmesh_control::CommandAnswer;
use voltmesh_identity::Peer;
use voltmesh_ledger::{PublicKey, State, Transaction};
use voltmesh_mqtt::SessionId;
use voltmesh_spool::Position;
use voltmesh_telemetry::{BatchId, VehicleId};

use super::{
    claim::{Answer, Claim, Rejection},
    feed::Feed,
    job::{Done, Job},
};

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
    /// Read these evidence entries, compose [`receipts`](super::receipts) and publish them to a vehicle.
    ReceiptsFromSpool {
        /// Its session.
        session: SessionId,
        /// Its name.
        vehicle: VehicleId,
        /// Where the evidence lies.
        entries: Vec<Position>,
    },
    /// Read both entries, compose an [`envelope`](super::envelope) and publish it to the cloud. Then say [`Input::CloudAnswer`].
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
    /// Records are durable and verified: for summaries and functions. Only after [`Ingest::feed`](super::Ingest::feed).
    Feed(Feed),
    /// Keep these bytes in the place of earlier ones, for [`Ingest::restore_statements`](super::Ingest::restore_statements) and [`newest_statement`](super::newest_statement).
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

/// Why a command goes to no vehicle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRouted {
    /// The vehicle has no session with this node, or has not said hello in it: try the node that it is with.
    #[error("{0} is not connected with this fog node")]
    NotConnected(VehicleId),
    /// Its key is revoked.
    #[error("the key of {0} is revoked")]
    Revoked(VehicleId),
    /// The bytes are no command, or one for another vehicle.
    #[error("no command for {vehicle}: {why}")]
    Refused {
        /// Whom it was said to be for.
        vehicle: VehicleId,
        /// What is wrong.
        why: String,
    },
}
