//! What a controller goes on from when it takes a term: what fog nodes run by their own lists, whoever ordered it.
//!
//! One that stood by has heard the lists and ordered nothing; what it remembers of an earlier term of its own may be long past.

use std::collections::BTreeMap;
use voltmesh_control::{Allowed, Instance};
use voltmesh_telemetry::Timestamp;

use super::Controller;
use super::state::{Assignment, Key, Phase};
use super::vocabulary::Output;

impl Controller {
    /// Takes over everything that runs under a newer lease than the one that is remembered, and forgets what others have ended. Before
    /// anything is ordered: what is not known here would be begun anew, and ended where it runs.
    pub(super) fn take_over(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let mut newest: BTreeMap<Key, (String, Instance)> = BTreeMap::new();
        let lists = self.nodes.iter().filter_map(|(fog, node)| Some((fog, node.running.as_ref()?)));
        for (fog, running) in lists {
            for (key, instance) in running {
                let older = newest.get(key).is_none_or(|(_, known)| known.epoch < instance.epoch);
                if older {
                    newest.insert(key.clone(), (fog.clone(), instance.clone()));
                }
            }
        }
        let remembered: Vec<(Key, Assignment)> = self
            .kept
            .all()
            .map(|(vehicle, function, known)| ((vehicle.clone(), function.clone()), known.clone()))
            .collect();
        for (key, known) in remembered {
            let listed = self.nodes.get(&known.fog).is_some_and(|node| node.running.is_some());
            let runs = matches!(known.phase, Phase::Running | Phase::Leaving { .. } | Phase::Ending);
            if runs && listed && !newest.contains_key(&key) {
                self.unassign(&key, out);
            }
        }
        for (key, (fog, instance)) in newest {
            self.skip_past(instance.epoch, out);
            let known = self.kept.assignment(&key.0, &key.1);
            if known.is_none_or(|known| known.epoch < instance.epoch) {
                self.assign(&key, adopted(now, &fog, &instance), out);
            }
        }
    }
}

/// The place of a function that runs and was ordered by another: its lease is renewed at once.
pub(super) fn adopted(now: Timestamp, fog: &str, instance: &Instance) -> Assignment {
    Assignment {
        fog: fog.to_owned(),
        epoch: instance.epoch,
        until_ms: now.as_millis(),
        release: instance.release,
        configuration: serde_json::Value::Null,
        allowed: Allowed::default(),
        phase: Phase::Running,
        state: None,
        failures: 0,
        retry_ms: 0,
        decision: None,
    }
}
