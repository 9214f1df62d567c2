//! Keys, namespaces and ordered authority sets.

use crate::error::Error;
use commonware_codec::{Copying, DecodeExt, Encode};
use commonware_cryptography::{Hasher, Sha256, Signer as _};
use commonware_utils::{N3f1, ordered::Quorum as _, ordered::Set};
use std::{collections::BTreeSet, fmt};
use zeroize::Zeroizing;

pub use commonware_consensus::simplex::scheme::ed25519::Scheme;
pub use commonware_consensus::types::{Epoch, Height};
pub use commonware_cryptography::ed25519::{PrivateKey, PublicKey, Signature};
pub use commonware_cryptography::sha256::Digest;

/// What every signature of this ledger's format version begins with; [`namespace`] adds the chain.
pub const NAMESPACE: &[u8] = b"voltmesh-ledger-1";

/// Fewest authorities that tolerate one fault: 3 f + 1 with f = 1.
pub const MIN_AUTHORITIES: usize = 4;

/// Most authorities. A certificate of 128 is 128 × 64 B of signatures, 8 KiB; D5.3 has 20.
pub const MAX_AUTHORITIES: usize = 128;

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
pub(crate) fn signature(bytes: &[u8; 64]) -> Signature {
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

/// Authorities in the order in which certificates count them: by key, none twice,
/// [`MIN_AUTHORITIES`] to [`MAX_AUTHORITIES`].
#[derive(Clone, PartialEq, Eq)]
pub struct AuthoritySet(Set<PublicKey>);

impl AuthoritySet {
    /// Orders `keys`.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Result<Self, Error> {
        let mut unique = BTreeSet::new();
        for key in keys {
            if unique.len() == MAX_AUTHORITIES {
                return Err(Error::AuthorityCount(unique.len() + 1));
            }
            if let Some(twice) = unique.replace(key) {
                return Err(Error::KeyTwice(twice));
            }
        }
        if unique.len() < MIN_AUTHORITIES {
            return Err(Error::AuthorityCount(unique.len()));
        }
        Ok(Self(Set::from_iter_dedup(unique)))
    }

    /// As consensus takes it.
    pub fn as_set(&self) -> &Set<PublicKey> {
        &self.0
    }

    /// Keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter()
    }

    /// The key at `index`.
    pub fn get(&self, index: usize) -> Option<&PublicKey> {
        self.0.get(index)
    }

    /// Whether `key` is one of them.
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.0.position(key).is_some()
    }

    /// The authority whose [`key_id`] is `id`.
    pub fn by_key_id(&self, id: &voltmesh_telemetry::Digest) -> Option<&PublicKey> {
        self.0.iter().find(|key| key_id(key) == *id)
    }

    /// How many.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Votes that make a block final: n − f.
    pub fn quorum(&self) -> usize {
        self.0.quorum::<N3f1>() as usize
    }

    /// How many may be faulty: ⌊(n − 1) / 3⌋.
    pub fn faults(&self) -> usize {
        self.0.max_faults::<N3f1>() as usize
    }

    /// How many of them hold at least one honest one: f + 1.
    pub fn honest(&self) -> usize {
        self.faults() + 1
    }

    /// What a header names the set by.
    pub fn digest(&self) -> Digest {
        let mut hasher = Sha256::default();
        hasher.update(b"voltmesh-authorities-1");
        for key in self.keys() {
            hasher.update(key.as_ref());
        }
        hasher.finalize().1
    }

    /// The scheme of a node that only verifies.
    pub fn verifier(&self, chain: &Digest) -> Scheme {
        Scheme::verifier(&namespace(chain), self.0.clone())
    }

    /// The scheme of the node that holds `key`; `None` if the set does not contain it.
    pub fn signer(&self, chain: &Digest, key: PrivateKey) -> Option<Scheme> {
        self.contains(&key.public_key()).then_some(())?;
        Scheme::signer(&namespace(chain), self.0.clone(), key)
    }

    /// This set with `key` besides.
    pub fn with(&self, key: PublicKey) -> Result<Self, Error> {
        Self::new(self.keys().cloned().chain([key]))
    }

    /// This set without `key`.
    pub fn without(&self, key: &PublicKey) -> Result<Self, Error> {
        if !self.contains(key) {
            return Err(Error::NotAuthority(key.clone()));
        }
        Self::new(self.keys().filter(|other| *other != key).cloned())
    }

    /// This set with `new` in the place of `old`.
    pub fn replace(&self, old: &PublicKey, new: PublicKey) -> Result<Self, Error> {
        if !self.contains(old) {
            return Err(Error::NotAuthority(old.clone()));
        }
        Self::new(self.keys().filter(|other| *other != old).cloned().chain([new]))
    }
}

impl fmt::Debug for AuthoritySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys()).finish()
    }
}
