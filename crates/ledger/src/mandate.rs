//! What entitles an epoch's voters to begin, in a chain whose committee votes for the others.

use crate::seal::Seal;
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, Read, ReadExt, Write};

/// The first block of an epoch embeds it, so that whoever follows the chain checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mandate {
    /// All authorities stand behind the block before.
    Seal(Seal),
}

impl Write for Mandate {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Seal(seal) => {
                0u8.write(buf);
                seal.write(buf);
            }
        }
    }
}

impl EncodeSize for Mandate {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Seal(seal) => seal.encode_size(),
        }
    }
}

impl Read for Mandate {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        match u8::read(buf)? {
            0 => Seal::read(buf).map(Self::Seal),
            other => Err(CodecError::InvalidEnum(other)),
        }
    }
}
