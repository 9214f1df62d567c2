//! Check of what the cloud signed onto the ledger of its archive: the tables begin with just that, or the archive went back.

use super::{
    batches::Batches,
    log::Place,
    report::{ArchiveReport, Kind},
};
use crate::delta::{Inspected, ordered_batches, ordered_quarantine};
use voltmesh_control::{ArchiveStatement, Tree};
use voltmesh_ledger::{AnchoredStatement, Stage, Trust, verifying_key};
use voltmesh_telemetry::{Digest, merkle};

/// Statements in the trust file are held against the tables; places of statements that are kept beside the archive are taken
/// into the account of the log.
pub(super) async fn check(
    places: &[AnchoredStatement],
    [batches, quarantine, copies]: [&Inspected; 3],
    trust: &Trust,
    found: &mut Batches,
    report: &mut ArchiveReport,
) {
    for place in places.iter().chain(trust.archives()) {
        // What does not hold explains nothing. A batch that is gone does not pass for a statement: its bytes are none.
        if ArchiveStatement::peek(&place.statement).is_err() {
            continue;
        }
        let (header, inclusion) = (&place.evidence.header, &place.evidence.inclusion);
        let leaf = AnchoredStatement::leaf(&place.statement);
        match place.verify(trust) {
            Ok(_) => {
                let at = Place { index: inclusion.index, size: header.log_size, root: header.log_root };
                found.log.hold(at, &leaf, report);
            }
            Err(error) if error.stage == Stage::Authorities => found.log.say(inclusion.index, &leaf),
            Err(_) => {}
        }
    }
    let statements: Vec<ArchiveStatement> =
        trust.archives().iter().filter_map(|anchored| signed(anchored, trust)).collect();
    if statements.is_empty() {
        return;
    }
    let tables =
        (ordered_batches(&batches.view, &copies.view).await, ordered_quarantine(&quarantine.view).await);
    // What cannot be read is a finding of its own.
    let (Ok(batches), Ok(quarantined)) = tables else { return };
    for statement in &statements {
        for (what, said, here) in [
            ("batches", &statement.batches, &batches),
            ("quarantined deliveries", &statement.quarantine, &quarantined),
        ] {
            if let Some(wrong) = differs(said, here) {
                let (cloud, sequence, at) =
                    (&statement.cloud, statement.sequence, date(statement.time.as_millis()));
                report.problem(
                    Kind::Unaccounted,
                    format!(
                        "{what}: {wrong}, by statement {sequence} of {cloud} on {at}, signed and in the ledger's log"
                    ),
                );
            }
        }
    }
}

/// A time as RFC 3339 in UTC.
fn date(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).ok();
    let text = time.and_then(|time| time.format(&time::format_description::well_known::Rfc3339).ok());
    text.unwrap_or_else(|| format!("millisecond {ms} after 1970"))
}

/// What a cloud of the trust file signed. That the log holds it was checked when the trust file was read.
fn signed(anchored: &AnchoredStatement, trust: &Trust) -> Option<ArchiveStatement> {
    let keys = trust.cloud_keys().iter().filter_map(|key| verifying_key(key).ok());
    keys.filter_map(|key| ArchiveStatement::verify(&anchored.statement, &key).ok()).next()
}

/// How a table's leaves, in their order, do not begin with what was said.
fn differs(said: &Tree, leaves: &[Digest]) -> Option<String> {
    let here = leaves.len() as u64;
    let beginning = usize::try_from(said.size).ok().and_then(|size| leaves.get(..size));
    match beginning {
        None => {
            Some(format!("the archive held {}, and {here} are here: it was rolled back or cut", said.size))
        }
        Some(beginning) if merkle::root(beginning) != said.root => {
            Some(format!("the first {} are others than the archive held, or in another order", said.size))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_begins_with_what_was_said_of_it() {
        let leaves: Vec<Digest> = (0..5).map(|n| Digest::new([n; 32])).collect();
        let said = |count: usize| Tree { size: count as u64, root: merkle::root(&leaves[..count]) };
        for count in 0..=5 {
            assert_eq!(differs(&said(count), &leaves), None);
            let cut = differs(&said(count), &leaves[..count.saturating_sub(1)]);
            assert_eq!(cut.is_some(), count > 0, "{cut:?}");
        }
        let mut other = leaves.clone();
        other.swap(1, 2);
        assert!(differs(&said(5), &other).is_some_and(|wrong| wrong.contains("others")));
        assert_eq!(differs(&said(1), &other), None);
    }
}
