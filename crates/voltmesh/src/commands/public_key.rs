//! Public keys in PEM files, as `voltmesh pki` writes them (`sign.pub`).

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use ed25519_dalek::pkcs8::DecodePublicKey as _;
use voltmesh_ledger::{PublicKey, public_key};

use super::read_text;

/// Largest file of a public key: three lines of PEM.
const MAX_PUBLIC_KEY: usize = 4096;

/// Reads the 32 bytes of an Ed25519 public key.
pub(super) fn raw_key(path: &Path) -> Result<[u8; 32]> {
    let pem = read_text(path, MAX_PUBLIC_KEY)?;
    let key = ed25519_dalek::VerifyingKey::from_public_key_pem(&pem)
        .with_context(|| format!("{} is no Ed25519 public key in PEM; use a `sign.pub`", path.display()))?;
    Ok(key.to_bytes())
}

/// Reads a public key as the ledger has it.
pub(super) fn read_public(path: &Path) -> Result<PublicKey> {
    let key = raw_key(path)?;
    match public_key(&key) {
        Ok(key) => Ok(key),
        Err(error) => bail!("{}: {error}", path.display()),
    }
}
