//! MQTT topics: one type for parsing and printing, and who may use which.

use crate::Error;
use std::{fmt, str::FromStr};
use voltmesh_telemetry::{VehicleId, is_name};

/// Longest topic in bytes: prefix, name, kind.
pub const MAX_TOPIC_BYTES: usize = 96;
/// First level of every topic.
const VERSION: &str = "v1";
/// Second level of topics between fog nodes and cloud; reserved as a vehicle's name.
const FOG: &str = "fog";
/// Second level of topics between controllers. A vehicle may have this name: its topics have a level less.
const CONTROLLER: &str = "controller";

/// What travels between a vehicle and a fog node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VehicleTopic {
    /// Up: [`crate::Hello`].
    Hello,
    /// Up: a sealed batch's wire bytes.
    Batch,
    /// Up: a JSON sample of a client that is not ours.
    Sample,
    /// Down: [`crate::Receipts`].
    Receipt,
    /// Down: [`crate::ArchiveNotice`].
    Notice,
    /// Down: [`crate::Handovers`].
    Trust,
    /// Down: [`crate::Command`].
    Command,
    /// Up: [`crate::CommandAnswer`].
    Answer,
}

/// What travels between a fog node and the cloud, or the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FogTopic {
    /// Up: [`crate::Envelope`].
    Envelope,
    /// Up: [`crate::Handovers`].
    Trust,
    /// Up: a statement of the archive with the ledger's evidence that the log holds it.
    Anchored,
    /// Down: [`crate::ArchiveNotice`].
    Notice,
    /// Down: [`crate::ArchiveStatement`].
    Statement,
    /// Up, to the controller: [`crate::Summaries`].
    Summary,
    /// Up, to the controller: [`crate::FunctionReport`].
    Function,
    /// Down, from the controller: [`crate::Order`].
    Order,
    /// Down, from the controller: a function's signed release.
    Release,
    /// Up, to the controller: [`crate::LedgerReport`].
    Ledger,
    /// Down, from the controller: a policy transaction for the ledger, signed by the controller.
    Policy,
}

/// Kind of a message between the controller that commands, which is the server, and one that stands by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ControllerTopic {
    /// Down: what operators decided and what was learned.
    Copy,
    /// Down: a function's signed release.
    Release,
    /// Up: SHA-256 of the component of a release that the one that stands by does not have, in hexadecimal.
    Wanted,
}

/// Any topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// `v1/<vehicle>/<kind>`.
    Vehicle(VehicleId, VehicleTopic),
    /// `v1/fog/<fog>/<kind>`.
    Fog(String, FogTopic),
    /// `v1/controller/<controller that stands by>/<kind>`.
    Controller(String, ControllerTopic),
}

impl VehicleTopic {
    const ALL: [VehicleTopic; 8] = [
        Self::Hello,
        Self::Batch,
        Self::Sample,
        Self::Receipt,
        Self::Notice,
        Self::Trust,
        Self::Command,
        Self::Answer,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Batch => "batch",
            Self::Sample => "sample",
            Self::Receipt => "receipt",
            Self::Notice => "notice",
            Self::Trust => "trust",
            Self::Command => "command",
            Self::Answer => "answer",
        }
    }

    /// Whether the vehicle publishes it; else the fog node does.
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Hello | Self::Batch | Self::Sample | Self::Answer)
    }
}

impl FogTopic {
    const ALL: [FogTopic; 11] = [
        Self::Envelope,
        Self::Trust,
        Self::Anchored,
        Self::Notice,
        Self::Statement,
        Self::Summary,
        Self::Function,
        Self::Order,
        Self::Release,
        Self::Ledger,
        Self::Policy,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::Trust => "trust",
            Self::Notice => "notice",
            Self::Anchored => "anchored",
            Self::Statement => "statement",
            Self::Summary => "summary",
            Self::Function => "function",
            Self::Order => "order",
            Self::Release => "release",
            Self::Ledger => "ledger",
            Self::Policy => "policy",
        }
    }

    /// Whether the fog node publishes it; else the cloud or the controller does.
    pub const fn is_up(self) -> bool {
        matches!(
            self,
            Self::Envelope | Self::Trust | Self::Anchored | Self::Summary | Self::Function | Self::Ledger
        )
    }

    /// Whether it travels between fog node and controller; else between fog node and cloud. Neither server takes the other's.
    pub const fn is_of_controller(self) -> bool {
        matches!(
            self,
            Self::Summary | Self::Function | Self::Order | Self::Release | Self::Ledger | Self::Policy
        )
    }
}

impl ControllerTopic {
    const ALL: [ControllerTopic; 3] = [Self::Copy, Self::Release, Self::Wanted];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Release => "release",
            Self::Wanted => "wanted",
        }
    }

    /// Whether the controller that stands by publishes it.
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Wanted)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Topic::Vehicle(vehicle, kind) => write!(f, "{VERSION}/{vehicle}/{}", kind.as_str()),
            Topic::Fog(fog, kind) => write!(f, "{VERSION}/{FOG}/{fog}/{}", kind.as_str()),
            Topic::Controller(id, kind) => write!(f, "{VERSION}/{CONTROLLER}/{id}/{}", kind.as_str()),
        }
    }
}

impl FromStr for Topic {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let wrong = || Error::Topic(s.chars().take(MAX_TOPIC_BYTES).collect());
        if s.len() > MAX_TOPIC_BYTES {
            return Err(wrong());
        }
        let levels: Vec<&str> = s.split('/').collect();
        let topic = match levels[..] {
            [VERSION, FOG, fog, kind] if is_name(fog) => FogTopic::ALL
                .into_iter()
                .find(|known| known.as_str() == kind)
                .map(|kind| Topic::Fog(fog.to_owned(), kind)),
            [VERSION, CONTROLLER, id, kind] if is_name(id) => ControllerTopic::ALL
                .into_iter()
                .find(|known| known.as_str() == kind)
                .map(|kind| Topic::Controller(id.to_owned(), kind)),
            [VERSION, vehicle, kind] if vehicle != FOG => VehicleTopic::ALL
                .into_iter()
                .find(|known| known.as_str() == kind)
                .and_then(|kind| Some(Topic::Vehicle(vehicle.parse().ok()?, kind))),
            _ => None,
        };
        topic.ok_or_else(wrong)
    }
}

/// Whether the client whose certificate says `urn:voltmesh:<role>:<id>` may publish to `topic`.
pub fn may_publish(role: &str, id: &str, topic: &Topic) -> bool {
    owns(role, id, topic, true)
}

/// Whether the client whose certificate says `urn:voltmesh:<role>:<id>` may subscribe to `topic`.
pub fn may_subscribe(role: &str, id: &str, topic: &Topic) -> bool {
    owns(role, id, topic, false)
}

/// Vehicles sign and are told of receipts; foreign clients only send samples, and their PUBACK is all they get.
fn owns(role: &str, id: &str, topic: &Topic, up: bool) -> bool {
    let (writer, owner, topic_is_up) = match topic {
        Topic::Vehicle(vehicle, VehicleTopic::Sample) => ("client", vehicle.as_str(), true),
        Topic::Vehicle(vehicle, kind) => ("edge", vehicle.as_str(), kind.is_up()),
        Topic::Fog(fog, kind) => (FOG, fog.as_str(), kind.is_up()),
        Topic::Controller(id, kind) => (CONTROLLER, id.as_str(), kind.is_up()),
    };
    role == writer && id == owner && up == topic_is_up
}
