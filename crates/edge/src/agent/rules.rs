//! What an agent goes by.

use super::stage::KeepUntil;
use std::fmt;
use voltmesh_control::Opening;
use voltmesh_ledger::Trust;
use voltmesh_telemetry::{Boot, Secret, VehicleId};

/// A fog node by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FogIndex(pub usize);

/// The agent's configuration; times in milliseconds.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Whose agent this is.
    pub vehicle: VehicleId,
    /// This start of it.
    pub boot: Boot,
    /// Stage after which a record is forgotten.
    pub keep_until: KeepUntil,
    /// Records in a batch, at most 4,096. Default 256.
    pub max_records: usize,
    /// A batch is sealed after so long, full or not. Default 10 s.
    pub max_age_ms: u64,
    /// Bound of the spool.
    pub max_spool_bytes: u64,
    /// Batches known in memory, the oldest first; the others wait in the spool. 1,024 of about 250 B: 256 KiB.
    pub window: usize,
    /// Batches sent and not acknowledged. Default 32.
    pub in_flight: usize,
    /// Their bytes; one batch at least. Default 4 MiB.
    pub in_flight_bytes: usize,
    /// A batch without a notice is offered again after so long, then twice as long, up to an hour. Default 60 s.
    pub offer_again_after_ms: u64,
    /// First back-off after a failed connection; doubles up to `back_off_max_ms`. Default 200 ms.
    pub back_off_ms: u64,
    /// Longest back-off. Default 30 s.
    pub back_off_max_ms: u64,
    /// Silence while something waits for an answer, after which a ping is sent. Default 200 ms.
    pub ping_after_ms: u64,
    /// How often the round trips to all fog nodes are measured. Default 60 s.
    pub measure_every_ms: u64,
    /// Names of the fog nodes, for the log; [`FogIndex`] counts through them.
    pub fogs: Vec<String>,
    /// Why the recording is doubtful that was accepted nevertheless: signed with every batch. Default: nothing.
    pub accepted_doubts: Vec<String>,
    /// Finish when the source has ended and nothing is kept any more.
    pub until_archived: bool,
    /// Of the back-off's jitter.
    pub seed: u64,
}

/// Longest time until a batch is offered again.
const OFFER_AGAIN_MAX_MS: u64 = 3_600_000;

impl Rules {
    /// The defaults, for one vehicle and boot.
    #[must_use]
    pub fn new(vehicle: VehicleId, boot: Boot, fogs: Vec<String>) -> Self {
        Self {
            vehicle,
            boot,
            keep_until: KeepUntil::default(),
            max_records: 256,
            max_age_ms: 10_000,
            max_spool_bytes: 256 << 20,
            window: 1024,
            in_flight: 32,
            in_flight_bytes: 4 << 20,
            offer_again_after_ms: 60_000,
            back_off_ms: 200,
            back_off_max_ms: 30_000,
            ping_after_ms: 200,
            measure_every_ms: 60_000,
            fogs,
            accepted_doubts: Vec::new(),
            until_archived: false,
            seed: 0,
        }
    }

    /// How long to wait after the given number of offers.
    pub(crate) fn offer_again(&self, offers: u32) -> u64 {
        let factor = 1u64 << offers.saturating_sub(1).min(16);
        self.offer_again_after_ms
            .saturating_mul(factor)
            .min(OFFER_AGAIN_MAX_MS.max(self.offer_again_after_ms))
    }

    pub(crate) fn fog_name(&self, fog: FogIndex) -> String {
        self.fogs.get(fog.0).cloned().unwrap_or_else(|| format!("fog node {}", fog.0))
    }
}

/// What the vehicle signs with and whom it believes.
pub struct Credentials {
    /// Signs batches.
    pub signing: ed25519_dalek::SigningKey,
    /// Salts of records are derived from it.
    pub secret: Secret,
    /// Salt of the registry's commitment, chosen at enrolment.
    pub salt: [u8; 32],
    /// Genesis, authorities, and the cloud's keys.
    pub trust: Trust,
}

impl Credentials {
    /// What the vehicle shows so that a fog node finds it in the registry.
    #[must_use]
    pub fn opening(&self) -> Opening {
        Opening { salt: self.salt, key: self.signing.verifying_key().to_bytes() }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("chain", &self.trust.chain()).finish_non_exhaustive()
    }
}
