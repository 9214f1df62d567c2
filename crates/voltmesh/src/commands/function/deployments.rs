//! `voltmesh function deploy | undeploy`: what runs beyond the policy.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use voltmesh_sdn::Condition;

use super::releases::digest_of;
use crate::args::{AskController, FunctionDeploy};
use crate::commands::controller::client::{delete, post};
use crate::commands::read_text;
use crate::{Outcome, output};

/// Most bytes of a configuration.
const MAX_CONFIGURATION: usize = 48 << 10;

/// Deploys a function.
pub fn deploy(options: FunctionDeploy) -> Result<Outcome> {
    let name = options.name.clone().unwrap_or_else(|| options.function.clone());
    let conditions = options.conditions.iter().map(|name| condition(name)).collect::<Result<Vec<_>>>()?;
    let bounds = options.allow.iter().map(|allow| (allow.kind.clone(), allow.range.clone()));
    let bounds = (!options.allow.is_empty()).then(|| bounds.collect::<Map<String, Value>>());
    let deployment = json!({
        "name": name,
        "function": options.function,
        "release": options.release.as_deref().map(digest_of).transpose()?,
        "configuration": options.config.as_deref().map(configuration).transpose()?.unwrap_or_default(),
        "bounds": bounds,
        "commands_per_min": options.commands_per_min,
        "vehicles": options.vehicles,
        "conditions": conditions,
    });
    let taken = post(&options.ask, "/functions/deployments", serde_json::to_vec(&deployment)?)?;
    if options.ask.json {
        output::json(&taken)?;
    } else {
        output::line(format!(
            "deployment {name} of {} is taken: `voltmesh function list` shows where it runs",
            options.function
        ));
    }
    Ok(Outcome::Done)
}

/// Removes a deployment.
pub fn undeploy(name: &str, ask: &AskController) -> Result<Outcome> {
    delete(ask, &format!("/functions/deployments/{name}"))?;
    if ask.json {
        output::json(&json!({ "removed": name }))?;
    } else {
        output::line(format!("deployment {name} is removed: what the policy says counts again"));
    }
    Ok(Outcome::Done)
}

/// A configuration, said as JSON or by a file of it.
fn configuration(text: &str) -> Result<Map<String, Value>> {
    let file = Path::new(text);
    let read = if text.trim_start().starts_with('{') {
        text.to_owned()
    } else {
        read_text(file, MAX_CONFIGURATION)?
    };
    serde_json::from_str(&read)
        .with_context(|| format!("{text} is no configuration: an object of settings by name is wanted"))
}

fn condition(name: &str) -> Result<Condition> {
    serde_json::from_value(Value::from(name)).with_context(|| {
        format!("{name:?} is no condition; `voltmesh controller rules defaults` names them all")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_and_conditions_are_checked_before_anything_is_sent() {
        assert_eq!(configuration("{\"limit_c\": 45}").unwrap()["limit_c"], 45);
        assert!(configuration("[1]").is_err());
        assert!(configuration("{\"limit_c\": }").is_err());
        assert_eq!(condition("cold-charge").unwrap(), Condition::ColdCharge);
        assert!(condition("cold charge").unwrap_err().to_string().contains("no condition"));
    }
}
