//! What failed a check goes into the quarantine of the next commit, within the share of whoever it counts for.

use super::{Archivist, Output, Quarantined, Token, group::Member};
use crate::verify::{About, Rejection, Stage};
use voltmesh_telemetry::Timestamp;

impl Archivist {
    /// Quarantines a delivery whose author is not known: what its fog node has brought counts as its own.
    pub(super) fn quarantine(
        &mut self,
        now: Timestamp,
        token: Token,
        refused: Quarantined,
        out: &mut Vec<Output>,
    ) {
        let whose = format!("fog {}", refused.fog);
        self.keep(now, Some(token), &whose, refused, out);
    }

    /// Puts what is refused into the open group's quarantine, if there is room for what is of `whose`.
    fn keep(
        &mut self,
        now: Timestamp,
        token: Option<Token>,
        whose: &str,
        mut refused: Quarantined,
        out: &mut Vec<Output>,
    ) {
        self.counters.quarantined += 1;
        *self.by_stage.entry(refused.rejection.stage).or_default() += 1;
        if !self.quarantine.take(now, whose, refused.bytes.len()) {
            self.counters.quarantine_dropped += 1;
            refused.rejection.reason += "; not kept here, since what is kept of its sender has its share";
            out.extend(token.map(|token| Output::Reject(token, refused.rejection)));
            return;
        }
        self.room.take_anonymous(refused.bytes.len());
        self.open.keep_refused(now, token, refused);
        if self.room.is_half_used() {
            self.open.fill();
        }
    }

    /// Quarantines records whose number is held with other content: they were acknowledged, and are not the same.
    pub(super) fn keep_collisions(
        &mut self,
        now: Timestamp,
        member: &Member,
        positions: &[u32],
        out: &mut Vec<Output>,
    ) {
        for position in positions {
            let Some(record) = member.batch.records.get(*position as usize) else { continue };
            let (vehicle, number) = (&member.batch.header.vehicle, record.number.get());
            let reason = format!(
                "another sample of {vehicle} is archived under number {number}: the same millisecond and the same \
                 first 21 bits of their content's digest"
            );
            let rejection = Rejection { stage: Stage::Fork, reason };
            let about = About { first: number, count: 1, ..member.batch.about() };
            let bytes = record.to_canonical().into();
            let refused = Quarantined::new(now, member.fog.clone(), Some(about), rejection, bytes);
            self.keep(now, None, vehicle.as_str(), refused, out);
        }
    }

    /// Quarantines a delivery whose batch is signed: it counts as its vehicle's.
    pub(super) fn expel(
        &mut self,
        now: Timestamp,
        member: Member,
        rejection: Rejection,
        out: &mut Vec<Output>,
    ) {
        self.forget(&member);
        let Member { token, fog, batch, raw } = member;
        let refused = Quarantined::new(now, fog, Some(batch.about()), rejection, raw);
        self.keep(now, Some(token), batch.header.vehicle.as_str(), refused, out);
    }
}
