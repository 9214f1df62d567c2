//! The loop in the demo: a vehicle that stood in the sun, a controller that sees it, a function near the vehicle, a command
//! that the battery obeys, and the way from each to why.
//!
//! What this vehicle measures depends on what it is commanded, so that nobody can compute it again. Its records are checked by
//! their numbers: what it has signed is archived once, without a gap.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::Value;
use voltmesh_ledger::{EventProof, Trust};

use crate::deploy::process::Process;
use crate::deploy::{DrivenPlan, Site, edge_name, fog_name};
use crate::http::Http;

/// Between two looks at what the loop does.
const LOOK: Duration = Duration::from_secs(1);

/// Decisions that are looked at.
const DECISIONS: usize = 100;

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(1);

/// Longest wait for what the vehicle still has to deliver.
const DRAIN: Duration = Duration::from_secs(120);

/// What was seen of the loop, in its order.
#[derive(Debug, Default, Clone, Serialize)]
pub struct LoopLine {
    /// Whose battery.
    pub vehicle: String,
    /// Operating condition that the controller saw first.
    pub condition: Option<String>,
    /// How urgent it is.
    pub stage: Option<String>,
    /// Function whose command is in force.
    pub function: Option<String>,
    /// Fog node that runs it.
    pub fog: Option<String>,
    /// Kind of the command.
    pub command: Option<String>,
    /// What is in force in the vehicle, in the command's unit.
    pub in_force: Option<i64>,
    /// What the function said, in one sentence.
    pub event: Option<String>,
    /// Where on the ledger an event of the function is.
    pub receipt: Option<Receipt>,
    /// Decision by which the function runs there.
    pub decision: Option<u64>,
    /// Why, in words.
    pub explained: Option<String>,
    /// Records that the vehicle signed.
    pub signed: u64,
    /// Of these, rows of the archive.
    pub archived: u64,
}

/// Receipt of an event.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Receipt {
    /// Position of the event at the fog node that said it.
    pub position: u64,
    /// Leaf of the log of acts that holds its digest.
    pub act: u64,
    /// Block.
    pub height: u64,
    /// Whether the proof, checked with nothing but the trust file, holds.
    pub verifies: bool,
}

impl LoopLine {
    /// What has not been seen; nothing if the loop is closed.
    pub fn missing(&self) -> Option<&'static str> {
        [
            (self.condition.is_some(), "no condition was seen"),
            (self.command.is_some(), "no command was applied"),
            (self.explained.is_some(), "no decision placed the function"),
            (self.event.is_some(), "the function said nothing"),
            (self.receipt.is_some(), "no event of the function is on the ledger"),
        ]
        .into_iter()
        .find_map(|(seen, what)| (!seen).then_some(what))
    }
}

/// The vehicle that obeys, and what was seen of it.
pub struct Driven {
    /// Its agent.
    pub process: Process,
    controller: SocketAddr,
    /// Interfaces of the fog nodes, in order.
    fogs: Vec<SocketAddr>,
    looked: Option<Instant>,
    /// What was seen so far.
    pub line: LoopLine,
}

impl Driven {
    /// Makes the vehicle: its battery is hotter than it may be for long.
    pub async fn prepare(site: &Site, n: usize, http: SocketAddr) -> Result<Self> {
        let name = edge_name(n);
        let mut fogs = Vec::new();
        for (at, mqtt) in site.fog_mqtt.iter().enumerate() {
            fogs.push(site.network.link(&name, &fog_name(at + 1), *mqtt).await?);
        }
        let plan = DrivenPlan { n, http, fogs, soc_pct: 60.0, ambient_c: 57.0, rate_hz: 2.0 };
        let config = site.deployment.write_driven(&plan)?;
        let controller = site.controller.as_ref().context("there is no controller")?.http;
        let line = LoopLine { vehicle: name.clone(), ..LoopLine::default() };
        let process = site.process(&name, "edge", &config, http);
        let fogs = site.fogs.iter().map(|fog| fog.http).collect();
        Ok(Self { process, controller, fogs, looked: None, line })
    }

    /// Looks once a second for what has not been seen; what a process away does not answer is asked again.
    pub async fn look(&mut self, http: &Http) {
        if self.line.missing().is_none() || self.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        if self.line.condition.is_none() {
            let said =
                ask(http, self.controller, &format!("/conditions?vehicle={}", self.line.vehicle)).await;
            // It may be over already.
            let mut seen = ["active", "changes"].into_iter().flat_map(|list| said[list].as_array());
            let seen = seen.find_map(|list| list.first()).cloned().unwrap_or_default();
            self.line.condition = text(&seen["condition"]);
            self.line.stage = text(&seen["stage"]);
        }
        if self.line.condition.is_none() {
            return;
        }
        if self.line.command.is_none() {
            let said = ask(http, self.process.http, "/commands").await;
            let mut commands = said["commands"].as_array().into_iter().flatten();
            if let Some(command) = commands.find(|one| one["outcome"]["outcome"] == "applied") {
                self.line.command = text(&command["kind"]);
                self.line.in_force = command["outcome"]["value"].as_i64();
                self.line.function = text(&command["function"]);
                self.line.fog = text(&command["fog"]);
            }
        }
        let Some(function) = self.line.function.clone() else { return };
        if self.line.explained.is_none() {
            self.explain(http, &function).await;
        }
        if self.line.receipt.is_none() {
            self.line.receipt = self.receipt(http, &function).await;
        }
        if self.line.event.is_none() {
            let path = format!("/functions/logs?vehicle={}&function={function}", self.line.vehicle);
            let said = ask(http, self.controller, &path).await;
            let mut lines = said["lines"].as_array().into_iter().flatten();
            self.line.event = lines.find(|line| line["log"] == "event").and_then(|line| text(&line["text"]));
        }
    }

    /// The fog node that the command came from, as far as it is known.
    fn fog(&self) -> Option<SocketAddr> {
        let number: usize = self.line.fog.as_ref()?.strip_prefix("fog-")?.parse().ok()?;
        self.fogs.get(number.checked_sub(1)?).copied()
    }

    /// Looks for an event of the function that is on the ledger.
    async fn receipt(&self, http: &Http, function: &str) -> Option<Receipt> {
        let said = ask(http, self.fog()?, &format!("/events?vehicle={}", self.line.vehicle)).await;
        let mut events = said["events"].as_array()?.iter();
        let on_ledger =
            events.find(|event| event["event"]["function"] == function && event["ledger"].is_object())?;
        Some(Receipt {
            position: on_ledger["position"].as_u64()?,
            act: on_ledger["ledger"]["act"].as_u64()?,
            height: on_ledger["ledger"]["height"].as_u64()?,
            verifies: false,
        })
    }

    /// Fetches the proof of the event, and checks it as anybody would.
    pub async fn check_receipt(&mut self, http: &Http, trust: &Trust) -> Result<()> {
        let (Some(fog), Some(receipt)) = (self.fog(), &mut self.line.receipt) else { return Ok(()) };
        let proof = http.get(fog, &format!("/events/{}/proof", receipt.position)).await?;
        EventProof::from_bytes(&proof)?.verify(trust)?;
        receipt.verifies = true;
        Ok(())
    }

    /// Notes why the function runs there: the newest decision that says so.
    async fn explain(&mut self, http: &Http, function: &str) {
        let path = format!("/decisions?limit={DECISIONS}&vehicle={}", self.line.vehicle);
        let said = ask(http, self.controller, &path).await;
        let mut decisions = said["decisions"].as_array().into_iter().flatten();
        let placed = decisions.find(|decision| {
            let chosen = &decision["chosen"];
            chosen["function"] == function && (chosen["choice"] == "run" || chosen["choice"] == "move")
        });
        self.line.decision = placed.and_then(|decision| decision["number"].as_u64());
        if let Some(number) = self.line.decision {
            let said = ask(http, self.controller, &format!("/decisions/{number}")).await;
            self.line.explained = text(&said["text"]);
        }
    }

    /// Ends the vehicle, and has it deliver what it still holds.
    pub async fn deliver(&mut self) -> Result<()> {
        self.process.terminate()?;
        self.ended().await?;
        self.process.set_more(&["--drain"]);
        self.process.start()?;
        self.ended().await?;
        ensure!(
            self.process.exited == Some(0),
            "{} failed; {}",
            self.line.vehicle,
            self.process.last_words()
        );
        Ok(())
    }

    async fn ended(&mut self) -> Result<()> {
        let begun = Instant::now();
        while self.process.is_up() {
            ensure!(begun.elapsed() < DRAIN, "it does not end; {}", self.process.last_words());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// What an interface answers, as JSON; `null` where it does not answer in time.
async fn ask(http: &Http, at: SocketAddr, path: &str) -> Value {
    let answer = tokio::time::timeout(ANSWER, http.get(at, path)).await;
    let answer = answer.ok().and_then(Result::ok);
    answer.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or(Value::Null)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_in_order() {
        let mut line = LoopLine::default();
        assert_eq!(line.missing(), Some("no condition was seen"));
        line.condition = Some("cold-charge".into());
        assert_eq!(line.missing(), Some("no command was applied"));
        line.command = Some("charge-limit".into());
        assert_eq!(line.missing(), Some("no decision placed the function"));
        line.explained = Some("Decision 1".into());
        assert_eq!(line.missing(), Some("the function said nothing"));
        line.event = Some("less current".into());
        assert_eq!(line.missing(), Some("no event of the function is on the ledger"));
        line.receipt = Some(Receipt::default());
        assert_eq!(line.missing(), None);
    }
}
