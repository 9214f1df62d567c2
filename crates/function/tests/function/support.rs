//! One node with its keys, and what its tests say over and over.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use voltmesh_control::{
    Allowed, Epoch, FleetShare, FunctionEvent, FunctionReport, FunctionState, InstanceState, Lease, Order,
    Work,
};
use voltmesh_function::{
    FailurePolicy, Input, Latency, Manager, Manifest, Output, Package, Sample, Settings, Snapshot, Version,
};
use voltmesh_telemetry::{Digest, Timestamp, VehicleId};

pub const ONE: &[u8] = include_bytes!("../guest/one.wasm");
pub const TWO: &[u8] = include_bytes!("../guest/two.wasm");
pub const FAULTY: &[u8] = include_bytes!("../guest/faulty.wasm");
/// Any time.
pub const START: u64 = 1_767_600_000_000;
pub const FUNCTION: &str = "counter";
/// More than any test commands.
pub const FLEET: FleetShare = FleetShare { per_min: 60_000, burst: 10_000 };

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn publisher() -> SigningKey {
    key(1)
}

pub fn vehicle(name: &str) -> VehicleId {
    name.parse().unwrap()
}

pub fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(START + ms)
}

/// Manifest of the test function's release of this number.
pub fn manifest(release: u32) -> Manifest {
    Manifest {
        name: FUNCTION.into(),
        release: Version { major: release, minor: 0, patch: 0 },
        wit: voltmesh_function::WIT_VERSION,
        state_version: release.min(2),
        imports_state: if release >= 2 { vec![1] } else { vec![] },
        memory_mib: 4,
        fuel: 20_000_000,
        capabilities: vec![],
        latency: Latency::Immediate,
        failure: FailurePolicy::Hold,
        schema: json!({
            "type": "object",
            "properties": { "event_every": { "type": "integer", "minimum": 0 } },
        })
        .to_string(),
        description: "Counts samples.".into(),
        method: "Counting.".into(),
        source: "None.".into(),
    }
}

pub fn sign(manifest: &Manifest, component: &[u8]) -> Bytes {
    Package::sign(manifest, component, "tests", &publisher()).unwrap().into()
}

pub fn one() -> Bytes {
    sign(&manifest(1), ONE)
}

pub fn two() -> Bytes {
    sign(&manifest(2), TWO)
}

pub fn faulty() -> Bytes {
    sign(&manifest(3), FAULTY)
}

pub fn sample(ms: u64) -> Sample {
    Sample {
        time_ms: START + ms,
        pack_voltage_v: Some(355.2),
        pack_current_a: Some(-12.5),
        soc: Some(0.5),
        cells_v: vec![3.7; 96],
        temperatures_c: vec![25.0; 8],
        plugged: Some(false),
        insulation_ohm: None,
        ambient_c: None,
        coolant_c: None,
    }
}

/// A sample at which the test function misbehaves.
pub fn poison(ms: u64, what: u16) -> Sample {
    Sample { ambient_c: Some(f64::from(what)), ..sample(ms) }
}

pub fn settings() -> Settings {
    Settings {
        fog: "fog-1".into(),
        fog_key: key(3).verifying_key().to_bytes(),
        controllers: vec![key(2).verifying_key()],
        publishers: vec![publisher().verifying_key()],
        withdrawn: BTreeSet::new(),
        capabilities: ["gpu".to_owned()].into(),
        most_instances: 8,
    }
}

pub fn lease(vehicle: &VehicleId, epoch: (u32, u32), until: Timestamp) -> Lease {
    Lease {
        vehicle: vehicle.clone(),
        function: FUNCTION.into(),
        fog: "fog-1".into(),
        fog_key: key(3).verifying_key().to_bytes(),
        epoch: Epoch { term: epoch.0, count: epoch.1 },
        until,
        allowed: Allowed { commands_per_min: 600, ..Allowed::everything() },
    }
}

pub fn signed(lease: &Lease) -> String {
    hex::encode(lease.sign("controller-1", &key(2)))
}

/// One node, and what it said, held to the invariants at every output.
pub struct Node {
    pub manager: Manager,
    pub now: u64,
    pub number: u64,
    pub events: Vec<FunctionEvent>,
    pub snapshots: BTreeMap<(VehicleId, String), Snapshot>,
    sequence: u64,
    /// Next number of an event of each vehicle, function and epoch.
    numbers: BTreeMap<(VehicleId, String, (u32, u32)), u64>,
    /// Last number of a command of the same.
    commands: BTreeMap<(VehicleId, String, (u32, u32)), u64>,
}

impl Node {
    pub fn new() -> Self {
        Self::with(settings())
    }

    pub fn with(settings: Settings) -> Self {
        Self {
            manager: Manager::new(settings).unwrap(),
            now: 0,
            number: 0,
            events: Vec::new(),
            snapshots: BTreeMap::new(),
            sequence: 0,
            numbers: BTreeMap::new(),
            commands: BTreeMap::new(),
        }
    }

    /// A node that has these releases.
    pub fn with_releases(releases: &[Bytes]) -> Self {
        let mut node = Self::new();
        for release in releases {
            node.input(Input::Release(release.clone()));
        }
        node
    }

    pub fn input(&mut self, input: Input) -> Vec<Output> {
        let out = self.manager.handle(at(self.now), input);
        for output in &out {
            match output {
                Output::Keep { sequence, event } => {
                    assert_eq!(*sequence, self.sequence + 1, "sequences ascend by one");
                    self.sequence = *sequence;
                    let id = (event.vehicle.clone(), event.function.clone(), event.epoch);
                    let next = self.numbers.entry(id).or_default();
                    assert_eq!(event.number, *next, "events are numbered without gaps: {event:?}");
                    *next += 1;
                    self.events.push(event.clone());
                }
                Output::Command { after, command, lease, function } => {
                    assert!(after.unwrap_or_default() <= self.sequence, "a command comes after its event");
                    let lease = Lease::verify(lease, &[key(2).verifying_key()]).unwrap();
                    assert!(lease.until > at(self.now), "a command has a lease in force");
                    assert!(command.expires <= lease.until, "a command ends with its lease");
                    assert_eq!((&lease.vehicle, &lease.function), (&command.vehicle, function));
                    let id =
                        (command.vehicle.clone(), function.clone(), (lease.epoch.term, lease.epoch.count));
                    let last = self.commands.insert(id, command.number);
                    assert!(last.is_none_or(|last| last < command.number), "numbers of commands ascend");
                }
                Output::Persist(snapshot) => {
                    let bytes = snapshot.encode();
                    assert_eq!(Snapshot::decode(&bytes).unwrap(), **snapshot);
                    let key = (snapshot.vehicle.clone(), snapshot.function.clone());
                    self.snapshots.insert(key, (**snapshot).clone());
                }
                Output::Tell(_) | Output::Metrics { .. } | Output::Warn(_) => {}
            }
        }
        out
    }

    /// The process ends and another takes up what was persisted and kept.
    pub fn restart(&mut self, releases: &[Bytes]) -> Vec<Output> {
        self.manager = Manager::new(settings()).unwrap();
        self.sequence = 0;
        let mut out = Vec::new();
        for release in releases {
            out.extend(self.input(Input::Release(release.clone())));
        }
        for ((vehicle, function), snapshot) in self.snapshots.clone() {
            let next = self.numbers.get(&(vehicle, function, snapshot.epoch)).copied().unwrap_or_default();
            let kept = next.checked_sub(1);
            out.extend(self.input(Input::Restore { snapshot: Box::new(snapshot), kept }));
        }
        out
    }

    pub fn order(&mut self, term: u32, work: Work) -> Vec<Output> {
        self.number += 1;
        let number = self.number;
        self.input(Input::Order(Order { number, term, work }))
    }

    pub fn run(
        &mut self,
        name: &str,
        release: Digest,
        configuration: Value,
        epoch: (u32, u32),
    ) -> Vec<Output> {
        let lease = signed(&lease(&vehicle(name), epoch, at(self.now + 600_000)));
        self.run_with(name, release, configuration, lease, None)
    }

    pub fn run_with(
        &mut self,
        name: &str,
        release: Digest,
        configuration: Value,
        lease: String,
        state: Option<FunctionState>,
    ) -> Vec<Output> {
        let function = FUNCTION.to_owned();
        self.order(
            1,
            Work::Run {
                vehicle: vehicle(name),
                function,
                release,
                configuration,
                lease,
                state,
                fleet: FLEET,
            },
        )
    }

    pub fn end(&mut self, name: &str, hand_over: bool) -> Vec<Output> {
        self.order(1, Work::End { vehicle: vehicle(name), function: FUNCTION.into(), hand_over })
    }

    pub fn samples(&mut self, name: &str, samples: Vec<Sample>) -> Vec<Output> {
        self.input(Input::Samples { vehicle: vehicle(name), samples })
    }

    /// One sample now.
    pub fn sample(&mut self, name: &str) -> Vec<Output> {
        let sample = sample(self.now);
        self.samples(name, vec![sample])
    }

    /// A second passes.
    pub fn second(&mut self) -> Vec<Output> {
        self.now += 1_000;
        self.input(Input::Tick)
    }

    pub fn state(&self, name: &str) -> Option<InstanceState> {
        let vehicle = vehicle(name);
        self.manager.running().into_iter().find(|one| one.vehicle == vehicle).map(|one| one.state)
    }

    /// The count of each event `seen` so far.
    pub fn seen(&self) -> Vec<u64> {
        self.events
            .iter()
            .filter(|event| event.kind == "seen")
            .map(|event| figure(event, "count") as u64)
            .collect()
    }
}

pub fn figure(event: &FunctionEvent, name: &str) -> f64 {
    event.figures.iter().find(|(figure, _)| figure == name).unwrap().1
}

pub fn kinds(out: &[Output]) -> Vec<String> {
    out.iter()
        .filter_map(|output| match output {
            Output::Keep { event, .. } => Some(event.kind.clone()),
            _ => None,
        })
        .collect()
}

pub fn refusals(out: &[Output]) -> Vec<String> {
    out.iter()
        .filter_map(|output| match output {
            Output::Tell(FunctionReport::Refused { reason, .. }) => Some(reason.clone()),
            _ => None,
        })
        .collect()
}

pub fn commands(out: &[Output]) -> Vec<(Option<u64>, voltmesh_control::Command)> {
    out.iter()
        .filter_map(|output| match output {
            Output::Command { after, command, .. } => Some((*after, command.clone())),
            _ => None,
        })
        .collect()
}

pub fn handed(out: &[Output]) -> Option<FunctionState> {
    out.iter().find_map(|output| match output {
        Output::Tell(FunctionReport::State(state)) => Some(state.clone()),
        _ => None,
    })
}
