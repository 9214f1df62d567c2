//! Snapshots of a function, and its start from one.

use super::{
    Phase, Placed, Slot,
    sent::{Awaited, MAX_SENT},
};
use crate::{
    host::{Failure, Guest, MAX_STATE_BYTES},
    manager::{Output, Running, Sent, Snapshot, node::Node},
};
use voltmesh_control::Lease;
use voltmesh_telemetry::Timestamp;

impl Slot {
    /// A snapshot now.
    pub fn persist(&mut self, node: &mut Node) {
        self.persisted = node.now;
        self.unpersisted = None;
        let commands = self.sent.iter().filter(|(_, sent)| !sent.replaced);
        let running = Running {
            release: self.placed.component.digest,
            configuration: self.placed.configuration.clone(),
            lease: hex::encode(&self.lease_bytes),
            state: self.state.clone(),
            next_event: self.next_event,
            next_command: self.reserved,
            commands: commands
                .map(|(number, sent)| Sent {
                    number: *number,
                    action: sent.action.clone(),
                    epoch: sent.epoch,
                    expires_ms: sent.expires.as_millis(),
                })
                .collect(),
            conditions: self.conditions.clone(),
            previous: self.previous.clone(),
            failed: matches!(self.phase, Phase::Failed),
            fleet: (node.fleet, node.fleet_order),
        };
        node.out.push(Output::Persist(Box::new(self.snapshot(Some(running)))));
    }

    pub fn snapshot(&self, running: Option<Running>) -> Snapshot {
        Snapshot {
            vehicle: self.lease.vehicle.clone(),
            function: self.lease.function.clone(),
            order: self.order,
            epoch: self.epoch(),
            until_ms: self.lease.until.as_millis(),
            running,
        }
    }

    /// A slot as a snapshot describes it; it starts at once unless it was off.
    pub fn restored(
        running: Running,
        order: (u32, u64),
        lease: Lease,
        placed: Placed,
        kept: Option<u64>,
        node: &mut Node,
    ) -> Result<Self, Failure> {
        let lease_bytes = hex::decode(&running.lease).unwrap_or_default();
        if running.state.bytes.len() > MAX_STATE_BYTES {
            return Err(Failure::Bounds("the snapshot's state is too large".into()));
        }
        node.share(running.fleet.1, running.fleet.0);
        let guest = Guest::start(&placed.component)?;
        let mut slot = Self::new(lease, lease_bytes, placed, guest, running.state, order, node.now);
        slot.next_event = kept.map_or(0, |kept| kept.saturating_add(1)).max(running.next_event);
        (slot.next_command, slot.reserved) = (running.next_command, running.next_command);
        slot.conditions = running.conditions;
        slot.previous = running.previous;
        for sent in running.commands.into_iter().take(MAX_SENT) {
            let expires = Timestamp::from_millis(sent.expires_ms);
            let awaited =
                Awaited { action: sent.action, epoch: sent.epoch, expires, replaced: false, answered: false };
            slot.sent.insert(sent.number, awaited);
        }
        if running.failed {
            slot.phase = Phase::Failed;
        } else {
            slot.phase = Phase::Waiting(node.now);
            slot.start(node);
        }
        Ok(slot)
    }
}
