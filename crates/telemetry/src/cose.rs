//! COSE_Sign1 (RFC 9052) with EdDSA, and COSE receipts (RFC 9942) of RFC 9162 trees.
//!
//! Provided: one canonical encoding per message (decoding refuses any other); signatures over attached or
//! detached payloads, checked strictly (no small-order keys, no second encoding of a signature).
//! Not provided: other algorithms, countersignatures, critical headers.

use crate::{
    Digest, Error,
    cbor::{Reader, Writer},
    merkle::Inclusion,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

/// Largest COSE message that [`Sign1::decode`] reads: 4 MiB, beyond any batch or proof.
pub const MAX_SIGN1_BYTES: usize = 4 << 20;

/// RFC 9052 3.1: algorithm, with EdDSA's code.
const ALG: i64 = 1;
const EDDSA: i64 = -8;
/// RFC 9052 3.1: key identifier.
const KID: i64 = 4;
/// RFC 9597: CWT claims, of which RFC 8392 numbers issuer and subject.
const CWT_CLAIMS: i64 = 15;
const ISS: i64 = 1;
const SUB: i64 = 2;
/// RFC 9942: receipts, verifiable data structure (1: RFC 9162 with SHA-256), and proofs (-1: inclusion).
pub const RECEIPTS: i64 = 394;
const VDS: i64 = 395;
const RFC9162_SHA256: i64 = 1;
/// RFC 9942: the unprotected header that carries proofs.
pub const VDP: i64 = 396;
const INCLUSION_PROOFS: i64 = -1;
/// Our own claims, under a text label.
const EXTENSION: &str = "voltmesh";
/// Tag of COSE_Sign1.
const SIGN1: u64 = 18;

/// SHA-256 of a public key's 32 bytes: how statements and logs name keys.
pub fn key_id(key: &VerifyingKey) -> Digest {
    Digest::of(key.as_bytes())
}

/// The signed header of everything that Voltmesh signs as COSE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protected {
    /// [`key_id`] of the signer.
    pub key_id: Digest,
    /// Who says it: a URN.
    pub issuer: String,
    /// Of what.
    pub subject: String,
    /// Whether the payload is an RFC 9162 root, so that the signature serves in receipts.
    pub tree: bool,
    /// Deterministic CBOR of our own claims: one item.
    pub extension: Vec<u8>,
}

impl Protected {
    /// The header map in deterministic CBOR.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(160 + self.extension.len());
        writer.map(4 + usize::from(self.tree)).int(ALG).int(EDDSA);
        writer.int(KID).bytes(self.key_id.as_bytes());
        writer.int(CWT_CLAIMS).map(2).int(ISS).text(&self.issuer).int(SUB).text(&self.subject);
        if self.tree {
            writer.int(VDS).int(RFC9162_SHA256);
        }
        writer.text(EXTENSION).raw(&self.extension);
        writer.finish()
    }

    /// Reads [`encode`](Self::encode)'s bytes and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("COSE protected header", bytes);
        let tree = match reader.map()? {
            4 => false,
            5 => true,
            _ => return Err(reader.malformed("want 4 or 5 header parameters")),
        };
        reader.key(ALG)?;
        if reader.int()? != EDDSA {
            return Err(reader.malformed("want algorithm EdDSA"));
        }
        reader.key(KID)?;
        let key_id = reader.digest()?;
        reader.key(CWT_CLAIMS)?;
        reader.map_of(2)?;
        reader.key(ISS)?;
        let issuer = reader.text()?.to_owned();
        reader.key(SUB)?;
        let subject = reader.text()?.to_owned();
        if tree {
            reader.key(VDS)?;
            if reader.int()? != RFC9162_SHA256 {
                return Err(reader.malformed("want an RFC 9162 tree with SHA-256"));
            }
        }
        reader.text_key(EXTENSION)?;
        let extension = reader.item()?.to_owned();
        reader.finish()?;
        Ok(Self { key_id, issuer, subject, tree, extension })
    }
}

/// A COSE_Sign1 message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign1 {
    /// The encoded protected header, see [`Protected`].
    pub protected: Vec<u8>,
    /// The encoded unprotected header: one map. Nothing signs it; whoever reads it checks it.
    pub unprotected: Vec<u8>,
    /// The payload; `None` where it is detached.
    pub payload: Option<Vec<u8>>,
    /// The Ed25519 signature.
    pub signature: [u8; 64],
}

/// The encoding of an empty map.
const EMPTY_MAP: u8 = 0xa0;

impl Sign1 {
    /// Signs `payload` and attaches it.
    pub fn sign(protected: &Protected, payload: &[u8], key: &SigningKey) -> Self {
        let protected = protected.encode();
        let signature = key.sign(&to_be_signed(&protected, payload)).to_bytes();
        Self { protected, unprotected: vec![EMPTY_MAP], payload: Some(payload.to_vec()), signature }
    }

    /// The same message without its payload and with this unprotected header (an encoded map).
    pub fn detached(&self, unprotected: Vec<u8>) -> Self {
        Self { payload: None, unprotected, ..self.clone() }
    }

    /// The same message with this payload and an empty unprotected header: the bytes that were first signed.
    pub fn attached(&self, payload: &[u8]) -> Self {
        Self { payload: Some(payload.to_vec()), unprotected: vec![EMPTY_MAP], ..self.clone() }
    }

    /// Whether the unprotected header is empty.
    pub fn has_bare_header(&self) -> bool {
        self.unprotected == [EMPTY_MAP]
    }

    /// Checks the signature over the attached payload.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), Error> {
        match &self.payload {
            Some(payload) => self.verify_detached(payload, key),
            None => Err(Error::Inconsistent { what: "COSE_Sign1", why: "the payload is detached" }),
        }
    }

    /// Checks the signature over `payload`.
    pub fn verify_detached(&self, payload: &[u8], key: &VerifyingKey) -> Result<(), Error> {
        let signature = Signature::from_bytes(&self.signature);
        key.verify_strict(&to_be_signed(&self.protected, payload), &signature)
            .map_err(|_| Error::Signature { what: "COSE_Sign1", key_id: key_id(key) })
    }

    /// The tagged message.
    pub fn encode(&self) -> Vec<u8> {
        let payload = self.payload.as_deref().unwrap_or_default();
        let mut writer =
            Writer::with_capacity(self.protected.len() + self.unprotected.len() + payload.len() + 84);
        writer.tag(SIGN1).array(4).bytes(&self.protected).raw(&self.unprotected);
        match &self.payload {
            Some(payload) => writer.bytes(payload),
            None => writer.null(),
        };
        writer.bytes(&self.signature);
        writer.finish()
    }

    /// Reads a tagged message in deterministic CBOR and nothing else; the protected header must be decoded apart.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Error::limit("COSE_Sign1", bytes.len(), MAX_SIGN1_BYTES)?;
        let mut reader = Reader::new("COSE_Sign1", bytes);
        reader.tag(SIGN1)?;
        reader.array_of(4)?;
        let protected = reader.bytes()?.to_vec();
        let mut map = reader.clone();
        map.map()?;
        let unprotected = reader.item()?.to_vec();
        let payload = if reader.null() { None } else { Some(reader.bytes()?.to_vec()) };
        let signature = reader.fixed()?;
        reader.finish()?;
        Ok(Self { protected, unprotected, payload, signature })
    }
}

/// RFC 9052 4.4: `["Signature1", protected, external_aad = '', payload]`.
fn to_be_signed(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(protected.len() + payload.len() + 32);
    writer.array(4).text("Signature1").bytes(protected).bytes(&[]).bytes(payload);
    writer.finish()
}

/// The value of header 396: `{-1: [bstr .cbor [size, index, [path…]]]}`, one inclusion proof.
pub fn encode_vdp(proof: &Inclusion) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(1).int(INCLUSION_PROOFS).array(1).bytes(&proof.encode());
    writer.finish()
}

/// Reads the value of header 396.
pub fn decode_vdp(reader: &mut Reader<'_>) -> Result<Inclusion, Error> {
    reader.map_of(1)?;
    reader.key(INCLUSION_PROOFS)?;
    reader.array_of(1)?;
    Inclusion::decode(reader.bytes()?)
}

/// An RFC 9942 receipt: a signed root, detached, and the inclusion proof that leads to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The encoded protected header of the signed root.
    pub protected: Vec<u8>,
    /// The signature over the root.
    pub signature: [u8; 64],
    /// From a leaf to the root.
    pub proof: Inclusion,
}

impl Receipt {
    /// A receipt from a signed root and a proof.
    pub fn new(signed_root: &Sign1, proof: Inclusion) -> Self {
        Self { protected: signed_root.protected.clone(), signature: signed_root.signature, proof }
    }

    /// Recomputes the root from the leaf's hash and checks the signature over it.
    pub fn verify(&self, leaf: &Digest, key: &VerifyingKey) -> Result<Digest, Error> {
        let root = self.proof.root(leaf).ok_or(Error::Inconsistent {
            what: "receipt",
            why: "the inclusion path does not fit the tree's size",
        })?;
        self.signed_root(&root).verify(key)?;
        Ok(root)
    }

    /// The message that was signed, if its payload was `root`.
    pub fn signed_root(&self, root: &Digest) -> Sign1 {
        Sign1 {
            protected: self.protected.clone(),
            unprotected: vec![EMPTY_MAP],
            payload: Some(root.to_bytes().to_vec()),
            signature: self.signature,
        }
    }

    /// The receipt as COSE.
    pub fn encode(&self) -> Vec<u8> {
        let mut unprotected = Writer::new();
        unprotected.map(1).int(VDP).raw(&encode_vdp(&self.proof));
        Sign1 {
            protected: self.protected.clone(),
            unprotected: unprotected.finish(),
            payload: None,
            signature: self.signature,
        }
        .encode()
    }

    /// Reads [`encode`](Self::encode)'s bytes and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let message = Sign1::decode(bytes)?;
        if message.payload.is_some() {
            return Err(Error::Inconsistent { what: "receipt", why: "the payload is attached" });
        }
        let mut reader = Reader::new("receipt's unprotected header", &message.unprotected);
        reader.map_of(1)?;
        reader.key(VDP)?;
        let proof = decode_vdp(&mut reader)?;
        reader.finish()?;
        Ok(Self { protected: message.protected, signature: message.signature, proof })
    }
}
