//! Second copies of foreign records: what fog nodes say to each other about them.
//!
//! The fog node that received records attests them in batches, offers the batches to another node and acknowledges when
//! both hold them durably. When the cloud has archived them, the first node says so and the holder forgets. If the holder
//! hears nothing for a time it asks, and if the first node does not know of them any more, or is gone, the holder anchors
//! the batches as they are. Both doing so is harmless: they are the same batches, and the archive keeps one.
//!
//! Provided: nothing acknowledged is lost with one fog node and its disk; an authority that offers invented records is the
//! only one that attests them. Not provided: protection from an authority that attests what no client sent; its name is
//! in every such row (`attested_by`).

use bytes::{BufMut, Bytes, BytesMut};
use voltmesh_telemetry::Digest;

use super::cursor::Cursor;

/// Largest block in an offer: the p2p channel's bound less this message's head.
pub const MAX_BLOCK: usize = 256 * 1024;
/// Most digests in one message: 32 KiB.
pub const MAX_DIGESTS: usize = 1_024;

/// Largest batch that fits a block alone: less the opening and the batch's length.
pub const MAX_SEALED: usize = MAX_BLOCK - 64 - 4;

const OFFER: u8 = 1;
const HELD: u8 = 2;
const SETTLED: u8 = 3;
const ASK: u8 = 4;
const MINE: u8 = 5;
const UNKNOWN: u8 = 6;
const OFFER_SEALED: u8 = 7;

/// One message on the copies channel. A block is named by the SHA-256 of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Please hold this block of bare records; said by earlier versions.
    Offer(Bytes),
    /// Please hold this block of batches that I attest.
    OfferSealed(Bytes),
    /// I hold these durably.
    Held(Vec<Digest>),
    /// The cloud has archived these: forget them.
    Settled(Vec<Digest>),
    /// Do you still take care of these?
    Ask(Vec<Digest>),
    /// I still take care of these.
    Mine(Vec<Digest>),
    /// I do not know of these: take care of them.
    Unknown(Vec<Digest>),
}

impl Message {
    /// The bytes for the channel.
    pub fn encode(&self) -> Bytes {
        let (kind, digests) = match self {
            Self::Offer(block) => return offer(OFFER, block),
            Self::OfferSealed(block) => return offer(OFFER_SEALED, block),
            Self::Held(digests) => (HELD, digests),
            Self::Settled(digests) => (SETTLED, digests),
            Self::Ask(digests) => (ASK, digests),
            Self::Mine(digests) => (MINE, digests),
            Self::Unknown(digests) => (UNKNOWN, digests),
        };
        let mut out = BytesMut::with_capacity(1 + 32 * digests.len());
        out.put_u8(kind);
        for digest in digests {
            out.put_slice(digest.as_bytes());
        }
        out.freeze()
    }

    /// Reads a message; `None` if it is malformed or beyond a bound.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let mut rest = Cursor(bytes.clone());
        let kind = rest.u8()?;
        if kind == OFFER || kind == OFFER_SEALED {
            let make = if kind == OFFER { Self::Offer } else { Self::OfferSealed };
            return (rest.0.len() <= MAX_BLOCK).then_some(make(rest.0));
        }
        if !rest.0.len().is_multiple_of(32) || rest.0.len() / 32 > MAX_DIGESTS {
            return None;
        }
        let mut digests = Vec::with_capacity(rest.0.len() / 32);
        while let Some(digest) = rest.array::<32>() {
            digests.push(Digest::new(digest));
        }
        Some(match kind {
            HELD => Self::Held(digests),
            SETTLED => Self::Settled(digests),
            ASK => Self::Ask(digests),
            MINE => Self::Mine(digests),
            UNKNOWN => Self::Unknown(digests),
            _ => return None,
        })
    }
}

fn offer(kind: u8, block: &Bytes) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + block.len());
    out.put_u8(kind);
    out.put_slice(block);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decode_inverts_encode(kind in 1u8..=7, body in proptest::collection::vec(any::<[u8; 32]>(), 0..4)) {
            let mut bytes = vec![kind];
            bytes.extend(body.concat());
            let bytes = Bytes::from(bytes);
            prop_assert_eq!(Message::decode(&bytes).map(|message| message.encode()), Some(bytes));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::decode(&Bytes::from(bytes));
        }
    }
}
