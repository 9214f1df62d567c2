//! `voltmesh chain authorities` and `scores`.

use anyhow::Result;
use voltmesh_fog::answers::{Authorities, Authority, Quarantined, Role, Score, Scores, Seat};

use super::answer::{ask, ms, short};
use crate::http::Http;
use crate::{args, output};

/// Characters of a bar that is full.
const BAR: usize = 20;

pub async fn authorities(http: &Http, options: &args::Ask) -> Result<()> {
    let answer: Authorities = ask(http, options.fog.fog, "/chain/authorities").await?;
    if options.json {
        return output::json(&answer);
    }
    output::line(format!(
        "epoch {} until block {}, now {}: {} vote{}, {} make a block final, {} may be faulty",
        answer.epoch,
        answer.epoch_ends_at,
        answer.height,
        answer.voters,
        if answer.has_committee { " as a committee" } else { "" },
        answer.quorum,
        answer.faults
    ));
    output::line("");
    let rows: Vec<Vec<String>> = answer
        .authorities
        .iter()
        .map(|authority| {
            vec![
                name(authority.name.as_ref(), authority.this_node),
                short(&authority.key),
                authority.height.map_or_else(|| "–".into(), |height| height.to_string()),
                role(&authority.this_epoch),
                turns(authority.this_epoch.turns_percent),
                role(&authority.next_epoch),
                turns(authority.next_epoch.turns_percent),
                remarks(authority),
            ]
        })
        .collect();
    output::table(
        &["node", "key", "height", "this epoch", "turns %", "next epoch", "turns %", "remarks"],
        &rows,
    );
    Ok(())
}

pub async fn scores(http: &Http, options: &args::Ask) -> Result<()> {
    let answer: Scores = ask(http, options.fog.fog, "/chain/scores").await?;
    if options.json {
        return output::json(&answer);
    }
    output::line(format!(
        "epoch {}, block {}: {} certificates embedded in this epoch; {:.0} % of them are everyone's fair share of votes",
        answer.epoch, answer.height, answer.certificates, answer.fair_votes_percent
    ));
    output::line("");
    let mut best_first: Vec<&Score> = answer.authorities.iter().collect();
    best_first.sort_by(|a, b| b.score_percent.total_cmp(&a.score_percent).then_with(|| a.name.cmp(&b.name)));
    let rows: Vec<Vec<String>> = best_first
        .into_iter()
        .map(|score| {
            vec![
                name(score.name.as_ref(), false),
                short(&score.key),
                bar(score.score_percent),
                turns(score.score_percent),
                score.votes.to_string(),
                score.proposed.to_string(),
                score.missed.to_string(),
                ms(score.round_trip_ms),
                turns(score.turns_percent),
                turns(score.next_turns_percent),
                conduct(score.quarantine, score.probation_epochs).join(", "),
            ]
        })
        .collect();
    let header = [
        "node",
        "key",
        "score",
        "%",
        "votes",
        "led",
        "missed",
        "round trip ms",
        "turns %",
        "then %",
        "remarks",
    ];
    output::table(&header, &rows);
    Ok(())
}

fn name(name: Option<&String>, this_node: bool) -> String {
    let name = name.map_or("–", String::as_str);
    if this_node { format!("{name} (this node)") } else { name.to_owned() }
}

fn role(seat: &Seat) -> String {
    let role = match seat.role {
        Role::Voter => "voter",
        Role::Follower => "follower",
        Role::None => "–",
    };
    role.into()
}

fn turns(percent: f64) -> String {
    format!("{percent:.1}")
}

/// Quarantine and probation in words.
fn conduct(quarantine: Option<Quarantined>, probation_epochs: u32) -> Vec<String> {
    let mut words = Vec::new();
    match quarantine {
        Some(Quarantined::Out) => words.push("in quarantine".to_owned()),
        Some(Quarantined::Leaving) => words.push("convicted, out within two epochs".to_owned()),
        Some(Quarantined::Waiting) => words.push("convicted, waits for a place in quarantine".to_owned()),
        None => {}
    }
    if probation_epochs > 0 {
        words.push(format!("on probation for {probation_epochs} epochs"));
    }
    words
}

fn remarks(authority: &Authority) -> String {
    let mut words = conduct(authority.quarantine, authority.probation_epochs);
    if let Some(epoch) = authority.admitted_from_epoch {
        words.push(format!("admitted from epoch {epoch}"));
    }
    if let Some(epoch) = authority.serves_until_epoch {
        words.push(format!("serves until epoch {epoch}"));
    }
    words.join(", ")
}

/// A bar of at most [`BAR`] characters for 0 to 100.
fn bar(percent: f64) -> String {
    let full = (percent.clamp(0.0, 100.0) / 100.0 * BAR as f64).round() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        assert_eq!(bar(0.0), "░".repeat(20));
        assert_eq!(bar(50.0), format!("{}{}", "█".repeat(10), "░".repeat(10)));
        assert_eq!(bar(100.0), "█".repeat(20));
        assert_eq!(bar(f64::INFINITY), "█".repeat(20));
    }

    #[test]
    fn what_is_said_of_the_convicted() {
        assert!(conduct(None, 0).is_empty());
        assert_eq!(conduct(Some(Quarantined::Out), 2), ["in quarantine", "on probation for 2 epochs"]);
    }
}
