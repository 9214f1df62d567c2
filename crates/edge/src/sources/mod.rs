//! Where samples come from.
//!
//! A source is an iterator with a resumable place: [`Cursor`]. What a source did before a place is not needed to go on
//! after it.

pub(crate) mod kuksa;
mod live;
mod pacer;
mod pack;
pub(crate) mod period;
mod recorded;
mod sample;
mod sim;

#[cfg(feature = "kuksa")]
pub use kuksa::LiveKuksa;
pub use kuksa::{KuksaConfig, KuksaSignals};
pub use live::{CanConfig, LiveCan};
pub use pacer::{Pace, Pacer};
pub use pack::PackLayout;
pub use recorded::{CandumpConfig, Recorded, ReplayConfig, inspect, stated};
pub use sim::{Sim, SimConfig};
pub use voltmesh_battery::drive::Schedule as Cycle;
pub use voltmesh_recording::can::Signals;
pub use voltmesh_recording::table::{Columns, Level};

use crate::Error;
use crate::commands::Setpoints;
use bytes::BufMut;
use sha2::Digest as _;
use voltmesh_telemetry::Sample;

/// A place in a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Fingerprint of the source's configuration: another source starts at its own beginning.
    pub source: u64,
    /// Rows, frames or steps that are done.
    pub done: u64,
    /// What the source's own time 0 is in Unix time, in milliseconds.
    pub base_ms: u64,
}

impl Cursor {
    pub(crate) const BYTES: usize = 24;

    pub(crate) fn encode(&self, out: &mut impl BufMut) {
        out.put_u64(self.source);
        out.put_u64(self.done);
        out.put_u64(self.base_ms);
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields =
            bytes.chunks_exact(8).map(|c| c.try_into().map(u64::from_be_bytes).unwrap_or_default());
        let cursor = Self { source: fields.next()?, done: fields.next()?, base_ms: fields.next()? };
        (bytes.len() == Self::BYTES).then_some(cursor)
    }

    /// Where to go on: at `found` if it is of the same source, else at the beginning with time 0 at `base_ms`.
    #[must_use]
    pub fn resume(found: Self, source: u64, base_ms: u64) -> Self {
        if found.source == source { found } else { Self { source, done: 0, base_ms } }
    }
}

/// A sample and what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// What was measured.
    pub sample: Sample,
    /// The place after it.
    pub cursor: Cursor,
}

/// Delivers samples in order.
pub trait Source: Send {
    /// The next sample; none at the end. A live source blocks for at most [`LIVE_WAIT_MS`] and then says
    /// [`Next::Nothing`].
    ///
    /// # Errors
    /// [`Error::Source`], [`Error::Recording`] or [`Error::File`]: the source cannot go on.
    fn poll(&mut self) -> Result<Next, Error>;

    /// The next sample, waiting for it.
    ///
    /// # Errors
    /// See [`Source::poll`].
    fn next(&mut self) -> Result<Option<Sampled>, Error> {
        loop {
            match self.poll()? {
                Next::Sample(sampled) => return Ok(Some(sampled)),
                Next::Nothing => {}
                Next::End => return Ok(None),
            }
        }
    }

    /// Whether samples come when they come: then what is not taken is lost, and pacing makes no sense.
    fn is_live(&self) -> bool {
        false
    }

    /// This is in force for the samples from the next one on. Only a driven pack obeys: what is recorded cannot be changed.
    fn obey(&mut self, _: &Setpoints) {}

    /// Rows or frames that could not be used.
    fn skipped(&self) -> u64 {
        0
    }

    /// What was read, what was skipped by reason, and what never came: one sentence each.
    fn said(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What a source has.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// A sample.
    Sample(Sampled),
    /// Nothing yet.
    Nothing,
    /// No more, ever.
    End,
}

/// A live source's longest wait, in milliseconds.
pub const LIVE_WAIT_MS: u64 = 200;

/// First 8 bytes of the SHA-256 of a configuration's text.
pub(crate) fn fingerprint(parts: &[&str]) -> u64 {
    let mut hash = sha2::Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    digest.iter().take(8).fold(0, |value, byte| (value << 8) | u64::from(*byte))
}
