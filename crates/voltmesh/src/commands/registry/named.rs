//! Keys and components that a command line names, by their text or by a file.

use anyhow::Result;
use voltmesh_ledger::{PublicKey, public_key_from_hex};
use voltmesh_telemetry::Digest;

use crate::args;
use crate::commands::public_key::read_public;
use crate::commands::read_limited;

/// Largest component of a function: shipped ones have up to 300 kB.
const MAX_COMPONENT: usize = 16 << 20;

/// The digest of the component that the command line names.
pub(super) fn digest_of(named: &args::Component) -> Result<Digest> {
    match named {
        args::Component::Hex(digest) => Ok(Digest::new(*digest)),
        args::Component::File(path) => Ok(Digest::of(&read_limited(path, MAX_COMPONENT)?)),
    }
}

/// The authority or controller that the command line names.
pub(super) fn authority(named: &args::AuthorityKey) -> Result<PublicKey> {
    match named {
        args::AuthorityKey::Hex(key) => Ok(public_key_from_hex(key)?),
        args::AuthorityKey::File(path) => read_public(path),
    }
}
