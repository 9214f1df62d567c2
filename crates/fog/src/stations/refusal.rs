//! Why nothing is forecast or recommended.

use voltmesh_stations::recommend::RequestError;

/// Why nothing is forecast or recommended.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Ask again when there is a feed.
    #[error("nothing has been observed yet: the feed has no snapshot")]
    NotYet,
    /// Look at what writes the feed.
    #[error("the newest snapshot is {age_s} s old; nothing is said beyond {max_age_s} s")]
    Stale {
        /// Its age.
        age_s: i64,
        /// Most that is believed.
        max_age_s: i64,
    },
    /// Correct the id.
    #[error("no EVSE `{0}` is known here")]
    NoEvse(String),
    /// Choose one of the horizons.
    #[error("the model does not forecast {minutes} min ahead; it does {horizons:?}")]
    NoHorizon {
        /// As asked.
        minutes: u32,
        /// What there is.
        horizons: Vec<u32>,
    },
    /// Correct the request.
    #[error(transparent)]
    Request(#[from] RequestError),
}
