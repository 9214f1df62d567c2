//! What a fog node counts.

use std::collections::BTreeMap;

use super::refusal::{Delay, Refusal};

/// Counters since the start of the process.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Records that are durable and acknowledged.
    pub received_records: u64,
    /// Batches that are durable.
    pub received_batches: u64,
    /// Records of held batches that are in a finalised block.
    pub anchored_records: u64,
    /// Batches that the cloud has acknowledged.
    pub forwarded: u64,
    /// Publishes that were rejected for good.
    pub rejected: u64,
    /// Entries written to the quarantine.
    pub quarantined: u64,
    /// Sessions of clients that were ended because a vehicle has their id.
    pub clients_with_vehicles_ids: u64,
    /// Wills that were taken as samples.
    pub wills: u64,
    /// Wills that a transient failure lost: nobody is there to send them again.
    pub wills_lost: u64,
    /// Batches and samples that came again.
    pub duplicates: u64,
    /// Batches of which records before them were never seen here.
    pub gaps: u64,
    /// Batches released because the cloud has archived them.
    pub archived_batches: u64,
    /// Batches sent to the cloud again because its notice did not come.
    pub forwarded_again: u64,
    /// Anchors submitted again because they were not finalised in time.
    pub anchors_resubmitted: u64,
    /// Archive notices that the configured cloud key did not sign, or that cannot be read.
    pub notices_forged: u64,
    /// Archive notices about batches that this node does not hold.
    pub notices_stale: u64,
    /// Statements of the archive that are in the log and kept with their evidence.
    pub statements_anchored: u64,
    /// Statements that the configured cloud key did not sign, or that say that the archive went back.
    pub statements_refused: u64,
    /// Blocks of foreign records held for other fog nodes.
    pub copies_held: u64,
    /// Copies whose batches this node anchors because the first node, which attests them, went silent.
    pub copies_taken_over: u64,
    /// Copies that nobody signed and whose first node is silent: held, then quarantined.
    pub copies_unattested: u64,
    /// Offers of copies refused: malformed, or beyond the bound.
    pub copies_refused: u64,
    /// Commands handed to a vehicle's session.
    pub commands_sent: u64,
    /// Commands for a vehicle that is not connected here, or whose key is revoked.
    pub commands_unconnected: u64,
    /// Bytes that were to go to a vehicle and are no command for it.
    pub commands_refused: u64,
    /// Answers of vehicles to commands.
    pub answers_received: u64,
    /// Lines of the log about this node's clock.
    pub clock_off: u64,
    /// Hellos of vehicles whose clock is far from this node's.
    pub vehicle_clocks_off: u64,
    /// Notices of the cloud whose time is far from this node's.
    pub cloud_clock_off: u64,
    named: BTreeMap<&'static str, u64>,
}

impl Counters {
    /// Counts a rejection.
    pub fn refuse(&mut self, refusal: &Refusal) {
        self.rejected += 1;
        *self.named.entry(refusal.counter()).or_default() += 1;
    }

    /// Counts a transient failure.
    pub fn delay(&mut self, delay: &Delay) {
        *self.named.entry(delay.counter()).or_default() += 1;
    }

    /// All counters by name, those that are zero included.
    pub fn all(&self) -> BTreeMap<String, u64> {
        let fields = [
            ("received_records", self.received_records),
            ("received_batches", self.received_batches),
            ("anchored_records", self.anchored_records),
            ("forwarded", self.forwarded),
            ("rejected", self.rejected),
            ("quarantined", self.quarantined),
            ("clients_with_vehicles_ids", self.clients_with_vehicles_ids),
            ("wills", self.wills),
            ("wills_lost", self.wills_lost),
            ("duplicates", self.duplicates),
            ("gaps", self.gaps),
            ("archived_batches", self.archived_batches),
            ("forwarded_again", self.forwarded_again),
            ("anchors_resubmitted", self.anchors_resubmitted),
            ("notices_forged", self.notices_forged),
            ("notices_stale", self.notices_stale),
            ("statements_anchored", self.statements_anchored),
            ("statements_refused", self.statements_refused),
            ("copies_held", self.copies_held),
            ("copies_taken_over", self.copies_taken_over),
            ("copies_unattested", self.copies_unattested),
            ("copies_refused", self.copies_refused),
            ("commands_sent", self.commands_sent),
            ("commands_unconnected", self.commands_unconnected),
            ("commands_refused", self.commands_refused),
            ("answers_received", self.answers_received),
            ("clock_off", self.clock_off),
            ("vehicle_clocks_off", self.vehicle_clocks_off),
            ("cloud_clock_off", self.cloud_clock_off),
        ];
        let named = Refusal::COUNTERS.iter().chain(&Delay::COUNTERS);
        let named = named.map(|name| (*name, self.named.get(name).copied().unwrap_or_default()));
        fields.into_iter().chain(named).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
