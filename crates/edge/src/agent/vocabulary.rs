//! All that can happen to an agent, and all that it asks for.

use super::FogIndex;
use crate::commands::{OwnLimits, Setpoints};
use crate::{entry::Stored, sources::Cursor};
use bytes::Bytes;
use voltmesh_control::topics::{Topic, VehicleTopic};
use voltmesh_spool::Position;
use voltmesh_telemetry::{Sample, Timestamp};

/// All that can happen to an agent.
#[derive(Clone, Debug)]
pub enum Input {
    /// The source has a sample; `cursor` is its place after it.
    Sample {
        /// What was measured.
        sample: Sample,
        /// Where the source stands after it.
        cursor: Cursor,
    },
    /// Samples wait longer than they should for this vehicle to take them, or no longer do.
    Behind {
        /// Whether they do from now on.
        behind: bool,
    },
    /// The source has ended.
    SourceEnded,
    /// Stop: seal what is open; [`Output::Finished`] follows once it is durable, or the disk fails once more.
    Stop,
    /// The spool is durable below this position.
    Synced {
        /// The first position that is not durable.
        durable: Position,
        /// Bytes that wait for their acknowledgement.
        bytes: u64,
    },
    /// The spool cannot be written now.
    SyncFailed {
        /// For the log.
        reason: String,
    },
    /// The answer to [`Output::Load`]: batches in order, and the position to go on from.
    Loaded {
        /// Unacknowledged batches.
        batches: Vec<Stored>,
        /// Everything below it was looked at.
        next: Position,
    },
    /// A session with a fog node is open and the hello is sent.
    Connected {
        /// Which.
        fog: FogIndex,
        /// Of the connection.
        round_trip_us: u64,
    },
    /// A session could not be opened, or has ended.
    Lost {
        /// Which.
        fog: FogIndex,
        /// For the log.
        reason: String,
    },
    /// The answer to [`Output::Measure`]; none if the node could not be reached.
    Measured {
        /// Which.
        fog: FogIndex,
        /// Of a TCP connection.
        round_trip_us: Option<u64>,
    },
    /// A ping was answered.
    Heard {
        /// By whom.
        fog: FogIndex,
    },
    /// PUBACK of a batch.
    Answered {
        /// By whom.
        fog: FogIndex,
        /// Which batch.
        position: Position,
        /// MQTT reason code; below 0x80 the fog node holds the batch.
        code: u8,
    },
    /// [`voltmesh_control::Receipts`], as received.
    Receipts {
        /// The message.
        message: Bytes,
    },
    /// [`voltmesh_control::ArchiveNotice`], as received.
    Notice {
        /// The message.
        message: Bytes,
    },
    /// [`voltmesh_control::Handovers`], as received.
    Trust {
        /// The message.
        message: Bytes,
    },
    /// [`voltmesh_control::Command`], as received.
    Command {
        /// The message.
        message: Bytes,
    },
    /// The answer to the oldest [`Output::SaveCommands`] that is not answered: it is durable, or why it could not be kept.
    CommandsSaved {
        /// For the answer to the command.
        failed: Option<String>,
    },
    /// The deadline has come.
    Tick,
}

impl Input {
    /// What a fog node's message on `topic` is to the agent; `None` if the topic is none of its own.
    pub fn of_message(topic: &str, message: Bytes) -> Option<Self> {
        match topic.parse() {
            Ok(Topic::Vehicle(_, VehicleTopic::Receipt)) => Some(Self::Receipts { message }),
            Ok(Topic::Vehicle(_, VehicleTopic::Notice)) => Some(Self::Notice { message }),
            Ok(Topic::Vehicle(_, VehicleTopic::Trust)) => Some(Self::Trust { message }),
            Ok(Topic::Vehicle(_, VehicleTopic::Command)) => Some(Self::Command { message }),
            _ => None,
        }
    }
}

/// All that an agent asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Append this to the spool and sync; it gets this position.
    Persist {
        /// The spool's next position.
        position: Position,
        /// What to append.
        entry: Bytes,
    },
    /// Acknowledge this entry of the spool.
    Forget {
        /// Its place.
        position: Position,
    },
    /// Read unacknowledged batches; [`Input::Loaded`] answers.
    Load {
        /// First position of interest.
        from: Position,
        /// At most so many.
        limit: usize,
    },
    /// Open a session.
    Connect {
        /// With which node.
        fog: FogIndex,
        /// How many times the configured limit that may take.
        times: u32,
    },
    /// End a session.
    Disconnect(FogIndex),
    /// Ask for a sign of life.
    Ping(FogIndex),
    /// Measure the round trip to a node without opening a session.
    Measure(FogIndex),
    /// Read a batch from the spool and publish it.
    Send {
        /// To whom.
        fog: FogIndex,
        /// The batch's place in the spool.
        position: Position,
        /// It may have been sent before.
        again: bool,
    },
    /// Keep this trust file: it follows the authorities.
    SaveTrust {
        /// TOML.
        toml: String,
    },
    /// Keep what the battery's twin has learnt.
    SaveTwin {
        /// JSON.
        json: String,
    },
    /// Keep this of the commands, durably, before anything else is done; [`Input::CommandsSaved`] answers.
    SaveCommands {
        /// JSON of a [`crate::commands::Memory`].
        json: String,
    },
    /// Publish the answer to a command.
    Answer {
        /// To whom.
        fog: FogIndex,
        /// JSON of a [`voltmesh_control::CommandAnswer`].
        message: Bytes,
    },
    /// This is in force from now on: the source and the outlets obey it.
    Obey {
        /// What is in force.
        setpoints: Setpoints,
        /// The vehicle's own limits.
        own: OwnLimits,
        /// When it is over, if nothing newer has come by then.
        until: Option<Timestamp>,
    },
    /// Stop taking samples: the spool is full, or the disk does not keep up.
    Pause {
        /// For the log and `/status`.
        reason: String,
    },
    /// Take samples again.
    Resume,
    /// Something to log.
    Warn {
        /// What, where, what to do.
        message: String,
    },
    /// After [`Input::Stop`] or [`Input::SourceEnded`]: nothing is left to do.
    Finished,
}
