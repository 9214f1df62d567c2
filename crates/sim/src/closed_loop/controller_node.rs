//! The controller between simulated sessions and a disk that keeps what was persisted.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;
use voltmesh_battery::summary::Summary;
use voltmesh_control::{FunctionReport, Summaries};
use voltmesh_sdn::controller::{Change, Controller, Input, Kept, Output, Request, Settings};
use voltmesh_sdn::{Policy, Rules, assess, placement};
use voltmesh_telemetry::{Digest, Timestamp};

use super::messages::{FromController, Up};
use super::shipped::Published;

/// Name of the controller.
const NAME: &str = "controller-1";
/// Looks of a search for a better placement: the same in each run.
const SEARCH_LOOKS: u32 = 5;

/// Requests of a controller to those around it.
#[derive(Debug)]
pub enum ControllerOutput {
    /// Send to a fog node.
    Send {
        /// Which.
        fog: String,
        /// What.
        message: FromController,
    },
    /// A vehicle's condition has begun or ended.
    Condition(assess::Change),
    /// It is told that a higher term is held.
    Superseded,
}

/// One controller.
pub struct ControllerNode {
    key: SigningKey,
    settings: Settings,
    rules: Rules,
    policy: Policy,
    disk: Kept,
    packages: BTreeMap<Digest, Bytes>,
    core: Option<Controller>,
    /// Counts starts.
    pub life: u64,
}

impl ControllerNode {
    /// A controller that has never run, with these releases on its disk.
    pub fn new(
        key: SigningKey,
        settings: Settings,
        rules: Rules,
        policy: Policy,
        published: &[Published],
    ) -> Self {
        let mut disk = Kept::default();
        for one in published {
            disk.apply(&Change::Release { release: one.release.clone() });
        }
        let packages = published.iter().map(|one| (one.release.digest, one.package.clone())).collect();
        Self { key, settings, rules, policy, disk, packages, core: None, life: 0 }
    }

    /// Whether its process runs.
    pub fn is_up(&self) -> bool {
        self.core.is_some()
    }

    /// The core, while it runs.
    pub fn core(&self) -> Option<&Controller> {
        self.core.as_ref()
    }

    /// The process starts from its disk and takes a term.
    pub fn start(&mut self, now: Timestamp, term: u32) -> Vec<ControllerOutput> {
        self.life += 1;
        let (rules, policy) = (self.rules.clone(), self.policy.clone());
        self.core = Some(Controller::new(now, self.settings.clone(), self.disk.clone(), rules, policy));
        self.handle(now, Input::Term(Some(term)), usize::MAX)
    }

    /// The process is killed.
    pub fn kill(&mut self) {
        self.core = None;
    }

    /// Takes an input, and does at most so many of what follows: it may be killed in between.
    pub fn handle(&mut self, now: Timestamp, input: Input, most: usize) -> Vec<ControllerOutput> {
        let Some(core) = &mut self.core else { return Vec::new() };
        let outputs = core.handle(now, input);
        let searched = outputs.iter().take(most).find_map(|output| match output {
            Output::Improve(problem) => Some(problem.clone()),
            _ => None,
        });
        let mut done = self.perform(outputs, most);
        if let Some(problem) = searched {
            let mut looks = 0..SEARCH_LOOKS;
            let moves = placement::better(*problem, || looks.next().is_some());
            done.extend(self.handle(now, Input::Improved { moves }, usize::MAX));
        }
        done
    }

    /// Carries out what an operator asks for.
    pub fn request(&mut self, now: Timestamp, request: Request) -> Vec<ControllerOutput> {
        let Some(core) = &mut self.core else { return Vec::new() };
        match core.request(now, request) {
            Ok(outputs) => self.perform(outputs, usize::MAX),
            Err(error) => {
                tracing::debug!(%error, "the controller refuses a request");
                Vec::new()
            }
        }
    }

    /// An operator publishes a release.
    pub fn publish(&mut self, now: Timestamp, published: &Published) -> Vec<ControllerOutput> {
        self.packages.insert(published.release.digest, published.package.clone());
        self.request(now, Request::Publish(published.release.clone()))
    }

    fn perform(&mut self, outputs: Vec<Output>, most: usize) -> Vec<ControllerOutput> {
        let mut out = Vec::new();
        for output in outputs.into_iter().take(most) {
            match output {
                Output::Persist(change) => self.disk.apply(&change),
                Output::Send { fog, order } => {
                    if let Ok(bytes) = order.sign(NAME, &self.key).encode() {
                        out.push(ControllerOutput::Send {
                            fog,
                            message: FromController::Order(bytes.into()),
                        });
                    }
                }
                Output::SendRelease { fog, release } => {
                    if let Some(package) = self.packages.get(&release) {
                        let message = FromController::Release(package.clone());
                        out.push(ControllerOutput::Send { fog, message });
                    }
                }
                Output::Condition(change) => out.push(ControllerOutput::Condition(change)),
                Output::Refused { fog, why } => tracing::debug!(fog, %why, "the controller refuses"),
                Output::Superseded { .. } => out.push(ControllerOutput::Superseded),
                Output::Improve(_) => {}
            }
        }
        out
    }

    /// A message of a fog node as an input.
    pub fn read(fog: &str, up: &Up) -> Option<Input> {
        let fog = fog.to_owned();
        Some(match up {
            Up::Report(bytes) | Up::Event(_, bytes) => {
                Input::Report { fog, report: Box::new(FunctionReport::decode(bytes).ok()?) }
            }
            Up::Summaries(bytes) => {
                Input::Summaries { fog, summaries: Box::new(Summaries::<Summary>::decode(bytes).ok()?) }
            }
        })
    }
}
