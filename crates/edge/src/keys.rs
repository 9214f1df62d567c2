//! The vehicle's keys and what it trusts, from files.

use crate::agent::Credentials;
use crate::{Config, Error};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use voltmesh_identity::{Credentials as TlsCredentials, Role, read_private};
use voltmesh_ledger::Trust;
use voltmesh_telemetry::{Secret, VehicleId};

/// Largest of these files but the trust file.
const MAX_FILE: usize = 4096;

#[derive(Deserialize)]
struct Opening {
    salt: String,
    /// The signing key that was enrolled. Older openings have none.
    key: Option<String>,
}

/// What a vehicle needs to speak.
pub struct Keys {
    /// From its certificate.
    pub vehicle: VehicleId,
    /// For TLS.
    pub tls: TlsCredentials,
    /// For the agent.
    pub agent: Credentials,
    /// Where a trust file that followed hand-overs is kept.
    pub trust_file: PathBuf,
}

impl Keys {
    /// Reads what the configuration names. A trust file in the data folder that has followed the same chain further is
    /// preferred.
    ///
    /// # Errors
    /// [`Error::Identity`], [`Error::File`], [`Error::Config`] or [`Error::Trust`].
    pub fn load(config: &Config) -> Result<Self, Error> {
        let tls = TlsCredentials::load(&config.credentials)?;
        let identity = &tls.own.identity;
        let place = config.credentials.display().to_string();
        if identity.role != Role::Edge {
            return Err(Error::config(
                place,
                format!("the certificate is of {identity}, a vehicle's is wanted"),
            ));
        }
        let vehicle = identity.id().parse().map_err(|e| Error::config(place, format!("{e}")))?;
        let opening: Opening = toml::from_str(&read(&config.opening)?)
            .map_err(|e| Error::config(config.opening.display().to_string(), e.to_string()))?;
        if let Some(key) = &opening.key
            && hex32(&config.opening, key)? != tls.signing.verifying_key().to_bytes()
        {
            let problem = "its key is not that of sign.key: make a new opening and enrol it, or, if `voltmesh registry \
                           rotate-vehicle` was interrupted, repeat that command";
            return Err(Error::config(config.opening.display().to_string(), problem));
        }
        let trust_file = config.data.join("trust.toml");
        let mut trust = read_trust(&config.trust)?;
        if let Ok(followed) = read_trust(&trust_file)
            && followed.chain() == trust.chain()
        {
            for handover in followed.handovers() {
                if trust.extend(handover).is_err() {
                    break; // what was configured is newer
                }
            }
        }
        let agent = Credentials {
            signing: tls.signing.clone(),
            secret: Secret::new(hex32(&config.secret, &read_private(&config.secret)?)?),
            salt: hex32(&config.opening, &opening.salt)?,
            trust,
        };
        Ok(Self { vehicle, tls, agent, trust_file })
    }
}

fn read(path: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::file(path, "reading"))?;
    if text.len() > MAX_FILE {
        return Err(Error::config(path.display().to_string(), format!("more than {MAX_FILE} bytes")));
    }
    Ok(text)
}

fn read_trust(path: &Path) -> Result<Trust, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::file(path, "reading"))?;
    Trust::from_toml(&text).map_err(|source| Error::Trust { path: path.to_path_buf(), source: source.into() })
}

fn hex32(path: &Path, text: &str) -> Result<[u8; 32], Error> {
    let wrong = || Error::config(path.display().to_string(), "wants 64 hex digits");
    let digest: voltmesh_telemetry::Digest = text.trim().parse().map_err(|_| wrong())?;
    Ok(digest.to_bytes())
}
