//! Why a command is not in force.

use std::collections::BTreeMap;
use voltmesh_control::Epoch;

/// Why a command is refused, each with its counter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No controller is configured here.
    #[error(
        "this vehicle takes no commands: `[commands] controllers` in its configuration names nobody who may lease it"
    )]
    Unconfigured,
    /// What it has to remember cannot be read.
    #[error(
        "this vehicle takes no commands: {0}; restore the file, or remove it if no older lease is in use"
    )]
    Unreadable(String),
    /// Too large, or no command.
    #[error("no command: {0}")]
    Malformed(String),
    /// Signed by somebody who may not.
    #[error("{0}")]
    Forged(String),
    /// For another vehicle.
    #[error("it is for {0}, not for this vehicle")]
    Vehicle(String),
    /// A newer lease of the function was seen.
    #[error("its lease {lease} is replaced by {newest}")]
    Fenced {
        /// The command's.
        lease: Epoch,
        /// The newest that was seen.
        newest: Epoch,
    },
    /// Its number was seen.
    #[error("number {number} is not above {last}, the last one taken under its lease")]
    Replayed {
        /// The command's.
        number: u64,
        /// The last one.
        last: u64,
    },
    /// Too many functions.
    #[error("it is of one function more than the {0} that a vehicle remembers")]
    Functions(usize),
    /// Its time, or its lease's, is over.
    #[error("{what} was over {ago_ms} ms ago by this vehicle's clock")]
    Expired {
        /// The command or its lease.
        what: &'static str,
        /// Since when.
        ago_ms: u64,
    },
    /// It is dated ahead.
    #[error("it is dated {0} ms ahead of this vehicle's clock: set the clocks")]
    Ahead(u64),
    /// Too many.
    #[error("more than {0} commands a minute (commands.max_per_minute); what is in force stays in force")]
    Rate(u32),
    /// A mistake.
    #[error("{0}")]
    Bounds(String),
    /// Nothing here can do it.
    #[error(
        "nothing in this vehicle obeys it: its source is no driven pack, and no outlet is configured for it"
    )]
    Unable,
    /// The fence could not be written.
    #[error("it could not be remembered, so it is not in force: {0}")]
    Unsaved(String),
}

impl Refusal {
    /// All counters.
    pub const COUNTERS: [&'static str; 14] = [
        "commands_refused_unconfigured",
        "commands_refused_unreadable",
        "commands_refused_malformed",
        "commands_refused_forged",
        "commands_refused_vehicle",
        "commands_refused_fenced",
        "commands_refused_replayed",
        "commands_refused_functions",
        "commands_refused_expired",
        "commands_refused_ahead",
        "commands_refused_rate",
        "commands_refused_bounds",
        "commands_refused_unable",
        "commands_refused_unsaved",
    ];

    /// Its counter.
    #[must_use]
    pub const fn counter(&self) -> &'static str {
        let place = match self {
            Self::Unconfigured => 0,
            Self::Unreadable(_) => 1,
            Self::Malformed(_) => 2,
            Self::Forged(_) => 3,
            Self::Vehicle(_) => 4,
            Self::Fenced { .. } => 5,
            Self::Replayed { .. } => 6,
            Self::Functions(_) => 7,
            Self::Expired { .. } => 8,
            Self::Ahead(_) => 9,
            Self::Rate(_) => 10,
            Self::Bounds(_) => 11,
            Self::Unable => 12,
            Self::Unsaved(_) => 13,
        };
        Self::COUNTERS[place]
    }
}

/// What is counted of commands since the start.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    pub applied: u64,
    pub reduced: u64,
    pub contradicting: u64,
    pub expired: u64,
    pub again: u64,
    pub flooded: u64,
    pub disobeyed: u64,
    refused: BTreeMap<&'static str, u64>,
}

impl Counters {
    pub fn refuse(&mut self, refusal: &Refusal) {
        *self.refused.entry(refusal.counter()).or_default() += 1;
    }

    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let refused = |name: &&'static str| (*name, self.refused.get(*name).copied().unwrap_or_default());
        [
            ("commands_applied", self.applied),
            ("commands_reduced", self.reduced),
            ("commands_contradicting", self.contradicting),
            ("commands_expired", self.expired),
            ("commands_again", self.again),
            ("commands_flooded", self.flooded),
            ("commands_disobeyed", self.disobeyed),
        ]
        .into_iter()
        .chain(Refusal::COUNTERS.iter().map(refused))
    }
}
