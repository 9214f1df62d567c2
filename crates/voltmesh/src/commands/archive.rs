//! `voltmesh verify --archive`: every record of an archive, with nothing but a trust file.

use std::path::Path;

use anyhow::Result;
use voltmesh_cloud::{Location, verify_archive};
use voltmesh_ledger::Trust;

use super::block_on;
use crate::Outcome;
use crate::output::{self, row};

/// Problems shown to people; `--json` has all that were kept.
const SHOWN: usize = 20;

/// Checks the archive in a folder.
pub fn verify(folder: &Path, trust: &Trust, as_json: bool) -> Result<Outcome> {
    let found = block_on(async { Ok(verify_archive(&Location::existing_folder(folder)?, trust).await?) })?;
    if as_json {
        output::json(&found)?;
    } else {
        output::table(
            &["records", "count"],
            &[
                row("in the archive", found.records),
                row("verified", found.verified),
                row("tampered", found.tampered),
                row("duplicates", found.duplicates),
                row("missing", found.missing),
                row("in gaps, never received", found.gap_records),
                row("quarantined batches", found.quarantined),
            ],
        );
        found.problems.iter().take(SHOWN).for_each(|problem| output::line(format!("WRONG: {problem}")));
        output::line(if found.is_sound() {
            "Every record is what its vehicle signed and the ledger finalised."
        } else {
            "This archive is NOT what was signed and finalised."
        });
    }
    Ok(if found.is_sound() { Outcome::Done } else { Outcome::Wrong })
}
