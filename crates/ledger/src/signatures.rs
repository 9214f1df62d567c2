//! Signatures of several keys over one message.

use crate::{
    authorities::AuthoritySet,
    error::Error,
    types::{MAX_AUTHORITIES, PublicKey, Signature},
};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, RangeCfg, Read, Write};
use commonware_cryptography::Verifier as _;
use std::collections::BTreeMap;

/// Signatures over one message by different keys, in the order of the keys; at most [`MAX_AUTHORITIES`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signatures(Vec<(PublicKey, Signature)>);

impl Signatures {
    /// Brings signatures into their order; of several by one key the last counts.
    pub fn new(signatures: impl IntoIterator<Item = (PublicKey, Signature)>) -> Self {
        let ordered: BTreeMap<PublicKey, Signature> = signatures.into_iter().collect();
        Self(ordered.into_iter().collect())
    }

    /// Adds one; it replaces an earlier one by the same key.
    pub fn add(&mut self, by: PublicKey, signature: Signature) {
        match self.0.binary_search_by(|(other, _)| other.cmp(&by)) {
            Ok(at) => self.0[at].1 = signature,
            Err(at) => self.0.insert(at, (by, signature)),
        }
    }

    /// Who signed, and how.
    pub fn iter(&self) -> impl Iterator<Item = &(PublicKey, Signature)> {
        self.0.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody signed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks each, and that `counts` has nothing against any signer. `what` names the message.
    pub(crate) fn verify(
        &self,
        what: &'static str,
        namespace: &[u8],
        message: &[u8],
        counts: impl Fn(&PublicKey) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (by, signature) in &self.0 {
            counts(by)?;
            if !by.verify(namespace, message, signature) {
                return Err(Error::Signature { what, by: by.clone() });
            }
        }
        Ok(())
    }

    /// Checks that more than two thirds of `authorities` signed, and nobody else.
    pub(crate) fn verify_quorum(
        &self,
        what: &'static str,
        namespace: &[u8],
        message: &[u8],
        authorities: &AuthoritySet,
    ) -> Result<(), Error> {
        // The cheap reason first.
        if self.len() < authorities.quorum() {
            return Err(Error::Quorum { what, found: self.len(), want: authorities.quorum() });
        }
        self.verify(what, namespace, message, |by| {
            if authorities.contains(by) { Ok(()) } else { Err(Error::NotAuthority(by.clone())) }
        })
    }
}

impl Write for Signatures {
    fn write(&self, buf: &mut impl BufMut) {
        self.0.write(buf);
    }
}

impl EncodeSize for Signatures {
    fn encode_size(&self) -> usize {
        self.0.encode_size()
    }
}

impl Read for Signatures {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let all: Vec<(PublicKey, Signature)> =
            Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_AUTHORITIES), ((), ())))?;
        if !all.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(CodecError::Invalid("voltmesh_ledger::Signatures", "not in the order of the keys"));
        }
        Ok(Self(all))
    }
}
