//! Proof that an entry is in the registry.

use crate::state::{entry::Entry, registry_path::RegistryPath};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, FixedSize as _, Read, ReadExt as _, Write};
use voltmesh_telemetry::{Digest as Hash, merkle::Inclusion};

/// That an entry is in the registry with a certain root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryProof {
    /// The entry.
    pub entry: Entry,
    path: RegistryPath,
}

impl RegistryProof {
    /// Proof of an entry from its place; `None` if the path does not fit size and index.
    pub(crate) fn new(entry: Entry, place: &Inclusion) -> Option<Self> {
        Some(Self { entry, path: RegistryPath::new(place)? })
    }

    /// Whether the entry is in the registry with `root`.
    pub fn verify(&self, root: &Hash) -> bool {
        self.path.verify(self.entry.leaf(), root)
    }

    /// Whether it names the size of the registry's tree, which nothing commits to.
    pub fn is_of_older_form(&self) -> bool {
        self.path.is_of_older_form()
    }

    /// The same proof in the form of today.
    pub fn renewed(&self) -> Self {
        Self { path: self.path.renewed(), ..self.clone() }
    }
}

impl Write for RegistryProof {
    fn write(&self, buf: &mut impl BufMut) {
        self.entry.write(buf);
        self.path.write(buf);
    }
}

impl EncodeSize for RegistryProof {
    fn encode_size(&self) -> usize {
        Entry::SIZE + self.path.encode_size()
    }
}

impl Read for RegistryProof {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self { entry: Entry::read(buf)?, path: RegistryPath::read(buf)? })
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
}
