//! How files are read by a vehicle's configuration: its `[source]`, and the battery of its `[twin]`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use voltmesh_edge::config::{Kind, SourceConfig};
use voltmesh_edge::sources::stated;
use voltmesh_recording::Options;

use crate::commands::read_text;

/// Bytes of a configuration at most.
const MAX_CONFIG: usize = 1 << 20;

/// Files and options of a configuration, of which `[source]` is enough.
pub fn load(path: &Path, now_ms: u64) -> Result<(Vec<PathBuf>, Options)> {
    let text = read_text(path, MAX_CONFIG)?;
    let mut table: toml::Table = text.parse().with_context(|| format!("{} is no TOML", path.display()))?;
    let Some(source) = table.remove("source") else {
        bail!("{} has no [source]", path.display());
    };
    let source: SourceConfig =
        source.try_into().with_context(|| format!("[source] of {} cannot be used", path.display()))?;
    let (files, mut options) = match source.kind {
        Kind::Replay(config) => (config.files.clone(), config.options(now_ms)),
        Kind::Candump(config) => (config.files.clone(), config.options(now_ms)),
        Kind::Can(config) => {
            let options = Options {
                dbc: config.dbc,
                diagnostics: config.diagnostics,
                signals: Some(config.signals),
                period_ms: config.period_ms,
                ..Options::new(now_ms)
            };
            (Vec::new(), options)
        }
        Kind::Kuksa(_) => {
            bail!("[source] of {} is a databroker: it holds no recording to read", path.display())
        }
        Kind::Sim(_) => bail!("[source] of {} is a simulation: there is nothing to read", path.display()),
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let files = files.iter().map(|file| folder.join(file)).collect();
    options.dbc = options.dbc.map(|dbc| folder.join(dbc));
    options.diagnostics = options.diagnostics.map(|definition| folder.join(definition));
    if let Some(twin) = table.get("twin") {
        let chemistry = twin.get("chemistry").map(|name| name.clone().try_into());
        let chemistry = chemistry.transpose().context("twin.chemistry wants nca, nmc or lfp")?;
        let series = twin.get("series").and_then(toml::Value::as_integer);
        options.battery = stated(chemistry, series.and_then(|series| u32::try_from(series).ok()));
    }
    Ok((files, options))
}
