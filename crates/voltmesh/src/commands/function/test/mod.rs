//! `voltmesh function test`: a function over recordings, in the host of a fog node.

mod expected;
mod node;
mod recording;
mod replayed;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use serde_json::Value;

use super::project::Project;
use crate::args::FunctionTest;
use crate::commands::read_text;
use crate::commands::twin::packs::{cell_of, twin_of};
use crate::{Outcome, output};
use expected::{Expected, Said};
use node::Node;
use replayed::Replayed;

/// Most bytes of a configuration, and of what is expected: ten thousand lines.
const MAX_JSON: usize = 64 << 10;
const MAX_EXPECTED: usize = 4 << 20;

#[derive(Serialize)]
struct Printed<'a> {
    function: &'a str,
    release: String,
    configuration: &'a Value,
    files: &'a [Replayed],
    said: &'a [Said],
    /// What differs from the expectations; absent where there are none.
    differences: Option<&'a [String]>,
}

/// Runs the command.
pub fn run(options: &FunctionTest) -> Result<Outcome> {
    let project = Project::open(&options.folder)?;
    let component = project.component()?;
    let expected_path = options.expected.clone().unwrap_or_else(|| project.folder.join("expected.toml"));
    let expected = match (options.expected.is_some() && !options.accept) || expected_path.exists() {
        true if !options.accept => {
            Some(Expected::parse(&read_text(&expected_path, MAX_EXPECTED)?, &expected_path)?)
        }
        _ => None,
    };
    let stated = expected.as_ref().and_then(|expected| expected.configuration.clone());
    let configuration = match (&options.config, stated) {
        (Some(text), _) => configuration(text)?,
        (None, Some(stated)) => stated,
        (None, None) => Value::Object(serde_json::Map::new()),
    };
    let cell = cell_of(&options.pack)?;
    let (mut files, mut said) = (Vec::new(), Vec::new());
    for path in &options.data {
        let recording = recording::read(path, &options.pack.read)?;
        let mut node = Node::new(&project.manifest, &component, configuration.clone())?;
        let twin = twin_of(&cell, &recording.log, &options.pack)?;
        let replayed = node.replay(recording, twin, &options.conditions, &mut said)?;
        files.push(replayed);
    }
    if options.accept {
        let text = Expected::write(&configuration, &said)?;
        std::fs::write(&expected_path, text)
            .with_context(|| format!("cannot write {}", expected_path.display()))?;
    }
    let differences = expected.filter(|_| !options.accept).map(|expected| expected.differences(&said));
    if options.json {
        output::json(&Printed {
            function: &project.manifest.name,
            release: project.manifest.release.to_string(),
            configuration: &configuration,
            files: &files,
            said: &said,
            differences: differences.as_deref(),
        })?;
    } else {
        show(&files, &said);
    }
    if options.accept {
        output::line(format!("{}: written", expected_path.display()));
    }
    ensure!(files.iter().all(|file| file.failures == 0), "the function failed in a call; see the warnings");
    match differences {
        Some(differences) if !differences.is_empty() => {
            let shown: Vec<&str> = differences.iter().take(20).map(String::as_str).collect();
            bail!("what was said differs from {}:\n  {}", expected_path.display(), shown.join("\n  "));
        }
        Some(_) => output::note(&format!("as {} expects", expected_path.display())),
        None => {}
    }
    Ok(Outcome::Done)
}

/// JSON, or a file of it.
fn configuration(text: &str) -> Result<Value> {
    let text = match text.trim_start().starts_with('{') {
        true => text.to_owned(),
        false => read_text(&PathBuf::from(text), MAX_JSON)?,
    };
    serde_json::from_str(&text).context("the configuration is no JSON")
}

fn show(files: &[Replayed], said: &[Said]) {
    let rows: Vec<Vec<String>> = said
        .iter()
        .map(|said| vec![said.file.clone(), format!("{:.1}", said.at_s), said.what(), said.text.clone()])
        .collect();
    if rows.is_empty() {
        output::line("nothing was said");
    } else {
        output::table(&["file", "at s", "event or command", "text"], &rows);
    }
    for file in files {
        output::line(format!(
            "{}: {} events and {} commands from {} samples of {:.0} s",
            file.file, file.events, file.commands, file.samples, file.seconds
        ));
        for (name, value) in &file.metrics {
            output::line(format!("{}: {name} {value:.4}", file.file));
        }
        for warning in &file.warnings {
            output::note(&format!("{}: {warning}", file.file));
        }
    }
}
