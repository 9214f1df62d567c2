//! What the archive keeps beside its rows: watermarks of boots, ranges beyond them, and the places of batches in the log.

use crate::coverage::Range;
use std::collections::BTreeMap;
use voltmesh_telemetry::{Boot, VehicleId};

/// Marks that the archive keeps beside its rows to recognise what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The contiguous watermark of each boot; for boot 0 the number after the highest.
    pub watermarks: BTreeMap<(VehicleId, Boot), u64>,
    /// Ranges beyond the watermark.
    pub islands: BTreeMap<(VehicleId, Boot), Vec<Range>>,
    /// Entries of the ledger's log that archived batches and their copies prove: the newest ranges.
    pub places: Vec<(u64, u64)>,
}

/// A gap in a boot's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Whose.
    pub vehicle: VehicleId,
    /// In which boot.
    pub boot: Boot,
    /// The first missing number.
    pub first: u64,
    /// The number after the last missing one.
    pub next: u64,
}
