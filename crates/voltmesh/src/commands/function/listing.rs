//! `voltmesh function list`: releases, deployments, and what runs where.

use anyhow::Result;
use serde_json::{Value, json};

use super::releases::version;
use crate::args::AskController;
use crate::commands::controller::client::{get, text};
use crate::{Outcome, output};

/// Digits of a digest that are shown to people.
const SHORT: usize = 12;

/// Runs the command.
pub fn run(ask: &AskController) -> Result<Outcome> {
    let releases = get(ask, "/functions/releases")?["releases"].take();
    let deployments = get(ask, "/functions/deployments")?["deployments"].take();
    let mut places = get(ask, "/placements")?;
    let (placements, unplaced) = (places["placements"].take(), places["unplaced"].take());
    if ask.json {
        output::json(&json!({
            "releases": releases, "deployments": deployments,
            "placements": placements, "unplaced": unplaced,
        }))?;
        return Ok(Outcome::Done);
    }
    section("releases", &["function", "release", "component", "bytes", ""], &releases, |one| {
        let state = if one["withdrawn"] == Value::Bool(true) { "withdrawn" } else { "" };
        vec![
            text(&one["function"]),
            version(one),
            short(&one["digest"]),
            text(&one["bytes"]),
            state.to_owned(),
        ]
    });
    section("deployments", &["name", "function", "release", "vehicles", "conditions"], &deployments, |one| {
        let release = if one["release"].is_null() { "newest".to_owned() } else { short(&one["release"]) };
        vec![
            text(&one["name"]),
            text(&one["function"]),
            release,
            all(&one["vehicles"]),
            all(&one["conditions"]),
        ]
    });
    let header = ["vehicle", "function", "fog node", "component", "state", "calls", "traps", "decision"];
    section("placements", &header, &placements, |one| {
        let state = match one["reason"].as_str() {
            Some(reason) => format!("{}: {reason}", text(&one["phase"])),
            None => text(&one["phase"]),
        };
        let count = |value: &Value| if value.is_null() { "–".to_owned() } else { value.to_string() };
        vec![
            text(&one["vehicle"]),
            text(&one["function"]),
            text(&one["fog"]),
            short(&one["release"]),
            state,
            count(&one["calls"]),
            count(&one["traps"]),
            count(&one["decision"]),
        ]
    });
    section("not placed", &["vehicle", "function", "why"], &unplaced, |one| {
        ["vehicle", "function", "why"].map(|key| text(&one[key])).to_vec()
    });
    Ok(Outcome::Done)
}

fn section(name: &str, header: &[&str], list: &Value, row: fn(&Value) -> Vec<String>) {
    let rows: Vec<Vec<String>> = list.as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        output::line(format!("{name}: none"));
    } else {
        output::line(format!("{name}:"));
        output::table(header, &rows);
    }
    output::line("");
}

fn short(digest: &Value) -> String {
    text(digest).chars().take(SHORT).collect()
}

fn all(list: &Value) -> String {
    let names: Vec<String> = list.as_array().into_iter().flatten().map(text).collect();
    if names.is_empty() { "all".to_owned() } else { names.join(", ") }
}
