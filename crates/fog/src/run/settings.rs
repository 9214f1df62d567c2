//! The core's settings and the names of nodes, from configuration and credentials.

use voltmesh_consensus::PublicKey;
use voltmesh_identity::Credentials;
use voltmesh_ledger::{Genesis, private_key, public_key_from_hex, verifying_key};
use voltmesh_telemetry::{Digest, Secret, VehicleId};

use super::opening::opening;
use crate::{
    Config, Error,
    answers::Names,
    ingest::{AnchorSettings, ForwardSettings, Settings},
};

/// The core's settings.
pub fn settings(
    config: &Config,
    credentials: &Credentials,
    genesis: &Genesis,
    fog: VehicleId,
) -> Result<Settings, Error> {
    let signing = &credentials.signing;
    let mut cloud_keys = Vec::new();
    for text in config.cloud.iter().flat_map(|cloud| &cloud.notice_key.0) {
        let wrong = |error| Error::config(format!("cloud.notice_key: {error}"));
        let key = public_key_from_hex(text).map_err(wrong)?;
        cloud_keys.push(verifying_key(&key).map_err(wrong)?);
    }
    let secret = Digest::of(&[b"voltmesh-fog-secret".as_slice(), signing.as_bytes()].concat());
    let forward = config
        .cloud
        .as_ref()
        .map_or(ForwardSettings { window: 1, window_bytes: 1, notice_ms: 60_000 }, ForwardSettings::from);
    Ok(Settings {
        fog,
        key: private_key(signing.as_bytes()),
        chain: genesis.digest(),
        opening: opening(config, signing)?,
        secret: Secret::new(secret.to_bytes()),
        cloud_keys,
        limits: config.ingest.clone(),
        spool: config.spool.clone(),
        foreign: config.foreign.clone(),
        anchors: AnchorSettings::from(&config.ledger),
        forward,
    })
}

/// What nodes are called, as far as this one knows.
pub fn names(config: &Config, me: &PublicKey, fog: &VehicleId) -> Result<Names, Error> {
    let mut names = vec![(me.clone(), fog.to_string())];
    for peer in &config.ledger.peers {
        let Some(name) = &peer.name else { continue };
        let key = public_key_from_hex(&peer.key)
            .map_err(|error| Error::config(format!("ledger.peers: key {}: {error}", peer.key)))?;
        names.push((key, name.clone()));
    }
    Ok(Names::new(names))
}
