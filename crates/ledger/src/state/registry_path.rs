//! Path from a leaf to a registry root.
//!
//! No registry root says over how many leaves it is, so no path can show it. A path holds the siblings on the way to the
//! root and the side of each, and nothing else: every bit of that is bound by the root. Paths of before named the tree's size
//! and the leaf's index, from which the sides follow; other sizes lead to the same sides, and the same root. Such paths are
//! still read, and say of themselves that they are of the older form.

use crate::state::inclusion::{path_size, read_path, write_path};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, Read, ReadExt as _, Write};
use voltmesh_telemetry::{
    Digest as Hash,
    merkle::{Inclusion, node_hash},
};

/// What stands where the older form has the first byte of the tree's size, which is 0: no registry has 2^56 entries.
const SIDES: u8 = 1;

/// Siblings on the way from a leaf to a registry root, with the side of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryPath {
    /// Bit n: whether sibling n is on the left. No bits above.
    sides: u64,
    /// Lowest first.
    siblings: Vec<Hash>,
    /// Size and index that a path of the older form names.
    named: Option<(u64, u64)>,
}

impl RegistryPath {
    /// Path from a leaf's place; `None` if its length does not fit size and index.
    pub(crate) fn new(place: &Inclusion) -> Option<Self> {
        Some(Self { sides: sides(place)?, siblings: place.path.clone(), named: None })
    }

    /// Whether it leads from `leaf` to `root`.
    pub(crate) fn verify(&self, leaf: Hash, root: &Hash) -> bool {
        let mut hash = leaf;
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
    pub(crate) fn is_of_older_form(&self) -> bool {
        self.named.is_some()
    }

    /// The same path in the form of today.
    pub(crate) fn renewed(&self) -> Self {
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

impl Write for RegistryPath {
    fn write(&self, buf: &mut impl BufMut) {
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

impl EncodeSize for RegistryPath {
    fn encode_size(&self) -> usize {
        let place = if self.named.is_some() { 16 } else { 9 };
        place + path_size(&self.siblings)
    }
}

impl Read for RegistryPath {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let invalid = |why| CodecError::Invalid("voltmesh_ledger::RegistryPath", why);
        match u8::read(buf)? {
            SIDES => {
                let (sides, siblings) = (u64::read(buf)?, read_path(buf)?);
                if sides >> siblings.len() != 0 {
                    return Err(invalid("more sides than siblings"));
                }
                Ok(Self { sides, siblings, named: None })
            }
            0 => {
                let mut size = [0; 8];
                for byte in &mut size[1..] {
                    *byte = u8::read(buf)?;
                }
                let (size, index) = (u64::from_be_bytes(size), u64::read(buf)?);
                let place = Inclusion { size, index, path: read_path(buf)? };
                let sides = sides(&place).ok_or(invalid("the path does not fit the tree's size"))?;
                Ok(Self { sides, siblings: place.path, named: Some((size, index)) })
            }
            other => Err(CodecError::InvalidEnum(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_codec::{DecodeExt as _, Encode as _};
    use voltmesh_telemetry::merkle;

    fn leaf(n: u8) -> Hash {
        Hash::of(&[n])
    }

    #[test]
    fn what_is_not_bound_by_the_root_is_refused() {
        let leaves: Vec<Hash> = (0..3).map(leaf).collect();
        let place = merkle::prove(&leaves, 0).expect("a leaf");
        let path = RegistryPath::new(&place).expect("fits");
        for bit in 2..64 {
            let other = RegistryPath { sides: path.sides | 1 << bit, ..path.clone() };
            assert!(RegistryPath::decode(other.encode()).is_err(), "bit {bit}");
        }
        // A sibling that equals the node could stand on either side.
        let twice = RegistryPath { siblings: vec![leaf(0)], ..path };
        assert!(!twice.verify(leaf(0), &node_hash(&leaf(0), &leaf(0))));
        for (size, index) in [(0, 0), (3, 3), (2, 0), (5, 0), (u64::MAX >> 8, 0)] {
            assert_eq!(sides(&Inclusion { size, index, ..place.clone() }), None, "{index} of {size}");
        }
    }
}
