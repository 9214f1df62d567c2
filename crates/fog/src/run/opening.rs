//! What operators enrol for this node, so that it may attest foreign records.

use ed25519_dalek::SigningKey;
use serde::Deserialize;
use voltmesh_control::Opening;
use voltmesh_telemetry::Digest;

use crate::{Config, Error};

/// What operators enrol for a node that attests foreign records: its signing key under a salt that only the key's holder
/// can compute.
pub fn own_opening(signing: &SigningKey) -> Opening {
    let salt = Digest::of(&[b"voltmesh-fog-opening".as_slice(), signing.as_bytes()].concat());
    Opening { salt: salt.to_bytes(), key: signing.verifying_key().to_bytes() }
}

/// The file that `voltmesh registry opening` writes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpeningFile {
    salt: Digest,
    key: Digest,
}

/// The opening of the configuration, or this node's own.
pub fn opening(config: &Config, signing: &SigningKey) -> Result<Opening, Error> {
    let Some(path) = &config.foreign.opening else { return Ok(own_opening(signing)) };
    let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
    let file: OpeningFile =
        toml::from_str(&text).map_err(|error| Error::config(format!("{}: {error}", path.display())))?;
    let key = signing.verifying_key().to_bytes();
    if *file.key.as_bytes() != key {
        return Err(Error::config(format!(
            "{}: its key is not that of sign.key: make a new opening",
            path.display()
        )));
    }
    Ok(Opening { salt: file.salt.to_bytes(), key })
}
