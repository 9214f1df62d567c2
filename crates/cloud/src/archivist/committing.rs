//! Commits: closing a group, and what follows when it is durable, or when it did not happen.

use super::{Archivist, Output, group::Member, holdings::Holdings, marks::Marks};
use std::collections::{BTreeMap, BTreeSet};
use voltmesh_control::{ArchiveNotice, ArchivedBatch, MAX_NOTICE_BATCHES};
use voltmesh_telemetry::{Timestamp, VehicleId};

impl Archivist {
    /// Commits what is open if it is due; false if it is not, or another commit is under way.
    pub(super) fn close_group(&mut self, now: Timestamp, out: &mut Vec<Output>) -> bool {
        if self.line.len() > 0 && !self.open.is_empty() {
            self.open.fill(); // what it holds takes the room that others wait for
        }
        if self.committing.is_some() || !self.open.is_due(now, &self.grouping) {
            return false;
        }
        let group = std::mem::take(&mut self.open);
        if group.entries.is_empty() && group.copies.is_empty() && group.quarantine.is_empty() {
            self.answer(now, group.members, out);
            return true;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let marks = self.holdings.marks_of(&group.entries);
        out.push(Output::Commit(group.commit(ticket, now, marks)));
        self.committing = Some((ticket, group));
        true
    }

    pub(super) fn committed(&mut self, now: Timestamp, ticket: u64, out: &mut Vec<Output>) {
        let Some((_, group)) = self.committing.take_if(|(current, _)| *current == ticket) else { return };
        self.counters.commits += 1;
        self.counters.batches += group.entries.len() as u64;
        self.counters.records += group.records as u64;
        self.holdings.committed(&group.entries, self.oldest_asked());
        self.answer(now, group.members, out);
        for (token, row) in group.quarantine {
            self.room.give_back_anonymous(row.bytes.len());
            if let Some(token) = token {
                out.push(Output::Reject(token, row.rejection));
            }
        }
    }

    /// Starts over from what the archive really holds: every waiting delivery is judged again.
    pub(super) fn reloaded(&mut self, now: Timestamp, ticket: u64, marks: &Marks, out: &mut Vec<Output>) {
        let Some((_, committing)) = self.committing.take_if(|(current, _)| *current == ticket) else {
            return;
        };
        self.counters.retries += 1;
        let open = std::mem::take(&mut self.open);
        self.holdings = Holdings::new(marks);
        for group in [committing, open] {
            for (token, row) in group.quarantine {
                if token.is_some() {
                    self.open.keep_refused(now, token, row);
                } else {
                    // A record of a member, which is judged again below.
                    self.room.give_back_anonymous(row.bytes.len());
                    self.quarantine.give_back(row.bytes.len());
                }
            }
            for member in group.members {
                self.admit(now, member, None, out);
            }
        }
        // Answers on their way are about the old state.
        for asked in std::mem::take(&mut self.asked).into_values() {
            self.admit(now, asked.member, None, out);
        }
    }

    /// Acknowledges deliveries of archived batches and tells their vehicles, by way of the node that brought them.
    pub(super) fn answer(&mut self, now: Timestamp, members: Vec<Member>, out: &mut Vec<Output>) {
        let mut notices: BTreeMap<(String, VehicleId), BTreeSet<ArchivedBatch>> = BTreeMap::new();
        for member in members {
            self.forget(&member);
            out.push(Output::Accept(member.token));
            let header = &member.batch.header;
            // For a client that is not ours, the fog node itself reads it, and lets its batch go.
            let archived = ArchivedBatch::of(header, member.batch.id);
            notices.entry((member.fog, header.vehicle.clone())).or_default().insert(archived);
        }
        for ((fog, vehicle), batches) in notices {
            let batches: Vec<_> = batches.into_iter().collect();
            for batches in batches.chunks(MAX_NOTICE_BATCHES) {
                let notice =
                    ArchiveNotice { vehicle: vehicle.clone(), batches: batches.to_vec(), archived: now };
                let bytes = notice.sign(&self.key).into();
                out.push(Output::Notice { fog: fog.clone(), vehicle: vehicle.clone(), bytes });
            }
        }
    }

    pub(super) fn forget(&mut self, member: &Member) {
        self.room.give_back(&member.batch.header.vehicle, member.bytes());
    }
}
