//! A fog node's functions on a clock of their own, and signed releases of a function that counts.

use anyhow::{Result, bail};
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use voltmesh_control::{Allowed, Epoch, FleetShare, FunctionReport, FunctionState, Lease, Order, Work};
use voltmesh_function::{
    FailurePolicy, Input, Latency, Manager, Manifest, Output, Package, Sample, Settings, Version, WIT_VERSION,
};
use voltmesh_telemetry::{Digest, Timestamp, VehicleId};

/// A function that counts samples and says what it is told to: two releases, the second imports the first one's state.
pub(super) const COMPONENTS: [&[u8]; 2] = [
    include_bytes!("../../../function/tests/guest/one.wasm"),
    include_bytes!("../../../function/tests/guest/two.wasm"),
];
/// Its name.
pub(super) const FUNCTION: &str = "counter";
/// Any time.
pub(super) const START: u64 = 1_767_600_000_000;

pub(super) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(super) fn sample(time_ms: u64) -> Sample {
    Sample {
        time_ms,
        pack_voltage_v: Some(355.2),
        pack_current_a: Some(-12.5),
        soc: Some(0.5),
        cells_v: (0..96).map(|cell| 3.7 + f64::from(cell) * 1e-4).collect(),
        temperatures_c: vec![25.0; 8],
        plugged: Some(false),
        insulation_ohm: None,
        ambient_c: None,
        coolant_c: None,
    }
}

/// A release of the function that counts, signed by a publisher, with the digest of its component.
pub(super) fn release_by(number: usize, publisher: &str, key: &SigningKey) -> Result<(Bytes, Digest)> {
    let state_version = number as u32 + 1;
    let manifest = Manifest {
        name: FUNCTION.to_owned(),
        release: Version { major: state_version, minor: 0, patch: 0 },
        wit: WIT_VERSION,
        state_version,
        imports_state: (1..state_version).collect(),
        memory_mib: 4,
        fuel: 20_000_000,
        capabilities: Vec::new(),
        latency: Latency::Immediate,
        failure: FailurePolicy::Hold,
        schema: json!({ "type": "object" }).to_string(),
        description: "Counts samples.".to_owned(),
        method: "Counting.".to_owned(),
        source: "None.".to_owned(),
    };
    let component = COMPONENTS[number];
    Ok((Package::sign(&manifest, component, publisher, key)?.into(), Digest::of(component)))
}

pub(super) fn release(number: usize) -> Result<(Bytes, Digest)> {
    release_by(number, "bench", &key(1))
}

/// One node on a clock of its own.
pub(super) struct Node {
    pub(super) manager: Manager,
    pub(super) now: u64,
    number: u64,
}

impl Node {
    pub(super) fn new(most_instances: u32) -> Result<Self> {
        let settings = Settings {
            fog: "fog".to_owned(),
            fog_key: key(3).verifying_key().to_bytes(),
            controllers: vec![key(2).verifying_key()],
            publishers: vec![key(1).verifying_key()],
            withdrawn: Default::default(),
            capabilities: Default::default(),
            most_instances,
        };
        let manager = Manager::new(settings).map_err(anyhow::Error::msg)?;
        Ok(Self { manager, now: START, number: 0 })
    }

    pub(super) fn with_releases(most_instances: u32) -> Result<Self> {
        let mut node = Self::new(most_instances)?;
        for number in 0..COMPONENTS.len() {
            node.give(Input::Release(release(number)?.0))?;
        }
        Ok(node)
    }

    pub(super) fn give(&mut self, input: Input) -> Result<Vec<Output>> {
        let out = self.manager.handle(Timestamp::from_millis(self.now), input);
        let refused = out.iter().find_map(|output| match output {
            Output::Tell(FunctionReport::Refused { reason, .. }) => Some(reason.clone()),
            _ => None,
        });
        match refused {
            Some(reason) => bail!("an order is refused: {reason}"),
            None => Ok(out),
        }
    }

    pub(super) fn order(&mut self, work: Work) -> Order {
        self.number += 1;
        Order { number: self.number, term: 1, work }
    }

    pub(super) fn run(
        &mut self,
        vehicle: &VehicleId,
        release: Digest,
        every: u64,
        count: u32,
        state: Option<FunctionState>,
    ) -> Order {
        let lease = Lease {
            vehicle: vehicle.clone(),
            function: FUNCTION.to_owned(),
            fog: "fog".to_owned(),
            fog_key: key(3).verifying_key().to_bytes(),
            epoch: Epoch { term: 1, count },
            until: Timestamp::from_millis(self.now + 3_600_000),
            allowed: Allowed::everything(),
        };
        let configuration: Value = json!({ "event_every": every });
        let (vehicle, function) = (vehicle.clone(), FUNCTION.to_owned());
        let lease = hex::encode(lease.sign("bench", &key(2)));
        self.order(Work::Run {
            vehicle,
            function,
            release,
            configuration,
            lease,
            state,
            fleet: FleetShare::default(),
        })
    }

    pub(super) fn sample(&mut self, vehicle: &VehicleId) -> Result<Vec<Output>> {
        let samples = vec![sample(self.now)];
        self.give(Input::Samples { vehicle: vehicle.clone(), samples })
    }
}

pub(super) fn vehicle(number: usize) -> Result<VehicleId> {
    Ok(format!("bus-{number}").parse()?)
}
