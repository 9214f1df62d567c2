//! A vehicle with its keys.

use crate::{Commitment, commitment, proof::Opening};
use voltmesh_telemetry::{
    BatchId, Boot, CentiPercent, Centidegrees, Charger, Contactor, Digest, Milliamps, Millivolts,
    Millivolts16, Place, Record, RecordNumber, Sample, SealedBatch, Secret, Signer, Timestamp, VehicleId,
    seal,
};

/// A vehicle with its keys, its batches always of the same records.
#[derive(Clone, Debug)]
pub struct Vehicle {
    /// Its name.
    pub id: VehicleId,
    /// Signs its batches.
    pub key: ed25519_dalek::SigningKey,
    /// Opens its commitment.
    pub opening: Opening,
}

impl Vehicle {
    /// The vehicle of this name; its key and salt follow from the name.
    pub fn new(name: &str) -> Self {
        let id = match name.parse() {
            Ok(id) => id,
            Err(why) => panic!("not a vehicle's name: {why}"),
        };
        let derived = |what: &str| Digest::of(&[what.as_bytes(), name.as_bytes()].concat()).to_bytes();
        let key = ed25519_dalek::SigningKey::from_bytes(&derived("key"));
        let opening = Opening { salt: derived("salt"), key: key.verifying_key().to_bytes() };
        Self { id, key, opening }
    }

    /// Its name in the registry.
    pub fn commitment(&self) -> Commitment {
        commitment(self.id.as_str(), &self.opening.salt, &self.opening.key)
    }

    /// A batch of `count` records at 1 Hz from number `first` on, 96 cells each.
    pub fn batch(&self, boot: u64, first: u64, count: u64, previous: Option<BatchId>) -> SealedBatch {
        let record = |number: u64| Record {
            number: RecordNumber::new(number),
            sample: Sample {
                time: Timestamp::from_millis(1_700_000_000_000 + 1_000 * number),
                pack_voltage: Millivolts::new(352_000 + number as u32 % 100),
                pack_current: Milliamps::new(-12_000),
                cells: (0..96).map(|cell| Millivolts16::new(3_660 + cell % 7)).collect(),
                temperatures: (0..8).map(|sensor| Centidegrees::new(2_150 + sensor)).collect(),
                soc: CentiPercent::new(7_250),
                contactor: Contactor::Closed,
                charger: Charger::Unplugged,
                ..Sample::default()
            },
        };
        let records: Vec<_> = (first..first + count).map(record).collect();
        let boot = Boot::new(boot);
        let place = Place { vehicle: self.id.clone(), boot, previous, signer: Signer::Vehicle };
        match seal(&place, &records, &Secret::new([9; 32]), &self.key) {
            Ok(batch) => batch,
            Err(why) => panic!("no such batch: {why}"),
        }
    }
}
