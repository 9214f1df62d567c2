//! Functions and policy that all seeds share.

use crate::closed_loop::build;
use crate::closed_loop::shipped::Published;
use std::sync::Arc;
use voltmesh_function::{FailurePolicy, Host, Latency, Manifest, Version, WIT_VERSION};
use voltmesh_sdn::{Policy, policy};

/// Groups of a seed's packs: few, so that a second is cheap.
pub const GROUPS: usize = 4;

/// Name of the function that is not shipped: it says every fifth sample, and asks at every seventh.
pub const COUNTER: &str = "counter";

/// Functions, compiled once for all seeds.
#[derive(Clone)]
pub struct Shared {
    pub(super) host: Arc<Host>,
    pub(super) published: Vec<Published>,
    pub(super) faulty: Published,
    pub(super) policy: Policy,
}

impl Shared {
    /// The shipped functions that act, and the tests' own.
    ///
    /// # Errors
    /// Why they cannot run.
    pub fn new() -> Result<Self, String> {
        let mut published = build::shipped()?;
        published.retain(|one| ACTING.contains(&one.release.function.as_str()));
        published
            .push(build::publish(&counter(2), include_bytes!("../../../../function/tests/guest/two.wasm"))?);
        let faulty =
            build::publish(&counter(3), include_bytes!("../../../../function/tests/guest/faulty.wasm"))?;
        Ok(Self { host: build::host()?, published, faulty, policy: loop_policy()? })
    }
}

/// Shipped functions that a seed has.
pub const ACTING: [&str; 2] = ["charging-control", "temperature-regulation"];

fn counter(release: u32) -> Manifest {
    Manifest {
        name: COUNTER.into(),
        release: Version { major: release, minor: 0, patch: 0 },
        wit: WIT_VERSION,
        state_version: 2,
        imports_state: vec![1],
        memory_mib: 4,
        fuel: 20_000_000,
        capabilities: vec![],
        latency: Latency::Second,
        failure: FailurePolicy::Withdraw,
        schema: r#"{"type":"object"}"#.into(),
        description: "Counts samples.".into(),
        method: "Counting.".into(),
        source: "None.".into(),
    }
}

/// The shipped policy's word on those functions; heat brings the counter.
fn loop_policy() -> Result<Policy, String> {
    let functions: String = policy::DEFAULTS
        .split("[[function]]")
        .skip(1)
        .filter(|text| ACTING.iter().any(|name| text.contains(&format!("name = \"{name}\""))))
        .map(|text| format!("[[function]]{}\n", text.split("[[entry]]").next().unwrap_or_default()))
        .collect();
    let text = format!(
        "version = 1\n[fleet]\ncommands_per_s = 50\nburst = 500\n{functions}\n[[function]]\nname = \"{COUNTER}\"\npriority = 50\n\
        latency = \"second\"\nload_ppm = 100\nmemory_mib = 4\nminimum_stay_s = 20\ncommands_per_min = 20\n\
        bounds = {{ charge-limit-a = [0.0, 1000.0] }}\n\
        configuration = {{ event_every = 5, command_every = 7, valid_ms = 20000 }}\n\
        [[entry]]\nname = \"guarded\"\nfunctions = [\"charging-control\", \"temperature-regulation\"]\n\
        [[entry]]\nname = \"hot\"\ncondition = \"over-temperature\"\nfunctions = [\"{COUNTER}\"]\n\
        [[battery]]\ncapacity_ah = {:.1}\ncells = {GROUPS}\n",
        build::CAPACITY_AH
    );
    Policy::parse(&text).map_err(|error| format!("{error} in\n{text}"))
}
