//! One entry as it lies in the journal.

use bytes::{BufMut, Bytes};
use commonware_codec::{Buf, EncodeSize, Error, RangeCfg, Read, ReadExt as _, Write};

/// Payload with the running total of payload bytes before it: the spool knows its size after a restart by
/// reading two entries, and `verify` sees a missing one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Payload bytes of all entries before this one.
    pub before: u64,
    /// What the user appended.
    pub payload: Bytes,
}

impl Entry {
    /// Payload bytes up to and with this entry.
    pub fn after(&self) -> u64 {
        self.before + self.payload.len() as u64
    }
}

impl Write for Entry {
    fn write(&self, buf: &mut impl BufMut) {
        self.before.write(buf);
        self.payload.write(buf);
    }
}

impl EncodeSize for Entry {
    fn encode_size(&self) -> usize {
        8 + self.payload.encode_size()
    }
}

impl Read for Entry {
    type Cfg = RangeCfg<usize>;

    fn read_cfg(buf: &mut impl Buf, cfg: &Self::Cfg) -> Result<Self, Error> {
        let before = u64::read(buf)?;
        let payload = Bytes::read_cfg(buf, cfg)?;
        Ok(Self { before, payload })
    }
}
