//! Checkpoints (OSDI 4.3): replicas tell each other that they have executed a block, and once n − f have, the watermarks move
//! and what is below them may be discarded.

use crate::pbft::{
    certificate::{Ballot, Certificate, Phase, Seat},
    message::Message,
    replica::Core,
    vocabulary::To,
};
use voltmesh_ledger::{Digest, Height, Signature};

impl Core {
    /// OSDI 4.3: H = h + k; k is two checkpoint intervals.
    pub fn high_watermark(&self) -> Height {
        Height::new(self.stable_height().get() + 2 * self.settings.checkpoint)
    }

    pub fn stable_height(&self) -> Height {
        self.stable.as_ref().map_or(Height::zero(), |certificate| certificate.ballot.height)
    }

    /// Signs and sends this replica's checkpoint.
    pub fn cast_checkpoint(&mut self, height: Height, digest: Digest) {
        let ballot = Ballot::checkpoint(height, digest);
        let signature = self.voters.sign(&self.key, &ballot.signed());
        let votes = self.checkpoints.entry(height).or_default();
        votes.insert(self.me, ballot, signature.clone(), true);
        self.send(To::All, Message::Vote { ballot, signature });
    }

    /// OSDI 4.3: ⟨CHECKPOINT, n, d, i⟩.
    pub fn checkpoint(&mut self, from: Seat, ballot: Ballot, signature: Signature) {
        let height = ballot.height;
        self.catcher.heard(from, height);
        let bound = self.tip.height().get().saturating_add(2 * self.settings.checkpoint);
        let expected = height.get().is_multiple_of(self.settings.checkpoint) && height.get() <= bound;
        if expected && height > self.stable_height() {
            self.checkpoints.entry(height).or_default().insert(from, ballot, signature, false);
            self.stabilise();
        }
    }

    /// Makes the newest executed checkpoint stable that n − f have signed.
    pub fn stabilise(&mut self) {
        let executed = self.tip.height();
        let mut newest = None;
        for (height, votes) in self.checkpoints.range_mut(..=executed).rev() {
            let Some(digest) = self.history.digest(*height) else { continue };
            let ballot = Ballot::checkpoint(*height, digest);
            if let Some(signatures) = votes.take(&self.voters, &ballot, self.voters.quorum()) {
                newest = Some(Certificate { ballot, signatures });
                break;
            }
        }
        if let Some(certificate) = newest {
            self.set_stable(certificate);
        }
    }

    /// Moves the watermarks and discards what is below.
    fn set_stable(&mut self, certificate: Certificate) {
        let height = certificate.ballot.height;
        self.checkpoints.retain(|other, _| *other > height);
        self.history.prune(height);
        self.stable = Some(certificate);
    }

    pub fn learn_checkpoint(&mut self, from: Seat, certificate: Certificate) {
        let Ballot { phase, height, digest, .. } = certificate.ballot;
        self.catcher.heard(from, height);
        let ours = self.history.digest(height) == Some(digest);
        let is_news = phase == Phase::Checkpoint && height > self.stable_height();
        if is_news
            && ours
            && certificate.ballot == Ballot::checkpoint(height, digest)
            && self.voters.certifies(&certificate)
        {
            self.set_stable(certificate);
        }
    }
}
