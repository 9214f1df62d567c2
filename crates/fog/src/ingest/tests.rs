//! The core against a disk, a ledger, vehicles and a cloud that the test owns.

mod commands;
mod copies;
mod delays;
mod feed;
mod foreign;
mod laws;
mod rejections;
mod statements;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use commonware_cryptography::Signer as _;
use ed25519_dalek::{SigningKey, VerifyingKey};
use voltmesh_consensus::Finalized;
use voltmesh_control::{
    ArchiveNotice, ArchivedBatch, CommandAnswer, Envelope, Hello, Opening, Receipts, commitment,
};
use voltmesh_identity::Peer;
use voltmesh_ledger::{
    AnchorProof, PublicKey, Transaction,
    testing::{Chain, Vehicle, key},
};
use voltmesh_mqtt::Token;
use voltmesh_spool::Position;
use voltmesh_telemetry::{BatchId, Digest, SealedBatch, Secret, Signer, Timestamp, VehicleId};

use super::*;
pub use crate::config::Foreign;
use crate::config::{Limits, Spool};
pub use world::World;

pub fn cloud_key() -> SigningKey {
    SigningKey::from_bytes(&[77; 32])
}

pub fn settings(chain: &Chain, authority: usize, foreign: Foreign) -> Settings {
    let key = chain.network.authority(authority).clone();
    let signing = voltmesh_ledger::signing_key(&key);
    Settings {
        fog: format!("fog-{authority}").parse().unwrap(),
        opening: crate::own_opening(&signing),
        key,
        chain: chain.network.genesis().digest(),
        secret: Secret::new([5; 32]),
        cloud_keys: vec![cloud_key().verifying_key()],
        limits: Limits::default(),
        spool: Spool::default(),
        foreign,
        anchors: AnchorSettings { every_ms: 100, batches: 512, resubmit_ms: 3_000 },
        forward: ForwardSettings { window: 4, window_bytes: 1 << 20, notice_ms: 10_000 },
    }
}

/// The vehicle of these tests; enrolled, as are the fog nodes' own keys.
pub fn car() -> Vehicle {
    Vehicle::new("car")
}

pub fn chain() -> Chain {
    let mut chain = Chain::new(4);
    let mut all = vec![car().commitment()];
    for authority in 0..4 {
        let settings = settings(&chain, authority, Foreign::default());
        all.push(commitment(&settings.fog, &settings.opening));
    }
    chain.enrol(&all);
    chain
}

pub fn notice(batch: &SealedBatch, key: &SigningKey) -> Bytes {
    let header = batch.header();
    let notice = ArchiveNotice {
        vehicle: header.vehicle.clone(),
        batches: vec![ArchivedBatch::of(header, batch.id())],
        archived: Timestamp::from_millis(1),
    };
    notice.sign(key).into()
}

/// `count` batches of ten records, chained.
pub fn batches(vehicle: &Vehicle, boot: u64, count: u64) -> Vec<SealedBatch> {
    let mut all: Vec<SealedBatch> = Vec::new();
    for n in 0..count {
        all.push(vehicle.batch(boot, 10 * n, 10, all.last().map(SealedBatch::id)));
    }
    all
}

pub fn peer(n: usize, chain: &Chain) -> PublicKey {
    chain.network.authority(n).public_key()
}

pub fn other_key() -> SigningKey {
    voltmesh_ledger::signing_key(&key(99))
}
