//! A function's folder.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use voltmesh_function::{MAX_COMPONENT_BYTES, MAX_SCHEMA_BYTES, Manifest};

use crate::commands::{read_limited, read_text};

/// Most bytes of a manifest's text: its schema in TOML is shorter than twice its JSON, and 64 KiB hold all texts.
const MAX_MANIFEST_TEXT: usize = 2 * MAX_SCHEMA_BYTES + (64 << 10);

/// A function's folder.
pub struct Project {
    /// Where it is.
    pub folder: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
}

impl Project {
    /// Opens it.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("manifest.toml");
        let text = read_text(&path, MAX_MANIFEST_TEXT)
            .with_context(|| format!("{} is no folder of a function", folder.display()))?;
        let manifest = Manifest::from_toml(&text).with_context(|| path.display().to_string())?;
        Ok(Self { folder: folder.to_path_buf(), manifest })
    }

    /// Where its component is kept.
    pub fn component_path(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.manifest.name))
    }

    /// Its component.
    pub fn component(&self) -> Result<Vec<u8>> {
        read_limited(&self.component_path(), MAX_COMPONENT_BYTES)
            .context("the function has no component yet; make it with `voltmesh function build`")
    }
}
