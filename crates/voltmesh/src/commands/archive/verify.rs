//! `voltmesh verify --archive`: every record of an archive, with nothing but a trust file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use voltmesh_cloud::{ArchiveReport, Claims, Location, verify_claims};
use voltmesh_ledger::Trust;

use crate::Outcome;
use crate::commands::{block_on, read_limited};
use crate::output::{self, row};

/// Problems shown to people; `--json` has all that were kept.
const SHOWN: usize = 20;
/// Longest file of archive notices: 1,000 of the longest ones in hex.
const MAX_CLAIMS_BYTES: usize = 128 << 20;
/// Longest file of leaves: 32 million of 32 bytes.
const MAX_LEAVES_BYTES: usize = 1 << 30;

/// Checks the archive in a folder, that it holds what the notices in `claims` name, and every entry of the log in `leaves`.
pub fn verify(
    folder: &Path,
    trust: &Trust,
    claims: &[PathBuf],
    leaves: Option<&Path>,
    as_json: bool,
) -> Result<Outcome> {
    let mut claimed = Claims::default();
    if let Some(path) = leaves {
        let bytes = read_limited(path, MAX_LEAVES_BYTES)?;
        claimed.set_leaves(&bytes).with_context(|| path.display().to_string())?;
    }
    for path in claims {
        let bytes = read_limited(path, MAX_CLAIMS_BYTES)?;
        claimed.add_notices(&bytes, trust).with_context(|| path.display().to_string())?;
    }
    let location = Location::existing_folder(folder)?;
    let found = block_on(async { Ok(verify_claims(&location, trust, &claimed).await?) })?;
    if as_json {
        output::json(&found)?;
    } else {
        output::table(
            &["records", "count"],
            &[
                row("in the archive", found.records),
                row("verified", found.verified),
                row("of later epochs than the trust file knows", found.unproven),
                row("tampered", found.tampered),
                row("standing twice", found.duplicates),
                row("missing", found.missing),
                row("in gaps, never received", found.gap_records),
                row("quarantined batches", found.quarantined),
                row("batches of doubtful recordings, accepted by their vehicle", found.doubtful_batches),
                row("batches that fail a check", found.bad_batches),
                row("batches that stand twice", found.duplicate_batches),
                row("entries of the ledger's log, archived or refused", found.log.held),
                row("entries of the ledger's log, missing", found.log.absent),
                row("else archived by its own account, missing", found.unaccounted),
            ],
        );
        if found.older_forms > 0 {
            output::line(format!(
                "{} batches have evidence of the older form: the size of the registry's tree in it is not checked.",
                found.older_forms
            ));
        }
        found.problems.iter().take(SHOWN).for_each(|problem| output::line(format!("WRONG: {problem}")));
        found.doubts.iter().take(SHOWN).for_each(|doubt| output::line(format!("doubtful: {doubt}")));
        if let Some(later) = &found.later {
            output::line(format!("CANNOT TELL: {later}"));
        }
        output::line(match judged(&found) {
            Outcome::Done => {
                "Every record is what its vehicle signed and the ledger finalized, once, and none is known to be missing."
            }
            Outcome::NotLooked => {
                "Every record is what its vehicle signed, once; whether the ledger finalized the newest, a newer trust file tells."
            }
            _ => "This archive is NOT what was signed and finalized.",
        });
    }
    Ok(judged(&found))
}

/// What is wrong weighs more than what an old trust file leaves open.
fn judged(found: &ArchiveReport) -> Outcome {
    if found.is_wrong() {
        Outcome::Wrong
    } else if found.later.is_some() {
        Outcome::NotLooked
    } else {
        Outcome::Done
    }
}
