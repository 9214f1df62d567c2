//! What entitles an epoch's voters to begin, in a chain whose committee votes for the others.

use crate::committee::{
    replacement::{Decree, Replacement},
    seal::Seal,
};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, Read, ReadExt, Write};

/// Entitlement of an epoch's voters to begin. The first block of an epoch embeds it, so that whoever follows the chain
/// checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EpochOpening {
    /// All authorities stand behind the block before.
    Seal(Seal),
    /// The operators have replaced a committee that stalled.
    Decree(Box<Replacement>),
}

impl EpochOpening {
    /// The decree, if it is one.
    pub fn decree(&self) -> Option<&Decree> {
        match self {
            Self::Seal(_) => None,
            Self::Decree(replacement) => Some(&replacement.decree),
        }
    }
}

impl Write for EpochOpening {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Seal(seal) => {
                0u8.write(buf);
                seal.write(buf);
            }
            Self::Decree(replacement) => {
                1u8.write(buf);
                replacement.write(buf);
            }
        }
    }
}

impl EncodeSize for EpochOpening {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Seal(seal) => seal.encode_size(),
            Self::Decree(replacement) => replacement.encode_size(),
        }
    }
}

impl Read for EpochOpening {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        match u8::read(buf)? {
            0 => Seal::read(buf).map(Self::Seal),
            1 => Replacement::read(buf).map(|replacement| Self::Decree(Box::new(replacement))),
            other => Err(CodecError::InvalidEnum(other)),
        }
    }
}
