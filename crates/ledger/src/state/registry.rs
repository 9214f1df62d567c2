//! Which vehicles' signatures count, and from when until when.

use crate::{
    commitment::Commitment,
    error::Error,
    state::{entry::Entry, registry_proof::RegistryProof},
    types::Height,
};
use commonware_codec::{Buf, Error as CodecError, FixedSize, RangeCfg, Read, ReadExt as _};
use std::sync::Arc;
use voltmesh_telemetry::{
    Digest as Hash,
    merkle::{Inclusion, node_hash},
};

/// Most entries, revoked ones included: 2^20 × 48 B and twice that for the tree, some 150 MB.
pub const MAX_ENTRIES: usize = 1 << 20;

/// Entries in order of their commitments, with their tree. Cloning shares both.
#[derive(Clone, Debug)]
pub struct Registry {
    entries: Arc<Vec<Entry>>,
    /// Tree level by level, leaves first; an odd last node is carried up.
    levels: Arc<Vec<Vec<Hash>>>,
    facts: Arc<Facts>,
}

/// Leaves after those of the entries, and the nodes that they change.
#[derive(Debug, Default)]
struct Facts {
    leaves: Vec<Hash>,
    /// Of each level of the whole tree, leaves first: the index of the first node that is not one of complete entries, and
    /// the nodes from there on. Empty without leaves.
    levels: Vec<(usize, Vec<Hash>)>,
}

impl Facts {
    /// Of these leaves after `size` entries, whose tree is `base`.
    fn after(size: usize, base: &[Vec<Hash>], leaves: Vec<Hash>) -> Self {
        if leaves.is_empty() {
            return Self::default();
        }
        let mut levels = vec![(size, leaves.clone())];
        while let Some((start, nodes)) = levels.last().filter(|(start, nodes)| start + nodes.len() > 1) {
            // An odd first one has a complete node of the entries to its left.
            let left = (start % 2 == 1).then(|| base[levels.len() - 1][start - 1]);
            let row: Vec<Hash> = left.into_iter().chain(nodes.iter().copied()).collect();
            let next = (start / 2, parents(&row));
            levels.push(next);
        }
        Self { leaves, levels }
    }
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
        Self { entries: Arc::new(entries), levels, facts: Arc::default() }
    }

    /// The same entries with these leaves after theirs.
    pub(crate) fn with_facts(&self, leaves: Vec<Hash>) -> Self {
        if leaves == self.facts.leaves {
            return self.clone();
        }
        let facts = Arc::new(Facts::after(self.entries.len(), &self.levels, leaves));
        Self { entries: self.entries.clone(), levels: self.levels.clone(), facts }
    }

    /// RFC 9162 root over the entries, and over the facts after them ([`crate::Fact`]).
    pub fn root(&self) -> Hash {
        self.depth().checked_sub(1).and_then(|top| self.node(top, 0)).unwrap_or_else(|| Hash::of(&[]))
    }

    fn depth(&self) -> usize {
        if self.facts.levels.is_empty() { self.levels.len() } else { self.facts.levels.len() }
    }

    /// A node of the tree over entries and facts.
    fn node(&self, level: usize, at: usize) -> Option<Hash> {
        match self.facts.levels.get(level) {
            Some((start, nodes)) if at >= *start => nodes.get(at - start).copied(),
            _ => self.levels.get(level)?.get(at).copied(),
        }
    }

    fn inclusion(&self, index: usize) -> Inclusion {
        let path = (0..self.depth()).filter_map(|level| self.node(level, (index >> level) ^ 1)).collect();
        let size = (self.entries.len() + self.facts.leaves.len()) as u64;
        Inclusion { size, index: index as u64, path }
    }

    /// The place of the fact at this index among the facts.
    pub(crate) fn prove_fact(&self, index: usize) -> Option<Inclusion> {
        (index < self.facts.leaves.len()).then(|| self.inclusion(self.entries.len() + index))
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
        RegistryProof::new(self.entries[index], &self.inclusion(index))
    }

    /// Starts changes, which [`Changes::finish`] hashes once.
    pub(crate) fn change(&self) -> Changes {
        Changes { base: self.clone(), entries: None }
    }
}

fn levels(entries: &[Entry]) -> Vec<Vec<Hash>> {
    let mut levels = vec![entries.iter().map(Entry::leaf).collect::<Vec<_>>()];
    while let Some(level) = levels.last().filter(|level| level.len() > 1) {
        let next = parents(level);
        levels.push(next);
    }
    levels
}

/// The level above; an odd last node is carried up.
fn parents(level: &[Hash]) -> Vec<Hash> {
    let (pairs, odd) = level.as_chunks::<2>();
    pairs.iter().map(|[left, right]| node_hash(left, right)).chain(odd.iter().copied()).collect()
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
            Some(entries) => Registry::from_entries(entries).with_facts(self.base.facts.leaves.clone()),
            None => self.base,
        }
    }
}

/// Reads at most `max` values; nothing is made room for that is not there.
pub(crate) fn read_bounded<T: FixedSize + Read<Cfg = ()>>(
    buf: &mut impl Buf,
    max: usize,
) -> Result<Vec<T>, CodecError> {
    let len = usize::read_cfg(buf, &RangeCfg::from(0..=max))?;
    if buf.remaining() < len * T::SIZE {
        return Err(CodecError::EndOfBuffer);
    }
    (0..len).map(|_| T::read(buf)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use voltmesh_telemetry::merkle;

    #[test]
    fn facts_are_leaves_after_the_entries() {
        let hash = |n: u8| Hash::of(&[n]);
        for entries in 0..20u8 {
            let mut all: Vec<Entry> = (0..entries)
                .map(|n| Entry { commitment: hash(n), enrolled_at: Height::new(1), revoked_at: None })
                .collect();
            all.sort_by_key(|entry| entry.commitment);
            let plain = Registry::from_entries(all.clone());
            for facts in 0..10u8 {
                let facts: Vec<Hash> = (0..facts).map(|n| hash(100 + n)).collect();
                let registry = plain.with_facts(facts.clone());
                let leaves: Vec<Hash> = all.iter().map(Entry::leaf).chain(facts.iter().copied()).collect();
                assert_eq!(registry.root(), merkle::root(&leaves), "{entries} and {}", facts.len());
                for (index, entry) in all.iter().enumerate() {
                    let proof = registry.prove(&entry.commitment).expect("an entry");
                    let inclusion = merkle::prove(&leaves, index).expect("a leaf");
                    assert_eq!(Some(proof), RegistryProof::new(*entry, &inclusion));
                }
                for index in 0..facts.len() {
                    assert_eq!(registry.prove_fact(index), merkle::prove(&leaves, all.len() + index));
                }
                assert_eq!(registry.prove_fact(facts.len()), None);
                // A changed entry keeps the facts; without facts the root is that of the entries alone.
                let mut changes = registry.change();
                changes.enrol(hash(250), Height::new(2)).expect("new");
                let more = changes.finish();
                assert_eq!(more.facts.leaves, facts);
                assert_eq!(more.with_facts(Vec::new()).root(), {
                    let mut changes = plain.change();
                    changes.enrol(hash(250), Height::new(2)).expect("new");
                    changes.finish().root()
                });
            }
        }
    }
}
