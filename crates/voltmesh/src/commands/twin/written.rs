//! Files that the commands write, and figures and names as they show them.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::output;

/// What a log is called.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into())
}

pub(super) fn folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}

/// A figure with as many decimals, or a dash.
pub(super) fn figure(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.decimals$}"))
}

pub(super) fn wrote(path: &Path) {
    output::line(format!("wrote {}", path.display()));
}
