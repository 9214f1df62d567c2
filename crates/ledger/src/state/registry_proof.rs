//! Proof that an entry is in the registry.
//!
//! No registry root says over how many leaves it is, so no proof can show it. A proof holds the siblings on the way to the
//! root and the side of each, and nothing else: every bit of that is bound by the root. Proofs of before named the tree's size
//! and the entry's index, from which the sides follow; other sizes lead to the same sides, and the same root. Such proofs are
//! still read, and say of themselves that they are of the older form.

use crate::state::{
    entry::Entry,
    inclusion::{path_size, read_path, write_path},
};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, FixedSize as _, Read, ReadExt as _, Write};
use voltmesh_telemetry::{
    Digest as Hash,
    merkle::{Inclusion, node_hash},
};

/// What stands where the older form has the first byte of the tree's size, which is 0: no registry has 2^56 entries.
const SIDES: u8 = 1;

/// That an entry is in the registry with a certain root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryProof {
    /// The entry.
    pub entry: Entry,
    /// Bit n: whether sibling n is on the left. No bits above.
    sides: u64,
    /// Lowest first.
    siblings: Vec<Hash>,
    /// Size and index that a proof of the older form names.
    named: Option<(u64, u64)>,
}

impl RegistryProof {
    /// Proof of an entry from its place; `None` if the path does not fit size and index.
    pub(crate) fn new(entry: Entry, place: &Inclusion) -> Option<Self> {
        Some(Self { entry, sides: sides(place)?, siblings: place.path.clone(), named: None })
    }

    /// Whether the entry is in the registry with `root`.
    pub fn verify(&self, root: &Hash) -> bool {
        let mut hash = self.entry.leaf();
        for (level, sibling) in self.siblings.iter().enumerate() {
            // Equal ones would fit on either side.
            if *sibling == hash {
                return false;
            }
            let left = self.sides >> level & 1 == 1;
            hash = if left { node_hash(sibling, &hash) } else { node_hash(&hash, sibling) };
        }
        hash == *root
    }

    /// Whether it names the size of the registry's tree, which nothing commits to.
    pub fn is_of_older_form(&self) -> bool {
        self.named.is_some()
    }

    /// The same proof in the form of today.
    pub fn renewed(&self) -> Self {
        Self { named: None, ..self.clone() }
    }
}

/// On which side the siblings of a path are, after RFC 9162 2.1.3.2; `None` if its length does not fit size and index.
fn sides(place: &Inclusion) -> Option<u64> {
    let (mut at, mut last) = (place.index, place.size.checked_sub(1)?);
    if at > last {
        return None;
    }
    let mut sides = 0;
    for level in 0..place.path.len() {
        if last == 0 {
            return None;
        }
        if at % 2 == 1 || at == last {
            sides |= 1u64.checked_shl(u32::try_from(level).ok()?)?;
            while at % 2 == 0 && at != 0 {
                (at, last) = (at / 2, last / 2);
            }
        }
        (at, last) = (at / 2, last / 2);
    }
    (last == 0).then_some(sides)
}

impl Write for RegistryProof {
    fn write(&self, buf: &mut impl BufMut) {
        self.entry.write(buf);
        match self.named {
            Some((size, index)) => {
                size.write(buf);
                index.write(buf);
            }
            None => {
                SIDES.write(buf);
                self.sides.write(buf);
            }
        }
        write_path(&self.siblings, buf);
    }
}

impl EncodeSize for RegistryProof {
    fn encode_size(&self) -> usize {
        let place = if self.named.is_some() { 16 } else { 9 };
        Entry::SIZE + place + path_size(&self.siblings)
    }
}

impl Read for RegistryProof {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let invalid = |why| CodecError::Invalid("voltmesh_ledger::RegistryProof", why);
        let entry = Entry::read(buf)?;
        match u8::read(buf)? {
            SIDES => {
                let (sides, siblings) = (u64::read(buf)?, read_path(buf)?);
                if sides >> siblings.len() != 0 {
                    return Err(invalid("more sides than siblings"));
                }
                Ok(Self { entry, sides, siblings, named: None })
            }
            0 => {
                let mut size = [0; 8];
                for byte in &mut size[1..] {
                    *byte = u8::read(buf)?;
                }
                let (size, index) = (u64::from_be_bytes(size), u64::read(buf)?);
                let place = Inclusion { size, index, path: read_path(buf)? };
                let sides = sides(&place).ok_or(invalid("the path does not fit the tree's size"))?;
                Ok(Self { entry, sides, siblings: place.path, named: Some((size, index)) })
            }
            other => Err(CodecError::InvalidEnum(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Height;
    use commonware_codec::{DecodeExt as _, Encode as _};
    use voltmesh_telemetry::merkle;

    fn entry(n: u8) -> Entry {
        Entry { commitment: Hash::of(&[n]), enrolled_at: Height::new(1), revoked_at: None }
    }

    #[test]
    fn the_sides_lead_where_size_and_index_do() {
        for size in 1..=40u8 {
            let leaves: Vec<Hash> = (0..size).map(|n| entry(n).leaf()).collect();
            let root = merkle::root(&leaves);
            for index in 0..size {
                let place = merkle::prove(&leaves, usize::from(index)).expect("a leaf");
                let proof = RegistryProof::new(entry(index), &place).expect("fits");
                assert!(proof.verify(&root) && !proof.is_of_older_form());
                assert_eq!(RegistryProof::decode(proof.encode()).expect("its own bytes"), proof);
                // The older form is read, keeps its bytes, and is the same once renewed.
                let mut older = entry(index).encode().to_vec();
                crate::state::inclusion::write_inclusion(&place, &mut older);
                let read = RegistryProof::decode(bytes::Bytes::from(older.clone())).expect("of before");
                assert_eq!(read.encode(), older);
                assert!(read.verify(&root) && read.is_of_older_form());
                assert_eq!(read.renewed(), proof);
            }
        }
    }

    #[test]
    fn what_is_not_bound_by_the_root_is_refused() {
        let leaves: Vec<Hash> = (0..3).map(|n| entry(n).leaf()).collect();
        let place = merkle::prove(&leaves, 0).expect("a leaf");
        let proof = RegistryProof::new(entry(0), &place).expect("fits");
        for bit in 2..64 {
            let other = RegistryProof { sides: proof.sides | 1 << bit, ..proof.clone() };
            assert!(RegistryProof::decode(other.encode()).is_err(), "bit {bit}");
        }
        // A sibling that equals the node could stand on either side.
        let twice = RegistryProof { siblings: vec![entry(0).leaf()], ..proof };
        assert!(!twice.verify(&node_hash(&entry(0).leaf(), &entry(0).leaf())));
        for (size, index) in [(0, 0), (3, 3), (2, 0), (5, 0), (u64::MAX >> 8, 0)] {
            assert_eq!(sides(&Inclusion { size, index, ..place.clone() }), None, "{index} of {size}");
        }
    }
}
