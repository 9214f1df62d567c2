//! Between fog nodes and the controller: summaries of vehicles and what functions did on the way up, functions to run on the
//! way down. Over mutual TLS, as JSON; what acts on a vehicle is signed by itself ([`crate::Lease`]).

use crate::{CommandAnswer, Error, FleetShare};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use voltmesh_telemetry::{Digest, VehicleId};

/// Most bytes of any of these messages but a release: 1 MiB.
pub const MAX_CONTROLLER_MESSAGE_BYTES: usize = 1 << 20;

/// Reads one of these messages as JSON; its size is checked first.
fn read<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, Error> {
    Error::limit(what, bytes.len(), MAX_CONTROLLER_MESSAGE_BYTES)?;
    serde_json::from_slice(bytes).map_err(|error| Error::Json { what, problem: error.to_string() })
}

/// Writes one of these messages as JSON; one that is too large is the sender's mistake, and is refused before it is sent.
fn write<T: Serialize>(what: &'static str, message: &T) -> Result<Vec<u8>, Error> {
    let bytes =
        serde_json::to_vec(message).map_err(|error| Error::Json { what, problem: error.to_string() })?;
    Error::limit(what, bytes.len(), MAX_CONTROLLER_MESSAGE_BYTES)?;
    Ok(bytes)
}

impl<S: Serialize + DeserializeOwned> Summaries<S> {
    /// Reads a message of at most [`MAX_CONTROLLER_MESSAGE_BYTES`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        read("summaries", bytes)
    }

    /// The message.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        write("summaries", self)
    }
}

impl FunctionReport {
    /// Reads a message of at most [`MAX_CONTROLLER_MESSAGE_BYTES`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        read("function report", bytes)
    }

    /// The message.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        write("function report", self)
    }
}

impl Order {
    /// Reads a message of at most [`MAX_CONTROLLER_MESSAGE_BYTES`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        read("order", bytes)
    }

    /// The message.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        write("order", self)
    }
}

/// Fog → controller, once a second: what a fog node sees of its vehicles. `S` is a vehicle's summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summaries<S> {
    /// When, by the fog node's clock, in ms.
    pub at_ms: u64,
    /// Room of the fog node for functions.
    pub room: Room,
    /// Those vehicles that are connected or sent something in this second.
    pub vehicles: Vec<VehicleSummary<S>>,
}

/// Room of a fog node for functions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// Instances that run.
    pub instances: u32,
    /// Instances that may run at most.
    pub most_instances: u32,
    /// Share of one core that calls of functions take now, 0..1.
    pub load: f64,
    /// What the node can do beyond every node: names such as `gpu`.
    pub capabilities: Vec<String>,
}

/// What a fog node knows of a vehicle now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VehicleSummary<S> {
    /// Whose battery.
    pub vehicle: VehicleId,
    /// Whether the vehicle has a session with this node now.
    pub connected: bool,
    /// Measured round trip between vehicle and node in µs.
    pub round_trip_us: Option<u64>,
    /// Chemistry of the cells, where the vehicle states it: `nmc`, `nca`, `lfp`.
    pub chemistry: Option<String>,
    /// The battery's second; absent where nothing came.
    pub summary: Option<S>,
}

/// Fog → controller: what became of functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "report")]
pub enum FunctionReport {
    /// The node is here: the first report of a session. Without it a controller that has no configured key of this node gives it
    /// no lease.
    Ready {
        /// Public key by which the node signs commands, 32 bytes in hexadecimal.
        key: String,
        /// Highest term of a controller that it has seen: a controller of a lower one has lost its term.
        term: u32,
    },
    /// What runs now: all instances, sent when the session begins and when one changes.
    Running {
        /// Every instance.
        instances: Vec<Instance>,
    },
    /// A function said something that is kept and goes on the ledger.
    Event(FunctionEvent),
    /// A vehicle answered a command.
    Answer {
        /// Which vehicle.
        vehicle: VehicleId,
        /// What it did.
        answer: CommandAnswer,
    },
    /// An order cannot be carried out.
    Refused {
        /// Number of the order.
        order: u64,
        /// Why.
        reason: String,
    },
    /// This node lacks a release that an order names.
    Wanted {
        /// SHA-256 of the component.
        release: Digest,
    },
    /// State of a function that is handed over.
    State(FunctionState),
}

/// State of an instance of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// It works.
    Running,
    /// It failed and starts again after a wait.
    BackingOff,
    /// It failed too often and is off.
    Failed,
}

/// One function of one vehicle on a fog node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Whose battery.
    pub vehicle: VehicleId,
    /// Name of the function.
    pub function: String,
    /// SHA-256 of the component that runs.
    pub release: Digest,
    /// Term and count of its lease.
    pub epoch: (u32, u32),
    /// How it is.
    pub state: InstanceState,
    /// Calls since its start.
    pub calls: u64,
    /// Traps since its start.
    pub traps: u64,
}

/// How urgent an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// For the record.
    Information,
    /// Somebody should look.
    Warning,
    /// Something must be done now.
    Protect,
}

/// What a function found, did or gave up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionEvent {
    /// Whose battery.
    pub vehicle: VehicleId,
    /// Name of the function.
    pub function: String,
    /// SHA-256 of the component that said it.
    pub release: Digest,
    /// Term and count of its lease.
    pub epoch: (u32, u32),
    /// Number within the lease, from 0 without gaps: an event is known by vehicle, function, epoch and number.
    pub number: u64,
    /// When, by the fog node's clock, in ms.
    pub at_ms: u64,
    /// Short name, such as `balancing-started`.
    pub kind: String,
    /// How urgent.
    pub severity: Severity,
    /// One sentence for people.
    pub text: String,
    /// Figures by name, with their units in the name.
    pub figures: Vec<(String, f64)>,
}

/// State of a function on its way to another fog node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionState {
    /// Whose battery.
    pub vehicle: VehicleId,
    /// Name of the function.
    pub function: String,
    /// Version of the state's format.
    pub version: u32,
    /// The state in hexadecimal.
    pub state: String,
    /// Term and count of the lease under which it was made.
    pub epoch: (u32, u32),
}

/// Controller → fog: what to do with functions. Carried out in order; each number once. A later order for the same vehicle and
/// function takes the place of an earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Ascending within the controller's term.
    pub number: u64,
    /// The controller's term on the ledger: a fog node takes no order of a lower one than it has seen.
    pub term: u32,
    /// What.
    #[serde(flatten)]
    pub work: Work,
}

/// What a fog node is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "order")]
pub enum Work {
    /// Run a function for a vehicle, or go on with another release, configuration or lease.
    Run {
        /// Whose battery.
        vehicle: VehicleId,
        /// Name of the function.
        function: String,
        /// SHA-256 of the component.
        release: Digest,
        /// Configuration that fits the manifest's schema.
        configuration: serde_json::Value,
        /// The signed lease in hexadecimal.
        lease: String,
        /// State of the last holder, where there is one.
        state: Option<FunctionState>,
        /// This node's share of the commands that the whole fleet may get: the newest order's counts.
        #[serde(default)]
        fleet: FleetShare,
    },
    /// End a function; its state is asked for where it goes on elsewhere.
    End {
        /// Whose battery.
        vehicle: VehicleId,
        /// Name of the function.
        function: String,
        /// Whether its state is to be sent.
        hand_over: bool,
    },
    /// Tell a function that the condition for which it runs has begun or ended.
    Condition {
        /// Whose battery.
        vehicle: VehicleId,
        /// Name of the function.
        function: String,
        /// Name of the condition.
        condition: String,
        /// Whether it is the case.
        active: bool,
    },
}
