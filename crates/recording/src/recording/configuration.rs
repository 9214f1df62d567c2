//! Configuration of a vehicle's source that reads the same files, as TOML.

use super::bus::Bus;
use crate::Options;
use crate::can::Signals;
use crate::table::{Columns, Level};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// `[source]` of a vehicle's configuration.
#[derive(Serialize)]
struct Written<'a> {
    kind: &'static str,
    files: &'a [PathBuf],
    #[serde(skip_serializing_if = "Option::is_none")]
    dbc: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostics: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_format: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signals: Option<Signals>,
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<Columns>,
}

/// File with this source.
#[derive(Serialize)]
struct File<'a> {
    source: Written<'a>,
}

fn written(source: Written<'_>) -> String {
    toml::to_string(&File { source })
        .unwrap_or_else(|error| format!("# this cannot be written as TOML: {error}\n"))
}

pub(super) fn configuration_of_bus(files: &[PathBuf], options: &Options, bus: &Bus) -> String {
    written(Written {
        kind: "candump",
        files,
        dbc: options.dbc.as_deref(),
        diagnostics: options.diagnostics.as_deref(),
        interface: options.interface.as_deref(),
        level: None,
        start_ms: options.start_ms,
        time_format: options.table.time_format.as_deref(),
        time_zone: options.table.time_zone.as_deref(),
        signals: Some(bus.decoder().configured(&bus.signals)),
        columns: None,
    })
}

pub(super) fn configuration_of_tables(
    files: &[PathBuf],
    options: &Options,
    level: Level,
    columns: Option<Columns>,
) -> String {
    written(Written {
        kind: "replay",
        files,
        dbc: None,
        diagnostics: None,
        interface: None,
        level: (level == Level::Cell).then_some("cell"),
        start_ms: options.start_ms,
        time_format: None,
        time_zone: None,
        signals: None,
        columns,
    })
}
