//! The trust file and what was learned since.

use super::error::Error;
use crate::config::Config;
use std::path::Path;
use voltmesh_ledger::Trust;

/// The trust file, extended by what was learned before if that leads further.
pub(super) fn load_trust(config: &Config) -> Result<Trust, Error> {
    let read = |path: &Path| {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::io(path.display().to_string(), source))?;
        Trust::from_toml(&text)
            .map_err(|source| Error::Trust { path: path.display().to_string(), source: Box::new(source) })
    };
    let mut trust = read(&config.trust)?;
    if let Some(learned) = config.trust_learned.as_deref().filter(|path| path.exists()) {
        match read(learned) {
            Ok(learned) if learned.chain() == trust.chain() => {
                for handover in learned.handovers() {
                    trust.extend(handover).ok();
                }
            }
            Ok(_) => {
                tracing::warn!(path = %learned.display(), "learned hand-overs are of another chain: ignored")
            }
            Err(error) => tracing::warn!(%error, "learned hand-overs cannot be read: ignored"),
        }
    }
    Ok(trust)
}
