//! `voltmesh function sign`: a release that fog nodes take.

use std::path::Path;

use anyhow::{Context as _, Result};
use voltmesh_function::Package;
use voltmesh_identity::read_signing_key;
use voltmesh_telemetry::Digest;

use super::project::Project;
use crate::args::FunctionSign;
use crate::{Outcome, output};

/// Runs the command.
pub fn run(options: &FunctionSign) -> Result<Outcome> {
    let project = Project::open_or_shipped(&options.folder)?;
    let component = project.component()?;
    let key = read_signing_key(&options.key)?;
    let publisher = match &options.publisher {
        Some(name) => name.clone(),
        None => folder_of(&options.key).with_context(|| {
            format!(
                "{} is in no folder with a name; say with --publisher who publishes",
                options.key.display()
            )
        })?,
    };
    let manifest = &project.manifest;
    let package = Package::sign(manifest, &component, &publisher, &key)?;
    let name = format!("{}-{}.vmf", manifest.name, manifest.release);
    let path = options.output.clone().unwrap_or_else(|| project.folder.join(name));
    std::fs::write(&path, &package).with_context(|| format!("cannot write {}", path.display()))?;
    output::line(format!(
        "{}: {} {} by {publisher}, {} bytes, SHA-256 of the component {}",
        path.display(),
        manifest.name,
        manifest.release,
        package.len(),
        Digest::of(&component)
    ));
    Ok(Outcome::Done)
}

/// Name of the folder that a file is in.
fn folder_of(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    Some(path.parent()?.file_name()?.to_str()?.to_owned())
}
