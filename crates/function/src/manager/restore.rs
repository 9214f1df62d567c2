//! Functions that are taken up again from their snapshots.

use super::{
    Manager, Snapshot,
    slot::{Placed, Slot},
    steps::{Ended, Key, Step},
};
use crate::Component;
use std::sync::Arc;
use voltmesh_control::Lease;

impl Manager {
    /// Takes up what was persisted.
    pub(super) fn restore(&mut self, snapshot: Snapshot, kept: Option<u64>) {
        let key = (snapshot.vehicle.clone(), snapshot.function.clone());
        let (term, number) = self.last_order;
        let (its_term, its_number) = snapshot.order;
        if (its_term, Some(its_number)) > (term, number) {
            self.last_order = (its_term, Some(its_number));
        }
        let Some(running) = &snapshot.running else {
            self.note_end(key, Ended { epoch: snapshot.lease_epoch(), until: snapshot.until() });
            return;
        };
        let lease = match self.lease(&key, &running.lease) {
            Ok((lease, _)) => lease,
            Err(why) => {
                let text = format!("function {} of vehicle {} is not taken up again: {why}", key.1, key.0);
                return self.node.warn(text);
            }
        };
        if self.slot(&key).is_some() || self.pending.contains_key(&key) {
            return self
                .node
                .warn(format!("function {} of vehicle {} runs already; its snapshot is left", key.1, key.0));
        }
        self.pending.insert(key.clone(), vec![Step::Restore(Box::new(snapshot), lease, kept)]);
        self.proceed(&key);
    }

    pub(super) fn restored(
        &mut self,
        key: &Key,
        snapshot: Snapshot,
        lease: Lease,
        component: Arc<Component>,
        kept: Option<u64>,
    ) {
        let Some(running) = snapshot.running else { return };
        let placed = Placed { component, configuration: running.configuration.clone() };
        match Slot::restored(running, snapshot.order, lease, placed, kept, &mut self.node) {
            Ok(mut slot) => {
                slot.persist(&mut self.node);
                self.slots.entry(key.0.clone()).or_default().insert(key.1.clone(), slot);
                self.node.changed = true;
                self.reschedule(key);
            }
            Err(failure) => {
                self.node.warn(format!(
                    "function {} of vehicle {} is not taken up again: {failure}",
                    key.1, key.0
                ));
            }
        }
    }
}
