//! Entry of the registry: whose signatures count, and from when until when.

use crate::{
    codec::{read_hash, write_hash},
    commitment::Commitment,
    types::Height,
};
use bytes::BufMut;
use commonware_codec::{Buf, Encode as _, Error as CodecError, FixedSize, Read, ReadExt as _, Write};
use voltmesh_telemetry::{Digest as Hash, merkle::leaf_hash};

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

    /// Its leaf hash under the registry root.
    pub(crate) fn leaf(&self) -> Hash {
        leaf_hash(&self.encode())
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
