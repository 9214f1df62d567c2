//! A log that only grows, kept as the roots of its complete subtrees.

use super::{Inclusion, node_hash};
use crate::{Digest, Error};

/// The append-only log's edge: at most 64 hashes stand for any number of leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of the complete subtrees, largest (leftmost) first: one for each bit set in `size`.
    peaks: Vec<Digest>,
}

/// A complete subtree: what it covers and its root.
#[derive(Clone, Copy)]
struct Node {
    level: u32,
    /// Place among the nodes of its level.
    index: u64,
    hash: Digest,
}

impl Frontier {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// From a stored size and peaks; `None` if their numbers do not fit.
    pub fn from_parts(size: u64, peaks: Vec<Digest>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// Leaves in the log.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the complete subtrees, largest first.
    pub fn peaks(&self) -> &[Digest] {
        &self.peaks
    }

    /// The root over all leaves.
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Digest::of(&[]) };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }

    /// Appends leaf hashes without proofs.
    pub fn extend(&mut self, leaves: &[Digest]) {
        for leaf in leaves {
            self.push(*leaf, &mut Vec::new());
        }
    }

    /// Appends leaf hashes and returns each one's proof in the log at its new size.
    pub fn append(&mut self, leaves: &[Digest]) -> Vec<Inclusion> {
        // Every node that a path needs is an old peak or made now.
        let mut made: Vec<Vec<(u64, Digest)>> = Vec::new();
        let mut keep = |node: Node| {
            let level = node.level as usize;
            if made.len() <= level {
                made.resize(level + 1, Vec::new());
            }
            made[level].push((node.index, node.hash));
        };
        for peak in self.peak_nodes() {
            keep(peak);
        }
        let first = self.size;
        let mut nodes = Vec::new();
        for leaf in leaves {
            self.push(*leaf, &mut nodes);
            nodes.drain(..).for_each(&mut keep);
        }
        // The ragged right edge: roots of what is right of each peak.
        let peaks: Vec<Node> = self.peak_nodes().collect();
        let mut right = Vec::with_capacity(peaks.len());
        let mut below: Option<Digest> = None;
        for peak in peaks.iter().rev() {
            right.push(below);
            below = Some(below.map_or(peak.hash, |below| node_hash(&peak.hash, &below)));
        }
        right.reverse();
        (first..self.size).map(|index| self.path(index, &made, &peaks, &right)).collect()
    }

    fn path(
        &self,
        index: u64,
        made: &[Vec<(u64, Digest)>],
        peaks: &[Node],
        right: &[Option<Digest>],
    ) -> Inclusion {
        let mut path = Vec::new();
        let of = peaks
            .iter()
            .position(|peak| index >> peak.level == peak.index)
            .expect("every leaf is below one peak");
        for level in 0..peaks[of].level {
            let sibling = (index >> level) ^ 1;
            let row = &made[level as usize];
            let at = row
                .binary_search_by_key(&sibling, |(index, _)| *index)
                .expect("a sibling of a new node is an old peak or new");
            path.push(row[at].1);
        }
        path.extend(right[of]);
        path.extend(peaks[..of].iter().rev().map(|peak| peak.hash));
        Inclusion { size: self.size, index, path }
    }

    /// Adds one leaf; pushes it and each parent that it completes to `nodes`.
    fn push(&mut self, leaf: Digest, nodes: &mut Vec<Node>) {
        let mut node = Node { level: 0, index: self.size, hash: leaf };
        nodes.push(node);
        // As in binary counting, each trailing one of the old size is a peak that finds its right sibling.
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("one peak for each bit of the size");
            node = Node { level: node.level + 1, index: node.index / 2, hash: node_hash(&left, &node.hash) };
            nodes.push(node);
        }
        self.peaks.push(node.hash);
        self.size += 1;
    }

    fn peak_nodes(&self) -> impl Iterator<Item = Node> + '_ {
        let levels = (0..u64::BITS).rev().filter(|level| self.size >> level & 1 == 1);
        levels.zip(&self.peaks).map(|(level, hash)| Node {
            level,
            index: (self.size >> level) - 1,
            hash: *hash,
        })
    }

    /// Bytes: size (u64 little-endian) and peaks.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.size.to_le_bytes().to_vec();
        self.peaks.iter().for_each(|peak| out.extend_from_slice(peak.as_bytes()));
        out
    }

    /// Reads [`encode`](Self::encode)'s bytes and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let malformed = |why| Error::Malformed { what: "log frontier", at: 0, why };
        let (size, rest) = bytes.split_first_chunk::<8>().ok_or(malformed("ends early"))?;
        let (peaks, []) = rest.as_chunks::<32>() else { return Err(malformed("broken hash")) };
        Self::from_parts(u64::from_le_bytes(*size), peaks.iter().map(|peak| Digest::new(*peak)).collect())
            .ok_or(malformed("peaks do not fit the size"))
    }
}
