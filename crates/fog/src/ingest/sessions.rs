//! Sessions begin and end: topics bound to the certificate, one role for each id.

use voltmesh_identity::{Peer, Role};
use voltmesh_mqtt::SessionId;
use voltmesh_telemetry::VehicleId;

use super::{core::Ingest, io::Output, refusal::Delay, state::session::Session};

impl Ingest {
    pub(super) fn connected(&mut self, session: SessionId, peer: Peer) {
        if self.sessions.len() >= self.settings.limits.sessions {
            let why = format!("{} sessions are open, try another fog node", self.sessions.len());
            self.outputs.push(Output::Disconnect { session, reason: 0x97, why });
            return;
        }
        // The same rules bind both names, so this fails only for what could own no topic anyway.
        let Ok(vehicle) = peer.identity.id().parse() else {
            let why = format!("{} cannot name a vehicle", peer.identity);
            self.outputs.push(Output::Disconnect { session, reason: 0x87, why });
            return;
        };
        match peer.identity.role {
            Role::Client if self.is_of_a_vehicle(&vehicle) => {
                self.counters.clients_with_vehicles_ids += 1;
                let why =
                    format!("{vehicle} is a vehicle's id: a client needs a certificate with one of its own");
                self.outputs.push(Output::Disconnect { session, reason: 0x87, why });
                return;
            }
            Role::Edge => self.end_clients_of(&vehicle),
            _ => {}
        }
        self.sessions.all.insert(session, Session { peer, vehicle, enrolled: None });
    }

    /// Whether this node knows a vehicle of that id: by a session, or by its batches.
    fn is_of_a_vehicle(&self, id: &VehicleId) -> bool {
        let mut sessions = self.sessions.all.values();
        self.chains.knows(id)
            || sessions.any(|one| one.peer.identity.role == Role::Edge && one.vehicle == *id)
    }

    /// An id belongs to one role. Where a vehicle has it, a client that has its certificate, too, would write into the
    /// vehicle's history.
    fn end_clients_of(&mut self, vehicle: &VehicleId) {
        let clients = self.sessions.all.iter();
        let clients =
            clients.filter(|(_, one)| one.peer.identity.role == Role::Client && one.vehicle == *vehicle);
        for session in clients.map(|(session, _)| *session).collect::<Vec<_>>() {
            self.sessions.end(session);
            self.counters.clients_with_vehicles_ids += 1;
            let why = format!("{vehicle} is a vehicle's id, and the vehicle has come");
            self.outputs.push(Output::Disconnect { session, reason: 0x87, why });
        }
    }

    /// Ends sessions whose publishes cannot be acknowledged now.
    pub(super) fn end_sessions(&mut self, mut sessions: Vec<SessionId>, delay: &Delay) {
        sessions.sort_unstable();
        sessions.dedup();
        for session in sessions {
            self.delay(session, delay);
        }
    }

    /// A transient failure: no PUBACK, DISCONNECT 0x97.
    pub(super) fn delay(&mut self, session: SessionId, delay: &Delay) {
        self.counters.delay(delay);
        if self.sessions.end(session) {
            self.outputs.push(Output::Disconnect { session, reason: 0x97, why: delay.to_string() });
        }
    }

    /// Notes which of the presented keys the registry has revoked meanwhile.
    pub(super) fn recheck_sessions(&mut self) {
        for session in self.sessions.all.values_mut() {
            if let Some(enrolled) = &mut session.enrolled {
                enrolled.revoked = self.ledger.lookup(&enrolled.commitment).unwrap_or_default();
            }
        }
    }
}
