//! `voltmesh bench placement`: how good placements of functions are, and how fast they are found.
//!
//! Costs are compared with a bound that no placement is below, proven by the program itself: the gap to the optimum is at most
//! the gap to the bound.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use voltmesh_sdn::placement::{
    Improver, Placement, Problem, Synthetic, crowded, greedy, lower_bound, place, programme, repair,
};

use super::machine::Machine;
use crate::args::BenchPlacement;
use crate::{Outcome, output};

/// Steps in the background between two looks at the clock: some milliseconds.
const STEPS: u32 = 8;

/// Rounds of the search for a bound: a second or two.
const BOUND_ROUNDS: u32 = 2_500;

#[derive(Debug, Serialize)]
struct Printed {
    machine: Machine,
    nodes: usize,
    functions: usize,
    load: f64,
    problems: usize,
    budget_ms: u64,
    /// What gaps are to: a proven lower bound, so that the gap to the optimum is smaller.
    gap_to: &'static str,
    greedy: Found,
    local_search: Found,
    background: Found,
    dead_node: DeadNode,
}

/// How far above the bound, and in which time: median and worst of the problems.
#[derive(Debug, Serialize)]
struct Found {
    gap_pct: Spread,
    ms: Spread,
    nowhere: usize,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Spread {
    median: f64,
    worst: f64,
}

/// What the death of the node with the most functions leads to.
#[derive(Debug, Serialize)]
struct DeadNode {
    functions: Spread,
    moves: Spread,
    /// Moves of functions that ran elsewhere: none is right.
    others_moved: usize,
    nowhere: usize,
    ms: Spread,
}

/// What was measured on one problem.
struct Measured {
    bound: u64,
    greedy: (Placement, f64),
    local: (Placement, f64),
    background: (Placement, f64),
    dead: Dead,
}

struct Dead {
    functions: usize,
    placement: Placement,
    others_moved: usize,
    ms: f64,
}

/// Runs the command.
pub fn run(options: &BenchPlacement) -> Result<Outcome> {
    ensure!((0.01..=1.0).contains(&options.load), "--load wants 0.01 to 1, not {}", options.load);
    let drawn = |n: u16| {
        Synthetic {
            nodes: usize::from(options.nodes),
            functions: usize::from(options.functions),
            load: options.load,
            seed: options.seed.wrapping_add(u64::from(n)),
        }
        .draw()
    };
    if let Some(path) = &options.programme {
        std::fs::write(path, programme(&drawn(0)))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let budget = Duration::from_millis(options.budget_ms);
    let measured: Vec<Measured> =
        (0..options.problems).map(|n| measure(&drawn(n), options.seed, budget)).collect();
    let found = |of: fn(&Measured) -> &(Placement, f64)| Found {
        gap_pct: spread(measured.iter().map(|one| gap_pct(of(one).0.cost, one.bound))),
        ms: spread(measured.iter().map(|one| of(one).1)),
        nowhere: measured.iter().map(|one| of(one).0.nowhere.len()).sum(),
    };
    let dead = || measured.iter().map(|one| &one.dead);
    let printed = Printed {
        machine: Machine::this(),
        nodes: usize::from(options.nodes),
        functions: usize::from(options.functions),
        load: options.load,
        problems: measured.len(),
        budget_ms: options.budget_ms,
        gap_to: "lagrangian-bound",
        greedy: found(|one| &one.greedy),
        local_search: found(|one| &one.local),
        background: found(|one| &one.background),
        dead_node: DeadNode {
            functions: spread(dead().map(|dead| dead.functions as f64)),
            moves: spread(dead().map(|dead| dead.placement.moves.len() as f64)),
            others_moved: dead().map(|dead| dead.others_moved).sum(),
            nowhere: dead().map(|dead| dead.placement.nowhere.len()).sum(),
            ms: spread(dead().map(|dead| dead.ms)),
        },
    };
    if options.json {
        output::json(&printed)?;
    } else {
        show(&printed);
    }
    Ok(Outcome::Done)
}

/// A call's result with its milliseconds.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed().as_secs_f64() * 1e3)
}

fn measure(problem: &Problem, seed: u64, budget: Duration) -> Measured {
    let greedy = timed(|| greedy(problem));
    let local = timed(|| place(problem));
    let background = timed(|| {
        let start = Instant::now();
        let mut improver = Improver::new(problem.clone(), seed);
        while start.elapsed() < budget {
            improver.improve(STEPS);
        }
        improver.placement()
    });
    let bound = lower_bound(problem, background.0.cost, BOUND_ROUNDS);
    let mut running = problem.clone();
    for item in &mut running.items {
        item.at = background.0.node(&item.key).map(str::to_owned);
    }
    let most = crowded(&running).into_iter().max_by_key(|(_, count)| *count);
    let name = most.map(|(name, _)| name.to_owned()).unwrap_or_default();
    running.nodes.retain(|node| node.name != name);
    let functions = running.items.iter().filter(|item| item.at.as_deref() == Some(name.as_str())).count();
    let (placement, ms) = timed(|| repair(&running));
    let others =
        placement.moves.iter().filter(|moved| moved.from.as_deref().is_some_and(|from| from != name));
    let others_moved = others.count();
    Measured { bound, greedy, local, background, dead: Dead { functions, placement, others_moved, ms } }
}

/// Cost over a bound in percent.
fn gap_pct(cost: u64, bound: u64) -> f64 {
    if bound == 0 { 0.0 } else { (cost as f64 / bound as f64 - 1.0) * 100.0 }
}

fn spread(values: impl Iterator<Item = f64>) -> Spread {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |n: usize| values.get(n).copied().unwrap_or_default();
    Spread { median: at(values.len() / 2), worst: at(values.len().saturating_sub(1)) }
}

fn show(printed: &Printed) {
    output::line(printed.machine.line());
    output::line(format!(
        "{} fog nodes, {} functions, load {:.0} %, {} problems",
        printed.nodes,
        printed.functions,
        printed.load * 100.0,
        printed.problems
    ));
    let row = |name: &str, found: &Found| {
        vec![
            name.to_owned(),
            format!("{:.2}", found.gap_pct.median),
            format!("{:.2}", found.gap_pct.worst),
            format!("{:.1}", found.ms.median),
            format!("{:.1}", found.ms.worst),
            found.nowhere.to_string(),
        ]
    };
    output::table(
        &["placement", "% over the bound", "worst", "ms", "worst", "nowhere"],
        &[
            row("greedy", &printed.greedy),
            row("with local search", &printed.local_search),
            row(&format!("with {} ms in all", printed.budget_ms), &printed.background),
        ],
    );
    let dead = &printed.dead_node;
    output::line(format!(
        "the fullest node dies: {:.0} functions (at most {:.0}) run elsewhere after {:.1} ms (at most {:.1}); {} others moved, \
         {} run nowhere",
        dead.functions.median,
        dead.functions.worst,
        dead.ms.median,
        dead.ms.worst,
        dead.others_moved,
        dead.nowhere
    ));
    output::line("The bound is proven (Lagrangian relaxations): the gap to the optimum is smaller.");
}
