//! Keys: reading them, and the namespaces under which they sign.

use crate::{
    error::Error,
    types::{Digest, PrivateKey, PublicKey, Signature},
};
use commonware_codec::{Copying, DecodeExt, Encode};
use zeroize::Zeroizing;

/// What every signature of this ledger's format version begins with; [`namespace`] adds the chain.
pub const NAMESPACE: &[u8] = b"voltmesh-ledger-1";

/// The namespace of consensus votes on one chain, so that no vote counts on another.
pub fn namespace(chain: &Digest) -> Vec<u8> {
    [NAMESPACE, chain.as_ref()].concat()
}

/// The namespace of one kind of transaction on one chain.
pub(crate) fn transaction_namespace(kind: &[u8], chain: &Digest) -> Vec<u8> {
    [NAMESPACE, kind, chain.as_ref()].concat()
}

/// SHA-256 of a public key: what COSE headers call `kid`.
pub fn key_id(key: &PublicKey) -> voltmesh_telemetry::Digest {
    voltmesh_telemetry::Digest::of(key.as_ref())
}

/// The private key with this RFC 8032 seed.
pub fn private_key(seed: &[u8; 32]) -> PrivateKey {
    match PrivateKey::decode(Copying(&seed[..])) {
        Ok(key) => key,
        Err(_) => unreachable!("any 32 bytes are an Ed25519 seed"),
    }
}

/// The public key in these 32 bytes, if they are one.
pub fn public_key(bytes: &[u8; 32]) -> Result<PublicKey, Error> {
    PublicKey::decode(Copying(&bytes[..])).map_err(|_| Error::Key(hex::encode(bytes)))
}

/// The public key in 64 hex digits.
pub fn public_key_from_hex(text: &str) -> Result<PublicKey, Error> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| Error::Key(text.chars().take(80).collect()))?;
    public_key(&bytes)
}

/// The signature in these 64 bytes.
pub fn signature(bytes: &[u8; 64]) -> Signature {
    match Signature::decode(Copying(&bytes[..])) {
        Ok(signature) => signature,
        Err(_) => unreachable!("any 64 bytes have the form of a signature"),
    }
}

/// The same key for RFC 8032 signatures without a namespace, as COSE needs them.
pub fn signing_key(key: &PrivateKey) -> ed25519_dalek::SigningKey {
    let encoded = Zeroizing::new(key.encode().to_vec());
    let mut seed = Zeroizing::new([0; 32]);
    seed.copy_from_slice(&encoded);
    ed25519_dalek::SigningKey::from_bytes(&seed)
}

/// The same key for RFC 8032 signatures without a namespace.
pub fn verifying_key(key: &PublicKey) -> Result<ed25519_dalek::VerifyingKey, Error> {
    let wrong = || Error::Key(key.to_string());
    let bytes: [u8; 32] = key.as_ref().try_into().map_err(|_| wrong())?;
    ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| wrong())
}
