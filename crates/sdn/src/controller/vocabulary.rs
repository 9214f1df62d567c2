//! What can happen to a controller, and what it asks for.

use ed25519_dalek::SigningKey;
use voltmesh_battery::summary::Summary;
use voltmesh_control::{FleetShare, FunctionReport, FunctionState, Lease, Order, Summaries, Work};
use voltmesh_telemetry::Digest;

use super::state::{Change, Deployment, Key, Release, Replaced, Written};
use crate::placement::{Move, Problem};
use crate::{Rules, assess};

/// What happens.
#[derive(Clone, Debug)]
pub enum Input {
    /// This controller holds a term, or none any more.
    Term(Option<u32>),
    /// A fog node's session has begun.
    FogUp {
        /// Which.
        fog: String,
    },
    /// A fog node's last session has ended.
    FogDown {
        /// Which.
        fog: String,
    },
    /// A fog node says what it sees.
    Summaries {
        /// Which.
        fog: String,
        /// What it sees.
        summaries: Box<Summaries<Summary>>,
    },
    /// A fog node says what became of functions.
    Report {
        /// Which.
        fog: String,
        /// What it says.
        report: Box<FunctionReport>,
    },
    /// The controller that commands says what it keeps; one that commands itself takes no notice.
    Copied {
        /// Whether this is all that is to be copied, or what has changed since.
        whole: bool,
        /// The changes.
        changes: Vec<Change>,
    },
    /// Decisions are on the ledger.
    Written(Written),
    /// What [`Output::Improve`] asked for has found this; nothing, if nothing is better.
    Improved {
        /// Functions that are to move, or to give way.
        moves: Vec<Move>,
    },
    /// Time passes.
    Tick,
}

/// What is to be done, in this order: what is persisted before what is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Make a change of what is kept durable before anything that follows.
    Persist(Change),
    /// Sign and send an order to a fog node.
    Send {
        /// To which.
        fog: String,
        /// What.
        order: Planned,
    },
    /// Send a release's package to a fog node that lacks it.
    SendRelease {
        /// To which.
        fog: String,
        /// SHA-256 of the component.
        release: Digest,
    },
    /// Look for a better placement of everything, beside all else, and say what was found with [`Input::Improved`].
    Improve(Box<Problem>),
    /// A vehicle's condition has begun or ended.
    Condition(assess::Change),
    /// What a fog node sent is refused: counted, told to the sender, entered in the audit log.
    Refused {
        /// Whose it is.
        fog: String,
        /// Why.
        why: Refusal,
    },
    /// A fog node says that it has seen a higher term: whether this controller still holds its own is to be asked where terms
    /// are given.
    Superseded {
        /// The higher term.
        term: u32,
    },
}

/// Why what a fog node sent is refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// It is older than what came before, or sent again.
    #[error("it is not after the message before it")]
    Stale,
    /// The fog node's clock and this one differ: leases could not be judged.
    #[error("its time differs from this clock by more than {0} ms")]
    Clock(u64),
    /// It holds what cannot be.
    #[error("it holds what cannot be: {0}")]
    Absurd(&'static str),
    /// It speaks of a function that this node does not hold.
    #[error("it is of a function that this fog node does not hold")]
    Foreign,
    /// It names another key than the configured one.
    #[error("it names another signing key than controller.toml has for this fog node")]
    Key,
}

impl Refusal {
    /// Its name among the counters.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Clock(_) => "clock",
            Self::Absurd(_) => "absurd",
            Self::Foreign => "foreign",
            Self::Key => "key",
        }
    }
}

/// Order that is not signed yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Number within the term.
    pub number: u64,
    /// Term.
    pub term: u32,
    /// What.
    pub work: PlannedWork,
}

/// What a fog node is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum PlannedWork {
    /// Run a function under a lease.
    Run {
        /// The lease, of which the vehicle and function are.
        lease: Lease,
        /// SHA-256 of the component.
        release: Digest,
        /// Its configuration.
        configuration: serde_json::Value,
        /// State of the last holder.
        state: Option<FunctionState>,
        /// The fog node's share of the commands that the whole fleet may get.
        fleet: FleetShare,
    },
    /// End a function.
    End {
        /// Of which vehicle, and which.
        key: Key,
        /// Whether its state is wanted.
        hand_over: bool,
    },
    /// Tell a function of a condition.
    Condition {
        /// Of which vehicle, and which.
        key: Key,
        /// Name of the condition.
        condition: &'static str,
        /// Whether it is the case.
        active: bool,
    },
}

impl PlannedWork {
    /// Vehicle and function that it is for.
    pub fn key(&self) -> Key {
        match self {
            Self::Run { lease, .. } => (lease.vehicle.clone(), lease.function.clone()),
            Self::End { key, .. } | Self::Condition { key, .. } => key.clone(),
        }
    }
}

impl Planned {
    /// The order with its lease signed by the controller's key; the same bytes each time.
    pub fn sign(&self, controller: &str, key: &SigningKey) -> Order {
        let work = match &self.work {
            PlannedWork::Run { lease, release, configuration, state, fleet } => Work::Run {
                vehicle: lease.vehicle.clone(),
                function: lease.function.clone(),
                release: *release,
                configuration: configuration.clone(),
                lease: hex::encode(lease.sign(controller, key)),
                state: state.clone(),
                fleet: *fleet,
            },
            PlannedWork::End { key: (vehicle, function), hand_over } => {
                Work::End { vehicle: vehicle.clone(), function: function.clone(), hand_over: *hand_over }
            }
            PlannedWork::Condition { key: (vehicle, function), condition, active } => Work::Condition {
                vehicle: vehicle.clone(),
                function: function.clone(),
                condition: (*condition).to_owned(),
                active: *active,
            },
        };
        Order { number: self.number, term: self.term, work }
    }
}

/// What an operator asks for.
#[derive(Debug)]
pub enum Request {
    /// Take a release whose package was checked and is durable.
    Publish(Release),
    /// Place a release no more, and end it where it runs.
    Withdraw(Digest),
    /// Deploy a function, or replace the deployment of this name.
    Deploy(Deployment),
    /// Remove a deployment.
    Undeploy(String),
    /// Undo a decision.
    Undo(u64),
    /// Give no orders until it is resumed.
    Pause,
    /// Give orders again.
    Resume,
    /// Put other rules in force.
    SetRules(Rules, Replaced),
}

/// Why a request is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// What it names is not there.
    #[error("{0}")]
    Unknown(String),
    /// It cannot be done as things stand.
    #[error("{0}")]
    Conflict(String),
}
