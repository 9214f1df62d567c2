//! One seed of the whole system: its schedule of faults, then calm, then everything must be archived.

use crate::{
    audit::Audit,
    checker,
    faults::{self, Change, Stage},
    options::{Class, Options, Scenario},
    seeds::SeedReport,
    world::World,
};
use commonware_runtime::{Clock as _, Runner as _, Supervisor as _, deterministic};
use rand::{SeedableRng as _, rngs::StdRng};
use serde::Serialize;
use std::{
    cell::Cell,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::Once,
    time::{Duration, SystemTime},
};
use voltmesh_cloud::{ArchiveReport, verify_settled};

/// The simulation's time 0: 2026-01-01, in seconds since the Unix epoch.
const EPOCH_S: u64 = 1_767_225_600;

/// Result of one seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Minutes asked for, in thousandths.
    pub minutes_thousandths: u64,
    /// The kind of scenario, as `--scenario` names it.
    pub scenario: String,
    /// Digest of everything that happened, in order; the same for the same seed and options.
    pub trace_digest: String,
    /// What the checker counted.
    pub counters: checker::Counters,
    /// How often what went wrong.
    pub faults: BTreeMap<String, u64>,
    /// Simulated time until the end, in seconds.
    pub virtual_seconds: u64,
    /// Broken invariants; empty if it passed.
    pub problems: Vec<String>,
    /// Every event, if [`Options::keep_events`] asks for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
}

impl SeedReport for Report {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn problems(&self) -> &[String] {
        &self.problems
    }

    fn replay(&self) -> String {
        let minutes = self.minutes_thousandths as f64 / 1000.0;
        format!("voltmesh sim --seed {} --minutes {minutes} --scenario {}", self.seed, self.scenario)
    }
}

/// Runs one seed for so many simulated minutes, and on until all is archived.
pub fn run(seed: u64, minutes: f64, options: &Options) -> Report {
    let minutes_thousandths = (minutes * 1000.0).round().max(1.0) as u64;
    let failed = |problem: String| Report {
        seed,
        minutes_thousandths,
        scenario: Scenario::draw(seed, minutes_thousandths, options.class).class.to_string(),
        trace_digest: String::new(),
        counters: checker::Counters::default(),
        faults: BTreeMap::new(),
        virtual_seconds: 0,
        problems: vec![problem],
        events: Vec::new(),
    };
    quiet_panics();
    let config = deterministic::Config::new()
        .with_seed(seed)
        .with_start_time(SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH_S));
    SIMULATING.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        deterministic::Runner::new(config)
            .start(|context| simulate(context, seed, minutes_thousandths, options))
    }));
    SIMULATING.set(false);
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        failed(format!("the simulation itself panicked: {text}"))
    })
}

thread_local! {
    /// This thread runs a simulation, in which processes may panic as part of the story.
    static SIMULATING: Cell<bool> = const { Cell::new(false) };
}

/// Panics of simulated processes are reported by the checker, not printed; others are printed as ever.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !SIMULATING.try_with(Cell::get).unwrap_or(false) {
                before(info);
            }
        }));
    });
}

async fn simulate(
    context: deterministic::Context,
    seed: u64,
    minutes_thousandths: u64,
    options: &Options,
) -> Report {
    let start = context.current();
    let scenario = Scenario::draw(seed, minutes_thousandths, options.class);
    let calm = start + scenario.calm;
    let calm_ms = scenario.calm.as_millis() as u64;
    let mut rng = StdRng::seed_from_u64(seed ^ 0x6661_756c);
    let stage = Stage {
        fogs: options.fogs,
        edges: options.vehicles,
        from_ms: 2_000.min(calm_ms / 4),
        calm_ms,
        longest_ms: calm_ms.min(24 * 3_600_000),
        without_cloud: scenario.class == Class::Backlog,
    };
    let schedule = faults::schedule(&mut rng, options.faults, stage);
    let mut world = World::new(context.child("world"), seed, options, &scenario, calm);
    if options.keep_events {
        world.checker.keep_events();
    }
    world.start();
    let mut counts = BTreeMap::new();
    let mut pending = schedule.into_iter().peekable();
    while context.current() < calm && !world.checker.is_broken() {
        let elapsed = context.current().duration_since(start).unwrap_or_default().as_millis() as u64;
        while let Some((_, change)) = pending.next_if(|(at, _)| *at <= elapsed) {
            count(&mut counts, change);
            world.apply(change);
        }
        world.checker.note("time", elapsed.to_string().as_bytes());
        world.tend();
        context.sleep(scenario.step).await;
    }
    world.calm();
    let bound = context.current() + scenario.settle;
    while !world.checker.is_broken() {
        world.tend();
        context.sleep(scenario.step).await;
        let (low, high) = world.heights();
        let together = high.get() > 0 && high.get() - low.get() <= 2;
        let (owed, named) = world.checker.owed();
        let difference = world.store.audit(Audit::difference);
        if owed == 0 && difference.is_none() && together && context.current() >= calm + Duration::from_secs(3)
        {
            break;
        }
        if context.current() >= bound {
            world.checker.problem(format!(
                "work does not go on: {owed} records are not archived, heights {low}..{high}"
            ));
            named.into_iter().chain(difference).for_each(|text| world.checker.problem(text));
        }
    }
    if !world.checker.is_broken() {
        verify(&world).await;
    }
    world.store.close();
    let disks = world.disks();
    let store = world.store.counters();
    let mesh = world.mesh.counters();
    for (name, value) in [
        ("crashes", world.crashes()),
        ("power cuts", disks.power_cuts),
        ("torn files", disks.torn_files),
        ("failed syncs", disks.failed_syncs),
        ("refused writes", disks.refused_writes),
        ("requests refused", store.refused),
        ("answers lost", store.unanswered),
        ("puts after death", store.late),
        ("puts that met another", store.conflicts),
        ("listings behind", store.behind),
        ("links reset", world.net.resets()),
        ("messages lost", mesh.lost),
        ("messages doubled", mesh.duplicated),
        ("messages reordered", mesh.reordered),
        ("authorities blocked", mesh.blocked),
    ] {
        if value > 0 {
            counts.insert(name.to_owned(), value);
        }
    }
    // The order of everything the runtime did, and of everything that the checker saw.
    let trace = [context.auditor().state().as_bytes(), world.checker.trace().as_bytes()].concat();
    Report {
        seed,
        minutes_thousandths,
        scenario: scenario.class.to_string(),
        trace_digest: voltmesh_telemetry::Digest::of(&trace).to_string(),
        counters: world.checker.counters(),
        faults: counts,
        virtual_seconds: context.current().duration_since(start).unwrap_or_default().as_secs(),
        problems: world.checker.problems(),
        events: world.checker.take_events(),
    }
}

/// Seconds in which a commit that is between its tables ends: the store has no faults any more.
const COMMIT_S: u32 = 60;

/// Rows that are wrong. Not whether the whole log is explained: further copies may be under way when all that is owed is
/// archived.
fn wrong_rows(report: &ArchiveReport) -> u64 {
    report.duplicates + report.tampered + report.missing + report.bad_batches
}

/// The archive as its own audit finds it in the end, and as many rows as the checker has counted.
async fn verify(world: &World) {
    let mut before = 0;
    let looking = async || {
        before = world.store.audit(Audit::rows);
        world.look().await
    };
    let fine = |report: &ArchiveReport| wrong_rows(report) + report.bad_files == 0;
    let looked = verify_settled(looking, fine, async |pause| world.wait(pause).await).await;
    let report = match looked {
        Ok(report) => report,
        Err(error) => return world.checker.problem(format!("the archive does not verify: {error}")),
    };
    if !fine(&report) {
        let first = report.problems.first().cloned().unwrap_or_default();
        world.checker.problem(format!("the archive is not sound: {first}"));
    }
    // What nobody is owed, such as a sample whose PUBACK is still on the way, may be archived meanwhile: its commit may be
    // between `batches`, where the checker counts it, and `records` at this moment.
    let counts = || (world.store.audit(Audit::rows), world.checker.counters().archived);
    let (mut rows, mut archived) = counts();
    for _ in 0..COMMIT_S {
        if rows == archived {
            break;
        }
        world.wait(Duration::from_secs(1)).await;
        (rows, archived) = counts();
    }
    if !(before..=rows).contains(&report.records) || rows != archived {
        world.checker.problem(format!(
            "{archived} records were archived; the tables' bytes have {rows} rows, their reader {}",
            report.records
        ));
    }
}

fn count(counts: &mut BTreeMap<String, u64>, change: Change) {
    let name = match change {
        Change::PowerOff(_) => "power off",
        Change::Kill(_) => "killed",
        Change::Wipe(_) => "wiped",
        Change::Fill(..) => "full disk",
        Change::Slow(..) => "slow disk",
        Change::FailSyncs(..) => "failing disk",
        Change::Cut(..) => "roads cut",
        Change::BadLinks(_) => "bad links",
        Change::BadMesh(..) => "bad messages",
        Change::BadStore(fault) if fault.refused == 1_000 => "store away",
        Change::BadStore(fault) if fault.list_lag_ms > 0 => "store behind",
        Change::BadStore(fault) if fault.refused > 0 => "store failing",
        Change::BadStore(_) => "store slow",
        Change::Intrude => "second writer",
        Change::Twin(_) => "Byzantine authority",
        Change::Skew(_, ms) if ms != 0 => "wrong clock",
        _ => return,
    };
    *counts.entry(name.to_owned()).or_default() += 1;
}
