//! What the handlers share: the node as they see it, and how they refuse.

use std::sync::{Arc, Mutex};

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use commonware_runtime::tokio::Context;
use tokio::sync::{Semaphore, watch};
use voltmesh_audit::Recorder;
use voltmesh_consensus::Handle;
use voltmesh_control::{Opening, Status};
use voltmesh_http::{Figures, Problem};
use voltmesh_ledger::Genesis;
use voltmesh_telemetry::VehicleId;

use crate::{
    answers::Names,
    run::{functions::Figures as FunctionFigures, stations::Service},
};

/// What the handlers share.
pub struct Shared {
    /// The newest status, written by the loop.
    pub board: watch::Receiver<Status>,
    /// The ledger.
    pub ledger: Handle,
    /// Where it began.
    pub genesis: Genesis,
    /// For the runtime's own metrics.
    pub context: Context,
    /// This node's name.
    pub fog: VehicleId,
    /// What is to be enrolled so that this node may attest foreign records.
    pub opening: Opening,
    /// Names of the other nodes and of this one.
    pub names: Names,
    /// Places of those who follow the chain.
    pub followers: Arc<Semaphore>,
    /// Held while a checkpoint is sent: one at a time, each up to 120 MiB of memory.
    pub checkpoint: Arc<Semaphore>,
    /// Whoever asks something that executes or reads many blocks again holds this meanwhile.
    pub replay: tokio::sync::Mutex<()>,
    /// The archive's statements that are kept.
    pub statements: watch::Receiver<bytes::Bytes>,
    /// Forecasts of charging stations, if the node is to make any.
    pub stations: Option<Arc<Service>>,
    /// Functions, if a controller may send any.
    pub functions: Option<FunctionFigures>,
    /// Of this interface's own connections.
    pub figures: Arc<Figures>,
    /// Where operators' decisions are entered.
    pub audit: Recorder,
    /// The last of them that was: whoever submits one offers it until it is final.
    pub entered: Mutex<String>,
}

impl Shared {
    /// So many may follow the chain at once; each costs a task and one block of at most 1 MiB.
    pub const FOLLOWERS: usize = 16;
}

/// The argument by which a handler gets at it.
pub type Asked = State<Arc<Shared>>;

/// An answer that says why there is no other.
pub fn refuse(status: StatusCode, why: impl std::fmt::Display) -> Response {
    Problem::new(status, why).into_response()
}
