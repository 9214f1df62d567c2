//! `voltmesh query`: SQL over the archive.

use anyhow::Result;

use crate::{Outcome, args};

#[cfg(feature = "sql")]
mod guard;

/// Runs the command.
#[cfg(feature = "sql")]
pub fn run(options: args::Query) -> Result<Outcome> {
    use crate::output;
    use anyhow::Context as _;
    use std::time::Duration;
    use voltmesh_cloud::{Config, Location, QueryLimits};

    let location = match (&options.config, &options.archive) {
        (Some(path), _) => {
            let config = Config::load(path)?;
            Location::existing(&config.archive, &config.store)?
        }
        (None, Some(archive)) => Location::existing(archive, &Default::default())?,
        (None, None) => {
            anyhow::bail!("say where the archive is: --archive FOLDER|URL, or --config cloud.toml")
        }
    };
    let limits = QueryLimits {
        time: Duration::from_secs(options.timeout),
        memory: usize::try_from(options.memory << 20).unwrap_or(usize::MAX),
    };
    let asked = voltmesh_cloud::query_within(&location, &options.sql, &limits);
    let guard = guard::Guard::start(limits.time, limits.memory as u64);
    let rows = super::block_on(async { Ok(asked.await?) })?;
    drop(guard);
    if options.json {
        let rows: Vec<serde_json::Value> = rows
            .to_json_lines()?
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .context("a row is not JSON")?;
        output::json(&serde_json::json!({ "rows": rows }))?;
    } else {
        output::line(rows.to_table()?);
    }
    Ok(Outcome::Done)
}

/// Says how to get a build that can.
#[cfg(not(feature = "sql"))]
pub fn run(options: args::Query) -> Result<Outcome> {
    let archive = options.archive.unwrap_or_else(|| "the archive".to_owned());
    anyhow::bail!(
        "this build has no SQL: build it with `cargo build --release --features sql`, or read {archive} with any Delta Lake reader"
    )
}
