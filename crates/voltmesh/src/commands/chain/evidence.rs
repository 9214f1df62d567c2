//! `voltmesh chain evidence`: who was convicted, and the signed votes, checked here.

use anyhow::{Context as _, Result, bail, ensure};
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use serde::Serialize;
use voltmesh_fog::answers::{Accusation, Convictions, Evidence, Quarantined};
use voltmesh_ledger::{self as ledger, Digest, public_key_from_hex, verifying_key};

use super::answer::{ask, called, short};
use crate::http::Http;
use crate::output::{self, row};
use crate::{Outcome, args};

pub async fn run(http: &Http, options: &args::Evidence) -> Result<Outcome> {
    match &options.command {
        None => list(http, &options.ask).await,
        Some(args::EvidenceCommand::Show { height, ask }) => show(http, *height, ask).await,
    }
}

async fn list(http: &Http, options: &args::Ask) -> Result<Outcome> {
    let answer: Convictions = ask(http, options.fog.fog, "/chain/evidence").await?;
    if options.json {
        output::json(&answer)?;
        return Ok(Outcome::Done);
    }
    if answer.convictions.is_empty() {
        output::line(format!("nobody is convicted, as of block {}", answer.height));
    } else {
        let rows: Vec<Vec<String>> = answer
            .convictions
            .iter()
            .map(|conviction| {
                let state = match conviction.state {
                    Quarantined::Out => "in quarantine",
                    Quarantined::Leaving => "out within two epochs",
                    Quarantined::Waiting => "waits for a place",
                };
                vec![
                    conviction.name.clone().unwrap_or_else(|| "–".into()),
                    conviction.authority.clone(),
                    conviction.offence.clone(),
                    format!("{}.{}", conviction.epoch, conviction.view),
                    conviction.height.to_string(),
                    state.into(),
                ]
            })
            .collect();
        output::table(&["node", "authority", "offence", "epoch.view", "block", "state"], &rows);
    }
    for (key, count) in &answer.seen_here {
        output::line(format!("{count} conflicting votes of {key} seen by this node itself"));
    }
    Ok(Outcome::Done)
}

/// The evidence of a block, and whether it holds.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    evidence: Evidence,
    /// Whether every signature is the accused's over two votes of one view that exclude each other.
    holds: bool,
}

async fn show(http: &Http, height: args::At, options: &args::Ask) -> Result<Outcome> {
    let evidence: Evidence = ask(http, options.fog.fog, &format!("/chain/evidence/{height}")).await?;
    let checks: Vec<Result<()>> =
        evidence.accusations.iter().map(|accusation| check(accusation, &evidence.chain)).collect();
    let holds = checks.iter().all(Result::is_ok);
    if options.json {
        output::json(&Shown { evidence, holds })?;
    } else {
        output::line(format!("block {}, chain {}", evidence.height, evidence.chain));
        for (accusation, check) in evidence.accusations.iter().zip(&checks) {
            print(accusation, check);
        }
    }
    Ok(if holds { Outcome::Done } else { Outcome::Wrong })
}

/// Reads the evidence itself, and checks both signatures with an implementation that is not the ledger's.
fn check(accusation: &Accusation, chain: &str) -> Result<()> {
    let chain = hex::decode(chain).context("the chain is no hex")?;
    let chain = Digest::decode(Copying(&chain[..])).context("the chain is no digest")?;
    let bytes = hex::decode(&accusation.evidence_hex).context("the evidence is no hex")?;
    let evidence =
        ledger::EquivocationProof::decode(Copying(&bytes[..])).context("the evidence cannot be read")?;
    ensure!(
        (evidence.epoch().get(), evidence.view()) == (accusation.epoch, accusation.view),
        "the evidence is of another view"
    );
    let Some(key) = &accusation.authority else {
        bail!("the fog node does not know the voters of epoch {}", accusation.epoch)
    };
    let key = verifying_key(&public_key_from_hex(key)?)?;
    let votes = evidence.votes(&chain);
    ensure!(votes.len() == 2 && accusation.votes.len() == 2, "there are not two votes");
    for (vote, shown) in votes.iter().zip(&accusation.votes) {
        let signature = vote.signature.encode();
        ensure!(
            hex::encode(&vote.signed) == shown.signed_hex && hex::encode(&signature) == shown.signature_hex,
            "a vote that is shown is not the one in the evidence"
        );
        let signature = ed25519_dalek::Signature::from_slice(&signature).context("a signature's form")?;
        key.verify_strict(&vote.signed, &signature).context("a signature is not the accused's")?;
    }
    Ok(())
}

fn print(accusation: &Accusation, check: &Result<()>) {
    let accused = accusation.authority.as_ref().map_or("not known here".into(), |key| {
        let name = accusation.name.as_ref().map_or(String::new(), |name| format!("{name}, "));
        format!("{name}{key}")
    });
    let mut rows = vec![
        row("accused", accused),
        row("offence", &accusation.offence),
        row("epoch and view", format!("{}.{}", accusation.epoch, accusation.view)),
    ];
    for vote in &accusation.votes {
        let block =
            vote.block.as_ref().map_or_else(|| "to skip the view".into(), |block| format!("for {block}"));
        rows.push(row(&format!("vote: {}", vote.kind), block));
        rows.push(row("signed bytes", &vote.signed_hex));
        rows.push(row("signature", &vote.signature_hex));
    }
    rows.push(row("evidence", &accusation.evidence_hex));
    rows.push(match check {
        Ok(()) => row("check", "both signatures are the accused's"),
        Err(error) => row("check", format!("FAILS: {error:#}")),
    });
    output::line("");
    let who =
        accusation.authority.as_ref().map_or("someone".into(), |key| called(key, accusation.name.as_ref()));
    output::table(&[&format!("against {}", short(&who)), "value"], &rows);
}

#[cfg(test)]
mod tests {
    use super::*;
    use voltmesh_fog::answers::Names;
    use voltmesh_ledger::{State, Timestamp, Transaction, testing::Network};

    /// A block that holds evidence against the second of four authorities, as a fog node explains it.
    fn explained() -> Evidence {
        let network = Network::new(4);
        let state = State::new(network.genesis());
        let first = state.build([], Timestamp::from_millis(2_000));
        let voters = first.state.roster_for(first.state.epoch()).expect("known").voters.clone();
        let evidence = network.equivocation(first.block.header(), &voters, 1);
        let second = first.state.build([Transaction::Evidence(evidence)], Timestamp::from_millis(3_000));
        assert!(second.rejected.is_empty(), "{:?}", second.rejected);
        let voters = |_| Some(voters.clone());
        Evidence::in_block(&second.block, &state.chain(), voters, &Names::default()).expect("one")
    }

    #[test]
    fn evidence_holds_for_anyone() {
        let evidence = explained();
        let accusation = &evidence.accusations[0];
        check(accusation, &evidence.chain).expect("it holds");
        // What is signed names the block, so nobody has to believe the fog node that these are the votes.
        for vote in &accusation.votes {
            assert!(vote.signed_hex.contains(vote.block.as_ref().expect("of a block")));
            assert!(vote.signed_hex.contains(&evidence.chain));
        }
        assert_ne!(accusation.votes[0].block, accusation.votes[1].block);
    }

    #[test]
    fn altered_evidence_does_not() {
        let evidence = explained();
        let fails = |change: &dyn Fn(&mut Accusation), why: &str| {
            let mut accusation = evidence.accusations[0].clone();
            change(&mut accusation);
            let error = check(&accusation, &evidence.chain).expect_err(why);
            assert!(format!("{error:#}").contains(why), "{error:#}");
        };
        let other = Network::new(4).genesis().authorities.get(0).map(ToString::to_string);
        fails(&|a| a.authority = other.clone(), "not the accused's");
        fails(&|a| a.authority = None, "does not know the voters");
        fails(&|a| a.view += 1, "another view");
        fails(&|a| a.votes[0].signed_hex = "00".into(), "not the one in the evidence");
        fails(&|a| a.evidence_hex.truncate(20), "cannot be read");
        let accusation = &evidence.accusations[0];
        assert!(check(accusation, &"00".repeat(32)).is_err(), "another chain");
        assert!(check(accusation, "zz").is_err());
    }
}
