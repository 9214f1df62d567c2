//! Keys as a configuration names them: by themselves or by their files.

use std::path::Path;

use ed25519_dalek::{VerifyingKey, pkcs8::DecodePublicKey as _};

/// Longest `sign.pub`: an Ed25519 key in PEM has 113 bytes.
const MAX_KEY_FILE: u64 = 4096;

/// A key in 64 hex digits: as it is, or read from the `sign.pub` that is named instead, relative to `base`.
pub fn key(named: &str, base: &Path) -> Result<String, String> {
    if named.len() == 64 && named.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(named.to_ascii_lowercase());
    }
    let path = base.join(named);
    let wrong =
        |why: String| format!("{named:?} is neither 64 hex digits nor a sign.pub: {}: {why}", path.display());
    let size = std::fs::metadata(&path).map_err(|error| wrong(error.to_string()))?.len();
    if size > MAX_KEY_FILE {
        return Err(wrong(format!("{size} bytes, at most {MAX_KEY_FILE}")));
    }
    let pem = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    let key = VerifyingKey::from_public_key_pem(&pem).map_err(|error| wrong(error.to_string()))?;
    Ok(voltmesh_telemetry::Digest::new(key.to_bytes()).to_string())
}
