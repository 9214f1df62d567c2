//! Test support: a small fleet on a test ledger, whose batches pass every check. Not for production.

use crate::{Checked, Verified, check};
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;
use voltmesh_control::{Envelope, Opening};
use voltmesh_ledger::{Commitment, Trust, commitment, testing::Chain};
use voltmesh_telemetry::{
    BatchId, Boot, CentiKilometersPerHour, CentiPercent, Centidegrees, Channel, ChannelCount, ChannelValue,
    Charger, Contactor, Milliamps, Millivolts, Millivolts16, Ohms, Record, RecordNumber, Resolution, Sample,
    SealedBatch, Secret, Signer, Timestamp, Unknown, VehicleId, batch::Place, seal,
};

/// Time of the fleet's first records: 1 June 2026.
pub const EPOCH_MS: u64 = 1_780_272_000_000;

/// Vehicles `ev-0`, `ev-1` …, fog nodes `fog-0`, `fog-1` … that may attest, and a ledger that all are enrolled in.
pub struct Fleet {
    /// The ledger.
    pub chain: Chain,
    anchored: BTreeMap<BatchId, usize>,
}

impl Fleet {
    /// A fleet of so many vehicles and two fog nodes.
    pub fn new(vehicles: u8) -> Self {
        let mut chain = Chain::new(4);
        let names = (0..vehicles).map(vehicle_name).chain((0..2).map(fog_name));
        let commitments: Vec<_> = names.map(|name| commitment_of(&name, &opening_of(&name))).collect();
        chain.enrol(&commitments);
        Self { chain, anchored: BTreeMap::new() }
    }

    /// Trust in the ledger.
    pub fn trust(&self) -> Trust {
        self.chain.trust()
    }

    /// The chained batches of one boot, with so many records each.
    pub fn boot(&self, vehicle: u8, boot: u64, counts: &[u32]) -> Vec<SealedBatch> {
        let mut previous = None;
        let mut first = 0;
        let mut batches = Vec::new();
        for count in counts {
            let batch = self.batch(vehicle, boot, first, *count, previous);
            previous = Some(batch.id());
            first += u64::from(*count);
            batches.push(batch);
        }
        batches
    }

    /// One batch, signed by its vehicle.
    ///
    /// # Panics
    /// If there is no such batch.
    pub fn batch(
        &self,
        vehicle: u8,
        boot: u64,
        first: u64,
        count: u32,
        previous: Option<BatchId>,
    ) -> SealedBatch {
        let records: Vec<_> = (first..first + u64::from(count))
            .map(|number| Record { number: RecordNumber::new(number), sample: sample(vehicle, boot, number) })
            .collect();
        self.sealed(vehicle, boot, previous, &records)
    }

    /// One batch of these records, signed by their vehicle.
    ///
    /// # Panics
    /// If there is no such batch.
    pub fn sealed(
        &self,
        vehicle: u8,
        boot: u64,
        previous: Option<BatchId>,
        records: &[Record],
    ) -> SealedBatch {
        let name = vehicle_name(vehicle);
        let place = Place { vehicle: id_of(&name), boot: Boot::new(boot), previous, signer: Signer::Vehicle };
        match seal(&place, records, &Secret::new([vehicle; 32]), &key_of(&name)) {
            Ok(batch) => batch,
            Err(error) => panic!("no such test batch: {error}"),
        }
    }

    /// Samples of a client that is not ours, attested by a fog node.
    ///
    /// # Panics
    /// If there is no such batch.
    pub fn foreign(&self, fog: u8, vehicle: u8, seconds: &[u64]) -> SealedBatch {
        let records = seconds.iter().map(|s| Record::foreign(sample(vehicle, 0, *s))).collect();
        self.attested(fog, vehicle, records)
    }

    /// Records of a client that is not ours, attested by a fog node.
    ///
    /// # Panics
    /// If there is no such batch.
    pub fn attested(&self, fog: u8, vehicle: u8, mut records: Vec<Record>) -> SealedBatch {
        let fog = fog_name(fog);
        records.sort_by_key(|record| record.number);
        let place = Place {
            vehicle: id_of(&vehicle_name(vehicle)),
            boot: Boot::FOREIGN,
            previous: None,
            signer: Signer::Fog(fog.clone()),
        };
        match seal(&place, &records, &Secret::new([99; 32]), &key_of(&fog)) {
            Ok(batch) => batch,
            Err(error) => panic!("no such test batch: {error}"),
        }
    }

    /// The envelope in which fog node `fog` forwards a batch, which is anchored now if it was not before.
    ///
    /// # Panics
    /// If the ledger does not take it.
    pub fn envelope(&mut self, fog: u8, batch: &SealedBatch) -> Bytes {
        let at = *self.anchored.entry(batch.id()).or_insert_with(|| {
            self.chain.anchor(&[batch.id()]);
            self.chain.blocks.len() - 1
        });
        self.wrap(fog, batch, at)
    }

    /// Lets go of blocks and of what is anchored in them: for long runs, whose envelopes are not asked for again.
    pub fn forget(&mut self) {
        self.chain.blocks.clear();
        self.anchored.clear();
    }

    /// The same, anchored once more, as by a second fog node that knows nothing of the first.
    pub fn envelope_again(&mut self, fog: u8, batch: &SealedBatch) -> Bytes {
        self.chain.anchor(&[batch.id()]);
        self.wrap(fog, batch, self.chain.blocks.len() - 1)
    }

    fn wrap(&self, fog: u8, batch: &SealedBatch, at: usize) -> Bytes {
        let signer = match &batch.header().signer {
            Signer::Vehicle => batch.header().vehicle.to_string(),
            Signer::Fog(fog) => fog.clone(),
        };
        let opening = opening_of(&signer);
        let evidence = self.chain.blocks[at].evidence(&batch.id(), &commitment_of(&signer, &opening));
        let Some(evidence) = evidence else { panic!("the test ledger does not hold the batch") };
        let envelope = Envelope {
            fog: fog_name(fog),
            batch: batch.wire().clone(),
            opening,
            evidence: evidence.to_bytes(),
            received: Timestamp::from_millis(EPOCH_MS),
        };
        envelope.encode().into()
    }
}

/// What the checks say of an envelope that passes them.
///
/// # Panics
/// If it does not.
pub fn verified(envelope: &Bytes, trust: &Trust) -> Verified {
    let fog = Envelope::decode(envelope).map(|envelope| envelope.fog).unwrap_or_default();
    match check(&fog, envelope, trust) {
        Checked::Passed(batch) => *batch,
        Checked::Failed { rejection, .. } => panic!("the envelope does not pass: {rejection}"),
    }
}

/// The name of a vehicle.
pub fn vehicle_name(vehicle: u8) -> String {
    format!("ev-{vehicle}")
}

/// The name of a fog node.
pub fn fog_name(fog: u8) -> String {
    format!("fog-{fog}")
}

/// The name as an id.
///
/// # Panics
/// If it is none.
pub fn id_of(name: &str) -> VehicleId {
    match name.parse() {
        Ok(id) => id,
        Err(error) => panic!("{error}"),
    }
}

/// The key that a vehicle or fog node signs with.
pub fn key_of(name: &str) -> SigningKey {
    SigningKey::from_bytes(voltmesh_telemetry::Digest::of(name.as_bytes()).as_bytes())
}

/// What opens its commitment.
pub fn opening_of(name: &str) -> Opening {
    Opening { salt: [7; 32], key: key_of(name).verifying_key().to_bytes() }
}

fn commitment_of(name: &str, opening: &Opening) -> Commitment {
    commitment(name, &opening.salt, &opening.key)
}

/// A plausible sample, different for each record: 96 cells, 12 temperatures, one per second.
pub fn sample(vehicle: u8, boot: u64, number: u64) -> Sample {
    let wave = |step: u64| ((number * 7 + step * 13 + u64::from(vehicle)) % 40) as i64;
    Sample {
        time: Timestamp::from_millis(EPOCH_MS + boot * 86_400_000 + number * 1000),
        pack_voltage: Millivolts::new(355_000 + wave(0) as u32 * 25),
        pack_current: Milliamps::new(-40_000 + wave(1) as i32 * 1500),
        cells: (0..96).map(|cell| Millivolts16::new(3690 + wave(cell) as u16)).collect(),
        temperatures: (0..12).map(|sensor| Centidegrees::new(2500 + wave(sensor) as i16 * 5)).collect(),
        soc: CentiPercent::new(8000 - (number % 4000) as u16),
        contactor: Contactor::Closed,
        charger: Charger::Unplugged,
        ..Sample::default()
    }
}

/// The same with unknown values of each cause, optional quantities and two extra channels.
///
/// # Panics
/// Never: the channels are valid.
pub fn unknown_sample(vehicle: u8, boot: u64, number: u64) -> Sample {
    let mut sample = sample(vehicle, boot, number);
    sample.cells[0] = Millivolts16::unknown(Unknown::NotAvailable);
    sample.cells[7..=9].fill(Millivolts16::unknown(Unknown::Stale));
    sample.cells[11] = Millivolts16::unknown(Unknown::NotSent);
    sample.temperatures[2] = Centidegrees::unknown(Unknown::SensorFault);
    match number % 4 {
        1 => sample.pack_voltage = Millivolts::unknown(Unknown::OutOfRange),
        2 => sample.pack_current = Milliamps::unknown(Unknown::NotSent),
        3 => sample.soc = CentiPercent::unknown(Unknown::Stale),
        _ => {}
    }
    sample.insulation = Ohms::new(2_000_000 + number as u32);
    sample.ambient = Centidegrees::new(-1_250);
    sample.speed = CentiKilometersPerHour::unknown(Unknown::NotAvailable);
    let channel = |name: &str, unit: &str, count| {
        let resolution = Resolution::new(1, -1);
        match resolution.and_then(|resolution| Channel::new(name, unit, resolution)) {
            Ok(channel) => ChannelValue { channel: std::sync::Arc::new(channel), count },
            Err(error) => panic!("{error}"),
        }
    };
    let gas = ChannelCount::unknown(Unknown::SensorFault);
    let pressure = ChannelCount::new(1_013 + (number % 5) as i32);
    sample.channels = vec![channel("cell-pressure", "kPa", pressure), channel("gas", "[ppm]", gas)];
    sample
}

/// Two records of one client with the same time, the same number and different content: the first pair of currents whose
/// digests begin with the same 21 bits.
///
/// # Panics
/// If there is none among 2^31 currents.
pub fn colliding(vehicle: u8, second: u64) -> [Record; 2] {
    let with = |current: i32| {
        let pack_current = Milliamps::new(current);
        Record::foreign(Sample { pack_current, ..sample(vehicle, 0, second) })
    };
    let mut seen: BTreeMap<RecordNumber, i32> = BTreeMap::new();
    let pair = (0..i32::MAX).find_map(|current| {
        let first = seen.insert(with(current).number, current)?;
        Some([with(first), with(current)])
    });
    match pair {
        Some(pair) => pair,
        None => panic!("no two of 2^31 samples share 21 bits"),
    }
}

/// A copy of a Parquet file of `records` in which the first row's voltage is one volt higher: what tampering looks
/// like.
pub fn alter_first_voltage(parquet: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    use arrow::array::{Float64Array, RecordBatch, cast::AsArray as _};
    use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(parquet))?.build()?;
    let first = reader.next().ok_or("the file has no rows")??;
    let schema = first.schema();
    let at = schema.index_of("pack_voltage_v")?;
    let old = first.column(at).as_primitive_opt::<arrow::datatypes::Float64Type>().ok_or("no voltages")?;
    let new: Float64Array =
        old.iter().enumerate().map(|(row, value)| Some(value? + if row == 0 { 1.0 } else { 0.0 })).collect();
    let mut columns = first.columns().to_vec();
    columns[at] = std::sync::Arc::new(new);
    let mut out = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut out, schema.clone(), None)?;
    writer.write(&RecordBatch::try_new(schema, columns)?)?;
    for batch in reader {
        writer.write(&batch?)?;
    }
    writer.close()?;
    Ok(out)
}
