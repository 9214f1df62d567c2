//! Which vehicles' signatures count, and from when until when.

use crate::{
    codec::{read_hash, write_hash},
    commitment::Commitment,
    error::Error,
    types::Height,
};
use bytes::BufMut;
use commonware_codec::{
    Buf, Encode, EncodeSize, Error as CodecError, FixedSize, RangeCfg, Read, ReadExt, Write,
};
use std::sync::Arc;
use voltmesh_telemetry::{
    Digest as Hash,
    merkle::{Inclusion, MAX_PATH, leaf_hash, node_hash},
};

/// Most entries, revoked ones included: 2^20 × 48 B and twice that for the tree, some 150 MB.
pub const MAX_ENTRIES: usize = 1 << 20;

/// Registry entry of a commitment: when it was enrolled and revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The vehicle.
    pub commitment: Commitment,
    /// Height of the block that enrolled it.
    pub enrolled_at: Height,
    /// Height of the block that revoked it.
    pub revoked_at: Option<Height>,
}

impl Entry {
    /// Whether a batch counts that was anchored at `height`: not before enrolment, and below the revocation.
    pub fn counts_at(&self, height: Height) -> bool {
        self.enrolled_at <= height && self.revoked_at.is_none_or(|revoked| height < revoked)
    }

    fn leaf(&self) -> Hash {
        leaf_hash(&self.encode())
    }
}

/// Entries in order of their commitments, with their tree. Cloning shares both.
#[derive(Clone, Debug)]
pub struct Registry {
    entries: Arc<Vec<Entry>>,
    /// Tree level by level, leaves first; an odd last node is carried up.
    levels: Arc<Vec<Vec<Hash>>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::from_entries(Vec::new())
    }
}

impl Registry {
    /// Of entries in order of their commitments, none twice.
    pub(crate) fn from_entries(entries: Vec<Entry>) -> Self {
        let levels = Arc::new(levels(&entries));
        Self { entries: Arc::new(entries), levels }
    }

    /// RFC 9162 root over the entries.
    pub fn root(&self) -> Hash {
        match self.levels.last().and_then(|top| top.first()) {
            Some(root) => *root,
            None => Hash::of(&[]),
        }
    }

    /// Entries in order of their commitments.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn find(&self, commitment: &Commitment) -> Result<usize, usize> {
        self.entries.binary_search_by_key(commitment, |entry| entry.commitment)
    }

    /// What is known of a commitment.
    pub fn get(&self, commitment: &Commitment) -> Option<&Entry> {
        self.find(commitment).ok().map(|at| &self.entries[at])
    }

    /// The proof of an entry against [`root`](Self::root).
    pub fn prove(&self, commitment: &Commitment) -> Option<RegistryProof> {
        let index = self.find(commitment).ok()?;
        let mut at = index;
        let mut path = Vec::new();
        for level in self.levels.iter() {
            path.extend(level.get(at ^ 1));
            at /= 2;
        }
        let inclusion = Inclusion { size: self.entries.len() as u64, index: index as u64, path };
        Some(RegistryProof { entry: self.entries[index], inclusion })
    }

    /// Starts changes, which [`Changes::finish`] hashes once.
    pub(crate) fn change(&self) -> Changes {
        Changes { base: self.clone(), entries: None }
    }
}

fn levels(entries: &[Entry]) -> Vec<Vec<Hash>> {
    let mut levels = vec![entries.iter().map(Entry::leaf).collect::<Vec<_>>()];
    while let Some(level) = levels.last().filter(|level| level.len() > 1) {
        let (pairs, odd) = level.as_chunks::<2>();
        let next =
            pairs.iter().map(|[left, right]| node_hash(left, right)).chain(odd.iter().copied()).collect();
        levels.push(next);
    }
    levels
}

/// A registry while a block changes it.
#[derive(Clone)]
pub(crate) struct Changes {
    base: Registry,
    entries: Option<Vec<Entry>>,
}

impl Changes {
    fn view(&self) -> &[Entry] {
        self.entries.as_deref().unwrap_or(&self.base.entries)
    }

    fn edit(&mut self) -> &mut Vec<Entry> {
        self.entries.get_or_insert_with(|| self.base.entries.to_vec())
    }

    pub(crate) fn enrol(&mut self, commitment: Commitment, at: Height) -> Result<(), Error> {
        if self.view().len() == MAX_ENTRIES {
            return Err(Error::Count {
                what: "registry entries",
                len: MAX_ENTRIES + 1,
                min: 0,
                max: MAX_ENTRIES,
            });
        }
        match self.view().binary_search_by_key(&commitment, |entry| entry.commitment) {
            Ok(_) => Err(Error::Enrolled(commitment)),
            Err(place) => {
                self.edit().insert(place, Entry { commitment, enrolled_at: at, revoked_at: None });
                Ok(())
            }
        }
    }

    pub(crate) fn revoke(&mut self, commitment: Commitment, at: Height) -> Result<(), Error> {
        match self.view().binary_search_by_key(&commitment, |entry| entry.commitment) {
            Ok(place) if self.view()[place].revoked_at.is_none() => {
                self.edit()[place].revoked_at = Some(at);
                Ok(())
            }
            _ => Err(Error::NotEnrolled(commitment)),
        }
    }

    pub(crate) fn finish(self) -> Registry {
        match self.entries {
            Some(entries) => Registry::from_entries(entries),
            None => self.base,
        }
    }
}

/// That an entry is in the registry with a certain root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryProof {
    /// The entry.
    pub entry: Entry,
    /// Its place.
    pub inclusion: Inclusion,
}

impl RegistryProof {
    /// Whether the entry is in the registry with `root`.
    pub fn verify(&self, root: &Hash) -> bool {
        self.inclusion.verify(&self.entry.leaf(), root)
    }
}

// Height 0 is block 0, which holds no transactions, so 0 stands for "not revoked".
impl Write for Entry {
    fn write(&self, buf: &mut impl BufMut) {
        write_hash(&self.commitment, buf);
        self.enrolled_at.get().write(buf);
        self.revoked_at.map_or(0, Height::get).write(buf);
    }
}

impl FixedSize for Entry {
    const SIZE: usize = 48;
}

impl Read for Entry {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let commitment = read_hash(buf)?;
        let enrolled_at = Height::new(u64::read(buf)?);
        let revoked_at = Some(u64::read(buf)?).filter(|at| *at != 0).map(Height::new);
        Ok(Self { commitment, enrolled_at, revoked_at })
    }
}

pub(crate) fn write_inclusion(inclusion: &Inclusion, buf: &mut impl BufMut) {
    inclusion.size.write(buf);
    inclusion.index.write(buf);
    inclusion.path.len().write(buf);
    inclusion.path.iter().for_each(|hash| write_hash(hash, buf));
}

pub(crate) fn inclusion_size(inclusion: &Inclusion) -> usize {
    16 + inclusion.path.len().encode_size() + 32 * inclusion.path.len()
}

pub(crate) fn read_inclusion(buf: &mut impl Buf) -> Result<Inclusion, CodecError> {
    let (size, index) = (u64::read(buf)?, u64::read(buf)?);
    let len = usize::read_cfg(buf, &RangeCfg::from(0..=MAX_PATH))?;
    let path = (0..len).map(|_| read_hash(buf)).collect::<Result<_, _>>()?;
    Ok(Inclusion { size, index, path })
}

impl Write for RegistryProof {
    fn write(&self, buf: &mut impl BufMut) {
        self.entry.write(buf);
        write_inclusion(&self.inclusion, buf);
    }
}

impl EncodeSize for RegistryProof {
    fn encode_size(&self) -> usize {
        Entry::SIZE + inclusion_size(&self.inclusion)
    }
}

impl Read for RegistryProof {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self { entry: Entry::read(buf)?, inclusion: read_inclusion(buf)? })
    }
}
