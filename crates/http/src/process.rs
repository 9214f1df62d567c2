//! The process around a role: what the configuration says it may do, and what every part of it writes to or shows.

use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use voltmesh_audit::Recorder;

/// Confinement of a role's process: the table `[process]` of its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Confinement {
    /// Whether the process gives up rights to files and system calls that it does not need. Default `best-effort`.
    pub sandbox: Sandbox,
    /// The user that a process becomes which root has started. Default: none, it stays who it is.
    pub user: Option<String>,
}

/// Whether a process confines itself to its folders and to the system calls of a network service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sandbox {
    /// Not at all.
    Off,
    /// As far as the kernel can; a warning says what it cannot.
    #[default]
    BestEffort,
    /// In full, or the role does not start.
    Required,
}

/// The process around a role.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Where refusals, reads and operators' decisions are entered. Default: nowhere.
    pub audit: Recorder,
    /// How it is confined, as the role shows it in `/status`.
    pub confined: Confined,
}

/// Confinement of a process as it was put in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confined {
    /// How much of what was asked for Landlock enforces: 2 all, 1 the part that this kernel has, 0 nothing.
    pub landlock: u64,
    /// System calls that seccomp refuses; 0 without it.
    pub seccomp_calls: u64,
    /// Whether it runs as another user than the one who started it.
    pub user_changed: bool,
}

impl Confined {
    /// Names of [`Self::figures`], all of them gauges.
    pub const GAUGES: [&'static str; 3] =
        ["process_landlock", "process_seccomp_calls", "process_user_changed"];

    /// To be shown among a role's counters.
    pub fn figures(self) -> [(&'static str, u64); 3] {
        let [landlock, seccomp, user] = Self::GAUGES;
        [(landlock, self.landlock), (seccomp, self.seccomp_calls), (user, self.user_changed.into())]
    }
}

/// Waits until the process is told to end: SIGTERM, or SIGINT of a terminal.
pub async fn termination() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}
