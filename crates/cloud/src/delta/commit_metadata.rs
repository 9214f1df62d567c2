//! What a commit to `batches` carries beside its rows: the watermark of each boot and a sequence number as application
//! transactions, the ranges beyond the watermarks and the places of copies in its metadata.

use super::ArchiveError;
use crate::{archivist::Marks, coverage::Range};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use voltmesh_telemetry::{Boot, VehicleId};

/// Application id of the sequence number; no boot's id can be it, for it has no `/`.
pub(crate) const SEQUENCE: &str = "voltmesh";

/// The boot whose watermark an application id names.
pub(crate) fn boot_of(id: &str) -> Option<(VehicleId, Boot)> {
    let (vehicle, boot) = id.split_once('/')?;
    Some((vehicle.parse().ok()?, Boot::new(boot.parse().ok()?)))
}

/// Metadata of the commit with this sequence number.
pub(super) fn metadata_of(sequence: u64, marks: &Marks) -> Value {
    let islands: serde_json::Map<String, Value> = marks
        .islands
        .iter()
        .filter(|(_, ranges)| !ranges.is_empty())
        .map(|((vehicle, boot), ranges)| {
            let ranges = ranges.iter().map(|r| json!([r.first, r.next, r.sure])).collect();
            (format!("{vehicle}/{boot}"), Value::Array(ranges))
        })
        .collect();
    json!({ "sequence": sequence, "islands": islands, "places": marks.places })
}

/// Ranges beyond the watermarks, from the metadata of a commit.
pub(super) fn islands_of(metadata: &Value) -> Result<BTreeMap<(VehicleId, Boot), Vec<Range>>, ArchiveError> {
    let damaged = || ArchiveError::Damaged { what: "the commit metadata of batches is not ours".into() };
    let mut islands = BTreeMap::new();
    for (id, ranges) in metadata["islands"].as_object().into_iter().flatten() {
        let key = boot_of(id).ok_or_else(damaged)?;
        let ranges: Vec<(u64, u64, bool)> = serde_json::from_value(ranges.clone()).map_err(|_| damaged())?;
        let ranges = ranges.into_iter().map(|(first, next, sure)| Range { first, next, sure }).collect();
        islands.insert(key, ranges);
    }
    Ok(islands)
}
