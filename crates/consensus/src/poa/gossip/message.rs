//! What nodes tell each other beside consensus, on [`crate::common::network::ROOTS`].

use crate::poa::{
    gossip::{
        censorship::{MAX_OVERDUE, Overdue},
        root_signatures::MAX_ASKED,
    },
    sync::snapshot_offer::{Chunk, MAX_HANDOVERS_SENT, Offer},
};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error, RangeCfg, Read, ReadExt as _, Write};
use voltmesh_ledger::{
    Certificate, Handover, MAX_AUTHORITIES, MAX_CUTS, Replacement, RootReceipt, SealSignature,
};

/// Most signatures in one message: an answer to a full question, where a committee votes. 64 × 86 × 112 B = 602 KiB.
const MAX_RECEIPTS: usize = MAX_ASKED * (2 * MAX_AUTHORITIES / 3 + 1);

/// Message between nodes beside the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// How far the sender is; sent each second.
    Status { height: u64, epoch: u64 },
    /// Signatures of log roots.
    Receipts(Vec<RootReceipt>),
    /// Asks for the signatures of the blocks at these heights.
    WantReceipts(Vec<u64>),
    /// Asks for the certificates of the blocks at these heights.
    WantCertificates(Vec<u64>),
    /// The certificate of the block at that height.
    Certificate(u64, Certificate),
    /// Asks for the same number at once: measures the way.
    Ping(u64),
    /// Answers it.
    Pong(u64),
    /// Transactions that wait at the sender for too long.
    Overdue(Vec<Overdue>),
    /// Height of the first block that the sender still holds; sent with its status once it has pruned.
    Oldest(u64),
    /// Asks for the hand-overs after that height.
    WantHandovers(u64),
    /// Some of them, in order.
    Handovers(Vec<Handover>),
    /// Asks which snapshot there is.
    WantOffer,
    /// The newest one.
    Offer(Box<Offer>),
    /// Asks for a piece of the snapshot at that height.
    WantChunk(u64, u32),
    /// The piece.
    Chunk(Chunk),
    /// Signatures that seal the last block of an epoch; at most 128 × 144 B = 18 KiB.
    Seals(Vec<SealSignature>),
    /// Asks for those of the block at this height.
    WantSeals(u64),
    /// Operators replace a committee that has stalled; with those who follow, as far as the sender knows. At most
    /// [`voltmesh_ledger::MAX_REPLACEMENT_BYTES`], 18 KiB.
    Decree(Box<Replacement>),
    /// Asks for the decree after the block at this height.
    WantDecree(u64),
    /// First heights and epochs after decrees, where there were any; before each status. At most 1,024 × 16 B.
    Cuts(Vec<(u64, u64)>),
}

impl Write for Message {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Status { height, epoch } => {
                0u8.write(buf);
                height.write(buf);
                epoch.write(buf);
            }
            Self::Receipts(receipts) => {
                1u8.write(buf);
                receipts.write(buf);
            }
            Self::WantReceipts(heights) => {
                2u8.write(buf);
                heights.write(buf);
            }
            Self::WantCertificates(heights) => {
                3u8.write(buf);
                heights.write(buf);
            }
            Self::Certificate(height, certificate) => {
                4u8.write(buf);
                height.write(buf);
                certificate.write(buf);
            }
            Self::Ping(nonce) => {
                5u8.write(buf);
                nonce.write(buf);
            }
            Self::Pong(nonce) => {
                6u8.write(buf);
                nonce.write(buf);
            }
            Self::Overdue(list) => {
                7u8.write(buf);
                list.write(buf);
            }
            Self::Oldest(height) => {
                8u8.write(buf);
                height.write(buf);
            }
            Self::WantHandovers(after) => {
                9u8.write(buf);
                after.write(buf);
            }
            Self::Handovers(handovers) => {
                10u8.write(buf);
                handovers.write(buf);
            }
            Self::WantOffer => 11u8.write(buf),
            Self::Offer(offer) => {
                12u8.write(buf);
                offer.write(buf);
            }
            Self::WantChunk(height, index) => {
                13u8.write(buf);
                height.write(buf);
                index.write(buf);
            }
            Self::Chunk(chunk) => {
                14u8.write(buf);
                chunk.write(buf);
            }
            Self::Seals(list) => {
                15u8.write(buf);
                list.write(buf);
            }
            Self::WantSeals(height) => {
                16u8.write(buf);
                height.write(buf);
            }
            Self::Decree(replacement) => {
                17u8.write(buf);
                replacement.write(buf);
            }
            Self::WantDecree(height) => {
                18u8.write(buf);
                height.write(buf);
            }
            Self::Cuts(cuts) => {
                19u8.write(buf);
                cuts.write(buf);
            }
        }
    }
}

impl EncodeSize for Message {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Status { .. } => 16,
            Self::Receipts(receipts) => receipts.encode_size(),
            Self::WantReceipts(heights) | Self::WantCertificates(heights) => heights.encode_size(),
            Self::Ping(_) | Self::Pong(_) | Self::Oldest(_) | Self::WantHandovers(_) => 8,
            Self::Handovers(handovers) => handovers.encode_size(),
            Self::WantOffer => 0,
            Self::Offer(offer) => offer.encode_size(),
            Self::WantChunk(..) => 12,
            Self::Chunk(chunk) => chunk.encode_size(),
            Self::WantSeals(_) | Self::WantDecree(_) => 8,
            Self::Decree(replacement) => replacement.encode_size(),
            Self::Cuts(cuts) => cuts.encode_size(),
            Self::Overdue(list) => list.encode_size(),
            Self::Seals(list) => list.encode_size(),
            Self::Certificate(_, certificate) => 8 + certificate.encode_size(),
        }
    }
}

impl Read for Message {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        let heights = (RangeCfg::from(0..=MAX_ASKED), ());
        Ok(match u8::read(buf)? {
            0 => Self::Status { height: u64::read(buf)?, epoch: u64::read(buf)? },
            1 => Self::Receipts(Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_RECEIPTS), ()))?),
            2 => Self::WantReceipts(Vec::read_cfg(buf, &heights)?),
            3 => Self::WantCertificates(Vec::read_cfg(buf, &heights)?),
            4 => Self::Certificate(u64::read(buf)?, Certificate::read(buf)?),
            5 => Self::Ping(u64::read(buf)?),
            6 => Self::Pong(u64::read(buf)?),
            7 => Self::Overdue(Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_OVERDUE), ()))?),
            8 => Self::Oldest(u64::read(buf)?),
            9 => Self::WantHandovers(u64::read(buf)?),
            10 => Self::Handovers(Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_HANDOVERS_SENT), ()))?),
            11 => Self::WantOffer,
            12 => Self::Offer(Box::new(Offer::read(buf)?)),
            13 => Self::WantChunk(u64::read(buf)?, u32::read(buf)?),
            14 => Self::Chunk(Chunk::read(buf)?),
            15 => Self::Seals(Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_AUTHORITIES), ()))?),
            16 => Self::WantSeals(u64::read(buf)?),
            17 => Self::Decree(Box::new(Replacement::read(buf)?)),
            18 => Self::WantDecree(u64::read(buf)?),
            19 => Self::Cuts(Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_CUTS), ((), ())))?),
            other => return Err(Error::InvalidEnum(other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_codec::{DecodeExt as _, Encode as _};
    use voltmesh_ledger::testing::Network;

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
        let network = Network::new(4);
        let header = network.genesis().block().header().clone();
        let receipt = RootReceipt::sign(&network.genesis().digest(), network.authority(0), &header);
        check(Message::Status { height: 5, epoch: 1 }, "0000000000000000050000000000000001");
        check(Message::Receipts(vec![receipt]), "0101");
        check(Message::WantReceipts(vec![7, 8]), "020200000000000000070000000000000008");
        check(Message::WantCertificates(vec![7]), "03010000000000000007");
        check(Message::Ping(9), "050000000000000009");
        check(Message::Pong(9), "060000000000000009");
        let seal = SealSignature::sign(&network.genesis().digest(), network.authority(0), &header);
        check(Message::Seals(vec![seal]), "0f01000000000000000000000000000000");
        check(Message::WantSeals(7), "100000000000000007");
        let state = voltmesh_ledger::State::new(network.genesis());
        let decree = network.decree(&state, &[0, 1, 2, 3]);
        let replacement = network.replacement(decree, &network.genesis().authorities, &[0, 2]);
        check(Message::Decree(Box::new(replacement)), "11");
        check(Message::WantDecree(7), "120000000000000007");
        check(Message::Cuts(vec![(7, 2)]), "130100000000000000070000000000000002");
        check(Message::Oldest(9), "080000000000000009");
        check(Message::WantHandovers(9), "090000000000000009");
        check(Message::Handovers(Vec::new()), "0a00");
        check(Message::WantOffer, "0b");
        check(Message::WantChunk(9, 1), "0d000000000000000900000001");
        let bytes = bytes::Bytes::from_static(&[7; 3]);
        check(Message::Chunk(Chunk { height: 9, index: 1, bytes }), "0e00000000000000090000000103070707");
        assert!(Message::decode(bytes::Bytes::from_static(&[20])).is_err());
        assert!(Message::decode(Message::WantReceipts(vec![0; MAX_ASKED + 1]).encode()).is_err());
    }
}
