//! Another release or configuration of what runs, with its state; and back, when the new one fails in its first calls.
//!
//! The release before stays and gets the same inputs during those calls. Its answers are dropped as long as the new one
//! answers, and used from the call on in which the new one fails. So no event is lost or said twice, and none waits.

use super::{
    Previous, State,
    node::Node,
    slot::{Phase, Placed, Probation, Slot},
};
use crate::host::{Answer, Failure};

/// Calls after an upgrade in which a failure rolls back: some 8 s of a vehicle at 1 Hz with its reports.
pub(super) const FIRST_CALLS: u32 = 16;

impl Slot {
    /// The state now, or the last exported one where the instance does not run or fails at it.
    fn state_now(&mut self, node: &mut Node) -> State {
        if let Phase::Running(guest) = &mut self.phase {
            match self.placed.export(guest) {
                Ok(state) => self.state = state,
                Err(failure) => {
                    let what = format!("function {} of vehicle {}", self.lease.function, self.lease.vehicle);
                    node.failed(&what, &failure);
                    // It must not be called any more.
                    self.phase = Phase::Waiting(node.now);
                }
            }
        }
        self.state.clone()
    }

    /// Goes on with another release. On an error nothing has changed.
    pub fn upgrade(&mut self, node: &mut Node, placed: Placed) -> Result<(), String> {
        let before = self.state_now(node);
        let manifest = &placed.component.manifest;
        let taken = match &self.previous {
            _ if manifest.imports(before.version) => &before,
            // An older release cannot know a newer format: it goes on from what it had itself.
            Some(previous) if previous.release == placed.component.digest => &previous.state,
            _ => {
                return Err(format!(
                    "release {} imports state of version {} and {:?}, not {}; deploy one that imports it",
                    manifest.release, manifest.state_version, manifest.imports_state, before.version
                ));
            }
        };
        let fails = |failure: Failure| format!("release {} does not take over: {failure}", manifest.release);
        let mut guest = placed.start(Some(taken)).map_err(fails)?;
        let state = placed.export(&mut guest).map_err(fails)?;
        let shadow = match std::mem::replace(&mut self.phase, Phase::Running(Box::new(guest))) {
            Phase::Running(guest) => Some(*guest),
            Phase::Waiting(_) | Phase::Failed => None,
        };
        let old = std::mem::replace(&mut self.placed, placed);
        self.previous = Some(Previous {
            release: old.component.digest,
            configuration: old.configuration.clone(),
            state: before.clone(),
        });
        self.probation = Some(Probation { left: FIRST_CALLS, shadow, placed: old, state: before });
        self.state = state;
        self.failures = Default::default();
        Ok(())
    }

    /// Goes on with another configuration. On an error the one before is in force.
    pub fn reconfigure(&mut self, node: &mut Node, configuration: serde_json::Value) -> Result<(), String> {
        let state = self.state_now(node);
        let placed = Placed { component: self.placed.component.clone(), configuration };
        let Phase::Running(guest) = &mut self.phase else {
            let guest = placed.start(Some(&state)).map_err(|failure| failure.to_string())?;
            self.phase = Phase::Running(Box::new(guest));
            (self.placed, self.failures) = (placed, Default::default());
            return Ok(());
        };
        let why = match guest.configure(&placed.configuration.to_string()) {
            Ok(Ok(())) => {
                (self.placed, self.probation) = (placed, None);
                return Ok(());
            }
            Ok(Err(why)) => format!("it refuses the configuration: {why}"),
            Err(failure) => format!("it fails at the configuration: {failure}"),
        };
        // What it took of the new one is unknown: it begins again with the one before.
        self.start(node);
        Err(why)
    }

    /// A state that another holder made after this one.
    pub fn adopt(&mut self, placed: Placed, state: &State) -> Result<(), String> {
        let mut guest = placed.start(Some(state)).map_err(|failure| failure.to_string())?;
        self.state = placed.export(&mut guest).map_err(|failure| failure.to_string())?;
        self.phase = Phase::Running(Box::new(guest));
        self.placed = placed;
        (self.probation, self.previous, self.failures) = (None, None, Default::default());
        Ok(())
    }

    /// A call that did not fail.
    pub fn passed(&mut self) {
        if let Some(probation) = &mut self.probation {
            probation.left -= 1;
            if probation.left == 0 {
                self.probation = None;
            }
        }
    }

    /// Back to the release before, from this call on: `answer` is what it said to it.
    pub fn roll_back(&mut self, node: &mut Node, failure: &Failure, answer: Option<Answer>) {
        let Some(probation) = self.probation.take() else { return };
        let new = std::mem::replace(&mut self.placed, probation.placed);
        (self.state, self.previous) = (probation.state, None);
        node.counters.rolled_back += 1;
        let (new, old) = (new.component.manifest.release, self.placed.component.manifest.release);
        self.say_of(
            node,
            "rolled-back",
            format!("release {new} failed in its first calls, {old} goes on: {failure}"),
        );
        match (probation.shadow, answer) {
            (Some(shadow), Some(answer)) => {
                self.phase = Phase::Running(Box::new(shadow));
                match self.admit(node.now, answer) {
                    Ok(answer) => self.carry_out(node, answer, true),
                    Err(failure) => self.fail(node, &failure),
                }
            }
            _ => self.fail(node, failure),
        }
        self.persist(node);
    }
}
