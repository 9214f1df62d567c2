//! A function's folder, or a function that is shipped.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use voltmesh_function::{MAX_COMPONENT_BYTES, MAX_SCHEMA_BYTES, Manifest, Shipped};

use crate::commands::{read_limited, read_text};

/// Most bytes of a manifest's text: its schema in TOML is shorter than twice its JSON, and 64 KiB hold all texts.
const MAX_MANIFEST_TEXT: usize = 2 * MAX_SCHEMA_BYTES + (64 << 10);

/// A function's folder.
pub struct Project {
    /// Where it is.
    pub folder: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
    shipped: Option<&'static [u8]>,
}

impl Project {
    /// Opens it.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("manifest.toml");
        let text = read_text(&path, MAX_MANIFEST_TEXT)
            .with_context(|| format!("{} is no folder of a function", folder.display()))?;
        let manifest = Manifest::from_toml(&text).with_context(|| path.display().to_string())?;
        Ok(Self { folder: folder.to_path_buf(), manifest, shipped: None })
    }

    /// Opens it; where there is no such folder, the shipped function of that name, whose folder is then the present one.
    pub fn open_or_shipped(folder: &Path) -> Result<Self> {
        let shipped = folder.to_str().and_then(Shipped::of).filter(|_| !folder.exists());
        let Some(shipped) = shipped else { return Self::open(folder) };
        let manifest = shipped.read_manifest().with_context(|| format!("{}, as shipped", shipped.name))?;
        Ok(Self { folder: PathBuf::from("."), manifest, shipped: Some(shipped.component) })
    }

    /// Where its component is kept.
    pub fn component_path(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.manifest.name))
    }

    /// Its component.
    pub fn component(&self) -> Result<Vec<u8>> {
        if let Some(shipped) = self.shipped {
            return Ok(shipped.to_vec());
        }
        read_limited(&self.component_path(), MAX_COMPONENT_BYTES)
            .context("the function has no component yet; make it with `voltmesh function build`")
    }
}
