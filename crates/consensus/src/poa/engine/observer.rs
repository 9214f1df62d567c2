//! What consensus and marshal report to the node.

use crate::poa::shared::Shared;
use commonware_actor::Feedback;
use commonware_consensus::{Reporter, Viewable as _, marshal::Update, simplex::types::Activity};
use commonware_cryptography::Digested;
use commonware_utils::{acknowledgement::Exact, channel::mpsc};
use std::sync::Arc;
use tracing::warn;
use voltmesh_ledger::{Block, Digest, EquivocationProof, Justification, Scheme, Transaction};

/// Final block, with what to call once it is applied.
pub(crate) type PendingBlock = (Digested<Block>, Exact);

/// Notes views, keeps certificates for blocks to embed, and takes misbehaviour to the ledger.
#[derive(Clone)]
pub(crate) struct Observer(pub Arc<Shared>);

impl Observer {
    /// Votes that are reported may be unverified: nobody is counted, or accused, by votes that are not its own.
    fn accuse(&self, evidence: EquivocationProof) {
        let shared = &self.0;
        let voters = shared.core.voters_of(evidence.epoch().get());
        let Some(key) = voters.as_ref().and_then(|voters| evidence.accused(voters)).cloned() else { return };
        if !voters.is_some_and(|voters| evidence.verify(&shared.core.chain_id, &voters)) {
            return;
        }
        warn!(authority = %key, offence = %evidence.offence(), view = evidence.view(), "authority misbehaves");
        *shared.core.counts.lock().misbehaviour.entry(key).or_default() += 1;
        shared.core.offer(Transaction::Evidence(evidence));
    }
}

impl Reporter for Observer {
    type Activity = Activity<Scheme, Digest>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        match activity {
            Activity::ConflictingNotarize(votes) => {
                self.accuse(EquivocationProof::ConflictingNotarize(Box::new(votes)))
            }
            Activity::ConflictingFinalize(votes) => {
                self.accuse(EquivocationProof::ConflictingFinalize(Box::new(votes)))
            }
            Activity::NullifyFinalize(votes) => {
                self.accuse(EquivocationProof::NullifyFinalize(Box::new(votes)))
            }
            Activity::Notarization(certificate) => {
                self.0.core.counts.lock().view = certificate.view().get();
                self.0.votes.lock().keep(Justification::Notarization(certificate));
            }
            Activity::Finalization(certificate) => {
                self.0.core.counts.lock().view = certificate.view().get();
                self.0.votes.lock().keep(Justification::Finalization(certificate));
            }
            Activity::Nullification(certificate) => {
                let mut counts = self.0.core.counts.lock();
                counts.view = certificate.view().get();
                counts.nullified += 1;
            }
            Activity::Certification(_)
            | Activity::Notarize(_)
            | Activity::Nullify(_)
            | Activity::Finalize(_) => {}
        }
        Feedback::Ok
    }
}

/// Passes final blocks to the node. Unbounded by itself: marshal has at most `max_pending_acks` blocks under way.
#[derive(Clone)]
pub(crate) struct Inbox(pub mpsc::UnboundedSender<PendingBlock>);

impl Reporter for Inbox {
    type Activity = Update<Block>;

    fn report(&mut self, update: Update<Block>) -> Feedback {
        match update {
            // What is known to be final but not here yet; peers' heights say the same.
            Update::Tip(..) => Feedback::Ok,
            Update::Block(block, acknowledgement) => match self.0.send((block, acknowledgement)) {
                Ok(()) => Feedback::Ok,
                Err(_) => Feedback::Closed,
            },
        }
    }
}
