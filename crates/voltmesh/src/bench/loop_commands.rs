//! How long a command takes from the record that asks for it: fog nodes with their ledger and a controller as processes, over TLS
//! and with every fsync; vehicles in this process, which note when they send and when a command comes.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use voltmesh_identity::{Identity, Role, read_signing_key, read_token};

use super::loop_functions::Spread;
use super::loop_node::{FUNCTION, release_by};
use super::loop_vehicle::{Pattern, Vehicle};
use crate::args::BenchLoop;
use crate::args::ElectionArgs;
use crate::deploy::{CONTROLLER, Site, Size, edge_name, run_with_processes};
use crate::http::Http;
use crate::output;

/// Between two records of vehicles that are commanded on the fog node: a function may command twice a second for long.
const EVERY: Duration = Duration::from_millis(600);

/// Longest wait until every vehicle's function runs.
const PATIENCE: Duration = Duration::from_secs(120);

/// One summary beyond the limit is enough: what is measured is the way, not how long a rule looks.
const RULES: &str = "version = 1\n[sensors]\nvoltage_v = 0.003\ntemperature_c = 0.5\ncurrent_a = 1.0\n
[[rule]]\nname = \"hot\"\ncondition = \"over-temperature\"\nstage = \"warning\"\n\
quantity = \"temperature-highest\"\nabove = 50.0\nclear = 45.0\nshown = [1, 1]\n";

/// Times in ms from the publish of a record at the vehicle to the command there.
#[derive(Debug, Clone, Serialize)]
pub struct Commands {
    /// By a function on the fog node, from each record.
    pub function: Spread,
    /// Commands that were timed.
    pub function_commands: usize,
    /// Through the controller: from the record that ends the second in which the condition begins.
    pub controller: Spread,
    /// Commands that were timed.
    pub controller_commands: usize,
}

/// Measures both ways at the same time.
pub fn measure(options: &BenchLoop) -> Result<Commands> {
    let folder = tempfile::Builder::new().prefix("voltmesh-loop-").tempdir().context("a temporary folder")?;
    run_with_processes(async {
        let each = usize::from(options.vehicles);
        let size = Size {
            fogs: 4,
            vehicles: 2 * each,
            cloud: false,
            epoch_length: 100_000,
            election: ElectionArgs::default(),
        };
        let program = std::env::current_exe().context("where this program is")?;
        let mut site = Site::prepare(&program, folder.path(), size, false).await?;
        site.add_controller().await?;
        rules(&site)?;
        site.start().await?;
        let measured = drive(&site, each, Duration::from_secs(options.seconds.into())).await;
        site.stop().await;
        measured
    })
}

/// Rules of one condition, in the place of those that are shipped.
fn rules(site: &Site) -> Result<()> {
    let folder = site.deployment.node_dir(CONTROLLER)?;
    std::fs::write(folder.join("rules.toml"), RULES)?;
    let path = folder.join("controller.toml");
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(&path, format!("rules = \"rules.toml\"\n{text}"))?;
    Ok(())
}

async fn drive(site: &Site, each: usize, time: Duration) -> Result<Commands> {
    deploy(site, each).await?;
    let mut vehicles = Vec::new();
    for n in 1..=2 * each {
        let folder = site.deployment.pki.folder_of(&Identity::new(Role::Edge, &edge_name(n))?);
        let opening = site.deployment.vehicles[n - 1];
        let address = site.fog_mqtt[n % site.fog_mqtt.len()].to_string();
        vehicles.push(Vehicle::connect(&folder, opening, &address).await?);
    }
    // With their sessions they are given their function.
    running(&site.http, controller(site)?, 2 * each).await?;
    output::note(&format!(
        "{each} vehicles are commanded on their fog node, {each} through the controller, for {time:.0?}"
    ));
    let mut driven = Vec::new();
    for (n, vehicle) in vehicles.into_iter().enumerate() {
        let pattern = if n < each { Pattern::Each { every: EVERY } } else { Pattern::Hot };
        driven.push((n < each, tokio::spawn(vehicle.drive(pattern, time))));
    }
    let (mut function, mut controller) = (Vec::new(), Vec::new());
    for (on_fog, vehicle) in driven {
        let took = vehicle.await.context("a vehicle panicked")??;
        if on_fog { function.extend(took) } else { controller.extend(took) }
    }
    ensure!(!function.is_empty() && !controller.is_empty(), "no command came; {}", site.last_words());
    let (function_commands, controller_commands) = (function.len(), controller.len());
    Ok(Commands {
        function: Spread::of(function),
        function_commands,
        controller: Spread::of(controller),
        controller_commands,
    })
}

fn controller(site: &Site) -> Result<std::net::SocketAddr> {
    Ok(site.controller.as_ref().context("there is no controller")?.http)
}

/// Publishes a function, and deploys it for both halves of the vehicles.
async fn deploy(site: &Site, each: usize) -> Result<()> {
    let operator = site.deployment.pki.folder_of(&Identity::new(Role::Operator, "op-1")?);
    let (package, _) = release_by(0, "op-1", &read_signing_key(&operator.join("sign.key"))?)?;
    let token = read_token(&site.deployment.node_dir(CONTROLLER)?.join("token"))?;
    let (http, at) = (site.http.clone().with_token(token.trim()), controller(site)?);
    http.post(at, "/functions/releases", package.to_vec()).await?;
    let halves = [
        ("each", json!({ "command_every": 1, "valid_ms": 60_000 }), 1..=each),
        ("condition", json!({ "command_on_condition": 1, "valid_ms": 60_000 }), each + 1..=2 * each),
    ];
    for (name, configuration, vehicles) in halves {
        let deployment = json!({
            "name": name,
            "function": FUNCTION,
            "configuration": configuration,
            "vehicles": vehicles.map(edge_name).collect::<Vec<_>>(),
            "bounds": { "charge-limit-a": [0.0, 1_000.0] },
            "commands_per_min": 600,
        });
        http.post(at, "/functions/deployments", serde_json::to_vec(&deployment)?).await?;
    }
    Ok(())
}

/// Waits until every vehicle's function runs.
async fn running(http: &Http, at: std::net::SocketAddr, vehicles: usize) -> Result<()> {
    let begun = Instant::now();
    loop {
        let path = format!("/placements?function={FUNCTION}");
        let said: Value = serde_json::from_slice(&http.get(at, &path).await?)?;
        let placed = said["placements"].as_array().map_or(&[][..], Vec::as_slice);
        if placed.iter().filter(|one| one["phase"] == "running").count() == vehicles {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "functions do not run: {said}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
