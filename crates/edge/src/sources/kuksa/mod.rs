//! Signals of Eclipse Kuksa's databroker, over gRPC (kuksa.val.v2) with a token and over TLS where configured.
//!
//! Values have the broker's times. What is older than [`KuksaConfig::max_age_ms`] is unknown, and a broker that says nothing
//! new makes no samples. Units and ranges are those of the broker's metadata. The SDK of the project is not used:
//! [ADR 41](../../../../docs/adr/0041-messages-of-kuksa-are-declared-here.md).
//!
//! Not provided: other versions of the protocol; values set in the broker.

mod config;
#[cfg(feature = "kuksa")]
mod held;
#[cfg(feature = "kuksa")]
mod link;
#[cfg(feature = "kuksa")]
mod live;
#[cfg(feature = "kuksa")]
pub(crate) mod messages;

pub use config::{KuksaConfig, KuksaSignals};
#[cfg(feature = "kuksa")]
pub use live::LiveKuksa;
