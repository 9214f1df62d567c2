//! `voltmesh audit …`: the audit log of a role or a CA, shown and checked.

mod receipts;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use anyhow::Result;
use serde_json::json;
use voltmesh_audit::{Entry, Hash, Head, Kind, read};

use super::chain::read_trust;
use crate::{Outcome, args, output};
use receipts::Receipts;

/// Runs the command.
pub fn run(command: args::Audit) -> Result<Outcome> {
    match command {
        args::Audit::Show { dir, kind, last, json } => show(&dir, kind, last as usize, json),
        args::Audit::Verify { dir, head, trust, receipts, node, json } => {
            let vouched = match trust {
                Some(trust) => {
                    let folder = receipts.unwrap_or_else(|| dir.join("ledger"));
                    Some(Receipts::read(&folder, &read_trust(&trust)?, node.as_deref())?)
                }
                None => None,
            };
            verify(&dir, head, vouched, json)
        }
    }
}

fn show(dir: &Path, kind: Option<Kind>, last: usize, as_json: bool) -> Result<Outcome> {
    let mut shown: VecDeque<Entry> = VecDeque::new();
    let report = read(dir, |entry| {
        if kind.is_none_or(|kind| kind == entry.kind) {
            if shown.len() >= last {
                shown.pop_front();
            }
            shown.push_back(entry.clone());
        }
    })?;
    for entry in &shown {
        if as_json {
            output::json(entry)?;
            continue;
        }
        let Entry { seq, at_ms, kind, who, what, count, .. } = entry;
        let at = output::rfc3339(i64::try_from(at_ms / 1_000).unwrap_or(i64::MAX));
        let often = if *count == 1 { String::new() } else { format!(" ({count} times)") };
        // What strangers sent may hold control characters.
        let (who, what) = (who.escape_debug(), what.escape_debug());
        output::line(format!("{seq} {at} {} {who}: {what}{often}", kind.as_str()));
    }
    if report.problem_count > 0 {
        output::line(format!("The chain breaks in {} places: voltmesh audit verify", report.problem_count));
        return Ok(Outcome::Wrong);
    }
    Ok(Outcome::Done)
}

fn verify(dir: &Path, noted: Option<Head>, receipts: Option<Receipts>, as_json: bool) -> Result<Outcome> {
    let mut wanted: BTreeMap<u64, Option<Hash>> = noted.iter().map(|noted| (noted.seq, None)).collect();
    wanted.extend(receipts.iter().flat_map(|all| all.proven.iter().map(|one| (one.head.seq, None))));
    // The hash of an entry stands in the one after it, or is the head.
    let mut next = None;
    let report = read(dir, |entry| {
        if let Some(before) = next
            && let Some(found) = wanted.get_mut(&before)
        {
            *found = Some(entry.previous);
        }
        next = Some(entry.seq);
    })?;
    if let Some(head) = report.head
        && let Some(found) = wanted.get_mut(&head.seq)
    {
        *found = Some(head.hash);
    }
    let has = |head: Head| wanted.get(&head.seq).copied().flatten() == Some(head.hash);
    let holds = noted.is_none_or(has);
    let vouched = receipts.map(|receipts| receipts.against(has, report.first.unwrap_or(0)));
    let vouches = vouched.as_ref().is_none_or(|vouched| vouched.problems.is_empty());
    let fine = holds && vouches && report.problem_count == 0;
    let outcome = match (fine, vouched.as_ref().is_some_and(|vouched| !vouched.unknown.is_empty())) {
        (false, _) => Outcome::Wrong,
        (true, true) => Outcome::NotLooked,
        (true, false) => Outcome::Done,
    };
    if as_json {
        output::json(&json!({
            "entries": report.entries, "first": report.first, "problems": report.problems,
            "problem_count": report.problem_count, "torn_bytes": report.torn_bytes,
            "head": report.head.map(|head| head.to_string()), "noted_head_holds": noted.map(|_| holds), "ledger": vouched, "holds": fine,
        }))?;
        return Ok(outcome);
    }
    let first = report.first.unwrap_or(0);
    output::line(format!("{} entries, from number {first} on", report.entries));
    for problem in &report.problems {
        output::line(format!("{}, line {}: {}", problem.file, problem.line, problem.what.escape_debug()));
    }
    if report.torn_bytes > 0 {
        output::line(format!(
            "{} bytes of an entry that is being written, or was when the process ended",
            report.torn_bytes
        ));
    }
    if let (Some(noted), false) = (noted, holds) {
        let why =
            if noted.seq < first { "it went with the oldest file" } else { "the log was cut or replaced" };
        output::line(format!("the noted head {noted} is not in the log: {why}"));
    }
    if let Some(vouched) = &vouched {
        vouched.show();
    }
    if let Some(head) = report.head {
        output::line(format!("head {head}"));
        output::line("Note the head elsewhere: against it a log that was cut or replaced shows.");
    }
    Ok(outcome)
}
