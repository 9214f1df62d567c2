//! Trust files as commands read them.

use std::path::Path;

use anyhow::{Context as _, Result};
use voltmesh_ledger::{MAX_TRUST_BYTES, Trust};

use crate::commands::read_text;

/// Reads a trust file.
pub fn read_trust(path: &Path) -> Result<Trust> {
    let text = read_text(path, MAX_TRUST_BYTES)?;
    Trust::from_toml(&text).with_context(|| format!("{} is no trust file", path.display()))
}
