//! Requests for missing blocks and the answers, on [`crate::common::network::BACKFILL`].

use crate::pow::puzzle::MAX_SEALED_BYTES;
use bytes::{BufMut, Bytes};
use commonware_codec::{Buf, EncodeSize, Error, RangeCfg, Read, ReadExt as _, Write};
use voltmesh_ledger::Digest;

/// Digests by which a request tells what it has: ten newest, then ever farther back, 2^54 blocks at most.
pub(crate) const MAX_HAVE: usize = 64;

/// Blocks in an answer.
pub(crate) const MAX_BLOCKS: usize = 64;

/// Bytes of blocks in an answer, unless a single block is longer. With framing below
/// [`crate::common::network::MAX_MESSAGE_BYTES`].
pub(crate) const MAX_BYTES: usize = 2 * 1024 * 1024;

/// Request for missing blocks, or its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Asks for the blocks that lead to one, after the newest that both have.
    Ask {
        /// Digest of that one.
        wanted: Digest,
        /// Digests of the asking node's chain, the newest first.
        have: Vec<Digest>,
    },
    /// Sealed blocks, each the next one's parent. They may end before the one asked for: ask again.
    Answer(Vec<Bytes>),
}

impl Write for Message {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Ask { wanted, have } => {
                0u8.write(buf);
                wanted.write(buf);
                have.write(buf);
            }
            Self::Answer(blocks) => {
                1u8.write(buf);
                blocks.write(buf);
            }
        }
    }
}

impl EncodeSize for Message {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Ask { wanted, have } => wanted.encode_size() + have.encode_size(),
            Self::Answer(blocks) => blocks.encode_size(),
        }
    }
}

impl Read for Message {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        Ok(match u8::read(buf)? {
            0 => Self::Ask {
                wanted: Digest::read(buf)?,
                have: Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_HAVE), ()))?,
            },
            1 => {
                let block = RangeCfg::from(0..=MAX_SEALED_BYTES);
                Self::Answer(Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_BLOCKS), block))?)
            }
            other => return Err(Error::InvalidEnum(other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_codec::{DecodeExt as _, Encode as _};
    use commonware_cryptography::{Hasher as _, Sha256};

    fn check(message: Message, golden: &str) {
        let bytes = message.encode();
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(text.starts_with(golden), "{text}");
        assert_eq!(Message::decode(bytes.clone()).unwrap(), message);
        for len in 0..bytes.len() {
            assert!(Message::decode(bytes.slice(..len)).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn messages_have_one_encoding() {
        let digest = Sha256::hash(&[]);
        check(Message::Ask { wanted: digest, have: vec![digest] }, "00e3b0c442");
        check(Message::Answer(vec![Bytes::from_static(&[7, 8]), Bytes::from_static(&[9])]), "010202070801");
        assert!(Message::decode(Bytes::from_static(&[2])).is_err());
        let many = Message::Ask { wanted: digest, have: vec![digest; MAX_HAVE + 1] };
        assert!(Message::decode(many.encode()).is_err());
        assert!(Message::decode(Message::Answer(vec![Bytes::new(); MAX_BLOCKS + 1]).encode()).is_err());
        let long = Message::Answer(vec![Bytes::from(vec![0; MAX_SEALED_BYTES + 1])]);
        assert!(Message::decode(long.encode()).is_err());
    }
}
