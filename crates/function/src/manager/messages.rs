//! All that can happen to a node's functions, and all that they can ask.

use super::{compiler::Compiled, snapshot::Snapshot};
use crate::{Report, Sample};
use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use std::collections::BTreeSet;
use voltmesh_control::{Command, CommandAnswer, FunctionEvent, FunctionReport, Order};
use voltmesh_telemetry::{Digest, VehicleId};

/// Settings of a node's functions.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of this fog node: leases for others are refused.
    pub fog: String,
    /// Public key by which this node signs commands: leases name it.
    pub fog_key: [u8; 32],
    /// Who may give orders: keys that sign leases.
    pub controllers: Vec<VerifyingKey>,
    /// Who may publish functions: keys that sign releases.
    pub publishers: Vec<VerifyingKey>,
    /// Releases that may not run any more.
    pub withdrawn: BTreeSet<Digest>,
    /// What this node can do beyond every node, such as `gpu`.
    pub capabilities: BTreeSet<String>,
    /// Most instances, 1 to [`crate::MAX_INSTANCES`].
    pub most_instances: u32,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Input {
    /// The controller orders something.
    Order(Order),
    /// Who may give orders from now on, in the place of those before, and the term of the ledger: no order of a lower one is
    /// carried out.
    Controllers {
        /// Keys that sign leases.
        keys: Vec<VerifyingKey>,
        /// The term.
        term: u32,
    },
    /// A signed release arrived, from the controller or from this node's own store.
    Release(Bytes),
    /// The same release, checked and compiled beside by this manager's [`super::Compiler`].
    Compiled(Compiled),
    /// These releases, and none else, may not run any more.
    Withdrawn(BTreeSet<Digest>),
    /// A vehicle's samples, in the order of their time. Give each once.
    Samples {
        /// Whose battery.
        vehicle: VehicleId,
        /// At most 600 a call are given on; more are split.
        samples: Vec<Sample>,
    },
    /// What a vehicle's twin said.
    Report {
        /// Whose battery.
        vehicle: VehicleId,
        /// What it said.
        report: Report,
    },
    /// A vehicle answered a command.
    Answer {
        /// Which vehicle.
        vehicle: VehicleId,
        /// What it did.
        answer: CommandAnswer,
    },
    /// Every event up to this sequence is durable.
    Kept {
        /// Sequence of an [`Output::Keep`].
        through: u64,
    },
    /// What was persisted of one function before the last end of this process. First of all, once each.
    Restore {
        /// The last that was persisted.
        snapshot: Box<Snapshot>,
        /// Highest number of an event of the snapshot's vehicle, function and epoch that is durable here, where there is one.
        kept: Option<u64>,
    },
    /// Time passes: at [`super::Manager::deadline`].
    Tick,
}

/// What is asked, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Make the event durable, then say so by [`Input::Kept`], and send it to the controller.
    Keep {
        /// Ascending by one from 1 on since the start of this process, over all functions.
        sequence: u64,
        /// What to keep.
        event: FunctionEvent,
    },
    /// Sign the command under the lease and send it to its vehicle.
    Command {
        /// Only after the event of this sequence is durable.
        after: Option<u64>,
        /// What to send.
        command: Command,
        /// The signed lease.
        lease: Vec<u8>,
        /// Function that asks.
        function: String,
    },
    /// Tell the controller.
    Tell(FunctionReport),
    /// Keep this in place of what was kept of the same vehicle and function. With [`Snapshot::ended`] nothing runs any more; it may
    /// be forgotten when [`Snapshot::until`] has passed.
    Persist(Box<Snapshot>),
    /// Figures for monitoring: gauges.
    Metrics {
        /// Whose battery.
        vehicle: VehicleId,
        /// Name of the function.
        function: String,
        /// By name.
        values: Vec<(String, f64)>,
    },
    /// Something that an operator should read in the log.
    Warn(String),
}
