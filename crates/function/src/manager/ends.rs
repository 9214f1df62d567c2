//! Ends of functions, and how long they are remembered.

use super::{
    Manager, Output, Snapshot,
    steps::{Ended, Key, Step},
};
use voltmesh_control::{FunctionReport, FunctionState};

/// Most functions whose end is remembered, so that an older lease does not bring them back.
const MAX_ENDED: usize = 10_000;

impl Manager {
    /// Ends a function, and hands its state over if that is asked.
    pub(super) fn end(&mut self, order: (u32, u64), key: Key, hand_over: bool) -> Result<(), String> {
        let mut known = false;
        for step in self.pending.remove(&key).unwrap_or_default() {
            known = true;
            match step {
                Step::Run(run) => self.node.refuse(run.order.1, "its end came before its release".into()),
                Step::Condition(..) => {}
                Step::Restore(snapshot, lease, _) => {
                    if let Some(running) = snapshot.running.filter(|_| hand_over) {
                        self.node.out.push(Output::Tell(FunctionReport::State(FunctionState {
                            vehicle: key.0.clone(),
                            function: key.1.clone(),
                            version: running.state.version,
                            state: hex::encode(&running.state.bytes),
                            epoch: snapshot.epoch,
                        })));
                    }
                    self.remember(key.clone(), Ended { epoch: lease.epoch, until: lease.until }, order);
                }
            }
        }
        let slot = self.slots.get_mut(&key.0).and_then(|functions| functions.remove(&key.1));
        let Some(mut slot) = slot else {
            return if known { Ok(()) } else { Err("this function does not run here".into()) };
        };
        if self.slots.get(&key.0).is_some_and(|functions| functions.is_empty()) {
            self.slots.remove(&key.0);
        }
        self.reschedule(&key);
        if hand_over {
            let state = slot.handed_over(&mut self.node);
            self.node.out.push(Output::Tell(FunctionReport::State(state)));
        }
        self.remember(key, Ended { epoch: slot.lease.epoch, until: slot.lease.until }, order);
        self.node.changed = true;
        Ok(())
    }

    /// Remembers an end, here and across the process's.
    fn remember(&mut self, key: Key, ended: Ended, order: (u32, u64)) {
        self.node.out.push(Output::Persist(Box::new(Snapshot {
            vehicle: key.0.clone(),
            function: key.1.clone(),
            order,
            epoch: (ended.epoch.term, ended.epoch.count),
            until_ms: ended.until.as_millis(),
            running: None,
        })));
        self.note_end(key, ended);
    }

    pub(super) fn note_end(&mut self, key: Key, ended: Ended) {
        if self.ended.len() >= MAX_ENDED {
            let now = self.node.now;
            self.ended.retain(|_, ended| ended.until > now);
            let soonest = self.ended.iter().min_by_key(|(_, ended)| ended.until).map(|(key, _)| key.clone());
            if let Some(soonest) = soonest.filter(|_| self.ended.len() >= MAX_ENDED) {
                self.ended.remove(&soonest);
            }
        }
        self.ended.insert(key, ended);
    }
}
