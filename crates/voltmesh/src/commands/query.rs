//! `voltmesh query`: SQL over the archive.

use anyhow::Result;

use crate::{Outcome, args};

/// Runs the command.
#[cfg(feature = "sql")]
pub fn run(options: args::Query) -> Result<Outcome> {
    let answer = super::block_on(async { Ok(voltmesh_cloud::query(&options.archive, &options.sql).await?) })?;
    if options.json {
        crate::output::json(&serde_json::json!({ "rows": answer.rows() }))?;
    } else {
        crate::output::line(answer.table());
    }
    Ok(Outcome::Done)
}

/// Says how to get a build that can.
#[cfg(not(feature = "sql"))]
pub fn run(options: args::Query) -> Result<Outcome> {
    anyhow::bail!(
        "this build has no SQL: build it with `cargo build --release --features sql`, or read {} with any Delta Lake reader",
        options.archive
    )
}
