//! One node's disk: what survives a power cut is decided here.
//!
//! A [`Disk`] outlives the processes of its node. Each start of the node mounts it
//! ([`Disk::mount`]) and gets a [`Mount`], our implementation of the runtime's storage, which all
//! code of that process uses. Faults: unsynced sectors are lost or torn at a power cut, the disk
//! is full at a bound, syncs are slow or fail. A process that dies without a power cut loses
//! nothing it wrote: the kernel still has it.
//!
//! Not modelled: silent corruption at rest, and reads that fail.

mod blob;
mod file;

pub use blob::{FileBlob, Mount};
pub use file::{File, SECTOR, Sequence, Tear};

use commonware_runtime::{BlobVersion, deterministic};
use commonware_utils::sync::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc, time::Duration};

/// Bytes a file takes besides its contents: its header page.
const FILE_OVERHEAD: u64 = 4096;

/// Behaviour of a disk; changes take effect at the next operation.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Bytes the disk holds; `u64::MAX` is unbounded.
    pub capacity: u64,
    /// How long a sync takes, in microseconds.
    pub sync_us: RangeInclusive<u64>,
    /// Of 1,000 syncs, how many fail. 0..=1000.
    pub sync_failures_per_mille: u32,
}

impl Default for Behaviour {
    /// An idle solid-state disk.
    fn default() -> Self {
        Self { capacity: u64::MAX, sync_us: 200..=2_000, sync_failures_per_mille: 0 }
    }
}

/// Counters of what happened on a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Successful syncs.
    pub syncs: u64,
    /// Syncs that failed.
    pub failed_syncs: u64,
    /// Writes refused for want of space.
    pub refused_writes: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Files that a power cut changed or cut.
    pub torn_files: u64,
}

impl std::ops::Add for Counters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            syncs: self.syncs + other.syncs,
            failed_syncs: self.failed_syncs + other.failed_syncs,
            refused_writes: self.refused_writes + other.refused_writes,
            power_cuts: self.power_cuts + other.power_cuts,
            torn_files: self.torn_files + other.torn_files,
        }
    }
}

/// A node's disk. Clones are the same disk.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<Inner>>);

/// Files by partition and name.
type Partitions = BTreeMap<String, BTreeMap<Vec<u8>, Arc<Mutex<Entry>>>>;

struct Inner {
    rng: StdRng,
    behaviour: Behaviour,
    counters: Counters,
    /// Counts mounts; an operation of an earlier one fails.
    mounts: u64,
    partitions: Partitions,
}

/// Locks are taken in one order: the disk, then a file of it.
/// A file with what the file system knows about it.
struct Entry {
    file: File,
    version: BlobVersion,
    /// A handle is alive.
    open: bool,
    /// Its name is gone; handles can still read it.
    removed: bool,
    /// A sync of it failed: nothing can be said of what was unsynced then (as the real runtime, which retains it).
    failed: bool,
}

impl Disk {
    /// An empty disk whose faults follow a seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            rng: StdRng::seed_from_u64(seed),
            behaviour: Behaviour::default(),
            counters: Counters::default(),
            mounts: 0,
            partitions: BTreeMap::new(),
        })))
    }

    /// Opens the disk for a new process of the node. Handles of the previous process are dead.
    /// What it had written and not synced is flushed first, as the runtime promises its users.
    pub fn mount(&self, context: deterministic::Context) -> Mount {
        let mut inner = self.0.lock();
        inner.mounts += 1;
        let Inner { rng, partitions, .. } = &mut *inner;
        for entry in partitions.values().flat_map(BTreeMap::values) {
            let mut entry = entry.lock();
            if entry.failed {
                // The cache calls these pages clean though they never reached the disk; it may drop them at any time.
                let tear = Tear::choose(rng);
                entry.file.tear(tear, rng);
            }
            entry.file.settle();
            entry.open = false;
            entry.failed = false;
        }
        let mount = inner.mounts;
        drop(inner);
        Mount::new(self.clone(), mount, context)
    }

    /// Takes the power: unsynced sectors are lost or torn as the seed says. The current mount dies.
    pub fn power_cut(&self) {
        let mut inner = self.0.lock();
        inner.mounts += 1;
        inner.counters.power_cuts += 1;
        let tear = Tear::choose(&mut inner.rng);
        let Inner { rng, partitions, counters, .. } = &mut *inner;
        for entry in partitions.values().flat_map(BTreeMap::values) {
            let mut entry = entry.lock();
            if entry.file.is_dirty() {
                counters.torn_files += 1;
            }
            entry.file.tear(tear, rng);
            entry.open = false;
            entry.failed = false;
        }
    }

    /// The process using the disk has died; its handles are dead and the kernel keeps what it wrote.
    pub fn detach(&self) {
        self.0.lock().mounts += 1;
    }

    /// The disk is lost and replaced by an empty one.
    pub fn wipe(&self) {
        let mut inner = self.0.lock();
        inner.mounts += 1;
        inner.partitions.clear();
    }

    /// Changes how the disk behaves.
    pub fn set(&self, behaviour: Behaviour) {
        self.0.lock().behaviour = behaviour;
    }

    /// How it behaves.
    pub fn behaviour(&self) -> Behaviour {
        self.0.lock().behaviour.clone()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.0.lock().counters
    }

    /// Bytes in use, headers included.
    pub fn used(&self) -> u64 {
        self.0.lock().used()
    }

    /// Every file as a reader sees it: partition, name, contents.
    pub fn contents(&self) -> Vec<(String, Vec<u8>, Vec<u8>)> {
        let inner = self.0.lock();
        let mut all = Vec::new();
        for (partition, files) in &inner.partitions {
            for (name, entry) in files {
                let entry = entry.lock();
                let bytes = entry.file.read(0, entry.file.len() as usize).unwrap_or_default().to_vec();
                all.push((partition.clone(), name.clone(), bytes));
            }
        }
        all
    }

    fn sync_delay(&self) -> Duration {
        let mut inner = self.0.lock();
        let range = inner.behaviour.sync_us.clone();
        Duration::from_micros(inner.rng.random_range(range))
    }
}

impl Inner {
    fn used(&self) -> u64 {
        let sizes = self.partitions.values().flat_map(BTreeMap::values);
        sizes.map(|entry| entry.lock().file.len() + FILE_OVERHEAD).sum()
    }

    /// Bytes that still fit.
    fn free(&self) -> u64 {
        if self.behaviour.capacity == u64::MAX {
            return u64::MAX;
        }
        self.behaviour.capacity.saturating_sub(self.used())
    }
}

#[cfg(test)]
mod tests;
