//! `voltmesh chain control`: who commands, and which functions may run.

use anyhow::Result;
use voltmesh_fog::answers::Control;

use super::answer::{ask, short};
use crate::http::Http;
use crate::{args, output};

pub async fn run(http: &Http, options: &args::Ask) -> Result<()> {
    let answer: Control = ask(http, options.fog.fog, "/chain/control").await?;
    if options.json {
        return output::json(&answer);
    }
    output::line(term(&answer));
    if !answer.controllers.is_empty() {
        output::line("");
        let rows: Vec<Vec<String>> = answer
            .controllers
            .iter()
            .map(|controller| {
                let holds = answer.holder.as_ref() == Some(&controller.key);
                vec![
                    controller.key.clone(),
                    controller.admitted_at.to_string(),
                    height(controller.removed_at),
                    if holds { format!("holds term {}", answer.term) } else { String::new() },
                ]
            })
            .collect();
        output::table(&["controller", "admitted at block", "removed at", "remarks"], &rows);
    }
    if !answer.functions.is_empty() {
        output::line("");
        let rows: Vec<Vec<String>> = answer
            .functions
            .iter()
            .map(|release| {
                let (publisher, withdrawn) = (short(&release.publisher), height(release.withdrawn_at));
                vec![release.component.clone(), publisher, release.released_at.to_string(), withdrawn]
            })
            .collect();
        output::table(&["function", "publisher", "released at block", "withdrawn at"], &rows);
    }
    Ok(())
}

/// Who commands, in a sentence.
fn term(answer: &Control) -> String {
    let at = output::rfc3339(i64::try_from(answer.until_ms / 1_000).unwrap_or(i64::MAX));
    let who = match &answer.holder {
        Some(holder) => {
            format!(
                "controller {} holds term {} and keeps it until {at} at least",
                short(holder),
                answer.term
            )
        }
        None if answer.term == 0 => "no controller has taken a term".to_owned(),
        None => format!("nobody holds term {}: its holder was removed", answer.term),
    };
    format!("block {}: {who}; {} entries in the log of acts", answer.height, answer.acts)
}

fn height(height: Option<u64>) -> String {
    height.map_or_else(|| "–".into(), |height| height.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_commands() {
        let answer = Control {
            height: 7,
            time_ms: 0,
            term: 0,
            holder: None,
            until_ms: 1_700_000_000_000,
            next_number: 0,
            acts: 3,
            controllers: Vec::new(),
            functions: Vec::new(),
        };
        let check = |term: u32, holder: Option<&str>, expected: &str| {
            let text = super::term(&Control { term, holder: holder.map(str::to_owned), ..answer.clone() });
            assert!(text.contains(expected), "{text}");
        };
        check(0, None, "no controller has taken a term; 3 entries");
        check(2, None, "nobody holds term 2");
        check(2, Some("abcdef"), "controller abcdef holds term 2 and keeps it until 2023-11-14T22:13:20Z");
    }
}
