//! What a vehicle says: names, units, samples and signed batches.

#![forbid(unsafe_code)]

pub mod batch;
pub mod cbor;
pub mod cose;
pub mod merkle;
pub mod vss;

mod error;
mod id;
mod sample;
mod sizes;
mod units;

pub use batch::{
    BatchHeader, ChainHead, Link, Place, ReceivedRecord, RecordReceipt, SealedBatch, Secret, Signer, seal,
};
pub use error::Error;
pub use id::{BatchId, Boot, Digest, RecordId, RecordNumber, VehicleId, is_name};
pub use sample::{Charger, Contactor, MAX_CELLS, MAX_TEMPERATURES, Record, Sample};
pub use sizes::{Sizes, encoding_sizes};
pub use units::{CentiPercent, Centidegrees, Milliamps, Millivolts, Millivolts16, Timestamp};
