//! Messages of a vehicle: names, units, samples and signed batches.
//!
//! A [`Sample`] is a whole pack at one moment, in which anything may be unknown with its cause; numbered, it is a [`Record`]; [`seal`] signs consecutive records as a
//! [`SealedBatch`] that names its predecessor. From a batch comes a [`RecordReceipt`], which proves one record and
//! reveals nothing about its neighbours.
//!
//! Invariant: what is verified is exactly what was signed. Every format has one encoding, everything hashed is an
//! integer, and any flipped bit of a batch or receipt is found.
//!
//! Deliberately absent: whose key is valid and since when (the ledger), storage and transport, estimates (floats).
//!
//! ```
//! use ed25519_dalek::SigningKey;
//! use voltmesh_telemetry::{Boot, Place, Record, RecordNumber, SealedBatch, Secret, Signer, seal, vss};
//!
//! let json = br#"{ "timestamp": "2026-01-05T08:00:00Z",
//!     "Vehicle.Powertrain.TractionBattery.CurrentVoltage": 352.1,
//!     "Vehicle.Powertrain.TractionBattery.CurrentCurrent": -12.4 }"#;
//! let records = [Record { number: RecordNumber::ZERO, sample: vss::parse(json)? }];
//!
//! let key = SigningKey::from_bytes(&[1; 32]);
//! let place = Place {
//!     vehicle: "bus-7".parse()?,
//!     boot: Boot::new(1),
//!     previous: None,
//!     signer: Signer::Vehicle,
//! };
//! let batch = seal(&place, &records, &Secret::new([2; 32]), &key)?;
//!
//! let received = SealedBatch::parse(batch.wire().clone())?;
//! assert_eq!(received.verify(&key.verifying_key())?, records);
//!
//! let receipt = received.prove(0)?.expect("the batch has a record 0");
//! assert_eq!(receipt.verify(&key.verifying_key())?.id.to_string(), "bus-7/1/0");
//! # Ok::<(), voltmesh_telemetry::Error>(())
//! ```

pub mod batch;
pub mod cbor;
pub mod cose;
pub mod merkle;
pub mod vss;

mod channel;
mod digest;
mod error;
mod error_chain;
mod id;
mod number;
mod sample;
mod sizes;
mod time;
mod units;
mod unknown;

pub use batch::{
    BatchHeader, ChainHead, Link, MAX_REPORT_BYTES, Place, ReceivedRecord, RecordReceipt, SealedBatch,
    Secret, Signer, seal, seal_with,
};
pub use channel::{Channel, ChannelValue, MAX_CHANNELS, Resolution};
pub use digest::Digest;
pub use error::Error;
pub use error_chain::error_chain;
pub use id::{BatchId, RecordId, VehicleId, is_name};
pub use number::{Boot, RecordNumber};
pub use sample::{
    Charger, Contactor, Format, MAX_CELLS, MAX_TEMPERATURES, Original, OriginalNumber, Record, Sample,
};
pub use sizes::{Sizes, encoding_sizes};
pub use time::Timestamp;
pub use units::{
    CentiKilometersPerHour, CentiPercent, Centidegrees, ChannelCount, Milliamps, Millivolts, Millivolts16,
    Ohms,
};
pub use unknown::{Reading, Unknown};
