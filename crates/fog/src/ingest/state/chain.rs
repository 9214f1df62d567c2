//! Which batches of a vehicle this node knows, and whether a new one fits between them.
//!
//! A vehicle may deliver one batch here and the next at another fog node, so this node knows pieces of a chain. A new
//! batch must not overlap a known one, must name the known batch before it, and be named by the known batch after it.
//!
//! Not provided: the check of the whole chain; the cloud does that.

use std::collections::{BTreeMap, VecDeque};

use voltmesh_telemetry::{BatchId, Boot, Digest, RecordNumber, VehicleId};

use crate::ingest::refusal::Refusal;

/// One known batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub id: BatchId,
    /// Number of its records.
    pub count: u32,
    /// The batch it names as its predecessor.
    pub previous: Option<BatchId>,
}

/// How a new batch fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// It continues what is known, or starts a boot.
    Next,
    /// Records before it were never seen here: they went through another fog node, or are missing.
    Gap,
    /// It is known already.
    Known,
}

/// The known pieces of all vehicles' chains.
#[derive(Debug, Default)]
pub struct Chains {
    vehicles: BTreeMap<VehicleId, Pieces>,
}

#[derive(Debug, Default)]
struct Pieces {
    links: BTreeMap<(Boot, RecordNumber), Link>,
    /// Links whose batches are archived, oldest first: kept only to notice forks.
    released: VecDeque<(Boot, RecordNumber)>,
}

impl Chains {
    /// Whether a verified batch fits what is known of its vehicle.
    pub fn fit(
        &self,
        vehicle: &VehicleId,
        boot: Boot,
        first: RecordNumber,
        link: &Link,
    ) -> Result<Fit, Refusal> {
        let broken = |first, known, named: Option<BatchId>| Refusal::BrokenChain {
            boot,
            first,
            known,
            named: named.map_or(Digest::ZERO, |id| id.digest()),
        };
        let start = Fit::of_start(first);
        let Some(pieces) = self.vehicles.get(vehicle) else { return Ok(start) };
        let end = first.get().saturating_add(link.count.into());
        let mut fit = start;
        let before = pieces.links.range((boot, RecordNumber::ZERO)..=(boot, first)).next_back();
        if let Some(((_, known_first), known)) = before {
            if known.id == link.id {
                return Ok(Fit::Known);
            }
            let known_end = known_first.get().saturating_add(known.count.into());
            if known_end > first.get() {
                return Err(if first == RecordNumber::ZERO {
                    Refusal::BootReused { boot, known: known.id, found: link.id }
                } else {
                    Refusal::Fork { boot, first, known: known.id, found: link.id }
                });
            }
            if known_end == first.get() {
                if link.previous != Some(known.id) {
                    return Err(broken(first, known.id, link.previous));
                }
                fit = Fit::Next;
            }
        }
        let after = pieces.links.range((boot, first)..).next().filter(|((b, _), _)| *b == boot);
        if let Some(((_, known_first), known)) = after {
            if known_first.get() < end {
                return Err(Refusal::Fork { boot, first, known: known.id, found: link.id });
            }
            if known_first.get() == end && known.previous != Some(link.id) {
                return Err(broken(*known_first, link.id, known.previous));
            }
        }
        Ok(fit)
    }

    /// Remembers a batch.
    pub fn insert(&mut self, vehicle: &VehicleId, boot: Boot, first: RecordNumber, link: Link) {
        let pieces = match self.vehicles.get_mut(vehicle) {
            Some(pieces) => pieces,
            None => self.vehicles.entry(vehicle.clone()).or_default(),
        };
        pieces.links.insert((boot, first), link);
    }

    /// A batch is archived: its link stays only as one of the `keep` latest of its vehicle.
    pub fn release(&mut self, vehicle: &VehicleId, boot: Boot, first: RecordNumber, keep: usize) {
        let Some(pieces) = self.vehicles.get_mut(vehicle) else { return };
        pieces.released.push_back((boot, first));
        while pieces.released.len() > keep {
            if let Some(oldest) = pieces.released.pop_front() {
                pieces.links.remove(&oldest);
            }
        }
        if pieces.links.is_empty() {
            self.vehicles.remove(vehicle);
        }
    }

    /// Whether any batch of this vehicle is known.
    pub fn knows(&self, vehicle: &VehicleId) -> bool {
        self.vehicles.contains_key(vehicle)
    }

    /// The latest known batches of a vehicle, at most `count`.
    pub fn latest(&self, vehicle: &VehicleId, count: usize) -> Vec<BatchId> {
        let Some(pieces) = self.vehicles.get(vehicle) else { return Vec::new() };
        pieces.links.values().rev().take(count).map(|link| link.id).collect()
    }

    /// Number of known batches.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.vehicles.values().map(|pieces| pieces.links.len()).sum()
    }
}

impl Fit {
    fn of_start(first: RecordNumber) -> Self {
        if first == RecordNumber::ZERO { Self::Next } else { Self::Gap }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> BatchId {
        BatchId::from([n; 32])
    }

    fn fit(known: &[(u64, u32, u8, u8)], new: (u64, u32, u8, u8)) -> Result<Fit, &'static str> {
        let vehicle: VehicleId = "car".parse().unwrap();
        let boot = Boot::new(1);
        let link = |(_, count, own, previous): (u64, u32, u8, u8)| Link {
            id: id(own),
            count,
            previous: (previous != 0).then(|| id(previous)),
        };
        let mut chains = Chains::default();
        for entry in known {
            chains.insert(&vehicle, boot, RecordNumber::new(entry.0), link(*entry));
        }
        chains.fit(&vehicle, boot, RecordNumber::new(new.0), &link(new)).map_err(|refusal| refusal.counter())
    }

    #[test]
    fn a_batch_fits_or_says_why_not() {
        let known = [(0, 10, 1, 0), (10, 10, 2, 1), (40, 10, 5, 4)];
        assert_eq!(fit(&[], (0, 10, 1, 0)), Ok(Fit::Next));
        assert_eq!(fit(&[], (30, 10, 1, 9)), Ok(Fit::Gap));
        assert_eq!(fit(&known, (20, 10, 3, 2)), Ok(Fit::Next));
        assert_eq!(fit(&known, (30, 10, 4, 3)), Ok(Fit::Gap));
        assert_eq!(fit(&known, (10, 10, 2, 1)), Ok(Fit::Known));
        assert_eq!(fit(&known, (0, 10, 9, 0)), Err("rejected_boot_reused"));
        assert_eq!(fit(&known, (10, 5, 9, 1)), Err("rejected_fork"));
        assert_eq!(fit(&known, (15, 5, 9, 1)), Err("rejected_fork"));
        assert_eq!(fit(&known, (35, 10, 9, 8)), Err("rejected_fork"));
        assert_eq!(fit(&known, (20, 10, 3, 9)), Err("rejected_chain"));
        assert_eq!(fit(&known, (30, 10, 9, 3)), Err("rejected_chain"));
    }

    #[test]
    fn archived_links_are_bounded() {
        let vehicle: VehicleId = "car".parse().unwrap();
        let mut chains = Chains::default();
        for n in 0..100u64 {
            let link = Link { id: id(n as u8), count: 1, previous: None };
            chains.insert(&vehicle, Boot::new(1), RecordNumber::new(n), link);
            chains.release(&vehicle, Boot::new(1), RecordNumber::new(n), 10);
        }
        assert_eq!(chains.len(), 10);
    }
}
