//! Which active materials a cell is made of, and what follows from that alone.

use serde::{Deserialize, Serialize};

/// The positive electrode; the negative is graphite (with some silicon at most).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chemistry {
    /// Lithium nickel cobalt aluminium oxide.
    Nca,
    /// Lithium nickel manganese cobalt oxide.
    Nmc,
    /// Lithium iron phosphate.
    Lfp,
}

impl Chemistry {
    /// Lowest and highest terminal voltage in V at which such a cell is used.
    #[must_use]
    pub const fn voltage_window_v(self) -> (f64, f64) {
        match self {
            Self::Nca => (2.5, 4.2),
            Self::Nmc => (2.7, 4.2),
            Self::Lfp => (2.0, 3.65),
        }
    }
}
