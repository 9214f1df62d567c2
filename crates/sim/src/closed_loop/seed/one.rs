//! One seed.

use super::hot::Hot;
use super::shared::{ACTING, COUNTER, GROUPS, Shared};
use crate::closed_loop::build::{self, Fleet};
use crate::closed_loop::fog_node::FogNode;
use crate::closed_loop::plan::{self, Change, Plan};
use crate::closed_loop::shipped::Published;
use crate::closed_loop::world::{Weather, World};
use crate::seeds::SeedReport;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;
use std::collections::BTreeMap;
use voltmesh_control::InstanceState;
use voltmesh_sdn::controller::{Phase, Request};
use voltmesh_telemetry::Digest;

/// Fog nodes and vehicles of a seed.
const FOGS: usize = 3;
const VEHICLES: usize = 2;

/// Longest time in s after the last fault within which everything that is wanted runs: a controller that has just started settles for
/// half a minute, and what was refused or failed is asked again after at most five minutes.
const CALM_S: u64 = 420;

/// Result of one seed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Which.
    pub seed: u64,
    /// Minutes of faults.
    pub minutes: f64,
    /// What is wrong; empty if nothing is.
    pub problems: Vec<String>,
    /// Simulated seconds.
    pub seconds: u64,
    /// Seconds of calm after which everything that is wanted ran.
    pub calm_s: u64,
    /// Faults by name.
    pub faults: BTreeMap<String, u64>,
    /// Events that were kept, and of those how often one came again.
    pub events: u64,
    /// See above.
    pub again: u64,
    /// Commands that reached a vehicle.
    pub commands: u64,
    /// Leases that were given since the controller's last start, hand-overs and calls that failed.
    pub counts: BTreeMap<String, u64>,
}

impl SeedReport for Report {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn problems(&self) -> &[String] {
        &self.problems
    }

    fn replay(&self) -> String {
        format!("voltmesh sim --loop --seed {} --minutes {}", self.seed, self.minutes)
    }
}

/// Runs a seed: minutes of faults, then calm.
#[must_use]
pub fn run(seed: u64, minutes: f64, shared: &Shared) -> Report {
    let mut report = Report { seed, minutes, ..Report::default() };
    if let Err(why) = drive(&mut report, shared) {
        report.problems.push(why);
    }
    report
}

fn drive(report: &mut Report, shared: &Shared) -> Result<(), String> {
    let mut rng = StdRng::seed_from_u64(report.seed);
    let vehicles = (1..=VEHICLES).map(|n| {
        let body = Box::new(Hot::new(report.seed.wrapping_add(n as u64))?);
        build::Car::typical(&format!("car-{n}"), GROUPS, body)
    });
    let most_instances = room(report.seed);
    let mut world = build::world(Fleet {
        fogs: FOGS,
        vehicles: vehicles.collect::<Result<_, _>>()?,
        policy: shared.policy.clone(),
        published: shared.published.clone(),
        host: shared.host.clone(),
        // Some end while the controller is away.
        lease_ms: if rng.random() { rng.random_range(20_000..120_000) } else { build::LEASE_MS },
        most_instances,
        seed: rng.random(),
    })?;
    let start = world.now;
    world.start()?;
    world.pass(20_000);
    let faulty_ms = (report.minutes * 60_000.0) as u64;
    let plan: Plan = plan::draw(&mut rng, faulty_ms, FOGS, VEHICLES);
    let mut elapsed_ms = 0;
    for (at_ms, change) in plan {
        world.pass(at_ms - elapsed_ms);
        elapsed_ms = at_ms;
        *report.faults.entry(name_of(&change)).or_default() += 1;
        tracing::debug!(at_ms, ?change, "fault");
        apply(&mut world, change, shared)?;
    }
    world.pass(faulty_ms.saturating_sub(elapsed_ms));
    calm(&mut world, shared)?;

    let mut wanting = Vec::new();
    for second in 0..CALM_S {
        world.pass(1_000);
        wanting = lacking(&world, most_instances < build::ROOM);
        if wanting.is_empty() {
            report.calm_s = second + 1;
            break;
        }
    }
    let mut problems: Vec<String> =
        wanting.into_iter().map(|what| format!("after {CALM_S} s of calm: {what}")).collect();
    // What is under way arrives.
    world.pass(10_000);
    world.audit_events();
    problems.extend(world.checker.problems.clone());
    report.problems = problems;
    report.seconds = world.now.millis_since(start) / 1_000;
    report.events = world.checker.events().count() as u64;
    report.again = world.checker.again;
    report.commands = world.checker.commands;
    if let Some(core) = world.controller.core() {
        let counters = core.counters();
        report.counts = BTreeMap::from([
            ("leases".to_owned(), counters.leases),
            ("handed_over".to_owned(), counters.handed_over),
            ("rescued".to_owned(), counters.rescued),
            ("rebalanced".to_owned(), counters.rebalanced),
            ("failed_calls".to_owned(), world.fogs.iter().map(FogNode::failed_calls).sum()),
        ]);
    }
    Ok(())
}

/// Functions that each fog node has room for: in one of four seeds, less than two vehicles at one node want. Drawn apart, so that it
/// changes nothing else of a seed.
fn room(seed: u64) -> u32 {
    let mut rng = StdRng::seed_from_u64(seed ^ 0x0726_f6f6_d000_0000);
    if rng.random_range(0..4) == 0 { rng.random_range(4..10) } else { build::ROOM }
}

fn name_of(change: &Change) -> String {
    let text = format!("{change:?}");
    text.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
}

fn apply(world: &mut World, change: Change, shared: &Shared) -> Result<(), String> {
    match change {
        Change::KillController => world.kill_controller(),
        Change::StartController => {
            if !world.controller.is_up() {
                world.start_controller();
            }
        }
        Change::KillFog(fog) => world.kill_fog(fog),
        Change::StartFog(fog) => world.start_fog(fog)?,
        Change::RestartVehicle(vehicle) => world.restart_vehicle(vehicle),
        Change::CutFog(fog, cut) => world.cut_fog(fog, cut),
        Change::CutVehicle(vehicle, cut) => world.cut_vehicle(vehicle, cut),
        Change::Roam(vehicle, fog) => world.roam(vehicle, fog),
        Change::PublishFaulty => world.publish(&shared.faulty),
        Change::WithdrawFaulty => world.request(Request::Withdraw(digest(&shared.faulty))),
        Change::Weather(weather) => world.weather = weather,
    }
    Ok(())
}

fn digest(published: &Published) -> Digest {
    published.release.digest
}

/// Every fault ends, also those that were drawn to last.
fn calm(world: &mut World, shared: &Shared) -> Result<(), String> {
    world.weather = Weather::GOOD;
    for vehicle in 0..VEHICLES {
        world.cut_vehicle(vehicle, false);
    }
    for fog in 0..FOGS {
        world.cut_fog(fog, false);
        world.start_fog(fog)?;
    }
    if !world.controller.is_up() {
        world.start_controller();
    }
    // An operator has seen what it does.
    world.request(Request::Withdraw(digest(&shared.faulty)));
    Ok(())
}

/// What is wanted and does not run at one place, under the newest lease, where the vehicle's session is; where room is short, not
/// what says that there is none.
fn lacking(world: &World, is_short: bool) -> Vec<String> {
    let Some(core) = world.controller.core() else { return vec!["the controller is down".to_owned()] };
    let mut lacking = Vec::new();
    for vehicle in &world.vehicles {
        let id = vehicle.id();
        let Some(view) = core.vehicle(id) else {
            lacking.push(format!("the controller does not know {id}"));
            continue;
        };
        let hot = view.conditions.iter().any(|condition| condition.condition.name() == "over-temperature");
        if !hot {
            lacking.push(format!("nobody sees that {id} is hot"));
        }
        let session = vehicle.session.map(|(fog, _)| world.fogs[fog].name.clone());
        for function in ACTING.iter().copied().chain([COUNTER]) {
            let Some(instance) = view.functions.iter().find(|instance| instance.function == function) else {
                let why = view.unplaced.get(function);
                // Where room is short, the others run.
                let is_full = why.is_some_and(|why| why.contains("full") || why.contains("higher priority"));
                if !(is_full && is_short) {
                    lacking.push(format!("{function} of {id} runs nowhere: {why:?}"));
                }
                continue;
            };
            if instance.phase != Phase::Running || session.as_ref() != Some(&instance.fog) {
                lacking.push(format!(
                    "{function} of {id} is {:?} at {}, the session at {session:?}",
                    instance.phase, instance.fog
                ));
            }
            let runs: Vec<_> = world
                .fogs
                .iter()
                .flat_map(|fog| fog.running().into_iter().map(|one| (fog.name.clone(), one)))
                .filter(|(_, one)| one.vehicle == *id && one.function == function)
                .collect();
            let right = matches!(&runs[..], [(fog, one)] if *fog == instance.fog
                && one.epoch == instance.epoch
                && one.state == InstanceState::Running);
            if !right {
                let runs: Vec<_> =
                    runs.iter().map(|(fog, one)| format!("{fog} {:?} {:?}", one.epoch, one.state)).collect();
                lacking.push(format!("{function} of {id}, lease {:?}, runs at {runs:?}", instance.epoch));
            }
        }
    }
    lacking
}
