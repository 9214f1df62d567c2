//! A controller's HTTP interface, as commands use it.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::args::AskController;
use crate::commands::block_on;
use crate::http::Http;
use crate::{Outcome, output};

/// What it answers to `GET path`.
pub fn get(ask: &AskController, path: &str) -> Result<Value> {
    read(&block_on(async { Http::new()?.get(ask.controller, path).await })?)
}

/// What it answers to `POST path`.
pub fn post(ask: &AskController, path: &str, body: Vec<u8>) -> Result<Value> {
    read(&block_on(async { Http::new()?.post(ask.controller, path, body).await })?)
}

/// What it answers to `DELETE path`.
pub fn delete(ask: &AskController, path: &str) -> Result<Value> {
    read(&block_on(async { Http::new()?.delete(ask.controller, path).await })?)
}

fn read(answer: &[u8]) -> Result<Value> {
    serde_json::from_slice(answer).context("the controller answers with something else than JSON")
}

/// Shows a list of an answer as a table, or the answer as it came.
pub fn table(
    ask: &AskController,
    path: &str,
    list: &str,
    header: &[&str],
    row: fn(&Value) -> Vec<String>,
) -> Result<Outcome> {
    let answer = get(ask, path)?;
    if ask.json {
        output::json(&answer)?;
        return Ok(Outcome::Done);
    }
    let rows: Vec<Vec<String>> = answer[list].as_array().into_iter().flatten().map(row).collect();
    output::table(header, &rows);
    Ok(Outcome::Done)
}

/// A value without quotes around text.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
