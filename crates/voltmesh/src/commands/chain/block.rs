//! `voltmesh chain block`.

use std::collections::BTreeMap;

use anyhow::Result;
use voltmesh_fog::answers::{Block, Change, Transaction};

use super::answer::{all_called, ask, called, short};
use crate::args;
use crate::http::Http;
use crate::output::{self, row};

/// Actions of one decision that are written out; a fleet may be enrolled at once.
const SHOWN_ACTIONS: usize = 8;

pub async fn run(http: &Http, height: args::At, options: &args::Ask) -> Result<()> {
    let block: Block = ask(http, options.fog.fog, &format!("/chain/block/{height}/explained")).await?;
    if options.json {
        return output::json(&block);
    }
    show(&block);
    Ok(())
}

fn show(block: &Block) {
    let names = &block.names;
    let leader = block.leader.as_ref().map_or("not known here".into(), |key| called(key, names.get(key)));
    let mut rows = vec![
        row("height", block.height),
        row("digest", &block.digest),
        row("parent", &block.parent),
        row("time", time(block.time_ms)),
        row(
            "epoch and view",
            format!("{}.{}, {} skipped before", block.epoch, block.view, block.skipped_views),
        ),
        row("leader", leader),
        row(
            "length",
            format!(
                "{} B: header {}, votes {}, transactions {}",
                block.bytes, block.header_bytes, block.certificate_bytes, block.transaction_bytes
            ),
        ),
        row("anchors", format!("{} batches, {} records", block.batches, block.records)),
        row("log", format!("{} batches, root {}", block.log_size, block.log_root)),
        row("registry root", &block.registry_root),
    ];
    if let Some(votes) = &block.certificate {
        let of = votes.height.map_or_else(|| short(&votes.block), |height| format!("block {height}"));
        let quorum = votes.quorum.map_or_else(|| "?".into(), |quorum| quorum.to_string());
        rows.push(row("embedded votes", format!("{} of {of} in {}.{}", votes.kind, votes.epoch, votes.view)));
        rows.push(row(
            "voted",
            format!("({}, needs {quorum}) {}", votes.voted.len(), all_called(&votes.voted, names)),
        ));
        rows.push(row("votes not in it", all_called(&votes.absent, names)));
    }
    output::table(&["block", "value"], &rows);
    if !block.transactions.is_empty() {
        output::line("");
        let rows: Vec<Vec<String>> = block.transactions.iter().map(|tx| transaction(tx, names)).collect();
        output::table(&["transaction", "by", "what"], &rows);
    }
}

fn transaction(transaction: &Transaction, names: &BTreeMap<String, String>) -> Vec<String> {
    let name = |key: &String| called(key, names.get(key));
    let (kind, by, what) = match transaction {
        Transaction::Anchor { authority, sequence, records, batches } => {
            ("anchor", name(authority), format!("{batches} batches, {records} records, number {sequence}"))
        }
        Transaction::Registry { nonce, actions, signed_by } => {
            let mut what: Vec<String> =
                actions.iter().take(SHOWN_ACTIONS).map(|change| self::change(change, &name)).collect();
            if actions.len() > SHOWN_ACTIONS {
                what.push(format!("and {} more", actions.len() - SHOWN_ACTIONS));
            }
            let by = format!("{} operators", signed_by.len());
            ("registry", by, format!("decision {nonce}: {}", what.join(", ")))
        }
        Transaction::RoundTrips { authority, to_us, .. } => {
            let trips = to_us.iter().map(|(key, us)| match us {
                Some(us) => format!("{} {:.1}", name(key), f64::from(*us) / 1_000.0),
                None => format!("{} no answer", name(key)),
            });
            ("round trips", name(authority), format!("ms to {}", trips.collect::<Vec<_>>().join(", ")))
        }
        Transaction::Evidence { authority, offence, epoch, view } => {
            let accused = authority.as_ref().map_or_else(|| "someone".into(), name);
            ("evidence", "anyone".into(), format!("against {accused}: {offence}, in {epoch}.{view}"))
        }
        Transaction::Events { authority, lane, sequence, events } => {
            ("events", name(authority), format!("{events} events, list {sequence} of {lane}"))
        }
        Transaction::Policy { controller, term, number, act, decision, to, .. } => {
            let of = decision.as_ref().or(to.as_ref()).map_or(String::new(), |of| format!(" {}", short(of)));
            let act = act.replace('_', " ");
            ("policy", name(controller), format!("number {number} of term {term}: {act}{of}"))
        }
    };
    vec![kind.into(), by, what]
}

fn change(change: &Change, name: &impl Fn(&String) -> String) -> String {
    match change {
        Change::EnrolVehicle { commitment } => format!("enrol {}", short(commitment)),
        Change::RevokeVehicle { commitment } => format!("revoke {}", short(commitment)),
        Change::RotateVehicle { old, new } => format!("rotate {} to {}", short(old), short(new)),
        Change::AdmitAuthority { key } => format!("admit authority {}", name(key)),
        Change::RemoveAuthority { key } => format!("remove authority {}", name(key)),
        Change::RotateAuthority { old, new } => format!("rotate authority {} to {}", name(old), name(new)),
        Change::PardonAuthority { key } => format!("pardon authority {}", name(key)),
        Change::SetOperators { keys, threshold } => format!("{threshold} of {} operators sign", keys.len()),
        Change::AdmitController { key } => format!("admit controller {}", name(key)),
        Change::RemoveController { key } => format!("remove controller {}", name(key)),
        Change::PublishFunction { component, publisher } => {
            format!("release function {} of publisher {}", short(component), short(publisher))
        }
        Change::WithdrawFunction { component } => format!("withdraw function {}", short(component)),
    }
}

/// RFC 3339 in UTC.
fn time(ms: u64) -> String {
    let nanos = i128::from(ms) * 1_000_000;
    time::OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|time| time.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_else(|| format!("{ms} ms"))
}
