//! Signatures of roots and seals, and certificates: taken from peers, and given to those who ask.

use crate::{
    PublicKey,
    common::core::bump,
    poa::gossip::{message::Message, root_signatures::MAX_ASKED, signatures::RootGossip},
};
use commonware_p2p::{Recipients, Sender};
use tracing::warn;
use voltmesh_ledger::{Certificate, Height, RootReceipt, SealSignature};

impl<S: Sender<PublicKey = PublicKey>> RootGossip<S> {
    /// Signatures of roots.
    pub(super) fn add_receipts(&self, receipts: Vec<RootReceipt>) {
        let tip = self.shared.core.height();
        let mut added = false;
        {
            let mut roots = self.shared.roots.lock();
            for receipt in receipts {
                added |= roots.add(receipt, tip);
            }
        }
        if added {
            bump(&self.shared.signed);
        }
    }

    /// A peer asks for signatures of roots.
    pub(super) async fn answer_receipts(&mut self, from: PublicKey, heights: Vec<u64>) {
        let mut receipts = Vec::new();
        for height in heights.into_iter().take(MAX_ASKED) {
            receipts.extend(self.receipts(height).await);
        }
        if !receipts.is_empty() {
            self.send(Recipients::One(from), Message::Receipts(receipts));
        }
    }

    /// Signatures of the root at `height` that this node has or can make.
    async fn receipts(&self, height: u64) -> Vec<RootReceipt> {
        let known = self.shared.roots.lock().known(height);
        if known.iter().any(|receipt| receipt.authority == self.shared.core.me)
            || height > self.shared.core.height()
        {
            return known;
        }
        let Some(block) = self.marshal.get_block(Height::new(height)).await else { return known };
        let header = block.inner().header();
        let serves = self
            .shared
            .core
            .authorities_of(header.epoch.get())
            .is_some_and(|authorities| authorities.contains(&self.shared.core.me));
        let mut receipts = known;
        if serves {
            receipts.push(RootReceipt::sign(&self.shared.core.chain_id, &self.key, header));
        }
        receipts
    }

    pub(super) fn seals(&self, signatures: Vec<SealSignature>) {
        let mut added = false;
        for signature in signatures {
            if self.ends_our_epoch(signature.height.get()) {
                let state = self.shared.core.finalized();
                if let Some(authorities) = state.authorities_for(signature.epoch) {
                    let end = signature.height.get();
                    self.shared.seals.lock().keep_early(signature, end, authorities);
                }
            } else {
                added |= self.shared.seals.lock().add(signature);
            }
        }
        if added {
            bump(&self.shared.sealed);
        }
    }

    /// Signatures that seal the final block at `height`, as far as this node knows them.
    pub(super) async fn seal_signatures(&self, height: u64) -> Vec<SealSignature> {
        let known = self.shared.seals.lock().signatures(height);
        if !known.is_empty() || height >= self.shared.core.height() {
            return known;
        }
        let Some(block) = self.marshal.get_block(Height::new(height)).await else { return known };
        let seal = self.shared.seal(&self.marshal, height).await;
        seal.map_or(known, |seal| seal.split(block.inner().header()))
    }

    pub(super) async fn certificate(&self, from: &PublicKey, height: u64, certificate: Certificate) {
        if !self.shared.certificates.lock().wanted.contains(&height) {
            return;
        }
        let Some(block) = self.marshal.get_block(Height::new(height)).await else { return };
        let header = block.inner().header();
        let Some(voters) = self.shared.core.voters_of(header.epoch.get()) else { return };
        match certificate.verify(&self.shared.core.chain_id, &voters, header) {
            Ok(_) => {
                self.shared.keep_certificate(height, certificate);
                bump(&self.shared.signed);
            }
            Err(error) => warn!(%from, height, %error, "peer sent a certificate that does not hold"),
        }
    }

    /// A peer asks for certificates.
    pub(super) async fn answer_certificates(&mut self, from: PublicKey, heights: Vec<u64>) {
        for height in heights.into_iter().take(MAX_ASKED) {
            if let Some(certificate) = self.shared.certificate(&self.marshal, height).await {
                self.send(Recipients::One(from.clone()), Message::Certificate(height, certificate));
            }
        }
    }
}
