//! What the ledger says of controllers: told to them with its proof, and to the thread of functions, which takes orders of no other
//! controller and of no lower term.

use std::sync::Arc;

use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use voltmesh_consensus::{Finalized, Handle};
use voltmesh_control::{Handovers, LedgerReport};
use voltmesh_ledger::{Act, Epoch, PublicKey, State, Term, TermEvidence, verifying_key};

use super::{
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
    /// Keys that the configuration names.
    configured: Vec<VerifyingKey>,
    /// Who commanded when it was told last.
    told: Option<Term>,
    /// Controllers and term that the thread knows.
    known: Option<(Vec<VerifyingKey>, u32)>,
    /// Hand-overs that were told, and where they were looked for last.
    handovers: usize,
    looked: Option<(Epoch, u64)>,
}

impl Bulletin {
    /// One that has told nothing.
    pub fn new(outboxes: Vec<Arc<Outbox>>, queue: Queue, configured: Vec<VerifyingKey>) -> Self {
        Self { outboxes, queue, configured, told: None, known: None, handovers: 0, looked: None }
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
        let items: Vec<Bytes> = all.iter().map(|handover| handover.to_bytes().into()).collect();
        let report = |items: &[Bytes]| LedgerReport::Handovers(Handovers { items: items.to_vec() }).encode();
        let reports: Vec<Bytes> = items.chunks(TOGETHER).map(report).collect();
        self.outboxes.iter().for_each(|outbox| outbox.handovers(reports.clone()));
    }

    fn tell_thread(&mut self, state: &State) {
        let keys = keys(&self.configured, state);
        let term = state.term().term;
        if self.known.as_ref().is_some_and(|(known, at)| *known == keys && *at == term) {
            return;
        }
        self.known = Some((keys.clone(), term));
        self.queue.tell(Told::Controllers { keys, term });
    }
}

/// Keys that sign leases: those that operators have admitted on the ledger, and those of the configuration that they have not
/// removed there.
fn keys(configured: &[VerifyingKey], state: &State) -> Vec<VerifyingKey> {
    let of = |key: &PublicKey| verifying_key(key).ok();
    let (removed, admitted): (Vec<_>, Vec<_>) =
        state.controllers().partition(|controller| controller.removed_at.is_some());
    let removed: Vec<VerifyingKey> = removed.iter().filter_map(|one| of(&one.key)).collect();
    let mut keys: Vec<VerifyingKey> =
        configured.iter().filter(|key| !removed.contains(key)).copied().collect();
    for key in admitted.iter().filter_map(|one| of(&one.key)) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_cryptography::Signer as _;
    use voltmesh_ledger::{
        Action, Transaction,
        testing::{Chain, controller},
    };

    #[test]
    fn admitted_controllers_are_believed_and_removed_ones_are_not() {
        let key = |n| controller(n).public_key();
        let configured = [verifying_key(&key(0)).unwrap(), verifying_key(&key(1)).unwrap()];
        let mut chain = Chain::new(4);
        assert_eq!(keys(&configured, &chain.state), configured);
        let mut decide = |actions| {
            let decision = chain.network.registry(chain.state.nonce(), actions);
            chain.push(vec![Transaction::from(decision)]);
            keys(&configured, &chain.state)
        };
        let of = |n| verifying_key(&key(n)).unwrap();
        let admit = |n| Action::AdmitController { key: key(n) };
        assert_eq!(decide(vec![admit(1), admit(2)]), [of(0), of(1), of(2)]);
        let remove = vec![Action::RemoveController { key: key(1) }, Action::RemoveController { key: key(2) }];
        assert_eq!(decide(remove), [of(0)]);
    }
}
