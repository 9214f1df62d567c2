//! What replicas tell each other, and on which channel.

use crate::pbft::{
    MAX_PIPELINE,
    certificate::{Ballot, Certificate, Phase, Seat},
};
use bytes::BufMut;
use commonware_codec::{Buf, Encode as _, EncodeSize, Error, FixedSize, RangeCfg, Read, ReadExt as _, Write};
use commonware_consensus::types::View;
use commonware_cryptography::{Hasher as _, Sha256};
use voltmesh_ledger::{Block, Digest, Header, Height, MAX_AUTHORITIES, Signature};

/// Blocks beyond the executed one that a replica deals with, in pipelines: the primary may be so much further.
pub(super) const WINDOW_PIPELINES: u64 = 4;

/// Most claims in a view change: prepared blocks beyond the executed one. 4 × 16.
pub(super) const MAX_CLAIMS: usize = (WINDOW_PIPELINES * MAX_PIPELINE) as usize;

/// Most blocks in one answer.
pub(super) const MAX_ANSWER: usize = 64;

/// Bytes up to which an answer takes more than one block: the decoder of a block refuses input that is longer.
pub(super) const MAX_ANSWER_BYTES: usize = voltmesh_ledger::MAX_BLOCK_BYTES;

/// A channel of [`crate::common::network::Channels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Votes,
    Certificates,
    Blocks,
    Backfill,
}

/// OSDI 4.4: ⟨VIEW-CHANGE, v + 1, n, C, P, i⟩, signed; C and the contents of P travel beside it, see [`Proofs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ViewChange {
    /// The view that the sender wants to enter.
    pub view: View,
    /// Its newest executed block, as committed.
    pub base: Ballot,
    /// Blocks after that one that are prepared at the sender, by ascending height, each in the newest view.
    pub prepared: Vec<Ballot>,
    pub signature: Signature,
}

impl ViewChange {
    /// The bytes under the signature.
    pub fn signed(view: View, base: &Ballot, prepared: &[Ballot]) -> Vec<u8> {
        let mut out = vec![4];
        view.get().write(&mut out);
        base.write(&mut out);
        for ballot in prepared {
            ballot.write(&mut out);
        }
        out
    }
}

/// Certificates for what view changes claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Proofs {
    /// Of committed blocks.
    pub committed: Vec<Certificate>,
    /// Of prepared blocks.
    pub prepared: Vec<(Header, Certificate)>,
}

/// OSDI 4.4: ⟨NEW-VIEW, v + 1, V, O⟩, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewView {
    pub view: View,
    /// V: n − f view changes, by ascending seat.
    pub changes: Vec<(Seat, ViewChange)>,
    /// O: the primary's pre-prepares of what follows from V. What that is, everyone computes.
    pub proposals: Vec<Signature>,
    pub signature: Signature,
    /// Of those claims that decide.
    pub proofs: Proofs,
}

impl NewView {
    /// The bytes under the signature.
    pub fn signed(view: View, changes: &[(Seat, ViewChange)], proposals: &[Signature]) -> Vec<u8> {
        let mut hasher = Sha256::default();
        for (seat, change) in changes {
            hasher.update(&[seat.0]);
            hasher.update(change.encode().as_ref());
        }
        for proposal in proposals {
            hasher.update(proposal.as_ref());
        }
        let mut out = vec![5];
        view.get().write(&mut out);
        out.extend_from_slice(hasher.finalize().1.as_ref());
        out
    }
}

/// Progress of a replica, as it says. Not signed: peers only repeat what they have said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// The view that it is in or wants to enter.
    pub view: View,
    /// Whether it is in it.
    pub active: bool,
    /// Its newest executed block.
    pub executed: Height,
    /// The last block of the primary's that it holds without a gap.
    pub accepted: Height,
    /// Its newest stable checkpoint.
    pub stable: Height,
}

/// Message between replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// ⟨PRE-PREPARE, v, n, d⟩, signed, with the request itself, the block, which says n and d.
    PrePrepare {
        view: View,
        block: Block,
        signature: Signature,
    },
    /// ⟨PREPARE, v, n, d, i⟩, ⟨COMMIT, …⟩ or ⟨CHECKPOINT, n, d, i⟩; the sender signs.
    Vote {
        ballot: Ballot,
        signature: Signature,
    },
    /// A stable checkpoint.
    Stable(Certificate),
    ViewChange(ViewChange, Proofs),
    NewView(NewView),
    Status(Status),
    /// Asks for the committed blocks from this height on.
    Fetch(Height),
    /// Committed blocks, one after the other.
    Committed(Vec<(Certificate, Block)>),
    /// Asks for the block with this digest at this height.
    Want(Height, Digest),
    /// The block.
    Block(Block),
}

impl Message {
    /// Where it travels.
    pub fn channel(&self) -> Channel {
        match self {
            Self::PrePrepare { .. } => Channel::Blocks,
            Self::Vote { ballot, .. } if ballot.phase != Phase::Checkpoint => Channel::Votes,
            Self::Vote { .. } | Self::Stable(_) | Self::ViewChange(..) | Self::NewView(_) => {
                Channel::Certificates
            }
            Self::Status(_) | Self::Fetch(_) | Self::Committed(_) | Self::Want(..) | Self::Block(_) => {
                Channel::Backfill
            }
        }
    }
}

impl Write for ViewChange {
    fn write(&self, buf: &mut impl BufMut) {
        self.view.get().write(buf);
        self.base.write(buf);
        self.prepared.write(buf);
        self.signature.write(buf);
    }
}

impl EncodeSize for ViewChange {
    fn encode_size(&self) -> usize {
        8 + Ballot::SIZE + self.prepared.encode_size() + Signature::SIZE
    }
}

impl Read for ViewChange {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        Ok(Self {
            view: View::new(u64::read(buf)?),
            base: Ballot::read(buf)?,
            prepared: Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_CLAIMS), ()))?,
            signature: Signature::read(buf)?,
        })
    }
}

impl Write for Proofs {
    fn write(&self, buf: &mut impl BufMut) {
        self.committed.write(buf);
        self.prepared.write(buf);
    }
}

impl EncodeSize for Proofs {
    fn encode_size(&self) -> usize {
        self.committed.encode_size() + self.prepared.encode_size()
    }
}

impl Read for Proofs {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        Ok(Self {
            committed: Vec::read_cfg(buf, &(RangeCfg::from(0..=1), ()))?,
            prepared: Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_CLAIMS), ((), ())))?,
        })
    }
}

impl Write for NewView {
    fn write(&self, buf: &mut impl BufMut) {
        self.view.get().write(buf);
        self.changes.write(buf);
        self.proposals.write(buf);
        self.signature.write(buf);
        self.proofs.write(buf);
    }
}

impl EncodeSize for NewView {
    fn encode_size(&self) -> usize {
        8 + self.changes.encode_size()
            + self.proposals.encode_size()
            + Signature::SIZE
            + self.proofs.encode_size()
    }
}

impl Read for NewView {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        Ok(Self {
            view: View::new(u64::read(buf)?),
            changes: Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_AUTHORITIES), ((), ())))?,
            proposals: Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_CLAIMS), ()))?,
            signature: Signature::read(buf)?,
            proofs: Proofs::read(buf)?,
        })
    }
}

impl Write for Status {
    fn write(&self, buf: &mut impl BufMut) {
        self.view.get().write(buf);
        self.active.write(buf);
        self.executed.get().write(buf);
        self.accepted.get().write(buf);
        self.stable.get().write(buf);
    }
}

impl FixedSize for Status {
    const SIZE: usize = 8 + 1 + 3 * 8;
}

impl Read for Status {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        Ok(Self {
            view: View::new(u64::read(buf)?),
            active: bool::read(buf)?,
            executed: Height::new(u64::read(buf)?),
            accepted: Height::new(u64::read(buf)?),
            stable: Height::new(u64::read(buf)?),
        })
    }
}

impl Write for Message {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::PrePrepare { view, block, signature } => {
                0u8.write(buf);
                view.get().write(buf);
                signature.write(buf);
                block.write(buf);
            }
            Self::Vote { ballot, signature } => {
                1u8.write(buf);
                ballot.write(buf);
                signature.write(buf);
            }
            Self::Stable(certificate) => {
                2u8.write(buf);
                certificate.write(buf);
            }
            Self::ViewChange(change, proofs) => {
                3u8.write(buf);
                change.write(buf);
                proofs.write(buf);
            }
            Self::NewView(new_view) => {
                4u8.write(buf);
                new_view.write(buf);
            }
            Self::Status(status) => {
                5u8.write(buf);
                status.write(buf);
            }
            Self::Fetch(from) => {
                6u8.write(buf);
                from.get().write(buf);
            }
            Self::Committed(blocks) => {
                7u8.write(buf);
                blocks.write(buf);
            }
            Self::Want(height, digest) => {
                8u8.write(buf);
                height.get().write(buf);
                digest.write(buf);
            }
            Self::Block(block) => {
                9u8.write(buf);
                block.write(buf);
            }
        }
    }
}

impl EncodeSize for Message {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::PrePrepare { block, .. } => 8 + Signature::SIZE + block.encode_size(),
            Self::Vote { .. } => Ballot::SIZE + Signature::SIZE,
            Self::Stable(certificate) => certificate.encode_size(),
            Self::ViewChange(change, proofs) => change.encode_size() + proofs.encode_size(),
            Self::NewView(new_view) => new_view.encode_size(),
            Self::Status(_) => Status::SIZE,
            Self::Fetch(_) => 8,
            Self::Committed(blocks) => blocks.encode_size(),
            Self::Want(..) => 8 + 32,
            Self::Block(block) => block.encode_size(),
        }
    }
}

impl Read for Message {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        Ok(match u8::read(buf)? {
            0 => {
                let (view, signature) = (View::new(u64::read(buf)?), Signature::read(buf)?);
                Self::PrePrepare { view, block: Block::read(buf)?, signature }
            }
            1 => {
                let ballot = Ballot::read(buf)?;
                if ballot.phase == Phase::PrePrepare {
                    return Err(Error::Invalid(
                        "voltmesh_consensus::pbft::Message",
                        "a pre-prepare has its block",
                    ));
                }
                Self::Vote { ballot, signature: Signature::read(buf)? }
            }
            2 => Self::Stable(Certificate::read(buf)?),
            3 => Self::ViewChange(ViewChange::read(buf)?, Proofs::read(buf)?),
            4 => Self::NewView(NewView::read(buf)?),
            5 => Self::Status(Status::read(buf)?),
            6 => Self::Fetch(Height::new(u64::read(buf)?)),
            7 => Self::Committed(Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_ANSWER), ((), ())))?),
            8 => Self::Want(Height::new(u64::read(buf)?), Digest::read(buf)?),
            9 => Self::Block(Block::read(buf)?),
            other => return Err(Error::InvalidEnum(other)),
        })
    }
}
