//! One file as a disk with a volatile cache holds it.
//!
//! The file keeps what a reader sees now, and for each sector changed since the last sync every
//! version it had since then: a kernel may write any page back at any time, so after a power cut
//! each sector holds one of its versions, and the file one of its sizes. A sector is never torn
//! inside. Nothing else is possible, and everything that is possible is reachable by some seed.

use rand::{Rng, RngExt as _, rngs::StdRng};
use std::collections::BTreeMap;

/// Bytes written atomically: the sector of most disks.
pub const SECTOR: u64 = 512;

/// Versions of one sector kept between two syncs: base, first and latest changes. 8 × 512 B bounds a hot sector to 4 KiB.
const MAX_VERSIONS: usize = 8;

type Sector = [u8; SECTOR as usize];

/// A position in a file's order of changes; 0 is what the last sync left.
pub type Sequence = u64;

/// Treatment of what was not synced at a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// Everything since the last sync is gone.
    Lose,
    /// Everything reached the disk just in time.
    Keep,
    /// Changes up to one moment are there, those after it are not.
    Prefix,
    /// Each sector, and the size, holds any of its versions.
    Scatter,
}

impl Tear {
    /// Chooses one, the hardest most often.
    pub fn choose(rng: &mut StdRng) -> Self {
        match rng.random_range(0..10u32) {
            0..=1 => Self::Lose,
            2 => Self::Keep,
            3..=5 => Self::Prefix,
            _ => Self::Scatter,
        }
    }
}

/// Contents of a file, and what may be left of them.
#[derive(Clone, Default)]
pub struct File {
    live: Vec<u8>,
    /// Last change made.
    sequence: Sequence,
    /// Sectors changed since the last sync: their versions, oldest (durable) first. The latest is also in `live`.
    dirty: BTreeMap<u64, Vec<(Sequence, Box<Sector>)>>,
    /// Sizes since the last sync, durable first.
    sizes: Vec<(Sequence, u64)>,
}

impl File {
    /// Bytes in the file as a reader sees it.
    #[allow(clippy::len_without_is_empty, reason = "a length in bytes, not a collection")]
    pub fn len(&self) -> u64 {
        self.live.len() as u64
    }

    /// Last change made.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Whether a power cut could lose something.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty() || self.sizes.len() > 1
    }

    /// What a reader sees, or `None` past the end.
    pub fn read(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        self.live.get(start..start.checked_add(len)?)
    }

    /// Writes, extending the file as needed. Returns the change's place in the order.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Sequence {
        if bytes.is_empty() {
            return self.sequence;
        }
        let end = offset + bytes.len() as u64;
        self.sequence += 1;
        let old = self.len();
        // A hole between the old end and the offset becomes zeros, like the bytes of a size without data.
        let touched = sectors(offset.min(old.max(offset)), end);
        self.remember(touched.clone());
        if end > old {
            self.live.resize(end as usize, 0);
            self.resized(old, end);
        }
        self.live[offset as usize..end as usize].copy_from_slice(bytes);
        self.record(touched);
        self.sequence
    }

    /// Cuts or extends with zeros.
    pub fn resize(&mut self, len: u64) -> Sequence {
        let old = self.len();
        if len == old {
            return self.sequence;
        }
        self.sequence += 1;
        let touched = sectors(len.min(old), old);
        self.remember(touched.clone());
        self.live.resize(len as usize, 0);
        self.resized(old, len);
        self.record(touched);
        self.sequence
    }

    /// Makes everything up to a change durable; later changes stay at risk.
    pub fn commit(&mut self, upto: Sequence) {
        let keys: Vec<u64> = self.dirty.keys().copied().collect();
        for sector in keys {
            self.commit_sector(sector, upto);
        }
        self.commit_size(upto);
    }

    /// Makes the sectors of one range durable up to a change, and the size with them (RWF_DSYNC).
    pub fn commit_range(&mut self, offset: u64, len: usize, upto: Sequence) {
        for sector in sectors(offset, offset + len as u64) {
            self.commit_sector(sector, upto);
        }
        self.commit_size(upto);
    }

    /// A sync that failed on the way: some of the sectors made it.
    pub fn commit_some(&mut self, upto: Sequence, rng: &mut impl Rng) {
        let keys: Vec<u64> = self.dirty.keys().copied().collect();
        for sector in keys {
            if rng.random_bool(0.5) {
                self.commit_sector(sector, upto);
            }
        }
        if rng.random_bool(0.5) {
            self.commit_size(upto);
        }
    }

    /// Leaves what the disk holds when its cache is lost.
    pub fn tear(&mut self, tear: Tear, rng: &mut impl Rng) {
        let until = match tear {
            Tear::Lose => 0,
            Tear::Keep => self.sequence,
            Tear::Prefix | Tear::Scatter => rng.random_range(0..=self.sequence),
        };
        let size = match tear {
            Tear::Scatter if !self.sizes.is_empty() => self.sizes[rng.random_range(0..self.sizes.len())].1,
            _ if self.sizes.is_empty() => self.len(),
            _ => self.sizes[newest(&self.sizes, until).unwrap_or(0)].1,
        };
        // The versions are applied over the largest extent the file had, then the size cuts them.
        let extent = self.sizes.iter().map(|(_, size)| *size).max().unwrap_or(0).max(self.len());
        self.live.resize(extent as usize, 0);
        for (sector, versions) in std::mem::take(&mut self.dirty) {
            let index = match tear {
                Tear::Scatter => rng.random_range(0..versions.len()),
                _ => newest(&versions, until).unwrap_or(0),
            };
            let start = (sector * SECTOR) as usize;
            let end = (start + SECTOR as usize).min(self.live.len());
            if start < end {
                self.live[start..end].copy_from_slice(&versions[index].1[..end - start]);
            }
        }
        self.live.resize(size as usize, 0);
        // Bytes beyond the end of the file do not exist, also not when the file grows again.
        self.settle();
    }

    /// Everything visible is durable from now on: a new process found it after a flush.
    pub fn settle(&mut self) {
        self.dirty.clear();
        self.sizes.clear();
    }

    fn commit_sector(&mut self, sector: u64, upto: Sequence) {
        let Some(versions) = self.dirty.get_mut(&sector) else { return };
        if let Some(index) = newest(versions, upto) {
            versions.drain(..index);
        }
        if versions.len() <= 1 {
            self.dirty.remove(&sector);
        }
    }

    fn commit_size(&mut self, upto: Sequence) {
        if let Some(index) = newest(&self.sizes, upto) {
            self.sizes.drain(..index);
        }
        if self.sizes.len() <= 1 {
            self.sizes.clear();
        }
    }

    /// Notes the durable version of sectors about to change.
    fn remember(&mut self, touched: std::ops::Range<u64>) {
        for sector in touched {
            if !self.dirty.contains_key(&sector) {
                let base = self.sector(sector);
                self.dirty.insert(sector, vec![(0, base)]);
            }
        }
    }

    /// Notes the version of sectors just changed.
    fn record(&mut self, touched: std::ops::Range<u64>) {
        for sector in touched {
            let content = self.sector(sector);
            let sequence = self.sequence;
            let versions = self.dirty.entry(sector).or_default();
            if versions.len() >= MAX_VERSIONS {
                versions.remove(MAX_VERSIONS / 2);
            }
            versions.push((sequence, content));
        }
    }

    fn resized(&mut self, old: u64, new: u64) {
        if self.sizes.is_empty() {
            self.sizes.push((0, old));
        }
        self.sizes.push((self.sequence, new));
    }

    fn sector(&self, sector: u64) -> Box<Sector> {
        let mut content = Box::new([0; SECTOR as usize]);
        let start = ((sector * SECTOR) as usize).min(self.live.len());
        let end = (start + SECTOR as usize).min(self.live.len());
        content[..end - start].copy_from_slice(&self.live[start..end]);
        content
    }
}

/// Sectors that hold bytes of `start..end`.
fn sectors(start: u64, end: u64) -> std::ops::Range<u64> {
    start / SECTOR..end.div_ceil(SECTOR)
}

/// Index of the newest version not after a change.
fn newest<T>(versions: &[(Sequence, T)], upto: Sequence) -> Option<usize> {
    versions.iter().rposition(|(sequence, _)| *sequence <= upto)
}
