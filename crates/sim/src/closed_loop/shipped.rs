//! The functions that are shipped, signed at the start.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use voltmesh_function::{Manifest, Package, SHIPPED};
use voltmesh_sdn::controller::Release;
use voltmesh_telemetry::Digest;

/// A signed release as a controller knows it, with its package.
#[derive(Clone)]
pub struct Published {
    /// What the controller keeps of it.
    pub release: Release,
    /// What fog nodes get.
    pub package: Bytes,
}

/// Signs a release.
///
/// # Errors
/// Why manifest or component are none.
pub fn publish(manifest: &Manifest, component: &[u8], key: &SigningKey) -> Result<Published, String> {
    let package =
        Package::sign(manifest, component, "publisher-1", key).map_err(|error| error.to_string())?;
    let version = &manifest.release;
    let release = Release {
        digest: Digest::of(component),
        function: manifest.name.clone(),
        version: (version.major, version.minor, version.patch),
        publisher: hex::encode(key.verifying_key().as_bytes()),
        bytes: package.len() as u64,
        at_ms: 0,
        withdrawn: false,
    };
    Ok(Published { release, package: package.into() })
}

/// All shipped functions, signed.
///
/// # Errors
/// Why one of them is none.
pub fn publish_shipped(key: &SigningKey) -> Result<Vec<Published>, String> {
    let signed = SHIPPED.iter().map(|source| {
        let manifest = source.read_manifest().map_err(|error| error.to_string())?;
        publish(&manifest, source.component, key)
    });
    signed.collect()
}
