//! Commands to vehicles and their answers, on their way through: a command goes to the session of the vehicle that it is signed
//! for and to no other, an answer is its vehicle's own word.

use bytes::Bytes;
use voltmesh_control::{Command, CommandAnswer};
use voltmesh_telemetry::VehicleId;

use super::{
    claim::Claim,
    core::Ingest,
    io::{NotRouted, Output},
    refusal::{Reject, malformed, oversized},
};

impl Ingest {
    /// Finds the session of a command's vehicle. Who may command is the vehicle's to check; whom a command is for is checked
    /// here, too.
    pub(super) fn command(&mut self, vehicle: &VehicleId, message: Bytes, ticket: u64) {
        let refused = |why: String| NotRouted::Refused { vehicle: vehicle.clone(), why };
        let routed = match Command::peek(&message) {
            Err(error) => Err(refused(error.to_string())),
            Ok((command, _)) if command.vehicle != *vehicle => {
                Err(refused(format!("it is signed for {}", command.vehicle)))
            }
            Ok(_) => match self.sessions.commanded(vehicle) {
                None => Err(NotRouted::NotConnected(vehicle.clone())),
                Some((_, true)) => Err(NotRouted::Revoked(vehicle.clone())),
                Some((session, false)) => Ok((session, vehicle.clone(), message)),
            },
        };
        match &routed {
            Ok(_) => self.counters.commands_sent += 1,
            Err(NotRouted::Refused { .. }) => self.counters.commands_refused += 1,
            Err(_) => self.counters.commands_unconnected += 1,
        }
        self.outputs.push(Output::CommandRouted { ticket, routed });
    }

    /// A vehicle's answer, as it published it. It is acknowledged once it is handed on: what it says is said again with the next
    /// answer, so nothing waits for the disk.
    pub(super) fn answered(
        &mut self,
        claim: Claim,
        vehicle: VehicleId,
        payload: &Bytes,
    ) -> Result<(), Reject> {
        oversized("answer", payload, CommandAnswer::MAX_BYTES)?;
        let answer: CommandAnswer =
            serde_json::from_slice(payload).map_err(|error| malformed("answer", error))?;
        self.disk.answer(claim, 0, 0);
        self.counters.answers_received += 1;
        self.outputs.push(Output::Answered { vehicle, answer: Box::new(answer) });
        Ok(())
    }
}
