//! Authority sets: ordered keys, their quorums and their encoding.

use crate::{
    error::Error,
    keys::{key_id, namespace},
    types::{Digest, MAX_AUTHORITIES, MIN_AUTHORITIES, PrivateKey, PublicKey, Scheme},
};
use bytes::BufMut;
use commonware_codec::{Buf, Error as CodecError, RangeCfg, Read, Write};
use commonware_cryptography::{Hasher, Sha256, Signer as _};
use commonware_utils::{N3f1, ordered::Quorum as _, ordered::Set};
use std::{collections::BTreeSet, fmt};

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

/// Keys that must be in order; an empty list is no set.
pub(crate) fn read_set(buf: &mut impl Buf) -> Result<Option<AuthoritySet>, CodecError> {
    let keys: Vec<PublicKey> = Vec::read_cfg(buf, &(RangeCfg::from(0..=MAX_AUTHORITIES), ()))?;
    if keys.is_empty() {
        return Ok(None);
    }
    let unordered = CodecError::Invalid("voltmesh_ledger::AuthoritySet", "not an ordered set of authorities");
    if !keys.is_sorted_by(|a, b| a < b) {
        return Err(unordered);
    }
    AuthoritySet::new(keys).map(Some).map_err(|_| unordered)
}

/// Writes the keys in order.
pub(crate) fn write_set(set: &AuthoritySet, buf: &mut impl BufMut) {
    set.as_set().as_ref().write(buf);
}

/// [`read_set`] where there must be one.
pub(crate) fn some_set(buf: &mut impl Buf) -> Result<AuthoritySet, CodecError> {
    read_set(buf)?.ok_or(CodecError::Invalid("voltmesh_ledger::Snapshot", "no authorities"))
}
