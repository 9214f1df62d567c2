//! `voltmesh function logs`: what functions said and what vehicles answered.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::args::FunctionLogs;
use crate::commands::controller::client::{get, text};
use crate::{Outcome, output};

/// Between two questions while it follows.
const LOOK: Duration = Duration::from_secs(1);

/// Lines that are asked for while it follows, and remembered to be shown once.
const FOLLOWED: usize = 1_000;

/// Runs the command.
pub fn run(options: &FunctionLogs) -> Result<Outcome> {
    let lines = asked(options, usize::from(options.last))?;
    if options.ask.json {
        output::json(&json!({ "lines": lines }))?;
        return Ok(Outcome::Done);
    }
    if lines.is_empty() && !options.follow {
        output::line("no function has said anything");
    }
    lines.iter().for_each(|line| output::line(said(line)));
    if !options.follow {
        return Ok(Outcome::Done);
    }
    let mut seen = Seen::default();
    lines.iter().for_each(|line| {
        seen.is_new(line);
    });
    loop {
        std::thread::sleep(LOOK);
        for line in asked(options, FOLLOWED)?.iter().filter(|line| seen.is_new(line)) {
            if output::try_line(&said(line)).is_err() {
                return Ok(Outcome::Done);
            }
        }
    }
}

/// The newest lines, the newest last.
fn asked(options: &FunctionLogs, most: usize) -> Result<Vec<Value>> {
    let mut path = format!("/functions/logs?limit={most}");
    if let Some(vehicle) = &options.vehicle {
        path.push_str(&format!("&vehicle={vehicle}"));
    }
    if let Some(function) = &options.function {
        path.push_str(&format!("&function={function}"));
    }
    let mut lines = match get(&options.ask, &path)?["lines"].take() {
        Value::Array(lines) => lines,
        _ => Vec::new(),
    };
    lines.reverse();
    Ok(lines)
}

/// Lines that were shown; the oldest are forgotten once they are not asked for any more.
#[derive(Default)]
struct Seen {
    known: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    fn is_new(&mut self, line: &Value) -> bool {
        let key = line.to_string();
        if !self.known.insert(key.clone()) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > 2 * FOLLOWED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// One line for people: when, whose, what.
fn said(line: &Value) -> String {
    let at = line["at_ms"].as_i64().map_or_else(String::new, |ms| output::rfc3339(ms.div_euclid(1_000)));
    let of = format!("{at}  {}  {}", text(&line["vehicle"]), text(&line["function"]));
    if line["log"] == "event" {
        return format!(
            "{of}  {} ({}): {}",
            text(&line["kind"]),
            text(&line["severity"]),
            text(&line["text"])
        );
    }
    format!("{of}  command {}: {}", line["number"], answered(&line["outcome"]))
}

/// What a vehicle did with a command.
fn answered(outcome: &Value) -> String {
    let value =
        if outcome["value"].is_null() { String::new() } else { format!(" with {}", outcome["value"]) };
    match (outcome["outcome"].as_str(), outcome["why_less"].as_str(), outcome["reason"].as_str()) {
        (Some("applied"), Some(why), _) => format!("in force{value} ({why})"),
        (Some("applied"), None, _) => format!("in force{value}"),
        (Some(outcome), _, Some(reason)) => format!("{outcome}: {reason}"),
        (Some(outcome), ..) => outcome.to_owned(),
        (None, ..) => outcome.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voltmesh_control::{CommandAnswer, Outcome};

    #[test]
    fn a_line_says_when_whose_and_what() {
        let event = json!({
            "log": "event", "fog": "fog-1", "vehicle": "edge-1", "function": "plating-guard", "at_ms": 1_000,
            "kind": "limit", "severity": "warning", "text": "less current", "number": 3,
        });
        assert_eq!(
            said(&event),
            "1970-01-01T00:00:01Z  edge-1  plating-guard  limit (warning): less current"
        );
        let answers = [
            (
                Outcome::Applied { value: Some(9), why_less: Some("own limit".into()) },
                "in force with 9 (own limit)",
            ),
            (Outcome::Applied { value: None, why_less: None }, "in force"),
            (Outcome::Refused { reason: "lower epoch".into() }, "refused: lower epoch"),
            (Outcome::Expired, "expired"),
        ];
        for (outcome, expected) in answers {
            let answer = CommandAnswer { function: "f".into(), epoch: (1, 2), number: 4, at_ms: 0, outcome };
            let mut line = serde_json::to_value(&answer).unwrap();
            (line["log"], line["vehicle"]) = ("answer".into(), "edge-1".into());
            assert_eq!(said(&line), format!("1970-01-01T00:00:00Z  edge-1  f  command 4: {expected}"));
        }
    }

    #[test]
    fn a_line_is_shown_once() {
        let mut seen = Seen::default();
        for n in 0..3 * FOLLOWED {
            assert!(seen.is_new(&json!(n)) && !seen.is_new(&json!(n)));
        }
        assert_eq!(seen.known.len(), 2 * FOLLOWED);
    }
}
