//! What operators ask for.

use std::collections::BTreeSet;
use voltmesh_telemetry::{Timestamp, VehicleId};

use super::Controller;
use super::learn::LEARNED;
use super::state::{Change, MAX_DEPLOYMENTS, MAX_RELEASES};
use super::vocabulary::{Output, Request, RequestError};
use crate::decisions::learning::{Adaptation, Evidence, Step};
use crate::decisions::{Choice, Decision, UndoError, Who};

impl Controller {
    /// Carries out what an operator asks for, or says why not; then nothing has changed.
    ///
    /// # Errors
    /// [`RequestError`] with the reason and the remedy.
    pub fn request(&mut self, now: Timestamp, request: Request) -> Result<Vec<Output>, RequestError> {
        let mut out = Vec::new();
        match request {
            Request::Publish(release) => {
                if self.is_new(&release)? {
                    self.change(Change::Release { release }, &mut out);
                    self.changed.extend(self.vehicles.keys().cloned());
                }
            }
            Request::Withdraw(digest) => {
                let Some(release) = self.kept.releases.get(&digest.to_string()).cloned() else {
                    return Err(RequestError::Unknown(format!("no release {digest} is known")));
                };
                self.change(
                    Change::Release { release: super::Release { withdrawn: true, ..release } },
                    &mut out,
                );
                let using = self.kept.all().filter(|(.., assignment)| assignment.release == digest);
                let using: BTreeSet<VehicleId> = using.map(|(vehicle, ..)| vehicle.clone()).collect();
                self.changed.extend(using);
            }
            Request::Deploy(deployment) => self.deploy(deployment, &mut out)?,
            Request::Undeploy(name) => {
                if !self.kept.deployments.contains_key(&name) {
                    return Err(RequestError::Unknown(format!("no deployment is called {name:?}")));
                }
                self.change(Change::Undeployed { name }, &mut out);
                self.changed.extend(self.vehicles.keys().cloned());
            }
            Request::Undo(number) => self.undo(now, number, &mut out)?,
            Request::Pause => {
                self.change(Change::Paused { paused: true }, &mut out);
                self.orders.clear();
            }
            Request::Resume => {
                self.change(Change::Paused { paused: false }, &mut out);
                self.changed.extend(self.vehicles.keys().cloned());
                self.changed.extend(self.kept.assignments.keys().cloned());
            }
            Request::SetRules(rules, replaced) => {
                self.change(Change::Rules { rules: replaced }, &mut out);
                self.assessor.set_rules(rules);
                self.changed.extend(self.vehicles.keys().cloned());
            }
        }
        self.work_off(now, &mut out);
        Ok(out)
    }

    /// Whether a release is new, if it may be published: asked before its package is put where that of another may be.
    ///
    /// # Errors
    /// [`RequestError::Conflict`] with the reason: it is withdrawn, or its name, version or component is another release's.
    pub fn is_new(&self, release: &super::Release) -> Result<bool, RequestError> {
        let known = self.kept.releases.get(&release.digest.to_string());
        if known.is_some_and(|known| known.withdrawn) {
            let why = format!("release {} is withdrawn: publish a new version", release.digest);
            return Err(RequestError::Conflict(why));
        }
        let same =
            |known: &super::Release| (&known.function, known.version) == (&release.function, release.version);
        if let Some(known) = known {
            if same(known) {
                return Ok(false);
            }
            let (a, b, c) = known.version;
            let why = format!(
                "this component is published as {} {a}.{b}.{c}: a new release needs another component",
                known.function
            );
            return Err(RequestError::Conflict(why));
        }
        if let Some(other) = self.kept.releases.values().find(|known| same(known)) {
            let (a, b, c) = release.version;
            let why = format!(
                "{} {a}.{b}.{c} is published with another component ({}): give this one another version",
                release.function, other.digest
            );
            return Err(RequestError::Conflict(why));
        }
        if self.kept.releases.len() >= MAX_RELEASES {
            return Err(RequestError::Conflict(format!("{MAX_RELEASES} releases are known already")));
        }
        Ok(true)
    }

    fn deploy(&mut self, deployment: super::Deployment, out: &mut Vec<Output>) -> Result<(), RequestError> {
        let is_new = !self.kept.deployments.contains_key(&deployment.name);
        if is_new && self.kept.deployments.len() >= MAX_DEPLOYMENTS {
            let why = format!("there are {MAX_DEPLOYMENTS} deployments already: remove one");
            return Err(RequestError::Conflict(why));
        }
        if let Some(Err(why)) = deployment.bounds.map(|bounds| bounds.check()) {
            return Err(RequestError::Conflict(why));
        }
        match &deployment.release {
            Some(digest) => match self.kept.usable_release(digest) {
                None => {
                    let why = format!("release {digest} is withdrawn or was never published");
                    return Err(RequestError::Unknown(why));
                }
                Some(release) if release.function != deployment.function => {
                    let why = format!("release {digest} is of the function {}", release.function);
                    return Err(RequestError::Conflict(why));
                }
                Some(_) => {}
            },
            None if self.kept.newest_release(&deployment.function).is_none() => {
                let why = format!("no release of {} is published: publish one first", deployment.function);
                return Err(RequestError::Unknown(why));
            }
            None => {}
        }
        // What an operator asks for anew is not kept from the vehicle any more.
        let withheld = self.kept.withheld.iter().filter(|(vehicle, functions)| {
            functions.contains_key(&deployment.function)
                && (deployment.vehicles.is_empty() || deployment.vehicles.contains(*vehicle))
        });
        let granted: Vec<VehicleId> = withheld.map(|(vehicle, _)| vehicle.clone()).collect();
        for vehicle in granted {
            self.change(Change::Granted { vehicle, function: deployment.function.clone() }, out);
        }
        self.changed.extend(self.vehicles.keys().cloned());
        self.change(Change::Deployed { deployment }, out);
        Ok(())
    }

    /// Undoes a decision: what it began ends, what it ended may begin, what was learned is as before.
    fn undo(&mut self, now: Timestamp, number: u64, out: &mut Vec<Output>) -> Result<(), RequestError> {
        let before = self.log.get(number).cloned();
        let back = self.log.undo(now, number, Who::Operator, "an operator", "asked for").map_err(
            |error| match error {
                UndoError::Unknown(_) | UndoError::Forgotten(..) => RequestError::Unknown(error.to_string()),
                UndoError::NotAllowed(..) => RequestError::Conflict(format!(
                    "{error}: it follows from where the vehicle is, or from what called for the function"
                )),
                _ => RequestError::Conflict(error.to_string()),
            },
        )?;
        self.counters.undone += 1;
        if let Some(decision) = self.log.get(number).cloned() {
            self.change(Change::Decided { decision: Box::new(decision) }, out);
        }
        let Some(Decision { vehicle: Some(vehicle), chosen, rule, .. }) = before else { return Ok(()) };
        if rule == LEARNED {
            let (function, adaptation) = match chosen {
                Choice::Tune { function, from, to, .. } => (function, Adaptation::Strength { from, to }),
                Choice::Replace { function, by } => (function, Adaptation::Replaced { by }),
                Choice::End { function } => (function, Adaptation::Withdrawn),
                _ => return Ok(()),
            };
            let step = Step { vehicle: vehicle.clone(), function, adaptation, evidence: Evidence::default() };
            // It stands no more if the fleet's learning has gone past it: then there is nothing to take back.
            self.learned = self.learning.undo(&step).is_ok();
            self.keep_learning(out);
        } else {
            match back {
                Choice::End { function } => {
                    let change = Change::Withheld { vehicle: vehicle.clone(), function, decision: number };
                    self.change(change, out);
                }
                Choice::Run { function, .. } => {
                    self.change(Change::Granted { vehicle: vehicle.clone(), function }, out);
                }
                _ => {}
            }
        }
        self.settled_at = self.settled_at.min(now);
        self.changed.insert(vehicle);
        Ok(())
    }
}
