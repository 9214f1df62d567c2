//! `voltmesh archive check | dedup`: rows that stand twice, found and removed.

use anyhow::{Context as _, Result};
use voltmesh_cloud::{DedupReport, DoublesReport, Location, check_doubles, dedup};

use crate::Outcome;
use crate::args;
use crate::commands::{block_on, chain::read_trust};
use crate::output;

/// Lines shown to people; `--json` has all that were kept.
const SHOWN: usize = 20;

/// Runs the command.
pub fn run(command: args::Archive) -> Result<Outcome> {
    match command {
        args::Archive::Check { archive, json } => {
            let location = Location::existing(&archive, &Default::default())?;
            let found = block_on(async { Ok(check_doubles(&location).await?) })?;
            show_doubles(&found, json)
        }
        args::Archive::Dedup { archive, trust, dry_run, json } => {
            let trust = read_trust(&trust)?;
            let location = Location::existing(&archive, &Default::default())?;
            let done = block_on(async {
                let done = dedup(&location, &trust, dry_run).await;
                done.context("the doubled rows are not all removed: stop the cloud, then run this again")
            })?;
            show_removal(&done, json)
        }
    }
}

fn show_doubles(found: &DoublesReport, as_json: bool) -> Result<Outcome> {
    if as_json {
        output::json(found)?;
    } else {
        output::table(
            &["table", "rows", "standing twice"],
            &[
                line("records", found.records, found.doubled_records),
                line("batches", found.batches, found.doubled_batches),
            ],
        );
        found.ids.iter().take(SHOWN).for_each(output::line);
        output::line(if found.is_clean() {
            "Nothing stands twice."
        } else {
            "Rows stand twice: stop the cloud, then run `voltmesh archive dedup`."
        });
    }
    Ok(if found.is_clean() { Outcome::Done } else { Outcome::Wrong })
}

fn line(table: &str, rows: u64, doubled: u64) -> Vec<String> {
    vec![table.to_owned(), rows.to_string(), doubled.to_string()]
}

fn show_removal(done: &DedupReport, as_json: bool) -> Result<Outcome> {
    if as_json {
        output::json(done)?;
    } else {
        done.log.iter().for_each(output::line);
        for table in &done.tables {
            output::line(format!(
                "{}: {} rows before, {} after, version {}",
                table.table, table.before, table.after, table.version
            ));
        }
        let (records, batches) = (done.removed_records, done.removed_batches);
        let said = if done.dry_run { "would be removed" } else { "removed" };
        output::line(format!(
            "{records} rows of records and {batches} of batches {said}, {} left.",
            done.left
        ));
    }
    Ok(if done.left == 0 { Outcome::Done } else { Outcome::Wrong })
}
