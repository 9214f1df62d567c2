//! A fleet around a controller: fog nodes that do as they are told, vehicles that roam, a disk that keeps what was persisted.

use super::super::*;
use ed25519_dalek::SigningKey;
use std::collections::VecDeque;
use voltmesh_battery::estimate::power::Uncertain;
use voltmesh_battery::summary::{Estimates, Quality, Range, Summary, TRENDS_S, Trend};
use voltmesh_battery::twin::Limits;
use voltmesh_control::{
    FunctionReport, FunctionState, Instance, InstanceState, Lease, Order, Room, Summaries, VehicleSummary,
    Work,
};
use voltmesh_telemetry::Digest;

/// Fog node of a test.
#[derive(Clone, Debug, Default)]
pub struct Fog {
    pub up: bool,
    pub term: u32,
    pub last: u64,
    pub running: BTreeMap<Key, ((u32, u32), Digest)>,
    /// The next so many orders are refused.
    pub refuses: u32,
    /// Orders are lost on their way.
    pub deaf: bool,
}

/// Everything around a controller.
pub struct World {
    pub controller: Controller,
    pub disk: Kept,
    pub now: Timestamp,
    pub fogs: BTreeMap<String, Fog>,
    /// Fog node that has each vehicle's session.
    pub at: BTreeMap<VehicleId, Option<String>>,
    pub hot: BTreeSet<VehicleId>,
    pub inbox: VecDeque<(String, FunctionReport)>,
    /// Fog node and order of each lease that was ever sent.
    pub leases: BTreeMap<(Key, (u32, u32)), (String, u64)>,
    /// Every order that was sent.
    pub sent: Vec<(Timestamp, String, Planned)>,
    /// Functions that a fog node has room for.
    pub most_instances: u32,
    key: SigningKey,
}

pub fn car(n: usize) -> VehicleId {
    format!("car-{n}").parse().expect("a name")
}

pub fn fog(n: usize) -> String {
    format!("fog-{n}")
}

pub fn release(function: &str, patch: u32) -> Release {
    Release {
        digest: Digest::of(format!("{function} {patch}").as_bytes()),
        function: function.to_owned(),
        version: (1, 0, patch),
        publisher: "00".repeat(32),
        bytes: 1_000,
        at_ms: 0,
        withdrawn: false,
    }
}

/// A second of a pack at half charge.
pub fn summary(time_s: f64, hottest: f64) -> Summary {
    Summary {
        time_s,
        current_a: Some(0.0),
        voltage_v: Some(360.0),
        cells_v: Some(Range { lowest: 3.74, highest: 3.76 }),
        temps_c: Some(Range { lowest: 24.0, highest: hottest }),
        insulation_ohm: Some(1e6),
        estimates: Some(Estimates {
            soc: Uncertain { value: 0.5, sd: 0.01 },
            soc_range: (0.49, 0.51),
            soh_capacity: Uncertain { value: 0.95, sd: 0.02 },
            limits: Limits { charge_a: 90.0, discharge_a: 240.0 },
            disagreement: Some(0.01),
        }),
        found: Vec::new(),
        trends: TRENDS_S.map(|window_s| Trend { window_s, hottest: None, cell_v: None }),
        quality: Quality { samples: 10, ..Quality::default() },
    }
}

impl World {
    /// `vehicles` vehicles, all at the first of `fogs` fog nodes; every function of the shipped policy is published.
    pub fn new(fogs: usize, vehicles: usize) -> Self {
        let mut disk = Kept::default();
        for function in Policy::default().functions() {
            disk.apply(&Change::Release { release: release(&function.name, 0) });
        }
        let now = Timestamp::from_millis(1_000_000);
        let controller = start(now, &disk);
        let key = SigningKey::from_bytes(&[7; 32]);
        let mut world = Self {
            controller,
            disk,
            now,
            fogs: (1..=fogs).map(|n| (fog(n), Fog::default())).collect(),
            at: (1..=vehicles).map(|n| (car(n), Some(fog(1)))).collect(),
            hot: BTreeSet::new(),
            inbox: VecDeque::new(),
            leases: BTreeMap::new(),
            sent: Vec::new(),
            most_instances: 100,
            key,
        };
        world.take_term();
        (1..=fogs).for_each(|n| world.connect(&fog(n)));
        world
    }

    fn take_term(&mut self) {
        let term = self.disk.term + 1;
        self.handle(Input::Term(Some(term)));
    }

    pub fn handle(&mut self, input: Input) {
        let outputs = self.controller.handle(self.now, input);
        let searched = outputs.iter().find_map(|output| match output {
            Output::Improve(problem) => Some(problem.clone()),
            _ => None,
        });
        self.perform(outputs, usize::MAX);
        if let Some(problem) = searched {
            let mut looks = 0..3;
            let moves = crate::placement::better(*problem, || looks.next().is_some());
            self.handle(Input::Improved { moves });
        }
    }

    pub fn request(&mut self, request: Request) -> Result<(), RequestError> {
        let outputs = self.controller.request(self.now, request)?;
        self.perform(outputs, usize::MAX);
        Ok(())
    }

    /// Does the first so many outputs.
    pub fn perform(&mut self, outputs: Vec<Output>, most: usize) {
        for output in outputs.into_iter().take(most) {
            match output {
                Output::Persist(change) => self.disk.apply(&change),
                Output::Send { fog, order } => self.send(fog, order),
                _ => {}
            }
        }
    }

    fn send(&mut self, fog: String, order: Planned) {
        assert!(order.number < self.disk.orders, "order {} is not reserved on disk", order.number);
        assert_eq!(order.term, self.disk.term, "the term is on disk");
        assert!(!self.disk.paused, "a paused controller orders nothing");
        if let PlannedWork::Run { lease, .. } = &order.work {
            let epoch = (lease.epoch.term, lease.epoch.count);
            let key = (lease.vehicle.clone(), lease.function.clone());
            assert!(epoch.1 < self.disk.leases, "epoch {epoch:?} is not reserved on disk");
            assert_eq!(lease.fog, fog);
            let first = self.leases.get(&(key.clone(), epoch)).cloned();
            match first {
                Some(first) => {
                    assert_eq!(first, (fog.clone(), order.number), "epoch {epoch:?} is given twice")
                }
                None => {
                    let higher = self.leases.keys().find(|(other, known)| *other == key && *known > epoch);
                    assert_eq!(higher, None, "a later lease has a lower epoch than {epoch:?}");
                    self.leases.insert((key, epoch), (fog.clone(), order.number));
                }
            }
        }
        self.sent.push((self.now, fog.clone(), order.clone()));
        let Some(node) = self.fogs.get_mut(&fog).filter(|node| node.up && !node.deaf) else { return };
        let reports = node.take(&fog, order.sign("controller-1", &self.key), &self.key);
        self.inbox.extend(reports.into_iter().map(|report| (fog.clone(), report)));
    }

    /// Gives the controller so many of the reports that are under way.
    pub fn deliver(&mut self, most: usize) {
        for _ in 0..most {
            let Some((fog, report)) = self.inbox.pop_front() else { break };
            self.handle(Input::Report { fog, report: Box::new(report) });
        }
    }

    pub fn connect(&mut self, fog: &str) {
        let Some(node) = self.fogs.get_mut(fog).filter(|node| !node.up) else { return };
        node.up = true;
        let ready = FunctionReport::Ready { key: hex::encode([9; 32]), term: node.term };
        let running = node.list();
        self.handle(Input::FogUp { fog: fog.to_owned() });
        self.inbox.push_back((fog.to_owned(), ready));
        self.inbox.push_back((fog.to_owned(), running));
    }

    pub fn disconnect(&mut self, fog: &str) {
        let Some(node) = self.fogs.get_mut(fog).filter(|node| node.up) else { return };
        node.up = false;
        self.inbox.retain(|(other, _)| other != fog);
        self.handle(Input::FogDown { fog: fog.to_owned() });
    }

    /// Time passes until then, with every tick that the controller asks for.
    pub fn pass(&mut self, ms: u64) {
        let until = later(self.now, ms);
        loop {
            let due = self.controller.deadline().expect("it ticks");
            if due > until {
                break;
            }
            self.now = due.max(later(self.now, 1));
            self.handle(Input::Tick);
        }
        self.now = until;
    }

    /// What fog nodes see in this second.
    pub fn see(&mut self) {
        let up: Vec<String> =
            self.fogs.iter().filter(|(_, node)| node.up).map(|(fog, _)| fog.clone()).collect();
        for fog in up {
            let summaries = self.summaries(&fog);
            self.handle(Input::Summaries { fog, summaries: Box::new(summaries) });
        }
    }

    pub fn summaries(&self, fog: &str) -> Summaries<Summary> {
        let time_s = self.now.as_millis() as f64 / 1e3;
        let here = self.at.iter().filter(|(_, at)| at.as_deref() == Some(fog));
        let vehicles = here.map(|(vehicle, _)| VehicleSummary {
            vehicle: vehicle.clone(),
            connected: true,
            round_trip_us: Some(5_000),
            chemistry: Some("nmc".to_owned()),
            summary: Some(summary(time_s, if self.hot.contains(vehicle) { 58.0 } else { 26.0 })),
        });
        let room =
            Room { instances: 0, most_instances: self.most_instances, load: 0.1, capabilities: Vec::new() };
        Summaries { at_ms: self.now.as_millis(), room, vehicles: vehicles.collect() }
    }

    /// So many seconds in which everything that is under way arrives.
    pub fn live(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.see();
            self.deliver(usize::MAX);
            self.pass(1_000);
            self.deliver(usize::MAX);
        }
    }

    /// The process is killed and starts again from its disk; every session begins anew.
    pub fn restart(&mut self) {
        self.controller = start(self.now, &self.disk);
        self.inbox.clear();
        let up: Vec<String> =
            self.fogs.iter().filter(|(_, node)| node.up).map(|(fog, _)| fog.clone()).collect();
        self.take_term();
        for fog in up {
            if let Some(node) = self.fogs.get_mut(&fog) {
                node.up = false;
            }
            self.connect(&fog);
        }
    }

    /// Another controller takes the place of this one, with what it keeps: it hears everything, and holds no term.
    pub fn stand_by(&mut self, disk: Kept) {
        self.disk = disk;
        self.controller = start(self.now, &self.disk);
        self.inbox.clear();
        let up: Vec<String> =
            self.fogs.iter().filter(|(_, node)| node.up).map(|(fog, _)| fog.clone()).collect();
        for fog in up {
            if let Some(node) = self.fogs.get_mut(&fog) {
                node.up = false;
            }
            self.connect(&fog);
        }
    }

    /// Where a function of a vehicle runs, by what the fog nodes run under the newest lease.
    pub fn place(&self, vehicle: &VehicleId, function: &str) -> Option<String> {
        let key = (vehicle.clone(), function.to_owned());
        let all = self.fogs.iter().filter_map(|(fog, node)| Some((node.running.get(&key)?.0, fog)));
        all.max().map(|(_, fog)| fog.clone())
    }

    /// Orders that were sent since a time.
    pub fn sent_since(&self, at: Timestamp) -> impl Iterator<Item = &(Timestamp, String, Planned)> {
        self.sent.iter().filter(move |(when, ..)| *when >= at)
    }
}

/// The shipped policy with what vehicles do not say of their batteries; only heat brings what regulates temperature.
pub fn policy() -> Policy {
    let always = r#""plating-guard", "temperature-regulation"]"#;
    assert!(crate::policy::DEFAULTS.contains(always));
    let text = crate::policy::DEFAULTS.replace(always, r#""plating-guard"]"#);
    let text = format!("{text}\n[[battery]]\ncapacity_ah = 60.0\ncells = 96\n");
    Policy::parse(&text).expect("right")
}

fn start(now: Timestamp, disk: &Kept) -> Controller {
    Controller::new(now, Settings::default(), disk.clone(), Rules::default(), policy())
}

impl Fog {
    fn list(&self) -> FunctionReport {
        let instance = |(key, (epoch, release)): (&Key, &((u32, u32), Digest))| Instance {
            vehicle: key.0.clone(),
            function: key.1.clone(),
            release: *release,
            epoch: *epoch,
            state: InstanceState::Running,
            calls: 1,
            traps: 0,
        };
        FunctionReport::Running { instances: self.running.iter().map(instance).collect() }
    }

    fn take(&mut self, fog: &str, order: Order, key: &SigningKey) -> Vec<FunctionReport> {
        // It reads what was written.
        let order = Order::decode(&order.encode().expect("small")).expect("an order");
        if order.term > self.term {
            (self.term, self.last) = (order.term, 0);
        }
        if order.term < self.term || order.number <= self.last {
            return Vec::new();
        }
        self.last = order.number;
        if self.refuses > 0 {
            self.refuses -= 1;
            return vec![FunctionReport::Refused { order: order.number, reason: "no room".to_owned() }];
        }
        match order.work {
            Work::Run { vehicle, function, release, lease, .. } => {
                let lease = hex::decode(lease).expect("hexadecimal");
                let lease = Lease::verify(&lease, &[key.verifying_key()]).expect("the controller's");
                assert_eq!((&lease.vehicle, &lease.function, lease.fog.as_str()), (&vehicle, &function, fog));
                let epoch = (lease.epoch.term, lease.epoch.count);
                self.running.insert((vehicle, function), (epoch, release));
                vec![self.list()]
            }
            Work::End { vehicle, function, hand_over } => {
                let had = self.running.remove(&(vehicle.clone(), function.clone()));
                let state = had.filter(|_| hand_over).map(|(epoch, _)| {
                    let state = hex::encode(fog);
                    FunctionReport::State(FunctionState { vehicle, function, version: 1, state, epoch })
                });
                match state {
                    None if hand_over => vec![FunctionReport::Refused {
                        order: order.number,
                        reason: "it does not run here".to_owned(),
                    }],
                    state => state.into_iter().chain([self.list()]).collect(),
                }
            }
            Work::Condition { .. } => Vec::new(),
        }
    }
}
