//! Openings of commitments: in files, and as a fog node tells its own.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use voltmesh_control::Opening;
use voltmesh_identity::write_private;
use voltmesh_ledger::{Commitment, commitment};
use voltmesh_telemetry::VehicleId;

use crate::commands::{block_on, read_text};
use crate::http::Http;

/// An opening or a public key is a few lines.
pub(super) const MAX_SMALL_FILE: usize = 4096;

/// `opening.toml`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpeningFile {
    salt: String,
    key: String,
}

impl OpeningFile {
    pub(super) fn of(opening: &Opening) -> Self {
        Self { salt: hex::encode(opening.salt), key: hex::encode(opening.key) }
    }

    /// What it says; `path` is the file that held it.
    pub(super) fn opening(&self, path: &Path) -> Result<Opening> {
        let bytes = |text: &str| -> Result<[u8; 32]> {
            let mut out = [0; 32];
            hex::decode_to_slice(text, &mut out)
                .with_context(|| format!("{}: salt and key want 64 hex digits", path.display()))?;
            Ok(out)
        };
        Ok(Opening { salt: bytes(&self.salt)?, key: bytes(&self.key)? })
    }
}

/// Reads an opening.
pub fn read_opening(path: &Path) -> Result<Opening> {
    let file: OpeningFile = toml::from_str(&read_text(path, MAX_SMALL_FILE)?)
        .with_context(|| format!("{} is no opening: it wants salt and key", path.display()))?;
    file.opening(path)
}

/// Writes an opening with mode 0600: who has it can tell whose the commitment is.
pub fn write_opening(path: &Path, opening: &Opening) -> Result<()> {
    Ok(write_private(path, toml::to_string(&OpeningFile::of(opening))?.as_bytes())?)
}

/// A salt that was never used.
pub(super) fn salt() -> [u8; 32] {
    let mut salt = [0; 32];
    rand::rng().fill(&mut salt[..]);
    salt
}

pub(super) fn commitment_of(vehicle: &str, opening: &Path) -> Result<Commitment> {
    let vehicle: VehicleId = vehicle.parse()?;
    let opening = read_opening(opening)?;
    Ok(commitment(vehicle.as_str(), &opening.salt, &opening.key))
}

/// What `/chain/opening` of a fog node answers, as far as it is read.
#[derive(Deserialize)]
struct FogOpening {
    id: String,
    salt: String,
    key: String,
}

/// The commitment of a fog node, by the opening that it tells itself.
pub(super) fn commitment_of_fog(id: &str, fog: SocketAddr) -> Result<Commitment> {
    let bytes = block_on(async { Http::new()?.get(fog, "/chain/opening").await })?;
    let told: FogOpening = serde_json::from_slice(&bytes)
        .with_context(|| format!("what {fog} answers is no opening; is it a fog node of this version?"))?;
    ensure!(told.id == id, "the node at {fog} is {}, not {id}: name the node with --fog", told.id);
    let hash = |text: &str| -> Result<[u8; 32]> {
        let mut out = [0; 32];
        hex::decode_to_slice(text, &mut out)
            .with_context(|| format!("{fog} answers with no 64 hex digits"))?;
        Ok(out)
    };
    Ok(commitment(id, &hash(&told.salt)?, &hash(&told.key)?))
}
