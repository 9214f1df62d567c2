//! Answers of a fog node, and how what they name is shown.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;

use crate::http::Http;

/// Asks a fog node for one of its answers.
pub(super) async fn ask<T: DeserializeOwned>(http: &Http, fog: SocketAddr, path: &str) -> Result<T> {
    let bytes = http.get(fog, path).await?;
    serde_json::from_slice(&bytes).with_context(|| {
        format!("the answer to {path} is of another kind; is it a fog node of this version?")
    })
}

/// The beginning of a key: enough to tell a few apart.
pub(super) fn short(key: &str) -> String {
    key.chars().take(16).collect()
}

/// A node's name if it has one, else the beginning of its key.
pub(super) fn called(key: &str, name: Option<&String>) -> String {
    name.cloned().unwrap_or_else(|| short(key))
}

/// As [`called`], for many.
pub(super) fn all_called(keys: &[String], names: &BTreeMap<String, String>) -> String {
    keys.iter().map(|key| called(key, names.get(key))).collect::<Vec<_>>().join(" ")
}

/// `1.5` of milliseconds, `–` if there are none.
pub(super) fn ms(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.1}"))
}
