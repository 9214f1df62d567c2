//! Hand-overs: how one set of authorities or voters says who comes after it.

use crate::{
    authorities::{AuthoritySet, read_set},
    block::header::Header,
    codec::decode_bounded,
    committee::{replacement::Replacement, seal::Seal},
    error::Error,
    proof::certificate::{Certificate, MAX_CERTIFICATE_BYTES},
    types::{Epoch, Height, MAX_AUTHORITIES, PublicKey, Signature},
};
use bytes::BufMut;
use commonware_codec::{Buf, Encode, EncodeSize, Error as CodecError, FixedSize as _, Read, ReadExt, Write};

/// Longest hand-over: a header, a certificate, twice 128 keys and 128 signatures with their keys; about 29 KiB.
pub const MAX_HANDOVER_BYTES: usize = Header::SIZE
    + MAX_CERTIFICATE_BYTES
    + 2 * MAX_AUTHORITIES * 32
    + MAX_AUTHORITIES * (32 + Signature::SIZE)
    + 32;

/// Says decree where a header says its version.
const DECREE: u8 = 0;
/// Says there that an epoch's end with a seal follows.
const SEALED: u8 = 1;

/// Change of the authorities or voters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handover {
    /// What an epoch's last block settles for the next but one.
    Epoch(Box<EpochEnd>),
    /// The operators replaced a committee that had stalled, and more than two thirds of all authorities follow.
    Decree(Box<Replacement>),
}

/// The last block of an epoch, final, and the authorities that it names for the next-but-one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch's last header.
    pub header: Header,
    /// Makes it final, by the epoch's own authorities.
    pub certificate: Certificate,
    /// Serve from the next-but-one epoch on.
    pub authorities: AuthoritySet,
    /// Those of them that vote; `None` if all do.
    pub committee: Option<AuthoritySet>,
    /// By more than two thirds of all authorities of the epoch; only where a committee votes.
    pub seal: Option<Seal>,
}

impl EpochEnd {
    /// The first epoch in which the set serves.
    pub fn epoch(&self) -> Epoch {
        self.header.epoch.next().next()
    }
}

impl Handover {
    /// Height of the block that holds it: the last of an epoch, or the first by a decree.
    pub fn height(&self) -> Height {
        match self {
            Self::Epoch(end) => end.header.height,
            Self::Decree(replacement) => replacement.decree.first(),
        }
    }

    /// Whether the other one says the same, perhaps by other signatures.
    pub(crate) fn says(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Epoch(a), Self::Epoch(b)) => {
                (&a.header, &a.authorities, &a.committee) == (&b.header, &b.authorities, &b.committee)
            }
            (Self::Decree(a), Self::Decree(b)) => a.decree.digest() == b.decree.digest(),
            _ => false,
        }
    }

    /// Reads encoded bytes of at most [`MAX_HANDOVER_BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        decode_bounded("hand-over", bytes, MAX_HANDOVER_BYTES, &())
    }

    /// Encodes.
    pub fn to_bytes(&self) -> bytes::Bytes {
        self.encode()
    }
}

impl From<EpochEnd> for Handover {
    fn from(end: EpochEnd) -> Self {
        Self::Epoch(Box::new(end))
    }
}

impl From<Replacement> for Handover {
    fn from(replacement: Replacement) -> Self {
        Self::Decree(Box::new(replacement))
    }
}

/// The committee's keys, none if all authorities vote.
fn committee(end: &EpochEnd) -> &[PublicKey] {
    end.committee.as_ref().map_or(&[], |set| set.as_set().as_ref())
}

impl Write for EpochEnd {
    fn write(&self, buf: &mut impl BufMut) {
        if self.seal.is_some() {
            SEALED.write(buf);
        }
        self.header.write(buf);
        self.certificate.write(buf);
        self.authorities.as_set().as_ref().write(buf);
        committee(self).write(buf);
        if let Some(seal) = &self.seal {
            seal.write(buf);
        }
    }
}

impl Write for Handover {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Epoch(end) => end.write(buf),
            Self::Decree(replacement) => {
                DECREE.write(buf);
                replacement.write(buf);
            }
        }
    }
}

impl EncodeSize for Handover {
    fn encode_size(&self) -> usize {
        match self {
            Self::Epoch(end) => {
                Header::SIZE
                    + end.certificate.encode_size()
                    + end.authorities.as_set().as_ref().encode_size()
                    + committee(end).encode_size()
                    + end.seal.as_ref().map_or(0, |seal| 1 + seal.encode_size())
            }
            Self::Decree(replacement) => 1 + replacement.encode_size(),
        }
    }
}

impl Read for Handover {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let version = u8::read(buf)?;
        if version == DECREE {
            return Replacement::read(buf).map(Self::from);
        }
        let sealed = version == SEALED;
        let header = if sealed { Header::read(buf)? } else { Header::read_version(version, buf)? };
        let certificate = Certificate::read(buf)?;
        let none = CodecError::Invalid("voltmesh_ledger::Handover", "no authorities");
        let authorities = read_set(buf)?.ok_or(none)?;
        let committee = read_set(buf)?;
        let seal = if sealed { Some(Seal::read(buf)?) } else { None };
        Ok(EpochEnd { header, certificate, authorities, committee, seal }.into())
    }
}
