//! The battery's twin from configuration, and its memory on disk.

use crate::Error;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use voltmesh_battery::twin::{Memory, Setup};
use voltmesh_battery::{Cell, CellParams, Chemistry, Twin};

/// Most bytes of a parameter file, and of a memory.
const MAX_FILE: u64 = 4 << 20;

/// File of the memory, in the data folder.
const MEMORY: &str = "twin.json";

/// The battery's twin.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TwinConfig {
    /// Whether it runs. Default true.
    pub enabled: bool,
    /// The cell's parameters, as `voltmesh twin fit` writes them. Default: a typical cell.
    pub params: Option<PathBuf>,
    /// Active material of the typical cell. Default `nmc`.
    pub chemistry: Chemistry,
    /// Capacity of the typical cell in Ah. Default 60.
    pub capacity_ah: f64,
    /// Cells in parallel in a group. Default 1.
    pub parallel: usize,
    /// Groups in series, for samples without cell voltages. Default 96.
    pub series: usize,
    /// Seconds between samples that each cell's own filter takes; 0 runs the fast path alone. Default 1.
    pub full_every_s: f64,
    /// Current of a balancing resistor in A. Default 0.1.
    pub bleed_a: f64,
}

impl Default for TwinConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            params: None,
            chemistry: Chemistry::Nmc,
            capacity_ah: 60.0,
            parallel: 1,
            series: 96,
            full_every_s: 1.0,
            bleed_a: 0.1,
        }
    }
}

impl TwinConfig {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let within = |key: &str, value: f64, low: f64, high: f64| {
            let problem = format!("wants {low} to {high}, not {value}");
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(Error::config(format!("twin.{key}"), problem))
            }
        };
        within("capacity_ah", self.capacity_ah, 0.1, 1_000.0)?;
        within("parallel", self.parallel as f64, 1.0, 512.0)?;
        within("series", self.series as f64, 1.0, 512.0)?;
        within("full_every_s", self.full_every_s, 0.0, 3_600.0)?;
        within("bleed_a", self.bleed_a, 0.001, 100.0)
    }

    /// Capacity in Ah of a group of cells when new.
    pub(crate) fn group_ah(&self) -> Result<f64, Error> {
        Ok(self.cell()?.params().capacity_ah * self.parallel as f64)
    }

    fn cell(&self) -> Result<Arc<Cell>, Error> {
        let unusable = |error: &dyn std::fmt::Display| Error::config("twin.params", error.to_string());
        let params = match &self.params {
            Some(path) => {
                let text = read(path).map_err(Error::file(path, "reading"))?;
                toml::from_str::<CellParams>(&text).map_err(|error| unusable(&error))?
            }
            None => CellParams::typical(self.chemistry, self.capacity_ah),
        };
        Ok(Arc::new(Cell::new(params).map_err(|error| unusable(&error))?))
    }

    /// The twin, with what it had learnt before; `None` if it is switched off. A memory that cannot be read is set aside.
    pub(crate) fn open(&self, data: &Path) -> Result<Option<Twin>, Error> {
        if !self.enabled {
            return Ok(None);
        }
        let cell = self.cell()?;
        let setup = Setup {
            parallel: self.parallel,
            series: self.series,
            full_every_s: (self.full_every_s > 0.0).then_some(self.full_every_s),
            bleed_a: self.bleed_a,
        };
        Ok(Some(Twin::new(cell, setup, recall(data))))
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > MAX_FILE {
        return Err(std::io::Error::other(format!("more than {MAX_FILE} bytes")));
    }
    std::fs::read_to_string(path)
}

fn recall(data: &Path) -> Option<Memory> {
    let path = data.join(MEMORY);
    let text = read(&path).ok()?;
    match serde_json::from_str(&text) {
        Ok(memory) => Some(memory),
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "the twin begins anew: its memory cannot be read; it is kept beside");
            let _ = std::fs::rename(&path, data.join("twin.json.unreadable"));
            None
        }
    }
}

/// Writes the memory so that a crash leaves the old one or the new one.
pub(crate) fn remember(data: &Path, json: &str) -> std::io::Result<()> {
    let (path, new) = (data.join(MEMORY), data.join("twin.json.new"));
    std::fs::write(&new, json)?;
    std::fs::File::open(&new)?.sync_all()?;
    std::fs::rename(new, path)
}
