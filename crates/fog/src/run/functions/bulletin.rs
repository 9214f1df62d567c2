//! What the ledger says of controllers: told to them with its proof, and to the thread of functions, which takes orders of no other
//! controller and of no lower term.

use std::sync::Arc;

use bytes::Bytes;
use voltmesh_consensus::{Finalized, Handle};
use voltmesh_control::{Handovers, LedgerReport};
use voltmesh_ledger::{Act, Epoch, Handover, State, Term, TermEvidence};

use super::{
    controllers::Controllers,
    outbox::Outbox,
    queue::{Queue, Told},
};

/// Hand-overs in one message: of at most 27 KiB with the most authorities, so half of the largest message.
const TOGETHER: usize = 16;

/// Blocks after which hand-overs are looked for again: one whose certificate was not here ends the list.
const AGAIN: u64 = 64;

/// Teller of controllers.
pub struct Bulletin {
    outboxes: Vec<Arc<Outbox>>,
    queue: Queue,
    controllers: Controllers,
    /// Who commanded when it was told last.
    told: Option<Term>,
    /// Hand-overs that were told, and where they were looked for last.
    handovers: usize,
    looked: Option<(Epoch, u64)>,
}

impl Bulletin {
    /// One that has told nothing.
    pub fn new(outboxes: Vec<Arc<Outbox>>, queue: Queue, controllers: Controllers) -> Self {
        Self { outboxes, queue, controllers, told: None, handovers: 0, looked: None }
    }

    /// Tells what a final block has changed.
    pub async fn look_at(&mut self, ledger: &Handle, finalized: &Finalized) {
        self.hand_over(ledger, finalized).await;
        for entry in finalized.acts.iter().filter(|entry| matches!(entry.act, Act::Decision { .. })) {
            if let Some(evidence) = finalized.act_evidence(&entry.act) {
                let report = LedgerReport::Act(evidence.to_bytes()).encode();
                self.outboxes.iter().for_each(|outbox| outbox.act(report.clone()));
            }
        }
        let state = &finalized.state;
        self.tell_thread(state);
        // Of a group of blocks the last one has the state.
        if *finalized.block.header() != finalized.header || self.told.as_ref() == Some(state.term()) {
            return;
        }
        let (header, certificate) = (finalized.header.clone(), finalized.certificate.clone());
        let evidence = state.prove_term().and_then(|proof| TermEvidence::new(header, certificate, proof));
        if let Some(evidence) = evidence {
            self.told = Some(evidence.term.clone());
            let report = LedgerReport::Term(evidence.to_bytes()).encode();
            self.outboxes.iter().for_each(|outbox| outbox.term(report.clone()));
        }
    }

    async fn hand_over(&mut self, ledger: &Handle, finalized: &Finalized) {
        let (epoch, height) = (finalized.state.epoch(), finalized.header.height.get());
        if self.looked.is_some_and(|(known, at)| known == epoch && height < at + AGAIN) {
            return;
        }
        self.looked = Some((epoch, height));
        let all = ledger.handovers().await;
        if all.len() <= self.handovers {
            return;
        }
        self.handovers = all.len();
        let items: Vec<Bytes> = all.iter().map(Handover::to_bytes).collect();
        let report = |items: &[Bytes]| LedgerReport::Handovers(Handovers { items: items.to_vec() }).encode();
        let reports: Vec<Bytes> = items.chunks(TOGETHER).map(report).collect();
        self.outboxes.iter().for_each(|outbox| outbox.handovers(reports.clone()));
    }

    /// Before controllers hear of it: so the orders of a term that one of them has just been given find it known.
    fn tell_thread(&mut self, state: &State) {
        if self.controllers.hear(state) {
            self.controllers.save();
            let (keys, term) = (self.controllers.keys(), self.controllers.term());
            self.queue.tell(Told::Controllers { keys, term, ledger: self.controllers.given_term() });
        }
    }
}
