//! `voltmesh controller vehicles | conditions | decisions | undo | pause | resume`: questions to a controller that runs.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use voltmesh_sdn::decisions::Decision;

use super::client::{get, post, table, text};
use crate::args::{AskController, ControllerCommand};
use crate::{Outcome, output};

/// Runs the command.
pub fn run(command: ControllerCommand) -> Result<Outcome> {
    match command {
        ControllerCommand::Vehicles(ask) => table(&ask, "/vehicles", "vehicles", &VEHICLES, vehicle),
        ControllerCommand::Conditions(ask) => table(&ask, "/conditions", "active", &CONDITIONS, condition),
        ControllerCommand::Decisions { vehicle, last, ask } => {
            let vehicle = vehicle.map(|vehicle| format!("&vehicle={vehicle}")).unwrap_or_default();
            decisions(&ask, &format!("/decisions?limit={last}{vehicle}"))
        }
        ControllerCommand::Undo { number, ask } => {
            change(&ask, &format!("/decisions/{number}/undo"), &format!("decision {number} is undone"))
        }
        ControllerCommand::Pause(ask) => {
            change(&ask, "/pause", "the controller is paused: functions go on, nothing is ordered")
        }
        ControllerCommand::Resume(ask) => change(&ask, "/resume", "the controller gives orders again"),
        ControllerCommand::Rules(_) => bail!("rules are checked without a controller"),
    }
}

const VEHICLES: [&str; 5] = ["vehicle", "sessions", "conditions", "functions", "not placed"];
const CONDITIONS: [&str; 5] = ["vehicle", "condition", "stage", "rule", "since (s)"];

fn names(list: &Value, name: impl Fn(&Value) -> String) -> String {
    let names: Vec<String> = list.as_array().into_iter().flatten().map(name).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

fn keys(map: &Value) -> String {
    let names: Vec<&str> = map.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

fn vehicle(vehicle: &Value) -> Vec<String> {
    vec![
        text(&vehicle["vehicle"]),
        keys(&vehicle["sessions"]),
        names(&vehicle["conditions"], |one| format!("{} ({})", text(&one["condition"]), text(&one["stage"]))),
        names(&vehicle["functions"], |one| {
            format!("{} at {} ({})", text(&one["function"]), text(&one["fog"]), text(&one["phase"]))
        }),
        keys(&vehicle["unplaced"]),
    ]
}

fn condition(one: &Value) -> Vec<String> {
    ["vehicle", "condition", "stage", "rule", "since_s"].map(|key| text(&one[key])).to_vec()
}

fn decisions(ask: &AskController, path: &str) -> Result<Outcome> {
    let answer = get(ask, path)?;
    if ask.json {
        output::json(&answer)?;
        return Ok(Outcome::Done);
    }
    let decisions = answer["decisions"].as_array().cloned().unwrap_or_default();
    if decisions.is_empty() {
        output::line("nothing was decided");
    }
    for mut decision in decisions {
        let receipt = decision.as_object_mut().and_then(|fields| fields.remove("receipt"));
        let decision: Decision = serde_json::from_value(decision)
            .context("the controller is of another version: it answers with other decisions")?;
        output::line(decision.explain().trim_end());
        if let Some(receipt) = receipt.filter(|receipt| !receipt.is_null()) {
            output::line(format!(
                "  on the ledger: act {} in block {}; `voltmesh prove --decision {}` fetches the proof",
                receipt["act"], receipt["height"], decision.number
            ));
        }
    }
    Ok(Outcome::Done)
}

fn change(ask: &AskController, path: &str, done: &str) -> Result<Outcome> {
    post(ask, path, Vec::new())?;
    if ask.json {
        output::json(&json!({ "done": done }))?;
    } else {
        output::line(done);
    }
    Ok(Outcome::Done)
}
