//! Snapshots on disk, as they are offered to peers.

use crate::{
    PublicKey,
    poa::{storage::snapshot_store::Stored, sync::snapshot_offer::Offer},
};
use std::collections::BTreeMap;
use voltmesh_ledger::{Attestation, Certificate, Digest, Header, Snapshot};

/// A snapshot on disk.
pub(crate) struct Kept {
    pub header: Header,
    pub digest: Digest,
    pub len: usize,
    pub certificate: Option<Certificate>,
    pub attestations: BTreeMap<PublicKey, Attestation>,
}

impl Kept {
    pub fn of(stored: &Stored, header: Header) -> Option<Self> {
        let attestations = stored.attestations.iter().map(|found| (found.authority.clone(), found.clone()));
        Some(Self {
            header,
            digest: Snapshot::digest_of(&stored.snapshot)?,
            len: stored.snapshot.len(),
            certificate: stored.certificate.clone(),
            attestations: attestations.collect(),
        })
    }

    pub(super) fn offer(&self) -> Option<Offer> {
        Some(Offer {
            header: self.header.clone(),
            certificate: self.certificate.clone()?,
            digest: self.digest,
            len: self.len as u32,
            attestations: self.attestations.values().cloned().collect(),
        })
    }
}
