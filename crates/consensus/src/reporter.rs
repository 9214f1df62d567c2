//! What consensus and marshal report to the node.

use crate::shared::Shared;
use commonware_actor::Feedback;
use commonware_consensus::{
    Reporter, Viewable as _,
    marshal::Update,
    simplex::types::{Activity, Attributable as _},
    types::Participant,
};
use commonware_cryptography::Digested;
use commonware_utils::{acknowledgement::Exact, channel::mpsc};
use std::sync::Arc;
use tracing::warn;
use voltmesh_ledger::{Block, Digest, Scheme};

/// A final block and what to call once it is applied.
pub(crate) type Finalised = (Digested<Block>, Exact);

/// Notes views and misbehaviour. Votes are not verified again here: the numbers are for people, nothing follows from
/// them.
#[derive(Clone)]
pub(crate) struct Observer(pub Arc<Shared>);

impl Observer {
    fn misbehaved(&self, signer: Participant, what: &'static str) {
        let key = {
            let epoch = self.0.tip.borrow().epoch;
            self.0.sets.lock().get(&epoch).and_then(|set| set.get(signer.get() as usize).cloned())
        };
        if let Some(key) = key {
            warn!(authority = %key, what, "authority misbehaves");
            *self.0.counts.lock().misbehaviour.entry(key).or_default() += 1;
        }
    }
}

impl Reporter for Observer {
    type Activity = Activity<Scheme, Digest>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        match &activity {
            Activity::ConflictingNotarize(evidence) => {
                self.misbehaved(evidence.signer(), "two proposals notarised")
            }
            Activity::ConflictingFinalize(evidence) => {
                self.misbehaved(evidence.signer(), "two proposals finalised")
            }
            Activity::NullifyFinalize(evidence) => {
                self.misbehaved(evidence.signer(), "view nullified and finalised")
            }
            Activity::Notarization(certificate) => self.0.counts.lock().view = certificate.view().get(),
            Activity::Finalization(certificate) => self.0.counts.lock().view = certificate.view().get(),
            Activity::Nullification(certificate) => {
                let mut counts = self.0.counts.lock();
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
pub(crate) struct Inbox(pub mpsc::UnboundedSender<Finalised>);

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
