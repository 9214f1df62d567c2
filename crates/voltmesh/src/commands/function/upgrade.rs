//! `voltmesh function upgrade`: a new release where the one before it runs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::releases::{digest_of, publish_one, said};
use crate::args::FunctionUpgrade;
use crate::commands::controller::client::{get, post, text};
use crate::{Outcome, output};

/// Between two looks at what runs.
const LOOK: Duration = Duration::from_millis(200);

/// Runs the command.
pub fn run(options: &FunctionUpgrade) -> Result<Outcome> {
    let ask = &options.ask;
    let digest = digest_of(&options.file.to_string_lossy())?.to_string();
    // What stands before: a new release takes its place by itself, unless a deployment names another one.
    let release = publish_one(ask, &options.file)?;
    let function = text(&release["function"]);
    let moved = move_deployments(options, &function, &digest)?;
    let begun = Instant::now();
    let mut instances = Instances::default();
    let progress = ProgressBar::no_length().with_message(format!("{function}: the new release starts"));
    loop {
        let of = get(ask, &format!("/placements?function={function}&limit=10000"))?;
        instances.look(of["placements"].as_array().map_or(&[][..], Vec::as_slice), &digest);
        progress.set_length(instances.all.len() as u64);
        progress.set_position(instances.running.len() as u64);
        if instances.is_done() || begun.elapsed() >= options.wait {
            break;
        }
        std::thread::sleep(LOOK);
    }
    progress.finish_and_clear();
    let waiting: Vec<&Place> = instances.all.difference(&instances.running).collect();
    if ask.json {
        output::json(&json!({
            "release": release, "deployments_moved": moved, "running": instances.running.len(),
            "not_running": waiting, "failed": instances.failed,
        }))?;
    } else {
        output::line(format!("{} is published", said(&release)));
        moved.iter().for_each(|name| output::line(format!("deployment {name} names it now")));
        output::line(format!("it runs for {} of {} vehicles", instances.running.len(), instances.all.len()));
        waiting.iter().for_each(|(vehicle, fog)| output::line(format!("not yet: {vehicle} at {fog}")));
        instances.failed.iter().for_each(output::line);
    }
    Ok(if waiting.is_empty() { Outcome::Done } else { Outcome::Wrong })
}

/// Moves deployments that name another release; their names.
fn move_deployments(options: &FunctionUpgrade, function: &str, digest: &str) -> Result<Vec<String>> {
    let all = get(&options.ask, "/functions/deployments")?;
    let mut moved = Vec::new();
    for deployment in all["deployments"].as_array().into_iter().flatten() {
        let other = deployment["release"].as_str().is_some_and(|release| release != digest);
        if deployment["function"].as_str() != Some(function) || !other {
            continue;
        }
        let mut deployment = deployment.clone();
        ensure!(
            deployment.is_object(),
            "the controller is of another version: it answers with other deployments"
        );
        deployment["release"] = digest.into();
        post(&options.ask, "/functions/deployments", serde_json::to_vec(&deployment)?)?;
        moved.push(text(&deployment["name"]));
    }
    Ok(moved)
}

/// Vehicle and fog node.
type Place = (String, String);

/// Where the function runs by the controller's account.
#[derive(Default)]
struct Instances {
    all: BTreeSet<Place>,
    /// With the new release.
    running: BTreeSet<Place>,
    /// Why not, where it failed.
    failed: BTreeSet<String>,
}

impl Instances {
    fn look(&mut self, placements: &[Value], digest: &str) {
        (self.all, self.running, self.failed) = Default::default();
        for one in placements {
            let place = (text(&one["vehicle"]), text(&one["fog"]));
            let phase = one["phase"].as_str().unwrap_or_default();
            if phase == "ending" {
                continue;
            }
            if one["release"] == digest && phase == "running" {
                self.running.insert(place.clone());
            }
            if phase == "failed" {
                self.failed.insert(format!("{} at {}: {}", place.0, place.1, text(&one["reason"])));
            }
            self.all.insert(place);
        }
    }

    fn is_done(&self) -> bool {
        self.running == self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_is_done_when_the_new_release_runs_everywhere() {
        let one = |vehicle: &str, release: &str, phase: &str| {
            json!({
                "vehicle": vehicle, "fog": "fog-1", "release": release, "phase": phase, "reason": "it trapped",
            })
        };
        let mut instances = Instances::default();
        instances.look(&[], "new");
        assert!(instances.is_done(), "it ran nowhere");
        for (placements, done) in [
            (vec![one("a", "old", "running"), one("b", "new", "running")], false),
            (vec![one("a", "new", "starting")], false),
            (vec![one("a", "new", "failed")], false),
            (vec![one("a", "new", "running"), one("b", "old", "ending")], true),
        ] {
            instances.look(&placements, "new");
            assert_eq!(instances.is_done(), done, "{placements:?}");
        }
        instances.look(&[one("a", "new", "failed")], "new");
        assert_eq!(instances.failed.first().map(String::as_str), Some("a at fog-1: it trapped"));
    }
}
