//! After a crash: everything is rebuilt from what the spool holds.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use voltmesh_control::commitment;
use voltmesh_ledger::{AnchorProof, public_key};
use voltmesh_spool::Position;
use voltmesh_telemetry::{Digest, Record, SealedBatch, Signer, Timestamp, VehicleId};

use super::{
    block::Block,
    core::Ingest,
    entry::Entry,
    state::{chain::Link, held::Held},
};

/// Attested batches this old are not opened to remember their records: a client that lost its answer has asked again
/// by then.
const REMEMBER_MS: u64 = 600_000;

/// What only restoring needs.
#[derive(Debug, Default)]
pub struct Restoring {
    samples: BTreeMap<Position, Vec<(VehicleId, Record)>>,
    unreadable: u64,
}

impl Ingest {
    /// Takes an entry that the spool holds; in order of their positions.
    pub fn restore(&mut self, now: Timestamp, restoring: &mut Restoring, position: Position, bytes: &Bytes) {
        self.now = self.now.max(now);
        let at = (position, bytes.len() as u32);
        self.disk.count_restored(bytes.len());
        let known = match Entry::decode(bytes) {
            Some(Entry::Batch(entry)) => {
                let Ok(batch) = SealedBatch::parse(entry.wire.clone()) else {
                    restoring.unreadable += 1;
                    return;
                };
                let header = batch.header();
                let opening = entry.opening();
                let commitment = match &header.signer {
                    Signer::Vehicle => commitment(&header.vehicle, &opening),
                    Signer::Fog(fog) => {
                        fog.parse().map_or(self.own_commitment, |fog| commitment(&fog, &opening))
                    }
                };
                if header.boot.is_foreign() {
                    self.sources_restored(&entry.sources);
                    if entry.received.plus_millis(REMEMBER_MS) > now
                        && let Ok(records) = batch.open()
                    {
                        let named = records.into_iter().map(|record| (header.vehicle.clone(), record));
                        self.remember_restored(&named.collect::<Vec<_>>());
                    }
                } else {
                    let link = Link { id: batch.id(), count: header.count, previous: header.previous };
                    self.chains.insert(&header.vehicle, header.boot, header.first, link);
                }
                let held = Held {
                    vehicle: header.vehicle.clone(),
                    boot: header.boot,
                    first: header.first,
                    count: header.count,
                    commitment,
                    entry: at,
                    evidence: None,
                    further: VecDeque::new(),
                    entries: Vec::new(),
                    height: entry.height,
                    sources: entry.sources,
                };
                if let Some(twice) = self.held.insert(batch.id(), held) {
                    self.disk.release(twice.entry);
                }
                true
            }
            Some(Entry::Evidence(entry)) => {
                match self.held.get_mut(&entry.batch) {
                    Some(held) => {
                        let known = AnchorProof::from_bytes(&entry.evidence);
                        held.entries.extend(known.map(|evidence| evidence.inclusion.index));
                        match held.evidence {
                            Some(_) => held.further.push_back(at),
                            None => held.evidence = Some(at),
                        }
                    }
                    None => self.disk.release(at),
                }
                true
            }
            Some(Entry::Samples(entry)) => Block::read(&entry.block).is_some_and(|(records, unreadable)| {
                self.foreign.unreadable.extend(unreadable);
                self.remember_restored(&records);
                self.restore_source(position, at.1, records.len() as u32);
                restoring.samples.insert(position, records);
                true
            }),
            Some(Entry::Copy(entry)) => public_key(&entry.origin).is_ok_and(|origin| {
                self.hold_copy(Digest::of(&entry.block), origin, at, false, entry.received);
                true
            }),
            Some(Entry::SealedCopy(entry)) => public_key(&entry.origin).is_ok_and(|origin| {
                self.hold_copy(Digest::of(&entry.block), origin, at, true, entry.received);
                true
            }),
            None => false,
        };
        restoring.unreadable += u64::from(!known);
    }

    /// All entries were given: samples without a batch are attested, batches with evidence are forwarded; batches
    /// without are anchored once the ledger has caught up, unless their evidence is replayed until then.
    pub fn restored(&mut self, restoring: Restoring) {
        self.resume_sources(restoring.samples);
        let mut anchored: Vec<_> =
            self.held.iter().filter_map(|(id, held)| Some((held.evidence?.0, *id))).collect();
        anchored.sort_unstable();
        for (_, batch) in anchored {
            self.enqueue_forward(batch);
        }
        if restoring.unreadable > 0 {
            let count = restoring.unreadable;
            self.log(format!("{count} entries of the spool are of no known kind: they are kept, not used"));
        }
    }

    /// The height above which blocks must be replayed to find the evidence of batches that have none; `None` if there
    /// are none.
    pub fn replay_above(&self) -> Option<u64> {
        self.held.values().filter(|held| held.evidence.is_none()).map(|held| held.height).min()
    }

    /// The lowest height whose block this node may still need, here or after a crash: for evidence that no disk holds yet,
    /// and to go on delivering. `None` while nothing was delivered since the start. Looks at every batch that is held.
    pub fn needs_from(&self) -> Option<u64> {
        let delivered = self.ledger.delivered()?;
        let durable = self.durable_below();
        let lacks = |held: &&Held| held.evidence.is_none_or(|(position, _)| position >= durable);
        let open = self.held.values().filter(lacks).map(|held| held.height).min();
        Some(open.map_or(delivered, |height| height.min(delivered)).saturating_add(1))
    }

    /// The ledger has caught up: what has no evidence yet is anchored, again if need be.
    pub(super) fn anchor_restored(&mut self) {
        let durable = self.durable_below();
        let mut open: Vec<_> = self
            .held
            .iter()
            .filter(|(_, held)| held.evidence.is_none() && held.entry.0 < durable)
            .map(|(id, held)| (held.entry.0, *id))
            .collect();
        open.sort_unstable();
        for (_, batch) in open {
            self.batch_durable(batch);
        }
    }
}
