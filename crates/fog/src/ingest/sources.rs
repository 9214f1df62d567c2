//! Entries of the spool whose records went into attested batches: kept until those are durable, counted until they are archived.

use std::collections::BTreeMap;

use voltmesh_spool::Position;
use voltmesh_telemetry::{Record, VehicleId};

use super::{
    core::Ingest,
    state::pending::{Fresh, Source},
};

impl Ingest {
    /// The batches of these records are durable: their first entries are not needed any more.
    pub(super) fn sources_sealed(&mut self, sources: &[(Position, u32)]) {
        for (position, count) in sources {
            let Some(source) = self.foreign.sources.get_mut(position) else { continue };
            source.unsealed = source.unsealed.saturating_sub(*count);
            if source.unsealed == 0 && source.size > 0 {
                let size = std::mem::take(&mut source.size);
                self.disk.release((*position, size));
            }
        }
    }

    /// The batches of these records are archived: so are the entries they came from, in part or in whole.
    pub(super) fn sources_archived(&mut self, sources: &[(Position, u32)]) {
        for (position, count) in sources {
            let Some(source) = self.foreign.sources.get_mut(position) else { continue };
            source.open = source.open.saturating_sub(*count);
            if source.open > 0 {
                continue;
            }
            self.foreign.sources.remove(position);
        }
    }

    /// While restoring: a batch of these records is in the spool.
    pub(super) fn sources_restored(&mut self, sources: &[(Position, u32)]) {
        for (position, count) in sources {
            if let Some(source) = self.foreign.sources.get_mut(position) {
                source.unsealed = source.unsealed.saturating_sub(*count);
            }
        }
    }

    /// After restoring: entries that are in batches as a whole are not needed; the others are sealed again.
    pub(super) fn resume_sources(&mut self, mut records: BTreeMap<Position, Vec<(VehicleId, Record)>>) {
        let all: Vec<_> =
            self.foreign.sources.iter().map(|(position, source)| (*position, *source)).collect();
        for (position, source) in all {
            let own = records.remove(&position).unwrap_or_default();
            if source.unsealed == 0 {
                self.disk.release((position, source.size));
                if let Some(source) = self.foreign.sources.get_mut(&position) {
                    source.size = 0;
                }
                continue;
            }
            // Partly sealed, or not at all: whole again; the archive keeps one of each record.
            if let Some(source) = self.foreign.sources.get_mut(&position) {
                source.open = 2 * source.records - source.unsealed;
                source.unsealed = source.records;
            }
            self.foreign.pending += own.len();
            let own = own.into_iter().map(|(client, record)| (client, Fresh { record, claim: None }));
            self.add_pending(position, own.collect());
        }
    }

    pub(super) fn restore_source(&mut self, position: Position, size: u32, records: u32) {
        let source = Source { size, records, unsealed: records, open: records };
        self.foreign.sources.insert(position, source);
    }
}
