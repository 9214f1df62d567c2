//! Copies of a controller that commands, for one that stands by: decisions of operators, and what was learned.
//!
//! **Invariant.** After a whole copy both keep the same rules, deployments, functions that operators took from vehicles, and learning,
//! and the copy knows every release of the original. Copying something twice is the same as once.
//!
//! **Not copied:** terms and numbers, which are each controller's own; what runs where, which fog nodes say; decisions with their
//! receipts, which stay with the controller that took them. A release that was withdrawn here stays withdrawn.

use std::collections::BTreeSet;

use super::Controller;
use super::state::{Change, Kept, MAX_DEPLOYMENTS, MAX_RELEASES};
use super::vocabulary::Output;
use crate::Rules;

impl Change {
    /// Whether a controller that stands by copies it.
    #[must_use]
    pub fn is_copied(&self) -> bool {
        match self {
            Self::Paused { .. }
            | Self::Rules { .. }
            | Self::Release { .. }
            | Self::Deployed { .. }
            | Self::Undeployed { .. }
            | Self::Withheld { .. }
            | Self::Granted { .. }
            | Self::Learned { .. } => true,
            Self::Term { .. }
            | Self::Numbers { .. }
            | Self::Assigned { .. }
            | Self::Unassigned { .. }
            | Self::Written { .. }
            | Self::Decided { .. } => false,
        }
    }
}

impl Kept {
    /// Changes that make another controller keep what is copied of this one.
    #[must_use]
    pub fn copy(&self) -> Vec<Change> {
        let mut changes = vec![Change::Paused { paused: self.paused }];
        changes.extend(self.rules.iter().map(|rules| Change::Rules { rules: rules.clone() }));
        changes.extend(self.releases.values().map(|release| Change::Release { release: release.clone() }));
        let deployments = self.deployments.values();
        changes.extend(deployments.map(|deployment| Change::Deployed { deployment: deployment.clone() }));
        for (vehicle, functions) in &self.withheld {
            changes.extend(functions.iter().map(|(function, decision)| Change::Withheld {
                vehicle: vehicle.clone(),
                function: function.clone(),
                decision: *decision,
            }));
        }
        changes.push(Change::Learned { learning: Box::new(self.learning.clone()) });
        changes
    }

    /// Changes that take away what a whole copy does not have.
    fn without(&self, copy: &[Change]) -> Vec<Change> {
        let (mut deployed, mut withheld) = (BTreeSet::new(), BTreeSet::new());
        for change in copy {
            match change {
                Change::Deployed { deployment } => drop(deployed.insert(&deployment.name)),
                Change::Withheld { vehicle, function, .. } => drop(withheld.insert((vehicle, function))),
                _ => {}
            }
        }
        let removed = self.deployments.keys().filter(|name| !deployed.contains(name));
        let removed = removed.map(|name| Change::Undeployed { name: name.clone() });
        let held = self
            .withheld
            .iter()
            .flat_map(|(vehicle, functions)| functions.keys().map(move |function| (vehicle, function)));
        let granted = held.filter(|held| !withheld.contains(held)).map(|(vehicle, function)| {
            Change::Granted { vehicle: vehicle.clone(), function: function.clone() }
        });
        removed.chain(granted).collect()
    }

    /// Whether a change of what is copied says something new.
    fn is_new(&self, change: &Change) -> bool {
        match change {
            Change::Paused { paused } => self.paused != *paused,
            Change::Rules { rules } => self.rules.as_ref() != Some(rules),
            Change::Release { release } => {
                let known = self.releases.get(&release.digest.to_string());
                known != Some(release) && known.is_none_or(|known| !known.withdrawn)
            }
            Change::Deployed { deployment } => self.deployments.get(&deployment.name) != Some(deployment),
            Change::Undeployed { name } => self.deployments.contains_key(name),
            Change::Withheld { vehicle, function, decision } => {
                self.withheld.get(vehicle).and_then(|all| all.get(function)) != Some(decision)
            }
            Change::Granted { vehicle, function } => {
                self.withheld.get(vehicle).is_some_and(|all| all.contains_key(function))
            }
            Change::Learned { learning } => self.learning != **learning,
            _ => false,
        }
    }

    /// Whether there is room for it, and it is what an operator could have asked for here.
    fn has_room_for(&self, change: &Change) -> bool {
        match change {
            Change::Release { release } => {
                self.releases.len() < MAX_RELEASES || self.releases.contains_key(&release.digest.to_string())
            }
            Change::Deployed { deployment } => {
                let known = self.deployments.contains_key(&deployment.name);
                let bounded = deployment.bounds.is_none_or(|bounds| bounds.check().is_ok());
                bounded && (known || self.deployments.len() < MAX_DEPLOYMENTS)
            }
            _ => true,
        }
    }
}

impl Controller {
    /// Copies changes of the controller that commands: all that is to be copied, or what has changed since. One that commands itself
    /// copies nothing.
    pub(super) fn copy(&mut self, whole: bool, changes: Vec<Change>, out: &mut Vec<Output>) {
        if self.term.is_some() {
            return;
        }
        if whole {
            for gone in self.kept.without(&changes) {
                self.change(gone, out);
            }
        }
        for change in changes {
            if !change.is_copied() || !self.kept.is_new(&change) {
                continue;
            }
            let rules = match &change {
                Change::Rules { rules } => Rules::parse(&rules.text).ok(),
                _ => None,
            };
            if !self.kept.has_room_for(&change) || (rules.is_none() && matches!(change, Change::Rules { .. }))
            {
                self.counters.copies_refused += 1;
                continue;
            }
            if let Some(rules) = rules {
                self.assessor.set_rules(rules);
            }
            if let Change::Learned { learning } = &change {
                self.learning = (**learning).clone();
                self.learned = false;
            }
            self.counters.copied += 1;
            self.change(change, out);
        }
        self.changed.extend(self.vehicles.keys().cloned());
    }
}
