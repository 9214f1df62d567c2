//! `voltmesh controller`: the role, questions to one that runs, and its rules.

mod ask;
pub mod client;
mod rules_test;

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use voltmesh_sdn::Rules;
use voltmesh_sdn::rules::{DEFAULTS, MAX_RULES_BYTES};

use super::{read_text, roles};
use crate::args::{Controller, ControllerCommand, ControllerRules};
use crate::{Outcome, output};

/// Runs the command.
pub fn run(command: Controller) -> Result<Outcome> {
    match command.command {
        None => roles::controller(&command.role),
        Some(ControllerCommand::Rules(command)) => rules(command),
        Some(command) => ask::run(command),
    }
}

fn rules(command: ControllerRules) -> Result<Outcome> {
    match command {
        ControllerRules::Defaults => {
            output::try_line(DEFAULTS.trim_end())?;
            Ok(Outcome::Done)
        }
        ControllerRules::Check { rules, json } => check(&rules, json),
        ControllerRules::Test(options) => rules_test::run(&options),
    }
}

fn check(path: &Path, json: bool) -> Result<Outcome> {
    let rules = Rules::parse(&read_text(path, MAX_RULES_BYTES)?);
    let (right, said) = match &rules {
        Ok(rules) => (true, format!("{} rules, none contradicts another", rules.len())),
        Err(error) => (false, error.to_string()),
    };
    if json {
        output::json(&json!({
            "file": path, "right": right, "rules": rules.as_ref().map_or(0, Rules::len),
            "error": (!right).then_some(&said),
        }))?;
    } else {
        output::line(format!("{}: {said}", path.display()));
    }
    Ok(if right { Outcome::Done } else { Outcome::Wrong })
}
