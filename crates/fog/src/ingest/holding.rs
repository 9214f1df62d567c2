//! Second copies of foreign records, the holding side: blocks that this node keeps for another until that one's batches are
//! archived.
//!
//! **Rule.** A node attests only what its own clients' connections brought. A copy holds batches that their first node
//! signed, so when that node is gone they are anchored as they are, in its name: what it invented, it alone attests.
//!
//! Copies of bare records, as earlier versions offered them, are signed by nobody: one authority's word is not enough for
//! this node's signature. They are held while their first node may come back, counted and told, and end in the quarantine
//! when it disowns them or [`unattested_ms`](crate::config::Foreign::unattested_ms) is over.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use voltmesh_control::{Opening, commitment};
use voltmesh_ledger::{PublicKey, verifying_key};
use voltmesh_spool::Position;
use voltmesh_telemetry::{Digest, Record, SealedBatch, Signer, Timestamp, VehicleId};

use super::{
    block::{Block, SealedBlock, Unreadable},
    copies::{MAX_DIGESTS, Message},
    core::Ingest,
    entry::{CopyEntry, Entry},
    io::Output,
    refusal::{Delay, Refusal},
    state::{
        disk::Then,
        holdings::{Asked, Holding},
    },
};

impl Ingest {
    pub(super) fn copy_offered(&mut self, from: PublicKey, block: Bytes, sealed: bool) {
        let digest = Digest::of(&block);
        if let Some(holding) = self.holdings.holding.get(&digest) {
            if holding.entry.0 < self.durable_below() {
                let message = Message::Held(vec![digest]).encode();
                self.outputs.push(Output::Copy { to: from, message });
            }
            return;
        }
        let held = self.holdings.held_bytes.get(&from).copied().unwrap_or_default();
        let fits = held + block.len() as u64 <= self.settings.foreign.copy_bytes;
        let readable = if sealed { is_signed_by(&from, &block) } else { Block::read(&block).is_some() };
        if !fits || !readable || self.room(block.len()).is_err() {
            self.counters.copies_refused += 1;
            return;
        }
        let mut origin = [0; 32];
        origin.copy_from_slice(from.as_ref());
        let copy = CopyEntry { received: self.now, origin, block };
        let entry = if sealed { Entry::SealedCopy(copy) } else { Entry::Copy(copy) };
        let entry = self.append(entry.encode());
        self.hold_copy(digest, from, entry, sealed, self.now);
        self.disk.then(Then::Held(digest));
        self.counters.copies_held += 1;
    }

    /// Holds a copy until it is settled or due.
    pub(super) fn hold_copy(
        &mut self,
        digest: Digest,
        origin: PublicKey,
        entry: (Position, u32),
        sealed: bool,
        since: Timestamp,
    ) {
        let due = self.now.plus_millis(self.settings.foreign.takeover_ms);
        *self.holdings.held_bytes.entry(origin.clone()).or_default() += u64::from(entry.1);
        let holding = Holding { origin, entry, sealed, since, due, asked: Asked::No, told: false };
        self.holdings.holding.insert(digest, holding);
        self.holdings.due.insert((due, digest));
    }

    pub(super) fn copy_durable(&mut self, digest: Digest) {
        if let Some(holding) = self.holdings.holding.get(&digest) {
            let (to, message) = (holding.origin.clone(), Message::Held(vec![digest]).encode());
            self.outputs.push(Output::Copy { to, message });
        }
    }

    /// The first node takes care of a block.
    pub(super) fn taken_care_of(&mut self, from: &PublicKey, digest: Digest) {
        let due = self.now.plus_millis(self.settings.foreign.takeover_ms);
        self.reschedule(from, digest, due, Asked::No);
    }

    /// The first node does not know of a block.
    pub(super) fn disowned(&mut self, from: &PublicKey, digest: Digest) {
        self.reschedule(from, digest, self.now, Asked::Disowned);
    }

    fn reschedule(&mut self, from: &PublicKey, digest: Digest, due: Timestamp, asked: Asked) {
        let Some(holding) = self.holdings.holding.get_mut(&digest) else { return };
        let loading = self.holdings.loading.contains_key(&holding.entry.0);
        if holding.origin == *from && !loading {
            self.holdings.due.remove(&(holding.due, digest));
            (holding.due, holding.asked) = (due, asked);
            self.holdings.due.insert((due, digest));
        }
    }

    /// Removes a copy from what is held for others; its entry in the spool.
    fn remove_copy(&mut self, digest: &Digest) -> Option<(Position, u32, PublicKey)> {
        let holding = self.holdings.holding.remove(digest)?;
        self.holdings.due.remove(&(holding.due, *digest));
        if let Some(bytes) = self.holdings.held_bytes.get_mut(&holding.origin) {
            *bytes = bytes.saturating_sub(holding.entry.1.into());
        }
        Some((holding.entry.0, holding.entry.1, holding.origin))
    }

    pub(super) fn forget_copy(&mut self, from: &PublicKey, digest: Digest) {
        if self.holdings.holding.get(&digest).is_some_and(|holding| holding.origin == *from)
            && let Some((position, size, _)) = self.remove_copy(&digest)
        {
            self.disk.release((position, size));
        }
    }

    /// Asks about copies that nothing was heard of, and reads those that were asked about in vain.
    pub(super) fn copies_due(&mut self) {
        let mut ask: BTreeMap<PublicKey, Vec<Digest>> = BTreeMap::new();
        let settings = &self.settings.foreign;
        let answer_by = self.now.plus_millis((settings.takeover_ms / 4).max(1));
        let ask_again = self.now.plus_millis(settings.takeover_ms.max(1));
        let (now, unattested_ms) = (self.now, settings.unattested_ms);
        // Whether a first node is enrolled can be said only by a ledger that has caught up.
        let behind = matches!(self.attests(), Err(Delay::LedgerBehind { .. }));
        let mut told = BTreeSet::new();
        while let Some((due, digest)) = self.holdings.due.first().copied().filter(|(due, _)| *due <= now) {
            self.holdings.due.remove(&(due, digest));
            let Some(holding) = self.holdings.holding.get_mut(&digest) else { continue };
            if holding.asked == Asked::No {
                (holding.asked, holding.due) = (Asked::Silent, answer_by);
                self.holdings.due.insert((answer_by, digest));
                ask.entry(holding.origin.clone()).or_default().push(digest);
                continue;
            }
            let waits = holding.asked == Asked::Silent && holding.since.plus_millis(unattested_ms) > now;
            if behind || (!holding.sealed && waits) {
                if !behind {
                    self.counters.copies_unattested += u64::from(!holding.told);
                    told.extend((!holding.told).then(|| holding.origin.clone()));
                    holding.told = true;
                    holding.asked = Asked::No;
                }
                holding.due = ask_again;
                self.holdings.due.insert((ask_again, digest));
                continue;
            }
            let position = holding.entry.0;
            if self.holdings.loading.insert(position, digest).is_none() {
                self.outputs.push(Output::Load(position));
            }
        }
        for (to, digests) in ask {
            for part in digests.chunks(MAX_DIGESTS) {
                let message = Message::Ask(part.to_vec()).encode();
                self.outputs.push(Output::Copy { to: to.clone(), message });
            }
        }
        for origin in told {
            self.log(format!(
                "authority {origin} is silent about samples that it acknowledged and did not sign: they are held, and go to the quarantine {} h after they came",
                unattested_ms / 3_600_000
            ));
        }
    }

    /// A copy was read from the spool. What its first node signed is anchored in that one's name; the rest is kept in the
    /// quarantine.
    pub(super) fn loaded(&mut self, position: Position, entry: Option<Bytes>) {
        let Some(digest) = self.holdings.loading.remove(&position) else { return };
        let Some((position, size, origin)) = self.remove_copy(&digest) else { return };
        let unreadable =
            || format!("the copy at position {position} of the spool cannot be read: it is kept there");
        match entry.as_ref().and_then(Entry::decode) {
            Some(Entry::SealedCopy(copy)) => match SealedBlock::read(&copy.block) {
                Some((opening, batches)) => self.anchor_for(&origin, (position, size), &opening, &batches),
                None => self.log(unreadable()),
            },
            Some(Entry::Copy(copy)) => match Block::read(&copy.block) {
                Some((records, refused)) => {
                    self.quarantine_copy(&origin, &records, refused);
                    self.disk.release((position, size));
                }
                None => self.log(unreadable()),
            },
            _ => self.log(unreadable()),
        }
    }

    fn anchor_for(
        &mut self,
        origin: &PublicKey,
        entry: (Position, u32),
        opening: &Opening,
        batches: &[SealedBatch],
    ) {
        self.counters.copies_taken_over += 1;
        self.restore_source(entry.0, entry.1, batches.len() as u32);
        let one = [(entry.0, 1)];
        for batch in batches {
            match self.check_attested(opening, batch) {
                Ok((commitment, records)) => {
                    self.remember_restored(&records);
                    self.hold_attested(batch, commitment, opening, one.to_vec());
                }
                Err(refusal) => {
                    let topic = format!("v1/{}/sample", batch.header().vehicle);
                    self.quarantine(&refusal, &format!("authority {origin}"), &topic, batch.wire());
                    self.log(format!("a batch that authority {origin} attested is not anchored: {refusal}"));
                    self.sources_sealed(&one);
                    self.sources_archived(&one);
                }
            }
        }
    }

    /// Whether a batch is what its fog node signed, and that one may attest.
    fn check_attested(
        &self,
        opening: &Opening,
        batch: &SealedBatch,
    ) -> Result<(Digest, Vec<(VehicleId, Record)>), Refusal> {
        let unverified = |why: String| Refusal::Unverified { why };
        let Signer::Fog(fog) = &batch.header().signer else {
            return Err(unverified("no fog node attests it".into()));
        };
        let fog: VehicleId = fog.parse().map_err(|error| unverified(format!("{error}")))?;
        let commitment = commitment(&fog, opening);
        match self.ledger.lookup(&commitment) {
            Ok(None) => {}
            Ok(Some(height)) => return Err(Refusal::Revoked { height }),
            Err(delay) => return Err(unverified(delay.to_string())),
        }
        let key = ed25519_dalek::VerifyingKey::from_bytes(&opening.key);
        let records = key
            .map_err(|error| unverified(error.to_string()))
            .and_then(|key| batch.verify(&key).map_err(|error| unverified(error.to_string())))?;
        let vehicle = &batch.header().vehicle;
        Ok((commitment, records.into_iter().map(|record| (vehicle.clone(), record)).collect()))
    }

    /// Keeps records that nobody signed where people look.
    fn quarantine_copy(
        &mut self,
        origin: &PublicKey,
        records: &[(VehicleId, Record)],
        refused: Vec<Unreadable>,
    ) {
        let refusal = Refusal::Unattested { origin: origin.to_string() };
        let peer = format!("authority {origin}");
        for (client, record) in records {
            self.quarantine(&refusal, &peer, &format!("v1/{client}/sample"), &record.to_canonical().into());
        }
        for Unreadable { client, record, .. } in refused {
            self.quarantine(&refusal, &peer, &format!("v1/{client}/sample"), &record);
        }
        self.log(format!("{} samples of a second copy go to the quarantine: {refusal}", records.len()));
    }
}

/// Whether a block holds batches of foreign clients, all named to be signed by this authority. Their signatures are checked
/// when they are to be anchored: until then nothing rests on them.
fn is_signed_by(authority: &PublicKey, block: &Bytes) -> bool {
    let Some((opening, batches)) = SealedBlock::read(block) else { return false };
    let own = verifying_key(authority).is_ok_and(|key| key.to_bytes() == opening.key);
    let key_id = Digest::of(&opening.key);
    let attested = |batch: &SealedBatch| {
        let header = batch.header();
        header.boot.is_foreign() && matches!(header.signer, Signer::Fog(_)) && header.key_id == key_id
    };
    own && !batches.is_empty() && batches.iter().all(attested)
}
