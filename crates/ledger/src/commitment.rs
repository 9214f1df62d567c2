//! Commitments: what the public registry says of a vehicle.

use voltmesh_telemetry::Digest as Hash;

/// A vehicle in the registry: SHA-256 over its name, its key and a salt ([`commitment`]).
pub type Commitment = Hash;

/// The commitment of a vehicle: SHA-256("voltmesh-vehicle" ‖ salt ‖ length of id as one byte ‖ id ‖ key).
/// A fog node's key that attests for foreign clients is enrolled the same way, under the node's name.
pub fn commitment(id: &str, salt: &[u8; 32], key: &[u8; 32]) -> Commitment {
    let len = [u8::try_from(id.len()).unwrap_or(u8::MAX)];
    Hash::of(&[b"voltmesh-vehicle".as_slice(), salt, &len, id.as_bytes(), key].concat())
}
