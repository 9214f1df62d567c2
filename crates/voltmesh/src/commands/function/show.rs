//! `voltmesh function show`: what a function says of itself, and who says so.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey as _;
use serde::Serialize;
use voltmesh_function::{FailurePolicy, Latency, MAX_PACKAGE_BYTES, Manifest, Package};
use voltmesh_telemetry::Digest;

use super::project::Project;
use crate::args::FunctionShow;
use crate::commands::{read_limited, read_text};
use crate::{Outcome, output};

/// Most bytes of a public key in PEM.
const MAX_KEY: usize = 4 << 10;

/// What is shown.
#[derive(Default, Serialize)]
struct Shown {
    digest: Option<String>,
    component_bytes: Option<usize>,
    /// Who has signed it, where that was checked.
    publisher: Option<String>,
    publisher_key: Option<String>,
    /// Why a signed release is refused, or was not checked.
    refused: Option<String>,
    manifest: Option<Said>,
}

/// A manifest, as people read it.
#[derive(Serialize)]
struct Said {
    name: String,
    release: String,
    wit: String,
    state_version: u32,
    imports_state: Vec<u32>,
    memory_mib: u32,
    fuel: u64,
    capabilities: Vec<String>,
    latency: Latency,
    failure: FailurePolicy,
    description: String,
    method: String,
    source: String,
    configuration: serde_json::Value,
}

impl Said {
    fn of(manifest: &Manifest) -> Result<Self> {
        Ok(Self {
            name: manifest.name.clone(),
            release: manifest.release.to_string(),
            wit: manifest.wit.to_string(),
            state_version: manifest.state_version,
            imports_state: manifest.imports_state.clone(),
            memory_mib: manifest.memory_mib,
            fuel: manifest.fuel,
            capabilities: manifest.capabilities.clone(),
            latency: manifest.latency,
            failure: manifest.failure,
            description: manifest.description.clone(),
            method: manifest.method.clone(),
            source: manifest.source.clone(),
            configuration: serde_json::from_str(&manifest.schema)?,
        })
    }
}

/// Runs the command.
pub fn run(options: &FunctionShow) -> Result<Outcome> {
    let (shown, outcome) = if options.file.is_dir() { folder(&options.file)? } else { package(options)? };
    if options.json {
        output::json(&shown)?;
    } else {
        show(&shown);
    }
    Ok(outcome)
}

fn folder(path: &Path) -> Result<(Shown, Outcome)> {
    let project = Project::open(path)?;
    let component = project.component().ok();
    let shown = Shown {
        digest: component.as_ref().map(|component| Digest::of(component).to_string()),
        component_bytes: component.as_ref().map(Vec::len),
        manifest: Some(Said::of(&project.manifest)?),
        ..Shown::default()
    };
    Ok((shown, Outcome::Done))
}

fn package(options: &FunctionShow) -> Result<(Shown, Outcome)> {
    let bytes = bytes::Bytes::from(read_limited(&options.file, MAX_PACKAGE_BYTES)?);
    let keys = options.keys.iter().map(|path| key(path)).collect::<Result<Vec<_>>>()?;
    let digest = Package::digest_of(&bytes).map(|digest| digest.to_string());
    if keys.is_empty() {
        let why = "not checked: name the publisher's public key with --key".to_owned();
        return Ok((Shown { digest, refused: Some(why), ..Shown::default() }, Outcome::NotLooked));
    }
    Ok(match Package::open(&bytes, &keys, &BTreeSet::new()) {
        Ok(package) => {
            let shown = Shown {
                digest,
                component_bytes: Some(package.component.len()),
                publisher: Some(package.publisher.clone()),
                publisher_key: Some(package.publisher_key.to_string()),
                refused: None,
                manifest: Some(Said::of(&package.manifest)?),
            };
            (shown, Outcome::Done)
        }
        Err(refusal) => {
            (Shown { digest, refused: Some(refusal.to_string()), ..Shown::default() }, Outcome::Wrong)
        }
    })
}

fn key(path: &Path) -> Result<VerifyingKey> {
    let pem = read_text(path, MAX_KEY)?;
    VerifyingKey::from_public_key_pem(&pem)
        .with_context(|| format!("{} is no Ed25519 public key in PEM; use a `sign.pub`", path.display()))
}

fn show(shown: &Shown) {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    if let Some(said) = &shown.manifest {
        row("function", format!("{} {}", said.name, said.release));
        row("does", said.description.clone());
        row("method", said.method.clone());
        row("source", said.source.clone());
        row("interface", format!("voltmesh:function {}", said.wit));
        let imports: Vec<String> = said.imports_state.iter().map(u32::to_string).collect();
        let reads =
            if imports.is_empty() { String::new() } else { format!(", reads {} too", imports.join(", ")) };
        row("state", format!("version {}{reads}", said.state_version));
        row("limits", format!("{} MiB, {} fuel a call", said.memory_mib, said.fuel));
        row("called", format!("{:?}", said.latency).to_lowercase());
        row("when it fails too often", format!("{:?}", said.failure).to_lowercase());
        if !said.capabilities.is_empty() {
            row("needs", said.capabilities.join(", "));
        }
        let required = said.configuration["required"].as_array().cloned().unwrap_or_default();
        let properties = said.configuration["properties"].as_object().cloned().unwrap_or_default();
        for (name, schema) in &properties {
            let default = match schema.get("default") {
                Some(default) => format!(" (default {default})"),
                None if required.iter().any(|required| required == name) => " (required)".to_owned(),
                None => String::new(),
            };
            let text = schema["description"].as_str().unwrap_or_default();
            row(&format!("  {name}"), format!("{text}{default}"));
        }
    }
    if let Some(digest) = &shown.digest {
        row("component, SHA-256", digest.clone());
    }
    if let Some(bytes) = shown.component_bytes {
        row("component, bytes", bytes.to_string());
    }
    if let (Some(publisher), Some(key)) = (&shown.publisher, &shown.publisher_key) {
        row("published by", format!("{publisher}, key {key}"));
    }
    if let Some(refused) = &shown.refused {
        row("signature", refused.clone());
    }
    output::table(&["what", "value"], &rows);
}
