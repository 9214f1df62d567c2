//! What a fog node's functions cost: deployed, called, upgraded, handed over, started again, and kept idle.
//!
//! All of it is [`voltmesh_function::Manager`] itself on this machine's clock; its events are written and synchronised to a file where a
//! figure says durable. Each figure is of [`ROUNDS`] rounds.

use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use serde::Serialize;
use voltmesh_control::{FunctionReport, Work};
use voltmesh_function::{Input, Output, Sample};
use voltmesh_telemetry::{Digest, VehicleId};

use super::loop_node::{COMPONENTS, FUNCTION, Node, release, sample, vehicle};
use crate::usage::resident_mb;

/// Rounds of each figure but the calls'.
const ROUNDS: usize = 100;
/// Rounds of cold deployments: each compiles.
const COLD: usize = 20;
/// Calls that are timed.
const CALLS: usize = 10_000;
/// Idle functions.
const IDLE: u32 = 1_000;
/// Samples before and after each upgrade, ten a second.
const BESIDE: u64 = 20;
/// Median and 99th percentile.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spread {
    /// Median.
    pub p50: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
}

impl Spread {
    pub(super) fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let last = figures.len().saturating_sub(1);
            figures.get((share * last as f64).ceil() as usize).copied().unwrap_or(f64::NAN)
        };
        Self { p50: at(0.5), p99: at(0.99) }
    }
}

/// From the signed release to the first durable event.
#[derive(Debug, Clone, Serialize)]
pub struct Deployed {
    /// Where the node compiled it before.
    pub compiled: Spread,
    /// Where it has to.
    pub cold: Spread,
}

/// Upgrades under load.
#[derive(Debug, Clone, Serialize)]
pub struct Upgraded {
    /// Upgrades.
    pub upgrades: usize,
    /// Samples' events that never came.
    pub lost: u64,
    /// Samples' events that came twice.
    pub doubled: u64,
    /// How long the function was called by nobody.
    pub pause_ms: Spread,
}

/// All figures.
#[derive(Debug, Clone, Serialize)]
pub struct Functions {
    /// Bytes of the component that is deployed.
    pub component_bytes: usize,
    /// From order and release to the first durable event.
    pub deploy_ms: Deployed,
    /// A fresh instance with configuration and state after a trap, 99th percentile.
    pub reinstantiate_us: f64,
    /// Upgrades with samples before and after.
    pub upgrade: Upgraded,
    /// From the order to end here to the first event there, without the network.
    pub handover_ms: Spread,
    /// One call with one sample of 96 cells.
    pub call_us: Spread,
    /// Resident memory of 1,000 idle functions.
    pub idle_functions_mb: f64,
}

/// Measures all of it.
pub fn measure() -> Result<Functions> {
    Ok(Functions {
        component_bytes: COMPONENTS[0].len(),
        deploy_ms: Deployed { compiled: compiled()?, cold: cold()? },
        reinstantiate_us: reinstantiate()?.p99,
        upgrade: upgrade()?,
        handover_ms: handover()?,
        call_us: calls()?,
        idle_functions_mb: idle()?,
    })
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// The counts that the function said.
fn said(out: &[Output]) -> Vec<u64> {
    let count = |output: &Output| match output {
        Output::Keep { event, .. } if event.kind == "seen" => {
            event.figures.iter().find(|(name, _)| name == "count").map(|(_, count)| *count as u64)
        }
        _ => None,
    };
    out.iter().filter_map(count).collect()
}

/// Writes the events and waits for the disk.
fn keep(file: &mut File, out: &[Output]) -> Result<()> {
    let mut events = 0;
    for output in out {
        if let Output::Keep { event, .. } = output {
            serde_json::to_writer(&mut *file, event)?;
            file.write_all(b"\n")?;
            events += 1;
        }
    }
    ensure!(events > 0, "the function said nothing");
    file.sync_data().context("synchronise the events' file")
}

fn first_event(
    node: &mut Node,
    vehicle: &VehicleId,
    signed: &Bytes,
    digest: Digest,
    file: &mut File,
) -> Result<f64> {
    let order = node.run(vehicle, digest, 1, 0, None);
    let start = Instant::now();
    node.give(Input::Release(signed.clone()))?;
    node.give(Input::Order(order))?;
    let out = node.sample(vehicle)?;
    keep(file, &out)?;
    Ok(ms(start))
}

fn compiled() -> Result<Spread> {
    let mut file = tempfile::tempfile()?;
    let (signed, digest) = release(0)?;
    let mut node = Node::with_releases(ROUNDS as u32)?;
    let rounds =
        (0..ROUNDS).map(|round| first_event(&mut node, &vehicle(round)?, &signed, digest, &mut file));
    Ok(Spread::of(rounds.collect::<Result<_>>()?))
}

fn cold() -> Result<Spread> {
    let mut file = tempfile::tempfile()?;
    let (signed, digest) = release(0)?;
    let rounds = (0..COLD).map(|_| first_event(&mut Node::new(8)?, &vehicle(0)?, &signed, digest, &mut file));
    Ok(Spread::of(rounds.collect::<Result<_>>()?))
}

fn reinstantiate() -> Result<Spread> {
    let mut node = Node::with_releases(ROUNDS as u32)?;
    let digest = release(0)?.1;
    let mut rounds = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let vehicle = vehicle(round)?;
        let order = node.run(&vehicle, digest, 1, 0, None);
        node.give(Input::Order(order))?;
        node.sample(&vehicle)?;
        let poisoned = Sample { ambient_c: Some(1_001.0), ..sample(node.now) };
        let traps = node.manager.counters().failures;
        node.give(Input::Samples { vehicle: vehicle.clone(), samples: vec![poisoned] })?;
        ensure!(node.manager.counters().failures == traps + 1, "the function did not trap");
        node.now += 100;
        let start = Instant::now();
        node.give(Input::Tick)?;
        rounds.push(ms(start) * 1e3);
        ensure!(said(&node.sample(&vehicle)?) == [2], "the function did not go on from its state");
        let function = FUNCTION.to_owned();
        let end = node.order(Work::End { vehicle, function, hand_over: false });
        node.give(Input::Order(end))?;
    }
    Ok(Spread::of(rounds))
}

fn upgrade() -> Result<Upgraded> {
    let mut node = Node::with_releases(ROUNDS as u32)?;
    let (before, after) = (release(0)?.1, release(1)?.1);
    let (mut lost, mut doubled, mut pauses) = (0, 0, Vec::with_capacity(ROUNDS));
    for round in 0..ROUNDS {
        let vehicle = vehicle(round)?;
        let order = node.run(&vehicle, before, 1, 0, None);
        node.give(Input::Order(order))?;
        let mut counts = Vec::new();
        for at in 0..2 * BESIDE {
            node.now += 100;
            counts.extend(said(&node.sample(&vehicle)?));
            if at + 1 == BESIDE {
                let order = node.run(&vehicle, after, 1, 0, None);
                let start = Instant::now();
                node.give(Input::Order(order))?;
                pauses.push(ms(start));
            }
        }
        let given = counts.len() as u64;
        counts.sort_unstable();
        counts.dedup();
        doubled += given - counts.len() as u64;
        lost += (1..=2 * BESIDE).filter(|count| counts.binary_search(count).is_err()).count() as u64;
    }
    Ok(Upgraded { upgrades: ROUNDS, lost, doubled, pause_ms: Spread::of(pauses) })
}

fn handover() -> Result<Spread> {
    let digest = release(0)?.1;
    let mut nodes = [Node::with_releases(8)?, Node::with_releases(8)?];
    let vehicle = vehicle(0)?;
    let order = nodes[0].run(&vehicle, digest, 1, 0, None);
    nodes[0].give(Input::Order(order))?;
    let mut rounds = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let (here, there) = (round % 2, (round + 1) % 2);
        nodes.iter_mut().for_each(|node| node.now += 100);
        let function = FUNCTION.to_owned();
        let end = nodes[here].order(Work::End { vehicle: vehicle.clone(), function, hand_over: true });
        let start = Instant::now();
        let out = nodes[here].give(Input::Order(end))?;
        let state = out.into_iter().find_map(|output| match output {
            Output::Tell(FunctionReport::State(state)) => Some(state),
            _ => None,
        });
        let state = state.context("the state was not handed over")?;
        let order = nodes[there].run(&vehicle, digest, 1, round as u32 + 1, Some(state));
        nodes[there].give(Input::Order(order))?;
        let counts = said(&nodes[there].sample(&vehicle)?);
        rounds.push(ms(start));
        ensure!(counts == [round as u64 + 1], "the state was lost on the way: {counts:?}");
        ensure!(nodes[here].sample(&vehicle)?.is_empty(), "the function acts where it has ended");
    }
    Ok(Spread::of(rounds))
}

fn calls() -> Result<Spread> {
    let mut node = Node::with_releases(8)?;
    let vehicle = vehicle(0)?;
    let order = node.run(&vehicle, release(0)?.1, 0, 0, None);
    node.give(Input::Order(order))?;
    let mut rounds = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        node.now += 100;
        let input = Input::Samples { vehicle: vehicle.clone(), samples: vec![sample(node.now)] };
        let start = Instant::now();
        node.give(input)?;
        rounds.push(ms(start) * 1e3);
    }
    ensure!(node.manager.counters().failures == 0, "a call failed");
    Ok(Spread::of(rounds))
}

fn idle() -> Result<f64> {
    let mut node = Node::with_releases(IDLE)?;
    let digest = release(0)?.1;
    let before = resident_mb();
    for number in 0..IDLE as usize {
        let vehicle = vehicle(number)?;
        let order = node.run(&vehicle, digest, 0, 0, None);
        node.give(Input::Order(order))?;
        node.sample(&vehicle)?;
    }
    ensure!(node.manager.room().instances == IDLE, "not all functions run");
    Ok(resident_mb() - before)
}
