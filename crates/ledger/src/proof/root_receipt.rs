//! Log receipts: an authority's signature over the log's root, as COSE receipts (RFC 9942) carry it.

use crate::{
    block::header::Header,
    error::Error,
    keys::{key_id, signature, signing_key, verifying_key},
    types::{Digest, Height, PrivateKey, PublicKey, Signature},
};
use bytes::BufMut;
use commonware_codec::{Buf, Error as CodecError, FixedSize, Read, ReadExt, Write};
use commonware_cryptography::Signer as _;
use voltmesh_telemetry::{
    Digest as KeyId, cbor,
    cose::{Protected, Receipt, Sign1},
    merkle::Inclusion,
};

/// Version of the signed header's own claims.
const VERSION: u64 = 1;

/// Signature of an authority: "I hold block `height` as final; its log has `size` batches and this root". The root
/// itself is not repeated: the header has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootReceipt {
    /// Who signed.
    pub authority: PublicKey,
    /// Height of the block.
    pub height: Height,
    /// Batches in the log after it.
    pub size: u64,
    /// Ed25519 over COSE's `Signature1` structure.
    pub signature: Signature,
}

impl RootReceipt {
    /// Signs the root in a header that is final.
    pub fn sign(chain: &Digest, key: &PrivateKey, header: &Header) -> Self {
        let authority = key.public_key();
        let protected = protected(chain, key_id(&authority), header.height, header.log_size);
        let signed = Sign1::sign(&protected, header.log_root.as_bytes(), &signing_key(key));
        let signature = signature(&signed.signature);
        Self { authority, height: header.height, size: header.log_size, signature }
    }

    /// Checks that the signature is over the root in `header`. Whether the signer counts is the caller's question.
    pub fn verify(&self, chain: &Digest, header: &Header) -> Result<(), Error> {
        let wrong = || Error::Signature { what: "log root", by: self.authority.clone() };
        if (self.height, self.size) != (header.height, header.log_size) {
            return Err(wrong());
        }
        let key = verifying_key(&self.authority)?;
        self.signed_root(chain).verify_detached(header.log_root.as_bytes(), &key).map_err(|_| wrong())
    }

    /// The signed root as COSE_Sign1 with detached payload.
    pub fn signed_root(&self, chain: &Digest) -> Sign1 {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.signature.as_ref());
        Sign1 {
            protected: protected(chain, key_id(&self.authority), self.height, self.size).encode(),
            unprotected: cbor::Writer::new().map(0).finish(),
            payload: None,
            signature,
        }
    }

    /// The RFC 9942 receipt for the batch at this place of the log.
    pub fn receipt(&self, chain: &Digest, inclusion: &Inclusion) -> Receipt {
        Receipt::new(&self.signed_root(chain), inclusion.clone())
    }

    /// Whose key a receipt of the log names, by its [`key_id`], if its header has exactly the form that
    /// [`receipt`](Self::receipt) writes. Does not check the signature.
    pub(crate) fn named_by(chain: &Digest, receipt: &Receipt) -> Option<Named> {
        let header = Protected::decode(&receipt.protected).ok()?;
        let mut claims = cbor::Reader::new("log receipt", &header.extension);
        claims.array_of(3).ok()?;
        claims.uint().ok().filter(|version| *version == VERSION)?;
        let (height, size) = (Height::new(claims.uint().ok()?), claims.uint().ok()?);
        let named = Named { key_id: header.key_id, height, size };
        (protected(chain, named.key_id, height, size) == header).then_some(named)
    }
}

/// Content of the header of a log receipt.
pub(crate) struct Named {
    /// Whose key.
    pub key_id: KeyId,
    height: Height,
    size: u64,
}

impl Named {
    /// The receipt as that of this authority, whose [`key_id`] it names.
    pub(crate) fn of(&self, authority: PublicKey, receipt: &Receipt) -> RootReceipt {
        let Self { height, size, .. } = *self;
        RootReceipt { authority, height, size, signature: signature(&receipt.signature) }
    }
}

/// The header that an authority signs with the root.
fn protected(chain: &Digest, key_id: KeyId, height: Height, size: u64) -> Protected {
    Protected {
        key_id,
        issuer: format!("urn:voltmesh:ledger:{chain}"),
        subject: "log".into(),
        tree: true,
        extension: cbor::Writer::new().array(3).uint(VERSION).uint(height.get()).uint(size).finish(),
    }
}

impl Write for RootReceipt {
    fn write(&self, buf: &mut impl BufMut) {
        self.authority.write(buf);
        self.height.get().write(buf);
        self.size.write(buf);
        self.signature.write(buf);
    }
}

impl FixedSize for RootReceipt {
    const SIZE: usize = 32 + 8 + 8 + 64;
}

impl Read for RootReceipt {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            authority: PublicKey::read(buf)?,
            height: Height::new(u64::read(buf)?),
            size: u64::read(buf)?,
            signature: Signature::read(buf)?,
        })
    }
}
